//! A Redis that journal and change feed share: how it is reached, and how a call of it ends.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use memory::ports::JournalError;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{Client, FromRedisValue, IntoConnectionInfo as _, Pipeline, RedisError, RedisResult, Script, Value, cmd};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::durability::Durability;
use super::error::{OUTAGE, Verdict, tell_back, to_journal_error, verdict};
use super::link::{self, Link, pauses};

/// The oldest major version whose scripts can say that they do not need memory.
const OLDEST_MAJOR: u32 = 7;

/// How a [`RedisDatabase`] behaves.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// What all keys begin with, so that several installations can share a Redis: letters, digits, `.`, `_` and `-`.
    pub prefix: String,
    /// How long opening goes on trying while Redis cannot be reached yet or is loading.
    pub open_timeout: Duration,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// How long Redis may take for one answer. A connection that takes longer is replaced.
    pub response_timeout: Duration,
    /// How long a call may take altogether.
    pub call_timeout: Duration,
    /// How long after a loss of the connection calls wait for it to come back. Later on they fail at once.
    pub reconnect_grace: Duration,
    /// How long the journal remembers that an owner was purged.
    pub tombstone_retention: Duration,
    /// For tests: microseconds that the journal's clock is ahead of that of Redis.
    pub clock_shift_us: Arc<AtomicI64>,
}

impl Default for RedisOptions {
    /// Prefix `pm`, 10 s to open, 2 s to connect and for an answer, 5 s for a call, 500 ms of grace, tombstones for 90
    /// days.
    fn default() -> Self {
        Self {
            prefix: "pm".to_owned(),
            open_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(5),
            reconnect_grace: Duration::from_millis(500),
            tombstone_retention: Duration::from_secs(90 * 24 * 3600),
            clock_shift_us: Arc::default(),
        }
    }
}

/// Why Redis could not be opened. No text holds the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL cannot be used.
    #[error(
        "the URL of Redis is not valid: it should look like redis://user:password@host:6379/0, or rediss:// for TLS"
    )]
    Url(#[source] RedisError),
    /// The prefix of the keys cannot be used.
    #[error("the prefix {0:?} of the keys in Redis is not valid: letters, digits, '.', '_' and '-' are")]
    Prefix(String),
    /// Redis cannot be reached or does not answer.
    #[error("Redis cannot be reached")]
    Unreachable(#[source] RedisError),
    /// Redis answers, but not as it should.
    #[error("Redis does not work as it should")]
    Refused(#[source] JournalError),
    /// Its version lacks what the journal needs.
    #[error("Redis {0} is too old: version 7.0 or newer is needed")]
    TooOld(String),
}

/// Whether a step may be sent again when the outcome of the first time is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Repeat {
    /// The second time does nothing more, and answers the same.
    Harmless,
    /// The second time would answer that there was nothing to do.
    Telling,
}

/// A Redis. Journal and change feed share it.
///
/// It may be called from any runtime with timers: its connection lives on the runtime where it was opened. A connection
/// that breaks is made anew by itself.
pub struct RedisDatabase {
    home: Handle,
    client: Client,
    link: Arc<Link>,
    options: RedisOptions,
    closed: AtomicBool,
}

impl fmt::Debug for RedisDatabase {
    /// Without the client, which knows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisDatabase").field("options", &self.options).finish_non_exhaustive()
    }
}

impl RedisDatabase {
    /// Connects. To be called on the runtime that will do the work.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(url: &str, options: RedisOptions) -> Result<Arc<Self>, OpenError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if options.prefix.is_empty() || !options.prefix.chars().all(fits) {
            return Err(OpenError::Prefix(options.prefix));
        }
        // For TLS. Fails when there is a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let info = url.into_connection_info().map_err(OpenError::Url)?;
        let client = Client::open(info).map_err(OpenError::Url)?;
        let first = first_connection(&client, &options).await.map_err(OpenError::Unreachable)?;
        let RedisOptions { connect_timeout, response_timeout, reconnect_grace, .. } = options;
        let link = Link::keep(client.clone(), first, connect_timeout, response_timeout, reconnect_grace);
        let database =
            Self { home: Handle::current(), client, link: Arc::new(link), options, closed: AtomicBool::new(false) };
        let version = database.durability().await.map_err(OpenError::Refused)?.version;
        match version.split('.').next().map(str::parse::<u32>) {
            Some(Ok(major)) if major < OLDEST_MAJOR => Err(OpenError::TooOld(version)),
            // What cannot be read is no reason to refuse.
            _ => Ok(Arc::new(database)),
        }
    }

    /// The random name of the journal in this Redis, if it was given one.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn journal_id(&self) -> Result<Option<String>, JournalError> {
        let key = self.journal_id_key();
        self.query(Repeat::Harmless, move || cmd("GET").arg(&key).to_owned()).await
    }

    /// Names the journal, unless it has a name. False when it has another.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn set_journal_id(&self, id: &str) -> Result<bool, JournalError> {
        let (key, name) = (self.journal_id_key(), id.to_owned());
        let set = move || cmd("SET").arg(&key).arg(&name).arg("NX").arg("GET").to_owned();
        // It answers with the name that was there.
        let before: Option<String> = self.query(Repeat::Harmless, set).await?;
        Ok(before.is_none_or(|before| before == id))
    }

    fn journal_id_key(&self) -> String {
        format!("{}:journal_id", self.options.prefix)
    }

    /// The time on its clock.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn now(&self) -> Result<Timestamp, JournalError> {
        let (seconds, micros): (i64, i64) = self.query(Repeat::Harmless, || cmd("TIME")).await?;
        let now = seconds.checked_mul(1_000_000).and_then(|all| Timestamp::from_microsecond(all + micros).ok());
        now.ok_or_else(|| JournalError::Damaged("the clock of Redis cannot be read".to_owned()))
    }

    /// What a crash of Redis could lose, as it is configured now.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn durability(&self) -> Result<Durability, JournalError> {
        let info: String = self.query(Repeat::Harmless, || cmd("INFO")).await?;
        let config = self.query(Repeat::Harmless, || {
            cmd("CONFIG").arg("GET").arg("appendfsync").arg("save").arg("maxmemory-policy").to_owned()
        });
        // Hosted services forbid it.
        let config: Vec<(String, String)> = config.await.unwrap_or_default();
        Ok(Durability::new(&info, config))
    }

    /// To be called before its runtime ends: the end of the connection is nothing to be told then.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.link.close();
    }

    /// Whether [`RedisDatabase::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.options.prefix
    }

    pub(crate) fn home(&self) -> &Handle {
        &self.home
    }

    /// Opens a connection of its own to subscribe with.
    pub(crate) async fn pubsub(&self) -> RedisResult<PubSub> {
        let open = timeout(self.options.connect_timeout, self.client.get_async_pubsub()).await;
        open.unwrap_or_else(|_| Err((redis::ErrorKind::Io, "no answer in time").into()))
    }

    pub(super) fn tombstone_retention(&self) -> Duration {
        self.options.tombstone_retention
    }

    /// How far the journal's clock is ahead of that of Redis, in microseconds.
    pub(super) fn clock_shift_us(&self) -> i64 {
        self.options.clock_shift_us.load(Ordering::Relaxed)
    }

    /// Sends one command.
    pub(crate) async fn query<T: FromRedisValue>(
        &self,
        repeat: Repeat,
        command: impl Fn() -> redis::Cmd + Send + Sync + 'static,
    ) -> Result<T, JournalError> {
        let attempt = move |mut connection: MultiplexedConnection| {
            let command = command();
            async move { command.query_async(&mut connection).await }
        };
        read(self.call(repeat, self.options.call_timeout, attempt).await?)
    }

    /// Sends commands at once. To repeat them must be harmless.
    pub(super) async fn pipeline<T: FromRedisValue>(&self, pipe: Pipeline) -> Result<T, JournalError> {
        self.pipeline_within(self.options.call_timeout, pipe).await
    }

    async fn pipeline_within<T: FromRedisValue>(&self, limit: Duration, pipe: Pipeline) -> Result<T, JournalError> {
        let pipe = Arc::new(pipe);
        let attempt = move |mut connection: MultiplexedConnection| {
            let pipe = Arc::clone(&pipe);
            async move { pipe.query_async(&mut connection).await }
        };
        read(self.call(Repeat::Harmless, limit, attempt).await?)
    }

    /// Publishes messages on a channel, within `limit`.
    pub(crate) async fn publish(
        &self,
        limit: Duration,
        channel: &str,
        messages: &[String],
    ) -> Result<(), JournalError> {
        let mut pipe = redis::pipe();
        for message in messages {
            pipe.cmd("PUBLISH").arg(channel).arg(message).ignore();
        }
        self.pipeline_within(limit, pipe).await
    }

    /// Runs a script with these keys and arguments.
    pub(super) async fn script<T: FromRedisValue>(
        &self,
        repeat: Repeat,
        script: &'static Script,
        keys: &[String],
        args: Vec<Vec<u8>>,
    ) -> Result<T, JournalError> {
        let mut invocation = script.prepare_invoke();
        for key in keys {
            invocation.key(key);
        }
        for arg in args {
            invocation.arg(arg);
        }
        let invocation = Arc::new(invocation);
        let attempt = move |mut connection: MultiplexedConnection| {
            let invocation = Arc::clone(&invocation);
            async move { invocation.invoke_async(&mut connection).await }
        };
        read(self.call(repeat, self.options.call_timeout, attempt).await?)
    }

    /// Runs one script several times, with keys and arguments of its own each time. It only reads.
    pub(super) async fn script_many<T: FromRedisValue>(
        &self,
        script: &'static Script,
        runs: Vec<(Vec<String>, Vec<String>)>,
    ) -> Result<T, JournalError> {
        let mut pipe = redis::pipe();
        for (keys, args) in runs {
            pipe.cmd("EVALSHA").arg(script.get_hash()).arg(keys.len()).arg(keys).arg(args);
        }
        let pipe = Arc::new(pipe);
        let attempt = move |mut connection: MultiplexedConnection| {
            let pipe = Arc::clone(&pipe);
            async move {
                match pipe.query_async(&mut connection).await {
                    Err(error) if error.kind() == redis::ServerErrorKind::NoScript.into() => {
                        script.load_async(&mut connection).await?;
                        pipe.query_async(&mut connection).await
                    }
                    done => done,
                }
            }
        };
        read(self.call(Repeat::Harmless, self.options.call_timeout, attempt).await?)
    }

    /// Makes attempts until one has an outcome. The connection itself is driven by the runtime that it was opened on.
    async fn call<A, F>(&self, repeat: Repeat, limit: Duration, attempt: A) -> Result<Value, JournalError>
    where
        A: Fn(MultiplexedConnection) -> F,
        F: Future<Output = RedisResult<Value>>,
    {
        attempts(&self.link, limit, self.options.reconnect_grace, repeat, attempt).await
    }
}

async fn attempts<A, F>(
    link: &Link,
    limit: Duration,
    grace: Duration,
    repeat: Repeat,
    attempt: A,
) -> Result<Value, JournalError>
where
    A: Fn(MultiplexedConnection) -> F,
    F: Future<Output = RedisResult<Value>>,
{
    let began = Instant::now();
    let deadline = began + limit;
    let (mut last, mut waits) = (0, pauses());
    // What the last attempt failed with tells more than that there was no time for another.
    let mut failure = JournalError::Unavailable("Redis cannot be reached".to_owned());
    loop {
        let Ok((number, connection)) = link.connection(last, deadline).await else { return Err(failure) };
        let Ok(done) = timeout_at(deadline, attempt(connection)).await else {
            return Err(JournalError::Unavailable("Redis did not answer in time".to_owned()));
        };
        let error = match done {
            Ok(value) => {
                tell_back(OUTAGE.worked(std::time::Instant::now()));
                return Ok(value);
            }
            Err(error) => error,
        };
        failure = to_journal_error(&error);
        match verdict(&error) {
            Verdict::Refused => return Err(failure),
            Verdict::NotYet if began.elapsed() >= grace => return Err(failure),
            Verdict::NotYet => sleep(waits.next().unwrap_or(grace)).await,
            Verdict::Broken => {
                link.found_broken(number);
                last = number;
                if repeat == Repeat::Telling {
                    return Err(failure);
                }
            }
        }
    }
}

async fn first_connection(client: &Client, options: &RedisOptions) -> RedisResult<MultiplexedConnection> {
    let deadline = Instant::now() + options.open_timeout;
    let mut waits = pauses();
    let mut told = false;
    loop {
        let error = match link::connect(client, options.connect_timeout, options.response_timeout).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let wait = waits.next().unwrap_or(options.open_timeout);
        let hopeless = error.kind() == redis::ErrorKind::AuthenticationFailed || verdict(&error) == Verdict::Refused;
        if hopeless || Instant::now() + wait >= deadline {
            return Err(error);
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!(%error, "Redis cannot be reached yet; it is waited for");
        }
        sleep(wait).await;
    }
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, JournalError> {
    redis::from_redis_value(value).map_err(|error| {
        tracing::error!(%error, "Redis gave an answer that cannot be read");
        JournalError::Damaged("an answer of Redis cannot be read".to_owned())
    })
}
