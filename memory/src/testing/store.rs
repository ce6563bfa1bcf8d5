use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::faults::{Injected, Shared};
use super::store_rows::{AppliedRow, Letter, UserRows, in_order};
use crate::blob::BlobType;
use crate::event::{Event, Gist};
use crate::ids::{BlobId, EventId, FlushId, GistId, Incarnation, Owner, ProjectId, SlotId, UserId, UserKey};
use crate::ports::{
    Adoption, Answer, Commit, CommitReply, DeadLetter, DeadLetterHead, EventFilter, FlushRecord, Legacy, NewSlot, Page,
    Project, SlotChange, Store, StoreError, StoredBlob, User, Written,
};
use crate::profile::Profile;
use crate::usage::{Used, day_of};

/// A store in memory. Clones share what they hold.
#[derive(Clone, Default)]
pub struct MemoryStore(Shared<State>);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) users: BTreeMap<UserKey, UserRows>,
    pub(super) gist_reads: u64,
    pub(super) projects: BTreeMap<ProjectId, Project>,
    /// The sources of projects that were taken over.
    pub(super) sources: BTreeMap<ProjectId, String>,
    pub(super) usage: BTreeMap<(ProjectId, Date), Used>,
    pub(super) space: Option<String>,
    /// In order of deletion.
    pub(super) tombstones: Vec<Tombstone>,
}

#[derive(Debug)]
pub(super) struct Tombstone {
    pub(super) owner: Owner,
    purged_at: Option<Timestamp>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next `calls` fail as unavailable before they act.
    pub fn fail_next(&self, calls: u32) {
        self.0.fail_next(calls);
    }

    /// The next `calls` act, and then fail as unavailable: outcome unknown.
    pub fn fail_after_next(&self, calls: u32) {
        self.0.fail_after_next(calls);
    }

    /// How often the gists of a user were read.
    pub fn gist_reads(&self) -> u64 {
        self.0.inspect(|state| state.gist_reads)
    }

    /// All rows of a user, as they are now. Tombstones and purge orders are not among them.
    pub fn rows_of(&self, key: &UserKey) -> UserRows {
        self.0.inspect(|state| state.users.get(key).cloned().unwrap_or_default())
    }

    pub(super) fn call<T>(&self, act: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        self.0.call(act).map_err(|Injected| StoreError::Unavailable("failure ordered by the test".into()))
    }

    /// Acts on the rows of a user who lives; otherwise the answer is `T`'s default.
    pub(super) fn on<T: Default>(&self, key: &UserKey, act: impl FnOnce(&mut UserRows) -> T) -> Result<T, StoreError> {
        self.call(|state| state.living(key).map(act).unwrap_or_default())
    }
}

impl State {
    fn living(&mut self, key: &UserKey) -> Option<&mut UserRows> {
        self.users.get_mut(key).filter(|rows| rows.user.is_some())
    }

    fn life(&mut self, owner: &Owner) -> Option<&mut UserRows> {
        let lives = |rows: &&mut UserRows| rows.user.as_ref().is_some_and(|u| u.incarnation == owner.incarnation);
        self.users.get_mut(&owner.key).filter(lives)
    }

    fn delete_user(&mut self, key: &UserKey) -> Option<Incarnation> {
        let incarnation = self.living(key)?.user.as_ref()?.incarnation;
        self.users.remove(key);
        let owner = Owner { key: key.clone(), incarnation };
        self.tombstones.push(Tombstone { owner, purged_at: None });
        Some(incarnation)
    }

    pub(super) fn count(&mut self, project: &ProjectId, used: Used, now: Timestamp) {
        if !used.is_nothing() {
            *self.usage.entry((project.clone(), day_of(now))).or_default() += used;
        }
    }

    fn forget_before(&mut self, before: Timestamp, limit: u32) -> u64 {
        let mut left = u64::from(limit);
        let mut forget = |old: bool| {
            let goes = old && left > 0;
            left -= u64::from(goes);
            !goes
        };
        for rows in self.users.values_mut() {
            rows.applied.retain(|row| forget(row.at < before));
            let flushes = &rows.flushes;
            rows.answers.retain(|(flush_id, _), (_, at)| forget(*at < before && flushes.contains_key(flush_id)));
        }
        self.tombstones.retain(|t| forget(t.purged_at.is_some_and(|at| at < before)));
        u64::from(limit) - left
    }
}

fn end_flush(
    rows: &mut UserRows,
    flush_id: FlushId,
    record: &FlushRecord,
    dead: Option<&DeadLetter>,
    now: Timestamp,
) -> Option<FlushRecord> {
    if let Some((decided, _)) = rows.flushes.get(&flush_id) {
        return Some(decided.clone());
    }
    rows.flushes.insert(flush_id, (record.clone(), now));
    if let Some(mut letter) = dead.cloned() {
        letter.blobs.retain(|stored| !rows.is_applied(stored.blob.id));
        let ids: Vec<BlobId> = letter.blobs.iter().map(|stored| stored.blob.id).collect();
        rows.exhume(&ids);
        if !letter.blobs.is_empty() {
            rows.dead.insert(flush_id, Letter { letter, created_at: now });
        }
    }
    None
}

#[async_trait]
impl Store for MemoryStore {
    async fn create_user(
        &self,
        key: &UserKey,
        incarnation: Incarnation,
        data: Option<&Map<String, Value>>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.call(|state| {
            let rows = state.users.entry(key.clone()).or_default();
            let is_new = rows.user.is_none();
            rows.user.get_or_insert_with(|| User {
                id: key.user,
                incarnation,
                revision: 0,
                data: data.cloned(),
                created_at: now,
                updated_at: now,
            });
            is_new
        })
    }

    async fn user(&self, key: &UserKey) -> Result<Option<User>, StoreError> {
        self.on(key, |rows| rows.user.clone())
    }

    async fn update_user(&self, key: &UserKey, data: &Map<String, Value>, now: Timestamp) -> Result<bool, StoreError> {
        self.on(key, |rows| {
            let Some(user) = &mut rows.user else { return false };
            user.data = Some(data.clone());
            user.updated_at = now;
            true
        })
    }

    async fn delete_user(&self, key: &UserKey, _now: Timestamp) -> Result<Option<Incarnation>, StoreError> {
        self.call(|state| state.delete_user(key))
    }

    async fn adopt(
        &self,
        key: &UserKey,
        incarnation: Incarnation,
        legacy: &Legacy,
        now: Timestamp,
    ) -> Result<Adoption, StoreError> {
        self.call(|state| state.adopt(key, incarnation, legacy, now))
    }

    async fn purge_orders(&self, limit: u32) -> Result<Vec<Owner>, StoreError> {
        self.call(|state| {
            let orders = state.tombstones.iter().filter(|t| t.purged_at.is_none());
            orders.take(limit as usize).map(|t| t.owner.clone()).collect()
        })
    }

    async fn purge_done(&self, owner: &Owner, now: Timestamp) -> Result<(), StoreError> {
        self.call(|state| {
            if let Some(tombstone) = state.tombstones.iter_mut().find(|t| t.owner == *owner) {
                tombstone.purged_at.get_or_insert(now);
            }
        })
    }

    async fn purge_orders_of(&self, key: &UserKey) -> Result<Vec<Owner>, StoreError> {
        self.call(|state| {
            let orders = state.tombstones.iter().filter(|t| t.purged_at.is_none() && t.owner.key == *key);
            orders.map(|t| t.owner.clone()).collect()
        })
    }

    async fn is_buried(&self, owner: &Owner) -> Result<bool, StoreError> {
        self.call(|state| state.tombstones.iter().any(|t| t.owner == *owner))
    }

    async fn revision(&self, key: &UserKey) -> Result<Option<(Incarnation, i64)>, StoreError> {
        self.on(key, |rows| rows.user.as_ref().map(|user| (user.incarnation, user.revision)))
    }

    async fn profile(&self, key: &UserKey) -> Result<Option<Profile>, StoreError> {
        self.on(key, |rows| rows.profile())
    }

    async fn add_slot(&self, key: &UserKey, slot: &NewSlot, now: Timestamp) -> Result<bool, StoreError> {
        self.on(key, |rows| rows.add_slot(slot, now))
    }

    async fn update_slot(
        &self,
        key: &UserKey,
        id: SlotId,
        change: &SlotChange,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.on(key, |rows| rows.update_slot(id, change, now))
    }

    async fn delete_slot(&self, key: &UserKey, id: SlotId, now: Timestamp) -> Result<bool, StoreError> {
        self.on(key, |rows| rows.delete_slot(id, now))
    }

    async fn events(&self, key: &UserKey, filter: &EventFilter) -> Result<Vec<Event>, StoreError> {
        self.on(key, |rows| rows.events(filter))
    }

    async fn event(&self, key: &UserKey, id: EventId) -> Result<Option<(Event, Vec<Gist>, i64)>, StoreError> {
        self.on(key, |rows| {
            let revision = rows.user.as_ref()?.revision;
            let (event, gists) = rows.event(id)?.clone();
            Some((event, gists, revision))
        })
    }

    async fn replace_event(
        &self,
        key: &UserKey,
        event: &Event,
        gists: &[Gist],
        base_revision: i64,
    ) -> Result<Written, StoreError> {
        self.call(|state| {
            let Some(rows) = state.living(key) else { return Written::Unknown };
            let revision = rows.user.as_ref().map(|u| u.revision);
            let Some(stored) = rows.event(event.id) else { return Written::Unknown };
            if revision != Some(base_revision) {
                return Written::Stale;
            }
            let mut gone: Vec<GistId> = stored.1.iter().map(|gist| gist.id).collect();
            gone.retain(|id| gists.iter().all(|gist| gist.id != *id));
            *stored = (event.clone(), in_order(gists));
            rows.vectors.retain(|id, _| !gone.contains(id));
            rows.bump();
            Written::Done
        })
    }

    async fn delete_event(&self, key: &UserKey, id: EventId) -> Result<bool, StoreError> {
        self.on(key, |rows| {
            let known = rows.event(id).is_some();
            if known {
                rows.events.retain(|(event, _)| event.id != id);
                rows.bump();
            }
            known
        })
    }

    async fn gists(&self, key: &UserKey, limit: u32) -> Result<Option<(i64, Vec<Gist>)>, StoreError> {
        self.call(|state| {
            state.gist_reads += 1;
            let rows = state.living(key)?;
            Some((rows.user.as_ref()?.revision, rows.gists(limit)))
        })
    }

    async fn gist_count(&self, key: &UserKey) -> Result<u64, StoreError> {
        self.on(key, |rows| rows.gists(u32::MAX).len() as u64)
    }

    async fn blob(&self, key: &UserKey, id: BlobId) -> Result<Option<StoredBlob>, StoreError> {
        self.on(key, |rows| {
            let dead = rows.dead.values().flat_map(|dead| &dead.letter.blobs);
            rows.blobs.iter().chain(dead).find(|b| b.blob.id == id).cloned()
        })
    }

    async fn blob_ids(&self, key: &UserKey, blob_type: BlobType, page: Page) -> Result<Vec<BlobId>, StoreError> {
        let [offset, limit] = [page.offset, page.limit].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        self.on(key, |rows| {
            let mut blobs: Vec<_> = rows.blobs.iter().rev().filter(|b| b.blob.blob_type == blob_type).collect();
            blobs.sort_by_key(|b| std::cmp::Reverse(b.created_at));
            blobs.into_iter().skip(offset).take(limit).map(|b| b.blob.id).collect()
        })
    }

    async fn delete_blob(&self, key: &UserKey, id: BlobId, now: Timestamp) -> Result<bool, StoreError> {
        self.on(key, |rows| {
            let before = rows.blobs.len();
            rows.blobs.retain(|b| b.blob.id != id);
            let letter = rows.dead.iter().find(|(_, dead)| dead.letter.blobs.iter().any(|b| b.blob.id == id));
            let letter = letter.map(|(flush_id, _)| *flush_id);
            if let Some(flush_id) = letter {
                rows.exhume(&[id]);
                rows.applied.push(AppliedRow { blob_id: id, flush_id, at: now });
            }
            rows.blobs.len() < before || letter.is_some()
        })
    }

    async fn withdraw_blob(&self, key: &UserKey, id: BlobId, now: Timestamp) -> Result<(), StoreError> {
        self.on(key, |rows| {
            if !rows.is_applied(id) {
                rows.applied.push(AppliedRow { blob_id: id, flush_id: FlushId(Uuid::nil()), at: now });
            }
        })
    }

    async fn is_settled(&self, key: &UserKey, id: BlobId) -> Result<bool, StoreError> {
        self.on(key, |rows| rows.is_applied(id) || rows.is_dead(id))
    }

    async fn commit(&self, commit: &Commit) -> Result<CommitReply, StoreError> {
        self.call(|state| {
            let reply = state.users.entry(commit.owner.key.clone()).or_default().commit(commit);
            if let Some(there) = match reply {
                CommitReply::Done => Some(true),
                CommitReply::UserGone => Some(false),
                CommitReply::Decided(_) | CommitReply::AppliedBefore(_) | CommitReply::Stale => None,
            } {
                state.count(&commit.owner.key.project, commit.used(there), commit.now);
            }
            reply
        })
    }

    async fn end_flush(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        record: &FlushRecord,
        dead: Option<&DeadLetter>,
        now: Timestamp,
    ) -> Result<Option<FlushRecord>, StoreError> {
        self.call(|state| {
            let rows = state.life(owner)?;
            let is_new = |stored: &&StoredBlob| !rows.is_applied(stored.blob.id) && !rows.is_dead(stored.blob.id);
            let inserts = dead.map_or(0, |letter| letter.blobs.iter().filter(is_new).count());
            let decided = end_flush(rows, flush_id, record, dead, now);
            if decided.is_none() {
                state.count(&owner.key.project, Used::new(inserts, 0, record.usage), now);
            }
            decided
        })
    }

    async fn flush(&self, key: &UserKey, flush_id: FlushId) -> Result<Option<FlushRecord>, StoreError> {
        self.call(|state| {
            let rows = state.users.get(key)?;
            rows.flushes.get(&flush_id).map(|(record, _)| record.clone())
        })
    }

    async fn dead_blob_ids(&self, key: &UserKey, blob_type: BlobType) -> Result<Vec<BlobId>, StoreError> {
        self.on(key, |rows| {
            let blobs = rows.dead.values().flat_map(|dead| &dead.letter.blobs).map(|stored| &stored.blob);
            blobs.filter(|blob| blob.blob_type == blob_type).map(|blob| blob.id).collect()
        })
    }

    async fn dead_letters(
        &self,
        project: &ProjectId,
        user: Option<UserId>,
        page: Page,
    ) -> Result<Vec<DeadLetterHead>, StoreError> {
        let [offset, limit] = [page.offset, page.limit].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        self.call(|state| {
            let wanted = |key: &UserKey| key.project == *project && user.is_none_or(|user| user == key.user);
            let users = state.users.iter().filter(|(key, rows)| wanted(key) && rows.user.is_some());
            let heads = users.flat_map(|(key, rows)| {
                rows.dead.iter().map(|(id, dead)| dead.letter.head(key.user, *id, dead.created_at))
            });
            let mut heads: Vec<DeadLetterHead> = heads.collect();
            heads.sort_by_key(|head| std::cmp::Reverse((head.created_at, head.flush_id)));
            heads.into_iter().skip(offset).take(limit).collect()
        })
    }

    async fn dead_letter(
        &self,
        key: &UserKey,
        flush_id: FlushId,
    ) -> Result<Option<(Timestamp, DeadLetter)>, StoreError> {
        self.on(key, |rows| rows.dead.get(&flush_id).map(|dead| (dead.created_at, dead.letter.clone())))
    }

    async fn drop_dead_letter(&self, key: &UserKey, flush_id: FlushId, now: Timestamp) -> Result<bool, StoreError> {
        self.on(key, |rows| {
            let Some(Letter { letter, .. }) = rows.dead.remove(&flush_id) else { return false };
            let row = |stored: &StoredBlob| AppliedRow { blob_id: stored.blob.id, flush_id, at: now };
            rows.applied.extend(letter.blobs.iter().map(row));
            true
        })
    }

    async fn record_answer(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        part: u32,
        answer: &Answer,
        now: Timestamp,
    ) -> Result<Answer, StoreError> {
        self.call(|state| match state.life(owner) {
            Some(rows) => rows.answers.entry((flush_id, part)).or_insert_with(|| (answer.clone(), now)).0.clone(),
            None => answer.clone(),
        })
    }

    async fn answer(&self, key: &UserKey, flush_id: FlushId, part: u32) -> Result<Option<Answer>, StoreError> {
        self.on(key, |rows| rows.answers.get(&(flush_id, part)).map(|(answer, _)| answer.clone()))
    }

    async fn forget_before(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.call(|state| state.forget_before(before, limit))
    }
}
