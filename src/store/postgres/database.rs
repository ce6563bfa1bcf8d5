use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout_at};
use uuid::Uuid;

use super::connect::{self, ConnectError, PostgresOptions};
use super::error::{DatabaseError, OUTAGE, tell_unavailable};
use super::pool::Pool;
use super::reach::{Reach, tell_back};

/// How often a call is tried when other transactions stand in its way.
const ATTEMPTS: u32 = 6;
/// The longest pause before the second attempt; it doubles from there on.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Why a call that was cut off failed.
pub(super) const LATE: &str = "it did not answer in time";

/// A future that borrows a connection and what it works on.
pub(crate) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, DatabaseError>> + Send + 'c>>;

/// How the statements of a call hang together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Each statement is a transaction of its own.
    Single,
    /// All see what is committed when they begin, and take effect together.
    Write,
    /// All read, and see the same instant.
    Snapshot,
}

/// The Postgres database: a bounded pool of connections. Store and journal share it, and other processes too.
///
/// It may be called from any runtime and thread: the work is done on the runtime where it was opened, and goes on
/// when its caller goes away. A call ends within [`PostgresOptions::call_timeout`]; one that was cut off has closed its
/// connection, so that no transaction stays open.
pub struct PostgresDatabase {
    home: Handle,
    pool: Pool,
    url: PgConnectOptions,
    options: PostgresOptions,
    reach: Reach,
}

impl PostgresDatabase {
    /// Connects to the database that a URL names (`postgres://user:password@host:port/database`), waits for it if it
    /// is only just being started, and brings its tables up to date. To be called on the runtime that will do the work.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(url: &str, options: &PostgresOptions) -> Result<Arc<Self>, ConnectError> {
        let database = Self::open(url, options).await?;
        let conn = connect::reach(&database.url, options).await?;
        connect::migrate(&database.url, conn).await?;
        Ok(database)
    }

    /// As [`PostgresDatabase::connect`], and leaves the tables as they are.
    pub(super) async fn open(url: &str, options: &PostgresOptions) -> Result<Arc<Self>, ConnectError> {
        let url = connect::parse(url)?;
        let pool = Pool::new(&url, options).map_err(|error| ConnectError::Url(error.to_string()))?;
        Ok(Arc::new(Self { home: Handle::current(), pool, url, options: options.clone(), reach: Reach::default() }))
    }

    /// Refuses what comes later, and waits a little for what is under way.
    pub async fn close(&self) {
        let (pool, limit) = (self.pool.clone(), self.options.call_timeout);
        self.home.spawn(async move { pool.close(limit).await }).await.ok();
    }

    /// Host, port, database and user: what to call it in messages.
    pub fn target(&self) -> String {
        connect::target(&self.url)
    }

    /// The runtime that does the work.
    pub(crate) fn home(&self) -> &Handle {
        &self.home
    }

    /// Whether calls fail at once, since the server cannot be reached.
    pub(crate) fn is_away(&self) -> bool {
        self.reach.is_away()
    }

    /// How long a call may take as a whole.
    pub(crate) fn call_timeout(&self) -> Duration {
        self.options.call_timeout
    }

    /// How to open a connection besides those of the pool.
    pub(crate) fn connect_options(&self) -> PgConnectOptions {
        connect::limited(&self.url, &self.options)
    }

    /// Does one statement, or several that need not agree nor take effect together.
    pub(crate) async fn single<A, T, F>(&self, args: A, work: F) -> Result<T, DatabaseError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'c> Fn(&'c mut PgConnection, &'c A) -> Work<'c, T> + Send + Sync + 'static,
    {
        self.call(Mode::Single, args, work).await
    }

    /// Writes: all of it or, when `work` fails, nothing. It may be called more than once, but takes effect once.
    pub(crate) async fn write<A, T, F>(&self, args: A, work: F) -> Result<T, DatabaseError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'c> Fn(&'c mut PgConnection, &'c A) -> Work<'c, T> + Send + Sync + 'static,
    {
        self.call(Mode::Write, args, work).await
    }

    /// Reads with several statements that see the same instant.
    pub(crate) async fn snapshot<A, T, F>(&self, args: A, work: F) -> Result<T, DatabaseError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'c> Fn(&'c mut PgConnection, &'c A) -> Work<'c, T> + Send + Sync + 'static,
    {
        self.call(Mode::Snapshot, args, work).await
    }

    async fn call<A, T, F>(&self, mode: Mode, args: A, work: F) -> Result<T, DatabaseError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'c> Fn(&'c mut PgConnection, &'c A) -> Work<'c, T> + Send + Sync + 'static,
    {
        let (pool, limit, reach) = (self.pool.clone(), self.options.call_timeout, self.reach.clone());
        if reach.is_away() {
            return Err(DatabaseError::Unavailable("it is away"));
        }
        let call = async move {
            let deadline = tokio::time::Instant::now() + limit;
            let got = timeout_at(deadline, pool.get()).await;
            let mut conn = match got.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut.into())) {
                Ok(conn) => conn,
                Err(error) => {
                    reach.missed(&pool);
                    return Err(error);
                }
            };
            let _held = reach.hold();
            let Ok(result) = timeout_at(deadline, attempts(&mut conn, mode, &args, &work)).await else {
                pool.suspect();
                tell_unavailable(LATE, None, None);
                return Err(DatabaseError::Unavailable(LATE));
            };
            match &result {
                Ok(_) => {
                    tell_back(OUTAGE.worked(Instant::now()));
                    conn.give_back();
                }
                Err(DatabaseError::Contended) => conn.give_back(),
                // Closed: it may be of no use any more, or in the middle of an answer.
                Err(DatabaseError::Unavailable(_)) => pool.suspect(),
                Err(DatabaseError::Damaged(_)) => {}
            }
            result
        };
        self.home.spawn(call).await.map_err(|_| DatabaseError::Unavailable("the call was broken off"))?
    }
}

/// Tries until nobody stands in the way any more, a few times.
async fn attempts<A, T, F>(conn: &mut PgConnection, mode: Mode, args: &A, work: &F) -> Result<T, DatabaseError>
where
    F: for<'c> Fn(&'c mut PgConnection, &'c A) -> Work<'c, T>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match attempt(conn, mode, args, work).await {
            Err(DatabaseError::Contended) => {}
            done => return done,
        }
        // Those who stood in each other's way are not to do so again.
        sleep(pause.mul_f64(f64::from(Uuid::new_v4().as_bytes()[0]) / 255.0)).await;
        pause *= 2;
    }
    attempt(conn, mode, args, work).await
}

async fn attempt<A, T, F>(conn: &mut PgConnection, mode: Mode, args: &A, work: &F) -> Result<T, DatabaseError>
where
    F: for<'c> Fn(&'c mut PgConnection, &'c A) -> Work<'c, T>,
{
    let mut transaction = match mode {
        Mode::Single => return work(conn, args).await,
        Mode::Write => conn.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?,
        Mode::Snapshot => conn.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?,
    };
    match work(&mut transaction, args).await {
        Ok(result) => {
            transaction.commit().await?;
            Ok(result)
        }
        Err(error) => {
            // Now: dropped, it would stay open until the connection does something else.
            transaction.rollback().await?;
            Err(error)
        }
    }
}
