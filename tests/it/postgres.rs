//! The store and journal in Postgres against their contracts, and what only a server can do to them.

mod changes;
mod commits;
mod groups;
mod outages;
mod plans;
mod sharing;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use memory::event::Source;
use memory::ids::{FlushId, IdSource, Incarnation, Owner, ProjectId, SlotId, SystemIds, UserId, UserKey};
use memory::ports::{Journal, Projects, Store, Vectors};
use memory::testing::journal_contract::JournalHarness;
use memory::testing::projects_contract::ProjectsHarness;
use memory::testing::store_contract::StoreHarness;
use powermemo::journal::postgres::PostgresJournal;
use powermemo::store::postgres::{PostgresDatabase, PostgresOptions, PostgresStore};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::services::postgres::TestDatabase;

mod journal {
    memory::journal_contract_tests!(super::fresh);
}

mod store {
    memory::store_contract_tests!(super::fresh);
}

mod projects {
    memory::projects_contract_tests!(super::fresh);
}

/// A database of its own, open.
struct Shared {
    database: Arc<PostgresDatabase>,
    /// How far the journal's clock is ahead, in microseconds.
    ahead: Arc<AtomicI64>,
    place: TestDatabase,
}

async fn fresh() -> Shared {
    let place = TestDatabase::new().await;
    let database = open(&place.url()).await;
    Shared { database, ahead: Arc::default(), place }
}

async fn open(url: &str) -> Arc<PostgresDatabase> {
    PostgresDatabase::connect(url, &PostgresOptions::default()).await.unwrap()
}

impl Shared {
    fn store(&self) -> PostgresStore {
        PostgresStore::new(Arc::clone(&self.database))
    }

    fn journal(&self) -> PostgresJournal {
        PostgresJournal::ahead_of_clock(Arc::clone(&self.database), Arc::clone(&self.ahead))
    }

    async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.place.url()).await.unwrap()
    }
}

#[async_trait]
impl JournalHarness for Shared {
    fn journal(&self) -> Arc<dyn Journal> {
        Arc::new(Self::journal(self))
    }

    async fn advance(&self, by: Duration) {
        self.ahead.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
    }

    async fn admit(&self, _owner: &Owner) {}
}

impl ProjectsHarness for Shared {
    fn projects(&self) -> Arc<dyn Projects> {
        Arc::new(Self::store(self))
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(Self::store(self))
    }
}

#[async_trait]
impl StoreHarness for Shared {
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
        let sql = "SELECT (SELECT count(*) FROM users WHERE project_id = $1 AND user_id = $2)
            + (SELECT count(*) FROM profile_slots WHERE project_id = $1 AND user_id = $2)
            + (SELECT count(*) FROM slot_revisions WHERE project_id = $1 AND user_id = $2)
            + (SELECT count(*) FROM events WHERE project_id = $1 AND user_id = $2)
            + (SELECT count(*) FROM gists WHERE project_id = $1 AND user_id = $2)
            + (SELECT count(*) FROM blobs WHERE project_id = $1 AND user_id = $2)
            + (SELECT count(*) FROM flushes WHERE project_id = $1 AND user_id = $2)
            + (SELECT count(*) FROM applied_blobs WHERE project_id = $1 AND user_id = $2)
            + (SELECT count(*) FROM dead_letters WHERE project_id = $1 AND user_id = $2)
            + (SELECT count(*) FROM dead_letter_blobs WHERE project_id = $1 AND user_id = $2)
            + (SELECT count(*) FROM recorded_answers WHERE project_id = $1 AND user_id = $2)
            + (SELECT count(*) FROM adopted_rows WHERE project_id = $1 AND user_id = $2)";
        let count = sqlx::query_scalar::<_, i64>(sql).bind(key.project.as_str().to_owned()).bind(key.user.0);
        u64::try_from(count.fetch_one(&mut self.connect().await).await.unwrap()).unwrap()
    }

    async fn history_of(&self, key: &UserKey) -> Vec<(SlotId, String, Option<FlushId>, String)> {
        let sql = "SELECT slot_id, action, flush_id, content FROM slot_revisions
            WHERE project_id = $1 AND user_id = $2 ORDER BY place";
        let select = sqlx::query_as(sql).bind(key.project.as_str().to_owned()).bind(key.user.0);
        let rows: Vec<(Uuid, String, Option<Uuid>, String)> =
            select.fetch_all(&mut self.connect().await).await.unwrap();
        rows.into_iter().map(|(slot, action, flush, memo)| (SlotId(slot), action, flush.map(FlushId), memo)).collect()
    }

    async fn sources_in_history_of(&self, key: &UserKey) -> Vec<Vec<Source>> {
        let sql = "SELECT sources FROM slot_revisions WHERE project_id = $1 AND user_id = $2 ORDER BY place";
        let select = sqlx::query_scalar(sql).bind(key.project.as_str().to_owned()).bind(key.user.0);
        let rows: Vec<String> = select.fetch_all(&mut self.connect().await).await.unwrap();
        rows.iter().map(|sources| serde_json::from_str(sources).unwrap()).collect()
    }
}

fn owner() -> Owner {
    let key = UserKey { project: ProjectId::from("it"), user: UserId(SystemIds.random()) };
    Owner { key, incarnation: Incarnation(SystemIds.random()) }
}
