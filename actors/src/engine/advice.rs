use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use memory::blob::Message;
use memory::extraction::Policy;
use memory::ids::{SlotId, UserKey};
use memory::ports::{ModelError, Roleplay, TokenCounter, TopicAdvice};
use memory::profile::Slot;
use memory::recall::{CHAT_QUERY_MESSAGES, KnownProfile, ProfileFilter, chat_query, near, relevant, slot_meaning};
use tokio::time::timeout;

use super::Engine;
use crate::error::EngineError;
use crate::offload::{LINE_BYTES, offload};
use crate::outages;

/// Slots that a model is asked about at most: the newest. It is not told of older ones, so it cannot choose them.
const ADVISED_SLOTS: usize = 1_000;

/// Slots that are compared with a chat by what they mean at most: the newest.
const EMBEDDED_SLOTS: usize = 256;

/// How long a read waits for a model to choose slots. After that words choose, as they do without a model.
const CHOICE_TIMEOUT: Duration = Duration::from_secs(20);

/// Messages of a role-play that a model is shown at most: the last.
const ROLEPLAY_MESSAGES: usize = 50;

/// How long a request waits for a model's advice on a role-play.
const ADVICE_TIMEOUT: Duration = Duration::from_secs(120);

/// The slots of a profile that a filter let through.
pub struct Selected {
    /// The whole profile.
    pub known: Arc<KnownProfile>,
    /// Which of its slots, in order.
    pub places: Vec<usize>,
}

impl Selected {
    /// The slots, in order.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.places.iter().filter_map(|&place| self.known.profile.slots.get(place))
    }
}

impl Engine {
    /// The slots that a filter lets through; none when the user is unknown. A chat (oldest message first)
    /// narrows them down to those that bear on it; one without messages does not.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn slots(
        &self,
        key: &UserKey,
        filter: &ProfileFilter,
        chat: &[Message],
    ) -> Result<Option<Selected>, EngineError> {
        let Some(known) = self.profile(key).await? else { return Ok(None) };
        let narrowed = self.narrowed(key, filter, &known, chat).await?;
        let places = narrowed.as_ref().unwrap_or(filter).select(&known);
        Ok(Some(Selected { known, places }))
    }

    /// What a role-play should do next. A model is shown the last 50 messages (oldest first), fewer when they have
    /// more than `max_chat_blob_buffer_process_token_size` tokens, and the slots that the filter lets through.
    ///
    /// # Errors
    /// [`EngineError::UnknownUser`], [`EngineError::NoModel`], [`EngineError::TooLong`], and what the model says or
    /// fails to say: [`EngineError::ModelAway`], [`EngineError::ModelFailed`], [`EngineError::ModelTimeout`].
    pub async fn next_topic(
        &self,
        key: &UserKey,
        filter: &ProfileFilter,
        messages: Vec<Message>,
        agent_context: Option<String>,
    ) -> Result<TopicAdvice, EngineError> {
        self.check_running()?;
        let selected = self.slots(key, filter, &[]).await?.ok_or(EngineError::UnknownUser(key.user))?;
        let profile: Vec<Slot> = selected.slots().cloned().collect();
        let advisor = self.ports().advisor.as_ref().ok_or(EngineError::NoModel)?;
        let policy = self.policy(key).await;
        let (counter, limit) = (self.counter().clone(), self.0.settings.flush.max_tokens);
        let bytes = messages.iter().map(|message| message.content.len()).sum::<usize>();
        let lines = (bytes + agent_context.as_ref().map_or(0, String::len)) / LINE_BYTES;
        let shortened = move || {
            let messages = last_messages(messages, agent_context.as_deref(), limit, &*counter);
            messages.map(|messages| Roleplay { messages, agent_context, profile })
        };
        let roleplay = offload(lines, shortened).await??;
        self.ask(ADVICE_TIMEOUT, advisor.next_topic(&policy, &roleplay)).await
    }

    /// A filter that lets through only what bears on the last messages of a chat. None when there is no chat, or
    /// nothing bears on it: then nothing is known of what it is about, and the filter stays as it is.
    pub(super) async fn narrowed(
        &self,
        key: &UserKey,
        filter: &ProfileFilter,
        known: &Arc<KnownProfile>,
        chat: &[Message],
    ) -> Result<Option<ProfileFilter>, EngineError> {
        let recent = &chat[chat.len().saturating_sub(CHAT_QUERY_MESSAGES)..];
        if recent.is_empty() || known.profile.slots.is_empty() {
            return Ok(None);
        }
        let policy = self.policy(key).await;
        let places = match self.chosen_by_model(known, &policy, recent).await {
            Some(places) => places,
            None => self.chosen_by_words(key, known, policy, recent).await?,
        };
        let chosen: HashSet<SlotId> =
            places.into_iter().filter_map(|place| known.profile.slots.get(place)).map(|slot| slot.id).collect();
        if chosen.is_empty() {
            return Ok(None);
        }
        Ok(Some(ProfileFilter { only_slots: Some(chosen), ..filter.clone() }))
    }

    /// None when no model is to choose, or when it does not answer: a read never fails because of a model.
    async fn chosen_by_model(
        &self,
        known: &KnownProfile,
        policy: &Arc<Policy>,
        chat: &[Message],
    ) -> Option<Vec<usize>> {
        let advisor = self.ports().advisor.as_ref().filter(|_| self.0.settings.filter_by_model)?;
        let slots = &known.profile.slots[..known.profile.slots.len().min(ADVISED_SLOTS)];
        match self.ask(CHOICE_TIMEOUT, advisor.relevant(policy, chat, slots)).await {
            Ok(places) => Some(places),
            Err(error) => {
                tracing::warn!(reason = error.name(), "no model chose slots for a chat; its words did");
                None
            }
        }
    }

    async fn chosen_by_words(
        &self,
        key: &UserKey,
        known: &Arc<KnownProfile>,
        policy: Arc<Policy>,
        chat: &[Message],
    ) -> Result<Vec<usize>, EngineError> {
        let contents: Vec<String> = chat.iter().map(|message| message.content.clone()).collect();
        let query = chat_query(&contents);
        let near = self.near(key, known, &query).await;
        let known = known.clone();
        offload(known.bytes() / LINE_BYTES, move || {
            let found = relevant(&known.profile.slots, &policy.schema, &[&query]);
            found.into_iter().map(|(place, _)| place).chain(near).collect()
        })
        .await
    }

    /// The slots that are nearest to a chat by what they mean; none where that is not known.
    async fn near(&self, key: &UserKey, known: &KnownProfile, query: &str) -> Vec<usize> {
        let Some(embeddings) = self.ports().embeddings.as_ref() else { return Vec::new() };
        let Some(chat) = self.0.queries.meaning(embeddings, query).await else { return Vec::new() };
        let slots: Vec<String> = known.profile.slots.iter().take(EMBEDDED_SLOTS).map(slot_meaning).collect();
        let meanings = self.0.queries.slots(embeddings, self.ports(), &key.project, &slots).await;
        near(&meanings, &chat)
    }

    /// How the project of a user wants its memory made; the server's way while that cannot be read. A read never fails
    /// for want of it.
    async fn policy(&self, key: &UserKey) -> Arc<Policy> {
        match self.0.context.projects.get(&key.project).await {
            Ok(known) => known.flush.policy.clone(),
            Err(error) => {
                outages::store_failed(&error);
                self.0.settings.flush.policy.clone()
            }
        }
    }

    /// Waits for a model's answer: as long as `limit`, and as the engine runs.
    async fn ask<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<T, ModelError>>,
    ) -> Result<T, EngineError> {
        let mut stop = self.0.stop.subscribe();
        tokio::select! {
            answer = timeout(limit, answer) => match answer {
                Ok(answer) => Ok(answer?),
                Err(_) => Err(EngineError::ModelTimeout { limit }),
            },
            _ = stop.wait_for(|stops| *stops) => Err(EngineError::unavailable("the server is stopping; it")),
        }
    }
}

/// The last messages, as many as a model is shown and as fit its tokens beside the agent's context.
fn last_messages(
    mut messages: Vec<Message>,
    agent_context: Option<&str>,
    limit: u32,
    counter: &dyn TokenCounter,
) -> Result<Vec<Message>, EngineError> {
    let mut tokens = agent_context.map_or(0, |context| counter.count(context));
    let fits = |message: &&Message| {
        tokens = tokens.saturating_add(counter.count(&message.content));
        tokens <= limit
    };
    let shown = messages.iter().rev().take(ROLEPLAY_MESSAGES).take_while(fits).count();
    // The last message has to be shown, and without messages the context still has to fit.
    if tokens > limit && shown == 0 {
        let (what, parameter) = ("agent_context and the last message", "max_chat_blob_buffer_process_token_size");
        return Err(EngineError::TooLong { what, parameter, limit });
    }
    Ok(messages.split_off(messages.len() - shown))
}
