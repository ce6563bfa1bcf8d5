//! The journal in the tables of the embedded store, written by the same writer.
//!
//! `entries` reads and removes blobs, `batches` seals and claims them; appends are the writer's, in groups.

mod batches;
mod entries;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use memory::blob::{BlobType, NewBlob};
use memory::ids::{BlobId, ClaimToken, FlushId, Owner};
use memory::ports::{
    Append, Clock, Due, Entry, Journal, JournalError, Level, Release, Removed, Reseal, Standing, Take, Taken,
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
                batches::release(conn, &owner, flush_id, token, release.counts, ready_at).await
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

    async fn due(&self, age: Duration, limit: u32) -> Result<Vec<Due>, JournalError> {
        let now = micros(self.clock.now());
        let read =
            self.database.read(move |conn| Box::pin(async move { batches::due(conn, now, length(age), limit).await }));
        Ok(read.await?)
    }

    async fn purge(&self, owner: &Owner) -> Result<(), JournalError> {
        let (owner, clock) = (owner.clone(), Arc::clone(&self.clock));
        let write = self
            .database
            .write(move |conn| Box::pin(async move { entries::purge(conn, &owner, micros(clock.now())).await }));
        Ok(write.await?)
    }
}
