//! What is found out when the server starts: names, durability, versions; and a Redis of a cluster.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use memory::ids::Owner;
use memory::ports::{Journal as _, JournalError, Release, Removed, Requeue, Requeued, Reseal, Setback, Taken};
use powermemo::journal::redis::{Fsync, OpenError, RedisDatabase, RedisJournal, RedisOptions};

use super::{blob, owner, take, until};
use crate::services::redis::{DURABLE, RedisServer, VOLATILE};

async fn open(server: &RedisServer) -> Arc<RedisDatabase> {
    RedisDatabase::open(&server.url(), RedisOptions::default()).await.unwrap()
}

/// What a server with these arguments says of its durability.
async fn line(args: &[&str]) -> String {
    let server = RedisServer::start(args);
    let durability = open(&server).await.durability().await.unwrap();
    assert!(durability.version.starts_with(|c: char| c.is_ascii_digit()), "{durability:?}");
    durability.to_string().replace(&durability.version, "7")
}

#[tokio::test]
async fn the_operator_is_told_what_a_crash_could_lose() {
    let everysec = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""];
    let no = ["--appendonly", "yes", "--appendfsync", "no"];
    let snapshots = ["--appendonly", "no", "--save", "60 1000"];
    for (args, says) in [
        (&DURABLE[..], "nothing acknowledged (appendfsync always)"),
        (&everysec[..], "at most about the last second, 2 s at worst (appendfsync everysec)"),
        (&no[..], "what the operating system has not written yet, often 30 s (appendfsync no)"),
        (&snapshots[..], "everything since the last snapshot (save 60 1000, no append-only file)"),
        (&VOLATILE[..], "everything (neither append-only file nor snapshots)"),
    ] {
        assert_eq!(line(args).await, format!("Redis 7, whose crash could lose {says}"));
    }
}

#[tokio::test]
async fn the_operator_is_told_when_keys_may_vanish() {
    let evicting = [&DURABLE[..], &["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]].concat();
    let server = RedisServer::start(&evicting);
    let durability = open(&server).await.durability().await.unwrap();
    assert_eq!((durability.max_memory_bytes, durability.fsync), (64 << 20, Some(Fsync::Always)));
    assert!(durability.problem().unwrap().contains("the maxmemory-policy of Redis is allkeys-lru"));
    assert!(durability.to_string().contains("PROBLEM: "), "{durability}");
    assert!(!durability.to_string().contains('\n'));
}

#[tokio::test]
async fn a_redis_that_hides_its_configuration_works() {
    let hiding = [&DURABLE[..], &["--rename-command", "CONFIG", "", "--maxmemory-policy", "volatile-lru"]].concat();
    let server = RedisServer::start(&hiding);
    let durability = open(&server).await.durability().await.unwrap();
    assert_eq!((durability.appends, durability.fsync, durability.snapshots.as_deref()), (true, None, None));
    assert_eq!(durability.eviction.as_deref(), Some("volatile-lru"));
    assert!(durability.to_string().contains("Redis does not show it"), "{durability}");
}

#[tokio::test]
async fn a_journal_is_named_once() {
    let server = RedisServer::start(&VOLATILE);
    let database = open(&server).await;
    assert_eq!(database.journal_id().await.unwrap(), None);
    assert!(database.set_journal_id("one").await.unwrap());
    assert!(database.set_journal_id("one").await.unwrap(), "it has that name");
    assert!(!database.set_journal_id("other").await.unwrap());
    assert_eq!(database.journal_id().await.unwrap().as_deref(), Some("one"));
    assert_eq!(server.query::<String>(&["GET", "pm:journal_id"]), "one");
}

#[tokio::test]
async fn installations_share_a_redis() {
    let server = RedisServer::start(&VOLATILE);
    let options = RedisOptions { prefix: "other".to_owned(), ..RedisOptions::default() };
    let (one, other) = (open(&server).await, RedisDatabase::open(&server.url(), options).await.unwrap());
    let (journal, there, owner) = (RedisJournal::new(one), RedisJournal::new(other), owner());
    let none: [Owner; 0] = [];
    assert_eq!(journal.owners(None, 10).await.unwrap(), none);
    journal.append(&owner, &blob()).await.unwrap();
    assert_eq!(journal.owners(None, 10).await.unwrap(), std::slice::from_ref(&owner));
    assert_eq!(there.owners(None, 10).await.unwrap(), none);
    assert_eq!(there.levels(&owner).await.unwrap(), []);
    there.purge(&owner).await.unwrap();
    journal.append(&owner, &blob()).await.unwrap();
    assert_eq!(there.owners(None, 10).await.unwrap(), none);
    journal.hand_over(&owner).await.unwrap();
    assert_eq!(journal.owners(None, 10).await.unwrap(), none);
}

#[tokio::test]
async fn a_tombstone_expires() {
    let server = RedisServer::start(&VOLATILE);
    let options = RedisOptions { tombstone_retention: Duration::from_millis(50), ..RedisOptions::default() };
    let journal = RedisJournal::new(RedisDatabase::open(&server.url(), options).await.unwrap());
    let owner = owner();
    journal.purge(&owner).await.unwrap();
    until("the tombstone is gone", async || journal.append(&owner, &blob()).await.ok()).await;
    let journal = RedisJournal::new(open(&server).await);
    journal.purge(&owner).await.unwrap();
    let keys: Vec<String> = server.query(&["KEYS", "*"]);
    let ttl: u64 = server.query(&["TTL", &keys[0]]);
    assert_eq!((keys.len(), ttl.div_ceil(24 * 3600)), (1, 90));
    assert!(matches!(journal.append(&owner, &blob()).await, Err(JournalError::OwnerGone)));
}

#[tokio::test]
async fn the_numbers_of_an_idle_owner_expire() {
    let server = RedisServer::start(&VOLATILE);
    let journal = RedisJournal::new(open(&server).await);
    let (owner, ask) = (owner(), take());
    journal.append(&owner, &blob()).await.unwrap();
    let keys: Vec<String> = server.query(&["KEYS", "*:state:*"]);
    let days = || server.query::<i64>(&["TTL", &keys[0]]) as f64 / (24.0 * 3600.0);
    let never = |days: f64| days < 0.0;
    assert!(never(days()));
    let Taken::Batch(batch, _) = journal.take(&owner, &ask).await.unwrap() else { panic!() };
    assert!(never(days()));
    journal.discard(&owner, batch.flush_id).await.unwrap();
    assert_eq!(days().ceil(), 90.0);
    assert_eq!(journal.append(&owner, &blob()).await.unwrap().seq, 2);
    assert!(never(days()), "it is not idle any more");
}

#[tokio::test]
async fn a_batch_may_be_large() {
    let server = RedisServer::start(&VOLATILE);
    let journal = RedisJournal::new(open(&server).await);
    let (owner, moved, mut ask) = (owner(), owner(), take());
    let blobs: Vec<_> = (0..2500).map(|_| blob()).collect();
    for blob in &blobs {
        journal.append(&owner, blob).await.unwrap();
    }
    (ask.max_blobs, ask.max_tokens) = (2400, u64::MAX);
    let Taken::Batch(batch, level) = journal.take(&owner, &ask).await.unwrap() else { panic!() };
    assert_eq!((level.blobs, level.tokens), (100, 700));
    assert!(batch.entries.iter().map(|entry| &entry.blob).eq(&blobs[..2400]));
    let holding = journal.holding(&owner).await.unwrap();
    assert_eq!((holding.waiting.len(), holding.open.as_ref()), (100, Some(&batch)));
    journal.adopt(&moved, &holding).await.unwrap();
    assert_eq!(journal.holding(&moved).await.unwrap(), holding);

    let new_flush_id = take().flush_id;
    let drop = blobs[..2399].iter().map(|blob| blob.id).collect();
    let reseal = Reseal { flush_id: batch.flush_id, new_flush_id, drop, token: None };
    assert!(journal.reseal(&owner, &reseal).await.unwrap());
    assert_eq!(journal.holding(&owner).await.unwrap().open.unwrap().entries, batch.entries[2399..]);
    journal.discard(&moved, batch.flush_id).await.unwrap();
    let dead = batch.entries.into_iter().map(|entry| (entry.blob, entry.appended_at)).collect();
    let requeue = Requeue { flush_id: take().flush_id, blob_type: ask.blob_type, blobs: dead };
    assert_eq!(journal.requeue(&moved, &requeue).await.unwrap(), Requeued::Queued);
    let requeued = journal.holding(&moved).await.unwrap().open.unwrap();
    assert!(requeued.retried && requeued.entries.iter().map(|entry| entry.seq).eq(1..=2400));
}

#[tokio::test]
async fn the_newer_protocol_works() {
    let server = RedisServer::start(&VOLATILE);
    let url = format!("{}?protocol=resp3", server.url());
    let database = RedisDatabase::open(&url, RedisOptions::default()).await.unwrap();
    assert_eq!(database.durability().await.unwrap().snapshots.as_deref(), Some(""));
    let journal = RedisJournal::new(database);
    let owner = owner();
    let append = journal.append(&owner, &blob()).await.unwrap();
    assert_eq!(journal.levels(&owner).await.unwrap(), [(take().blob_type, append.level)]);
    assert_eq!(journal.due(Duration::ZERO, None, 10).await.unwrap().len(), 1);
    let Taken::Batch(batch, _) = journal.take(&owner, &take()).await.unwrap() else { panic!() };
    assert_eq!(journal.holding(&owner).await.unwrap().open, Some(batch));
    assert_eq!(journal.blob(&owner, blob().id).await.unwrap(), None);
    journal.purge(&owner).await.unwrap();
    assert!(matches!(journal.append(&owner, &blob()).await, Err(JournalError::OwnerGone)));
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let quick = || RedisOptions { open_timeout: Duration::from_millis(100), ..RedisOptions::default() };
    let failed = RedisDatabase::open("http://user:secret@host", quick()).await.unwrap_err();
    assert!(matches!(failed, OpenError::Url(_)) && !format!("{failed:?} {failed}").contains("secret"), "{failed:?}");
    let nobody = "redis+unix:///nonexistent/redis.sock";
    assert!(matches!(RedisDatabase::open(nobody, quick()).await, Err(OpenError::Unreachable(_))));
    for prefix in ["", "a b", "{x}", "a:b"] {
        let options = RedisOptions { prefix: prefix.to_owned(), ..quick() };
        assert!(matches!(RedisDatabase::open(nobody, options).await, Err(OpenError::Prefix(_))), "{prefix:?}");
    }
    let locked = RedisServer::start_locked(&VOLATILE, "right");
    let wrong = locked.url().replace("right", "wrong");
    let failed = RedisDatabase::open(&wrong, RedisOptions::default()).await.unwrap_err();
    assert!(matches!(failed, OpenError::Unreachable(_)) && !format!("{failed:?}").contains("wrong"), "{failed:?}");
    let database = RedisDatabase::open(&locked.url(), RedisOptions::default()).await.unwrap();
    assert!(!format!("{database:?}").contains("right"));
}

/// Redis refuses a script of which not all keys are in one slot.
#[tokio::test]
async fn every_step_fits_a_cluster() {
    let server = RedisServer::start(&[&VOLATILE[..], &["--cluster-enabled", "yes"]].concat());
    server.query::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let ready = async || server.query::<String>(&["CLUSTER", "INFO"]).contains("cluster_state:ok").then_some(());
    until("the cluster is ready", ready).await;
    let journal = RedisJournal::new(open(&server).await);
    let (owner, blobs, ask) = (owner(), [blob(), blob(), blob()], take());
    for blob in &blobs {
        journal.append(&owner, blob).await.unwrap();
    }
    assert!(matches!(journal.remove(&owner, blobs[2].id).await.unwrap(), Removed::Waiting(..)));
    assert_eq!(journal.due(Duration::ZERO, None, 10).await.unwrap().len(), 1);
    assert_eq!(journal.owners(None, 10).await.unwrap().len(), 1);
    let Taken::Batch(batch, _) = journal.take(&owner, &ask).await.unwrap() else { panic!() };
    assert!(journal.renew(&owner, batch.flush_id, ask.token, ask.lease).await.unwrap());
    let new_flush_id = take().flush_id;
    let reseal = Reseal { flush_id: batch.flush_id, new_flush_id, drop: vec![blobs[0].id], token: Some(ask.token) };
    assert!(journal.reseal(&owner, &reseal).await.unwrap());
    let release = Release { retry_in: Duration::ZERO, setback: Setback::Failure };
    assert!(journal.release(&owner, new_flush_id, ask.token, release).await.unwrap());
    let holding = journal.holding(&owner).await.unwrap();
    journal.discard(&owner, new_flush_id).await.unwrap();
    let blobs = vec![(blobs[0].clone(), Timestamp::now())];
    let requeue = Requeue { flush_id: take().flush_id, blob_type: ask.blob_type, blobs };
    assert_eq!(journal.requeue(&owner, &requeue).await.unwrap(), Requeued::Queued);
    assert!(journal.blob(&owner, requeue.blobs[0].0.id).await.unwrap().is_some());
    journal.hand_over(&owner).await.unwrap();
    journal.adopt(&owner, &holding).await.unwrap();
    assert_eq!(journal.holding(&owner).await.unwrap(), holding);
    journal.purge(&owner).await.unwrap();
}
