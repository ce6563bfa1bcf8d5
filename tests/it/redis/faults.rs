//! Redis is away, hangs, forgets its scripts, is full.

use std::sync::Arc;
use std::time::{Duration, Instant};

use memory::blob::BlobType;
use memory::ports::{Journal as _, JournalError, Level, Release, Removed, Setback, Standing, Taken};
use powermemo::journal::redis::{RedisDatabase, RedisJournal, RedisOptions};
use tokio::task::JoinSet;

use super::{blob, owner, take, until};
use crate::services::proxy::Proxy;
use crate::services::redis::{DURABLE, RedisServer, VOLATILE};

/// Does not wait long for a Redis that hangs.
fn impatient() -> RedisOptions {
    RedisOptions {
        response_timeout: Duration::from_millis(200),
        connect_timeout: Duration::from_millis(200),
        call_timeout: Duration::from_secs(2),
        ..RedisOptions::default()
    }
}

async fn journal(url: &str, options: RedisOptions) -> RedisJournal {
    RedisJournal::new(RedisDatabase::open(url, options).await.unwrap())
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(done: Result<T, JournalError>, words: &str) {
    match done {
        Err(JournalError::Unavailable(reason)) => assert!(reason.contains(words), "{reason:?} without {words:?}"),
        other => panic!("it was available: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_everything() {
    let mut server = RedisServer::start(&DURABLE);
    let journal = journal(&server.url(), RedisOptions::default()).await;
    let (owner, blobs, waits) = (owner(), [blob(), blob()], blob());
    for blob in &blobs {
        journal.append(&owner, blob).await.unwrap();
    }
    let ask = take();
    let Taken::Batch(batch, _) = journal.take(&owner, &ask).await.unwrap() else { panic!() };
    journal.append(&owner, &waits).await.unwrap();
    let before = (journal.holding(&owner).await.unwrap(), journal.levels(&owner).await.unwrap());

    server.kill();
    assert_unavailable(journal.append(&owner, &blob()).await, "Redis cannot be reached");
    server.start_again();
    let after = until("the journal works again", async || journal.holding(&owner).await.ok()).await;
    assert_eq!((after, journal.levels(&owner).await.unwrap()), before);
    let ids = journal.blob_ids(&owner, BlobType::Summary, Standing::Sealed).await.unwrap();
    assert_eq!(ids, blobs.map(|blob| blob.id));
    assert!(journal.renew(&owner, batch.flush_id, ask.token, ask.lease).await.unwrap(), "the claim stands");
    assert_eq!(journal.append(&owner, &waits).await.unwrap().level.blobs, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_fail_at_once_while_redis_is_known_to_be_away() {
    let mut server = RedisServer::start(&VOLATILE);
    let options = RedisOptions { reconnect_grace: Duration::from_secs(2), ..RedisOptions::default() };
    let journal = journal(&server.url(), options).await;
    let owner = owner();
    server.kill();
    let began = Instant::now();
    assert_unavailable(journal.append(&owner, &blob()).await, "Redis cannot be reached");
    assert!(began.elapsed() > Duration::from_millis(1500), "it might have come back");
    let began = Instant::now();
    for _ in 0..10 {
        assert_unavailable(journal.append(&owner, &blob()).await, "Redis cannot be reached");
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_redis_forgot_are_told_again() {
    let server = RedisServer::start(&VOLATILE);
    let journal = journal(&server.url(), RedisOptions::default()).await;
    let owner = owner();
    let forget = || server.query::<()>(&["SCRIPT", "FLUSH"]);
    for number in 1..=3 {
        forget();
        assert_eq!(journal.append(&owner, &blob()).await.unwrap().seq, number);
    }
    forget();
    assert_eq!(journal.due(Duration::ZERO, None, 10).await.unwrap().len(), 1);
    forget();
    assert!(matches!(journal.take(&owner, &take()).await.unwrap(), Taken::Batch(..)));
    forget();
    let mut appends = JoinSet::new();
    for _ in 0..20 {
        let (journal, owner) = (journal.clone(), owner.clone());
        appends.spawn(async move { journal.append(&owner, &blob()).await.unwrap().level.blobs });
    }
    assert_eq!(appends.join_all().await.into_iter().max(), Some(20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_are_survived() {
    let server = RedisServer::start(&VOLATILE);
    let options = RedisOptions { reconnect_grace: Duration::from_secs(5), ..RedisOptions::default() };
    let journal = journal(&server.url(), options).await;
    let owner = owner();
    let (mut appends, mut cuts) = (JoinSet::new(), 0);
    for task in 0..8 {
        let (journal, owner) = (journal.clone(), owner.clone());
        appends.spawn(async move {
            for _ in 0..100 {
                journal.append(&owner, &blob()).await.unwrap();
            }
            task
        });
    }
    while journal.levels(&owner).await.unwrap().first().is_none_or(|(_, level)| level.blobs < 700) {
        if cuts < 3 {
            server.cut_connections();
            cuts += 1;
        }
    }
    appends.join_all().await;
    let level = Level { last_seq: 800, blobs: 800, tokens: 5600 };
    assert_eq!(journal.levels(&owner).await.unwrap(), [(BlobType::Summary, level)]);
    assert_eq!(cuts, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_whose_answer_is_lost_counts_once() {
    let server = RedisServer::start(&VOLATILE);
    let proxy = Proxy::start(server.socket());
    let journal = journal(&format!("redis+unix://{}", proxy.socket().display()), RedisOptions::default()).await;
    let (owner, lost) = (owner(), blob());
    journal.append(&owner, &blob()).await.unwrap();
    proxy.lose_answer(&lost.id.0.simple().to_string(), "*4");
    let append = journal.append(&owner, &lost).await.unwrap();
    assert!(proxy.has_lost_it());
    assert_eq!((append.seq, append.level.blobs, append.level.tokens), (2, 2, 14));
    assert_eq!(append.level.last_seq, 2, "no number was wasted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_whose_answer_is_lost_is_not_repeated() {
    let server = RedisServer::start(&VOLATILE);
    let proxy = Proxy::start(server.socket());
    let journal = journal(&format!("redis+unix://{}", proxy.socket().display()), RedisOptions::default()).await;
    let (owner, lost) = (owner(), blob());
    assert_eq!(journal.remove(&owner, lost.id).await.unwrap(), Removed::Unknown);
    journal.append(&owner, &lost).await.unwrap();
    proxy.lose_answer(&lost.id.0.simple().to_string(), "*5");
    assert_unavailable(journal.remove(&owner, lost.id).await, "Redis cannot be reached");
    assert!(proxy.has_lost_it());
    assert_eq!(journal.blob(&owner, lost.id).await.unwrap(), None, "it was done all the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_is_unavailable_in_time() {
    let server = RedisServer::start(&VOLATILE);
    let journal = journal(&server.url(), impatient()).await;
    let (owner, slow) = (owner(), blob());
    journal.append(&owner, &blob()).await.unwrap();
    server.hang();
    let began = Instant::now();
    assert_unavailable(journal.append(&owner, &slow).await, "Redis did not answer in time");
    assert_unavailable(journal.levels(&owner).await, "Redis");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    server.go_on();
    // The first one was sent and may have been done, as well as this one.
    let append = until("it works again", async || journal.append(&owner, &slow).await.ok()).await;
    assert_eq!((append.seq, append.level.blobs), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_timed_out_and_is_sent_again_counts_once() {
    let server = RedisServer::start(&VOLATILE);
    let patient =
        RedisOptions { call_timeout: Duration::from_secs(20), reconnect_grace: Duration::from_secs(20), ..impatient() };
    let (patient, witness) = (journal(&server.url(), patient).await, journal(&server.url(), impatient()).await);
    let (owner, slow) = (owner(), blob());
    patient.append(&owner, &blob()).await.unwrap();
    server.hang();
    let append = tokio::spawn({
        let (owner, slow) = (owner.clone(), slow.clone());
        async move { patient.append(&owner, &slow).await }
    });
    // Who asks later and times out as soon: the append has timed out by then, and waits for a connection.
    assert_unavailable(witness.levels(&owner).await, "Redis");
    assert!(!append.is_finished());
    server.go_on();
    let append = append.await.unwrap().unwrap();
    assert_eq!((append.seq, append.level.blobs), (2, 2));
    let levels = until("it works again", async || witness.levels(&owner).await.ok()).await;
    assert_eq!(levels[0].1, Level { last_seq: 2, blobs: 2, tokens: 14 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_says_so_and_can_be_emptied() {
    let server = RedisServer::start(&[&VOLATILE[..], &["--maxmemory", "6mb"]].concat());
    let journal = journal(&server.url(), RedisOptions::default()).await;
    let (owner, mut count) = (owner(), 0);
    let large = || {
        let mut blob = blob();
        blob.payload = "x".repeat(200_000);
        blob
    };
    let failed = loop {
        match journal.append(&owner, &large()).await {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
        assert!(count < 100, "it never fills");
    };
    assert_unavailable::<()>(Err(failed), "Redis is full");
    let level = journal.levels(&owner).await.unwrap()[0].1;
    assert_eq!((level.blobs, level.last_seq), (count, count), "a refused append leaves nothing behind");

    // All that makes room goes on.
    let mut ask = take();
    ask.max_blobs = u32::try_from(count / 2).unwrap();
    ask.max_tokens = u64::MAX;
    let Taken::Batch(batch, _) = journal.take(&owner, &ask).await.unwrap() else { panic!() };
    assert!(journal.renew(&owner, batch.flush_id, ask.token, ask.lease).await.unwrap());
    let release = Release { retry_in: Duration::ZERO, setback: Setback::Outage };
    assert!(journal.release(&owner, batch.flush_id, ask.token, release).await.unwrap());
    journal.discard(&owner, batch.flush_id).await.unwrap();
    until("there is room again", async || journal.append(&owner, &large()).await.ok()).await;
    journal.purge(&owner).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_damage() {
    let server = RedisServer::start(&VOLATILE);
    let journal = journal(&server.url(), RedisOptions::default()).await;
    let (owner, known) = (owner(), blob());
    journal.append(&owner, &known).await.unwrap();
    let keys: Vec<String> = server.query(&["KEYS", "*:meta:*"]);
    let id = known.id.0.simple().to_string();
    server.query::<()>(&["HSET", &keys[0], &id, "summary:one:two:three"]);
    let damaged = |done: Result<(), JournalError>| match done {
        Err(JournalError::Damaged(reason)) => assert!(!reason.contains("two"), "{reason}"),
        other => panic!("{other:?}"),
    };
    damaged(journal.blob(&owner, known.id).await.map(drop));
    damaged(journal.take(&owner, &take()).await.map(drop));
    damaged(journal.append(&owner, &known).await.map(drop));
    server.query::<()>(&["DEL", &keys[0]]);
    server.query::<()>(&["SET", &keys[0], "x"]);
    damaged(journal.append(&owner, &blob()).await.map(drop));
}

#[test]
fn the_journal_can_be_called_from_any_runtime() {
    let server = RedisServer::start(&VOLATILE);
    let home = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let journal = Arc::new(home.block_on(journal(&server.url(), RedisOptions::default())));
    let owner = owner();
    // One without sockets.
    let bare = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    bare.block_on(journal.append(&owner, &blob())).unwrap();
    assert_eq!(bare.block_on(journal.due(Duration::ZERO, None, 10)).unwrap().len(), 1);
    assert_eq!(bare.block_on(journal.owners(None, 10)).unwrap(), [owner]);
}
