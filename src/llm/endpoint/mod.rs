//! The client of an OpenAI-compatible endpoint.
//!
//! `transport` does one exchange; `provider` and `reply` read what comes back, `failure` judges it; `line` makes a call
//! of it, with retries and a time limit, when `limits` and `breaker` say that it may go. Chats and embeddings have a line
//! each. `dialect` finds out which parameters a model of chats understands.

mod breaker;
mod dialect;
mod embeddings;
mod failure;
mod limits;
mod line;
mod provider;
mod reply;
mod service;
#[cfg(test)]
mod tests;
mod transport;
mod vectors;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use memory::ports::{Clock, ModelError, TokenCounter, Usage};
use secrecy::SecretString;

use super::AnswerSchema;
use dialect::{Dialect, Dialects, Wishes};
pub use embeddings::{EmbeddingEndpoint, EmbeddingSettings, EmbeddingStyle, Input};
use failure::Failure;
use line::{Call, Line};
use service::Service;
pub use vectors::Vectors;

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

/// An OpenAI-compatible endpoint for chats.
pub struct Endpoint {
    line: Line,
    wishes: Wishes,
    dialects: Dialects,
    counter: Arc<dyn TokenCounter>,
}

impl Endpoint {
    /// An endpoint that is not called yet.
    ///
    /// # Errors
    /// When the address, a header or a parameter cannot be sent, or there is no TLS on this machine.
    pub fn new(
        settings: &EndpointSettings,
        clock: Arc<dyn Clock>,
        counter: Arc<dyn TokenCounter>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            line: Line::new(settings, Service::Chat, clock)?,
            wishes: Wishes { temperature: settings.temperature, max_completion_tokens: settings.max_completion_tokens },
            dialects: Dialects::default(),
            counter,
        })
    }

    /// Calls the model, waiting for a place, with quick retries of what fails for a moment. A dropped future is a call
    /// that was given up.
    ///
    /// # Errors
    /// [`ModelError::Refused`] and [`ModelError::Unavailable`]; the reason holds no content of messages.
    pub async fn complete(&self, prompt: &Prompt) -> Result<Completion, ModelError> {
        let mut call = Chat { endpoint: self, prompt, dialect: self.dialects.of(&prompt.model) };
        let (completion, ms) =
            self.line.call(&mut call).await.map_err(|missed| missed.into_model_error(Service::Chat))?;
        let Usage { input, cached, output } = completion.usage.unwrap_or_default();
        let cut_off = completion.cut_off;
        tracing::debug!(model = prompt.model, input, cached, output, cut_off, ms, "the model answered");
        Ok(completion)
    }
}

/// One call with a prompt.
struct Chat<'a> {
    endpoint: &'a Endpoint,
    prompt: &'a Prompt,
    dialect: Dialect,
}

impl Chat<'_> {
    /// One try, and again with less for as long as the provider complains about a parameter.
    async fn answer(&mut self, line: &Line) -> Result<Completion, Failure> {
        let Self { endpoint: Endpoint { wishes, dialects, .. }, prompt, dialect } = self;
        loop {
            let answer = line.transport.chat(&dialect.body(prompt, *wishes)).await;
            let failure = match answer.and_then(|value| reply::completion(&value)) {
                Ok(completion) => {
                    dialects.understood(&prompt.model, *dialect);
                    return Ok(completion);
                }
                Err(failure) => failure,
            };
            let Some(next) = dialect.after(&failure, *wishes) else { return Err(failure) };
            *dialect = next;
            line.limits.count_try();
        }
    }
}

impl Call for Chat<'_> {
    type Answer = Completion;

    fn model(&self) -> &str {
        &self.prompt.model
    }

    fn tokens(&self) -> u32 {
        self.prompt.tokens(&*self.endpoint.counter)
    }

    fn is_aside(&self) -> bool {
        self.prompt.for_read
    }

    async fn attempt(&mut self, line: &Line) -> Result<Completion, Failure> {
        let completion = self.answer(line).await?;
        let Usage { input, output, .. } = completion.usage.unwrap_or_default();
        line.limits.count_tokens(|| output.saturating_add(input.saturating_sub(self.tokens())));
        Ok(completion)
    }
}
