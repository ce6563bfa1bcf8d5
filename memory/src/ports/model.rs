use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::extraction::Request;

/// Tokens that a model call cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens.
    pub input: u32,
    /// Prompt tokens that the provider had cached; part of `input`.
    pub cached: u32,
    /// Completion tokens.
    pub output: u32,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.cached += other.cached;
        self.output += other.output;
    }
}

/// What a model answered to one request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The text as it came: a [`crate::extraction::Draft`] in JSON.
    pub text: String,
    /// What it cost.
    pub usage: Usage,
    /// Which version of the prompt or of the rules asked.
    pub version: String,
}

/// Why a model gave no usable answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ModelError {
    /// The model refused this request, and would refuse it again. Counts as an attempt.
    #[error("the model refused the request: {0}")]
    Refused(String),
    /// The answer could not be used, not even after one repair. Counts as an attempt.
    #[error("the model's answer could not be used: {0}")]
    Unusable(String),
    /// The model is away. Waits as long as it takes.
    #[error("the model is not available: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// When the provider asked to be called again.
        retry_after: Option<Duration>,
    },
}

/// Turns chats into memory: a language model, or the rules that stand in for one.
#[async_trait]
pub trait LanguageModel: Send + Sync + 'static {
    /// What to call it in logs and on the console.
    fn name(&self) -> &str;

    /// True when it answers at once and for nothing. Its answers are not recorded, and a flush by it has taken
    /// effect when the request that caused it returns.
    fn is_immediate(&self) -> bool;

    /// Answers one request.
    ///
    /// # Errors
    /// See [`ModelError`].
    async fn extract(&self, request: &Request) -> Result<Answer, ModelError>;
}
