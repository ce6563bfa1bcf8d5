//! `/users/buffer`: flushing a buffer, and listing what is in it.

use actors::{BufferStatus, Flushed};
use memory::ids::BlobId;
use memory::ports::FlushResult;

use super::call::Call;
use super::openapi::{Route, parameters as p};
use super::reply::{Answer, IdsData, Reply};

const STATUSES: [(&str, BufferStatus); 4] = [
    ("idle", BufferStatus::Idle),
    ("processing", BufferStatus::Processing),
    ("failed", BufferStatus::Failed),
    ("done", BufferStatus::Done),
];

/// `POST /users/buffer/{user_id}/{buffer_type}`: an empty list when nothing was buffered, null when the flush was
/// started, and what it did when it was waited for.
pub(super) async fn flush(call: Call) -> Reply<Option<Vec<FlushResult>>> {
    let mut input = call.input();
    let user = input.user();
    let blob_type = input.blob_type("buffer_type");
    let wait = input.flag("wait_process", false);
    input.finish()?;
    Ok(Answer(match call.engine()?.flush(&call.key(user), blob_type, wait).await? {
        Flushed::Nothing => Some(Vec::new()),
        Flushed::Started => None,
        Flushed::Done(results) => Some(results),
    }))
}

/// `GET /users/buffer/capacity/{user_id}/{buffer_type}`
pub(super) async fn capacity(call: Call) -> Reply<IdsData<BlobId>> {
    let mut input = call.input();
    let user = input.user();
    let blob_type = input.blob_type("buffer_type");
    let asked = "must be idle, processing, failed or done";
    let status = input.choice("status", &STATUSES, BufferStatus::Processing, asked);
    input.finish()?;
    let ids = call.engine()?.capacity(&call.key(user), blob_type, status).await?;
    Ok(Answer(IdsData { ids }))
}

/// Describes the routes above.
pub(super) fn describe() -> Vec<Route> {
    let statuses = STATUSES.map(|(name, _)| name);
    vec![
        Route::post("/users/buffer/{user_id}/{buffer_type}", "Process a buffer now")
            .says(
                "`data` is empty when nothing was buffered, null when the flush was started, and tells what it did \
                when it was waited for.",
            )
            .parameter(p::user())
            .parameter(p::blob_type("buffer_type"))
            .parameter(p::flag("wait_process", false, "Wait until all that is buffered now has been processed."))
            .answers::<Vec<FlushResult>>()
            .errno(404, "the user is unknown")
            .errno(503, "the flush that was waited for failed, or waits for tokens; nothing is lost")
            .errno(504, "the flush took too long; nothing is lost"),
        Route::get("/users/buffer/capacity/{user_id}/{buffer_type}", "List the blobs of a buffer")
            .says("An unknown user has none.")
            .parameter(p::user())
            .parameter(p::blob_type("buffer_type"))
            .parameter(p::choice("status", &statuses, "processing", "Which of them: those that wait are `idle`."))
            .answers::<IdsData<BlobId>>(),
    ]
}
