use std::time::Duration;

use memory::ids::UserId;
use memory::ports::{JournalError, StoreError};

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
    /// A defect, or damaged data. The log has the details.
    #[error("internal error; the server's log has the details")]
    Internal,
}

impl EngineError {
    pub(crate) fn unavailable(what: &'static str) -> Self {
        Self::Unavailable { what, retry_after: RETRY_AFTER }
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        match error {
            StoreError::Unavailable(_) => Self::unavailable("the store"),
            StoreError::Damaged(_) => Self::Internal,
        }
    }
}

impl From<JournalError> for EngineError {
    fn from(error: JournalError) -> Self {
        tracing::error!(%error, "the journal failed");
        match error {
            JournalError::Unavailable(_) => Self::unavailable("the journal"),
            JournalError::OwnerGone | JournalError::Damaged(_) => Self::Internal,
        }
    }
}
