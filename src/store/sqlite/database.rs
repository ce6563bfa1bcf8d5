use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use memory::ports::Append;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::appends::NewAppend;
use super::error::DatabaseError;
use super::writer::{AppendJob, Counters, GroupLimits, Job, Work, Writer};

/// The database file in the data folder.
pub(super) const DATABASE_FILE: &str = "powermemo.db";
/// The file in the data folder whose lock says that a process has it.
const LOCK_FILE: &str = "powermemo.lock";
/// Pages (of 4 KiB) of the write-ahead log that make a commit copy it back: four times SQLite's default, since a
/// group of appends writes hundreds of pages.
const CHECKPOINT_PAGES: &str = "4000";
/// The write-ahead log is cut to this many bytes when it grew beyond.
const MAX_IDLE_LOG_BYTES: &str = "67108864";
/// Statements kept prepared per connection: more than there are in this crate.
const PREPARED_STATEMENTS: usize = 200;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Limits of a [`SqliteDatabase`].
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Connections that read.
    pub readers: u32,
    /// How long a call waits for a reading connection, or for a place in a queue of the writer.
    pub acquire_timeout: Duration,
    /// How long a statement waits for a lock of the database file.
    pub busy_timeout: Duration,
    /// Appends that may wait for the writer.
    pub append_queue: usize,
    /// Other writes that may wait for the writer.
    pub write_queue: usize,
    /// Appends that share a transaction at most.
    pub appends_per_commit: usize,
    /// Other writes that share a transaction at most.
    pub writes_per_commit: usize,
}

impl Default for SqliteOptions {
    /// Four readers, five seconds, queues of 4096 and 256, groups of 512 and 8.
    fn default() -> Self {
        Self {
            readers: 4,
            acquire_timeout: Duration::from_secs(5),
            busy_timeout: Duration::from_secs(5),
            append_queue: 4096,
            write_queue: 256,
            appends_per_commit: 512,
            writes_per_commit: 8,
        }
    }
}

/// Why the database could not be opened or closed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works with it.
    #[error("the data folder {} is in use by another process: stop that process, or choose another folder", .0.display())]
    InUse(PathBuf),
    /// The folder cannot be created, or its lock file cannot be opened or locked.
    #[error("the data folder {} cannot be used", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("the database in {} cannot be opened", .folder.display())]
    Sqlite {
        /// The folder.
        folder: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The tables cannot be brought up to date; a newer version may have written them.
    #[error("the database in {} cannot be brought up to date", .folder.display())]
    Migrate {
        /// The folder.
        folder: PathBuf,
        /// What went wrong.
        source: MigrateError,
    },
}

/// What the writer has done since the database was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriterStats {
    /// Transactions that were committed.
    pub commits: u64,
    /// Transactions that failed as a whole.
    pub failed_commits: u64,
    /// Writes that were run, those that failed alone included.
    pub jobs: u64,
}

/// The embedded database: one file, one writer, a few readers. Store and journal share it.
///
/// It may be called from any runtime and thread: the work is done on the runtime where it was opened. Dropped
/// without [`SqliteDatabase::close`], it still does all that was queued while that runtime lives.
pub struct SqliteDatabase {
    home: Handle,
    readers: SqlitePool,
    appends: mpsc::Sender<AppendJob>,
    writes: mpsc::Sender<Job>,
    pub(super) acquire_timeout: Duration,
    stop: Arc<Notify>,
    counters: Arc<Counters>,
    writer: Mutex<Option<JoinHandle<Closing>>>,
}

/// What the writer hands back when it ends. The lock goes last.
struct Closing {
    conn: SqliteConnection,
    /// None when another process may have the folder.
    lock: Option<File>,
}

impl SqliteDatabase {
    /// Opens the database in a folder, which is created if need be, and takes the folder for this process. Claims on
    /// batches are void: whoever made them is dead. To be called on the runtime that will do the work.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(folder: &Path, options: &SqliteOptions) -> Result<Arc<Self>, OpenError> {
        let lock = lock(folder)?;
        let in_folder = |source| OpenError::Sqlite { folder: folder.to_owned(), source };
        let mut conn = connect_options(folder, options).connect().await.map_err(in_folder)?;
        let migrated = MIGRATIONS.run(&mut conn).await;
        migrated.map_err(|source| OpenError::Migrate { folder: folder.to_owned(), source })?;
        sqlx::query("UPDATE journal_batches SET token = NULL, ready_at = 0 WHERE token IS NOT NULL")
            .execute(&mut conn)
            .await
            .map_err(in_folder)?;
        Self::begin(folder, conn, Some(lock), options).await
    }

    /// Opens it as [`SqliteDatabase::open`] does, or, while a server works with it, beside that: SQLite lets one write
    /// after the other. To be used for the tables of the store alone, since a server believes that the journal is its own.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_beside(folder: &Path, options: &SqliteOptions) -> Result<Arc<Self>, OpenError> {
        match Self::open(folder, options).await {
            Err(OpenError::InUse(_)) => {}
            opened => return opened,
        }
        let in_folder = |source| OpenError::Sqlite { folder: folder.to_owned(), source };
        // The server has brought the tables up to date.
        let conn = connect_options(folder, options).create_if_missing(false).connect().await.map_err(in_folder)?;
        Self::begin(folder, conn, None, options).await
    }

    async fn begin(
        folder: &Path,
        conn: SqliteConnection,
        lock: Option<File>,
        options: &SqliteOptions,
    ) -> Result<Arc<Self>, OpenError> {
        let in_folder = |source| OpenError::Sqlite { folder: folder.to_owned(), source };
        let file = connect_options(folder, options);
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers)
            .acquire_timeout(options.acquire_timeout)
            .connect_with(file.read_only(true).create_if_missing(false))
            .await
            .map_err(in_folder)?;
        Ok(Arc::new(Self::start(conn, lock, readers, options)))
    }

    fn start(conn: SqliteConnection, lock: Option<File>, readers: SqlitePool, options: &SqliteOptions) -> Self {
        let (appends, append_queue) = mpsc::channel(options.append_queue);
        let (writes, write_queue) = mpsc::channel(options.write_queue);
        let (stop, counters) = (Arc::new(Notify::new()), Arc::new(Counters::default()));
        let writer = Writer {
            conn,
            appends: append_queue,
            others: write_queue,
            limits: GroupLimits { appends: options.appends_per_commit, others: options.writes_per_commit },
            stop: Arc::clone(&stop),
            counters: Arc::clone(&counters),
        };
        let home = Handle::current();
        let writer = home.spawn(async move { Closing { conn: writer.run().await, lock } });
        let acquire_timeout = options.acquire_timeout;
        Self { home, readers, appends, writes, acquire_timeout, stop, counters, writer: Mutex::new(Some(writer)) }
    }

    /// Does all that is queued, refuses what comes later, copies the write-ahead log back and gives the folder free.
    /// Calls after the first do nothing.
    ///
    /// # Errors
    /// When the log could not be copied back: nothing is lost then, the next opening does it.
    pub async fn close(&self) -> Result<(), DatabaseError> {
        self.stop.notify_one();
        let Some(writer) = self.writer.lock().await.take() else { return Ok(()) };
        let mut closing = writer.await.map_err(|_| DatabaseError::Unavailable("its writer has died"))?;
        self.readers.close().await;
        if closing.lock.is_some() {
            sqlx::raw_sql("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut closing.conn).await?;
        }
        closing.conn.close().await?;
        Ok(())
    }

    /// What the writer has done so far.
    pub fn writer_stats(&self) -> WriterStats {
        WriterStats {
            commits: self.counters.commits.load(Ordering::Relaxed),
            failed_commits: self.counters.failed_commits.load(Ordering::Relaxed),
            jobs: self.counters.jobs.load(Ordering::Relaxed),
        }
    }

    /// Writes that wait in the queues.
    #[cfg(test)]
    pub(crate) fn queued(&self) -> usize {
        let appends = self.appends.max_capacity() - self.appends.capacity();
        appends + self.writes.max_capacity() - self.writes.capacity()
    }

    /// The random name that this journal got when it was created.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn journal_id(&self) -> Result<String, DatabaseError> {
        let sql = "SELECT value FROM meta WHERE key = 'journal_id'";
        self.read(move |conn| Box::pin(async move { Ok(sqlx::query_scalar(sql).fetch_one(conn).await?) })).await
    }

    /// Reads a note that the store keeps about itself.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn meta(&self, key: &'static str) -> Result<Option<String>, DatabaseError> {
        let sql = "SELECT value FROM meta WHERE key = ?1";
        self.read(move |conn| {
            Box::pin(async move { Ok(sqlx::query_scalar(sql).bind(key).fetch_optional(conn).await?) })
        })
        .await
    }

    /// Writes such a note.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn set_meta(&self, key: &'static str, value: &str) -> Result<(), DatabaseError> {
        let value = value.to_owned();
        let sql =
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        let write = self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(sql).bind(key).bind(value).execute(conn).await?;
                Ok(())
            })
        });
        write.await
    }

    /// Reads with one statement, or with several that need not agree.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    {
        let readers = self.readers.clone();
        let read = async move {
            let mut conn = readers.acquire().await?;
            work(&mut conn).await
        };
        self.home.spawn(read).await.map_err(|_| DatabaseError::Unavailable("a read was broken off"))?
    }

    /// Reads with several statements that see the same instant.
    pub(crate) async fn snapshot<T, F>(&self, work: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    {
        let readers = self.readers.clone();
        let read = async move {
            let mut transaction = readers.begin().await?;
            let result = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(result)
        };
        self.home.spawn(read).await.map_err(|_| DatabaseError::Unavailable("a read was broken off"))?
    }

    /// Writes. What `work` did is undone when it fails; the result comes when it is durable.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    {
        let (job, result) = Job::new(work);
        self.run(&self.writes, job, result).await
    }

    /// Appends to the journal, together with what else waits. None when the owner is gone.
    pub(crate) async fn append(&self, append: NewAppend) -> Result<Option<Append>, DatabaseError> {
        let (job, result) = AppendJob::new(append);
        self.run(&self.appends, job, result).await
    }

    async fn run<J: Send + 'static, T>(
        &self,
        queue: &mpsc::Sender<J>,
        job: J,
        result: oneshot::Receiver<Result<T, DatabaseError>>,
    ) -> Result<T, DatabaseError> {
        use mpsc::error::{SendTimeoutError, TrySendError};
        match queue.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return Err(DatabaseError::Unavailable("it is closed")),
            Err(TrySendError::Full(job)) => {
                // Waits on the home runtime, which has a timer.
                let (queue, timeout) = (queue.clone(), self.acquire_timeout);
                let sent = self.home.spawn(async move { queue.send_timeout(job, timeout).await }).await;
                match sent {
                    Ok(Ok(())) => {}
                    Ok(Err(SendTimeoutError::Timeout(_))) => {
                        return Err(DatabaseError::Unavailable("too many writes are waiting"));
                    }
                    Ok(Err(SendTimeoutError::Closed(_))) | Err(_) => {
                        return Err(DatabaseError::Unavailable("it is closed"));
                    }
                }
            }
        }
        result.await.unwrap_or(Err(DatabaseError::Unavailable("the write was not carried out")))
    }
}

impl Drop for SqliteDatabase {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let in_folder = |source| OpenError::Folder { folder: folder.to_owned(), source };
    // What users said is nobody else's business. A folder that exists keeps the rights that its owner gave it.
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(in_folder)?;
    let file = File::options().create(true).write(true).truncate(false).open(folder.join(LOCK_FILE));
    let file = file.map_err(in_folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(in_folder(source)),
    }
}

fn connect_options(folder: &Path, options: &SqliteOptions) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(folder.join(DATABASE_FILE))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(options.busy_timeout)
        .statement_cache_capacity(PREPARED_STATEMENTS)
        .pragma("temp_store", "memory")
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", MAX_IDLE_LOG_BYTES)
        .disable_statement_logging()
}
