//! Gathers work of one kind that waits together into groups, each of which is one call of the database.
//!
//! While one group is on its way, those that come meanwhile become the next: nobody waits for company, and the busier it
//! is the less each costs. One at a time: two on their way are smaller groups, and measured a tenth to a fifth slower. Only
//! when one takes long does the next go on its way beside it.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::database::{self, PostgresDatabase, Work};
use super::error::{DatabaseError, NO_CONNECTION};

/// Members of one group at most.
const MAX_MEMBERS: usize = 256;
/// Bytes of the members of one group, above which no further one joins it.
const MAX_BYTES: usize = 4 << 20;
/// Those that wait for a group; further ones wait for a place.
const QUEUE: usize = 4096;
/// How long the next group waits for one.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why work failed that was not done within the limit of a call.
const LATE: DatabaseError = DatabaseError::Unavailable(database::LATE);

/// A piece of work that others of its kind can be done with.
pub(crate) trait Member: Clone + Send + Sync + 'static {
    /// What comes out of it.
    type Done: Send + 'static;
    /// Names what it works on.
    type Key: Eq + Hash + Send;

    /// Two with the same key are not done together.
    fn key(&self) -> Self::Key;

    /// About how many bytes it sends or brings.
    fn bytes(&self) -> usize;

    /// Does all members of a group, and tells what came out of each, in order. Called more than once, it takes effect
    /// once.
    ///
    /// # Errors
    /// When one of them, or the connection, does not let it be done. Nothing has been done then, or it is unknown.
    fn work<'c>(conn: &'c mut PgConnection, group: &'c [Self]) -> Work<'c, Vec<Self::Done>>;
}

/// Where the outcome belongs that a row tells of: it has the place of its member in the lists of the statement, counted
/// from 1, as `n`.
///
/// # Errors
/// When there is no such place.
pub(crate) fn place_of<'d, T>(row: &PgRow, done: &'d mut [T]) -> Result<&'d mut T, DatabaseError> {
    let place: i64 = row.try_get("n")?;
    let place = usize::try_from(place - 1).ok().and_then(|place| done.get_mut(place));
    place.ok_or(DatabaseError::Damaged("a row of something that was not asked for"))
}

struct Waiting<M: Member> {
    member: M,
    deadline: Instant,
    reply: oneshot::Sender<Result<M::Done, DatabaseError>>,
}

/// Takes work of one kind. Cheap to clone; it ends with the last clone.
pub(crate) struct Groups<M: Member> {
    queue: mpsc::Sender<Waiting<M>>,
    database: Arc<PostgresDatabase>,
}

impl<M: Member> Clone for Groups<M> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), database: Arc::clone(&self.database) }
    }
}

impl<M: Member> Groups<M> {
    /// Works on the runtime of the database.
    pub(crate) fn start(database: &Arc<PostgresDatabase>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (mut line, worker) = (Line { waiting, next: None }, Arc::clone(database));
        database.home().spawn(async move {
            while let Some(group) = line.group().await {
                // A task of its own, which goes on after that.
                timeout(PATIENCE, tokio::spawn(run(Arc::clone(&worker), group))).await.ok();
            }
        });
        Self { queue, database: Arc::clone(database) }
    }

    /// Does a piece of work, with those that wait too.
    ///
    /// # Errors
    /// When Postgres cannot. The outcome is unknown then.
    pub(crate) async fn submit(&self, member: M) -> Result<M::Done, DatabaseError> {
        self.submit_by(Instant::now() + self.database.call_timeout(), member).await
    }

    /// As [`Groups::submit`], done by an instant.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn submit_by(&self, deadline: Instant, member: M) -> Result<M::Done, DatabaseError> {
        let (reply, outcome) = oneshot::channel();
        let queued = timeout_at(deadline, self.queue.send(Waiting { member, deadline, reply })).await;
        queued.map_err(|_| LATE)?.map_err(|_| DatabaseError::Unavailable("it is closed"))?;
        let outcome = timeout_at(deadline, outcome).await.map_err(|_| LATE)?;
        outcome.map_err(|_| DatabaseError::Unavailable("the call was broken off"))?
    }
}

/// Those who wait, and the one that did not fit into the last group.
struct Line<M: Member> {
    waiting: mpsc::Receiver<Waiting<M>>,
    next: Option<Waiting<M>>,
}

impl<M: Member> Line<M> {
    /// The next group: whoever waits now. None when nobody will come any more.
    async fn group(&mut self) -> Option<Vec<Waiting<M>>> {
        let mut next = match self.next.take() {
            Some(next) => next,
            None => self.waiting.recv().await?,
        };
        let (mut group, mut seen, mut bytes) = (Vec::new(), HashSet::new(), 0);
        loop {
            let is_new = seen.insert(next.member.key());
            if group.len() == MAX_MEMBERS || bytes > MAX_BYTES || !is_new {
                self.next = Some(next);
                return Some(group);
            }
            bytes += next.member.bytes();
            group.push(next);
            match self.waiting.try_recv() {
                Ok(waiting) => next = waiting,
                Err(_) => return Some(group),
            }
        }
    }
}

/// Does a group. When that fails, for whatever reason that one of its members or a broken connection may be, each of them
/// is tried alone: nobody is to suffer for another.
async fn run<M: Member>(database: Arc<PostgresDatabase>, group: Vec<Waiting<M>>) {
    let now = Instant::now();
    let (late, group): (Vec<_>, Vec<_>) = group.into_iter().partition(|waiting| waiting.deadline <= now);
    // Who hung up needs no answer, here and below.
    late.into_iter().for_each(|waiting| drop(waiting.reply.send(Err(LATE))));
    if group.is_empty() {
        return;
    }
    let members: Vec<M> = group.iter().map(|waiting| waiting.member.clone()).collect();
    match work(&database, members).await {
        Ok(done) => group.into_iter().zip(done).for_each(|(waiting, done)| drop(waiting.reply.send(Ok(done)))),
        Err(error) if group.len() == 1 || error == NO_CONNECTION || database.is_away() => {
            group.into_iter().for_each(|waiting| drop(waiting.reply.send(Err(error.clone()))));
        }
        Err(_) => {
            // Besides the groups, which go on.
            group.into_iter().for_each(|waiting| drop(tokio::spawn(alone(Arc::clone(&database), waiting))));
        }
    }
}

async fn alone<M: Member>(database: Arc<PostgresDatabase>, waiting: Waiting<M>) {
    let done = if waiting.deadline <= Instant::now() {
        Err(LATE)
    } else {
        let done = timeout_at(waiting.deadline, work(&database, vec![waiting.member])).await.unwrap_or(Err(LATE));
        done.and_then(|mut done| done.pop().ok_or(DatabaseError::Damaged("a group of one without an outcome")))
    };
    let _ = waiting.reply.send(done);
}

async fn work<M: Member>(database: &PostgresDatabase, members: Vec<M>) -> Result<Vec<M::Done>, DatabaseError> {
    database.single(members, |conn, members| M::work(conn, members)).await
}
