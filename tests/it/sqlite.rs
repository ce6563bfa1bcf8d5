//! The embedded store and journal against their contracts, and over a reopening.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use memory::blob::{BlobType, NewBlob};
use memory::event::Source;
use memory::ids::{
    BlobId, ClaimToken, FlushId, IdSource, Incarnation, Owner, ProjectId, SlotId, SystemIds, UserId, UserKey,
};
use memory::ports::{Clock, Journal, JournalError, Projects, Release, Setback, Standing, Store, Take, Taken, Vectors};
use memory::testing::ManualClock;
use memory::testing::journal_contract::JournalHarness;
use memory::testing::projects_contract::ProjectsHarness;
use memory::testing::store_contract::StoreHarness;
use powermemo::journal::sqlite::SqliteJournal;
use powermemo::store::sqlite::{SqliteDatabase, SqliteOptions, SqliteStore};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;

mod journal {
    memory::journal_contract_tests!(super::fresh);
}

mod store {
    memory::store_contract_tests!(super::fresh);
}

mod projects {
    memory::projects_contract_tests!(super::fresh);
}

/// A database in a folder that goes with it.
struct Embedded {
    database: Arc<SqliteDatabase>,
    clock: Arc<ManualClock>,
    folder: TempDir,
}

async fn fresh() -> Embedded {
    let folder = TempDir::new().unwrap();
    let database = open(folder.path()).await;
    Embedded { database, clock: Arc::new(ManualClock::new()), folder }
}

async fn open(folder: &Path) -> Arc<SqliteDatabase> {
    SqliteDatabase::open(folder, &SqliteOptions::default()).await.unwrap()
}

impl Embedded {
    fn store(&self) -> SqliteStore {
        SqliteStore::new(Arc::clone(&self.database))
    }

    fn journal(&self) -> SqliteJournal {
        SqliteJournal::new(Arc::clone(&self.database), Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    async fn reopened(self) -> Self {
        self.database.close().await.unwrap();
        Self { database: open(self.folder.path()).await, ..self }
    }

    async fn connect(&self) -> SqliteConnection {
        let file = self.folder.path().join("powermemo.db");
        SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap()
    }
}

#[async_trait]
impl JournalHarness for Embedded {
    fn journal(&self) -> Arc<dyn Journal> {
        Arc::new(Self::journal(self))
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn admit(&self, _owner: &Owner) {}
}

impl ProjectsHarness for Embedded {
    fn projects(&self) -> Arc<dyn Projects> {
        Arc::new(Self::store(self))
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(Self::store(self))
    }
}

#[async_trait]
impl StoreHarness for Embedded {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(Self::store(self))
    }

    fn vectors(&self) -> Arc<dyn Vectors> {
        Arc::new(Self::store(self))
    }

    fn projects(&self) -> Arc<dyn Projects> {
        Arc::new(Self::store(self))
    }

    async fn rows_of(&self, key: &UserKey) -> u64 {
        let mut conn = self.connect().await;
        let mut rows = 0;
        for sql in [
            "SELECT count(*) FROM users WHERE project_id = ?1 AND user_id = ?2",
            "SELECT count(*) FROM profile_slots WHERE project_id = ?1 AND user_id = ?2",
            "SELECT count(*) FROM slot_revisions WHERE project_id = ?1 AND user_id = ?2",
            "SELECT count(*) FROM events WHERE project_id = ?1 AND user_id = ?2",
            "SELECT count(*) FROM gists WHERE project_id = ?1 AND user_id = ?2",
            "SELECT count(*) FROM blobs WHERE project_id = ?1 AND user_id = ?2",
            "SELECT count(*) FROM flushes WHERE project_id = ?1 AND user_id = ?2",
            "SELECT count(*) FROM applied_blobs WHERE project_id = ?1 AND user_id = ?2",
            "SELECT count(*) FROM dead_letters WHERE project_id = ?1 AND user_id = ?2",
            "SELECT count(*) FROM dead_letter_blobs WHERE project_id = ?1 AND user_id = ?2",
            "SELECT count(*) FROM recorded_answers WHERE project_id = ?1 AND user_id = ?2",
            "SELECT count(*) FROM adopted_rows WHERE project_id = ?1 AND user_id = ?2",
        ] {
            let count = sqlx::query_scalar::<_, u32>(sql).bind(key.project.as_str().to_owned()).bind(key.user.0);
            rows += u64::from(count.fetch_one(&mut conn).await.unwrap());
        }
        rows
    }

    async fn history_of(&self, key: &UserKey) -> Vec<(SlotId, String, Option<FlushId>, String)> {
        let sql = "SELECT slot_id, action, flush_id, content FROM slot_revisions
            WHERE project_id = ?1 AND user_id = ?2 ORDER BY rowid";
        let select = sqlx::query_as(sql).bind(key.project.as_str().to_owned()).bind(key.user.0);
        let rows: Vec<(Uuid, String, Option<Uuid>, String)> =
            select.fetch_all(&mut self.connect().await).await.unwrap();
        rows.into_iter().map(|(slot, action, flush, memo)| (SlotId(slot), action, flush.map(FlushId), memo)).collect()
    }

    async fn sources_in_history_of(&self, key: &UserKey) -> Vec<Vec<Source>> {
        let sql = "SELECT sources FROM slot_revisions WHERE project_id = ?1 AND user_id = ?2 ORDER BY rowid";
        let select = sqlx::query_scalar(sql).bind(key.project.as_str().to_owned()).bind(key.user.0);
        let rows: Vec<String> = select.fetch_all(&mut self.connect().await).await.unwrap();
        rows.iter().map(|sources| serde_json::from_str(sources).unwrap()).collect()
    }
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
        max_tokens: 10,
        max_blobs: 10,
        ignore_backoff: false,
    }
}

#[tokio::test]
async fn a_reopening_keeps_everything() {
    let embedded = fresh().await;
    let (owner, blobs) = (owner(), [blob(), blob()]);
    assert!(embedded.store().create_user(&owner.key, owner.incarnation, None, embedded.clock.now()).await.unwrap());
    for blob in &blobs {
        embedded.journal().append(&owner, blob).await.unwrap();
    }
    let user = embedded.store().user(&owner.key).await.unwrap();
    let levels = embedded.journal().levels(&owner).await.unwrap();

    let embedded = embedded.reopened().await;
    assert_eq!(embedded.store().user(&owner.key).await.unwrap(), user);
    assert_eq!(embedded.journal().levels(&owner).await.unwrap(), levels);
    let ids = embedded.journal().blob_ids(&owner, BlobType::Summary, Standing::Waiting).await.unwrap();
    assert_eq!(ids, blobs.each_ref().map(|blob| blob.id));
    let entry = embedded.journal().blob(&owner, blobs[1].id).await.unwrap().unwrap();
    assert_eq!((entry.seq, &entry.blob), (2, &blobs[1]));
}

#[tokio::test]
async fn a_reopening_breaks_claims_but_no_waits() {
    let embedded = fresh().await;
    let (claimed, waiting) = (owner(), owner());
    for owner in [&claimed, &waiting] {
        embedded.journal().append(owner, &blob()).await.unwrap();
    }
    let dead = take();
    assert!(matches!(embedded.journal().take(&claimed, &dead).await.unwrap(), Taken::Batch(..)));
    let failed = take();
    assert!(matches!(embedded.journal().take(&waiting, &failed).await.unwrap(), Taken::Batch(..)));
    let release = Release { retry_in: Duration::from_secs(60), setback: Setback::Failure };
    assert!(embedded.journal().release(&waiting, failed.flush_id, failed.token, release).await.unwrap());

    let embedded = embedded.reopened().await;
    let due = embedded.journal().due(Duration::from_secs(3600), None, 10).await.unwrap();
    assert_eq!(due.iter().map(|(_, due)| &due.owner).collect::<Vec<_>>(), [&claimed]);
    assert!(!embedded.journal().renew(&claimed, dead.flush_id, dead.token, dead.lease).await.unwrap());
    let Taken::Batch(batch, _) = embedded.journal().take(&claimed, &take()).await.unwrap() else { panic!() };
    assert_eq!((batch.flush_id, batch.entries.len()), (dead.flush_id, 1));
    assert!(matches!(embedded.journal().take(&waiting, &take()).await.unwrap(), Taken::Busy { .. }));
}

#[tokio::test]
async fn a_deleted_user_is_refused_by_the_journal_at_once() {
    let embedded = fresh().await;
    let owner = owner();
    let now = embedded.clock.now();
    let blob = blob();
    embedded.store().create_user(&owner.key, owner.incarnation, None, now).await.unwrap();
    embedded.journal().append(&owner, &blob).await.unwrap();
    embedded.store().delete_user(&owner.key, now).await.unwrap();
    let refused = embedded.journal().append(&owner, &blob).await;
    assert!(matches!(refused, Err(JournalError::OwnerGone)));
    embedded.journal().purge(&owner).await.unwrap();
    assert_eq!(embedded.store().purge_orders(10).await.unwrap(), [owner]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_appends_share_transactions() {
    let embedded = fresh().await;
    let owner = owner();
    let mut appends = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (journal, owner) = (embedded.journal(), owner.clone());
        appends.spawn(async move { journal.append(&owner, &blob()).await.unwrap().seq });
    }
    let mut seqs = appends.join_all().await;
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=1000).collect::<Vec<u64>>());
    let commits = embedded.database.writer_stats().commits;
    assert!(commits < 250, "{commits} commits");
}
