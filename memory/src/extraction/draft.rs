use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::check::check_action;
use super::{Action, Policy};
use crate::ids::SlotId;
use crate::ports::TokenCounter;
use crate::profile::Slot;

/// A model's answer before it was checked: the JSON contract with every model.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Draft {
    /// Lines worth remembering.
    #[serde(default)]
    pub gists: Vec<DraftGist>,
    /// Changes of profile slots.
    #[serde(default)]
    pub profile: Vec<DraftAction>,
    /// Labels of the event.
    #[serde(default)]
    pub tags: Vec<DraftTag>,
    /// A summary, or nothing.
    #[serde(default)]
    pub summary: String,
    /// What was left out, by its place: `profile[3]`, `gists[0].messages`. Because it could not be read
    /// ([`Draft::read`]), was copied from the prompt ([`Draft::leave_out_copies`]), or would take away what the model was
    /// not shown ([`Draft::merge_unseen`]). Models do not write it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl Draft {
    /// Shows in `slots` (newest first) what this draft will change, for the model that reads on. Slots that are new
    /// have neither id nor dates yet. What [`super::check()`] refuses is not shown: it will not be there.
    pub fn preview(&self, slots: &mut Vec<Slot>, policy: &Policy, counter: &dyn TokenCounter) {
        for action in self.profile.iter().filter_map(|action| check_action(action, policy, counter).ok()) {
            let name = action.name();
            let earlier = slots.iter().position(|slot| slot.name() == *name).map(|at| slots.remove(at));
            slots.retain(|slot| slot.name() != *name);
            if let Action::Set(name, memo, _) = &action {
                let slot = earlier.unwrap_or_else(|| Slot::new(name, SlotId(Uuid::nil()), Timestamp::UNIX_EPOCH));
                slots.insert(0, Slot { content: memo.clone(), ..slot });
            }
        }
    }
}

/// A line worth remembering.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DraftGist {
    /// The text.
    pub text: String,
    /// When it happened: an ISO date or a part of one.
    #[serde(default)]
    pub occurred_at: Option<String>,
    /// The numbers of the lines it comes from.
    #[serde(default)]
    pub messages: Vec<u32>,
}

/// What to do with a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Give it this memo, whole.
    Set,
    /// Take it away.
    Remove,
}

/// A change of a profile slot.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DraftAction {
    /// What to do.
    pub action: Verb,
    /// The topic.
    pub topic: String,
    /// The sub-topic.
    pub sub_topic: String,
    /// The whole new memo; empty for a removal.
    #[serde(default)]
    pub memo: String,
    /// The numbers of the lines it comes from.
    #[serde(default)]
    pub messages: Vec<u32>,
}

/// A label.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DraftTag {
    /// Which label.
    pub tag: String,
    /// Its value.
    pub value: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{WordCounter, policy};

    #[test]
    fn a_preview_sets_and_removes() {
        let action = |action, sub_topic: &str, memo: &str| DraftAction {
            action,
            topic: "Interest".into(),
            sub_topic: sub_topic.into(),
            memo: memo.into(),
            messages: vec![],
        };
        let profile = vec![
            action(Verb::Set, "likes", "tea"),
            action(Verb::Set, "sports", "golf"),
            action(Verb::Set, "Likes", "tea; jazz"),
            action(Verb::Remove, "sports", ""),
            action(Verb::Set, "likes", ""),
        ];
        let mut slots = Vec::new();
        Draft { profile, ..Draft::default() }.preview(&mut slots, &policy(), &WordCounter);
        let shown: Vec<_> = slots.iter().map(|s| (s.sub_topic.as_str(), s.content.as_str())).collect();
        assert_eq!(shown, [("likes", "tea; jazz")]);
    }
}
