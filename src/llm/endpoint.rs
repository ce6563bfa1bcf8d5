use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use memory::ports::{Clock, ModelError, Usage};
use secrecy::SecretString;
use serde_json::Value;

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
    /// How long one call may take, its answer included.
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
    pub system: String,
    /// The messages after it, by role (`user` or `assistant`), oldest first.
    pub messages: Vec<(&'static str, String)>,
    /// Name of the schema, for the provider.
    pub schema_name: &'static str,
    /// JSON schema of the answer.
    pub schema: Arc<Value>,
    /// Tokens of all of it, about: for the limit per minute, and for usage that the provider does not tell.
    pub tokens: u32,
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

/// An OpenAI-compatible endpoint.
pub struct Endpoint {
    _settings: EndpointSettings,
    _clock: Arc<dyn Clock>,
}

impl Endpoint {
    /// An endpoint that is not called yet.
    ///
    /// # Errors
    /// When a header or a parameter cannot be sent.
    pub fn new(settings: EndpointSettings, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        Ok(Self { _settings: settings, _clock: clock })
    }

    /// Calls the model, waiting for a place, with quick retries of what fails for a moment.
    ///
    /// # Errors
    /// [`ModelError::Refused`] and [`ModelError::Unavailable`]; the reason holds no content of messages.
    pub async fn complete(&self, _prompt: &Prompt) -> Result<Completion, ModelError> {
        Err(ModelError::Unavailable { reason: "not built yet".to_owned(), retry_after: None })
    }
}
