//! Gathers appends that wait together into groups.
//!
//! While one group is on its way, those that come meanwhile become the next: nobody waits for company, and the busier it
//! is the less each append costs.

use std::collections::HashSet;
use std::sync::Arc;

use memory::blob::NewBlob;
use memory::ids::Owner;
use memory::ports::{Append, JournalError};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::append::{self, NewAppend};
use crate::store::postgres::{DatabaseError, PostgresDatabase};

/// Groups on their way at the same time, each with a connection.
const IN_FLIGHT: usize = 2;
/// Appends of one group at most.
const MAX_APPENDS: usize = 256;
/// Bytes of the payloads of one group, above which no further append joins it.
const MAX_BYTES: usize = 4 << 20;
/// Appends that wait for a group; further ones wait for a place.
const QUEUE: usize = 4096;

/// Why an append failed that was not done within the limit of a call.
const LATE: DatabaseError = DatabaseError::Unavailable("it did not answer in time");

type Reply = Result<Option<Append>, DatabaseError>;

struct Waiting {
    append: NewAppend,
    deadline: Instant,
    reply: oneshot::Sender<Reply>,
}

/// Takes appends. Cheap to clone; the work ends with the last clone.
#[derive(Clone)]
pub(super) struct Groups {
    queue: mpsc::Sender<Waiting>,
    database: Arc<PostgresDatabase>,
}

impl Groups {
    /// Works on the runtime of the database; the clock is `ahead` microseconds ahead.
    pub(super) fn start(database: &Arc<PostgresDatabase>, ahead: impl Fn() -> i64 + Clone + Send + 'static) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let line = Arc::new(Mutex::new(Line { waiting, next: None }));
        for _ in 0..IN_FLIGHT {
            let (line, database, ahead) = (line.clone(), Arc::clone(database), ahead.clone());
            database.home().clone().spawn(async move {
                loop {
                    let Some(group) = line.lock().await.group().await else { return };
                    run(&database, group, ahead()).await;
                }
            });
        }
        Self { queue, database: Arc::clone(database) }
    }

    /// Appends a blob.
    ///
    /// # Errors
    /// When Postgres cannot. The outcome is unknown then.
    pub(super) async fn append(&self, owner: &Owner, blob: &NewBlob) -> Result<Append, JournalError> {
        let deadline = Instant::now() + self.database.call_timeout();
        let (reply, outcome) = oneshot::channel();
        let append = NewAppend { owner: owner.clone(), blob: blob.clone() };
        let queued = timeout_at(deadline, self.queue.send(Waiting { append, deadline, reply })).await;
        queued.map_err(|_| LATE)?.map_err(|_| DatabaseError::Unavailable("it is closed"))?;
        let outcome = timeout_at(deadline, outcome).await.map_err(|_| LATE)?;
        let appended = outcome.map_err(|_| DatabaseError::Unavailable("the call was broken off"))??;
        appended.ok_or(JournalError::OwnerGone)
    }
}

/// Those who wait, and the one that did not fit into the last group.
struct Line {
    waiting: mpsc::Receiver<Waiting>,
    next: Option<Waiting>,
}

impl Line {
    /// The next group: whoever waits now. None when nobody will come any more.
    async fn group(&mut self) -> Option<Vec<Waiting>> {
        let mut next = match self.next.take() {
            Some(next) => next,
            None => self.waiting.recv().await?,
        };
        let (mut group, mut seen, mut bytes) = (Vec::new(), HashSet::new(), 0);
        loop {
            // A blob that is sent twice goes into two groups.
            let is_new = seen.insert((next.append.owner.clone(), next.append.blob.id));
            if group.len() == MAX_APPENDS || bytes > MAX_BYTES || !is_new {
                self.next = Some(next);
                return Some(group);
            }
            bytes += next.append.blob.payload.len();
            group.push(next);
            match self.waiting.try_recv() {
                Ok(waiting) => next = waiting,
                Err(_) => return Some(group),
            }
        }
    }
}

/// Does a group. When that fails, for whatever reason that one of its members or a broken connection may be, each of them
/// is tried alone: nobody is to suffer for another. To append twice is harmless.
async fn run(database: &Arc<PostgresDatabase>, group: Vec<Waiting>, ahead: i64) {
    let now = Instant::now();
    let (late, group): (Vec<_>, Vec<_>) = group.into_iter().partition(|waiting| waiting.deadline <= now);
    // Who hung up needs no answer, here and below.
    late.into_iter().for_each(|waiting| drop(waiting.reply.send(Err(LATE))));
    if group.is_empty() {
        return;
    }
    let appends: Vec<NewAppend> = group.iter().map(|waiting| waiting.append.clone()).collect();
    match append(database, appends, ahead).await {
        Ok(done) => group.into_iter().zip(done).for_each(|(waiting, done)| drop(waiting.reply.send(Ok(done)))),
        Err(error) if group.len() == 1 || database.is_away() => {
            group.into_iter().for_each(|waiting| drop(waiting.reply.send(Err(error.clone()))));
        }
        Err(_) => {
            for waiting in group {
                let database = Arc::clone(database);
                // Besides the groups, which go on.
                tokio::spawn(async move {
                    let done = timeout_at(waiting.deadline, append(&database, vec![waiting.append], ahead)).await;
                    let _ = waiting.reply.send(done.unwrap_or(Err(LATE)).map(|mut done| done.pop().flatten()));
                });
            }
        }
    }
}

async fn append(
    database: &PostgresDatabase,
    appends: Vec<NewAppend>,
    ahead: i64,
) -> Result<Vec<Option<Append>>, DatabaseError> {
    let work = database.single(appends, move |conn, appends| Box::pin(append::append(conn, appends, ahead)));
    work.await
}
