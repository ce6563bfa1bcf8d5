//! The client of an OpenAI-compatible endpoint.
//!
//! `transport` does one exchange; `provider` and `reply` read what comes back, `failure` judges it; `dialect` finds out
//! which parameters a model understands; `limits` and `breaker` say when a call may go.

mod breaker;
mod dialect;
mod failure;
mod limits;
mod provider;
mod reply;
#[cfg(test)]
mod tests;
mod transport;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use memory::ports::{Clock, ModelError, TokenCounter, Usage};
use secrecy::SecretString;

use super::AnswerSchema;
use breaker::{Breaker, Change, Pass, Shut};
use dialect::{Dialect, Dialects, Wishes};
use failure::{Cause, Failure, Verdict};
use limits::Limits;
use transport::Transport;

/// First pause before a retry; each one after it is twice as long. Half a second is what OpenAI's own clients wait.
const RETRY_FLOOR: Duration = Duration::from_millis(500);
/// Longest pause before a retry, and the longest `Retry-After` that is waited for within a call.
const RETRY_CEILING: Duration = Duration::from_secs(5);

/// Where the model is and how it may be called. Each field is a key of the configuration.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    /// Base address, as `https://api.openai.com/v1`.
    pub base_url: String,
    /// Sent as a bearer token.
    pub api_key: Option<SecretString>,
    /// Query parameters of each call.
    pub query: BTreeMap<String, SecretString>,
    /// Headers of each call. They replace those of ours of the same name.
    pub headers: BTreeMap<String, SecretString>,
    /// How long one call may take, its retries and its answer included, waiting for a place not.
    pub timeout: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Quick retries of a call that failed for a moment.
    pub max_retries: usize,
    /// Calls at the same time.
    pub max_parallel_calls: usize,
    /// Calls per minute.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens to and from the model per minute.
    pub tokens_per_minute: Option<NonZeroU32>,
    /// Tokens of one answer at most.
    pub max_completion_tokens: Option<u32>,
    /// Temperature; none: the provider's own.
    pub temperature: Option<f32>,
    /// Failed calls in a row after which the breaker opens.
    pub breaker_failures: u32,
    /// How long it stays open.
    pub breaker_pause: Duration,
}

/// One call of the model.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Name of the model.
    pub model: String,
    /// The system message: the part that is the same from call to call.
    pub system: Arc<Counted>,
    /// The messages after it, by role (`user` or `assistant`), oldest first.
    pub messages: Vec<(&'static str, Counted)>,
    /// What the answer has to be.
    pub schema: Arc<AnswerSchema>,
    /// Whether a read waits for it. Such a call is given up soon, so it never probes a provider that was away, and says
    /// nothing of whether it is.
    pub for_read: bool,
}

impl Prompt {
    /// Tokens of all of it, about: for the limit per minute, and for usage that the provider does not tell.
    pub fn tokens(&self, counter: &dyn TokenCounter) -> u32 {
        let messages = self.messages.iter().map(|(_, text)| text.tokens(counter));
        let constant = [self.system.tokens(counter), self.schema.tokens(counter)];
        constant.into_iter().chain(messages).fold(0, u32::saturating_add)
    }
}

/// A text whose tokens are counted when somebody asks, and once.
#[derive(Clone, Debug)]
pub struct Counted {
    text: String,
    tokens: OnceLock<u32>,
}

impl Counted {
    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn tokens(&self, counter: &dyn TokenCounter) -> u32 {
        *self.tokens.get_or_init(|| counter.count(&self.text))
    }
}

impl From<String> for Counted {
    fn from(text: String) -> Self {
        Self { text, tokens: OnceLock::new() }
    }
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Completion {
    /// The text of the answer; may be empty.
    pub text: String,
    /// What it cost; none when the provider does not tell.
    pub usage: Option<Usage>,
    /// The provider cut the answer off at its limit.
    pub cut_off: bool,
}

/// How to wait before a retry; tests do not.
type Sleep = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// An OpenAI-compatible endpoint.
pub struct Endpoint {
    transport: Transport,
    wishes: Wishes,
    timeout: Duration,
    max_retries: usize,
    dialects: Dialects,
    limits: Limits,
    breaker: Mutex<Breaker>,
    clock: Arc<dyn Clock>,
    counter: Arc<dyn TokenCounter>,
    sleep: Sleep,
}

impl Endpoint {
    /// An endpoint that is not called yet.
    ///
    /// # Errors
    /// When the address, a header or a parameter cannot be sent, or there is no TLS on this machine.
    pub fn new(
        settings: EndpointSettings,
        clock: Arc<dyn Clock>,
        counter: Arc<dyn TokenCounter>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            transport: Transport::new(&settings, Arc::clone(&clock))?,
            wishes: Wishes { temperature: settings.temperature, max_completion_tokens: settings.max_completion_tokens },
            timeout: settings.timeout,
            max_retries: settings.max_retries,
            dialects: Dialects::default(),
            limits: Limits::new(settings.max_parallel_calls, settings.requests_per_minute, settings.tokens_per_minute),
            breaker: Mutex::new(Breaker::new(settings.breaker_failures, settings.breaker_pause)),
            clock,
            counter,
            sleep: Arc::new(|pause| tokio::time::sleep(pause).boxed()),
        })
    }

    /// Calls the model, waiting for a place, with quick retries of what fails for a moment. A dropped future is a call
    /// that was given up.
    ///
    /// # Errors
    /// [`ModelError::Refused`] and [`ModelError::Unavailable`]; the reason holds no content of messages.
    pub async fn complete(&self, prompt: &Prompt) -> Result<Completion, ModelError> {
        self.breaker().look(self.clock.now()).map_err(shut)?;
        let tokens = || prompt.tokens(&*self.counter);
        let _place = self.limits.enter(tokens).await;
        // Meanwhile it may have opened.
        let pass = if prompt.for_read {
            self.breaker().look_closed().map_err(shut)?;
            None
        } else {
            Some(self.breaker().admit(self.clock.now()).map_err(shut)?)
        };
        let mut owed = Owed { endpoint: self, pass };
        let started = Instant::now();
        let call = tokio::time::timeout(self.timeout, self.call(prompt, started));
        let timeout = || Failure::new(Cause::Timeout(self.timeout.as_secs().max(1)));
        let result = call.await.unwrap_or_else(|_| Err(timeout()));
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &result {
            Ok(completion) => {
                let usage = completion.usage.unwrap_or_default();
                let Usage { input, cached, output } = usage;
                self.limits.count_tokens(|| output.saturating_add(input.saturating_sub(tokens())));
                let cut_off = completion.cut_off;
                tracing::debug!(model = prompt.model, input, cached, output, cut_off, ms, "the model answered");
            }
            Err(failure) => tracing::debug!(model = prompt.model, %failure, ms, "the model did not answer"),
        }
        owed.settle(result.as_ref().err());
        result.map_err(Failure::into_model_error)
    }

    /// One call with its retries.
    async fn call(&self, prompt: &Prompt, started: Instant) -> Result<Completion, Failure> {
        // What one try has found out about the model holds for its retries.
        let mut dialect = self.dialects.of(&prompt.model);
        let mut pauses = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(RETRY_FLOOR)
            .with_max_delay(RETRY_CEILING)
            .with_max_times(self.max_retries)
            .build();
        loop {
            let failure = match self.attempt(prompt, &mut dialect).await {
                Ok(completion) => return Ok(completion),
                Err(failure) => failure,
            };
            // No use in waiting for longer than the call may take.
            let left = self.timeout.saturating_sub(started.elapsed());
            let Some(pause) = retry_pause(&failure, pauses.next()).filter(|pause| *pause < left) else {
                return Err(failure);
            };
            let pause_ms = pause.as_millis();
            tracing::debug!(model = prompt.model, %failure, pause_ms, "the model is called again");
            (self.sleep)(pause).await;
            self.limits.count_try();
        }
    }

    /// One try, and again with less for as long as the provider complains about a parameter.
    async fn attempt(&self, prompt: &Prompt, dialect: &mut Dialect) -> Result<Completion, Failure> {
        loop {
            let answer = self.transport.send(&dialect.body(prompt, self.wishes)).await;
            let failure = match answer.and_then(|value| reply::completion(&value)) {
                Ok(completion) => {
                    self.dialects.understood(&prompt.model, *dialect);
                    return Ok(completion);
                }
                Err(failure) => failure,
            };
            let Some(next) = dialect.after(&failure, self.wishes) else { return Err(failure) };
            *dialect = next;
            self.limits.count_try();
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        lock(&self.breaker)
    }
}

/// Nothing that is guarded here is left half changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long to wait before the call is made again: as long as our pauses and the provider want. None when another try
/// is no use, or the provider wants more time than a call has.
fn retry_pause(failure: &Failure, pause: Option<Duration>) -> Option<Duration> {
    let asked = failure.retry_after.unwrap_or_default();
    let useful = failure.verdict().0 == Verdict::AwayForAMoment && asked <= RETRY_CEILING;
    pause.filter(|_| useful).map(|pause| pause.max(asked))
}

/// The answer while the breaker is open.
fn shut(Shut(retry_after): Shut) -> ModelError {
    let reason = "the last calls failed; no more are made until the pause (llm_breaker_pause_seconds) is over";
    ModelError::Unavailable { reason: reason.to_owned(), retry_after }
}

/// The outcome that a call owes to the breaker. Dropped without one, it was given up.
struct Owed<'a> {
    endpoint: &'a Endpoint,
    pass: Option<Pass>,
}

impl Owed<'_> {
    /// Tells the breaker. A refusal proves that the provider lives.
    fn settle(&mut self, failure: Option<&Failure>) {
        let Some(pass) = self.pass.take() else { return };
        let away = failure.filter(|failure| failure.verdict().0 != Verdict::Refused);
        let change = match away {
            Some(failure) => self.endpoint.breaker().failed(pass, self.endpoint.clock.now(), failure.retry_after),
            None => self.endpoint.breaker().succeeded(),
        };
        match (change, away) {
            (Some(Change::Opened(pause)), Some(failure)) => {
                tracing::warn!(%failure, pause_seconds = pause.as_secs(), "the model is not called for a while");
            }
            (Some(Change::Closed), _) => tracing::warn!("the model answers again"),
            _ => {}
        }
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.endpoint.breaker().cancelled(pass);
        }
    }
}
