//! Which processes work with a database: running servers, or one command that must have it for itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection, query_scalar};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::database::PostgresDatabase;
use super::error::DatabaseError;

/// The advisory lock of a database that says who works with it: an arbitrary number.
const LOCK: i64 = 0x706f_7765_726d_656d;
/// How often a server makes sure that it still has its lock.
const PERIOD: Duration = Duration::from_secs(1);
/// How long one look at the lock may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The sign that a server runs on a database, for as long as it lives. It has a connection of its own; when that
/// breaks, the sign is put up again as soon as possible. Should a command have had the database for itself meanwhile, and
/// have changed what the server stands on, the server must stop.
pub struct Presence {
    held: Arc<AtomicBool>,
    stands_on: Arc<OnceLock<(&'static str, String)>>,
    expelled: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Presence {
    /// False while the sign may be down: its connection broke, or an exclusive command took its chance meanwhile.
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Says which note of the database the server stands on, once.
    pub fn stand_on(&self, key: &'static str, value: &str) {
        // What was said first stands.
        let _ = self.stands_on.set((key, value.to_owned()));
    }

    /// Ends when the server must stop. May be called again.
    pub fn expelled(&self) -> impl Future<Output = ()> + use<> {
        let mut expelled = self.expelled.clone();
        async move {
            if expelled.wait_for(|expelled| *expelled).await.is_err() {
                // The sign is gone, and with it whoever would tell.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The right of one command to have a database for itself, for as long as this lives.
pub struct Exclusive {
    conn: PgConnection,
}

impl Exclusive {
    /// False when the right was lost with its connection: the command must stop then.
    pub async fn is_held(&mut self) -> bool {
        has_lock(&mut self.conn).await.unwrap_or(false)
    }
}

impl PostgresDatabase {
    /// Puts up the sign that a server runs here. None when a command has the database for itself.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn announce_server(&self) -> Result<Option<Presence>, DatabaseError> {
        let url = self.connect_options();
        let begin = self.home().spawn(async move {
            let conn = share(&url).await?;
            Ok::<_, DatabaseError>(conn.map(|conn| (conn, url)))
        });
        let begun = begin.await.map_err(|_| DatabaseError::Unavailable("the call was broken off"))??;
        let Some((conn, url)) = begun else { return Ok(None) };
        let (held, stands_on) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let (expel, expelled) = watch::channel(false);
        let keeper = Keeper { url, held: Arc::clone(&held), stands_on: Arc::clone(&stands_on), expel };
        let task = self.home().spawn(keeper.keep(conn));
        Ok(Some(Presence { held, stands_on, expelled, task }))
    }

    /// Takes the database for one command. None while a server, or another such command, runs.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn take_exclusively(&self) -> Result<Option<Exclusive>, DatabaseError> {
        let url = self.connect_options();
        let begin = self.home().spawn(async move {
            let mut conn = open(&url).await?;
            let sql = "SELECT pg_try_advisory_lock($1)";
            if !patient(query_scalar(sql).bind(LOCK).fetch_one(&mut conn)).await? {
                return Ok(None);
            }
            // A server whose sign is down just now notices within this time, and stops.
            sleep(2 * PERIOD + PATIENCE).await;
            Ok::<_, DatabaseError>(Some(Exclusive { conn }))
        });
        begin.await.map_err(|_| DatabaseError::Unavailable("the call was broken off"))?
    }
}

async fn patient<T>(work: impl Future<Output = sqlx::Result<T>>) -> Result<T, DatabaseError> {
    match timeout(PATIENCE, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(DatabaseError::Unavailable("it did not answer in time")),
    }
}

async fn open(url: &PgConnectOptions) -> Result<PgConnection, DatabaseError> {
    patient(url.connect()).await
}

/// A connection with the lock of a server; none when a command has the database for itself.
async fn share(url: &PgConnectOptions) -> Result<Option<PgConnection>, DatabaseError> {
    let mut conn = open(url).await?;
    let sql = "SELECT pg_try_advisory_lock_shared($1)";
    let taken = patient(query_scalar(sql).bind(LOCK).fetch_one(&mut conn)).await?;
    Ok(if taken { Some(conn) } else { None })
}

/// Whether this connection has the lock. One that answers does: the lock is its session's.
async fn has_lock(conn: &mut PgConnection) -> Result<bool, DatabaseError> {
    patient(query_scalar::<_, i32>("SELECT 1").fetch_one(conn)).await.map(|_| true)
}

/// Keeps the sign of a server up.
struct Keeper {
    url: PgConnectOptions,
    held: Arc<AtomicBool>,
    stands_on: Arc<OnceLock<(&'static str, String)>>,
    expel: watch::Sender<bool>,
}

impl Keeper {
    async fn keep(self, mut conn: PgConnection) {
        loop {
            while has_lock(&mut conn).await.is_ok() {
                sleep(PERIOD).await;
            }
            self.held.store(false, Ordering::Release);
            tracing::warn!("the sign that this server runs is down: its connection broke");
            conn = loop {
                sleep(PERIOD).await;
                match self.again().await {
                    Ok(Some(conn)) => break conn,
                    Ok(None) => {
                        tracing::error!("a command has, or had, the database for itself: this server must stop");
                        self.expel.send_replace(true);
                        return;
                    }
                    Err(_) => {}
                }
            };
            self.held.store(true, Ordering::Release);
            tracing::info!("the sign that this server runs is up again");
        }
    }

    /// Puts the sign up again. None when that may not be.
    async fn again(&self) -> Result<Option<PgConnection>, DatabaseError> {
        let Some(mut conn) = share(&self.url).await? else { return Ok(None) };
        let Some((key, value)) = self.stands_on.get() else { return Ok(Some(conn)) };
        let sql = "SELECT value FROM meta WHERE key = $1";
        let present: Option<String> = patient(query_scalar(sql).bind(*key).fetch_optional(&mut conn)).await?;
        Ok((present.as_ref() == Some(value)).then_some(conn))
    }
}
