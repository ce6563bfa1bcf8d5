use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use memory::ports::{Clock, ModelError};

use super::EndpointSettings;
use super::breaker::{Breaker, Change, Pass, Shut};
use super::failure::{Cause, Failure, Verdict};
use super::limits::Limits;
use super::service::Service;
use super::transport::Transport;

/// First pause before a retry; each one after it is twice as long. Half a second is what OpenAI's own clients wait.
pub(super) const RETRY_FLOOR: Duration = Duration::from_millis(500);
/// Longest pause before a retry, and the longest `Retry-After` that is waited for within a call.
pub(super) const RETRY_CEILING: Duration = Duration::from_secs(5);

/// How to wait before a retry; tests do not.
pub(super) type Sleep = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// The way to one service of a provider: when a call may go, how often it is tried, and how long it may take.
pub(super) struct Line {
    pub(super) transport: Transport,
    pub(super) service: Service,
    pub(super) limits: Limits,
    pub(super) sleep: Sleep,
    timeout: Duration,
    max_retries: usize,
    breaker: Mutex<Breaker>,
    clock: Arc<dyn Clock>,
}

/// One call of the model.
pub(super) trait Call: Send {
    /// What it brings.
    type Answer: Send;

    /// Name of the model.
    fn model(&self) -> &str;

    /// About how many tokens it sends.
    fn tokens(&self) -> u32;

    /// Whether it neither probes a provider that was away, nor says anything of whether it is.
    fn is_aside(&self) -> bool;

    /// Tries it once. What one try has found out about the model may hold for the next.
    fn attempt(&mut self, line: &Line) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// Why a call brought nothing.
#[derive(Debug)]
pub(super) enum Missed {
    /// It was not made.
    Shut(Shut),
    /// It was made, and failed.
    Failed(Failure),
}

impl Missed {
    /// The reason as the port knows it.
    pub(super) fn into_model_error(self, service: Service) -> ModelError {
        match self {
            Self::Failed(failure) => failure.into_model_error(service),
            Self::Shut(Shut(retry_after)) => {
                let reason =
                    "the last calls failed; no more are made until the pause (llm_breaker_pause_seconds) is over";
                ModelError::Unavailable { reason: reason.to_owned(), retry_after }
            }
        }
    }
}

impl From<Shut> for Missed {
    fn from(shut: Shut) -> Self {
        Self::Shut(shut)
    }
}

impl Line {
    /// A line that is not used yet.
    ///
    /// # Errors
    /// When the address, a header or a parameter cannot be sent, or there is no TLS on this machine.
    pub(super) fn new(settings: &EndpointSettings, service: Service, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        Ok(Self {
            transport: Transport::new(settings, service, Arc::clone(&clock))?,
            service,
            limits: Limits::new(settings.max_parallel_calls, settings.requests_per_minute, settings.tokens_per_minute),
            sleep: Arc::new(|pause| tokio::time::sleep(pause).boxed()),
            timeout: settings.timeout,
            max_retries: settings.max_retries,
            breaker: Mutex::new(Breaker::new(settings.breaker_failures, settings.breaker_pause)),
            clock,
        })
    }

    /// Makes a call, waiting for a place, with quick retries of what fails for a moment. Tells how many milliseconds it
    /// took. A dropped future is a call that was given up.
    pub(super) async fn call<C: Call>(&self, call: &mut C) -> Result<(C::Answer, u64), Missed> {
        self.breaker().look(self.clock.now())?;
        let _place = self.limits.enter(|| call.tokens()).await;
        // Meanwhile it may have opened.
        let pass = if call.is_aside() {
            self.breaker().look_closed()?;
            None
        } else {
            Some(self.breaker().admit(self.clock.now())?)
        };
        let mut owed = Owed { line: self, pass };
        let started = Instant::now();
        let tries = tokio::time::timeout(self.timeout, self.tries(call, started));
        let timeout = || Failure::new(Cause::Timeout(self.timeout.as_secs().max(1)));
        let result = tries.await.unwrap_or_else(|_| Err(timeout()));
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        owed.settle(call.model(), result.as_ref().err());
        result.map(|answer| (answer, ms)).map_err(|failure| {
            tracing::debug!(
                model = call.model(),
                failure = failure.reason(self.service),
                ms,
                "the model did not answer"
            );
            Missed::Failed(failure)
        })
    }

    /// One call with its retries.
    async fn tries<C: Call>(&self, call: &mut C, started: Instant) -> Result<C::Answer, Failure> {
        let mut pauses = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(RETRY_FLOOR)
            .with_max_delay(RETRY_CEILING)
            .with_max_times(self.max_retries)
            .build();
        loop {
            let failure = match call.attempt(self).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            // No use in waiting for longer than the call may take.
            let left = self.timeout.saturating_sub(started.elapsed());
            let Some(pause) = retry_pause(&failure, pauses.next()).filter(|pause| *pause < left) else {
                return Err(failure);
            };
            let pause_ms = pause.as_millis();
            let (model, failure) = (call.model(), failure.reason(self.service));
            tracing::debug!(model, failure, pause_ms, "the model is called again");
            (self.sleep)(pause).await;
            self.limits.count_try();
        }
    }

    /// Nothing in it is left half changed by a panic.
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long to wait before the call is made again: as long as our pauses and the provider want. None when another try
/// is no use, or the provider wants more time than a call has.
fn retry_pause(failure: &Failure, pause: Option<Duration>) -> Option<Duration> {
    let asked = failure.retry_after.unwrap_or_default();
    let useful = failure.verdict().0 == Verdict::AwayForAMoment && asked <= RETRY_CEILING;
    pause.filter(|_| useful).map(|pause| pause.max(asked))
}

/// The outcome that a call owes to the breaker. Dropped without one, it was given up.
struct Owed<'a> {
    line: &'a Line,
    pass: Option<Pass>,
}

impl Owed<'_> {
    /// Tells the breaker. A refusal proves that the provider lives.
    fn settle(&mut self, model: &str, failure: Option<&Failure>) {
        let Some(pass) = self.pass.take() else { return };
        let away = failure.filter(|failure| failure.verdict().0 != Verdict::Refused);
        let change = match away {
            Some(failure) => self.line.breaker().failed(pass, self.line.clock.now(), failure.retry_after),
            None => self.line.breaker().succeeded(),
        };
        match (change, away) {
            (Some(Change::Opened(pause)), Some(failure)) => {
                let failure = failure.reason(self.line.service);
                tracing::warn!(model, failure, pause_seconds = pause.as_secs(), "the model is not called for a while");
            }
            (Some(Change::Closed), _) => tracing::warn!(model, "the model answers again"),
            _ => {}
        }
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.line.breaker().cancelled(pass);
        }
    }
}
