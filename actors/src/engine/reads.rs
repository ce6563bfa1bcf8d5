use std::sync::Arc;

use memory::blob::Message;
use memory::context::{ContextRequest, Remembered};
use memory::event::Event;
use memory::ids::UserKey;
use memory::ports::EventFilter;
use memory::recall::{Hit, KnownGists, KnownProfile, Search, chat_query};
use memory::search::Vector;

use super::Engine;
use crate::error::EngineError;
use crate::offload::offload;
use crate::user_actor::{Get, Snapshot};

/// Events that a context with `require_event_summary` looks at: the newest.
const CONTEXT_EVENTS: u32 = 1_000;

impl Engine {
    /// The profile of a user; none when the user is unknown.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn profile(&self, key: &UserKey) -> Result<Option<Arc<KnownProfile>>, EngineError> {
        self.snapshot(key).await
    }

    async fn gists(&self, key: &UserKey) -> Result<Option<Arc<KnownGists>>, EngineError> {
        self.snapshot(key).await
    }

    /// What a query means, where these gists are searched by meaning, too.
    async fn meaning(&self, query: &str, gists: &KnownGists) -> Option<Vector> {
        let embeddings = self.ports().embeddings.as_ref().filter(|_| gists.has_meanings())?;
        self.0.queries.meaning(embeddings, query).await
    }

    async fn with_meaning(&self, search: &Search, gists: &KnownGists) -> Search {
        Search { meaning: self.meaning(&search.query, gists).await, ..search.clone() }
    }

    /// What is cached is read on the spot; an actor is asked only for what is not.
    async fn snapshot<T: Snapshot>(&self, key: &UserKey) -> Result<Option<Arc<T>>, EngineError> {
        match self.0.context.registry.cached(&self.0.context, key) {
            Some(cached) => Ok(Some(cached)),
            None => known(self.call(key, Get::new()).await),
        }
    }

    /// Reads events, newest first.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn events(&self, key: &UserKey, filter: &EventFilter) -> Result<Vec<Event>, EngineError> {
        Ok(self.ports().store.events(key, filter).await?)
    }

    /// Searches the gists of a user.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn search_gists(&self, key: &UserKey, search: &Search) -> Result<Vec<Hit>, EngineError> {
        let Some(gists) = self.gists(key).await? else { return Ok(Vec::new()) };
        let search = self.with_meaning(search, &gists).await;
        offload(gists.gists.len(), move || gists.search(&search)).await
    }

    /// Searches the events of a user, by their gists.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn search_events(&self, key: &UserKey, search: &Search) -> Result<Vec<(Event, f64)>, EngineError> {
        let Some(gists) = self.gists(key).await? else { return Ok(Vec::new()) };
        let search = self.with_meaning(search, &gists).await;
        let ranked = offload(gists.gists.len(), move || gists.search_events(&search)).await?;
        let mut found = Vec::new();
        for (id, similarity) in ranked {
            // One that was deleted since the gists were read is not there any more.
            if let Some((event, ..)) = self.ports().store.event(key, id).await? {
                found.push((event, similarity));
            }
        }
        Ok(found)
    }

    /// Packs a context. One of an unknown user is empty. A chat narrows the profile as in [`Engine::slots`].
    ///
    /// # Errors
    /// When the store is away; with `include_buffer`, also when the journal is.
    pub async fn context(
        &self,
        key: &UserKey,
        mut request: ContextRequest,
        chat: &[Message],
    ) -> Result<String, EngineError> {
        // Before all that a flush may change: what is committed meanwhile shows twice rather than nowhere.
        let said = if request.include_buffer { self.said(key, request.max_tokens).await? } else { Vec::new() };
        let profile = self.profile(key).await?;
        if let Some(known) = &profile
            && let Some(narrowed) = self.narrowed(key, &request.filter, known, chat).await?
        {
            request.filter = narrowed;
        }
        let gists = if profile.is_some() { self.gists(key).await? } else { None };
        if let (Some(chats), Some(gists)) = (&request.chats, &gists) {
            request.meaning = self.meaning(&chat_query(chats), gists).await;
        }
        let events = if request.require_event_summary && profile.is_some() {
            self.events(key, &EventFilter { limit: CONTEXT_EVENTS, ..EventFilter::default() }).await?
        } else {
            Vec::new()
        };
        let (engine, now) = (self.clone(), self.now());
        let lines = said.len() + events.len() + gists.as_ref().map_or(0, |gists| gists.gists.len());
        offload(lines, move || {
            let (profile, gists) = (profile.as_deref(), gists.as_deref());
            let remembered = Remembered { profile, gists, events: &events, said: &said };
            engine.0.packer.pack(&request, &remembered, now).text
        })
        .await
    }
}

/// Reads of an unknown user find nothing.
fn known<T>(read: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match read {
        Err(EngineError::UnknownUser(_)) => Ok(None),
        read => read.map(Some),
    }
}
