//! `/users/buffer`: flushing a buffer, and listing what is in it.

use actors::{BufferStatus, Flushed};
use memory::ids::BlobId;
use memory::ports::FlushResult;

use super::call::Call;
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
