//! One connection to Redis that is made anew when it breaks.
//!
//! A task of its own keeps it: it connects, asks for a sign of life every second, and connects again when that fails or
//! when a caller says that the connection is broken. Callers wait for it only as long as an interruption is short.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult, cmd};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How often the connection is asked for a sign of life.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// A connection that lived for less does not count as a recovery: the pauses go on growing.
const LIVED: Duration = Duration::from_secs(5);
/// The first and the longest pause between two attempts to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
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
        tasks.spawn(keeper.run(first));
        Self { state, broken, grace, _keeper: tasks }
    }

    /// The present connection and its number, which is greater than `after`. Waits for it until `deadline` at most.
    ///
    /// # Errors
    /// When there is none in time.
    pub(super) async fn connection(&self, after: u64, deadline: Instant) -> Result<(u64, MultiplexedConnection), Away> {
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
            self.watch(number, connection).await;
            self.state.send_replace(State::Down(Instant::now()));
            tracing::warn!("the connection to Redis is lost");
            if since.elapsed() >= LIVED {
                waits = pauses();
            } else {
                sleep(waits.next().unwrap_or(PAUSES.1)).await;
            }
            connection = self.reconnect(&mut waits).await;
            number += 1;
            since = Instant::now();
            self.state.send_replace(State::Up(number, connection.clone()));
            tracing::info!("connected to Redis again");
        }
    }

    /// Returns when the connection is broken.
    async fn watch(&mut self, number: u64, mut connection: MultiplexedConnection) {
        loop {
            let reported = self.broken.wait_for(|last| *last >= number);
            if timeout(PING_INTERVAL, reported).await.is_ok() {
                return;
            }
            let ping = cmd("PING");
            let alive: RedisResult<()> = tokio::select! {
                _ = self.broken.wait_for(|last| *last >= number) => return,
                alive = ping.query_async(&mut connection) => alive,
            };
            // An error that Redis itself answers with is a sign of life, too.
            if let Err(error) = alive
                && error.is_io_error()
            {
                tracing::debug!(%error, "Redis gave no sign of life");
                return;
            }
        }
    }

    async fn reconnect(&self, waits: &mut (impl Iterator<Item = Duration> + Send)) -> MultiplexedConnection {
        let mut told = false;
        loop {
            match connect(&self.client, self.connect_timeout, self.response_timeout).await {
                Ok(connection) => return connection,
                Err(error) if told => tracing::debug!(%error, "Redis cannot be reached yet"),
                Err(error) => tracing::warn!(%error, "Redis cannot be reached"),
            }
            told = true;
            sleep(waits.next().unwrap_or(PAUSES.1)).await;
        }
    }
}
