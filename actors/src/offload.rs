//! Work that is too long for the threads that serve messages and requests.

use crate::error::EngineError;

/// Lines that are worked through on the spot: about a millisecond's work.
const SHORT_LINES: usize = 200;

/// Bytes that count as a line.
pub(crate) const LINE_BYTES: usize = 200;

/// Does work on so many lines: a little on the spot, much on a thread of its own.
pub(crate) async fn offload<T: Send + 'static>(
    lines: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EngineError> {
    if lines <= SHORT_LINES {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "work on a thread of its own panicked");
        EngineError::Internal
    })
}
