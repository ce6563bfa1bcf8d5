//! `/users/profile`: reading the profile, and changing its slots.

use actix_web::body::BoxBody;
use actix_web::{HttpRequest, HttpResponse, Responder};
use actors::Selected;
use memory::ids::SlotId;
use memory::ports::{NewSlot, SlotChange};
use memory::profile::Slot;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::Body;
use super::call::Call;
use super::invalid::Problems;
use super::node::Node;
use super::openapi::{Route, parameters as p};
use super::reply::{self, Answer, Failure, IdData, Reply};
use super::sources::SourceView;
use super::stamp::Stamp;
use super::{filter, messages, sources};

/// errno of attributes that name no slot.
const BAD_ATTRIBUTES: u16 = 520;

/// A slot, on the wire.
#[derive(Serialize, ToSchema)]
struct SlotData<'a> {
    id: Uuid,
    content: &'a str,
    created_at: Stamp,
    updated_at: Stamp,
    attributes: Attributes<'a>,
    /// The messages that the content comes from, newest first; only if they are asked for. None when a client wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sources: Option<Vec<SourceView>>,
}

#[derive(Serialize, ToSchema)]
struct Attributes<'a> {
    topic: &'a str,
    sub_topic: &'a str,
    /// Whatever a client added.
    #[serde(flatten)]
    #[schema(value_type = BTreeMap<String, Value>)]
    more: &'a Map<String, Value>,
}

fn render(slot: &Slot) -> String {
    json(slot, None)
}

fn render_with_sources(slot: &Slot) -> String {
    json(slot, Some(sources::views(slot.sources.iter().cloned())))
}

fn json(slot: &Slot, sources: Option<Vec<SourceView>>) -> String {
    let attributes = Attributes { topic: &slot.topic, sub_topic: &slot.sub_topic, more: &slot.attributes };
    let data = SlotData {
        id: slot.id.0,
        content: &slot.content,
        created_at: Stamp(slot.created_at),
        updated_at: Stamp(slot.updated_at),
        attributes,
        sources,
    };
    // Texts, numbers and JSON values: there is nothing that JSON cannot write.
    serde_json::to_string(&data).unwrap_or_default()
}

/// A profile on the wire, in its envelope. Each slot is written once for all answers that show it, unless they show its
/// sources, too: few ask for these.
pub(super) struct ProfileAnswer {
    selected: Option<Selected>,
    sources: bool,
}

impl Responder for ProfileAnswer {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let slots = match &self.selected {
            None => String::new(),
            Some(selected) if self.sources => selected.slots().map(render_with_sources).collect::<Vec<_>>().join(","),
            Some(selected) => {
                let rendered = selected.known.rendered(render);
                let slots = selected.places.iter().filter_map(|&place| rendered.get(place));
                slots.map(|slot| &**slot).collect::<Vec<_>>().join(",")
            }
        };
        reply::envelope_of(&["{\"profiles\":[", &slots, "]}"].concat())
    }
}

/// The body of a slot: its memo and, unless null, its attributes.
#[derive(Default, ToSchema)]
struct Delta {
    /// The memo.
    content: String,
    /// `topic`, `sub_topic` and whatever else the client likes.
    #[schema(value_type = Option<Object>, required)]
    attributes: Option<Map<String, Value>>,
}

impl Delta {
    fn read(root: Node<'_>, problems: &mut Problems) -> Self {
        let content = root.get("content").string(problems);
        let attributes = root.get("attributes").nullable_map(problems);
        Self { content, attributes }
    }
}

/// Topic, sub-topic, and the attributes beside them.
fn address(attributes: Option<Map<String, Value>>) -> Result<(String, String, Map<String, Value>), Failure> {
    let mut more = attributes.unwrap_or_default();
    let topic = take_text(&mut more, "topic")?;
    let sub_topic = take_text(&mut more, "sub_topic")?;
    Ok((topic, sub_topic, more))
}

fn take_text(attributes: &mut Map<String, Value>, key: &'static str) -> Result<String, Failure> {
    match attributes.remove(key) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(Failure::Refused { errno: BAD_ATTRIBUTES, message: format!("attributes: {key} must be a string") }),
    }
}

/// `GET /users/profile/{user_id}`. An unknown user has an empty profile.
pub(super) async fn get(call: Call) -> Result<ProfileAnswer, Failure> {
    let mut input = call.input();
    let user = input.user();
    let mut filter = filter::read(&mut input);
    let topic_limits = input.text("topic_limits_json").map(str::to_owned);
    let chats = input.text("chats_str").map(str::to_owned);
    let sources = sources::are_asked_for(&mut input);
    input.finish()?;
    filter.topic_limits = filter::topic_limits(topic_limits.as_deref())?;
    let chat = messages::from_parameter(chats.as_deref())?.unwrap_or_default();
    let selected = call.engine()?.slots(&call.key(user), &filter, &chat).await?;
    Ok(ProfileAnswer { selected, sources })
}

/// `POST /users/profile/{user_id}`
pub(super) async fn add(call: Call, body: Body) -> Reply<IdData> {
    let mut input = call.input();
    let user = input.user();
    let delta = input.model(&body, Delta::read);
    input.finish()?;
    let (topic, sub_topic, attributes) = address(delta.attributes)?;
    let engine = call.engine()?;
    let id = engine.fresh_id();
    let slot = NewSlot { id: SlotId(id), topic, sub_topic, content: delta.content, attributes };
    engine.add_slot(&call.key(user), &slot).await?;
    Ok(Answer(IdData { id }))
}

/// `PUT /users/profile/{user_id}/{profile_id}`: attributes of null keep the stored ones.
pub(super) async fn update(call: Call, body: Body) -> Reply<()> {
    let mut input = call.input();
    let (user, id) = (input.user(), input.id("profile_id"));
    let delta = input.model(&body, Delta::read);
    input.finish()?;
    let address = match delta.attributes {
        None => None,
        given => Some(address(given)?),
    };
    let change = SlotChange { content: delta.content, address };
    let found = call.engine()?.update_slot(&call.key(user), SlotId(id), &change).await?;
    if found { Ok(Answer(())) } else { Err(Failure::not_found("profile", id, user.0)) }
}

/// `DELETE /users/profile/{user_id}/{profile_id}`
pub(super) async fn delete(call: Call) -> Reply<()> {
    let mut input = call.input();
    let (user, id) = (input.user(), input.id("profile_id"));
    input.finish()?;
    let found = call.engine()?.delete_slot(&call.key(user), SlotId(id)).await?;
    if found { Ok(Answer(())) } else { Err(Failure::not_found("profile", id, user.0)) }
}

/// The body of an import.
#[derive(Default, ToSchema)]
struct Notes {
    /// What is known of the user, in free text.
    context: String,
}

/// `POST /users/profile/import/{user_id}`
pub(super) async fn import(call: Call, body: Body) -> Reply<()> {
    let mut input = call.input();
    let user = input.user();
    let notes = input.model(&body, |root, problems| Notes { context: root.get("context").string(problems) });
    input.finish()?;
    call.engine()?.import(&call.key(user), notes.context).await?;
    Ok(Answer(()))
}

/// A profile, on the wire.
#[derive(ToSchema)]
#[allow(dead_code, reason = "ProfileAnswer writes it in pieces; only its schema is used")]
struct ProfilesData<'a> {
    /// Newest update first.
    profiles: Vec<SlotData<'a>>,
}

/// Describes the routes above.
pub(super) fn describe() -> Vec<Route> {
    const UNKNOWN: &str = "the user is unknown";
    const NO_SLOT: &str = "there is no such slot";
    const NO_ADDRESS: &str = "the attributes have no topic or sub_topic";
    let slot = || [p::user(), p::id("profile_id", "The slot.")];
    vec![
        Route::get("/users/profile/{user_id}", "Read the profile of a user")
            .says("Newest update first. An unknown user has an empty one.")
            .parameter(p::user())
            .parameters(filter::parameters())
            .parameter(p::text("chats_str", messages::PARAMETER))
            .parameter(sources::parameter())
            .answers::<ProfilesData<'_>>()
            .errno(400, filter::REFUSED),
        Route::post("/users/profile/{user_id}", "Add a slot")
            .says("Never merged with another one.")
            .parameter(p::user())
            .body::<Delta>("The slot; its attributes must name topic and sub_topic.")
            .answers::<IdData>()
            .errno(404, UNKNOWN)
            .errno(BAD_ATTRIBUTES, NO_ADDRESS),
        Route::post("/users/profile/import/{user_id}", "Import notes about a user")
            .says("Processed like a chat.")
            .parameter(p::user())
            .body::<Notes>("The notes.")
            .errno(404, UNKNOWN)
            .errno(503, "the flush failed; nothing is lost")
            .errno(503, "the project has used up its tokens of this month; nothing was stored"),
        Route::put("/users/profile/{user_id}/{profile_id}", "Change a slot")
            .parameters(slot())
            .body::<Delta>("The slot; attributes of null keep the stored ones.")
            .errno(404, NO_SLOT)
            .errno(BAD_ATTRIBUTES, NO_ADDRESS),
        Route::delete("/users/profile/{user_id}/{profile_id}", "Delete a slot").parameters(slot()).errno(404, NO_SLOT),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn attributes_name_a_slot() {
        let given = json!({"topic": "t", "sub_topic": "", "extra": 1}).as_object().cloned();
        let (topic, sub_topic, more) = address(given).unwrap();
        assert_eq!((topic.as_str(), sub_topic.as_str(), json!(more)), ("t", "", json!({"extra": 1})));
        for wrong in [json!(null), json!({"topic": "t"}), json!({"topic": 1, "sub_topic": "s"})] {
            let refused = address(wrong.as_object().cloned());
            assert!(matches!(refused, Err(Failure::Refused { errno: 520, .. })), "{wrong}");
        }
    }
}
