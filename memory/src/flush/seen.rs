use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::extraction::{Draft, Line};
use crate::ids::SlotId;
use crate::profile::{Profile, Slot, SlotName};
use crate::text;

/// The ids and revisions that the slots of a name had. Empty where there was none.
type Versions = Vec<(SlotId, i64)>;

/// Which lines an answer is of: the numbers of the first and the last, how many, and the bytes of their texts. A batch is
/// cut into parts by a limit and a tokeniser, which may both be others when the answer is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Part(u32, u32, usize, usize);

impl Part {
    pub(super) fn of(lines: &[Line]) -> Self {
        let number = |line: Option<&Line>| line.map_or(0, |line| line.number);
        let bytes = lines.iter().map(|line| line.text.len()).sum();
        Self(number(lines.first()), number(lines.last()), lines.len(), bytes)
    }
}

/// What is recorded of a model's answer: the draft, the lines that it is of, and the versions of the slots that it changes as the model was
/// shown them. A run that finds the answer later compares with these, not with what it reads itself: else it would
/// overwrite what a client has changed in between (invariant I4).
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Recorded {
    pub(super) draft: Draft,
    pub(super) part: Part,
    seen: Vec<(SlotName, Versions)>,
}

impl Recorded {
    /// A draft that was made of `part` and `shown`.
    pub(super) fn new(draft: Draft, part: Part, shown: Option<&Profile>) -> Self {
        let name = |topic: &str, sub_topic: &str| SlotName::new(&text::storable(topic), &text::storable(sub_topic));
        let mut seen = BTreeMap::<SlotName, Versions>::new();
        for action in &draft.profile {
            seen.entry(name(&action.topic, &action.sub_topic)).or_default();
        }
        for slot in shown.iter().flat_map(|profile| &profile.slots) {
            if let Some(versions) = seen.get_mut(&slot.name()) {
                versions.push((slot.id, slot.revision));
            }
        }
        Self { draft, part, seen: seen.into_iter().collect() }
    }

    /// Reads what [`Recorded::to_text`] wrote. None when another version wrote it and this one cannot read it.
    pub(super) fn from_text(recorded: &str) -> Option<Self> {
        serde_json::from_str(recorded).ok()
    }

    pub(super) fn to_text(&self) -> String {
        // A struct of strings, numbers and ids always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What the model was shown, over all parts of a batch. The first part that changes a name counts: later ones are
/// shown what it made of the slot, not what a client may have written since.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<SlotName, Versions>);

impl Seen {
    pub(super) fn add(&mut self, recorded: Recorded) -> Draft {
        for (name, versions) in recorded.seen {
            self.0.entry(name).or_insert(versions);
        }
        recorded.draft
    }

    /// A profile of these versions and nothing else, to compare with.
    pub(super) fn profile(&self, like: &Profile) -> Profile {
        let slot = |name: &SlotName, (id, revision): (SlotId, i64)| Slot {
            revision,
            ..Slot::new(name, id, Timestamp::UNIX_EPOCH)
        };
        let slots = self.0.iter().flat_map(|(name, all)| all.iter().map(move |version| slot(name, *version)));
        Profile { incarnation: like.incarnation, revision: like.revision, slots: slots.collect() }
    }
}
