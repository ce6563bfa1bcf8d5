//! The journal and the change feed in Redis: the contract, and what happens when Redis does not behave.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use memory::blob::{BlobType, NewBlob};
use memory::ids::{
    BlobId, ClaimToken, FlushId, IdSource as _, Incarnation, Owner, ProjectId, SystemIds, UserId, UserKey,
};
use memory::ports::{Journal, Take};
use memory::testing::journal_contract::JournalHarness;
use powermemo::journal::redis::{RedisDatabase, RedisJournal, RedisOptions};

use crate::services::redis::{RedisServer, VOLATILE};

mod changes;
mod faults;
mod setup;

mod contract {
    memory::journal_contract_tests!(super::fresh);
}

/// How long to wait for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A journal on a server of its own.
struct Private {
    journal: RedisJournal,
    clock_shift_us: Arc<AtomicI64>,
    _server: RedisServer,
}

async fn fresh() -> Private {
    let server = RedisServer::start(&VOLATILE);
    let options = RedisOptions::default();
    let clock_shift_us = Arc::clone(&options.clock_shift_us);
    let database = RedisDatabase::open(&server.url(), options).await.unwrap();
    Private { journal: RedisJournal::new(database), clock_shift_us, _server: server }
}

#[async_trait]
impl JournalHarness for Private {
    fn journal(&self) -> Arc<dyn Journal> {
        Arc::new(self.journal.clone())
    }

    async fn advance(&self, by: Duration) {
        let by_us = i64::try_from(by.as_micros()).unwrap();
        self.clock_shift_us.fetch_add(by_us, Ordering::Relaxed);
    }

    async fn admit(&self, _owner: &Owner) {}
}

fn owner() -> Owner {
    let key = UserKey { project: ProjectId::from("it"), user: UserId(SystemIds.random()) };
    Owner { key, incarnation: Incarnation(SystemIds.random()) }
}

fn blob() -> NewBlob {
    let payload = "{\"data\":{\"summary\":\"naïve ☂\"}}".to_owned();
    NewBlob { id: BlobId(SystemIds.random()), blob_type: BlobType::Summary, tokens: 7, payload }
}

fn take() -> Take {
    Take {
        blob_type: BlobType::Summary,
        flush_id: FlushId(SystemIds.ordered()),
        token: ClaimToken(SystemIds.random()),
        lease: Duration::from_secs(600),
        max_tokens: 1000,
        max_blobs: 10,
        ignore_backoff: false,
    }
}

/// Asks again and again until the answer is there.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
