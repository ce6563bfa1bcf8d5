//! The journal in the tables of the embedded store, written by the same writer.
//!
//! `entries` reads and removes blobs, `batches` seals and claims them, `due` finds what is to be done, `moves` brings
//! batches back and whole buffers from one journal to another; appends are the writer's, in groups.

mod batches;
mod due;
mod entries;
mod moves;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use memory::blob::{BlobType, NewBlob};
use memory::ids::{BlobId, ClaimToken, FlushId, Owner};
use memory::ports::{
    Append, Clock, Due, Entry, Holding, Journal, JournalError, Level, Release, Removed, Requeue, Requeued, Reseal,
    Standing, Take, Taken,
};

use crate::store::sqlite::SqliteDatabase;
use crate::store::sqlite::appends::NewAppend;
use crate::store::sqlite::rows::micros;

/// The journal in the embedded database.
#[derive(Clone)]
pub struct SqliteJournal {
    database: Arc<SqliteDatabase>,
    clock: Arc<dyn Clock>,
}

impl SqliteJournal {
    /// A journal in an open database. `clock` tells ages, leases and waits.
    pub fn new(database: Arc<SqliteDatabase>, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }
}

/// Whole microseconds, as many as the tables can hold.
fn length(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn append(&self, owner: &Owner, blob: &NewBlob) -> Result<Append, JournalError> {
        let append = NewAppend { owner: owner.clone(), blob: blob.clone(), at: micros(self.clock.now()) };
        self.database.append(append).await?.ok_or(JournalError::OwnerGone)
    }

    async fn levels(&self, owner: &Owner) -> Result<Vec<(BlobType, Level)>, JournalError> {
        let owner = owner.clone();
        let read = self.database.read(move |conn| Box::pin(async move { entries::levels(conn, &owner).await }));
        Ok(read.await?)
    }

    async fn take(&self, owner: &Owner, take: &Take) -> Result<Taken, JournalError> {
        let (owner, take, clock) = (owner.clone(), take.clone(), Arc::clone(&self.clock));
        let write = self
            .database
            .write(move |conn| Box::pin(async move { batches::take(conn, &owner, &take, micros(clock.now())).await }));
        Ok(write.await?)
    }

    async fn renew(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        token: ClaimToken,
        lease: Duration,
    ) -> Result<bool, JournalError> {
        let (owner, clock) = (owner.clone(), Arc::clone(&self.clock));
        let write = self.database.write(move |conn| {
            Box::pin(async move {
                let ready_at = micros(clock.now()).saturating_add(length(lease));
                batches::renew(conn, &owner, flush_id, token, ready_at).await
            })
        });
        Ok(write.await?)
    }

    async fn reseal(&self, owner: &Owner, reseal: &Reseal) -> Result<bool, JournalError> {
        let (owner, reseal, clock) = (owner.clone(), reseal.clone(), Arc::clone(&self.clock));
        let write = self.database.write(move |conn| {
            Box::pin(async move { batches::reseal(conn, &owner, &reseal, micros(clock.now())).await })
        });
        Ok(write.await?)
    }

    async fn release(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        token: ClaimToken,
        release: Release,
    ) -> Result<bool, JournalError> {
        let (owner, clock) = (owner.clone(), Arc::clone(&self.clock));
        let write = self.database.write(move |conn| {
            Box::pin(async move {
                let ready_at = micros(clock.now()).saturating_add(length(release.retry_in));
                batches::release(conn, &owner, flush_id, token, release.setback, ready_at).await
            })
        });
        Ok(write.await?)
    }

    async fn discard(&self, owner: &Owner, flush_id: FlushId) -> Result<(), JournalError> {
        let owner = owner.clone();
        let write =
            self.database.write(move |conn| Box::pin(async move { batches::discard(conn, &owner, flush_id).await }));
        Ok(write.await?)
    }

    async fn blob_ids(
        &self,
        owner: &Owner,
        blob_type: BlobType,
        standing: Standing,
    ) -> Result<Vec<BlobId>, JournalError> {
        let owner = owner.clone();
        let read = self
            .database
            .read(move |conn| Box::pin(async move { entries::ids(conn, &owner, blob_type, standing).await }));
        Ok(read.await?)
    }

    async fn blob(&self, owner: &Owner, blob_id: BlobId) -> Result<Option<Entry>, JournalError> {
        let owner = owner.clone();
        let read = self.database.read(move |conn| Box::pin(async move { entries::read(conn, &owner, blob_id).await }));
        Ok(read.await?)
    }

    async fn remove(&self, owner: &Owner, blob_id: BlobId) -> Result<Removed, JournalError> {
        let owner = owner.clone();
        let write =
            self.database.write(move |conn| Box::pin(async move { entries::remove(conn, &owner, blob_id).await }));
        Ok(write.await?)
    }

    async fn requeue(&self, owner: &Owner, requeue: &Requeue) -> Result<Requeued, JournalError> {
        let (owner, requeue, clock) = (owner.clone(), requeue.clone(), Arc::clone(&self.clock));
        let write = self.database.write(move |conn| {
            Box::pin(async move { moves::requeue(conn, &owner, &requeue, micros(clock.now())).await })
        });
        write.await?.ok_or(JournalError::OwnerGone)
    }

    async fn due(
        &self,
        age: Duration,
        from: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<(Timestamp, Due)>, JournalError> {
        let (now, from) = (micros(self.clock.now()), from.map_or(i64::MIN, micros));
        let read = self
            .database
            .read(move |conn| Box::pin(async move { due::due(conn, now, length(age), from, limit).await }));
        Ok(read.await?)
    }

    async fn purge(&self, owner: &Owner) -> Result<(), JournalError> {
        let (owner, clock) = (owner.clone(), Arc::clone(&self.clock));
        let write = self
            .database
            .write(move |conn| Box::pin(async move { entries::purge(conn, &owner, micros(clock.now())).await }));
        Ok(write.await?)
    }

    async fn owners(&self, after: Option<&Owner>, limit: u32) -> Result<Vec<Owner>, JournalError> {
        let after = after.cloned();
        let read =
            self.database.read(move |conn| Box::pin(async move { moves::owners(conn, after.as_ref(), limit).await }));
        Ok(read.await?)
    }

    async fn holding(&self, owner: &Owner) -> Result<Holding, JournalError> {
        let owner = owner.clone();
        let read = self.database.snapshot(move |conn| Box::pin(async move { moves::holding(conn, &owner).await }));
        Ok(read.await?)
    }

    async fn adopt(&self, owner: &Owner, holding: &Holding) -> Result<(), JournalError> {
        let (owner, holding, clock) = (owner.clone(), holding.clone(), Arc::clone(&self.clock));
        let write = self.database.write(move |conn| {
            Box::pin(async move { moves::adopt(conn, &owner, &holding, micros(clock.now())).await })
        });
        Ok(write.await?)
    }

    async fn hand_over(&self, owner: &Owner) -> Result<(), JournalError> {
        let owner = owner.clone();
        let write = self.database.write(move |conn| Box::pin(async move { entries::clear(conn, &owner).await }));
        Ok(write.await?)
    }
}
