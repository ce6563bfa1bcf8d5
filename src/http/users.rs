//! `/users`: creating, reading, changing and deleting users.

use memory::ids::UserId;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::Type;
use uuid::Uuid;

use super::body::Body;
use super::call::Call;
use super::invalid::Problems;
use super::node::Node;
use super::openapi::{Route, parameters as p};
use super::reply::{Answer, IdData, Reply};
use super::stamp::Stamp;

/// A user, on the wire.
#[derive(Serialize, ToSchema)]
pub(super) struct UserData {
    /// What the client keeps of its user.
    #[schema(value_type = Option<Object>)]
    data: Option<Map<String, Value>>,
    /// Always null: so it is in the wire format, and who asks knows the id.
    id: Option<Uuid>,
    created_at: Stamp,
    updated_at: Stamp,
}

#[derive(Default, ToSchema)]
struct NewUser {
    #[schema(schema_with = own_id)]
    id: Option<Uuid>,
    /// What the client keeps of its user.
    #[schema(value_type = Option<Object>)]
    data: Option<Map<String, Value>>,
}

impl NewUser {
    fn read(root: Node<'_>, problems: &mut Problems) -> Self {
        let data = root.get("data").optional_map(problems);
        let id = root.get("id").optional_id(problems);
        // The server keeps its own times; these are checked because clients may send them.
        root.get("created_at").optional_instant(problems);
        root.get("updated_at").optional_instant(problems);
        Self { id, data }
    }
}

/// `POST /users`
pub(super) async fn create(call: Call, body: Body) -> Reply<IdData> {
    let mut input = call.input();
    let user = input.model(&body, NewUser::read);
    input.finish()?;
    let engine = call.engine()?;
    let id = user.id.unwrap_or_else(|| engine.fresh_id());
    engine.create_user(&call.key(UserId(id)), user.data.as_ref()).await?;
    Ok(Answer(IdData { id }))
}

/// `GET /users/{user_id}`
pub(super) async fn get(call: Call) -> Reply<UserData> {
    let mut input = call.input();
    let user = input.user();
    input.finish()?;
    let user = call.engine()?.user(&call.key(user)).await?;
    let (created_at, updated_at) = (Stamp(user.created_at), Stamp(user.updated_at));
    Ok(Answer(UserData { data: user.data, id: None, created_at, updated_at }))
}

/// `PUT /users/{user_id}`: the whole body is the user's data.
pub(super) async fn update(call: Call, body: Body) -> Reply<IdData> {
    let mut input = call.input();
    let user = input.user();
    let data = input.body(&body, |root, problems| root.map(problems));
    input.finish()?;
    call.engine()?.update_user(&call.key(user), &data).await?;
    Ok(Answer(IdData { id: user.0 }))
}

/// `DELETE /users/{user_id}`
pub(super) async fn delete(call: Call) -> Reply<()> {
    let mut input = call.input();
    let user = input.user();
    input.finish()?;
    call.engine()?.delete_user(&call.key(user)).await?;
    Ok(Answer(()))
}

fn own_id() -> utoipa::openapi::Object {
    let says = "An id of the client's own, of version 4 or 5; the server draws one when there is none.";
    p::nullable(Type::String).pattern(Some(p::ID_PATTERN)).description(Some(says)).build()
}

/// Describes the routes above.
pub(super) fn describe() -> Vec<Route> {
    const UNKNOWN: &str = "the user is unknown";
    let data = p::typed(Type::Object);
    vec![
        Route::post("/users", "Create a user")
            .body::<NewUser>("The user.")
            .answers::<IdData>()
            .errno(409, "the id is taken"),
        Route::get("/users/{user_id}", "Read a user").parameter(p::user()).answers::<UserData>().errno(404, UNKNOWN),
        Route::put("/users/{user_id}", "Replace what is kept of a user")
            .says("The whole body becomes the user's `data`; the clients send `{\"data\": …}`.")
            .parameter(p::user())
            .body_schema(data, "Any object.")
            .answers::<IdData>()
            .errno(404, UNKNOWN),
        Route::delete("/users/{user_id}", "Delete a user")
            .says("With all blobs, profile and events: nothing stays.")
            .parameter(p::user())
            .errno(404, UNKNOWN),
    ]
}
