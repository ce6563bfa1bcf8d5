//! The store in a Postgres database, which several processes may share.
//!
//! `connect` reaches the server, `database` hands out reads and writes, `groups` gathers work that comes together,
//! `rows` knows how values stand in the tables, `meta` and `presence` are for start-up. The other files hold the SQL, one
//! file per resource.

mod adoption;
mod blobs;
mod commit;
mod connect;
mod database;
mod error;
mod events;
mod examine;
mod flushes;
mod groups;
mod letters;
mod meta;
mod pool;
mod presence;
mod projects;
mod reach;
pub(crate) mod rows;
mod slots;
mod upkeep;
mod usage;
pub(crate) mod users;
mod vectors;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use memory::blob::BlobType;
use memory::event::{Event, Gist};
use memory::ids::{BlobId, EventId, FlushId, Incarnation, Owner, ProjectId, SlotId, UserId, UserKey};
use memory::ports::{
    Adoption, Answer, Commit, CommitReply, DeadLetter, DeadLetterHead, EventFilter, FlushRecord, Legacy, NewSlot, Page,
    SlotChange, Store, StoreError, StoredBlob, User, Written,
};
use memory::profile::Profile;
use serde_json::{Map, Value};

use commit::NewCommit;
pub(crate) use connect::visit;
pub use connect::{ConnectError, PostgresOptions, Refusal, SCHEMES};
pub use database::PostgresDatabase;
pub(crate) use database::Work;
pub use error::DatabaseError;
pub use examine::Tables;
pub(crate) use groups::{Groups, Member, place_of};
pub use meta::ServerFacts;
pub use presence::{Exclusive, Presence};
use rows::to_json;
use slots::WantedProfile;

/// The system of record in a Postgres database.
#[derive(Clone)]
pub struct PostgresStore {
    database: Arc<PostgresDatabase>,
    commits: Groups<NewCommit>,
    profiles: Groups<WantedProfile>,
}

impl PostgresStore {
    /// A store in an open database.
    pub fn new(database: Arc<PostgresDatabase>) -> Self {
        Self { commits: Groups::start(&database), profiles: Groups::start(&database), database }
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn create_user(
        &self,
        key: &UserKey,
        incarnation: Incarnation,
        data: Option<&Map<String, Value>>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let args = (key.clone(), data.map(to_json).transpose()?);
        let work = self.database.single(args, move |conn, (key, data)| {
            Box::pin(users::create(conn, key, incarnation, data.as_deref(), now))
        });
        Ok(work.await?)
    }

    async fn user(&self, key: &UserKey) -> Result<Option<User>, StoreError> {
        Ok(self.database.single(key.clone(), |conn, key| Box::pin(users::read(conn, key))).await?)
    }

    async fn update_user(&self, key: &UserKey, data: &Map<String, Value>, now: Timestamp) -> Result<bool, StoreError> {
        let args = (key.clone(), to_json(data)?);
        let work = self.database.single(args, move |conn, (key, data)| Box::pin(users::update(conn, key, data, now)));
        Ok(work.await?)
    }

    async fn delete_user(&self, key: &UserKey, now: Timestamp) -> Result<Option<Incarnation>, StoreError> {
        Ok(self.database.write(key.clone(), move |conn, key| Box::pin(users::delete(conn, key, now))).await?)
    }

    async fn adopt(
        &self,
        key: &UserKey,
        incarnation: Incarnation,
        legacy: &Legacy,
        now: Timestamp,
    ) -> Result<Adoption, StoreError> {
        let args = (key.clone(), legacy.clone());
        let work = self
            .database
            .write(args, move |conn, (key, legacy)| Box::pin(adoption::adopt(conn, key, incarnation, legacy, now)));
        Ok(work.await?)
    }

    async fn purge_orders(&self, limit: u32) -> Result<Vec<Owner>, StoreError> {
        Ok(self.database.single((), move |conn, ()| Box::pin(users::purge_orders(conn, limit))).await?)
    }

    async fn purge_orders_of(&self, key: &UserKey) -> Result<Vec<Owner>, StoreError> {
        Ok(self.database.single(key.clone(), |conn, key| Box::pin(users::purge_orders_of(conn, key))).await?)
    }

    async fn is_buried(&self, owner: &Owner) -> Result<bool, StoreError> {
        Ok(self.database.single(owner.clone(), |conn, owner| Box::pin(users::is_buried(conn, owner))).await?)
    }

    async fn revision(&self, key: &UserKey) -> Result<Option<(Incarnation, i64)>, StoreError> {
        Ok(self.database.single(key.clone(), |conn, key| Box::pin(users::revision(conn, key))).await?)
    }

    async fn purge_done(&self, owner: &Owner, now: Timestamp) -> Result<(), StoreError> {
        let work =
            self.database.single(owner.clone(), move |conn, owner| Box::pin(users::purge_done(conn, owner, now)));
        Ok(work.await?)
    }

    async fn profile(&self, key: &UserKey) -> Result<Option<Profile>, StoreError> {
        Ok(self.profiles.submit(WantedProfile(key.clone())).await??)
    }

    async fn add_slot(&self, key: &UserKey, slot: &NewSlot, now: Timestamp) -> Result<bool, StoreError> {
        let args = (key.clone(), slot.clone());
        let work = self.database.write(args, move |conn, (key, slot)| Box::pin(slots::add(conn, key, slot, now)));
        Ok(work.await?)
    }

    async fn update_slot(
        &self,
        key: &UserKey,
        id: SlotId,
        change: &SlotChange,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let args = (key.clone(), change.clone());
        let work =
            self.database.write(args, move |conn, (key, change)| Box::pin(slots::update(conn, key, id, change, now)));
        Ok(work.await?)
    }

    async fn delete_slot(&self, key: &UserKey, id: SlotId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.database.write(key.clone(), move |conn, key| Box::pin(slots::delete(conn, key, id, now))).await?)
    }

    async fn events(&self, key: &UserKey, filter: &EventFilter) -> Result<Vec<Event>, StoreError> {
        let args = (key.clone(), filter.clone());
        Ok(self.database.single(args, |conn, (key, filter)| Box::pin(events::list(conn, key, filter))).await?)
    }

    async fn event(&self, key: &UserKey, id: EventId) -> Result<Option<(Event, Vec<Gist>, i64)>, StoreError> {
        Ok(self.database.single(key.clone(), move |conn, key| Box::pin(events::read(conn, key, id))).await?)
    }

    async fn replace_event(
        &self,
        key: &UserKey,
        event: &Event,
        gists: &[Gist],
        base_revision: i64,
    ) -> Result<Written, StoreError> {
        let args = (key.clone(), event.clone(), gists.to_vec());
        let work = self.database.write(args, move |conn, (key, event, gists)| {
            Box::pin(events::replace(conn, key, event, gists, base_revision))
        });
        Ok(work.await?)
    }

    async fn delete_event(&self, key: &UserKey, id: EventId) -> Result<bool, StoreError> {
        Ok(self.database.write(key.clone(), move |conn, key| Box::pin(events::delete(conn, key, id))).await?)
    }

    async fn gists(&self, key: &UserKey, limit: u32) -> Result<Option<(i64, Vec<Gist>)>, StoreError> {
        Ok(self.database.single(key.clone(), move |conn, key| Box::pin(events::gists(conn, key, limit))).await?)
    }

    async fn gist_count(&self, key: &UserKey) -> Result<u64, StoreError> {
        Ok(self.database.single(key.clone(), move |conn, key| Box::pin(events::gist_count(conn, key))).await?)
    }

    async fn blob(&self, key: &UserKey, id: BlobId) -> Result<Option<StoredBlob>, StoreError> {
        Ok(self.database.single(key.clone(), move |conn, key| Box::pin(blobs::read(conn, key, id))).await?)
    }

    async fn blob_ids(&self, key: &UserKey, blob_type: BlobType, page: Page) -> Result<Vec<BlobId>, StoreError> {
        let work = self.database.single(key.clone(), move |conn, key| Box::pin(blobs::ids(conn, key, blob_type, page)));
        Ok(work.await?)
    }

    async fn delete_blob(&self, key: &UserKey, id: BlobId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.database.write(key.clone(), move |conn, key| Box::pin(blobs::delete(conn, key, id, now))).await?)
    }

    async fn withdraw_blob(&self, key: &UserKey, id: BlobId, now: Timestamp) -> Result<(), StoreError> {
        Ok(self.database.write(key.clone(), move |conn, key| Box::pin(blobs::withdraw(conn, key, id, now))).await?)
    }

    async fn is_settled(&self, key: &UserKey, id: BlobId) -> Result<bool, StoreError> {
        Ok(self.database.single(key.clone(), move |conn, key| Box::pin(flushes::is_settled(conn, key, id))).await?)
    }

    async fn commit(&self, commit: &Commit) -> Result<CommitReply, StoreError> {
        let commit = Arc::new(commit.clone());
        if commit::is_plain(&commit) && self.commits.submit(NewCommit(Arc::clone(&commit))).await? {
            return Ok(CommitReply::Done);
        }
        Ok(self.database.write(commit, |conn, commit| Box::pin(flushes::commit(conn, commit))).await?)
    }

    async fn end_flush(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        record: &FlushRecord,
        dead: Option<&DeadLetter>,
        now: Timestamp,
    ) -> Result<Option<FlushRecord>, StoreError> {
        let args = (owner.clone(), record.clone(), dead.cloned());
        let work = self.database.write(args, move |conn, (owner, record, dead)| {
            Box::pin(flushes::end(conn, owner, flush_id, record, dead.as_ref(), now))
        });
        Ok(work.await?)
    }

    async fn flush(&self, key: &UserKey, flush_id: FlushId) -> Result<Option<FlushRecord>, StoreError> {
        Ok(self.database.single(key.clone(), move |conn, key| Box::pin(flushes::read(conn, key, flush_id))).await?)
    }

    async fn dead_blob_ids(&self, key: &UserKey, blob_type: BlobType) -> Result<Vec<BlobId>, StoreError> {
        let work =
            self.database.single(key.clone(), move |conn, key| Box::pin(letters::blob_ids(conn, key, blob_type)));
        Ok(work.await?)
    }

    async fn dead_letters(
        &self,
        project: &ProjectId,
        user: Option<UserId>,
        page: Page,
    ) -> Result<Vec<DeadLetterHead>, StoreError> {
        let work = self
            .database
            .single(project.clone(), move |conn, project| Box::pin(letters::list(conn, project, user, page)));
        Ok(work.await?)
    }

    async fn dead_letter(
        &self,
        key: &UserKey,
        flush_id: FlushId,
    ) -> Result<Option<(Timestamp, DeadLetter)>, StoreError> {
        Ok(self.database.single(key.clone(), move |conn, key| Box::pin(letters::read(conn, key, flush_id))).await?)
    }

    async fn drop_dead_letter(&self, key: &UserKey, flush_id: FlushId, now: Timestamp) -> Result<bool, StoreError> {
        let work =
            self.database.write(key.clone(), move |conn, key| Box::pin(letters::drop_letter(conn, key, flush_id, now)));
        Ok(work.await?)
    }

    async fn record_answer(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        part: u32,
        answer: &Answer,
        now: Timestamp,
    ) -> Result<Answer, StoreError> {
        let args = (owner.clone(), answer.clone());
        let work = self.database.single(args, move |conn, (owner, answer)| {
            Box::pin(flushes::record_answer(conn, owner, flush_id, part, answer, now))
        });
        Ok(work.await?)
    }

    async fn answer(&self, key: &UserKey, flush_id: FlushId, part: u32) -> Result<Option<Answer>, StoreError> {
        let work =
            self.database.single(key.clone(), move |conn, key| Box::pin(flushes::answer(conn, key, flush_id, part)));
        Ok(work.await?)
    }

    async fn forget_before(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        Ok(self.database.write((), move |conn, ()| Box::pin(upkeep::forget_before(conn, before, limit))).await?)
    }
}
