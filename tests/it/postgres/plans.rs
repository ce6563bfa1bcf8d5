//! The statements go by an index: with full tables, nothing is read from end to end.

use std::time::Instant;

use memory::blob::{BlobType, NewBlob};
use memory::event::EventTag;
use memory::ids::{BlobId, ClaimToken, EventId};
use memory::ports::ProjectStatus::Active;
use memory::ports::{
    Adoption, Clock, EventFilter, Holding, Legacy, NewVector, Page, Project, ProjectAdoption, Release, Reseal, Setback,
    Standing, SystemClock, Take, Taken, Vectors as _,
};
use memory::quota::TokenQuota;
use sqlx::raw_sql;

use super::sharing::{chat, commit};
use super::*;

/// Rows in each table, 20,000 in all: every fortieth is of the test's user, each other of somebody else. `FEW` are those of
/// the test's user and of some others.
const FEW: &str = "CREATE TEMP VIEW which AS SELECT n FROM generate_series(1, 20000) AS n WHERE n % 40 = 0 OR n < 100";
const REST: &str = "CREATE OR REPLACE TEMP VIEW which AS
    SELECT n FROM generate_series(1, 20000) AS n WHERE n % 40 <> 0 AND n >= 100";
const FILL: &str = "CREATE TEMP TABLE n AS SELECT n, gen_random_uuid() AS id,
        CASE WHEN n % 40 = 0 THEN '00000000-0000-4000-8000-000000000001'::uuid ELSE gen_random_uuid() END AS user_id
        FROM which;
    INSERT INTO users SELECT DISTINCT ON (user_id) 'it', user_id, user_id, 0, NULL, 0, 0 FROM n;
    INSERT INTO profile_slots SELECT 'it', user_id, id, 'topic', 'sub', 'memo', '{}', 1, n, n FROM n;
    INSERT INTO slot_revisions (project_id, user_id, slot_id, entry, revision, action, author, topic, sub_topic,
        content, attributes, at) SELECT 'it', user_id, id, 1, 1, 'insert', 'client', 't', 's', 'm', '{}', n FROM n;
    INSERT INTO events (project_id, user_id, event_id, data, tags, created_at, updated_at)
        SELECT 'it', user_id, id, '{}', '{\"[\\\"mood\\\"]\"}', n / 3, n FROM n;
    INSERT INTO gists SELECT 'it', user_id, id, 0, id, 'text', NULL, NULL, '[]', n, n FROM n;
    INSERT INTO blobs (project_id, user_id, blob_id, blob_type, tokens, payload, created_at)
        SELECT 'it', user_id, id, 'chat', 1, '{}', n / 3 FROM n;
    INSERT INTO flushes SELECT 'it', user_id, id, 'dead', '{}', NULL, '{}', 0, 'v', n FROM n;
    INSERT INTO applied_blobs SELECT 'it', user_id, gen_random_uuid(), id, n FROM n;
    INSERT INTO dead_letters SELECT 'it', user_id, id, 'reason', n FROM n;
    INSERT INTO dead_letter_blobs SELECT 'it', user_id, id, 0, id, 'chat', 1, '{}', n FROM n;
    INSERT INTO tombstones SELECT 'it', user_id, id, n, CASE WHEN n % 2 = 0 THEN n END FROM n;
    INSERT INTO recorded_answers SELECT 'it', user_id, id, 0, '{}', n FROM n;
    INSERT INTO adopted_rows SELECT 'it', user_id, id FROM n;
    INSERT INTO adopted_projects SELECT 'p' || n, 'there' FROM n;
    INSERT INTO projects (project_id, status, created_at, updated_at) SELECT 'p' || n, 'active', n, n FROM n;
    INSERT INTO projects (project_id, status, created_at, updated_at) VALUES ('it', 'active', 0, 0) ON CONFLICT DO NOTHING;
    INSERT INTO journal_owners SELECT DISTINCT 'it', user_id, user_id FROM n;
    INSERT INTO journal_buffers SELECT 'it', user_id, user_id, 'chat', max(n), count(*), count(*), min(n)
        FROM n GROUP BY user_id;
    INSERT INTO journal_entries SELECT 'it', user_id, user_id, id, 'chat', n, NULL, 1, n, '{}' FROM n;
    INSERT INTO journal_batches SELECT 'it', id, id, id, 'chat', NULL, n, 0, 0, FALSE FROM n;
    DROP TABLE n";

fn id<T>(of: impl Fn(Uuid) -> T) -> T {
    of(SystemIds.random())
}

/// All that is called often, of the store.
async fn use_store(store: &PostgresStore, owner: &Owner) {
    let (key, now, page) = (&owner.key, SystemClock.now(), Page { offset: 100, limit: 10 });
    assert!(store.user(key).await.unwrap().is_some());
    let revision = store.revision(key).await.unwrap().unwrap().1;
    assert_eq!(store.profile(key).await.unwrap().unwrap().slots.len(), 500);
    assert_eq!(store.gists(key, 50).await.unwrap().unwrap().1.len(), 50);
    let tag = EventTag { tag: "mood".into(), value: "glad".into() };
    for filter in [
        EventFilter { limit: 10, ..EventFilter::default() },
        EventFilter { limit: 10, since: Some(now), tags: vec!["mood".into()], tag_values: vec![tag] },
    ] {
        store.events(key, &filter).await.unwrap();
    }
    assert_eq!(store.blob_ids(key, BlobType::Chat, page).await.unwrap().len(), 10);
    assert!(store.blob(key, id(BlobId)).await.unwrap().is_none());
    let plan = commit(owner, id(BlobId), revision);
    assert_eq!(store.commit(&plan).await.unwrap(), memory::ports::CommitReply::Done);
    let event = store.event(key, plan.event.as_ref().unwrap().0.id).await.unwrap().unwrap();
    store.replace_event(key, &event.0, &event.1, event.2).await.unwrap();
    assert!(store.delete_event(key, event.0.id).await.unwrap());
    assert!(store.event(key, id(EventId)).await.unwrap().is_none());
    assert!(store.flush(key, plan.flush_id).await.unwrap().is_some());
    assert!(store.answer(key, plan.flush_id, 0).await.unwrap().is_none());
    for user in [None, Some(key.user)] {
        let heads = store.dead_letters(&key.project, user, page).await.unwrap();
        assert_eq!(heads.len(), 10);
        assert!(store.dead_letter(key, heads[0].flush_id).await.unwrap().is_some() || user.is_none());
    }
    assert_eq!(store.unembedded("model/2", now, 10).await.unwrap().len(), 10);
    let gist = &store.gists(key, 1).await.unwrap().unwrap().1[0];
    let vector = memory::search::Vector::of(&[1.0, 0.5]);
    let new = NewVector { user: key.user, event_id: gist.event_id, gist_id: gist.id, vector };
    store.put_vectors("model/2", &key.project, &[new], 1, now).await.unwrap();
    assert_eq!(store.vectors(key, "model/2", 10).await.unwrap().len(), 1);
    let head = &store.dead_letters(&key.project, Some(key.user), page).await.unwrap()[0];
    assert!(store.drop_dead_letter(key, head.flush_id, now).await.unwrap());
    assert!(!store.delete_blob(key, id(BlobId), now).await.unwrap());
    assert!(!store.delete_slot(key, id(SlotId), now).await.unwrap());
    assert_eq!(store.purge_orders(10).await.unwrap().len(), 10);
    assert!(!store.is_buried(owner).await.unwrap());
    let heir = super::owner();
    let events = vec![commit(&heir, id(BlobId), 0).event.unwrap()];
    let (slots, blobs) = (Vec::new(), Vec::new());
    let legacy = Legacy { data: None, created_at: now, updated_at: now, slots, events, blobs };
    for new in [1, 0] {
        let adoption = store.adopt(&heir.key, heir.incarnation, &legacy, now).await.unwrap();
        assert!(matches!(adoption, Adoption::Done { ids, .. } if ids.len() == new));
    }
    assert!(store.forget_before(now, 100).await.unwrap() > 0);
}

/// And of the projects, what an import does.
async fn use_projects(projects: &dyn Projects) {
    let (id, status, token_quota) = (ProjectId::from(Uuid::new_v4().to_string().as_str()), Active, TokenQuota::Unset);
    let (created_at, updated_at) = (SystemClock.now(), SystemClock.now());
    let project = Project { id, status, token: None, profile_config: None, token_quota, created_at, updated_at };
    for wanted in [ProjectAdoption::New, ProjectAdoption::Here] {
        assert_eq!(projects.adopt_project(&project, "there", false).await.unwrap(), wanted);
    }
}

/// And of the journal.
async fn use_journal(journal: &dyn Journal, owner: &Owner) {
    let hour = Duration::from_secs(3600);
    journal.append(owner, &chat()).await.unwrap();
    let fresh = super::owner();
    journal.append(&fresh, &NewBlob { tokens: 1, ..chat() }).await.unwrap();
    assert_eq!(journal.due(hour, None, 10).await.unwrap().len(), 10);
    let since = journal.due(hour, None, 10).await.unwrap()[9].0;
    assert_eq!(journal.due(hour, Some(since), 10).await.unwrap().len(), 10);
    assert_eq!(journal.owners(None, 10).await.unwrap().len(), 10);
    assert_eq!(journal.levels(owner).await.unwrap().len(), 1);
    let take = Take {
        blob_type: BlobType::Chat,
        flush_id: id(FlushId),
        token: id(ClaimToken),
        lease: hour,
        max_tokens: 1000,
        max_blobs: 20,
        ignore_backoff: false,
    };
    let Taken::Batch(batch, _) = journal.take(owner, &take).await.unwrap() else { panic!("no batch") };
    assert!(journal.renew(owner, batch.flush_id, take.token, hour).await.unwrap());
    let reseal = Reseal {
        flush_id: batch.flush_id,
        new_flush_id: id(FlushId),
        drop: vec![batch.entries[0].blob.id],
        token: Some(take.token),
    };
    assert!(journal.reseal(owner, &reseal).await.unwrap());
    assert_eq!(journal.blob_ids(owner, BlobType::Chat, Standing::Sealed).await.unwrap().len(), 19);
    let release = Release { retry_in: hour, setback: Setback::Failure };
    assert!(journal.release(owner, reseal.new_flush_id, take.token, release).await.unwrap());
    journal.discard(owner, reseal.new_flush_id).await.unwrap();
    assert!(journal.blob(owner, id(BlobId)).await.unwrap().is_none());
    journal.remove(owner, batch.entries[1].blob.id).await.unwrap();
    assert_ne!(journal.holding(&fresh).await.unwrap(), Holding::default());
    journal.purge(&fresh).await.unwrap();
}

/// The tables that were read from end to end so far, by whole statements or checks of references; and the indexes of which
/// more than half was read, which a statement without an index of its own does instead. Two are left out: `due` reads all
/// buffers here, since each waits behind a batch, and a letter is looked for among those of its user.
async fn scanned(conn: &mut PgConnection) -> Vec<(String, i64)> {
    let sql = "SELECT relname::text, seq_scan FROM pg_stat_user_tables
        WHERE relname NOT IN ('meta', '_sqlx_migrations') AND seq_scan > 0
        UNION ALL SELECT indexrelname::text, idx_tup_read FROM pg_stat_user_indexes
        WHERE indexrelname NOT IN ('journal_buffers_by_age', 'dead_letter_blobs_project_id_user_id_blob_id_key')
            AND idx_tup_read > 12000 ORDER BY 1";
    sqlx::query_as(sql).fetch_all(conn).await.unwrap()
}

async fn nobody_else(conn: &mut PgConnection) -> bool {
    let sql = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    sqlx::query_scalar::<_, i64>(sql).fetch_one(conn).await.unwrap() == 0
}

async fn assert_nothing_scanned(conn: &mut PgConnection, when: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !nobody_else(conn).await {
        assert!(Instant::now() < deadline, "the sessions do not end");
    }
    assert_eq!(scanned(conn).await, [], "{when}");
}

/// Without statistics and with them, and with plans that were made while the tables were small.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_go_by_an_index() {
    let place = TestDatabase::new().await;
    open(&place.url()).await.close().await;
    let mut conn = PgConnection::connect(&place.url()).await.unwrap();
    let user = Uuid::from_u128(0x4000_8000_0000_0000_0001);
    let key = UserKey { project: ProjectId::from("it"), user: UserId(user) };
    let owner = Owner { key, incarnation: Incarnation(user) };
    let use_all = async |database: &Arc<PostgresDatabase>| {
        use_store(&PostgresStore::new(Arc::clone(database)), &owner).await;
        use_projects(&PostgresStore::new(Arc::clone(database))).await;
        use_journal(&PostgresJournal::new(Arc::clone(database)), &owner).await;
    };

    raw_sql(FEW).execute(&mut conn).await.unwrap();
    raw_sql(FILL).execute(&mut conn).await.unwrap();
    let options = PostgresOptions { max_connections: 1, ..PostgresOptions::default() };
    let database = PostgresDatabase::connect(&place.url(), &options).await.unwrap();
    use_all(&database).await;
    raw_sql(REST).execute(&mut conn).await.unwrap();
    raw_sql(FILL).execute(&mut conn).await.unwrap();
    raw_sql("SELECT pg_stat_reset()").execute(&mut conn).await.unwrap();
    use_all(&database).await;
    // A session hands in its counts when it ends at the latest.
    database.close().await;
    assert_nothing_scanned(&mut conn, "with the plans of small tables").await;

    for statistics in ["SELECT 1", "ANALYZE"] {
        raw_sql(statistics).execute(&mut conn).await.unwrap();
        raw_sql("SELECT pg_stat_reset()").execute(&mut conn).await.unwrap();
        let database = open(&place.url()).await;
        use_all(&database).await;
        database.close().await;
        assert_nothing_scanned(&mut conn, statistics).await;
    }
    let store = PostgresStore::new(open(&place.url()).await);
    assert!(store.delete_user(&owner.key, SystemClock.now()).await.unwrap().is_some());
}
