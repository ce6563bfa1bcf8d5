//! The profile: slots addressed by topic and sub-topic, each holding one memo.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::Source;
use crate::ids::{FlushId, Incarnation, SlotId};

/// Sources of one slot at most. A memo that grew over years comes from more messages than anybody looks at.
pub const MAX_SLOT_SOURCES: usize = 10;

/// One slot of a profile.
///
/// Clients may add the same topic and sub-topic twice; an extraction then writes the newest and removes the others.
#[derive(Clone, PartialEq, Debug)]
pub struct Slot {
    /// Its id.
    pub id: SlotId,
    /// The topic, as it was given.
    pub topic: String,
    /// The sub-topic, as it was given.
    pub sub_topic: String,
    /// The memo.
    pub content: String,
    /// What else a client stored with it, without topic and sub-topic.
    pub attributes: Map<String, Value>,
    /// The messages that the memo comes from, newest first, [`MAX_SLOT_SOURCES`] at most: the history has what they were
    /// before. Empty where a client wrote the memo, or nothing is known.
    pub sources: Vec<Source>,
    /// Counts the changes of this slot, from 1. What an extraction read is compared with what it overwrites.
    pub revision: i64,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

impl Slot {
    /// An empty slot at revision 1.
    pub fn new(name: &SlotName, id: SlotId, now: Timestamp) -> Self {
        Self {
            id,
            topic: name.topic.clone(),
            sub_topic: name.sub_topic.clone(),
            content: String::new(),
            attributes: Map::new(),
            sources: Vec::new(),
            revision: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// The address by which extractions find this slot.
    pub fn name(&self) -> SlotName {
        SlotName::new(&self.topic, &self.sub_topic)
    }
}

/// Topic and sub-topic in normal form: lower case, white space and hyphens as underscores.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct SlotName {
    /// The topic.
    pub topic: String,
    /// The sub-topic.
    pub sub_topic: String,
}

impl SlotName {
    /// Normalises both parts.
    pub fn new(topic: &str, sub_topic: &str) -> Self {
        Self { topic: normal(topic), sub_topic: normal(sub_topic) }
    }
}

/// Lower case, with runs of white space, hyphens and underscores as one underscore.
fn normal(name: &str) -> String {
    let words = name.split(|c: char| c.is_whitespace() || c == '-' || c == '_').filter(|w| !w.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("_")
}

/// A user's profile at one instant.
#[derive(Clone, PartialEq, Debug)]
pub struct Profile {
    /// The life of the user that it belongs to.
    pub incarnation: Incarnation,
    /// Counts the changes of all that is remembered of this user. A flush commits only against the revision
    /// that its plan was made for.
    pub revision: i64,
    /// Newest update first; of equal age, newest id first.
    pub slots: Vec<Slot>,
}

/// Who changed a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Author {
    /// A client, through the API.
    Client,
    /// A flush.
    Flush(FlushId),
}

/// A change of one slot by a flush.
#[derive(Clone, PartialEq, Debug)]
pub enum SlotWrite {
    /// A slot that was not there.
    Insert(Slot),
    /// The new state of a slot: content, sources, revision and `updated_at` differ from
    /// the stored one.
    Update(Slot),
    /// A slot that goes.
    Delete(Slot),
    /// What a flush would have written to a slot that a client changed meanwhile: kept in the history only.
    Overruled(Slot),
}

impl SlotWrite {
    /// The slot as it is after the change; as it was, for a deletion.
    pub fn slot(&self) -> &Slot {
        match self {
            Self::Insert(slot) | Self::Update(slot) | Self::Delete(slot) | Self::Overruled(slot) => slot,
        }
    }

    /// Whether the slot itself changes, or its history only.
    pub fn changes_slot(&self) -> bool {
        !matches!(self, Self::Overruled(_))
    }

    /// The name of this change in a slot's history.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Insert(_) => "insert",
            Self::Update(_) => "update",
            Self::Delete(_) => "delete",
            Self::Overruled(_) => "overruled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised() {
        let name = SlotName::new(" Basic  Info", "First-Name");
        assert_eq!((name.topic.as_str(), name.sub_topic.as_str()), ("basic_info", "first_name"));
        assert_eq!(SlotName::new("工作", "公司").topic, "工作");
    }
}
