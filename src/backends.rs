//! Which store, which journal, and how processes on the same ones hear of each other: chosen here, from the configuration.

mod embedded;
mod move_journal;
mod notes;
mod place;
mod relay;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use memory::ports::{Alone, ChangeFeed, Journal, Projects, Store, SystemClock, Vectors};
use secrecy::ExposeSecret;

use crate::changes::postgres::PostgresChanges;
use crate::changes::redis::RedisChanges;
use crate::config::{Config, ReadConsistency};
use crate::journal::postgres::PostgresJournal;
use crate::journal::redis::{Durability, RedisDatabase, RedisJournal, RedisOptions};
use crate::journal::sqlite::SqliteJournal;
use crate::store::postgres::{PostgresDatabase, PostgresOptions, PostgresStore, Presence};
use crate::store::sqlite::{SqliteDatabase, SqliteOptions, SqliteStore};

pub(crate) use embedded::left_behind;
pub use move_journal::move_journal;
pub(crate) use notes::Notes;
pub use place::{JournalPlace, PlaceError};
pub use relay::Relay;

/// How old cached memory may become before it is compared with the store, where other processes may change it: their
/// changes are told at once, so this is for the change whose teller died before it told.
const RELAXED_TRUST: Duration = Duration::from_secs(30);
/// How much longer than for a connection a call may take, whatever becomes of the network.
const CALL_SLACK: Duration = Duration::from_secs(15);

/// The database of the store, open.
#[derive(Clone)]
pub enum Database {
    /// One file, for this process alone.
    Sqlite(Arc<SqliteDatabase>),
    /// A server, for any number of processes.
    Postgres(Arc<PostgresDatabase>),
}

impl Database {
    /// Opens the database that the configuration names, and brings its tables up to date.
    ///
    /// # Errors
    /// When it cannot be used.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let Some(url) = &config.database_url else {
            return Ok(Self::Sqlite(SqliteDatabase::open(&config.data_dir, &SqliteOptions::default()).await?));
        };
        let defaults = PostgresOptions::default();
        let options = PostgresOptions {
            max_connections: config.database_max_connections,
            acquire_timeout: config.database_acquire_timeout,
            call_timeout: defaults.call_timeout.max(config.database_acquire_timeout + CALL_SLACK),
            ..defaults
        };
        Ok(Self::Postgres(PostgresDatabase::connect(url.expose_secret(), &options).await?))
    }

    /// Opens it for a command that does not mind whether a server works with it.
    ///
    /// # Errors
    /// When it cannot be used.
    pub async fn open_beside(config: &Config) -> anyhow::Result<Self> {
        if config.database_url.is_none() {
            return Ok(Self::Sqlite(SqliteDatabase::open_beside(&config.data_dir, &SqliteOptions::default()).await?));
        }
        Self::open(config).await
    }

    /// The store in it.
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(database) => Arc::new(SqliteStore::new(database.clone())),
            Self::Postgres(database) => Arc::new(PostgresStore::new(database.clone())),
        }
    }

    /// The projects in it.
    pub fn projects(&self) -> Arc<dyn Projects> {
        match self {
            Self::Sqlite(database) => Arc::new(SqliteStore::new(database.clone())),
            Self::Postgres(database) => Arc::new(PostgresStore::new(database.clone())),
        }
    }

    /// The vectors of its gists.
    pub fn vectors(&self) -> Arc<dyn Vectors> {
        match self {
            Self::Sqlite(database) => Arc::new(SqliteStore::new(database.clone())),
            Self::Postgres(database) => Arc::new(PostgresStore::new(database.clone())),
        }
    }

    /// The journal in it.
    pub fn journal(&self) -> Arc<dyn Journal> {
        match self {
            Self::Sqlite(database) => Arc::new(SqliteJournal::new(database.clone(), Arc::new(SystemClock))),
            Self::Postgres(database) => Arc::new(PostgresJournal::new(database.clone())),
        }
    }

    /// What to call it, for people.
    pub fn target(&self, config: &Config) -> String {
        match self {
            Self::Sqlite(_) => {
                let folder = std::fs::canonicalize(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
                folder.display().to_string()
            }
            Self::Postgres(database) => format!("Postgres at {}", database.target()),
        }
    }

    /// Does what is under way and lets go.
    ///
    /// # Errors
    /// When SQLite could not fold its log in. Nothing is lost then.
    pub async fn close(&self) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(database) => database.close().await.context("the database could not be closed")?,
            Self::Postgres(database) => database.close().await,
        }
        Ok(())
    }
}

/// Opens the Redis that the configuration names, if it names one.
///
/// # Errors
/// When it cannot be used.
pub async fn open_redis(config: &Config) -> anyhow::Result<Option<Arc<RedisDatabase>>> {
    open_redis_within(config, RedisOptions::default().open_timeout).await
}

/// As [`open_redis`], and waits no longer than this for one that is not there.
pub(crate) async fn open_redis_within(
    config: &Config,
    open_timeout: Duration,
) -> anyhow::Result<Option<Arc<RedisDatabase>>> {
    let Some(url) = &config.redis_url else { return Ok(None) };
    let defaults = RedisOptions::default();
    let options = RedisOptions {
        prefix: config.redis_key_prefix.clone(),
        open_timeout,
        response_timeout: defaults.response_timeout.min(config.redis_timeout),
        call_timeout: config.redis_timeout,
        tombstone_retention: config.applied_blobs_retention(),
        ..defaults
    };
    Ok(Some(RedisDatabase::open(url.expose_secret(), options).await?))
}

/// All that a server works on.
pub struct Backends {
    /// The store's database.
    pub database: Database,
    /// The system of record.
    pub store: Arc<dyn Store>,
    /// The projects in it.
    pub projects: Arc<dyn Projects>,
    /// The durable mirror of the buffers.
    pub journal: Arc<dyn Journal>,
    /// Tells the other processes.
    pub changes: Arc<dyn ChangeFeed>,
    /// Brings what the others tell.
    pub relay: Relay,
    /// How long cached memory is trusted: see [`actors::EngineSettings::cache_trust`].
    pub cache_trust: Duration,
    /// Where everything is, for people: a line for the store, one for the journal.
    pub places: [String; 2],
    /// Where the journal is, if that is not in the database.
    redis: Option<Arc<RedisDatabase>>,
    /// Keeps commands that need the database for themselves away.
    presence: Option<Presence>,
}

impl Backends {
    /// Opens everything. To be called on the runtime that will do the work.
    ///
    /// # Errors
    /// When a part cannot be used, or store and journal do not belong together.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let database = Database::open(config).await?;
        embedded::warn(config, &database).await;
        let presence = announce(&database).await?;
        let redis = open_redis(config).await?;
        place::settle(&database, redis.as_deref(), presence.as_ref()).await?;
        let relay = Relay::new();
        let shared = matches!(database, Database::Postgres(_));
        let changes: Arc<dyn ChangeFeed> = match (&database, &redis) {
            (Database::Sqlite(_), _) => Arc::new(Alone),
            (Database::Postgres(_), Some(redis)) => Arc::new(RedisChanges::start(redis, relay.on_change())),
            (Database::Postgres(database), None) => Arc::new(PostgresChanges::start(database, relay.on_change())),
        };
        let mut places = [database.target(config), "in the store".to_owned()];
        if let Some(redis) = &redis {
            let durability = redis.durability().await?;
            check_durability(config, &durability)?;
            places[1] = durability.to_string();
            tokio::spawn(place::watch(redis.clone(), database.journal_id().await?));
        }
        let cache_trust = match config.read_consistency {
            _ if !shared => Duration::MAX,
            ReadConsistency::Relaxed => RELAXED_TRUST,
            ReadConsistency::Strict => Duration::ZERO,
        };
        let (store, projects) = (database.store(), database.projects());
        let journal: Arc<dyn Journal> = match &redis {
            Some(redis) => Arc::new(RedisJournal::new(redis.clone())),
            None => database.journal(),
        };
        Ok(Self { database, store, projects, journal, changes, relay, cache_trust, places, redis, presence })
    }
}

impl Backends {
    /// Lets go of everything, once the server has stopped. To be called before the runtime ends.
    ///
    /// # Errors
    /// See [`Database::close`].
    pub fn close(&self) -> impl Future<Output = anyhow::Result<()>> + use<> {
        let (database, redis) = (self.database.clone(), self.redis.clone());
        async move {
            if let Some(redis) = redis {
                redis.close();
            }
            database.close().await
        }
    }

    /// Ends when the server must stop, because a command has changed what it stands on.
    pub fn expelled(&self) -> impl Future<Output = ()> + use<> {
        let expelled = self.presence.as_ref().map(Presence::expelled);
        async move {
            match expelled {
                Some(expelled) => expelled.await,
                None => std::future::pending().await,
            }
        }
    }
}

async fn announce(database: &Database) -> anyhow::Result<Option<Presence>> {
    let Database::Postgres(database) = database else { return Ok(None) };
    let presence = database.announce_server().await?;
    let must = "a command that needs the database for itself is running on it; start the server when that has ended";
    Ok(Some(presence.context(must)?))
}

/// Says what a crash of Redis could lose, and refuses what the configuration refuses.
fn check_durability(config: &Config, durability: &Durability) -> anyhow::Result<()> {
    tracing::info!("the journal is in {durability}");
    let problem = durability.problem();
    if let Some(problem) = &problem {
        tracing::error!("{problem}");
    }
    if !config.buffer_require_persistence {
        return Ok(());
    }
    let must = "buffer_require_persistence is set, and";
    anyhow::ensure!(durability.appends, "{must} this Redis writes no append-only file: set appendonly yes in it");
    anyhow::ensure!(problem.is_none(), "{must} {}", problem.unwrap_or_default());
    Ok(())
}
