use std::collections::{HashMap, HashSet};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use memory::event::{Event, Source};
use memory::ids::{EventId, UserKey};

use super::Engine;
use crate::error::EngineError;
use crate::offload::offload;

/// Events that are read at a time.
const READ_AHEAD: usize = 8;

impl Engine {
    /// The messages that events come from: those of the gists of each, in order, each once.
    ///
    /// They are taken from the gists that are searched. The store is asked, event by event, only for what is not among
    /// them: events beyond the newest `search_max_gists` gists, and those that this process has not heard of yet.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn event_sources(&self, key: &UserKey, events: &[Event]) -> Result<Vec<Vec<Source>>, EngineError> {
        let told = events.iter().filter(|event| has_gists(event)).map(|event| event.id);
        let told: HashSet<EventId> = told.collect();
        let known = if told.is_empty() { None } else { self.gists(key).await? };
        let mut found = match known {
            Some(known) => offload(known.len(), move || known.sources_of(&told)).await?,
            None => HashMap::new(),
        };
        let sources =
            events.iter().map(|event| (event, found.remove(&event.id))).map(async |(event, found)| match found {
                Some(found) => Ok(found),
                None if has_gists(event) => self.stored_sources(key, event.id).await,
                None => Ok(Vec::new()),
            });
        stream::iter(sources).buffered(READ_AHEAD).try_collect().await
    }

    async fn stored_sources(&self, key: &UserKey, id: EventId) -> Result<Vec<Source>, EngineError> {
        // An event that was deleted since it was listed is not there any more.
        let stored = self.ports().store.event(key, id).await?;
        Ok(stored.map_or(Vec::new(), |(_, gists, _)| Source::of(&gists)))
    }
}

/// Each gist is a line of the tip that says something.
fn has_gists(event: &Event) -> bool {
    let says = |line: &str| line.trim().strip_prefix("- ").is_some_and(|text| !text.trim().is_empty());
    event.data.event_tip.as_deref().is_some_and(|tip| tip.lines().any(says))
}
