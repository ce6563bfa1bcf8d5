use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::event::{Event, EventData, Gist, ProfileDelta, Source};
use crate::extraction::{Action, Extraction, Policy};
use crate::ids::{EventId, FlushId, GistId, IdSource, SlotId};
use crate::ports::FlushResult;
use crate::profile::{MAX_SLOT_SOURCES, Profile, Slot, SlotName, SlotWrite};

/// The ids that a plan gives out: drawn once per flush, so that planning again changes none of them.
#[derive(Clone, Debug)]
pub struct PlanIds {
    /// The id of the event, should there be one.
    pub event: EventId,
    /// One per gist.
    pub gists: Vec<GistId>,
    /// One per profile action.
    pub slots: Vec<SlotId>,
}

impl PlanIds {
    /// Draws the ids for an extraction.
    pub fn draw(extraction: &Extraction, ids: &dyn IdSource) -> Self {
        Self {
            event: EventId(ids.random()),
            gists: extraction.gists.iter().map(|_| GistId(ids.random())).collect(),
            slots: extraction.actions.iter().map(|_| SlotId(ids.random())).collect(),
        }
    }
}

/// What a flush will write.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plan {
    /// Profile changes.
    pub slots: Vec<SlotWrite>,
    /// The event with its gists; none when the extraction is empty.
    pub event: Option<(Event, Vec<Gist>)>,
    /// What the client is told.
    pub result: FlushResult,
    /// Actions that a client's own change overruled, and new sub-topics beyond the limit of their topic.
    pub overruled: u32,
}

/// Turns an extraction into changes of the profile `current`.
///
/// `base` is the profile that the model was shown. Where the slots of a name differ between the two, a client has
/// changed them meanwhile: its value stays, and the flush's goes to the history (invariant I4). Of several slots
/// of one name the newest is written and the others go.
///
/// With `known_until` the extraction is of old messages, the last of that instant: a slot that was changed later stays
/// as it is, too.
#[expect(clippy::too_many_arguments, reason = "each is a thing of its own")]
pub fn plan(
    extraction: &Extraction,
    ids: &PlanIds,
    flush_id: FlushId,
    base: &Profile,
    current: &Profile,
    known_until: Option<Timestamp>,
    policy: &Policy,
    now: Timestamp,
) -> Plan {
    let (base, current) = (by_name(base), by_name(current));
    let mut counts = sub_topics(&current);
    let mut plan = Plan::default();
    let mut delta = Vec::new();
    for (action, new_id) in extraction.actions.iter().zip(&ids.slots) {
        let none = Vec::new();
        let present = current.get(action.name()).unwrap_or(&none);
        let is_newer = |slot: &&Slot| known_until.is_some_and(|until| slot.updated_at > until);
        let is_changed = versions(base.get(action.name()).unwrap_or(&none)) != versions(present);
        if is_changed || present.iter().any(is_newer) {
            plan.overrule(action, present, *new_id, now);
            continue;
        }
        match action {
            Action::Set(name, memo, sources) => {
                let limit = usize::try_from(policy.max_sub_topics).unwrap_or(usize::MAX);
                let of_topic = counts.entry(name.topic.clone()).or_default();
                if present.is_empty() && of_topic.len() >= limit {
                    plan.overrule(action, present, *new_id, now);
                    continue;
                }
                of_topic.insert(name.sub_topic.clone());
                let slot = Slot { sources: sources.clone(), ..new_slot(name, memo, *new_id, now) };
                if plan.set(slot, present) {
                    delta.push(delta_of(name, memo));
                }
            }
            Action::Remove(_) => plan.delete(present),
        }
    }
    plan.event = event(extraction, ids, flush_id, delta, now);
    plan.result.event_id = plan.event.as_ref().map(|(e, _)| e.id);
    plan
}

type ByName<'a> = BTreeMap<SlotName, Vec<&'a Slot>>;

/// The slots of each name, newest first: the order of the profile.
fn by_name(profile: &Profile) -> ByName<'_> {
    let mut map = ByName::new();
    for slot in &profile.slots {
        map.entry(slot.name()).or_default().push(slot);
    }
    map
}

fn versions(slots: &[&Slot]) -> BTreeSet<(SlotId, i64)> {
    slots.iter().map(|s| (s.id, s.revision)).collect()
}

fn sub_topics(slots: &ByName<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let mut map = BTreeMap::<String, BTreeSet<String>>::new();
    for name in slots.keys() {
        map.entry(name.topic.clone()).or_default().insert(name.sub_topic.clone());
    }
    map
}

impl Plan {
    /// Writes a slot as a new one, or its memo over the slots of its name. False when these hold the memo already, alone.
    ///
    /// A memo replaces what the model was shown, and so comes from all that this came from, too.
    fn set(&mut self, new: Slot, present: &[&Slot]) -> bool {
        let Some((newest, others)) = present.split_first() else {
            self.result.add_profiles.push(new.id);
            self.slots.push(SlotWrite::Insert(with_few_sources(new)));
            return true;
        };
        self.delete(others);
        if newest.content == new.content {
            return !others.is_empty();
        }
        let mut sources = new.sources;
        Source::add(&mut sources, present.iter().flat_map(|slot| &slot.sources).cloned());
        self.result.update_profiles.push(newest.id);
        self.slots.push(SlotWrite::Update(with_few_sources(Slot {
            content: new.content,
            sources,
            revision: newest.revision + 1,
            updated_at: new.updated_at,
            ..(*newest).clone()
        })));
        true
    }

    fn delete(&mut self, slots: &[&Slot]) {
        for slot in slots {
            self.result.delete_profiles.push(slot.id);
            self.slots.push(SlotWrite::Delete((*slot).clone()));
        }
    }

    /// Keeps in the history what the flush would have written, with the messages of the flush alone: what it was shown of
    /// the slot is not what the slot is now.
    fn overrule(&mut self, action: &Action, present: &[&Slot], new_id: SlotId, now: Timestamp) {
        self.overruled += 1;
        let Action::Set(name, memo, sources) = action else { return };
        let mut slot = present.first().map_or_else(|| new_slot(name, memo, new_id, now), |s| (*s).clone());
        slot.content.clone_from(memo);
        slot.sources.clone_from(sources);
        slot.updated_at = now;
        self.slots.push(SlotWrite::Overruled(with_few_sources(slot)));
    }
}

fn new_slot(name: &SlotName, memo: &str, id: SlotId, now: Timestamp) -> Slot {
    Slot { content: memo.to_owned(), ..Slot::new(name, id, now) }
}

/// The newest come first.
fn with_few_sources(mut slot: Slot) -> Slot {
    slot.sources.truncate(MAX_SLOT_SOURCES);
    slot
}

fn delta_of(name: &SlotName, memo: &str) -> ProfileDelta {
    let entry = |key: &str, value: &str| (key.to_owned(), Value::from(value));
    let attributes = [entry("topic", &name.topic), entry("sub_topic", &name.sub_topic)];
    ProfileDelta { content: memo.to_owned(), attributes: Some(attributes.into_iter().collect()) }
}

fn event(
    extraction: &Extraction,
    ids: &PlanIds,
    flush_id: FlushId,
    delta: Vec<ProfileDelta>,
    now: Timestamp,
) -> Option<(Event, Vec<Gist>)> {
    if extraction.gists.is_empty() && extraction.summary.is_empty() && delta.is_empty() {
        return None;
    }
    let gists: Vec<Gist> = extraction
        .gists
        .iter()
        .zip(&ids.gists)
        .zip(0..)
        .map(|((gist, id), position)| Gist {
            id: *id,
            event_id: ids.event,
            position,
            text: gist.text.clone(),
            occurred_at: gist.occurred_at.clone(),
            said_at: gist.said_at.clone(),
            sources: gist.sources.clone(),
            created_at: now,
            updated_at: now,
        })
        .collect();
    let summary = Some(extraction.summary.clone()).filter(|s| !s.is_empty());
    let tip: Vec<String> = summary.into_iter().chain(gists.iter().map(Gist::line)).collect();
    let data = EventData {
        profile_delta: Some(delta),
        event_tip: Some(tip.join("\n")),
        event_tags: Some(extraction.tags.clone()).filter(|t| !t.is_empty()),
    };
    let event = Event { id: ids.event, flush_id: Some(flush_id), data, created_at: now, updated_at: now };
    Some((event, gists))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extraction::NewGist;
    use crate::ids::{BlobId, Incarnation, SystemIds};
    use uuid::Uuid;

    fn policy(max_sub_topics: u32) -> Policy {
        Policy { max_sub_topics, ..crate::testing::policy() }
    }

    fn slot(n: u128, sub_topic: &str, content: &str, revision: i64) -> Slot {
        let id = SlotId(Uuid::from_u128(n));
        Slot { revision, ..new_slot(&SlotName::new("work", sub_topic), content, id, Timestamp::UNIX_EPOCH) }
    }

    fn profile(slots: &[Slot]) -> Profile {
        Profile { incarnation: Incarnation(Uuid::nil()), revision: 1, slots: slots.to_vec() }
    }

    fn run(actions: Vec<Action>, base: &[Slot], current: &[Slot], max_sub_topics: u32) -> Plan {
        let extraction = Extraction { actions, ..Extraction::default() };
        let ids = PlanIds::draw(&extraction, &SystemIds);
        let (base, current) = (profile(base), profile(current));
        plan_until(None, &extraction, &ids, &base, &current, max_sub_topics)
    }

    fn plan_until(
        known_until: Option<Timestamp>,
        extraction: &Extraction,
        ids: &PlanIds,
        base: &Profile,
        current: &Profile,
        max_sub_topics: u32,
    ) -> Plan {
        let (flush_id, now) = (FlushId(Uuid::nil()), Timestamp::UNIX_EPOCH);
        plan(extraction, ids, flush_id, base, current, known_until, &policy(max_sub_topics), now)
    }

    #[test]
    fn old_messages_do_not_replace_newer_slots() {
        let second = |n| Timestamp::from_second(n).unwrap();
        let slots = [Slot { updated_at: second(5), ..slot(1, "title", "vet", 1) }];
        let actions = vec![set("title", "nurse"), set("boss", "Ann")];
        let extraction = Extraction { actions, ..Extraction::default() };
        let (ids, known) = (PlanIds::draw(&extraction, &SystemIds), profile(&slots));
        let actions_until = |until| {
            let plan = plan_until(Some(until), &extraction, &ids, &known, &known, 9);
            (plan.slots.iter().map(SlotWrite::action).collect::<Vec<_>>(), plan.overruled)
        };
        assert_eq!(actions_until(second(4)), (vec!["overruled", "insert"], 1));
        assert_eq!(actions_until(second(5)), (vec!["update", "insert"], 0));
    }

    fn set(sub_topic: &str, memo: &str) -> Action {
        set_from(sub_topic, memo, vec![])
    }

    fn set_from(sub_topic: &str, memo: &str, sources: Vec<Source>) -> Action {
        Action::Set(SlotName::new("work", sub_topic), memo.into(), sources)
    }

    #[test]
    fn the_newest_of_a_name_is_written_and_the_others_go() {
        let slots = [slot(1, "title", "new", 2), slot(2, "title", "old", 1)];
        let plan = run(vec![set("title", "newer")], &slots, &slots, 9);
        let actions: Vec<&str> = plan.slots.iter().map(SlotWrite::action).collect();
        assert_eq!(actions, ["delete", "update"]);
        assert_eq!((plan.slots[1].slot().id, plan.slots[1].slot().revision), (slots[0].id, 3));
        assert_eq!(plan.result.delete_profiles, [slots[1].id]);
    }

    fn sources(messages: impl IntoIterator<Item = u32>) -> Vec<Source> {
        let source =
            |message| Source { blob_id: BlobId(Uuid::nil()), message, speaker: None, quote: None, heard: None };
        messages.into_iter().map(source).collect()
    }

    fn told(slot: Slot, messages: impl IntoIterator<Item = u32>) -> Slot {
        Slot { sources: sources(messages), ..slot }
    }

    #[test]
    fn a_memo_comes_from_its_own_messages_and_those_of_what_it_replaces() {
        let slots = [told(slot(1, "title", "nurse", 1), [5, 4]), told(slot(2, "title", "vet", 1), [3, 4])];
        let written = |action: Action| run(vec![action], &slots, &slots, 9).slots.pop().unwrap().slot().clone();
        assert_eq!(written(set_from("title", "doctor", sources([9, 5]))).sources, sources([9, 5, 4, 3]));
        assert_eq!(written(set("title", "doctor")).sources, sources([5, 4, 3]));
        assert_eq!(written(set_from("boss", "Ann", sources([9, 8]))).sources, sources([9, 8]));
        // The newest stay.
        let many = set_from("title", "doctor", sources((10..18).rev()));
        assert_eq!(written(many).sources, sources((10..18).rev().chain([5, 4])));
        let many = || sources((10..99).rev());
        let most = sources((89..99).rev());
        assert_eq!(written(set_from("boss", "Ann", many())).sources, most);
        // What a client wrote comes from nothing that is known.
        let own = [slot(1, "title", "mine", 2)];
        let plan = run(vec![set_from("title", "vet", sources([9]))], &own, &own, 9);
        assert_eq!(plan.slots[0].slot().sources, sources([9]));
        // Nor does what a client overruled come from what the client wrote over.
        let plan = run(vec![set_from("title", "vet", many())], &slots, &[told(slot(1, "title", "mine", 2), [1])], 9);
        assert_eq!((plan.slots[0].action(), &plan.slots[0].slot().sources), ("overruled", &most));
    }

    #[test]
    fn a_client_overrules_a_flush() {
        let read = slot(1, "title", "nurse", 1);
        for now in [vec![slot(1, "title", "doctor", 2)], vec![], vec![slot(7, "title", "x", 1), read.clone()]] {
            let plan = run(vec![set("title", "vet")], std::slice::from_ref(&read), &now, 9);
            assert_eq!(plan.slots.iter().map(SlotWrite::action).collect::<Vec<_>>(), ["overruled"]);
            assert_eq!((plan.overruled, plan.result.clone()), (1, FlushResult::default()));
            assert_eq!(plan.slots[0].slot().content, "vet");
        }
    }

    #[test]
    fn unchanged_memos_write_nothing_and_topics_have_a_limit() {
        let slots = [told(slot(1, "title", "nurse", 1), [1])];
        let plan = run(vec![set_from("title", "nurse", sources([2])), set("boss", "Ann")], &slots, &slots, 1);
        assert_eq!(plan.slots.iter().map(SlotWrite::action).collect::<Vec<_>>(), ["overruled"]);
        assert_eq!((plan.overruled, plan.event), (1, None));
    }

    #[test]
    fn the_tip_is_the_summary_and_then_the_gists() {
        let gist = |text: &str| NewGist { text: text.into(), occurred_at: None, said_at: None, sources: vec![] };
        let extraction = Extraction { gists: vec![gist("a"), gist("b")], summary: "S".into(), ..Extraction::default() };
        let ids = PlanIds::draw(&extraction, &SystemIds);
        let empty = profile(&[]);
        let now = Timestamp::UNIX_EPOCH;
        let plan = plan(&extraction, &ids, FlushId(Uuid::nil()), &empty, &empty, None, &policy(9), now);
        let (event, gists) = plan.event.unwrap();
        assert_eq!(event.data.event_tip.as_deref(), Some("S\n- a\n- b"));
        assert_eq!((gists[1].position, gists[1].id), (1, ids.gists[1]));
    }
}
