use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use memory::blob::Message;
use memory::context::{ContextRequest, Explanation, Packer, Remembered};
use memory::event::Event;
use memory::ids::UserKey;
use memory::ports::EventFilter;
use memory::recall::{Found, Hit, KnownGists, KnownProfile, Search, Tally, chat_query};
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

    pub(super) async fn gists(&self, key: &UserKey) -> Result<Option<Arc<KnownGists>>, EngineError> {
        self.snapshot(key).await
    }

    /// What a query means, where these gists are searched by meaning, too.
    async fn meaning(&self, query: &str, gists: &KnownGists) -> Option<Vector> {
        let embeddings = self.ports().embeddings.as_ref().filter(|_| gists.has_meanings())?;
        self.0.queries.meaning(embeddings, query).await
    }

    /// A search with what it means, and the day on which it is asked.
    async fn completed(&self, search: &Search, gists: &KnownGists) -> Search {
        let asked_on = search.asked_on.or_else(|| Some(self.today()));
        Search { meaning: self.meaning(&search.query, gists).await, asked_on, ..search.clone() }
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
    pub async fn search_gists(&self, key: &UserKey, search: &Search) -> Result<Found, EngineError> {
        let Some(gists) = self.gists(key).await? else { return Ok(Found::default()) };
        let search = self.completed(search, &gists).await;
        offload(gists.len(), move || gists.search(&search)).await
    }

    /// Searches the events of a user, by their gists. Each comes with its best gist.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn search_events(
        &self,
        key: &UserKey,
        search: &Search,
    ) -> Result<(Vec<(Event, Hit)>, Tally), EngineError> {
        let Some(gists) = self.gists(key).await? else { return Ok(Default::default()) };
        let search = self.completed(search, &gists).await;
        let ranked = offload(gists.len(), move || gists.search_events(&search)).await?;
        let mut found = Vec::new();
        for (id, hit) in ranked.events {
            // One that was deleted since the gists were read is not there any more.
            if let Some((event, ..)) = self.ports().store.event(key, id).await? {
                found.push((event, hit));
            }
        }
        Ok((found, ranked.tally))
    }

    /// Packs a context. One of an unknown user is empty. A chat narrows the profile as in [`Engine::slots`].
    ///
    /// # Errors
    /// When the store is away; with `include_buffer`, also when the journal is.
    pub async fn context(
        &self,
        key: &UserKey,
        request: ContextRequest,
        chat: &[Message],
    ) -> Result<String, EngineError> {
        self.packed(key, request, chat, |packer, request, remembered, now| packer.pack(request, remembered, now).text)
            .await
    }

    /// Packs the same context, and tells how it came to that.
    ///
    /// # Errors
    /// Those of [`Engine::context`].
    pub async fn explained_context(
        &self,
        key: &UserKey,
        request: ContextRequest,
        chat: &[Message],
    ) -> Result<(String, Explanation), EngineError> {
        self.packed(key, request, chat, |packer, request, remembered, now| {
            let (packed, explanation) = packer.explain(request, remembered, now);
            (packed.text, explanation)
        })
        .await
    }

    async fn packed<T: Send + 'static>(
        &self,
        key: &UserKey,
        mut request: ContextRequest,
        chat: &[Message],
        pack: impl FnOnce(&Packer, &ContextRequest, &Remembered<'_>, Timestamp) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
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
        request.asked_on = request.asked_on.or_else(|| Some(self.today()));
        let lines = said.len() + events.len() + gists.as_ref().map_or(0, |gists| gists.len());
        offload(lines, move || {
            let (profile, gists) = (profile.as_deref(), gists.as_deref());
            let remembered = Remembered { profile, gists, events: &events, said: &said };
            pack(&engine.0.packer, &request, &remembered, now)
        })
        .await
    }

    /// The present day, where the memory is made.
    fn today(&self) -> Date {
        self.now().to_zoned(self.0.settings.flush.policy.time_zone.clone()).date()
    }
}

/// Reads of an unknown user find nothing.
fn known<T>(read: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match read {
        Err(EngineError::UnknownUser(_)) => Ok(None),
        read => read.map(Some),
    }
}
