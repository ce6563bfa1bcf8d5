//! What runs phases, and whatever else is asked of the server.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, bail, ensure};
use tokio::runtime::Builder;
use tokio::time::Instant;

use super::client::Connection;
use super::form::{Form, Id};
use super::load::{Measured, Pace, Phase, Session, Stop};
use super::progress::Progress;
use super::target::Target;

/// Connections that prepare users. More would change little, and a slow server should not be flooded beforehand.
const SETUP_CONNECTIONS: u32 = 16;
/// Between two looks at a phase that runs.
const TICK: Duration = Duration::from_millis(50);

/// What runs phases.
pub(crate) struct Rig {
    /// The server.
    pub(crate) target: Arc<Target>,
    /// Threads of the load generator.
    pub(crate) threads: u32,
    /// How long an answer is waited for.
    pub(crate) timeout: Duration,
    /// Tokens from which on the server flushes a buffer.
    pub(crate) buffer_tokens: u64,
    /// Messages of the user in a conversation.
    pub(crate) turns: u32,
    /// Conversations of a user until another comes; 0: never.
    pub(crate) conversations: u32,
    /// Ends everything early.
    pub(crate) stop: Stop,
    /// What is shown meanwhile.
    pub(crate) progress: Progress,
}

/// How a phase is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    /// Kinds of requests.
    pub(crate) kinds: usize,
    /// When requests are sent.
    pub(crate) pace: Pace,
    /// Before anything is measured.
    pub(crate) warmup: Duration,
    /// What is measured then; None: until the sessions have nothing left.
    pub(crate) length: Option<Duration>,
    /// Whether it ends with the first failure.
    pub(crate) strict: bool,
}

impl Rig {
    /// Connections that prepare users.
    pub(crate) fn setup_connections(&self) -> u32 {
        SETUP_CONNECTIONS
    }

    /// Runs a phase, and calls `tick` now and then meanwhile.
    ///
    /// # Errors
    /// When the server cannot be connected to, or everything is to stop.
    pub(crate) fn run(
        &self,
        run: Run,
        sessions: Vec<Box<dyn Session>>,
        tick: &mut dyn FnMut(),
    ) -> anyhow::Result<Measured> {
        let live = Arc::new(AtomicU64::new(0));
        let phase = Phase {
            target: self.target.clone(),
            kinds: run.kinds,
            threads: self.threads,
            pace: run.pace,
            warmup: run.warmup,
            length: run.length,
            timeout: self.timeout,
            strict: run.strict,
            live: live.clone(),
            stop: self.stop.clone(),
        };
        let running = thread::spawn(move || phase.run(sessions));
        while !running.is_finished() {
            tick();
            self.progress.show(&live);
            thread::sleep(TICK);
        }
        running.join().unwrap_or_else(|_| Err(anyhow!("the load generator panicked")))
    }

    /// Sends all that sessions have, `total` requests, none of which may fail.
    ///
    /// # Errors
    /// When one does.
    pub(crate) fn bulk(&self, what: &str, total: u64, sessions: Vec<Box<dyn Session>>) -> anyhow::Result<()> {
        self.progress.count(what, total);
        let run = Run { kinds: 1, pace: Pace::Closed, warmup: Duration::ZERO, length: None, strict: true };
        let measured = self.run(run, sessions, &mut || ())?;
        if let Some((_, fault)) = measured.failures.0.values().next() {
            bail!("{fault}{}", fault.advice());
        }
        let answered = measured.operations[0].acknowledged;
        ensure!(answered == total, "{answered} of {total} requests were answered");
        Ok(())
    }

    /// Sends one request; the body of the answer.
    ///
    /// # Errors
    /// When it is no success.
    pub(crate) fn ask(&self, form: &Form, user: &Id) -> anyhow::Result<Vec<u8>> {
        self.wait(async {
            let mut connection = Connection::new(self.target.clone(), self.timeout);
            let mut request = Vec::new();
            form.write(user, 0, &mut request);
            let answer = connection.call(&request, Instant::now()).await;
            answer.map(<[u8]>::to_vec).map_err(|fault| {
                let advice = fault.advice();
                anyhow!("{}: {fault}{advice}", self.target.url)
            })
        })?
    }

    /// Waits for something, unless everything is to stop.
    ///
    /// # Errors
    /// When it is.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> anyhow::Result<T> {
        let mut stop = self.stop.clone();
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            tokio::select! {
                done = future => Ok(done),
                _ = stop.wait_for(|stop| *stop) => Err(anyhow!("interrupted")),
            }
        })
    }
}
