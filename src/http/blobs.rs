//! `/blobs` and `/users/blobs`: inserting, reading, listing and deleting blobs.

use jiff::Timestamp;
use memory::blob::{Blob, BlobData, BlobType};
use memory::ids::{BlobId, UserId};
use memory::ports::FlushResult;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;
use uuid::Uuid;

use super::body::Body;
use super::call::Call;
use super::input::{MAX_ITEMS, MAX_KEY_CHARS, MAX_PAGE};
use super::insert;
use super::openapi::{Route, parameters as p};
use super::reply::{Answer, Failure, IdsData, Reply};
use super::stamp::Stamp;

/// Items of a page, unless the client says otherwise.
pub(super) const PAGE_SIZE: u32 = 10;

/// The answer to an insert.
#[derive(Serialize, ToSchema)]
pub(super) struct InsertedData {
    /// The blob.
    id: BlobId,
    /// What was made of the buffer, if that was waited for.
    chat_results: Vec<FlushResult>,
}

/// A blob, on the wire.
#[derive(Serialize, ToSchema)]
pub(super) struct BlobView {
    blob_type: BlobType,
    /// None in a dead letter, when the blob cannot be read.
    #[schema(schema_with = insert::data_schema, required)]
    blob_data: Option<BlobData>,
    #[schema(value_type = Option<Object>)]
    fields: Option<Map<String, Value>>,
    created_at: Stamp,
    updated_at: Stamp,
}

impl BlobView {
    /// A blob without its content.
    pub(super) fn unreadable(blob_type: BlobType, created_at: Timestamp) -> Self {
        let at = Stamp(created_at);
        Self { blob_type, blob_data: None, fields: None, created_at: at, updated_at: at }
    }
}

impl From<Blob> for BlobView {
    fn from(blob: Blob) -> Self {
        let (blob_type, at) = (blob.blob_type(), Stamp(blob.created_at));
        Self { blob_type, blob_data: Some(blob.data), fields: blob.fields, created_at: at, updated_at: at }
    }
}

/// `POST /blobs/insert/{user_id}`
pub(super) async fn insert(call: Call, body: Body) -> Reply<InsertedData> {
    let mut input = call.input();
    let user = input.user();
    let wait = input.flag("wait_process", false);
    let key = input.idempotency_key();
    let read = match insert::read_typed(&body) {
        Some(read) => {
            input.finish()?;
            read
        }
        None => insert::read(input, &body)?,
    };
    let engine = call.engine()?;
    let created_at = read.created_at.unwrap_or_else(|| engine.now());
    let blob = Blob { data: read.data, fields: read.fields, created_at };
    let inserted = match read.blob_id.or_else(|| key.map(|key| blob_of(user, &key))) {
        Some(chosen) => engine.insert_once(&call.key(user), chosen, blob, wait).await?,
        None => engine.insert(&call.key(user), BlobId(engine.fresh_id()), blob, wait).await?,
    };
    Ok(Answer(InsertedData { id: inserted.id, chat_results: inserted.results }))
}

/// The blob of an `Idempotency-Key`: whoever sends the key again means the same one.
fn blob_of(user: UserId, key: &str) -> BlobId {
    BlobId(Uuid::new_v5(&user.0, key.as_bytes()))
}

/// `GET /blobs/{user_id}/{blob_id}`
pub(super) async fn get(call: Call) -> Reply<BlobView> {
    let mut input = call.input();
    let (user, id) = (input.user(), input.id("blob_id"));
    input.finish()?;
    let blob = call.engine()?.blob(&call.key(user), BlobId(id)).await?;
    let blob = blob.ok_or_else(|| Failure::not_found("blob", id, user.0))?;
    Ok(Answer(BlobView::from(blob)))
}

/// `DELETE /blobs/{user_id}/{blob_id}`: done as well when there is no such blob.
pub(super) async fn delete(call: Call) -> Reply<()> {
    let mut input = call.input();
    let (user, id) = (input.user(), input.id("blob_id"));
    input.finish()?;
    call.engine()?.delete_blob(&call.key(user), BlobId(id)).await?;
    Ok(Answer(()))
}

/// `GET /users/blobs/{user_id}/{blob_type}`
pub(super) async fn list(call: Call) -> Reply<IdsData<BlobId>> {
    let mut input = call.input();
    let user = input.user();
    let blob_type = input.blob_type("blob_type");
    let page = input.limit("page", MAX_PAGE).unwrap_or(0);
    let page_size = input.limit("page_size", MAX_ITEMS).unwrap_or(PAGE_SIZE);
    input.finish()?;
    let ids = call.engine()?.blob_ids(&call.key(user), blob_type, page, page_size).await?;
    Ok(Answer(IdsData { ids }))
}

/// Describes the routes above.
pub(super) fn describe() -> Vec<Route> {
    let blob_id = || p::id("blob_id", "The blob.");
    let mut page = page_parameters();
    page.insert(0, p::blob_type("blob_type"));
    vec![
        Route::post("/blobs/insert/{user_id}", "Insert a blob")
            .says("Answered when it is on disk. It is processed when the buffer is full or old, or on request.")
            .parameter(p::user())
            .parameter(p::flag("wait_process", false, "Wait for the flush, should this insert fill the buffer."))
            .parameter(p::idempotency_key(MAX_KEY_CHARS))
            .body_schema(insert::schema(), "The blob.")
            .answers::<InsertedData>()
            .errno(400, "the content does not fit the blob_type")
            .errno(404, "the user is unknown")
            .errno(501, "images are not supported")
            .errno(503, "the flush that was waited for failed; nothing is lost")
            .errno(503, "the project has used up its tokens of this month; nothing was stored")
            .errno(504, "the flush took too long; nothing is lost"),
        Route::get("/blobs/{user_id}/{blob_id}", "Read a blob")
            .parameter(p::user())
            .parameter(blob_id())
            .answers::<BlobView>()
            .errno(404, "there is no such blob"),
        Route::delete("/blobs/{user_id}/{blob_id}", "Delete a blob")
            .says("One that was not processed yet has no effect any more. Done as well when there is none.")
            .parameter(p::user())
            .parameter(blob_id()),
        Route::get("/users/blobs/{user_id}/{blob_type}", "List blobs")
            .says("Newest first. An unknown user has none.")
            .parameter(p::user())
            .parameters(page)
            .answers::<IdsData<BlobId>>(),
    ]
}

/// The parameters of a list in pages.
pub(super) fn page_parameters() -> Vec<Parameter> {
    vec![
        p::limit("page", Some(0), MAX_PAGE, "The page, from 0."),
        p::limit("page_size", Some(PAGE_SIZE), MAX_ITEMS, "Items of a page."),
    ]
}
