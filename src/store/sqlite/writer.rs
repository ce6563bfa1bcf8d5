//! The one writer of the database: writes that wait together share a transaction.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actors::crash_point::crash_point;
use futures_util::FutureExt;
use memory::ports::Append;
use sqlx::SqliteConnection;
use sqlx::raw_sql;
use tokio::sync::{Notify, mpsc, oneshot};

use super::appends::{self, NewAppend};
use super::error::DatabaseError;

/// The end of a job that is to be undone.
const UNDO: &str = "ROLLBACK TO job; RELEASE job";
/// The end of a job that is to stay.
const DONE: &str = "RELEASE job";

/// A future that borrows the writer's connection.
pub(crate) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, DatabaseError>> + Send + 'c>>;

/// Tells the caller how its job ended, given how its group ended.
type Reply = Box<dyn FnOnce(Result<(), DatabaseError>) + Send>;

/// What a job leaves behind: whether it is to be undone, and its reply, held back until its group is durable.
struct Ran {
    failed: bool,
    reply: Reply,
}

/// A write in a queue. It runs even if its caller went away.
pub(crate) struct Job(Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> JobFuture<'c> + Send>);
type JobFuture<'c> = Pin<Box<dyn Future<Output = Ran> + Send + 'c>>;

impl Job {
    /// A job, and where its result will arrive. The receiver fails if the job is never run.
    pub(crate) fn new<T, F>(work: F) -> (Self, oneshot::Receiver<Result<T, DatabaseError>>)
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job = Self(Box::new(move |conn| {
            Box::pin(async move {
                // The call is inside, too: it may panic before there is a future.
                let result = unbroken(async { work(conn).await }).await;
                let failed = result.is_err();
                // Nobody may be waiting any more: a hang-up cancels nothing.
                let reply: Reply = Box::new(move |group| drop(sender.send(group.and(result))));
                Ran { failed, reply }
            })
        }));
        (job, receiver)
    }
}

/// An append in its queue. It is carried out even if its caller went away.
pub(crate) struct AppendJob {
    append: NewAppend,
    reply: oneshot::Sender<Result<Option<Append>, DatabaseError>>,
}

impl AppendJob {
    /// An append, and where its answer will arrive: none when the owner is gone.
    pub(crate) fn new(append: NewAppend) -> (Self, oneshot::Receiver<Result<Option<Append>, DatabaseError>>) {
        let (reply, receiver) = oneshot::channel();
        (Self { append, reply }, receiver)
    }

    fn reply(self, answer: Result<Option<Append>, DatabaseError>) -> Reply {
        Box::new(move |group| drop(self.reply.send(group.and(answer))))
    }
}

/// Turns a panic into an error.
async fn unbroken<T>(work: impl Future<Output = Result<T, DatabaseError>>) -> Result<T, DatabaseError> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a write panicked and is undone");
        Err(DatabaseError::Unavailable("the write was broken off"))
    })
}

/// How many jobs of each queue share a transaction at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupLimits {
    pub(crate) appends: usize,
    pub(crate) others: usize,
}

/// What the writer has done since it started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) failed_commits: AtomicU64,
    pub(crate) jobs: AtomicU64,
}

/// The task that owns the writing connection.
pub(crate) struct Writer {
    pub(crate) conn: SqliteConnection,
    /// Appends to the journal: many and small. They are done together.
    pub(crate) appends: mpsc::Receiver<AppendJob>,
    /// Everything else, one by one, with a savepoint around each.
    pub(crate) others: mpsc::Receiver<Job>,
    pub(crate) limits: GroupLimits,
    pub(crate) stop: Arc<Notify>,
    pub(crate) counters: Arc<Counters>,
}

impl Writer {
    /// Runs until it is told to stop or nobody can send any more, and all that was queued is done.
    pub(crate) async fn run(mut self) -> SqliteConnection {
        let (mut appends, mut others) = (Vec::new(), Vec::new());
        while self.next_group(&mut appends, &mut others).await {
            let mut replies = Vec::with_capacity(appends.len() + others.len());
            let outcome = self.transaction(&mut appends, &mut others, &mut replies).await;
            let counter = if outcome.is_ok() { &self.counters.commits } else { &self.counters.failed_commits };
            counter.fetch_add(1, Ordering::Relaxed);
            self.counters.jobs.fetch_add(replies.len() as u64, Ordering::Relaxed);
            crash_point("writer_after_commit").await;
            for reply in replies {
                reply(outcome.clone());
            }
            // Jobs that a broken group left are dropped here; their callers hear that they did not run.
            appends.clear();
            others.clear();
        }
        self.conn
    }

    /// Waits for a job and takes what else is there. False when there will be no more.
    async fn next_group(&mut self, appends: &mut Vec<AppendJob>, others: &mut Vec<Job>) -> bool {
        loop {
            tokio::select! {
                () = self.stop.notified(), if !self.appends.is_closed() => {
                    self.appends.close();
                    self.others.close();
                    continue;
                }
                Some(job) = self.appends.recv() => appends.push(job),
                Some(job) = self.others.recv() => others.push(job),
                else => return false,
            }
            break;
        }
        // Callers that the last commit woke get the chance to send before this group is closed.
        tokio::task::yield_now().await;
        fill(appends, &mut self.appends, self.limits.appends);
        fill(others, &mut self.others, self.limits.others);
        true
    }

    /// Runs a group in one transaction. A job that fails is undone alone.
    async fn transaction(
        &mut self,
        appends: &mut Vec<AppendJob>,
        others: &mut Vec<Job>,
        replies: &mut Vec<Reply>,
    ) -> Result<(), DatabaseError> {
        exec(&mut self.conn, "BEGIN IMMEDIATE").await?;
        let result = match self.group(appends, others, replies).await {
            Ok(()) => exec(&mut self.conn, "COMMIT").await,
            Err(error) => Err(error),
        };
        if result.is_err() {
            // Fails when SQLite has rolled back by itself, which is as well.
            raw_sql("ROLLBACK").execute(&mut self.conn).await.ok();
        }
        result
    }

    async fn group(
        &mut self,
        appends: &mut Vec<AppendJob>,
        others: &mut Vec<Job>,
        replies: &mut Vec<Reply>,
    ) -> Result<(), DatabaseError> {
        self.append(appends, replies).await?;
        for job in others.drain(..) {
            exec(&mut self.conn, "SAVEPOINT job").await?;
            let ran = job.0(&mut self.conn).await;
            replies.push(ran.reply);
            exec(&mut self.conn, if ran.failed { UNDO } else { DONE }).await?;
        }
        crash_point("writer_before_commit").await;
        Ok(())
    }

    /// Does appends together; one by one if that fails, so that one that cannot be done fails alone.
    async fn append(&mut self, jobs: &mut Vec<AppendJob>, replies: &mut Vec<Reply>) -> Result<(), DatabaseError> {
        if jobs.len() > 1
            && let Ok(answers) = self.attempt(jobs).await?
        {
            replies.extend(jobs.drain(..).zip(answers).map(|(job, answer)| job.reply(Ok(answer))));
            return Ok(());
        }
        for job in jobs.drain(..) {
            let answer = self.attempt(std::slice::from_ref(&job)).await?;
            replies.push(job.reply(answer.map(|answers| answers.into_iter().next().flatten())));
        }
        Ok(())
    }

    /// Does appends together or not at all. The outer error is that of the whole transaction.
    async fn attempt(
        &mut self,
        jobs: &[AppendJob],
    ) -> Result<Result<Vec<Option<Append>>, DatabaseError>, DatabaseError> {
        let asked: Vec<&NewAppend> = jobs.iter().map(|job| &job.append).collect();
        exec(&mut self.conn, "SAVEPOINT job").await?;
        let answers = unbroken(appends::run(&mut self.conn, &asked)).await;
        // Fails if SQLite rolled back the whole transaction.
        exec(&mut self.conn, if answers.is_err() { UNDO } else { DONE }).await?;
        Ok(answers)
    }
}

fn fill<J>(group: &mut Vec<J>, queue: &mut mpsc::Receiver<J>, limit: usize) {
    while group.len() < limit {
        let Ok(job) = queue.try_recv() else { return };
        group.push(job);
    }
}

async fn exec(conn: &mut SqliteConnection, sql: &'static str) -> Result<(), DatabaseError> {
    sqlx::query(sql).execute(conn).await?;
    Ok(())
}
