//! `/users`: creating, reading, changing and deleting users.

use memory::ids::UserId;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::body::Body;
use super::call::Call;
use super::invalid::Problems;
use super::node::Node;
use super::reply::{Answer, IdData, Reply};
use super::stamp::Stamp;

/// A user, on the wire.
#[derive(Serialize)]
pub(super) struct UserData {
    data: Option<Map<String, Value>>,
    /// Always null: so it is in the wire format, and who asks knows the id.
    id: Option<Uuid>,
    created_at: Stamp,
    updated_at: Stamp,
}

#[derive(Default)]
struct NewUser {
    id: Option<Uuid>,
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
