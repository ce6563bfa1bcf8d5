//! The change feed.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use memory::ports::{Change, ChangeFeed};
use powermemo::changes::postgres::PostgresChanges;

use super::sharing::{pair, until};
use super::*;
use crate::services::postgres::Cluster;

/// A process that listens.
struct Process {
    feed: PostgresChanges,
    heard: Arc<Mutex<Vec<Change>>>,
}

impl Process {
    async fn start(database: &PostgresDatabase) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&heard);
        let feed = PostgresChanges::start(database, Arc::new(move |change| shared.lock().unwrap().push(change)));
        let process = Self { feed, heard };
        until("it listens", async || process.feed.is_live()).await;
        process
    }

    fn count(&self, change: &Change) -> usize {
        self.heard.lock().unwrap().iter().filter(|heard| *heard == change).count()
    }

    async fn hears(&self, change: &Change) {
        until("it is heard", async || self.count(change) > 0).await;
    }
}

fn memory() -> Change {
    Change::Memory(owner().key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_heard_by_the_others() {
    let databases = pair().await;
    let one = Process::start(&databases[0].database).await;
    let other = Process::start(&databases[1].database).await;
    for process in [&one, &other] {
        assert_eq!(process.count(&Change::Everything), 1, "what was before is unknown");
    }
    for change in [memory(), Change::Deleted(owner()), Change::Everything] {
        one.feed.announce(&change).await;
        other.hears(&change).await;
    }
    let last = memory();
    other.feed.announce(&last).await;
    one.hears(&last).await;
    assert_eq!(*one.heard.lock().unwrap(), [Change::Everything, last], "nobody hears of its own changes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_changes_is_heard_in_full() {
    let databases = pair().await;
    let one = Arc::new(Process::start(&databases[0].database).await);
    let other = Process::start(&databases[1].database).await;
    let changes: Vec<Change> = (0..2000).map(|_| memory()).collect();
    let mut told = tokio::task::JoinSet::new();
    for change in changes.clone() {
        let one = Arc::clone(&one);
        told.spawn(async move { one.feed.announce(&change).await });
    }
    told.join_all().await;
    for change in &changes {
        other.hears(change).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_told() {
    let databases = pair().await;
    let one = Process::start(&databases[0].database).await;
    let other = Process::start(&databases[1].database).await;
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(sql).execute(&mut databases[0].connect().await).await.unwrap();
    for process in [&one, &other] {
        until("it may have missed something", async || process.count(&Change::Everything) == 2).await;
        until("it listens", async || process.feed.is_live()).await;
    }
    let change = memory();
    one.feed.announce(&change).await;
    other.hears(&change).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_noticed_and_nothing_is_forgotten() {
    let cluster = Cluster::start().await;
    let databases = [open(&cluster.url()).await, open(&cluster.url()).await];
    let one = Process::start(&databases[0]).await;
    let other = Process::start(&databases[1]).await;
    cluster.freeze();
    let began = Instant::now();
    let changes = [memory(), memory(), memory()];
    for change in &changes {
        one.feed.announce(change).await;
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    until("it is noticed", async || !other.feed.is_live()).await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    cluster.thaw();
    until("it listens", async || other.feed.is_live()).await;
    assert!(other.count(&Change::Everything) >= 2);
    let last = memory();
    one.feed.announce(&last).await;
    other.hears(&last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_restarted_tells_what_waited() {
    let mut cluster = Cluster::start().await;
    let databases = [open(&cluster.url()).await, open(&cluster.url()).await];
    let one = Process::start(&databases[0]).await;
    cluster.stop_immediately();
    until("it is noticed", async || !one.feed.is_live()).await;
    let began = Instant::now();
    for _ in 0..20 {
        one.feed.announce(&memory()).await;
    }
    assert!(began.elapsed() < Duration::from_secs(2), "callers are held up: {:?}", began.elapsed());
    cluster.run().await;
    let other = Process::start(&databases[1]).await;
    let last = memory();
    // Until it is told, since the listener may have come after those that waited.
    one.feed.announce(&last).await;
    other.hears(&last).await;
    until("it listens", async || one.feed.is_live()).await;
}
