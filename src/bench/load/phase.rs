//! One phase: so many connections on so few threads, for so long.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::alarm::Alarm;
use super::measured::Measured;
use super::recorder::Recorder;
use super::schedule::Schedule;
use crate::bench::client::Connection;
use crate::bench::target::Target;

/// After a failure a connection pauses, so that a server in trouble is not flooded.
const FAILURE_PAUSE: Duration = Duration::from_millis(20);

/// Whether everything is to stop: someone has pressed Ctrl-C.
pub(crate) type Stop = watch::Receiver<bool>;

/// What one connection asks, one request after the other.
pub(crate) trait Session: Send {
    /// Writes the next request, in place of what is in `request`, and tells its kind. None: there is nothing left.
    fn next(&mut self, request: &mut Vec<u8>) -> Option<usize>;
}

impl<F: FnMut(&mut Vec<u8>) -> Option<usize> + Send> Session for F {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<usize> {
        self(request)
    }
}

/// When requests are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    /// Each connection sends the next when the last is answered.
    Closed,
    /// At a steady rate per second, on whichever connection is free.
    Open(u32),
}

/// A phase to run.
pub(crate) struct Phase {
    /// The server.
    pub(crate) target: Arc<Target>,
    /// Kinds of requests.
    pub(crate) kinds: usize,
    /// Threads, each with its share of the connections.
    pub(crate) threads: u32,
    /// When requests are sent.
    pub(crate) pace: Pace,
    /// Before anything is measured.
    pub(crate) warmup: Duration,
    /// What is measured then. None: until all sessions have nothing left.
    pub(crate) length: Option<Duration>,
    /// How long an answer is waited for.
    pub(crate) timeout: Duration,
    /// Whether it ends with the first failure.
    pub(crate) strict: bool,
    /// Answers so far, for whoever watches.
    pub(crate) live: Arc<AtomicU64>,
    /// Ends it early.
    pub(crate) stop: Stop,
}

impl Phase {
    /// Connects, one connection for each session, runs, and tells what was measured.
    ///
    /// # Errors
    /// When a first connection cannot be made, or the phase was stopped.
    pub(crate) fn run(mut self, sessions: Vec<Box<dyn Session>>) -> anyhow::Result<Measured> {
        let count = usize::try_from(self.threads)?.clamp(1, sessions.len().max(1));
        self.threads = u32::try_from(count)?;
        let mut shares: Vec<Vec<Box<dyn Session>>> = (0..count).map(|_| Vec::new()).collect();
        for (index, session) in sessions.into_iter().enumerate() {
            shares[index % count].push(session);
        }
        let gate = Arc::new(Gate { phase: self, connected: Barrier::new(count), begin: OnceLock::new() });
        let threads: Vec<_> = shares
            .into_iter()
            .zip(0..)
            .map(|(share, index)| {
                let gate = gate.clone();
                thread::Builder::new().name("load".to_owned()).spawn(move || gate.run_thread(index, share))
            })
            .collect::<Result<_, _>>()?;
        let mut measured: Option<Measured> = None;
        let mut done = Ok(());
        for thread in threads {
            match thread.join().unwrap_or_else(|_| Err(anyhow!("a thread of the load generator panicked"))) {
                Ok(share) => match &mut measured {
                    Some(measured) => measured.add(&share),
                    None => measured = Some(share),
                },
                Err(error) => done = done.and(Err(error)),
            }
        }
        done.and(measured.context("there is no thread"))
    }
}

/// Where the threads of a phase meet.
struct Gate {
    phase: Phase,
    connected: Barrier,
    begin: OnceLock<Instant>,
}

impl Gate {
    fn run_thread(&self, index: u32, sessions: Vec<Box<dyn Session>>) -> anyhow::Result<Measured> {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let connected = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
            let connections = runtime.block_on(self.connect(sessions.len()))?;
            Ok((runtime, connections))
        });
        // Even when this thread cannot go on: the others wait for it.
        self.connected.wait();
        let (runtime, connections) = connected?;
        let mut stop = self.phase.stop.clone();
        runtime.block_on(async {
            tokio::select! {
                done = self.work(index, sessions, connections) => done,
                _ = stop.wait_for(|stop| *stop) => Err(anyhow!("interrupted")),
            }
        })
    }

    async fn connect(&self, count: usize) -> anyhow::Result<Vec<Connection>> {
        let target = &self.phase.target;
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            let mut connection = Connection::new(target.clone(), self.phase.timeout);
            connection.open().await.with_context(|| format!("the server at {} is not reached", target.url))?;
            connections.push(connection);
        }
        Ok(connections)
    }

    async fn work(
        &self,
        thread: u32,
        sessions: Vec<Box<dyn Session>>,
        connections: Vec<Connection>,
    ) -> anyhow::Result<Measured> {
        let Phase { kinds, threads, pace, warmup, length, strict, .. } = self.phase;
        let begin = *self.begin.get_or_init(Instant::now);
        let from = begin + warmup;
        let until = length.map(|length| from + length);
        let recorder = RefCell::new(Recorder::new(kinds, (begin, from, until), strict, self.phase.live.clone()));
        let turns = match pace {
            Pace::Closed => None,
            Pace::Open(rate) => {
                let schedule = Schedule { start: begin, rate, threads, thread };
                Some(Mutex::new(Turns { schedule, next: 0, alarm: Alarm::new()? }))
            }
        };
        let crew = Rc::new(Crew { recorder, until, turns });
        let mut tasks = JoinSet::new();
        for (session, connection) in sessions.into_iter().zip(connections) {
            tasks.spawn_local(crew.clone().drive(session, connection));
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        let Crew { recorder, turns, .. } = Rc::into_inner(crew).context("a connection goes on")?;
        let mut recorder = recorder.into_inner();
        if let (Some(turns), Some(until)) = (turns, until) {
            let Turns { schedule, next, .. } = turns.into_inner();
            let left = schedule.due_before(next, until);
            recorder.unsent((next..next + left).map(|n| schedule.due(n)), until);
        }
        Ok(recorder.finish())
    }
}

/// What the connections of a thread share.
struct Crew {
    recorder: RefCell<Recorder>,
    until: Option<Instant>,
    /// Turns of an open loop: whoever holds them waits for the next to be due. The others wait in line.
    turns: Option<Mutex<Turns>>,
}

struct Turns {
    schedule: Schedule,
    next: u64,
    alarm: Alarm,
}

impl Crew {
    /// Drives one connection to the end of the phase.
    async fn drive(self: Rc<Self>, mut session: Box<dyn Session>, mut connection: Connection) -> anyhow::Result<()> {
        let mut request = Vec::new();
        let mut now = Instant::now();
        while !self.is_over(now) {
            let Some(due) = self.turn(now).await? else { break };
            if self.turns.is_some() {
                now = Instant::now();
                self.recorder.borrow_mut().sent(due, now);
            }
            let Some(kind) = session.next(&mut request) else { break };
            let fault = connection.call(&request, now).await.err();
            let failed = fault.is_some();
            now = Instant::now();
            self.recorder.borrow_mut().ended(kind, due, now, fault);
            if failed {
                sleep(FAILURE_PAUSE).await;
                now = Instant::now();
            }
        }
        Ok(())
    }

    fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now >= until) || self.recorder.borrow().has_given_up()
    }

    /// When the next request is due: `now`, or when the schedule says so. None: not before the end.
    async fn turn(&self, now: Instant) -> io::Result<Option<Instant>> {
        let Some(turns) = &self.turns else { return Ok(Some(now)) };
        let mut turns = turns.lock().await;
        let due = turns.schedule.due(turns.next);
        // Whoever waited in line may get its turn after the end: those requests were never sent.
        if self.until.is_some_and(|until| due >= until || Instant::now() >= until) {
            return Ok(None);
        }
        turns.alarm.wait(due).await?;
        turns.next += 1;
        Ok(Some(due))
    }
}
