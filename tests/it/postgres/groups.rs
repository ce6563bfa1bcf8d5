//! Appends that go in one group: what one of them does to the others.
//!
//! On a runtime of one thread nothing is sent before the test waits: all that it asks for until then is one group.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use memory::blob::{BlobType, NewBlob};
use memory::ports::{Append, JournalError, Level};
use sqlx::raw_sql;

use super::outages::short;
use super::sharing::{chat, until};
use super::*;
use crate::services::postgres::Cluster;

/// Counts the statements that append, whatever becomes of them, and refuses blobs by their payload.
const TRIGGERS: &str = "
    CREATE SEQUENCE statements MINVALUE 0;
    CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM nextval('statements');
        RETURN NULL;
    END $$;
    CREATE TRIGGER counted BEFORE INSERT ON journal_entries FOR EACH STATEMENT EXECUTE FUNCTION count_statement();
    CREATE SEQUENCE breaks;
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.payload = 'refused' THEN
            RAISE EXCEPTION 'asked to' USING ERRCODE = 'check_violation';
        ELSIF NEW.payload = 'breaks once' AND nextval('breaks') = 1 THEN
            PERFORM pg_terminate_backend(pg_backend_pid());
            PERFORM pg_sleep(60);
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refused BEFORE INSERT ON journal_entries FOR EACH ROW EXECUTE FUNCTION refuse()";

type Appended = Result<Append, JournalError>;

async fn with_triggers() -> Shared {
    let shared = fresh().await;
    raw_sql(TRIGGERS).execute(&mut shared.connect().await).await.unwrap();
    raw_sql("SELECT nextval('statements')").execute(&mut shared.connect().await).await.unwrap();
    shared
}

/// The statements that have appended, or tried to.
async fn statements(shared: &Shared) -> i64 {
    let sql = "SELECT last_value FROM statements";
    sqlx::query_scalar(sql).fetch_one(&mut shared.connect().await).await.unwrap()
}

fn blob(payload: &str) -> NewBlob {
    NewBlob { payload: payload.into(), ..chat() }
}

/// Asks for all at once, which makes them one group.
async fn together(journal: &PostgresJournal, appends: &[(Owner, NewBlob)]) -> Vec<Appended> {
    join_all(appends.iter().map(|(owner, blob)| journal.append(owner, blob))).await
}

/// Begins something, and goes on before anything else is done on this thread.
async fn begin<F: Future>(mut work: Pin<&mut F>) {
    let pending = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_pending())).await;
    assert!(pending, "it is done already");
}

/// An owner holds these blobs, each once, and nothing else.
async fn assert_holds(journal: &PostgresJournal, owner: &Owner, blobs: &[&NewBlob]) {
    let mut held: Vec<NewBlob> = journal.holding(owner).await.unwrap().waiting.into_iter().map(|e| e.blob).collect();
    let mut wanted: Vec<NewBlob> = blobs.iter().map(|blob| (*blob).clone()).collect();
    held.sort_by_key(|blob| blob.id);
    wanted.sort_by_key(|blob| blob.id);
    assert_eq!(held, wanted);
    let blobs = u64::try_from(blobs.len()).unwrap();
    let level = Level { last_seq: blobs, blobs, tokens: 7 * blobs };
    assert_eq!(journal.levels(owner).await.unwrap(), [(BlobType::Chat, level)]);
}

/// Four owners with one blob each, and one more blob of the owner of `guilty`, which comes in the middle.
fn with_others(guilty: &(Owner, NewBlob)) -> Vec<(Owner, NewBlob)> {
    let mut appends: Vec<_> = (0..4).map(|_| (owner(), blob("good"))).collect();
    appends.insert(2, guilty.clone());
    appends.push((guilty.0.clone(), blob("good")));
    appends
}

#[tokio::test]
async fn appends_at_once_are_one_statement() {
    let shared = with_triggers().await;
    let (journal, appends) = (shared.journal(), with_others(&(owner(), blob("good"))));
    assert!(together(&journal, &appends).await.iter().all(Result::is_ok));
    assert_eq!(statements(&shared).await, 1);
    assert_holds(&journal, &appends[2].0, &[&appends[2].1, &appends[5].1]).await;
}

#[tokio::test]
async fn an_append_that_is_refused_does_no_harm_to_those_of_its_group() {
    let shared = with_triggers().await;
    let journal = shared.journal();
    let strange = Owner { key: UserKey { project: ProjectId::from("n\0"), ..owner().key }, ..owner() };
    // Refused at work; and before it begins, so that only the statements of the others count.
    for (guilty, counted) in [((owner(), blob("refused")), 1 + 6), ((strange, blob("good")), 4)] {
        let (before, appends) = (statements(&shared).await, with_others(&guilty));
        let done = together(&journal, &appends).await;
        for ((owner, blob), done) in appends.iter().zip(done) {
            if blob.payload == "refused" || owner.key.project.as_str().contains('\0') {
                assert!(matches!(done, Err(JournalError::Damaged(_))), "{done:?}");
            } else {
                let level = Level { last_seq: 1, blobs: 1, tokens: 7 };
                assert_eq!(done.unwrap(), Append { seq: 1, level });
                assert_holds(&journal, owner, &[blob]).await;
            }
        }
        assert_eq!(statements(&shared).await - before, counted);
    }
}

#[tokio::test]
async fn a_group_whose_connection_breaks_is_appended_once() {
    let shared = with_triggers().await;
    let (journal, guilty) = (shared.journal(), (owner(), blob("breaks once")));
    let appends = with_others(&guilty);
    assert!(together(&journal, &appends).await.iter().all(Result::is_ok));
    assert_eq!(statements(&shared).await, 1 + 6);
    for (owner, blob) in appends.iter().filter(|(owner, _)| *owner != guilty.0) {
        assert_holds(&journal, owner, &[blob]).await;
    }
    assert_holds(&journal, &guilty.0, &[&appends[2].1, &appends[5].1]).await;
}

#[tokio::test]
async fn an_append_that_is_late_when_its_turn_comes_is_not_done_any_more() {
    let shared = with_triggers().await;
    let (journal, late, next) = (shared.journal(), (owner(), chat()), (owner(), chat()));
    let mut being_late = pin!(journal.append(&late.0, &late.1));
    begin(being_late.as_mut()).await;
    tokio::time::pause();
    begin(pin!(tokio::time::advance(PostgresOptions::default().call_timeout + Duration::from_millis(1)))).await;
    tokio::time::resume();
    let (late_done, done) = tokio::join!(being_late, journal.append(&next.0, &next.1));
    assert!(matches!(late_done, Err(JournalError::Unavailable(_))), "{late_done:?}");
    assert_eq!(done.unwrap().seq, 1);
    assert_eq!(statements(&shared).await, 1);
    assert!(journal.blob(&late.0, late.1.id).await.unwrap().is_none());
}

#[tokio::test]
async fn while_postgres_is_away_all_of_a_group_are_told_so_by_one_try() {
    let mut cluster = Cluster::start().await;
    let database = PostgresDatabase::connect(&cluster.url(), &short()).await.unwrap();
    let (journal, appends) = (PostgresJournal::new(database), with_others(&(owner(), chat())));
    cluster.kill();
    let done = together(&journal, &appends).await;
    // Not that it is away already, which those would be told who tried again.
    let unreachable =
        |done: &Appended| matches!(done, Err(JournalError::Unavailable(why)) if why == "it cannot be reached");
    assert!(done.iter().all(unreachable), "{done:?}");
    cluster.run().await;
    until("it appends again", async || journal.append(&appends[0].0, &appends[0].1).await.is_ok()).await;
    assert!(together(&journal, &appends).await.iter().all(Result::is_ok));
    assert_holds(&journal, &appends[0].0, &[&appends[0].1]).await;
}

/// Limits that no test reaches.
pub(super) fn patient() -> PostgresOptions {
    let long = Duration::from_secs(120);
    let (statement_timeout, lock_timeout, call_timeout) = (long, long, 2 * long);
    PostgresOptions { statement_timeout, lock_timeout, call_timeout, ..PostgresOptions::default() }
}

/// Appends that must not have to wait for anybody.
async fn at_once(journal: &PostgresJournal, appends: &[(Owner, NewBlob)]) -> Vec<Appended> {
    let done = tokio::time::timeout(Duration::from_secs(20), together(journal, appends)).await;
    done.expect("somebody holds them up")
}

#[tokio::test]
async fn an_owner_that_another_holds_does_not_hold_up_the_others() {
    let shared = with_triggers().await;
    let journal = PostgresJournal::new(PostgresDatabase::connect(&shared.place.url(), &patient()).await.unwrap());
    let (held, blobs) = (owner(), [blob("good"), blob("good"), blob("refused"), blob("good")]);
    journal.append(&held, &blobs[0]).await.unwrap();
    let mut conn = shared.connect().await;
    let mut holder = conn.begin().await.unwrap();
    let sql = "SELECT FROM journal_owners WHERE user_id = $1 FOR UPDATE";
    sqlx::query(sql).bind(held.key.user.0).fetch_one(&mut *holder).await.unwrap();

    // In the group of others, and in a later one while the first waits.
    let mut first = pin!(journal.append(&held, &blobs[1]));
    begin(first.as_mut()).await;
    let others: Vec<_> = (0..4).map(|_| (owner(), blob("good"))).collect();
    assert!(at_once(&journal, &others).await.iter().all(Result::is_ok));
    begin(first.as_mut()).await;
    let mut later = [2, 3].map(|number| Box::pin(journal.append(&held, &blobs[number])));
    for waiting in &mut later {
        begin(waiting.as_mut()).await;
    }
    let others: Vec<_> = others.into_iter().map(|(owner, _)| (owner, blob("good"))).collect();
    assert!(at_once(&journal, &others).await.iter().all(Result::is_ok));
    for waiting in &mut later {
        begin(waiting.as_mut()).await;
    }

    holder.rollback().await.unwrap();
    assert!(first.await.is_ok());
    let [refused, good] = later;
    assert!(matches!(refused.await, Err(JournalError::Damaged(_))));
    assert!(good.await.is_ok());
    assert_holds(&journal, &held, &[&blobs[0], &blobs[1], &blobs[3]]).await;
}

#[tokio::test]
async fn an_owner_that_goes_while_it_is_held_is_gone() {
    let shared = with_triggers().await;
    let journal = PostgresJournal::new(PostgresDatabase::connect(&shared.place.url(), &patient()).await.unwrap());
    let held = owner();
    journal.append(&held, &blob("good")).await.unwrap();
    let mut conn = shared.connect().await;
    let mut holder = conn.begin().await.unwrap();
    let purge = "UPDATE journal_owners SET gone = TRUE WHERE user_id = $1";
    sqlx::query(purge).bind(held.key.user.0).execute(&mut *holder).await.unwrap();
    let late = blob("good");
    let mut waiting = pin!(journal.append(&held, &late));
    begin(waiting.as_mut()).await;
    assert!(at_once(&journal, &[(owner(), blob("good"))]).await[0].is_ok());
    begin(waiting.as_mut()).await;
    holder.commit().await.unwrap();
    assert!(matches!(waiting.await, Err(JournalError::OwnerGone)));
}

/// The third of three groups is not held up by the first: it waits a moment, and then goes on its way beside it.
#[tokio::test]
async fn a_group_that_takes_long_does_not_hold_up_the_next() {
    let shared = with_triggers().await;
    let journal = PostgresJournal::new(PostgresDatabase::connect(&shared.place.url(), &patient()).await.unwrap());
    let mut conn = shared.connect().await;
    raw_sql(
        "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.payload = 'hangs' THEN PERFORM pg_advisory_xact_lock(7); END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER hangs BEFORE INSERT ON journal_entries FOR EACH ROW EXECUTE FUNCTION hang();
        SELECT pg_advisory_lock(7)",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let (slow, hanging) = (owner(), blob("hangs"));
    let mut long = pin!(journal.append(&slow, &hanging));
    begin(long.as_mut()).await;
    tokio::task::yield_now().await;
    for _ in 0..2 {
        assert!(at_once(&journal, &[(owner(), blob("good"))]).await[0].is_ok());
    }
    begin(long.as_mut()).await;
    raw_sql("SELECT pg_advisory_unlock(7)").execute(&mut conn).await.unwrap();
    assert!(long.await.is_ok());
}
