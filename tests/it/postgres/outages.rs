//! A server that is slow, away, or comes back; and callers that go away.

use std::time::{Duration, Instant};

use memory::ids::BlobId;
use memory::ports::{Clock, CommitReply, StoreError, SystemClock};
use powermemo::store::postgres::ConnectError;
use serde_json::Map;
use tokio::task::JoinSet;

use super::sharing::{commit, until, user};
use super::*;
use crate::services::postgres::Cluster;

/// Limits for servers that are away.
pub(super) fn short() -> PostgresOptions {
    PostgresOptions {
        max_connections: 4,
        acquire_timeout: Duration::from_millis(500),
        statement_timeout: Duration::from_millis(1000),
        lock_timeout: Duration::from_millis(300),
        call_timeout: Duration::from_millis(1500),
        ..PostgresOptions::default()
    }
}

async fn store(url: &str, options: &PostgresOptions) -> PostgresStore {
    PostgresStore::new(PostgresDatabase::connect(url, options).await.unwrap())
}

fn is_away<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

/// Writes and reads at the same time, more than there are connections; returns how many succeeded, and after how long
/// the last one was answered. The others were told that the store is away.
async fn crowd(store: &PostgresStore, owner: &Owner, calls: usize) -> (usize, Duration) {
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..calls {
        let (store, key) = (store.clone(), owner.key.clone());
        tasks.spawn(async move {
            let answer = if number % 2 == 0 {
                store.user(&key).await.map(drop)
            } else {
                store.update_user(&key, &Map::new(), SystemClock.now()).await.map(drop)
            };
            assert!(answer.is_ok() || is_away(&answer), "{answer:?}");
            usize::from(answer.is_ok())
        });
    }
    (tasks.join_all().await.into_iter().sum(), began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_pool_answers_a_crowd() {
    let shared = fresh().await;
    let options = PostgresOptions { max_connections: 2, ..PostgresOptions::default() };
    let store = store(&shared.place.url(), &options).await;
    let owner = user(&shared).await;
    assert_eq!(crowd(&store, &owner, 200).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_away_in_time_and_comes_back() {
    let cluster = Cluster::start().await;
    let store = store(&cluster.url(), &short()).await;
    let owner = owner();
    assert!(store.create_user(&owner.key, owner.incarnation, None, SystemClock.now()).await.unwrap());
    assert_eq!(crowd(&store, &owner, 20).await.0, 20);
    for _ in 0..2 {
        cluster.freeze();
        let (answered, after) = crowd(&store, &owner, 20).await;
        assert_eq!(answered, 0);
        assert!(after < Duration::from_secs(4), "{after:?}");
        cluster.thaw();
        until("it answers again", async || store.user(&owner.key).await.is_ok()).await;
        // No connection of the pool is lost.
        until("it answers everybody", async || crowd(&store, &owner, 20).await.0 == 20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_is_found_again() {
    let mut cluster = Cluster::start().await;
    let store = store(&cluster.url(), &short()).await;
    let owner = owner();
    assert!(store.create_user(&owner.key, owner.incarnation, None, SystemClock.now()).await.unwrap());
    for round in 0..3 {
        let plan = commit(&owner, BlobId(SystemIds.random()), round);
        assert_eq!(store.commit(&plan).await.unwrap(), CommitReply::Done);
        if round == 1 {
            cluster.kill();
        } else {
            cluster.stop_immediately();
        }
        assert!(is_away(&store.commit(&plan).await));
        cluster.run().await;
        until("it answers again", async || store.user(&owner.key).await.is_ok()).await;
        assert_eq!(store.commit(&plan).await.unwrap(), CommitReply::Decided(plan.record.clone()), "nothing was lost");
        assert_eq!(store.gists(&owner.key, 9).await.unwrap().unwrap().0, round + 1);
        assert_eq!(crowd(&store, &owner, 20).await.0, 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_later_is_waited_for() {
    let mut cluster = Cluster::start().await;
    cluster.stop_immediately();
    let url = cluster.url();
    let opening = tokio::spawn(async move { open(&url).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!opening.is_finished());
    cluster.run().await;
    opening.await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let options = PostgresOptions { start_timeout: Duration::from_millis(100), ..short() };
    let url = "postgres://me:secret@127.0.0.1:1/memory";
    let error = PostgresDatabase::connect(url, &options).await.err().unwrap();
    assert!(matches!(error, ConnectError::Unreachable { .. }));
    let text = error.to_string();
    assert!(text.contains("127.0.0.1:1, database memory, as user me"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    // One that is there, without this database: no waiting helps.
    let place = TestDatabase::new().await;
    let began = Instant::now();
    let missing = place.url().replace("/test_", "/missing_");
    let error = PostgresDatabase::connect(&missing, &PostgresOptions::default()).await.err().unwrap();
    assert!(error.to_string().contains("does not exist"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_may_start_at_once() {
    let place = TestDatabase::new().await;
    let mut starts = JoinSet::new();
    for _ in 0..5 {
        let url = place.url();
        starts.spawn(async move { open(&url).await.journal_id().await.unwrap() });
    }
    let ids = starts.join_all().await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn a_row_that_somebody_holds_is_not_waited_for_long() {
    let shared = fresh().await;
    let store = store(&shared.place.url(), &short()).await;
    let (held, free) = (user(&shared).await, user(&shared).await);
    let mut conn = shared.connect().await;
    let mut holder = conn.begin().await.unwrap();
    sqlx::query("SELECT FROM users WHERE user_id = $1 FOR UPDATE")
        .bind(held.key.user.0)
        .execute(&mut *holder)
        .await
        .unwrap();
    assert!(is_away(&store.commit(&commit(&held, BlobId(SystemIds.random()), 0)).await));
    let done = store.commit(&commit(&free, BlobId(SystemIds.random()), 0)).await.unwrap();
    assert_eq!(done, CommitReply::Done, "others do not wait");
    holder.rollback().await.unwrap();
    assert_eq!(store.commit(&commit(&held, BlobId(SystemIds.random()), 0)).await.unwrap(), CommitReply::Done);
}

/// Callers that hang up cancel nothing, and leave no transaction open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_leaves_nothing_open() {
    let shared = fresh().await;
    let owner = user(&shared).await;
    for round in 0..40 {
        let (store, plan) = (shared.store(), commit(&owner, BlobId(SystemIds.random()), round));
        let call = async move { store.commit(&plan).await };
        let patience = Duration::from_micros(50 * u64::try_from(round).unwrap());
        tokio::time::timeout(patience, call).await.ok();
        let store = shared.store();
        until("it was carried out", async || store.revision(&owner.key).await.unwrap().unwrap().1 == round + 1).await;
    }
    let sql = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    let mut conn = shared.connect().await;
    assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut conn).await.unwrap(), 0);
}

/// The adapter does not lean on the caller's runtime: this one has neither timer nor I/O.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_runtime_may_call() {
    let shared = fresh().await;
    let (store, journal, owner) = (shared.store(), shared.journal(), user(&shared).await);
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            journal.append(&owner, &super::sharing::chat()).await.unwrap();
            store.user(&owner.key).await.unwrap().unwrap().incarnation == owner.incarnation
        })
    });
    assert!(tokio::task::spawn_blocking(move || elsewhere.join().unwrap()).await.unwrap());
}
