//! The embedded store: one SQLite file, with one writer and a few readers.
//!
//! `database` opens it and hands out reads and writes, `writer` groups writes into transactions, `appends` does a group
//! of the journal's appends, `rows` knows how values stand in the tables, `glance` looks and leaves no trace. The other
//! files hold the SQL, one file per resource.

mod adoption;
pub(crate) mod appends;
mod blobs;
mod database;
mod error;
mod events;
mod flushes;
mod glance;
mod letters;
mod projects;
pub(crate) mod rows;
mod slots;
#[cfg(test)]
pub(crate) mod tests;
mod upkeep;
mod usage;
mod users;
mod vectors;
mod writer;

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

pub use database::{OpenError, SqliteDatabase, SqliteOptions, WriterStats};
pub use error::DatabaseError;
pub use glance::Glance;
use rows::{life, to_json};

/// The system of record in the embedded database.
#[derive(Clone)]
pub struct SqliteStore {
    database: Arc<SqliteDatabase>,
}

impl SqliteStore {
    /// A store in an open database.
    pub fn new(database: Arc<SqliteDatabase>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn create_user(
        &self,
        key: &UserKey,
        incarnation: Incarnation,
        data: Option<&Map<String, Value>>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = key.clone();
        let data = data.map(to_json).transpose()?;
        let work = self
            .database
            .write(move |conn| Box::pin(async move { users::create(conn, &key, incarnation, data, now).await }));
        Ok(work.await?)
    }

    async fn user(&self, key: &UserKey) -> Result<Option<User>, StoreError> {
        let key = key.clone();
        let work = self.database.read(move |conn| Box::pin(async move { users::read(conn, &key).await }));
        Ok(work.await?)
    }

    async fn update_user(&self, key: &UserKey, data: &Map<String, Value>, now: Timestamp) -> Result<bool, StoreError> {
        let key = key.clone();
        let data = to_json(data)?;
        let work = self.database.write(move |conn| Box::pin(async move { users::update(conn, &key, data, now).await }));
        Ok(work.await?)
    }

    async fn delete_user(&self, key: &UserKey, now: Timestamp) -> Result<Option<Incarnation>, StoreError> {
        let key = key.clone();
        let work = self.database.write(move |conn| Box::pin(async move { users::delete(conn, &key, now).await }));
        Ok(work.await?)
    }

    async fn adopt(
        &self,
        key: &UserKey,
        incarnation: Incarnation,
        legacy: &Legacy,
        now: Timestamp,
    ) -> Result<Adoption, StoreError> {
        let (key, legacy) = (key.clone(), legacy.clone());
        let work = self
            .database
            .write(move |conn| Box::pin(async move { adoption::adopt(conn, &key, incarnation, legacy, now).await }));
        Ok(work.await?)
    }

    async fn purge_orders(&self, limit: u32) -> Result<Vec<Owner>, StoreError> {
        let work = self.database.read(move |conn| Box::pin(async move { users::purge_orders(conn, limit).await }));
        Ok(work.await?)
    }

    async fn purge_done(&self, owner: &Owner, now: Timestamp) -> Result<(), StoreError> {
        let owner = owner.clone();
        let work = self.database.write(move |conn| Box::pin(async move { users::purge_done(conn, &owner, now).await }));
        Ok(work.await?)
    }

    async fn purge_orders_of(&self, key: &UserKey) -> Result<Vec<Owner>, StoreError> {
        let key = key.clone();
        let work = self.database.read(move |conn| Box::pin(async move { users::purge_orders_of(conn, &key).await }));
        Ok(work.await?)
    }

    async fn is_buried(&self, owner: &Owner) -> Result<bool, StoreError> {
        let owner = owner.clone();
        let work = self.database.read(move |conn| Box::pin(async move { users::is_buried(conn, &owner).await }));
        Ok(work.await?)
    }

    async fn revision(&self, key: &UserKey) -> Result<Option<(Incarnation, i64)>, StoreError> {
        let key = key.clone();
        let work = self.database.read(move |conn| Box::pin(async move { life(conn, &key).await }));
        Ok(work.await?.map(|(incarnation, revision)| (Incarnation(incarnation), revision)))
    }

    async fn profile(&self, key: &UserKey) -> Result<Option<Profile>, StoreError> {
        let key = key.clone();
        let work = self.database.snapshot(move |conn| Box::pin(async move { slots::profile(conn, &key).await }));
        Ok(work.await?)
    }

    async fn add_slot(&self, key: &UserKey, slot: &NewSlot, now: Timestamp) -> Result<bool, StoreError> {
        let key = key.clone();
        let slot = slot.clone();
        let work = self.database.write(move |conn| Box::pin(async move { slots::add(conn, &key, slot, now).await }));
        Ok(work.await?)
    }

    async fn update_slot(
        &self,
        key: &UserKey,
        id: SlotId,
        change: &SlotChange,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = key.clone();
        let change = change.clone();
        let work =
            self.database.write(move |conn| Box::pin(async move { slots::update(conn, &key, id, change, now).await }));
        Ok(work.await?)
    }

    async fn delete_slot(&self, key: &UserKey, id: SlotId, now: Timestamp) -> Result<bool, StoreError> {
        let key = key.clone();
        let work = self.database.write(move |conn| Box::pin(async move { slots::delete(conn, &key, id, now).await }));
        Ok(work.await?)
    }

    async fn events(&self, key: &UserKey, filter: &EventFilter) -> Result<Vec<Event>, StoreError> {
        let key = key.clone();
        let filter = filter.clone();
        let work = self.database.read(move |conn| Box::pin(async move { events::list(conn, &key, &filter).await }));
        Ok(work.await?)
    }

    async fn event(&self, key: &UserKey, id: EventId) -> Result<Option<(Event, Vec<Gist>, i64)>, StoreError> {
        let key = key.clone();
        let work = self.database.snapshot(move |conn| Box::pin(async move { events::read(conn, &key, id).await }));
        Ok(work.await?)
    }

    async fn replace_event(
        &self,
        key: &UserKey,
        event: &Event,
        gists: &[Gist],
        base_revision: i64,
    ) -> Result<Written, StoreError> {
        let key = key.clone();
        let event = event.clone();
        let gists = gists.to_vec();
        let work = self.database.write(move |conn| {
            Box::pin(async move { events::replace(conn, &key, &event, &gists, base_revision).await })
        });
        Ok(work.await?)
    }

    async fn delete_event(&self, key: &UserKey, id: EventId) -> Result<bool, StoreError> {
        let key = key.clone();
        let work = self.database.write(move |conn| Box::pin(async move { events::delete(conn, &key, id).await }));
        Ok(work.await?)
    }

    async fn gists(&self, key: &UserKey, limit: u32) -> Result<Option<(i64, Vec<Gist>)>, StoreError> {
        let key = key.clone();
        let work = self.database.snapshot(move |conn| Box::pin(async move { events::gists(conn, &key, limit).await }));
        Ok(work.await?)
    }

    async fn gist_count(&self, key: &UserKey) -> Result<u64, StoreError> {
        let key = key.clone();
        Ok(self.database.read(move |conn| Box::pin(async move { events::gist_count(conn, &key).await })).await?)
    }

    async fn blob(&self, key: &UserKey, id: BlobId) -> Result<Option<StoredBlob>, StoreError> {
        let key = key.clone();
        let work = self.database.read(move |conn| Box::pin(async move { blobs::read(conn, &key, id).await }));
        Ok(work.await?)
    }

    async fn blob_ids(&self, key: &UserKey, blob_type: BlobType, page: Page) -> Result<Vec<BlobId>, StoreError> {
        let key = key.clone();
        let work =
            self.database.read(move |conn| Box::pin(async move { blobs::ids(conn, &key, blob_type, page).await }));
        Ok(work.await?)
    }

    async fn delete_blob(&self, key: &UserKey, id: BlobId, now: Timestamp) -> Result<bool, StoreError> {
        let key = key.clone();
        let work = self.database.write(move |conn| {
            Box::pin(async move {
                let kept = blobs::delete(conn, &key, id).await?;
                Ok(letters::remove(conn, &key, id, now).await? || kept)
            })
        });
        Ok(work.await?)
    }

    async fn withdraw_blob(&self, key: &UserKey, id: BlobId, now: Timestamp) -> Result<(), StoreError> {
        let key = key.clone();
        let work = self.database.write(move |conn| Box::pin(async move { blobs::withdraw(conn, &key, id, now).await }));
        Ok(work.await?)
    }

    async fn is_settled(&self, key: &UserKey, id: BlobId) -> Result<bool, StoreError> {
        let key = key.clone();
        let work = self.database.read(move |conn| Box::pin(async move { flushes::is_settled(conn, &key, id).await }));
        Ok(work.await?)
    }

    async fn commit(&self, commit: &Commit) -> Result<CommitReply, StoreError> {
        let commit = commit.clone();
        let work = self.database.write(move |conn| Box::pin(async move { flushes::commit(conn, &commit).await }));
        Ok(work.await?)
    }

    async fn end_flush(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        record: &FlushRecord,
        dead: Option<&DeadLetter>,
        now: Timestamp,
    ) -> Result<Option<FlushRecord>, StoreError> {
        let owner = owner.clone();
        let record = record.clone();
        let dead = dead.cloned();
        let work = self.database.write(move |conn| {
            Box::pin(async move { flushes::end(conn, &owner, flush_id, &record, dead.as_ref(), now).await })
        });
        Ok(work.await?)
    }

    async fn flush(&self, key: &UserKey, flush_id: FlushId) -> Result<Option<FlushRecord>, StoreError> {
        let key = key.clone();
        let work = self.database.read(move |conn| Box::pin(async move { flushes::read(conn, &key, flush_id).await }));
        Ok(work.await?)
    }

    async fn dead_blob_ids(&self, key: &UserKey, blob_type: BlobType) -> Result<Vec<BlobId>, StoreError> {
        let key = key.clone();
        let work =
            self.database.read(move |conn| Box::pin(async move { letters::blob_ids(conn, &key, blob_type).await }));
        Ok(work.await?)
    }

    async fn dead_letters(
        &self,
        project: &ProjectId,
        user: Option<UserId>,
        page: Page,
    ) -> Result<Vec<DeadLetterHead>, StoreError> {
        let project = project.clone();
        let work =
            self.database.read(move |conn| Box::pin(async move { letters::list(conn, &project, user, page).await }));
        Ok(work.await?)
    }

    async fn dead_letter(
        &self,
        key: &UserKey,
        flush_id: FlushId,
    ) -> Result<Option<(Timestamp, DeadLetter)>, StoreError> {
        let key = key.clone();
        let work =
            self.database.snapshot(move |conn| Box::pin(async move { letters::read(conn, &key, flush_id).await }));
        Ok(work.await?)
    }

    async fn drop_dead_letter(&self, key: &UserKey, flush_id: FlushId, now: Timestamp) -> Result<bool, StoreError> {
        let key = key.clone();
        let work = self
            .database
            .write(move |conn| Box::pin(async move { letters::drop_letter(conn, &key, flush_id, now).await }));
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
        let owner = owner.clone();
        let answer = answer.clone();
        let work = self.database.write(move |conn| {
            Box::pin(async move { flushes::record_answer(conn, &owner, flush_id, part, &answer, now).await })
        });
        Ok(work.await?)
    }

    async fn answer(&self, key: &UserKey, flush_id: FlushId, part: u32) -> Result<Option<Answer>, StoreError> {
        let key = key.clone();
        let work =
            self.database.read(move |conn| Box::pin(async move { flushes::answer(conn, &key, flush_id, part).await }));
        Ok(work.await?)
    }

    async fn forget_before(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let work =
            self.database.write(move |conn| Box::pin(async move { upkeep::forget_before(conn, before, limit).await }));
        Ok(work.await?)
    }
}
