use std::time::Duration;

use memory::ids::{ProjectId, UserId};
use memory::ports::{JournalError, ModelError, StoreError};
use memory::quota::Balance;

use crate::outages;

/// How soon a client may try again when something is away or full.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why the engine did not do what it was asked. Each is made for clients: no internals in any message.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such user.
    #[error("User {0} not found")]
    UnknownUser(UserId),
    /// The id of a new user is taken.
    #[error("a user with this id exists already")]
    UserExists,
    /// There is no such project, or it is being deleted.
    #[error("there is no project {0}, or it is being deleted")]
    UnknownProject(ProjectId),
    /// The name of a new project is taken.
    #[error("a project with this name exists already")]
    ProjectExists,
    /// The default project has no token and no status of its own.
    #[error("this is the default project: its token is ACCESS_TOKEN, and it can be neither suspended nor deleted")]
    DefaultProject,
    /// A limit of this server is reached. Nothing was stored.
    #[error("{what}: the limit of {limit} ({parameter}) is reached; try again in {} s", retry_after.as_secs())]
    Busy {
        /// What there is too much of.
        what: &'static str,
        /// The configuration key of the limit.
        parameter: &'static str,
        /// The limit.
        limit: u64,
        /// When to try again.
        retry_after: Duration,
    },
    /// The project has used up its tokens of this month. Nothing was stored.
    #[error("{0}; nothing was stored")]
    QuotaUsedUp(Balance),
    /// Another batch of this user is open, so that no dead letter can be queued. Nothing was changed.
    #[error("another batch of this user is being processed; nothing was changed; try again in {} s", retry_after.as_secs())]
    BatchOpen {
        /// When to try again.
        retry_after: Duration,
    },
    /// Something that this server needs is away, or the server stops.
    #[error("{what} is not available; try again in {} s", retry_after.as_secs())]
    Unavailable {
        /// What is away.
        what: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// The first attempt of a flush that was waited for failed. Nothing is lost.
    #[error("{reason}; nothing is lost: the messages are still queued or kept as dead letters")]
    FlushFailed {
        /// Why, in words for clients.
        reason: String,
    },
    /// The flush took longer than a request may wait. Nothing is lost.
    #[error("the flush takes longer than flush_wait_timeout_seconds and is still queued; nothing is lost")]
    FlushTimeout,
    /// The request needs a language model, and the rules extract memories.
    #[error("this needs a language model: set llm_base_url or OPENAI_API_KEY and start the server again")]
    NoModel,
    /// What a model was to be shown is longer than it may be.
    #[error("{what} are longer than {limit} tokens ({parameter}); send less")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The configuration key of the limit.
        parameter: &'static str,
        /// The limit, in tokens.
        limit: u32,
    },
    /// The language model is away.
    #[error("the model is not available: {reason}; try again in {} s", retry_after.as_secs())]
    ModelAway {
        /// What happened, in words for clients.
        reason: String,
        /// When to try again: when the provider asks for it, and no sooner than in a second.
        retry_after: Duration,
    },
    /// The language model refused, or answered what cannot be used.
    #[error("{reason}")]
    ModelFailed {
        /// Why, in words for clients.
        reason: String,
    },
    /// The language model took longer than a request may wait.
    #[error("the model did not answer within {} s; try again later", limit.as_secs())]
    ModelTimeout {
        /// How long was waited.
        limit: Duration,
    },
    /// A defect, or damaged data. The log has the details.
    #[error("internal error; the server's log has the details")]
    Internal,
}

impl EngineError {
    pub(crate) fn unavailable(what: &'static str) -> Self {
        Self::Unavailable { what, retry_after: RETRY_AFTER }
    }

    /// Why a model gave no answer, in a log: its own reason may hold words of a chat.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::ModelAway { .. } => "it is not available",
            Self::ModelFailed { .. } => "it refused, or its answer could not be used",
            Self::ModelTimeout { .. } => "it took too long",
            _ => "the server is stopping",
        }
    }
}

impl From<ModelError> for EngineError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Unavailable { reason, retry_after } => {
                Self::ModelAway { reason, retry_after: retry_after.unwrap_or_default().max(RETRY_AFTER) }
            }
            error @ (ModelError::Refused(_) | ModelError::Unusable(_)) => {
                Self::ModelFailed { reason: error.to_string() }
            }
        }
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        outages::store_failed(&error);
        match error {
            StoreError::Unavailable(_) => Self::unavailable("the store"),
            StoreError::Damaged(_) => Self::Internal,
        }
    }
}

impl From<JournalError> for EngineError {
    fn from(error: JournalError) -> Self {
        outages::journal_failed(&error);
        match error {
            JournalError::Unavailable(_) => Self::unavailable("the journal"),
            JournalError::OwnerGone | JournalError::Damaged(_) => Self::Internal,
        }
    }
}
