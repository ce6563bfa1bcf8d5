use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::event::{Event, Gist};
use crate::ids::Incarnation;
use crate::ports::StoredBlob;
use crate::profile::Slot;

/// What another service remembered of a user, or a part of it. Each id is in it once.
#[derive(Clone, PartialEq, Debug)]
pub struct Legacy {
    /// What the client stored with the user.
    pub data: Option<Map<String, Value>>,
    /// When the user was created there.
    pub created_at: Timestamp,
    /// When its data was last changed there.
    pub updated_at: Timestamp,
    /// Its slots.
    pub slots: Vec<Slot>,
    /// Its events, each with its gists in order of position.
    pub events: Vec<(Event, Vec<Gist>)>,
    /// Blobs that were processed there, and kept.
    pub blobs: Vec<StoredBlob>,
}

impl Legacy {
    /// The ids of all slots, events and blobs.
    pub fn ids(&self) -> Vec<Uuid> {
        let slots = self.slots.iter().map(|slot| slot.id.0);
        let events = self.events.iter().map(|(event, _)| event.id.0);
        slots.chain(events).chain(self.blobs.iter().map(|stored| stored.blob.id.0)).collect()
    }

    /// The part of it that consists of these rows.
    #[must_use]
    pub fn only(mut self, ids: &HashSet<Uuid>) -> Self {
        self.slots.retain(|slot| ids.contains(&slot.id.0));
        self.events.retain(|(event, _)| ids.contains(&event.id.0));
        self.blobs.retain(|stored| ids.contains(&stored.blob.id.0));
        self
    }

    /// Whether what is remembered of the user changes by it: the revision counts that.
    pub fn changes_memory(&self) -> bool {
        !self.slots.is_empty() || !self.events.is_empty()
    }
}

/// What became of a [`Legacy`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Adoption {
    /// All that was new of it is stored.
    Done {
        /// The present life of the user.
        incarnation: Incarnation,
        /// The user is new, too.
        is_new: bool,
        /// The slots, events and blobs that were new.
        ids: HashSet<Uuid>,
    },
    /// A user of this id was deleted here: nothing has changed.
    Deleted,
    /// The project is not there, or is being deleted: nothing has changed.
    NoProject,
}

/// What became of a project that another service had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProjectAdoption {
    /// It is here, and was not.
    New,
    /// It was here, and has stayed as it is.
    Here,
    /// It came before, and was deleted here since, or is being deleted.
    Deleted,
    /// The name is that of something else here: nothing has changed.
    Taken,
}
