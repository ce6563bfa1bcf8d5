//! Recall: what is known of a user as immutable snapshots, and how parts of it are chosen.

mod fusion;
mod gists;
mod meaning;
mod relevance;
mod search;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;

use serde_json::Value;

use crate::event::Source;
use crate::ids::SlotId;
use crate::ports::TokenCounter;
use crate::profile::{Profile, Slot, SlotName};
use crate::text::one_line;

pub use gists::{CHAT_QUERY_MESSAGES, KnownGists, chat_query, embeddable, gist_line};
pub(crate) use gists::{Lending, Ranking, date_line};
pub use relevance::{near, relevant, slot_meaning};
pub use search::{Found, FoundEvents, Hit, Period, Scores, Search, Tally, TimeRange};

/// A profile with its lines and their token counts. Never changes: share it as an `Arc`.
#[derive(Debug)]
pub struct KnownProfile {
    /// The profile.
    pub profile: Profile,
    /// The [`slot_line`] of each slot.
    pub(crate) lines: Vec<Box<str>>,
    /// Tokens of each line, its line break included.
    pub(crate) line_tokens: Vec<u32>,
    /// The topic of each slot in normal form.
    topics: Vec<Box<str>>,
    rendered: OnceLock<Vec<Box<str>>>,
}

impl KnownProfile {
    /// Writes and counts the lines of a profile.
    pub fn new(profile: Profile, counter: &dyn TokenCounter) -> Self {
        let lines: Vec<String> = profile.slots.iter().map(|slot| slot_line(slot) + "\n").collect();
        let line_tokens = lines.iter().map(|line| counter.count(line)).collect();
        let lines = lines.into_iter().map(|line| line.trim_end_matches('\n').into()).collect();
        let topics = profile.slots.iter().map(|slot| normal(&slot.topic).into()).collect();
        Self { profile, lines, line_tokens, topics, rendered: OnceLock::new() }
    }

    /// What `render` makes of each slot, in order: made by the first call, with the first `render`, and kept. For the
    /// form in which a server hands slots to its clients.
    pub fn rendered(&self, render: impl Fn(&Slot) -> String) -> &[Box<str>] {
        self.rendered.get_or_init(|| self.profile.slots.iter().map(|slot| render(slot).into()).collect())
    }

    /// About how many bytes it takes in memory, with what is rendered, for the limit of a cache.
    pub fn bytes(&self) -> usize {
        let rendered_more = 256;
        let more =
            |s: &Slot| s.attributes.iter().map(|(key, value)| 128 + key.len() + value_bytes(value)).sum::<usize>();
        let sources = |s: &Slot| s.sources.iter().map(Source::bytes).sum::<usize>();
        let text = |s: &Slot| 3 * (s.topic.len() + s.sub_topic.len() + s.content.len()) + 2 * more(s) + sources(s);
        let each = size_of::<Slot>() + size_of::<u32>() + 3 * size_of::<Box<str>>() + rendered_more;
        size_of::<Self>() + self.profile.slots.iter().map(|s| each + text(s)).sum::<usize>()
    }
}

/// About how many bytes a value takes.
fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(|value| 32 + value_bytes(value)).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| 128 + key.len() + value_bytes(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

/// A slot as a line of a prompt, without line break.
pub fn slot_line(slot: &Slot) -> String {
    one_line(&format!("- {}::{}: {}", slot.topic, slot.sub_topic, slot.content))
}

/// The filters of the profile and context routes, validated.
///
/// They apply in this order: `only_slots`, `only_topics`, `prefer_topics`, the limits by topic, `topk`, `max_tokens`.
/// Topics are compared in normal form ([`SlotName`]) on both sides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileFilter {
    /// Only these slots, chosen by what a chat says; none = all.
    pub only_slots: Option<HashSet<SlotId>>,
    /// Slots at most; none or 0 = all.
    pub topk: Option<u32>,
    /// Tokens of all lines together at most. The first slot is always returned.
    pub max_tokens: Option<u32>,
    /// Topics that move to the front, in this order.
    pub prefer_topics: Vec<String>,
    /// Only these topics, when there are any.
    pub only_topics: Vec<String>,
    /// Slots of one topic at most; none or 0 = all.
    pub max_subtopic_size: Option<u32>,
    /// The same for single topics; goes before `max_subtopic_size`. 0 hides the topic.
    pub topic_limits: BTreeMap<String, u32>,
}

impl ProfileFilter {
    /// The places of the slots to show, in order.
    pub fn select(&self, known: &KnownProfile) -> Vec<usize> {
        let mut chosen = self.by_topic(known);
        if let Some(topk) = self.topk.filter(|&k| k > 0) {
            chosen.truncate(topk as usize);
        }
        if let Some(max_tokens) = self.max_tokens {
            let fitting = fitting(chosen.iter().map(|&i| known.line_tokens[i]), max_tokens);
            chosen.truncate(fitting.lines.max(1));
        }
        chosen
    }

    /// Which slots the topic filters keep away, each counted once: where it was left out first.
    pub fn tally(&self, known: &KnownProfile) -> SlotTally {
        let all = known.profile.slots.len();
        let chosen = Self { only_slots: self.only_slots.clone(), ..Self::default() }.by_topic(known).len();
        let no_limits = Self { max_subtopic_size: None, topic_limits: BTreeMap::new(), ..self.clone() };
        let of_topics = no_limits.by_topic(known).len();
        SlotTally {
            not_chosen: all - chosen,
            other_topics: chosen - of_topics,
            beyond_topic: of_topics - self.by_topic(known).len(),
        }
    }

    /// The places of the slots that the topic filters let through, in order, whatever their number and tokens.
    pub(crate) fn by_topic(&self, known: &KnownProfile) -> Vec<usize> {
        let only: Vec<String> = self.only_topics.iter().map(|t| normal(t)).collect();
        let prefer: Vec<String> = self.prefer_topics.iter().map(|t| normal(t)).collect();
        let limits: HashMap<String, u32> = self.topic_limits.iter().map(|(t, &limit)| (normal(t), limit)).collect();
        let every = self.max_subtopic_size.filter(|&size| size > 0);

        let topic = |place: usize| &*known.topics[place];
        let is_chosen = |place: &usize| {
            self.only_slots.as_ref().is_none_or(|slots| slots.contains(&known.profile.slots[*place].id))
                && (only.is_empty() || only.iter().any(|only| only == topic(*place)))
        };
        let mut chosen: Vec<usize> = (0..known.topics.len()).filter(is_chosen).collect();
        if !prefer.is_empty() {
            // A stable sort: topics that nobody prefers stay in order behind the others.
            chosen.sort_by_key(|&place| prefer.iter().position(|p| p == topic(place)).unwrap_or(prefer.len()));
        }
        if every.is_some() || !limits.is_empty() {
            let mut shown: HashMap<&str, u32> = HashMap::new();
            chosen.retain(|&place| {
                let shown = shown.entry(topic(place)).or_default();
                *shown += 1;
                *shown <= limits.get(topic(place)).copied().or(every).unwrap_or(u32::MAX)
            });
        }
        chosen
    }
}

/// How many slots which filter kept away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotTally {
    /// Those that do not bear on the chat.
    pub not_chosen: usize,
    /// Those of topics that were not asked for.
    pub other_topics: usize,
    /// Those beyond the limit of their topic.
    pub beyond_topic: usize,
}

fn normal(topic: &str) -> String {
    SlotName::new(topic, "").topic
}

/// The lines from the first on that fit a budget together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fitting {
    /// How many.
    pub(crate) lines: usize,
    /// Their tokens.
    pub(crate) tokens: u32,
}

/// Stops at the first line that does not fit, even if a later one would: so a larger budget never shows less.
pub(crate) fn fitting(line_tokens: impl IntoIterator<Item = u32>, max_tokens: u32) -> Fitting {
    let mut fitting = Fitting { lines: 0, tokens: 0 };
    for tokens in line_tokens {
        match fitting.tokens.checked_add(tokens) {
            Some(sum) if sum <= max_tokens => fitting = Fitting { lines: fitting.lines + 1, tokens: sum },
            _ => break,
        }
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Incarnation, SlotId};
    use crate::testing::WordCounter;
    use jiff::Timestamp;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn known(slots: &[(&str, &str, &str)]) -> KnownProfile {
        let slot = |(n, (topic, sub_topic, content)): (u128, &(&str, &str, &str))| Slot {
            id: SlotId(Uuid::from_u128(n)),
            topic: (*topic).into(),
            sub_topic: (*sub_topic).into(),
            content: (*content).into(),
            attributes: serde_json::Map::new(),
            sources: Vec::new(),
            revision: 1,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        let slots = (0..).zip(slots).map(slot).collect();
        KnownProfile::new(Profile { incarnation: Incarnation(Uuid::nil()), revision: 1, slots }, &WordCounter)
    }

    fn contents(filter: &ProfileFilter, known: &KnownProfile) -> Vec<String> {
        filter.select(known).into_iter().map(|place| known.profile.slots[place].content.clone()).collect()
    }

    fn sample() -> KnownProfile {
        known(&[
            ("x", "y", "new"),
            ("t", "s", "t3"),
            ("T", "s", "t2"),
            ("Life Style", "food", "sushi and rice"),
            ("work", "title", "nurse"),
        ])
    }

    #[test]
    fn no_filter_shows_all_in_order() {
        let all = ["new", "t3", "t2", "sushi and rice", "nurse"];
        assert_eq!(contents(&ProfileFilter::default(), &sample()), all);
        let zero = ProfileFilter { topk: Some(0), max_subtopic_size: Some(0), ..Default::default() };
        assert_eq!(contents(&zero, &sample()), all);
    }

    #[test]
    fn topics_are_preferred_and_picked_in_normal_form() {
        let prefer = ProfileFilter { prefer_topics: vec!["life-style".into(), "t".into()], ..Default::default() };
        assert_eq!(contents(&prefer, &sample()), ["sushi and rice", "t3", "t2", "new", "nurse"]);
        let only = ProfileFilter { only_topics: vec!["LIFE_STYLE".into(), "none".into()], ..Default::default() };
        assert_eq!(contents(&only, &sample()), ["sushi and rice"]);
        let part = ProfileFilter { only_topics: vec!["life".into()], ..Default::default() };
        assert!(contents(&part, &sample()).is_empty(), "a topic is compared whole");
    }

    #[test]
    fn chosen_slots_keep_their_order_and_pass_the_other_filters() {
        let chosen = |numbers: &[u128]| Some(numbers.iter().map(|&n| SlotId(Uuid::from_u128(n))).collect());
        let mut filter = ProfileFilter { only_slots: chosen(&[4, 2, 1, 99]), ..Default::default() };
        assert_eq!(contents(&filter, &sample()), ["t3", "t2", "nurse"]);
        filter = ProfileFilter { max_subtopic_size: Some(1), prefer_topics: vec!["work".into()], ..filter };
        assert_eq!(contents(&filter, &sample()), ["nurse", "t3"]);
        assert_eq!(contents(&ProfileFilter { topk: Some(1), ..filter.clone() }, &sample()), ["nurse"]);
        assert!(contents(&ProfileFilter { only_slots: chosen(&[]), ..filter }, &sample()).is_empty());
    }

    #[test]
    fn a_limit_of_one_topic_goes_before_the_general_one() {
        let mut filter = ProfileFilter { max_subtopic_size: Some(1), ..Default::default() };
        assert_eq!(contents(&filter, &sample()), ["new", "t3", "sushi and rice", "nurse"]);
        filter.topic_limits = [("T".to_owned(), 2), ("work".to_owned(), 0)].into();
        assert_eq!(contents(&filter, &sample()), ["new", "t3", "t2", "sushi and rice"]);
    }

    #[test]
    fn tokens_stop_at_the_first_line_that_does_not_fit_but_never_before_the_first() {
        let select = |max| contents(&ProfileFilter { max_tokens: Some(max), ..Default::default() }, &sample());
        assert_eq!(select(0), ["new"]);
        assert_eq!(select(3), ["new"]);
        assert_eq!(select(6), ["new", "t3"]);
        assert_eq!(select(14), ["new", "t3", "t2"], "the line that does not fit is not skipped");
        assert_eq!(select(u32::MAX).len(), 5);
    }

    #[test]
    fn a_line_is_one_line() {
        let known = known(&[("a", "b", "one\ntwo\n---\n# Three")]);
        assert_eq!(slot_line(&known.profile.slots[0]), "- a::b: one two --- # Three");
    }

    /// The filter, said another way: one topic after the other.
    fn naive(filter: &ProfileFilter, known: &KnownProfile) -> Vec<String> {
        let mut left: Vec<&Slot> = known.profile.slots.iter().collect();
        left.retain(|s| filter.only_topics.is_empty() || filter.only_topics.contains(&s.topic));
        let mut ordered: Vec<&Slot> = Vec::new();
        for topic in &filter.prefer_topics {
            ordered.extend(left.extract_if(.., |s| s.topic == *topic));
        }
        ordered.extend(left);
        let mut shown: Vec<&Slot> = Vec::new();
        for slot in ordered {
            let general = filter.max_subtopic_size.unwrap_or(0);
            let limit = match filter.topic_limits.get(&slot.topic) {
                Some(&limit) => limit as usize,
                None if general == 0 => usize::MAX,
                None => general as usize,
            };
            if shown.iter().filter(|s| s.topic == slot.topic).count() < limit {
                shown.push(slot);
            }
        }
        let topk = filter.topk.unwrap_or(0) as usize;
        shown.into_iter().take(if topk == 0 { usize::MAX } else { topk }).map(|s| s.content.clone()).collect()
    }

    fn filters() -> impl Strategy<Value = ProfileFilter> {
        let topics = || prop::collection::vec("[a-d]", 0..3);
        let limit = || prop::option::of(0..4_u32);
        (limit(), topics(), topics(), limit(), prop::collection::btree_map("[a-d]", 0..3_u32, 0..3)).prop_map(
            |(topk, prefer_topics, only_topics, max_subtopic_size, topic_limits)| ProfileFilter {
                only_slots: None,
                topk,
                max_tokens: None,
                prefer_topics,
                only_topics,
                max_subtopic_size,
                topic_limits,
            },
        )
    }

    proptest! {
        #[test]
        fn filters_choose_what_the_model_chooses(
            topics in prop::collection::vec("[a-d]", 0..12), filter in filters(), budget in 0..60_u32,
        ) {
            let names: Vec<String> = (0..topics.len()).map(|i| format!("memo {i}")).collect();
            let slots: Vec<_> = topics.iter().zip(&names).map(|(t, n)| (t.as_str(), "s", n.as_str())).collect();
            let known = known(&slots);
            let all = contents(&filter, &known);
            prop_assert_eq!(&all, &naive(&filter, &known));
            let fitting = contents(&ProfileFilter { max_tokens: Some(budget), ..filter }, &known);
            // Every line counts four words: "-", the name, "memo", the number.
            prop_assert_eq!(&fitting, &all[..all.len().min((budget as usize / 4).max(1))]);
        }
    }
}
