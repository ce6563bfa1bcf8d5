use memory::event::EventData;
use memory::ids::{EventId, SlotId, UserKey};
use memory::ports::{NewSlot, SlotChange, Written};

use super::Engine;
use crate::error::EngineError;

/// How often a change of an event is tried again because the memory of the user moved on.
const MAX_TRIES: u32 = 50;

impl Engine {
    /// Adds a slot. It never merges with one of the same name.
    ///
    /// # Errors
    /// [`EngineError::UnknownUser`].
    pub async fn add_slot(&self, key: &UserKey, slot: &NewSlot) -> Result<(), EngineError> {
        let (store, now, owned, slot) = (self.ports().store.clone(), self.now(), key.clone(), slot.clone());
        let added = self.write(key, async move { Ok(store.add_slot(&owned, &slot, now).await?) }).await?;
        if added { Ok(()) } else { Err(EngineError::UnknownUser(key.user)) }
    }

    /// Changes a slot. False when there is none.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn update_slot(&self, key: &UserKey, id: SlotId, change: &SlotChange) -> Result<bool, EngineError> {
        let (store, now, owned, change) = (self.ports().store.clone(), self.now(), key.clone(), change.clone());
        self.write(key, async move { Ok(store.update_slot(&owned, id, &change, now).await?) }).await
    }

    /// Deletes a slot. False when there is none.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn delete_slot(&self, key: &UserKey, id: SlotId) -> Result<bool, EngineError> {
        let (store, now, owned) = (self.ports().store.clone(), self.now(), key.clone());
        self.write(key, async move { Ok(store.delete_slot(&owned, id, now).await?) }).await
    }

    /// Changes an event: the fields that are given replace the stored ones, and the gists follow a new `event_tip`.
    /// False when there is none.
    ///
    /// # Errors
    /// When the store is away, or the memory of the user changes faster than the event can be written.
    pub async fn update_event(&self, key: &UserKey, id: EventId, change: EventData) -> Result<bool, EngineError> {
        let (engine, owned) = (self.clone(), key.clone());
        self.write(key, async move { engine.replace_event(&owned, id, change).await }).await
    }

    async fn replace_event(&self, key: &UserKey, id: EventId, change: EventData) -> Result<bool, EngineError> {
        for _ in 0..MAX_TRIES {
            let Some((event, gists, revision)) = self.ports().store.event(key, id).await? else { return Ok(false) };
            let (event, gists) = event.changed(gists, change.clone(), &*self.ports().ids, self.now());
            match self.ports().store.replace_event(key, &event, &gists, revision).await? {
                Written::Done => return Ok(true),
                Written::Unknown => return Ok(false),
                Written::Stale => {}
            }
        }
        Err(EngineError::unavailable("this event changes too often; it"))
    }

    /// Deletes an event and its gists. False when there is none.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn delete_event(&self, key: &UserKey, id: EventId) -> Result<bool, EngineError> {
        let (store, owned) = (self.ports().store.clone(), key.clone());
        self.write(key, async move { Ok(store.delete_event(&owned, id).await?) }).await
    }
}
