use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::blob::{BlobType, NewBlob};
use crate::event::{Event, EventData, EventTag, Gist, Source};
use crate::ids::{
    BlobId, EventId, FlushId, GistId, IdSource, Incarnation, Owner, ProjectId, SlotId, SystemIds, UserId, UserKey,
};
use crate::ports::{
    Answer, Commit, CommitReply, DeadLetter, EventFilter, FlushOutcome, FlushRecord, FlushResult, NewSlot, Projects,
    Store, StoredBlob, Usage, Vectors,
};
use crate::profile::{Profile, Slot, SlotName};
pub(super) use crate::testing::texts::at;

/// A fresh store, and a look into it that the port does not give.
#[async_trait]
pub trait StoreHarness: Send + Sync + 'static {
    /// The store.
    fn store(&self) -> Arc<dyn Store>;

    /// The vectors of its gists.
    fn vectors(&self) -> Arc<dyn Vectors>;

    /// The projects in it.
    fn projects(&self) -> Arc<dyn Projects>;

    /// The number of rows of a user in all tables, without tombstones and purge orders.
    async fn rows_of(&self, key: &UserKey) -> u64;

    /// The history of a user's slots in the order in which it was written: the slot, the name of the change (see
    /// [`crate::profile::SlotWrite::action`]), the flush that made it (none for a client), and the memo.
    async fn history_of(&self, key: &UserKey) -> Vec<(SlotId, String, Option<FlushId>, String)>;

    /// The sources of each entry of that history.
    async fn sources_in_history_of(&self, key: &UserKey) -> Vec<Vec<Source>>;
}

/// What a case works with.
pub struct Kit {
    pub(super) harness: Box<dyn StoreHarness>,
    pub(super) store: Arc<dyn Store>,
    pub(super) vectors: Arc<dyn Vectors>,
    pub(super) projects: Arc<dyn Projects>,
}

impl Kit {
    /// What a case works with, around a fresh store.
    pub fn new(harness: impl StoreHarness) -> Self {
        let (store, vectors, projects) = (harness.store(), harness.vectors(), harness.projects());
        Self { store, vectors, projects, harness: Box::new(harness) }
    }

    pub(super) async fn create(&self, key: &UserKey) -> Owner {
        let incarnation = Incarnation(SystemIds.random());
        assert!(self.store.create_user(key, incarnation, None, at(0)).await.unwrap());
        Owner { key: key.clone(), incarnation }
    }

    /// A new user.
    pub(super) async fn owner(&self) -> Owner {
        self.create(&key_in("suite")).await
    }

    pub(super) async fn revision(&self, owner: &Owner) -> i64 {
        self.store.user(&owner.key).await.unwrap().unwrap().revision
    }

    pub(super) async fn profile(&self, owner: &Owner) -> Profile {
        self.store.profile(&owner.key).await.unwrap().unwrap()
    }

    /// A commit of one blob with one event, fit for the user's present revision.
    pub(super) async fn plan(&self, owner: &Owner, now: Timestamp) -> Commit {
        let commit = commit(owner, self.revision(owner).await, now);
        Commit { event: Some(event(&commit, &["one", "two"])), ..commit }
    }

    pub(super) async fn commit(&self, commit: &Commit) -> CommitReply {
        self.store.commit(commit).await.unwrap()
    }

    /// Commits and gets `Done`.
    pub(super) async fn done(&self, commit: &Commit) {
        assert_eq!(self.commit(commit).await, CommitReply::Done);
    }

    /// Commits an event with gists, and returns it.
    pub(super) async fn event(&self, owner: &Owner, now: Timestamp, tags: &[(&str, &str)], gists: &[&str]) -> Event {
        let mut commit = commit(owner, self.revision(owner).await, now);
        let (mut event, gists) = event(&commit, gists);
        event.data.event_tags = Some(tags.iter().map(|(t, v)| tag(t, v)).collect());
        commit.event = Some((event.clone(), gists));
        self.done(&commit).await;
        event
    }

    /// All events, newest first.
    pub(super) async fn events(&self, owner: &Owner) -> Vec<Event> {
        self.store.events(&owner.key, &EventFilter { limit: 100, ..EventFilter::default() }).await.unwrap()
    }

    pub(super) async fn gists(&self, owner: &Owner, limit: u32) -> Vec<Gist> {
        self.store.gists(&owner.key, limit).await.unwrap().unwrap().1
    }

    /// Adds a slot and returns its id.
    pub(super) async fn slot(&self, owner: &Owner, sub_topic: &str, now: Timestamp) -> SlotId {
        let slot = new_slot(sub_topic, "memo");
        assert!(self.store.add_slot(&owner.key, &slot, now).await.unwrap());
        slot.id
    }
}

pub(super) fn key_in(project: &str) -> UserKey {
    UserKey { project: ProjectId::from(project), user: UserId(SystemIds.random()) }
}

pub(super) fn flush_id() -> FlushId {
    FlushId(SystemIds.ordered())
}

pub(super) fn blob_id() -> BlobId {
    BlobId(SystemIds.random())
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

pub(super) fn tag(tag: &str, value: &str) -> EventTag {
    EventTag { tag: tag.into(), value: value.into() }
}

pub(super) fn new_slot(sub_topic: &str, content: &str) -> NewSlot {
    NewSlot {
        id: SlotId(SystemIds.random()),
        topic: "work".into(),
        sub_topic: sub_topic.into(),
        content: content.into(),
        attributes: object(json!({ "from": "suite" })),
    }
}

/// The slot that `new` becomes.
pub(super) fn slot_of(new: &NewSlot, now: Timestamp) -> Slot {
    let NewSlot { id, topic, sub_topic, content, attributes } = new.clone();
    let sources = Vec::new();
    Slot { id, topic, sub_topic, content, attributes, sources, revision: 1, created_at: now, updated_at: now }
}

pub(super) fn record(outcome: FlushOutcome) -> FlushRecord {
    let reason = (outcome != FlushOutcome::Committed).then(|| format!("it was {}", outcome.as_str()));
    FlushRecord {
        outcome,
        result: FlushResult::default(),
        reason,
        usage: Usage { input: 1000, cached: 100, output: 10 },
        refused: 3,
        version: "suite-1".into(),
    }
}

/// A commit of one blob that changes nothing.
pub(super) fn commit(owner: &Owner, base_revision: i64, now: Timestamp) -> Commit {
    Commit {
        owner: owner.clone(),
        flush_id: flush_id(),
        base_revision,
        blob_ids: vec![blob_id()],
        retried: false,
        record: record(FlushOutcome::Committed),
        slots: Vec::new(),
        event: None,
        keep: Vec::new(),
        answer: None,
        now,
    }
}

/// An event of the commit, with gists.
pub(super) fn event(commit: &Commit, gists: &[&str]) -> (Event, Vec<Gist>) {
    let data = EventData { event_tip: Some(gists.join("\n")), ..EventData::default() };
    let (id, now) = (EventId(SystemIds.random()), commit.now);
    let event = Event { id, flush_id: Some(commit.flush_id), data, created_at: now, updated_at: now };
    let gists = (0..).zip(gists).map(|(position, text)| Gist {
        id: GistId(SystemIds.random()),
        event_id: id,
        position,
        text: (*text).into(),
        occurred_at: Some("2023-05".into()),
        said_at: Some("2023-06-07".into()),
        sources: commit.blob_ids.iter().map(|id| Source { blob_id: *id, ..source(position) }).collect(),
        created_at: now,
        updated_at: now,
    });
    let gists = gists.collect();
    (event, gists)
}

/// A message of some blob.
pub(super) fn source(message: u32) -> Source {
    let (speaker, quote) = (Some("Ann".to_owned()), Some("I said \"naïve ☂\", and …".to_owned()));
    Source { blob_id: blob_id(), message, speaker, quote, heard: Some("What do you do?".into()) }
}

pub(super) fn stored(id: BlobId, blob_type: BlobType, created_at: Timestamp) -> StoredBlob {
    StoredBlob { blob: NewBlob { id, blob_type, tokens: 7, payload: "{\"a\":1}".into() }, created_at }
}

pub(super) fn letter(blobs: &[StoredBlob]) -> DeadLetter {
    DeadLetter { reason: "it was dead".into(), blobs: blobs.to_vec() }
}

pub(super) fn answer(text: &str) -> Answer {
    Answer { text: text.into(), usage: Usage { input: u32::MAX, cached: 5, output: 0 }, version: "suite-1".into() }
}

/// A slot as a flush would write it.
pub(super) fn flushed_slot(sub_topic: &str, content: &str, now: Timestamp) -> Slot {
    let name = SlotName::new("work", sub_topic);
    Slot {
        id: SlotId(SystemIds.random()),
        topic: name.topic,
        sub_topic: name.sub_topic,
        content: content.into(),
        attributes: Map::new(),
        sources: vec![source(2), Source { speaker: None, quote: None, ..source(1) }],
        revision: 1,
        created_at: now,
        updated_at: now,
    }
}
