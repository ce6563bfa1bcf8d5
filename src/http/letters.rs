//! `/users/dead_letters` and `/project/dead_letters`: what failed for good, to be looked at, tried again or dropped.

use actors::{DeadBlob, DroppedLetters, RetriedLetters};
use memory::blob::BlobType;
use memory::ids::{BlobId, FlushId, UserId};
use memory::ports::{DeadLetterHead, Page};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;

use super::blobs::{BlobView, PAGE_SIZE, page_parameters};
use super::call::Call;
use super::input::{Input, MAX_ITEMS, MAX_PAGE};
use super::openapi::{Route, parameters as p};
use super::reply::{Answer, Failure, Reply};
use super::stamp::Stamp;

/// A dead letter, on the wire.
#[derive(Serialize, ToSchema)]
pub(super) struct HeadView {
    id: FlushId,
    user_id: UserId,
    blob_type: BlobType,
    reason: String,
    blob_count: u64,
    token_count: u64,
    created_at: Stamp,
}

impl From<DeadLetterHead> for HeadView {
    fn from(head: DeadLetterHead) -> Self {
        Self {
            id: head.flush_id,
            user_id: head.user,
            blob_type: head.blob_type,
            reason: head.reason,
            blob_count: head.blobs,
            token_count: head.tokens,
            created_at: Stamp(head.created_at),
        }
    }
}

/// Dead letters, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Letters {
    dead_letters: Vec<HeadView>,
}

/// A dead letter with what is in it.
#[derive(Serialize, ToSchema)]
pub(super) struct LetterView {
    #[serde(flatten)]
    head: HeadView,
    blobs: Vec<DeadBlobView>,
}

#[derive(Serialize, ToSchema)]
struct DeadBlobView {
    id: BlobId,
    #[serde(flatten)]
    blob: BlobView,
}

impl From<DeadBlob> for DeadBlobView {
    fn from(dead: DeadBlob) -> Self {
        let blob = dead.blob.map_or_else(|| BlobView::unreadable(dead.blob_type, dead.created_at), BlobView::from);
        Self { id: dead.id, blob }
    }
}

/// What became of many letters that were to be tried again.
#[derive(Serialize, ToSchema)]
pub(super) struct RetriedData {
    retried: u64,
    busy: u64,
    more: bool,
}

/// What became of many letters that were to be dropped.
#[derive(Serialize, ToSchema)]
pub(super) struct DroppedData {
    dropped: u64,
    more: bool,
}

fn page(input: &mut Input<'_>) -> Page {
    let page = input.limit("page", MAX_PAGE).unwrap_or(0);
    let limit = u64::from(input.limit("page_size", MAX_ITEMS).unwrap_or(PAGE_SIZE));
    Page { offset: u64::from(page) * limit, limit }
}

/// `GET /users/dead_letters/{user_id}`
pub(super) async fn list_of_user(call: Call) -> Reply<Letters> {
    let mut input = call.input();
    let (user, page) = (input.user(), page(&mut input));
    input.finish()?;
    list(&call, Some(user), page).await
}

/// `GET /project/dead_letters`
pub(super) async fn list_of_project(call: Call) -> Reply<Letters> {
    let mut input = call.input();
    let page = page(&mut input);
    input.finish()?;
    list(&call, None, page).await
}

async fn list(call: &Call, user: Option<UserId>, page: Page) -> Reply<Letters> {
    let heads = call.engine()?.dead_letters(call.project(), user, page).await?;
    Ok(Answer(Letters { dead_letters: heads.into_iter().map(HeadView::from).collect() }))
}

/// `GET /users/dead_letters/{user_id}/{dead_letter_id}`
pub(super) async fn get(call: Call) -> Reply<LetterView> {
    let (user, id) = read_letter(&call)?;
    let letter = call.engine()?.dead_letter(&call.key(user), id).await?;
    let (head, blobs) = letter.ok_or_else(|| unknown(user, id))?;
    Ok(Answer(LetterView { head: head.into(), blobs: blobs.into_iter().map(DeadBlobView::from).collect() }))
}

/// `POST /users/dead_letters/{user_id}/{dead_letter_id}/retry`
pub(super) async fn retry(call: Call) -> Reply<()> {
    let (user, id) = read_letter(&call)?;
    let found = call.engine()?.retry_dead_letter(&call.key(user), id).await?;
    if found { Ok(Answer(())) } else { Err(unknown(user, id)) }
}

/// `DELETE /users/dead_letters/{user_id}/{dead_letter_id}`
pub(super) async fn delete(call: Call) -> Reply<()> {
    let (user, id) = read_letter(&call)?;
    let found = call.engine()?.drop_dead_letter(&call.key(user), id).await?;
    if found { Ok(Answer(())) } else { Err(unknown(user, id)) }
}

fn read_letter(call: &Call) -> Result<(UserId, FlushId), Failure> {
    let mut input = call.input();
    let letter = (input.user(), input.letter());
    input.finish()?;
    Ok(letter)
}

fn unknown(user: UserId, id: FlushId) -> Failure {
    Failure::not_found("dead letter", id.0, user.0)
}

fn read_user(call: &Call) -> Result<UserId, Failure> {
    let mut input = call.input();
    let user = input.user();
    input.finish()?;
    Ok(user)
}

/// `POST /users/dead_letters/{user_id}/retry`
pub(super) async fn retry_of_user(call: Call) -> Reply<RetriedData> {
    let user = read_user(&call)?;
    retry_many(&call, Some(user)).await
}

/// `POST /project/dead_letters/retry`
pub(super) async fn retry_of_project(call: Call) -> Reply<RetriedData> {
    retry_many(&call, None).await
}

async fn retry_many(call: &Call, user: Option<UserId>) -> Reply<RetriedData> {
    let RetriedLetters { retried, busy, more } = call.engine()?.retry_dead_letters(call.project(), user).await?;
    Ok(Answer(RetriedData { retried, busy, more }))
}

/// `DELETE /users/dead_letters/{user_id}`
pub(super) async fn drop_of_user(call: Call) -> Reply<DroppedData> {
    let user = read_user(&call)?;
    drop_many(&call, Some(user)).await
}

/// `DELETE /project/dead_letters`
pub(super) async fn drop_of_project(call: Call) -> Reply<DroppedData> {
    drop_many(&call, None).await
}

async fn drop_many(call: &Call, user: Option<UserId>) -> Reply<DroppedData> {
    let DroppedLetters { dropped, more } = call.engine()?.drop_dead_letters(call.project(), user).await?;
    Ok(Answer(DroppedData { dropped, more }))
}

/// Describes the routes above.
pub(super) fn describe() -> Vec<Route> {
    const UNKNOWN: &str = "the user is unknown";
    const NO_LETTER: &str = "there is no such dead letter";
    const NO_TOKENS: &str = "the project has used up its tokens of this month; nothing was changed";
    const OF_USER: &str = "/users/dead_letters/{user_id}";
    const ONE: &str = "/users/dead_letters/{user_id}/{dead_letter_id}";
    const OF_PROJECT: &str = "/project/dead_letters";
    let letter = || -> [Parameter; 2] { [p::user(), p::own_id("dead_letter_id", "The dead letter.")] };
    let more = "`more` tells that there are others: call again.";
    vec![
        Route::get(OF_USER, "List the dead letters of a user")
            .says("Newest first. An unknown user has none.")
            .parameter(p::user())
            .parameters(page_parameters())
            .answers::<Letters>(),
        Route::delete(OF_USER, "Drop the dead letters of a user")
            .says(more)
            .parameter(p::user())
            .answers::<DroppedData>()
            .errno(404, UNKNOWN),
        Route::post("/users/dead_letters/{user_id}/retry", "Try the dead letters of a user again")
            .says(more)
            .parameter(p::user())
            .answers::<RetriedData>()
            .errno(404, UNKNOWN)
            .errno(503, NO_TOKENS),
        Route::get(ONE, "Read a dead letter").parameters(letter()).answers::<LetterView>().errno(404, NO_LETTER),
        Route::delete(ONE, "Drop a dead letter").parameters(letter()).errno(404, NO_LETTER),
        Route::post("/users/dead_letters/{user_id}/{dead_letter_id}/retry", "Try a dead letter again")
            .says("HTTP 503 while another batch of the user is open.")
            .parameters(letter())
            .errno(404, NO_LETTER)
            .errno(503, NO_TOKENS),
        Route::get(OF_PROJECT, "List the dead letters of all users")
            .says("Newest first.")
            .parameters(page_parameters())
            .answers::<Letters>(),
        Route::delete(OF_PROJECT, "Drop the dead letters of all users").says(more).answers::<DroppedData>(),
        Route::post("/project/dead_letters/retry", "Try the dead letters of all users again")
            .says(more)
            .answers::<RetriedData>()
            .errno(503, NO_TOKENS),
    ]
}
