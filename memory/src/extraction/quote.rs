use std::collections::{HashMap, HashSet};

use super::Line;
use crate::ports::TokenCounter;
use crate::profile::{Slot, SlotName};
use crate::recall::{relevant, slot_line};
use crate::schema::Schema;

/// The profile as a model is shown it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Quoted {
    /// Slots with their memos, newest update first.
    pub profile: Vec<Slot>,
    /// The names of the other slots, newest update first.
    pub named: Vec<SlotName>,
}

/// Chooses the slots (newest update first) whose memos a model is shown with these lines: those that share words with
/// the lines, best first, then the newest, as long as their lines fit `max_tokens` together. What does not fit is
/// passed over; `u32::MAX` shows all. Slots of one name are shown together or not at all, since a model that sets a
/// name writes over them all.
pub fn quote(slots: Vec<Slot>, lines: &[Line], schema: &Schema, max_tokens: u32, counter: &dyn TokenCounter) -> Quoted {
    if max_tokens == u32::MAX {
        return Quoted { profile: slots, named: Vec::new() };
    }
    let names: Vec<SlotName> = slots.iter().map(Slot::name).collect();
    let mut tokens = HashMap::<&SlotName, u32>::new();
    for (slot, name) in slots.iter().zip(&names) {
        let sum = tokens.entry(name).or_default();
        *sum = sum.saturating_add(counter.count(&(slot_line(slot) + "\n")));
    }
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    let best = relevant(&slots, schema, &texts).into_iter().map(|(place, _)| place);
    let (mut chosen, mut used) = (HashSet::<&SlotName>::new(), 0_u32);
    for name in best.chain(0..slots.len()).filter_map(|place| names.get(place)) {
        let sum = used.saturating_add(tokens.get(name).copied().unwrap_or(u32::MAX));
        if sum <= max_tokens && chosen.insert(name) {
            used = sum;
        }
    }
    let mut quoted = Quoted::default();
    let mut named = HashSet::new();
    for (slot, name) in slots.iter().zip(&names) {
        if chosen.contains(name) {
            quoted.profile.push(slot.clone());
        } else if named.insert(name) {
            quoted.named.push(name.clone());
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Role;
    use crate::ids::{BlobId, SlotId};
    use crate::testing::WordCounter;
    use jiff::Timestamp;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn slot(sub_topic: &str, content: &str) -> Slot {
        let slot = Slot::new(&SlotName::new("", ""), SlotId(Uuid::nil()), Timestamp::UNIX_EPOCH);
        Slot { topic: "About".into(), sub_topic: sub_topic.into(), content: content.into(), ..slot }
    }

    fn line(text: &str) -> Line {
        let blob_id = BlobId(Uuid::nil());
        let (role, text) = (Role::User, text.to_owned());
        Line { number: 1, blob_id, message: 0, role, alias: None, said_on: None, text }
    }

    fn quoted(slots: &[Slot], texts: &[&str], max_tokens: u32) -> Quoted {
        let lines: Vec<Line> = texts.iter().map(|text| line(text)).collect();
        quote(slots.to_vec(), &lines, &Schema { topics: Vec::new() }, max_tokens, &WordCounter)
    }

    fn contents(quoted: &Quoted) -> Vec<&str> {
        quoted.profile.iter().map(|slot| slot.content.as_str()).collect()
    }

    fn named(quoted: &Quoted) -> Vec<&str> {
        quoted.named.iter().map(|name| name.sub_topic.as_str()).collect()
    }

    /// Each line takes two words and those of its memo.
    fn sample() -> Vec<Slot> {
        vec![
            slot("New", "tea"),
            slot("b", "golf"),
            slot("c", "a dog named Rex"),
            slot("d", "green tea"),
            slot("e", "x"),
        ]
    }

    #[test]
    fn what_the_chat_touches_goes_first_and_then_the_newest() {
        let chat = ["Rex is ill", "and I drank tea"];
        assert_eq!(contents(&quoted(&sample(), &chat, 13)), ["tea", "a dog named Rex", "green tea"]);
        assert_eq!(named(&quoted(&sample(), &chat, 13)), ["b", "e"]);
        assert_eq!(contents(&quoted(&sample(), &chat, 16)), ["tea", "golf", "a dog named Rex", "green tea"]);
        assert_eq!(contents(&quoted(&sample(), &["hello"], 6)), ["tea", "golf"]);
        // The dog does not fit; what comes after it does.
        assert_eq!(contents(&quoted(&sample(), &["the dog"], 4)), ["tea"]);
        assert_eq!(named(&quoted(&sample(), &chat, 0)), ["new", "b", "c", "d", "e"]);
        assert_eq!(contents(&quoted(&sample(), &[], u32::MAX)).len(), 5);
    }

    #[test]
    fn slots_of_one_name_stay_together() {
        let slots = [slot("pet", "a dog"), slot("b", "golf"), slot("Pet", "a cat")];
        assert_eq!(contents(&quoted(&slots, &["the cat"], 8)), ["a dog", "a cat"]);
        let less = quoted(&slots, &["the cat"], 7);
        assert_eq!((contents(&less), named(&less)), (vec!["golf"], vec!["pet"]));
    }

    proptest! {
        #[test]
        fn every_slot_is_quoted_or_named(
            given in prop::collection::vec(("[a-d]", "[a-e]{1,2}( [a-e]{1,2}){0,3}"), 0..9), text in "[a-e ]{0,9}",
            budget in 0..40_u32,
        ) {
            let slots: Vec<Slot> = given.iter().map(|(name, memo)| slot(name, memo)).collect();
            let quoted = quoted(&slots, &[&text], budget);
            let words = quoted.profile.iter().map(|s| WordCounter.count(&slot_line(s))).sum::<u32>();
            prop_assert!(words <= budget);
            let rest: Vec<Slot> = slots.iter().filter(|s| !quoted.named.contains(&s.name())).cloned().collect();
            prop_assert_eq!(&quoted.profile, &rest, "in their order");
            prop_assert!(quoted.named.iter().all(|name| slots.iter().any(|s| s.name() == *name)));
        }
    }
}
