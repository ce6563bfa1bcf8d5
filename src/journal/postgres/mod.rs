//! The journal in the tables of the Postgres store, on the clock of the server.
//!
//! `append` adds blobs, `entries` reads and removes them, `batches` seals and claims them, `due` finds what is to be done,
//! `moves` brings batches back and whole buffers from one journal to another.
//!
//! Several processes may use it at once. A step locks its owner's row in `journal_owners` first and then reads: steps of
//! one owner come one after the other. What names a claim (`renew`, `release`) is one statement on one row instead.

mod append;
mod batches;
mod due;
mod entries;
mod moves;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use memory::blob::{BlobType, NewBlob};
use memory::ids::{BlobId, ClaimToken, FlushId, Owner};
use memory::ports::{
    Append, Due, Entry, Holding, Journal, JournalError, Level, Release, Removed, Requeue, Requeued, Reseal, Standing,
    Take, Taken,
};
use tokio::time::{Instant, sleep};

use crate::store::postgres::{DatabaseError, Groups, PostgresDatabase};
use append::{NewAppend, Outcome};

/// The longest age, lease or wait: about 3000 years, so that no sum leaves the range of times.
const MAX_MICROS: i64 = 100_000_000_000_000_000;

/// Pauses between two tries of an append whose owner another transaction holds; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The journal in a Postgres database.
#[derive(Clone)]
pub struct PostgresJournal {
    database: Arc<PostgresDatabase>,
    appends: Groups<NewAppend>,
    /// How far its clock is ahead of the server's, in microseconds: for tests.
    ahead: Arc<AtomicI64>,
}

impl PostgresJournal {
    /// A journal in an open database.
    pub fn new(database: Arc<PostgresDatabase>) -> Self {
        Self::ahead_of_clock(database, Arc::default())
    }

    /// A journal whose clock is so many microseconds ahead of the server's, for tests.
    pub fn ahead_of_clock(database: Arc<PostgresDatabase>, micros: Arc<AtomicI64>) -> Self {
        let appends = Groups::start(&database);
        Self { database, appends, ahead: micros }
    }

    fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }
}

/// Whole microseconds.
fn length(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(MAX_MICROS).min(MAX_MICROS)
}

#[async_trait]
impl Journal for PostgresJournal {
    async fn append(&self, owner: &Owner, blob: &NewBlob) -> Result<Append, JournalError> {
        let append = NewAppend { owner: owner.clone(), blob: Arc::new(blob.clone()), ahead: self.ahead() };
        let deadline = Instant::now() + self.database.call_timeout();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.appends.submit_by(deadline, append.clone()).await? {
                Outcome::Appended(appended) => return Ok(appended),
                Outcome::OwnerGone => return Err(JournalError::OwnerGone),
                Outcome::OwnerHeld if Instant::now() + pause >= deadline => {
                    return Err(DatabaseError::Unavailable("another process holds what is to be written").into());
                }
                Outcome::OwnerHeld => sleep(pause).await,
            }
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    async fn levels(&self, owner: &Owner) -> Result<Vec<(BlobType, Level)>, JournalError> {
        Ok(self.database.single(owner.clone(), |conn, owner| Box::pin(entries::levels(conn, owner))).await?)
    }

    async fn take(&self, owner: &Owner, take: &Take) -> Result<Taken, JournalError> {
        let (args, ahead) = ((owner.clone(), take.clone()), self.ahead());
        let work = || {
            let args = args.clone();
            self.database.write(args, move |conn, (owner, take)| Box::pin(batches::take(conn, owner, take, ahead)))
        };
        // When the answer was lost, the batch is ours and nobody knows: the same token gets it a second time.
        match work().await {
            Err(DatabaseError::Unavailable(_)) => Ok(work().await?),
            taken => Ok(taken?),
        }
    }

    async fn renew(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        token: ClaimToken,
        lease: Duration,
    ) -> Result<bool, JournalError> {
        let ahead = self.ahead();
        let work = self.database.single(owner.clone(), move |conn, owner| {
            Box::pin(batches::renew(conn, owner, flush_id, token, lease, ahead))
        });
        Ok(work.await?)
    }

    async fn reseal(&self, owner: &Owner, reseal: &Reseal) -> Result<bool, JournalError> {
        let (args, ahead) = ((owner.clone(), reseal.clone()), self.ahead());
        let work = self
            .database
            .write(args, move |conn, (owner, reseal)| Box::pin(batches::reseal(conn, owner, reseal, ahead)));
        Ok(work.await?)
    }

    async fn release(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        token: ClaimToken,
        release: Release,
    ) -> Result<bool, JournalError> {
        let ahead = self.ahead();
        let work = self.database.single(owner.clone(), move |conn, owner| {
            Box::pin(batches::release(conn, owner, flush_id, token, release, ahead))
        });
        Ok(work.await?)
    }

    async fn discard(&self, owner: &Owner, flush_id: FlushId) -> Result<(), JournalError> {
        let work =
            self.database.write(owner.clone(), move |conn, owner| Box::pin(batches::discard(conn, owner, flush_id)));
        Ok(work.await?)
    }

    async fn blob_ids(
        &self,
        owner: &Owner,
        blob_type: BlobType,
        standing: Standing,
    ) -> Result<Vec<BlobId>, JournalError> {
        let work = self
            .database
            .single(owner.clone(), move |conn, owner| Box::pin(entries::ids(conn, owner, blob_type, standing)));
        Ok(work.await?)
    }

    async fn blob(&self, owner: &Owner, blob_id: BlobId) -> Result<Option<Entry>, JournalError> {
        Ok(self
            .database
            .single(owner.clone(), move |conn, owner| Box::pin(entries::read(conn, owner, blob_id)))
            .await?)
    }

    async fn remove(&self, owner: &Owner, blob_id: BlobId) -> Result<Removed, JournalError> {
        let work =
            self.database.write(owner.clone(), move |conn, owner| Box::pin(entries::remove(conn, owner, blob_id)));
        Ok(work.await?)
    }

    async fn requeue(&self, owner: &Owner, requeue: &Requeue) -> Result<Requeued, JournalError> {
        let (args, ahead) = ((owner.clone(), requeue.clone()), self.ahead());
        let work = self
            .database
            .write(args, move |conn, (owner, requeue)| Box::pin(moves::requeue(conn, owner, requeue, ahead)));
        work.await?.ok_or(JournalError::OwnerGone)
    }

    async fn due(
        &self,
        age: Duration,
        from: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<(Timestamp, Due)>, JournalError> {
        let (age, ahead) = (length(age), self.ahead());
        Ok(self.database.snapshot((), move |conn, ()| Box::pin(due::due(conn, age, from, limit, ahead))).await?)
    }

    async fn purge(&self, owner: &Owner) -> Result<(), JournalError> {
        let ahead = self.ahead();
        Ok(self.database.write(owner.clone(), move |conn, owner| Box::pin(entries::purge(conn, owner, ahead))).await?)
    }

    async fn owners(&self, after: Option<&Owner>, limit: u32) -> Result<Vec<Owner>, JournalError> {
        let work = self
            .database
            .single(after.cloned(), move |conn, after| Box::pin(moves::owners(conn, after.as_ref(), limit)));
        Ok(work.await?)
    }

    async fn holding(&self, owner: &Owner) -> Result<Holding, JournalError> {
        Ok(self.database.snapshot(owner.clone(), |conn, owner| Box::pin(moves::holding(conn, owner))).await?)
    }

    async fn adopt(&self, owner: &Owner, holding: &Holding) -> Result<(), JournalError> {
        let (args, ahead) = ((owner.clone(), holding.clone()), self.ahead());
        let work = self
            .database
            .write(args, move |conn, (owner, holding)| Box::pin(moves::adopt(conn, owner, holding, ahead)));
        Ok(work.await?)
    }

    async fn hand_over(&self, owner: &Owner) -> Result<(), JournalError> {
        Ok(self.database.write(owner.clone(), |conn, owner| Box::pin(moves::hand_over(conn, owner))).await?)
    }
}
