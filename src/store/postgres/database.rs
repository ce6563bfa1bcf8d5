use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection, Postgres};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout, timeout_at};
use uuid::Uuid;

use super::connect::{self, ConnectError, PostgresOptions};
use super::error::{DatabaseError, OUTAGE, tell_unavailable};
use super::reach::{Reach, tell_back};

/// How often a call is tried when other transactions stand in its way.
const ATTEMPTS: u32 = 6;
/// The longest pause before the second attempt; it doubles from there on.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// A connection that was idle for longer is tried out before it is used.
const FRESH: Duration = Duration::from_secs(1);
/// How long a connection may take to become idle after its work.
const RETURN: Duration = Duration::from_secs(2);

/// Why a call that was cut off failed.
const LATE: &str = "it did not answer in time";

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
    pool: PgPool,
    url: PgConnectOptions,
    options: PostgresOptions,
    /// When a call last failed because of its connection: those that were idle then are tried out before they are used.
    failed: Arc<Mutex<Option<Instant>>>,
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
        let failed = Arc::new(Mutex::new(None));
        let pool = pool(&url, options, Arc::clone(&failed));
        Ok(Arc::new(Self {
            home: Handle::current(),
            pool,
            url,
            options: options.clone(),
            failed,
            reach: Reach::default(),
        }))
    }

    /// Refuses what comes later, and waits a little for what is under way.
    pub async fn close(&self) {
        let (pool, limit) = (self.pool.clone(), self.options.call_timeout);
        self.home.spawn(async move { timeout(limit, pool.close()).await }).await.ok();
    }

    /// Host, port, database and user: what to call it in messages.
    pub fn target(&self) -> String {
        connect::target(&self.url)
    }

    /// The runtime that does the work.
    pub(crate) fn home(&self) -> &Handle {
        &self.home
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
        let (pool, failed, limit) = (self.pool.clone(), Arc::clone(&self.failed), self.options.call_timeout);
        let reach = self.reach.clone();
        if reach.is_away() {
            return Err(DatabaseError::Unavailable("it is away"));
        }
        let call = async move {
            let deadline = tokio::time::Instant::now() + limit;
            let acquired = timeout_at(deadline, pool.acquire()).await;
            let mut conn = match acquired.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                Ok(conn) => conn,
                Err(error) => {
                    reach.missed(&pool);
                    return Err(DatabaseError::from(error));
                }
            };
            let _held = reach.hold();
            let Ok(result) = timeout_at(deadline, attempts(&mut conn, mode, &args, &work)).await else {
                note(&failed);
                // Whatever it was doing is undone when the server notices.
                conn.close_on_drop();
                tell_unavailable(LATE, None, None);
                return Err(DatabaseError::Unavailable(LATE));
            };
            match &result {
                Err(DatabaseError::Unavailable(_)) => note(&failed),
                Err(_) => {}
                Ok(_) => tell_back(OUTAGE.worked(Instant::now())),
            }
            give_back(conn);
            result
        };
        self.home.spawn(call).await.map_err(|_| DatabaseError::Unavailable("the call was broken off"))?
    }
}

fn pool(url: &PgConnectOptions, options: &PostgresOptions, failed: Arc<Mutex<Option<Instant>>>) -> PgPool {
    PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(move |conn, meta| {
            let last = *failed.lock().unwrap_or_else(PoisonError::into_inner);
            let suspect = last.is_some_and(|at| at.elapsed() <= meta.idle_for);
            Box::pin(async move {
                if meta.idle_for > FRESH || suspect {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(connect::limited(url, options))
}

fn note(failed: &Mutex<Option<Instant>>) {
    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// Gives a connection back when it is ready for the next call. One that does not become so is closed: it must not keep
/// a place in the pool.
fn give_back(mut conn: PoolConnection<Postgres>) {
    tokio::spawn(async move { timeout(RETURN, conn.return_to_pool()).await });
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
    // Dropped, the transaction is rolled back before the connection does anything else.
    let result = work(&mut transaction, args).await?;
    transaction.commit().await?;
    Ok(result)
}
