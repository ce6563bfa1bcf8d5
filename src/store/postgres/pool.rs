//! The connections of a [`super::PostgresDatabase`], at most so many.
//!
//! The pool that comes with sqlx asks the server for a sign of life whenever a connection is given back: a round trip more
//! for each call. This one asks only where there is reason to.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{self, BuildError, Metrics, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::time::{sleep, timeout};

use super::connect::{self, PostgresOptions};
use super::error::DatabaseError;

/// A connection that was not used for so long is tried out first.
const FRESH: Duration = Duration::from_secs(1);
/// A connection is replaced when it is this old, so that no session stays with a server that another has followed.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause between two looks whether all connections are back.
const LOOK: Duration = Duration::from_millis(5);

/// Makes connections and tries them out.
#[derive(Debug)]
pub(super) struct Connector {
    url: PgConnectOptions,
    patience: Duration,
    /// When a call last failed because of its connection: those that were used before are tried out.
    failed: Mutex<Option<Instant>>,
}

/// A connection at work. Dropped, it is closed: nobody knows what it was doing, and the server undoes that.
pub(super) struct Lent(Option<managed::Object<Connector>>);

/// The pool. Cheap to clone; clones are one.
#[derive(Clone)]
pub(super) struct Pool(managed::Pool<Connector>);

impl managed::Manager for Connector {
    type Type = PgConnection;
    type Error = sqlx::Error;

    /// Goes on trying for as long as a call waits for a connection: a server that is restarted is back in a moment.
    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        let began = Instant::now();
        loop {
            match self.url.connect().await {
                Err(error) if connect::may_pass(&error) && began.elapsed() + PAUSE < self.patience => {
                    sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    }

    async fn recycle(&self, conn: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() > LIFETIME {
            return Err(RecycleError::message("it is old"));
        }
        let unused_for = metrics.last_used();
        let is_suspect = self.last_failure().is_some_and(|at| at.elapsed() <= unused_for);
        if unused_for > FRESH || is_suspect {
            conn.ping().await.map_err(RecycleError::Backend)?;
        }
        Ok(())
    }
}

impl Connector {
    fn last_failure(&self) -> Option<Instant> {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent {
    /// Gives it back, with no transaction open.
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            drop(managed::Object::take(conn));
        }
    }
}

#[expect(clippy::expect_used, reason = "the connection is there until `give_back` or `drop` has consumed the whole")]
impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect("a connection")
    }
}

#[expect(clippy::expect_used, reason = "as above")]
impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("a connection")
    }
}

impl Pool {
    /// A pool without any connection yet, with the limits of `options`.
    ///
    /// # Errors
    /// Never, as long as it is given the runtime that it needs for its limits.
    pub(super) fn new(url: &PgConnectOptions, options: &PostgresOptions) -> Result<Self, BuildError> {
        let patience = options.acquire_timeout;
        let connector = Connector { url: connect::limited(url, options), patience, failed: Mutex::default() };
        let size = usize::try_from(options.max_connections).unwrap_or(usize::MAX);
        let pool = managed::Pool::builder(connector).max_size(size.max(1)).runtime(Runtime::Tokio1);
        // The one that was used last is the least likely to need a ping.
        let pool = pool.queue_mode(QueueMode::Lifo);
        let pool = pool.wait_timeout(Some(patience)).create_timeout(Some(patience)).recycle_timeout(Some(patience));
        Ok(Self(pool.build()?))
    }

    /// A connection that is ready for work.
    ///
    /// # Errors
    /// When none becomes free in time, or none can be made.
    pub(super) async fn get(&self) -> Result<Lent, DatabaseError> {
        self.0.get().await.map(|conn| Lent(Some(conn))).map_err(|error| match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => sqlx::Error::PoolTimedOut.into(),
            PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                sqlx::Error::PoolClosed.into()
            }
        })
    }

    /// Says that a call failed because of its connection.
    pub(super) fn suspect(&self) {
        *self.0.manager().failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Refuses what comes later, and waits for what is under way, as long as `limit`.
    pub(super) async fn close(&self, limit: Duration) {
        self.0.close();
        let all_back = async {
            while self.0.status().size > 0 {
                sleep(LOOK).await;
            }
        };
        timeout(limit, all_back).await.ok();
    }
}
