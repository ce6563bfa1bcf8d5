//! `/users/roleplay`: advice on a role-play, by a language model.

use memory::blob::Message;
use memory::ports::{TopicAction, TopicAdvice};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::Body;
use super::call::Call;
use super::openapi::{Route, parameters as p};
use super::reply::{Answer, Reply};
use super::{filter, messages};

/// What to do next, on the wire.
#[derive(Serialize, ToSchema)]
pub(super) struct TopicData {
    /// `new_topic` or `continue`.
    #[schema(pattern = "^(new_topic|continue)$")]
    action: &'static str,
    /// A text for the bot's prompt, with a new topic.
    topic_prompt: Option<String>,
}

impl From<TopicAdvice> for TopicData {
    fn from(advice: TopicAdvice) -> Self {
        let action = match advice.action {
            TopicAction::NewTopic => "new_topic",
            TopicAction::Continue => "continue",
        };
        Self { action, topic_prompt: advice.topic_prompt }
    }
}

/// What is played.
#[derive(Default, ToSchema)]
struct Scene {
    /// The chat so far.
    messages: Vec<Message>,
    /// Who the bot plays.
    agent_context: Option<String>,
}

/// `POST /users/roleplay/proactive/{user_id}`
pub(super) async fn proactive(call: Call, body: Body) -> Reply<TopicData> {
    let mut input = call.input();
    let user = input.user();
    let mut filter = filter::read(&mut input);
    let topic_limits = input.text("topic_limits_json").map(str::to_owned);
    let Scene { messages, agent_context } = input.model(&body, |root, problems| {
        let messages = messages::read(root.get("messages"), problems);
        Scene { messages, agent_context: root.get("agent_context").optional_string(problems) }
    });
    input.finish()?;
    filter.topic_limits = filter::topic_limits(topic_limits.as_deref())?;
    let advice = call.engine()?.next_topic(&call.key(user), &filter, messages, agent_context).await?;
    Ok(Answer(advice.into()))
}

/// Describes the route above.
pub(super) fn describe() -> Vec<Route> {
    let route = Route::post("/users/roleplay/proactive/{user_id}", "Ask what a role-play should do next")
        .says("One call of the language model. The parameters choose the slots that it is shown. Nothing is stored.")
        .parameter(p::user())
        .parameters(filter::parameters())
        .body::<Scene>("The scene.")
        .answers::<TopicData>()
        .errno(400, "topic_limits_json cannot be read, or the scene is too long")
        .errno(404, "the user is unknown")
        .errno(501, "the server has no language model")
        .errno(502, "the model refused, or its answer could not be used")
        .errno(504, "the model took too long");
    vec![route]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn advice_is_named_as_on_the_wire() {
        let shown = |action, prompt: Option<&str>| {
            let topic_prompt = prompt.map(str::to_owned);
            serde_json::to_value(TopicData::from(TopicAdvice { action, topic_prompt })).unwrap()
        };
        let new_topic = json!({"action": "new_topic", "topic_prompt": "Ask about tea."});
        assert_eq!(shown(TopicAction::NewTopic, Some("Ask about tea.")), new_topic);
        assert_eq!(shown(TopicAction::Continue, None), json!({"action": "continue", "topic_prompt": null}));
    }
}
