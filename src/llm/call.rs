use memory::ports::ModelError;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Does something on the runtime of the connections. Whoever drops the future cancels it.
///
/// # Errors
/// When it panicked, or the runtime is stopping.
pub(super) async fn on_io<T: Send + 'static>(
    io: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, ModelError> {
    let mut call = Call(io.spawn(work));
    (&mut call.0).await.map_err(|error| {
        if error.is_cancelled() {
            return ModelError::Unavailable { reason: "the server is stopping".to_owned(), retry_after: None };
        }
        tracing::error!(%error, "a call of the model panicked");
        ModelError::Unusable("internal error; the server's log has the details".to_owned())
    })
}

/// A call under way, which ends when nobody waits for it any more.
struct Call<T>(JoinHandle<T>);

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
