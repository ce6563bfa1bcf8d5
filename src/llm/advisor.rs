use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use memory::blob::{Blob, BlobData, Message};
use memory::extraction::{Policy, Request, lines_of, plain_line};
use memory::ports::{Advisor, ModelError, Roleplay, TopicAction, TopicAdvice};
use memory::profile::Slot;
use memory::text;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::model::{OpenAiModel, broken};

/// Topics that are taken from an answer at most; more would be a list, not a lead.
const MAX_TOPICS: usize = 5;
/// Characters of a topic at most.
const MAX_TOPIC_CHARS: usize = 300;

/// Slots that a role-play is directed with at most: the first ones that the client's filters let through.
const MAX_ROLEPLAY_SLOTS: usize = 100;

/// An [`OpenAiModel`] that answers what reads ask. Its prompts hold the chat as those of an extraction do.
pub struct OpenAiAdvisor {
    model: Arc<OpenAiModel>,
}

/// The answer of a model that chooses slots.
#[derive(Deserialize)]
struct Choice {
    slots: Vec<usize>,
}

/// The answer of a model that directs a role-play.
#[derive(Deserialize)]
struct Direction {
    action: String,
    #[serde(default)]
    topics: Vec<String>,
}

impl OpenAiAdvisor {
    /// Advice by this model, in the language that the policy names or the chat is in.
    pub fn new(model: Arc<OpenAiModel>) -> Self {
        Self { model }
    }
}

/// The chat as a request, for its lines and its language.
fn chat_request(policy: &Arc<Policy>, messages: &[Message]) -> Request {
    let data = BlobData::Chat { messages: messages.to_vec() };
    let blob = Blob { data, fields: None, created_at: Timestamp::now() };
    let lines = lines_of(Uuid::nil(), &blob, 1, &policy.time_zone);
    Request { lines, profile: Vec::new(), named: Vec::new(), policy: policy.clone() }
}

#[async_trait]
impl Advisor for OpenAiAdvisor {
    async fn relevant(&self, policy: &Arc<Policy>, chat: &[Message], slots: &[Slot]) -> Result<Vec<usize>, ModelError> {
        let request = chat_request(policy, chat);
        let (prompts, name) = (self.model.prompts(), &self.model.names().best);
        let rendered = prompts.relevant_slots(request.language(), slots, &request.chat_lines());
        let rendered = rendered.map_err(|e| broken(&e))?;
        let prompt = self.model.prompt_of_read(name, rendered, &self.model.schemas().relevant_slots);
        let (completion, _) = self.model.complete(Arc::new(prompt)).await?;
        let Choice { slots: mut chosen } = read(&completion.text)?;
        chosen.retain(|place| *place < slots.len());
        chosen.sort_unstable();
        chosen.dedup();
        Ok(chosen)
    }

    async fn next_topic(&self, policy: &Arc<Policy>, roleplay: &Roleplay) -> Result<TopicAdvice, ModelError> {
        let request = chat_request(policy, &roleplay.messages);
        let (prompts, name, language) = (self.model.prompts(), &self.model.names().thinking, request.language());
        let character = roleplay.agent_context.as_deref();
        let profile = &roleplay.profile[..roleplay.profile.len().min(MAX_ROLEPLAY_SLOTS)];
        let rendered = prompts.next_topic(language, character, profile, &request.chat_lines());
        let rendered = rendered.map_err(|e| broken(&e))?;
        let prompt = self.model.prompt_of_read(name, rendered, &self.model.schemas().next_topic);
        let (completion, _) = self.model.complete(Arc::new(prompt)).await?;
        let direction: Direction = read(&completion.text)?;
        if direction.action != "new_topic" {
            return Ok(TopicAdvice { action: TopicAction::Continue, topic_prompt: None });
        }
        let topics = direction.topics.iter().map(|topic| text::one_line(&plain_line(&text::storable(topic))));
        let topics = topics.map(|topic| topic.chars().take(MAX_TOPIC_CHARS).collect::<String>());
        let topics: Vec<String> = topics.filter(|topic| !topic.is_empty()).take(MAX_TOPICS).collect();
        let section = prompts.topic_section(language, &topics).map_err(|e| broken(&e))?;
        Ok(TopicAdvice { action: TopicAction::NewTopic, topic_prompt: Some(section) })
    }
}

/// Reads an answer that may stand behind reasoning, in a fence or in chatter: from its first brace to its last.
fn read<T: DeserializeOwned>(text: &str) -> Result<T, ModelError> {
    let text = text.rsplit_once("</think>").map_or(text, |(_, answer)| answer);
    let object = text.find('{').zip(text.rfind('}')).and_then(|(first, last)| text.get(first..=last));
    let answer = object.and_then(|object| serde_json::from_str(object).ok());
    answer.ok_or_else(|| ModelError::Unusable("it is not the JSON that was asked for".to_owned()))
}
