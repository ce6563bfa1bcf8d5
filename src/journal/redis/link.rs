//! One connection to Redis that is made anew when it breaks.
//!
//! A task of its own keeps it: it connects, asks for a sign of life every second, and connects again when that fails or
//! when a caller says that the connection is broken. Callers wait for it only as long as an interruption is short.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult, cmd};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::error::{OUTAGE, tell_back};

/// How often the connection is asked for a sign of life.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// A connection that lived for less does not count as a recovery: the pauses go on growing.
const LIVED: Duration = Duration::from_secs(5);
/// The first and the longest pause between two attempts to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// What the log says while there is no connection.
const LOST: &str = "the connection to Redis is lost";
/// Calls that may wait to be written to the connection before the next has to wait for its turn.
const SEND_QUEUE: usize = 1024;

/// The connection as it is now. Its number tells it from those before and after.
#[derive(Clone)]
enum State {
    Up(u64, MultiplexedConnection),
    Down(Instant),
}

/// No connection came back in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Away;

/// See the module.
pub(super) struct Link {
    state: watch::Receiver<State>,
    /// The number of the last connection that was found broken.
    broken: watch::Sender<u64>,
    grace: Duration,
    stop: AbortHandle,
    _keeper: JoinSet<()>,
}

/// Pauses that double, with jitter, without end.
pub(super) fn pauses() -> impl Iterator<Item = Duration> + Send {
    let (first, longest) = PAUSES;
    ExponentialBuilder::new().with_min_delay(first).with_max_delay(longest).with_jitter().without_max_times().build()
}

/// Connects once.
pub(super) async fn connect(
    client: &Client,
    connect_timeout: Duration,
    response_timeout: Duration,
) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect_timeout))
        .set_response_timeout(Some(response_timeout))
        .set_pipeline_buffer_size(SEND_QUEUE);
    client.get_multiplexed_async_connection_with_config(&config).await
}

impl Link {
    /// Keeps `first` and its successors alive, on the present runtime, until it is dropped. A caller waits until
    /// `grace` after a connection was lost, and fails at once later on.
    pub(super) fn keep(
        client: Client,
        first: MultiplexedConnection,
        connect_timeout: Duration,
        response_timeout: Duration,
        grace: Duration,
    ) -> Self {
        let (set_state, state) = watch::channel(State::Up(1, first.clone()));
        let (broken, reports) = watch::channel(0);
        let keeper = Keeper { client, connect_timeout, response_timeout, state: set_state, broken: reports };
        let mut tasks = JoinSet::new();
        let stop = tasks.spawn(keeper.run(first));
        Self { state, broken, grace, stop, _keeper: tasks }
    }

    /// Leaves the connection to itself: when it breaks from now on, nobody is told and there is no other.
    pub(super) fn close(&self) {
        self.stop.abort();
    }

    /// The present connection and its number, which is greater than `after`. Waits for it until `deadline` at most.
    ///
    /// # Errors
    /// When there is none in time.
    pub(super) async fn connection(&self, after: u64, deadline: Instant) -> Result<(u64, MultiplexedConnection), Away> {
        if let State::Up(number, connection) = &*self.state.borrow()
            && *number > after
        {
            return Ok((*number, connection.clone()));
        }
        let mut state = self.state.clone();
        let patience = Instant::now() + self.grace;
        loop {
            let wait_until = match &*state.borrow_and_update() {
                State::Up(number, connection) if *number > after => return Ok((*number, connection.clone())),
                // It was found broken, but its keeper has not looked yet.
                State::Up(..) => patience,
                State::Down(since) => *since + self.grace,
            };
            match timeout_at(wait_until.min(deadline), state.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(Away),
            }
        }
    }

    /// Says that the connection of this number is of no use any more.
    pub(super) fn found_broken(&self, number: u64) {
        self.broken.send_if_modified(|last| {
            let news = number > *last;
            *last = number.max(*last);
            news
        });
    }
}

/// Why a connection is watched no more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watched {
    /// It is broken.
    Broken,
    /// Nobody is left who would use it.
    Closed,
}

impl Watched {
    /// What a report means, or that there is nobody left to report.
    fn of<T>(report: &Result<T, watch::error::RecvError>) -> Self {
        if report.is_ok() { Self::Broken } else { Self::Closed }
    }
}

struct Keeper {
    client: Client,
    connect_timeout: Duration,
    response_timeout: Duration,
    state: watch::Sender<State>,
    broken: watch::Receiver<u64>,
}

impl Keeper {
    async fn run(mut self, first: MultiplexedConnection) {
        let (mut number, mut connection) = (1, first);
        let mut waits = pauses();
        let mut since = Instant::now();
        loop {
            if self.watch(number, connection).await == Watched::Closed {
                return;
            }
            self.state.send_replace(State::Down(Instant::now()));
            if let Some(line) = OUTAGE.lost(LOST, std::time::Instant::now()) {
                tracing::warn!(held_back = line.held_back, for_s = line.seconds, "{LOST}");
            }
            if since.elapsed() >= LIVED {
                waits = pauses();
            } else {
                sleep(waits.next().unwrap_or(PAUSES.1)).await;
            }
            connection = self.reconnect(&mut waits).await;
            number += 1;
            since = Instant::now();
            self.state.send_replace(State::Up(number, connection.clone()));
            tell_back(OUTAGE.back(std::time::Instant::now()));
        }
    }

    /// Returns when the connection is broken, or of no use to anybody any more.
    async fn watch(&mut self, number: u64, mut connection: MultiplexedConnection) -> Watched {
        loop {
            let reported = self.broken.wait_for(|last| *last >= number);
            if let Ok(reported) = timeout(PING_INTERVAL, reported).await {
                return Watched::of(&reported);
            }
            let ping = cmd("PING");
            let alive: RedisResult<()> = tokio::select! {
                reported = self.broken.wait_for(|last| *last >= number) => return Watched::of(&reported),
                alive = ping.query_async(&mut connection) => alive,
            };
            // An error that Redis itself answers with is a sign of life, too.
            if let Err(error) = alive
                && error.is_io_error()
            {
                tracing::debug!(%error, "Redis gave no sign of life");
                return Watched::Broken;
            }
        }
    }

    async fn reconnect(&self, waits: &mut (impl Iterator<Item = Duration> + Send)) -> MultiplexedConnection {
        loop {
            let error = match connect(&self.client, self.connect_timeout, self.response_timeout).await {
                Ok(connection) => return connection,
                Err(error) => error,
            };
            match OUTAGE.lost(LOST, std::time::Instant::now()) {
                Some(line) => tracing::warn!(%error, held_back = line.held_back, for_s = line.seconds, "{LOST}"),
                None => tracing::debug!(%error, "Redis cannot be reached yet"),
            }
            sleep(waits.next().unwrap_or(PAUSES.1)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Says OK to everything, on one connection.
    async fn agree(listener: TcpListener) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut asked).await {
            let commands = asked[..length].split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"*")).count();
            stream.write_all("+OK\r\n".repeat(commands).as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_connection_that_nobody_needs_any_more_is_not_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::open(format!("redis://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(agree(listener));
        let patience = Duration::from_secs(10);
        let first = connect(&client, patience, patience).await.unwrap();
        let (state, seen) = watch::channel(State::Up(1, first.clone()));
        let (sender, broken) = watch::channel(0);
        let keeper = Keeper { client, connect_timeout: patience, response_timeout: patience, state, broken };
        let keeping = tokio::spawn(keeper.run(first));
        drop(sender);
        timeout(patience, keeping).await.expect("it ends by itself").unwrap();
        assert!(matches!(*seen.borrow(), State::Up(1, _)), "and calls nothing lost");
    }
}
