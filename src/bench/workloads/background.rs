//! Flushes in the background: asked for all at once, and then how long until all are done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::flush::inserts;
use super::{Users, Work};
use crate::bench::client::{Connection, Fault};
use crate::bench::form::{Form, Id};
use crate::bench::load::{Measured, Operation, Second, Session};
use crate::bench::rig::Rig;
use crate::bench::texts::VARIANTS;

/// The kinds of requests. A flush counts when it is seen done, an ask when it is answered.
const FLUSH: usize = 0;
const ASK: usize = 1;
const INSERT: usize = 2;
/// Between two looks at a buffer that is not empty yet.
const POLL: Duration = Duration::from_millis(2);
/// When no flush was seen done for so long, the rest is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Users whose flushes failed are told apart no further than so many.
const MAX_LEFT: u64 = 100;

pub(super) struct FlushBackground {
    users: Users,
    inserts: Arc<Vec<Form>>,
    flush: Arc<Form>,
    begin: Instant,
    /// When the flush of each user was asked for, in nanoseconds after the beginning.
    asked: Arc<Vec<AtomicU64>>,
}

impl FlushBackground {
    pub(super) fn new(rig: &Rig, users: u32) -> anyhow::Result<Self> {
        let users = Users::make(rig, users)?;
        let asked = users.0.iter().map(|_| AtomicU64::new(0)).collect();
        let flush = Arc::new(Form::new(&rig.target, "POST", "/users/buffer/{id}/chat", None));
        Ok(Self { users, inserts: Arc::new(inserts(rig)), flush, begin: Instant::now(), asked: Arc::new(asked) })
    }

    /// Looks at one user after the other, in the order in which they asked, and writes down when each was done.
    async fn watch(&self, rig: &Rig, done: &mut Operation) -> Vec<Fault> {
        let mut connection = Connection::new(rig.target.clone(), rig.timeout);
        let mut watch = Watch::new(rig);
        let mut order: Vec<_> =
            self.asked.iter().map(|at| at.load(Ordering::Relaxed)).zip(self.users.0.iter()).collect();
        order.sort_unstable();
        let first = order.first().map_or(0, |(at, _)| *at);
        let (mut faults, mut left) = (Vec::new(), 0);
        for (asked, user) in order {
            match watch.until_empty(&mut connection, user).await {
                Ok(()) => {
                    let at = self.nanos();
                    done.answers += 1;
                    done.acknowledged += 1;
                    let latency = at.saturating_sub(asked);
                    done.latencies.saturating_record(latency);
                    count(&mut done.seconds, Duration::from_nanos(at - first), latency);
                }
                Err(fault) => {
                    faults.push(fault);
                    left += 1;
                    if left >= MAX_LEFT {
                        break;
                    }
                }
            }
        }
        faults
    }

    fn nanos(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn count(seconds: &mut Vec<Second>, at: Duration, latency: u64) {
    let second = usize::try_from(at.as_secs()).unwrap_or_default();
    if second >= seconds.len() {
        seconds.resize(second + 1, Second::default());
    }
    seconds[second].answers += 1;
    seconds[second].slowest = seconds[second].slowest.max(latency);
}

impl Work for FlushBackground {
    fn kinds(&self) -> &'static [&'static str] {
        &["flush", "ask", "insert"]
    }

    fn headline(&self) -> Option<usize> {
        Some(FLUSH)
    }

    fn is_batch(&self) -> bool {
        true
    }

    /// Each user once.
    fn sessions(&mut self, rig: &Rig, connections: u32) -> anyhow::Result<Vec<Box<dyn Session>>> {
        let _ = rig;
        self.begin = Instant::now();
        let next = Arc::new(AtomicU64::new(0));
        let session = || {
            let (users, inserts, flush) = (self.users.clone(), self.inserts.clone(), self.flush.clone());
            let (next, asked, begin) = (next.clone(), self.asked.clone(), self.begin);
            let mut inserted = None;
            Box::new(move |request: &mut Vec<u8>| {
                if let Some(n) = inserted.take() {
                    let user: usize = n;
                    flush.write(&users.0[user], user as u64, request);
                    let nanos = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    asked[user].store(nanos, Ordering::Relaxed);
                    return Some(ASK);
                }
                let n = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
                inserts[n % VARIANTS].write(users.0.get(n)?, n as u64, request);
                inserted = Some(n);
                Some(INSERT)
            }) as Box<dyn Session>
        };
        Ok((0..connections).map(|_| session()).collect())
    }

    fn settle(&mut self, rig: &Rig, measured: &mut Measured) -> anyhow::Result<()> {
        let first = self.asked.iter().map(|at| at.load(Ordering::Relaxed)).min().unwrap_or_default();
        let mut done = Operation::new();
        let faults = rig.wait(self.watch(rig, &mut done))?;
        faults.into_iter().for_each(|fault| measured.failures.count(fault));
        measured.length = Duration::from_nanos(self.nanos().saturating_sub(first));
        measured.whole = measured.length;
        measured.operations[FLUSH] = done;
        Ok(())
    }

    fn users(&self) -> Vec<Id> {
        self.users.0.to_vec()
    }
}

/// Looks at buffers until they are empty.
pub(super) struct Watch {
    /// What is looked at, in the order in which a message passes through.
    looks: [Form; 2],
    failed: Form,
    request: Vec<u8>,
    /// When something was last seen done.
    progress: Instant,
}

impl Watch {
    pub(super) fn new(rig: &Rig) -> Self {
        let look = |status: &str| {
            Form::new(&rig.target, "GET", &format!("/users/buffer/capacity/{{id}}/chat?status={status}"), None)
        };
        Self {
            looks: [look("idle"), look("processing")],
            failed: look("failed"),
            request: Vec::new(),
            progress: Instant::now(),
        }
    }

    /// Waits until nothing of a user is buffered or processed, and looks whether it ended well.
    ///
    /// # Errors
    /// When it did not, or takes too long.
    pub(super) async fn until_empty(&mut self, connection: &mut Connection, user: &Id) -> Result<(), Fault> {
        let mut looks = self.looks.iter().peekable();
        while let Some(look) = looks.peek() {
            look.write(user, 0, &mut self.request);
            if is_empty(connection.call(&self.request, Instant::now()).await?) {
                looks.next();
            } else if self.progress.elapsed() > PATIENCE {
                return Err(Fault::NotDone);
            } else {
                sleep(POLL).await;
            }
        }
        self.progress = Instant::now();
        self.failed.write(user, 0, &mut self.request);
        if is_empty(connection.call(&self.request, Instant::now()).await?) { Ok(()) } else { Err(Fault::Dead) }
    }
}

/// True for a list of ids without any.
fn is_empty(body: &[u8]) -> bool {
    memchr::memmem::find(body, b"\"ids\":[]").or_else(|| memchr::memmem::find(body, b"\"ids\": []")).is_some()
}
