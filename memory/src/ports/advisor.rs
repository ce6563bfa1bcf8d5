use std::sync::Arc;

use async_trait::async_trait;

use crate::blob::Message;
use crate::extraction::Policy;
use crate::ports::ModelError;
use crate::profile::Slot;

/// A role-play that may need something new to talk about.
#[derive(Clone, Debug)]
pub struct Roleplay {
    /// The talk so far, oldest first.
    pub messages: Vec<Message>,
    /// Whom the bot plays, in the client's words.
    pub agent_context: Option<String>,
    /// What is known of the user: the slots that the client's filters let through.
    pub profile: Vec<Slot>,
}

/// What a role-play should do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TopicAction {
    /// Take up something new.
    NewTopic,
    /// Go on as it is.
    Continue,
}

/// What to do next, and the words that tell the bot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicAdvice {
    /// What to do.
    pub action: TopicAction,
    /// A section for the bot's prompt; none with [`TopicAction::Continue`].
    pub topic_prompt: Option<String>,
}

/// Answers what reads ask of a language model, in the language and the time zone of the project's policy. There is none
/// where the rules extract memories.
#[async_trait]
pub trait Advisor: Send + Sync + 'static {
    /// The places in `slots` of those that bear on a chat (oldest message first), in rising order.
    ///
    /// # Errors
    /// See [`ModelError`].
    async fn relevant(&self, policy: &Arc<Policy>, chat: &[Message], slots: &[Slot]) -> Result<Vec<usize>, ModelError>;

    /// What a role-play should do next.
    ///
    /// # Errors
    /// See [`ModelError`].
    async fn next_topic(&self, policy: &Arc<Policy>, roleplay: &Roleplay) -> Result<TopicAdvice, ModelError>;
}
