use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::blob::{BlobType, NewBlob};
use crate::event::{Event, EventTag, Gist};
use crate::ids::{BlobId, EventId, FlushId, Incarnation, Owner, ProjectId, SlotId, UserId, UserKey};
use crate::ports::{Adoption, Answer, Legacy, Usage};
use crate::profile::{Profile, SlotWrite};
use crate::usage::Used;

/// Why a store did not do what it was asked. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or cannot write now. The outcome of a write is unknown.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The store holds something that this version cannot read.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

/// A user.
#[derive(Clone, PartialEq, Debug)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its present life.
    pub incarnation: Incarnation,
    /// See [`Profile::revision`].
    pub revision: i64,
    /// What the client stored with it.
    pub data: Option<Map<String, Value>>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its data was last changed.
    pub updated_at: Timestamp,
}

/// A slot that a client adds.
#[derive(Clone, PartialEq, Debug)]
pub struct NewSlot {
    /// Its id.
    pub id: SlotId,
    /// The topic.
    pub topic: String,
    /// The sub-topic.
    pub sub_topic: String,
    /// The memo.
    pub content: String,
    /// What else the client stores with it, without topic and sub-topic.
    pub attributes: Map<String, Value>,
}

/// A change that a client makes to a slot.
#[derive(Clone, PartialEq, Debug)]
pub struct SlotChange {
    /// The new memo.
    pub content: String,
    /// The new address and attributes; none keeps the old ones.
    pub address: Option<(String, String, Map<String, Value>)>,
}

/// Which events to read.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EventFilter {
    /// Events at most, newest first.
    pub limit: u32,
    /// Only events stored at this instant or later.
    pub since: Option<Timestamp>,
    /// Only events that carry all of these tags, with any value.
    pub tags: Vec<String>,
    /// Only events that carry all of these tags with these values.
    pub tag_values: Vec<EventTag>,
}

/// Which blobs or letters to list: newest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// How many to pass over.
    pub offset: u64,
    /// How many at most.
    pub limit: u64,
}

/// A blob that outlived its flush.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredBlob {
    /// The blob.
    pub blob: NewBlob,
    /// When it was appended to the journal.
    pub created_at: Timestamp,
}

/// How an optimistic write ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// Done.
    Done,
    /// The memory of this user has moved on: read again and repeat.
    Stale,
    /// There is no such user or row.
    Unknown,
}

/// How a flush ended. A flush has exactly one outcome, whoever was slow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlushOutcome {
    /// Its blobs took effect.
    Committed,
    /// It failed for good; its blobs are dead letters.
    Dead,
    /// Its user was deleted.
    Cancelled,
    /// A blob was deleted from its batch; what remains is to be sealed under a new id.
    Superseded,
}

impl FlushOutcome {
    /// All outcomes.
    pub const ALL: [Self; 4] = [Self::Committed, Self::Dead, Self::Cancelled, Self::Superseded];

    /// The name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }
}

/// What a committed flush did, in the shape of the wire.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct FlushResult {
    /// Its event; none when nothing was worth remembering.
    pub event_id: Option<EventId>,
    /// Slots that are new.
    pub add_profiles: Vec<SlotId>,
    /// Slots that changed.
    pub update_profiles: Vec<SlotId>,
    /// Slots that went.
    pub delete_profiles: Vec<SlotId>,
}

/// The row of a flush that has ended.
#[derive(Clone, PartialEq, Debug)]
pub struct FlushRecord {
    /// How it ended.
    pub outcome: FlushOutcome,
    /// What it did; empty unless committed.
    pub result: FlushResult,
    /// Why, unless committed.
    pub reason: Option<String>,
    /// What the model calls cost.
    pub usage: Usage,
    /// Items of the extraction that were refused, and slots in which a client overruled the flush.
    pub refused: u32,
    /// The version of prompt or rules.
    pub version: String,
}

/// Everything that one flush changes, in one transaction.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Whose memory.
    pub owner: Owner,
    /// The flush.
    pub flush_id: FlushId,
    /// The revision of the memory that `slots` was planned against.
    pub base_revision: i64,
    /// The blobs that take effect.
    pub blob_ids: Vec<BlobId>,
    /// True when they come from a dead letter that is tried again: they leave it with this commit. Otherwise a blob
    /// in a letter takes no effect.
    pub retried: bool,
    /// The row of the flush; its outcome is [`FlushOutcome::Committed`].
    pub record: FlushRecord,
    /// Profile changes.
    pub slots: Vec<SlotWrite>,
    /// The event, with its gists in order of position.
    pub event: Option<(Event, Vec<Gist>)>,
    /// Blobs to keep.
    pub keep: Vec<StoredBlob>,
    /// The answer to a part that is to be recorded with the rest.
    pub answer: Option<(u32, Answer)>,
    /// The time of the commit.
    pub now: Timestamp,
}

impl Commit {
    /// Whether what is remembered of the user changes: the revision counts that. What was overruled goes to the history
    /// only.
    pub fn changes_memory(&self) -> bool {
        self.event.is_some() || self.slots.iter().any(SlotWrite::changes_slot)
    }

    /// What is counted for the project: with the user gone, no success. What comes from a letter was counted as inserted
    /// when it became one.
    pub fn used(&self, user_is_there: bool) -> Used {
        let blobs = self.blob_ids.len();
        Used::new(if self.retried { 0 } else { blobs }, if user_is_there { blobs } else { 0 }, self.record.usage)
    }
}

/// How a commit ended. Only `Done` and `UserGone` have changed anything.
#[derive(Clone, PartialEq, Debug)]
pub enum CommitReply {
    /// All of it is stored.
    Done,
    /// The flush had an outcome already.
    Decided(FlushRecord),
    /// The user or this life of it is gone; the flush is recorded as [`FlushOutcome::Cancelled`].
    UserGone,
    /// These blobs have taken effect in another flush, or are in a dead letter.
    AppliedBefore(Vec<BlobId>),
    /// The memory of this user has moved on: plan again from its present profile. Or another answer to the part of
    /// [`Commit::answer`] was recorded before: that one counts.
    Stale,
}

/// A flush that failed for good, with its blobs.
#[derive(Clone, PartialEq, Debug)]
pub struct DeadLetter {
    /// Why.
    pub reason: String,
    /// Its blobs, in order.
    pub blobs: Vec<StoredBlob>,
}

impl DeadLetter {
    /// What a list tells of it.
    pub fn head(&self, user: UserId, flush_id: FlushId, created_at: Timestamp) -> DeadLetterHead {
        DeadLetterHead {
            user,
            flush_id,
            blob_type: self.blobs.first().map_or(BlobType::Chat, |stored| stored.blob.blob_type),
            reason: self.reason.clone(),
            blobs: self.blobs.len() as u64,
            tokens: self.blobs.iter().map(|stored| u64::from(stored.blob.tokens)).sum(),
            created_at,
        }
    }
}

/// What a list tells of a dead letter.
#[derive(Clone, PartialEq, Debug)]
pub struct DeadLetterHead {
    /// Whose.
    pub user: UserId,
    /// The flush that failed: the name of the letter.
    pub flush_id: FlushId,
    /// The kind of its blobs.
    pub blob_type: BlobType,
    /// Why it failed.
    pub reason: String,
    /// How many blobs it holds.
    pub blobs: u64,
    /// Their tokens.
    pub tokens: u64,
    /// When the flush failed for good.
    pub created_at: Timestamp,
}

/// The system of record.
///
/// Each method is one transaction. Every change of profile or events adds one to the user's revision; a commit or an
/// adoption adds one however much it changes, and none when it changes neither (it is empty, or a client overruled all of it).
/// Of events and blobs of one instant, the one that was stored last is the newest. A method that is given an unknown user changes nothing and says so with `false`, `None`, an empty list or
/// [`Written::Unknown`]. Errors are those of [`StoreError`].
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Creates a user. False when the id is taken.
    async fn create_user(
        &self,
        key: &UserKey,
        incarnation: Incarnation,
        data: Option<&Map<String, Value>>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Reads a user.
    async fn user(&self, key: &UserKey) -> Result<Option<User>, StoreError>;

    /// Replaces the data of a user.
    async fn update_user(&self, key: &UserKey, data: &Map<String, Value>, now: Timestamp) -> Result<bool, StoreError>;

    /// Deletes a user and all its rows, and leaves a purge order. Returns the life that ended.
    async fn delete_user(&self, key: &UserKey, now: Timestamp) -> Result<Option<Incarnation>, StoreError>;

    /// Takes over what another service remembered of a user, who is created as `incarnation` unless it lives. Of the
    /// slots, events and blobs those are stored, as they are, that were never taken over for this user before and of
    /// whose ids nothing is here: so it may be repeated, and what was changed or deleted here since stays as it is. So
    /// does the data of a user who lives. While there is a tombstone of the id, nothing is taken over, neither for the
    /// user who is gone nor for one made anew. Nor is anything while the project has no row, or is being deleted. New slots
    /// get an entry in their history, as those that a client adds.
    async fn adopt(
        &self,
        key: &UserKey,
        incarnation: Incarnation,
        legacy: &Legacy,
        now: Timestamp,
    ) -> Result<Adoption, StoreError>;

    /// Purge orders that were not carried out yet, oldest first.
    async fn purge_orders(&self, limit: u32) -> Result<Vec<Owner>, StoreError>;

    /// Those of one user.
    async fn purge_orders_of(&self, key: &UserKey) -> Result<Vec<Owner>, StoreError>;

    /// True when this life of a user is known to have ended: it has a tombstone.
    async fn is_buried(&self, owner: &Owner) -> Result<bool, StoreError>;

    /// The life and the revision of a user's memory: the cheapest read, to tell whether what is cached is old.
    async fn revision(&self, key: &UserKey) -> Result<Option<(Incarnation, i64)>, StoreError>;

    /// Marks a purge order as carried out. The tombstone stays.
    async fn purge_done(&self, owner: &Owner, now: Timestamp) -> Result<(), StoreError>;

    /// Reads the profile.
    async fn profile(&self, key: &UserKey) -> Result<Option<Profile>, StoreError>;

    /// Adds a slot with revision 1, and its first history entry. A slot of this id that is there already stays as it
    /// is, and the answer is true: a call whose outcome is unknown may be repeated. False for an unknown user alone.
    async fn add_slot(&self, key: &UserKey, slot: &NewSlot, now: Timestamp) -> Result<bool, StoreError>;

    /// Changes a slot, and adds to its history. Its memo is the client's own then: it has no sources any more.
    async fn update_slot(
        &self,
        key: &UserKey,
        id: SlotId,
        change: &SlotChange,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Deletes a slot; its history tells that a client did.
    async fn delete_slot(&self, key: &UserKey, id: SlotId, now: Timestamp) -> Result<bool, StoreError>;

    /// Reads events, newest first.
    async fn events(&self, key: &UserKey, filter: &EventFilter) -> Result<Vec<Event>, StoreError>;

    /// Reads one event with its gists, and the revision of the user's memory at that instant.
    async fn event(&self, key: &UserKey, id: EventId) -> Result<Option<(Event, Vec<Gist>, i64)>, StoreError>;

    /// Replaces an event and its gists, if the memory of the user is still at `base_revision`. It keeps its place among
    /// events of one instant. An event that is not there is [`Written::Unknown`] at any revision.
    async fn replace_event(
        &self,
        key: &UserKey,
        event: &Event,
        gists: &[Gist],
        base_revision: i64,
    ) -> Result<Written, StoreError>;

    /// Deletes an event and its gists.
    async fn delete_event(&self, key: &UserKey, id: EventId) -> Result<bool, StoreError>;

    /// The newest gists, newest event first and in order of position within an event, and the revision of the
    /// user's memory at that instant.
    async fn gists(&self, key: &UserKey, limit: u32) -> Result<Option<(i64, Vec<Gist>)>, StoreError>;

    /// How many gists a user has.
    async fn gist_count(&self, key: &UserKey) -> Result<u64, StoreError>;

    /// Reads a stored blob, or one of a dead letter.
    async fn blob(&self, key: &UserKey, id: BlobId) -> Result<Option<StoredBlob>, StoreError>;

    /// The ids of stored blobs of one type, newest first.
    async fn blob_ids(&self, key: &UserKey, blob_type: BlobType, page: Page) -> Result<Vec<BlobId>, StoreError>;

    /// Deletes a stored blob: what was made of it stays. One of a dead letter leaves the letter, for good: it is
    /// recorded as applied by the letter's flush, so that no older journal brings it back. A letter without blobs goes.
    async fn delete_blob(&self, key: &UserKey, id: BlobId, now: Timestamp) -> Result<bool, StoreError>;

    /// Records a blob that was taken out of the journal before it was processed as applied, by no flush (the nil id): so
    /// no older journal brings it back. One that took effect already stays as it is.
    async fn withdraw_blob(&self, key: &UserKey, id: BlobId, now: Timestamp) -> Result<(), StoreError>;

    /// Whether a blob of this user is settled: it has taken effect, was withdrawn or is in a dead letter.
    async fn is_settled(&self, key: &UserKey, id: BlobId) -> Result<bool, StoreError>;

    /// Commits a flush: see [`CommitReply`]. The order of the checks is: outcome, user, blobs, revision.
    async fn commit(&self, commit: &Commit) -> Result<CommitReply, StoreError>;

    /// Ends a flush without effect, as dead (with its letter), cancelled or superseded. Returns the outcome that
    /// was there already, if any; then nothing has changed. Of the letter's blobs only those are kept that have not
    /// taken effect; one that is in another letter moves to this one. A letter of which none is left is not stored.
    async fn end_flush(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        record: &FlushRecord,
        dead: Option<&DeadLetter>,
        now: Timestamp,
    ) -> Result<Option<FlushRecord>, StoreError>;

    /// Reads the row of a flush that has ended.
    async fn flush(&self, key: &UserKey, flush_id: FlushId) -> Result<Option<FlushRecord>, StoreError>;

    /// The ids of the dead letters' blobs of one type, in order of their flushes.
    async fn dead_blob_ids(&self, key: &UserKey, blob_type: BlobType) -> Result<Vec<BlobId>, StoreError>;

    /// Lists dead letters, of one user or of a whole project: newest first, of equal age in descending order of id.
    async fn dead_letters(
        &self,
        project: &ProjectId,
        user: Option<UserId>,
        page: Page,
    ) -> Result<Vec<DeadLetterHead>, StoreError>;

    /// Reads a dead letter, and when its flush failed for good.
    async fn dead_letter(
        &self,
        key: &UserKey,
        flush_id: FlushId,
    ) -> Result<Option<(Timestamp, DeadLetter)>, StoreError>;

    /// Drops a dead letter with its blobs, for good: they are recorded as applied by its flush, so that no older
    /// journal brings them back.
    async fn drop_dead_letter(&self, key: &UserKey, flush_id: FlushId, now: Timestamp) -> Result<bool, StoreError>;

    /// Records a model's answer to one part of a flush before it is used, and returns the one that counts: the
    /// first that was recorded.
    async fn record_answer(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        part: u32,
        answer: &Answer,
        now: Timestamp,
    ) -> Result<Answer, StoreError>;

    /// Reads a recorded answer.
    async fn answer(&self, key: &UserKey, flush_id: FlushId, part: u32) -> Result<Option<Answer>, StoreError>;

    /// Forgets which blobs were applied before an instant, recorded answers of ended flushes and purged tombstones
    /// of that age. Returns the number of rows, `limit` at most.
    async fn forget_before(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}
