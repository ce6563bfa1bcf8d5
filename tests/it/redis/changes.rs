//! The change feed: two processes on one Redis.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use memory::ports::{Change, ChangeFeed as _};
use powermemo::changes::redis::RedisChanges;
use powermemo::journal::redis::{RedisDatabase, RedisOptions};

use super::{owner, until};
use crate::services::proxy::Proxy;
use crate::services::redis::{RedisServer, VOLATILE};

/// A process: its feed, and what it heard.
struct Process {
    feed: RedisChanges,
    heard: Arc<Mutex<Vec<Change>>>,
}

impl Process {
    /// One that listens.
    async fn start(url: &str) -> Self {
        let database = RedisDatabase::open(url, RedisOptions::default()).await.unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hear = Arc::clone(&heard);
        let feed = RedisChanges::start(&database, Arc::new(move |change| hear.lock().unwrap().push(change)));
        let process = Self { feed, heard };
        process.listens().await;
        process
    }

    async fn listens(&self) {
        until("it listens", async || self.feed.is_live().then_some(())).await;
    }

    fn heard(&self) -> Vec<Change> {
        self.heard.lock().unwrap().clone()
    }

    async fn hears(&self, all: &[Change]) {
        until("it hears", async || (self.heard().len() >= all.len()).then_some(())).await;
        assert_eq!(self.heard(), all);
    }
}

fn memory() -> Change {
    Change::Memory(owner().key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_hears_the_others_and_not_itself() {
    let server = RedisServer::start(&VOLATILE);
    // Over the older and the newer protocol.
    let newer = format!("{}?protocol=resp3", server.url());
    let (one, other) = (Process::start(&server.url()).await, Process::start(&newer).await);
    let said = [memory(), Change::Deleted(owner()), Change::Everything];
    for change in &said {
        one.feed.announce(change).await;
    }
    let [first, second, third] = said;
    other.hears(&[Change::Everything, first, second, third]).await;
    // What it said itself went over the channel before.
    let reply = memory();
    other.feed.announce(&reply).await;
    one.hears(&[Change::Everything, reply]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_not_listening_hears_that_everything_changed() {
    let mut server = RedisServer::start(&VOLATILE);
    let process = Process::start(&server.url()).await;
    server.kill();
    until("it notices", async || (!process.feed.is_live()).then_some(())).await;
    process.hears(&[Change::Everything]).await;
    server.start_again();
    process.listens().await;
    process.hears(&[Change::Everything, Change::Everything]).await;
    // A connection that is cut, of a Redis that goes on.
    server.cut_connections();
    process.hears(&[Change::Everything, Change::Everything, Change::Everything]).await;
    process.listens().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_hangs_is_noticed() {
    let server = RedisServer::start(&VOLATILE);
    let process = Process::start(&server.url()).await;
    server.hang();
    let began = Instant::now();
    until("it notices", async || (!process.feed.is_live()).then_some(())).await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    server.go_on();
    process.listens().await;
    process.hears(&[Change::Everything, Change::Everything]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_announced_while_redis_is_away_arrive_later() {
    let server = RedisServer::start(&VOLATILE);
    let mut proxy = Proxy::start(server.socket());
    let one = Process::start(&format!("redis+unix://{}", proxy.socket().display())).await;
    let other = Process::start(&server.url()).await;
    proxy.stop().await;
    let said = memory();
    let began = Instant::now();
    for _ in 0..3 {
        one.feed.announce(&said).await;
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(other.heard(), [Change::Everything]);
    proxy.listen();
    other.hears(&[Change::Everything, said.clone()]).await;
    one.listens().await;
    let again = memory();
    one.feed.announce(&again).await;
    other.hears(&[Change::Everything, said, again]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_another_version_means_everything() {
    let server = RedisServer::start(&VOLATILE);
    let process = Process::start(&server.url()).await;
    let _: u32 = server.query(&["PUBLISH", "pm:changes", "{\"from\":\"x\",\"news\":\"odd\"}"]);
    process.hears(&[Change::Everything, Change::Everything]).await;
    let _: u32 = server.query(&["PUBLISH", "other:changes", "{}"]);
    assert!(process.feed.is_live());
    drop(process);
    until("it unsubscribes", async || {
        let heard: (String, u32) = server.query(&["PUBSUB", "NUMSUB", "pm:changes"]);
        (heard.1 == 0).then_some(())
    })
    .await;
}
