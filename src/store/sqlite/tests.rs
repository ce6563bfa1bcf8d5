use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use memory::blob::{BlobType, NewBlob};
use memory::ids::{BlobId, IdSource, Incarnation, Owner, ProjectId, SystemIds, UserId, UserKey};
use memory::ports::{Clock, Store, SystemClock};
use sqlx::raw_sql;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, yield_now};
use uuid::Uuid;

use super::appends::NewAppend;
use super::{DatabaseError, OpenError, SqliteDatabase, SqliteOptions, SqliteStore};
use super::{appends, blobs, events, flushes, slots, upkeep, users, vectors};

type Finished = JoinHandle<Result<(), DatabaseError>>;

async fn open(folder: &TempDir) -> Arc<SqliteDatabase> {
    SqliteDatabase::open(folder.path(), &SqliteOptions::default()).await.unwrap()
}

/// Keeps the writer busy until the sender is used or dropped.
async fn hold(database: &Arc<SqliteDatabase>) -> oneshot::Sender<()> {
    let (gate, opened) = oneshot::channel();
    let (entered, busy) = oneshot::channel();
    let database = Arc::clone(database);
    tokio::spawn(async move {
        let wait = database.write(move |_| {
            Box::pin(async move {
                entered.send(()).unwrap();
                opened.await.ok();
                Ok(())
            })
        });
        wait.await
    });
    busy.await.unwrap();
    gate
}

/// Runs a script.
async fn run(database: &SqliteDatabase, sql: &'static str) {
    let write = database.write(move |conn| {
        Box::pin(async move {
            raw_sql(sql).execute(conn).await?;
            Ok(())
        })
    });
    write.await.unwrap();
}

/// Appends a blob of an owner of its own.
async fn append(database: &SqliteDatabase, payload: &'static str) -> Result<(), DatabaseError> {
    let key = UserKey { project: ProjectId::from("p"), user: UserId(SystemIds.random()) };
    let owner = Owner { key, incarnation: Incarnation(SystemIds.random()) };
    let blob =
        NewBlob { id: BlobId(SystemIds.random()), blob_type: BlobType::Chat, tokens: 1, payload: payload.to_owned() };
    let done = database.append(NewAppend { owner, blob, at: 0 }).await?.unwrap();
    assert_eq!((done.seq, done.level.blobs), (1, 1));
    Ok(())
}

/// Queues an append while the writer is held, and returns when it is in the queue.
async fn queue_append(database: &Arc<SqliteDatabase>, payload: &'static str) -> Finished {
    let before = database.queued();
    let shared = Arc::clone(database);
    let task = tokio::spawn(async move { append(&shared, payload).await });
    while database.queued() == before {
        yield_now().await;
    }
    task
}

const GOOD: &str = "good";
const BAD: &str = "bad";
/// The entries, to be counted.
const ENTRIES: &str = "SELECT count(*) FROM journal_entries";
/// Makes SQLite refuse a bad append.
const REFUSE: &str = "CREATE TRIGGER refuse BEFORE INSERT ON journal_entries WHEN NEW.payload = 'bad'
    BEGIN SELECT RAISE(FAIL, 'bad'); END";
/// Makes SQLite roll back the whole transaction at a bad append.
const BREAK: &str = "CREATE TRIGGER break BEFORE INSERT ON journal_entries WHEN NEW.payload = 'bad'
    BEGIN SELECT RAISE(ROLLBACK, 'bad'); END";

async fn count(database: &SqliteDatabase, sql: &'static str) -> i64 {
    let read = database
        .read(move |conn| Box::pin(async move { Ok(sqlx::query_scalar::<_, i64>(sql).fetch_one(conn).await?) }));
    read.await.unwrap()
}

#[tokio::test]
async fn appends_that_wait_together_share_a_commit_and_a_bad_one_fails_alone() {
    let folder = TempDir::new().unwrap();
    let database = open(&folder).await;
    run(&database, REFUSE).await;
    let gate = hold(&database).await;
    let mut tasks = Vec::new();
    for number in 0..200 {
        tasks.push(queue_append(&database, if number == 100 { BAD } else { GOOD }).await);
    }
    gate.send(()).unwrap();
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().is_ok(), number != 100);
    }
    let stats = database.writer_stats();
    assert_eq!((stats.commits, stats.failed_commits, stats.jobs), (3, 0, 202));
    assert_eq!(count(&database, ENTRIES).await, 199);
}

#[tokio::test]
async fn a_group_that_sqlite_rolled_back_fails_as_a_whole_and_the_writer_goes_on() {
    let folder = TempDir::new().unwrap();
    let database = open(&folder).await;
    run(&database, BREAK).await;
    let gate = hold(&database).await;
    let first = queue_append(&database, GOOD).await;
    let breaking = queue_append(&database, BAD).await;
    let last = queue_append(&database, GOOD).await;
    gate.send(()).unwrap();
    for task in [first, breaking, last] {
        assert!(matches!(task.await.unwrap(), Err(DatabaseError::Unavailable(_))));
    }
    assert_eq!(count(&database, ENTRIES).await, 0);
    append(&database, GOOD).await.unwrap();
    assert_eq!(count(&database, ENTRIES).await, 1);
    assert_eq!(database.writer_stats().failed_commits, 1);
}

#[tokio::test]
async fn a_write_that_panics_fails_alone() {
    let folder = TempDir::new().unwrap();
    let database = open(&folder).await;
    let gate = hold(&database).await;
    let mut tasks = Vec::new();
    for panics in [None, Some("before"), None, Some("after"), None] {
        let (before, shared) = (database.queued(), Arc::clone(&database));
        tasks.push(tokio::spawn(async move {
            let write = shared.write(move |conn| {
                assert_ne!(panics, Some("before"), "a panic before the future is there");
                Box::pin(async move {
                    raw_sql("INSERT INTO meta SELECT 'good' || count(*), '' FROM meta").execute(conn).await?;
                    assert_ne!(panics, Some("after"), "a panic after a change");
                    Ok(())
                })
            });
            write.await
        }));
        while database.queued() == before {
            yield_now().await;
        }
    }
    gate.send(()).unwrap();
    for (number, task) in tasks.into_iter().enumerate() {
        let broken = number % 2 == 1;
        let expected = if broken { Err(DatabaseError::Unavailable("the write was broken off")) } else { Ok(()) };
        assert_eq!(task.await.unwrap(), expected);
    }
    assert_eq!(count(&database, "SELECT count(*) FROM meta WHERE key LIKE 'good%'").await, 3);
    assert_eq!(database.writer_stats().failed_commits, 0);
}

#[tokio::test]
async fn a_write_whose_caller_went_away_is_carried_out() {
    let folder = TempDir::new().unwrap();
    let database = open(&folder).await;
    let gate = hold(&database).await;
    let abandoned = queue_append(&database, GOOD).await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    gate.send(()).unwrap();
    database.write(|_| Box::pin(async { Ok(()) })).await.unwrap();
    assert_eq!(count(&database, ENTRIES).await, 1);
}

#[tokio::test]
async fn a_full_queue_is_refused_after_the_timeout() {
    let folder = TempDir::new().unwrap();
    let options = SqliteOptions { append_queue: 1, ..SqliteOptions::default() };
    let mut database = SqliteDatabase::open(folder.path(), &options).await.unwrap();
    Arc::get_mut(&mut database).unwrap().acquire_timeout = Duration::ZERO;
    let gate = hold(&database).await;
    let waiting = queue_append(&database, GOOD).await;
    let refused = append(&database, GOOD).await;
    assert_eq!(refused, Err(DatabaseError::Unavailable("too many writes are waiting")));
    gate.send(()).unwrap();
    waiting.await.unwrap().unwrap();
    append(&database, GOOD).await.unwrap();
}

#[tokio::test]
async fn other_writes_do_not_hold_up_appends() {
    let folder = TempDir::new().unwrap();
    let options = SqliteOptions { writes_per_commit: 2, ..SqliteOptions::default() };
    let database = SqliteDatabase::open(folder.path(), &options).await.unwrap();
    let gate = hold(&database).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for number in 0..6 {
        let (before, order, shared) = (database.queued(), Arc::clone(&order), Arc::clone(&database));
        tasks.push(tokio::spawn(async move {
            let note = shared.write(move |conn| {
                Box::pin(async move {
                    let appended: i64 = sqlx::query_scalar(ENTRIES).fetch_one(conn).await?;
                    order.lock().unwrap().push((number, appended));
                    Ok(())
                })
            });
            note.await
        }));
        while database.queued() == before {
            yield_now().await;
        }
    }
    let append = queue_append(&database, GOOD).await;
    gate.send(()).unwrap();
    append.await.unwrap().unwrap();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let order = order.lock().unwrap();
    assert_eq!(order.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(order[2].1, 1, "the append came before the third");
}

#[tokio::test]
async fn closing_does_what_is_queued_and_refuses_the_rest() {
    let folder = TempDir::new().unwrap();
    let database = open(&folder).await;
    let journal_id = database.journal_id().await.unwrap();
    let gate = hold(&database).await;
    let queued = queue_append(&database, GOOD).await;
    let shared = Arc::clone(&database);
    let closing = tokio::spawn(async move { shared.close().await });
    yield_now().await;
    gate.send(()).unwrap();
    closing.await.unwrap().unwrap();
    queued.await.unwrap().unwrap();
    database.close().await.unwrap();
    let late = append(&database, GOOD).await;
    assert_eq!(late, Err(DatabaseError::Unavailable("it is closed")));
    assert!(matches!(database.journal_id().await, Err(DatabaseError::Unavailable(_))));
    assert!(!folder.path().join("powermemo.db-wal").exists());

    let again = open(&folder).await;
    assert_eq!(again.journal_id().await.unwrap(), journal_id);
    assert_eq!(count(&again, ENTRIES).await, 1);
}

#[tokio::test]
async fn a_folder_has_one_process() {
    let folder = TempDir::new().unwrap();
    let database = open(&folder).await;
    let refused = SqliteDatabase::open(folder.path(), &SqliteOptions::default()).await.err().unwrap();
    assert!(matches!(&refused, OpenError::InUse(named) if named == folder.path()));
    assert!(refused.to_string().contains(&*folder.path().to_string_lossy()));
    database.close().await.unwrap();
    open(&folder).await;
}

#[tokio::test]
async fn a_database_that_is_dropped_gives_its_folder_free() {
    let folder = TempDir::new().unwrap();
    let database = open(&folder).await;
    drop(database);
    while let Err(error) = SqliteDatabase::open(folder.path(), &SqliteOptions::default()).await {
        assert!(matches!(error, OpenError::InUse(_)));
        yield_now().await;
    }
}

#[tokio::test]
async fn a_folder_that_is_a_file_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = SqliteDatabase::open(file.path(), &SqliteOptions::default()).await.err().unwrap();
    assert!(matches!(refused, OpenError::Folder { .. }));
}

/// The adapter does not lean on the caller's runtime: this one has neither timer nor I/O.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_runtime_may_call() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::new(open(&folder).await);
    let key = UserKey { project: ProjectId::from("p"), user: UserId(Uuid::from_u128(1)) };
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let life = Incarnation(Uuid::from_u128(2));
            assert!(store.create_user(&key, life, None, SystemClock.now()).await.unwrap());
            store.user(&key).await.unwrap().unwrap().incarnation == life
        })
    });
    let done = tokio::task::spawn_blocking(move || elsewhere.join().unwrap()).await;
    assert!(done.unwrap());
}

/// The plans of the statements, one line a step.
pub(crate) async fn plans(folder: &Path, script: &str) -> Vec<String> {
    use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
    let url = format!("sqlite://{}/powermemo.db", folder.display());
    let mut conn = SqliteConnection::connect(&url).await.unwrap();
    let mut plans = Vec::new();
    for sql in script.split(';').filter(|sql| !sql.contains("SAVEPOINT") && !sql.contains("RELEASE")) {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = sqlx::query(explain).fetch_all(&mut conn).await.unwrap();
        plans.extend(rows.iter().map(|row| row.get::<String, _>("detail")));
    }
    plans
}

/// A step that reads a table from end to end. Lists that a call brings along do not count.
fn scans(step: &&String) -> bool {
    step.starts_with("SCAN") && !["VIRTUAL TABLE", "USING", "CONSTANT"].iter().any(|with| step.contains(with))
}

/// A step that scans or sorts.
fn is_poor(step: &&String) -> bool {
    scans(step) || step.contains("ORDER BY")
}

/// Fills a user's memory with 20,000 events of two gists each, and as many rows of what is forgotten some day.
const FILL: &str = "
    INSERT INTO users VALUES ('p', x'01', x'02', 0, NULL, 0, 0);
    CREATE TEMP TABLE n AS WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
        SELECT n, randomblob(16) AS id FROM n;
    INSERT INTO events (project_id, user_id, event_id, data, created_at, updated_at)
        SELECT 'p', x'01', id, '{}', n / 3, n FROM n;
    INSERT INTO gists SELECT 'p', x'01', n.id, p.value, randomblob(16), 'text', NULL, NULL, '[]', n, n, NULL, NULL
        FROM n, json_each('[0, 1]') AS p;
    INSERT INTO blobs (project_id, user_id, blob_id, blob_type, tokens, payload, created_at)
        SELECT 'p', x'01', id, 'chat', 1, '{}', n / 3 FROM n;
    INSERT INTO applied_blobs SELECT 'p', x'01', id, id, n FROM n;
    INSERT INTO tombstones SELECT 'p', id, id, n, CASE WHEN n % 2 THEN n END FROM n;
    INSERT INTO recorded_answers SELECT 'p', x'01', id, 0, '{}', n FROM n;
    DROP TABLE n";

/// With empty tables and with full ones of which SQLite has statistics.
#[tokio::test]
async fn reads_go_by_an_index() {
    let folder = TempDir::new().unwrap();
    let database = open(&folder).await;
    let reads = [
        events::EVENTS,
        events::GISTS,
        vectors::VECTORS,
        vectors::PUT,
        blobs::BLOB_IDS,
        flushes::APPLIED,
        flushes::DEAD,
        slots::SLOTS,
        users::PURGE_ORDERS,
    ];
    for fill in ["", FILL, "ANALYZE"] {
        run(&database, fill).await;
        for sql in reads.into_iter().chain(upkeep::FORGET).chain(vectors::UNEMBEDDED) {
            let plan = plans(folder.path(), sql).await;
            assert_eq!(plan.iter().find(is_poor), None, "{sql}\n{plan:#?}");
        }
        // Sorts what the call brought along, and no more.
        let plan = plans(folder.path(), appends::KNOWN).await;
        assert_eq!(plan.iter().find(scans), None, "{plan:#?}");
    }
}
