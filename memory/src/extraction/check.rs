mod content;

use std::collections::HashMap;

use crate::dates::days_of;
use crate::event::{EventTag, Source};
use crate::extraction::{Draft, DraftAction, DraftGist, Line, Policy, Verb};
use crate::ports::TokenCounter;
use crate::profile::SlotName;
use crate::schema::MAX_NAME_CHARS;
use crate::text;
use content::says_something;

/// Gists of one flush at most. A model that returns more has lost its way.
const MAX_GISTS: usize = 2_000;
/// Slots that one flush changes at most. A whole profile has about a hundred, and each is compared with all others.
const MAX_ACTIONS: usize = 500;
/// Labels of one event at most: the lists of labels that projects ask for have ten or so.
const MAX_TAGS: usize = 100;

/// A line worth remembering, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct NewGist {
    /// One line of text.
    pub text: String,
    /// When it happened: an ISO date or a part of one.
    pub occurred_at: Option<String>,
    /// When it was said: the date of the first message it comes from, of the whole chat when it names none.
    pub said_at: Option<String>,
    /// The messages it comes from.
    pub sources: Vec<Source>,
}

/// A change of a profile slot, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Give the slot this memo, whole.
    Set(SlotName, String),
    /// Take the slot away.
    Remove(SlotName),
}

impl Action {
    /// The slot that is meant.
    pub fn name(&self) -> &SlotName {
        match self {
            Self::Set(name, _) | Self::Remove(name) => name,
        }
    }
}

/// An item of a draft that was not used, and why. Holds no content of messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Which item: `gists[3]`.
    pub item: String,
    /// Why.
    pub reason: &'static str,
}

/// What a flush makes of its batch.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Extraction {
    /// Lines worth remembering.
    pub gists: Vec<NewGist>,
    /// At most one change per slot.
    pub actions: Vec<Action>,
    /// Labels.
    pub tags: Vec<EventTag>,
    /// A summary; may be empty.
    pub summary: String,
    /// What was not used.
    pub refused: Vec<Refusal>,
}

/// Takes from the drafts of a batch's parts what is valid. The rest is refused item by item.
///
/// Numbers of messages that do not exist are refused alone: what a gist or an action says is kept.
pub fn check(drafts: &[Draft], lines: &[Line], policy: &Policy, counter: &dyn TokenCounter) -> Extraction {
    let numbered: HashMap<u32, &Line> = lines.iter().rev().map(|l| (l.number, l)).collect();
    let begun = lines.iter().find_map(|l| l.said_on);
    let mut out = Extraction::default();
    for draft in drafts {
        let left_out = |item: &String| Refusal {
            item: item.clone(),
            reason: "cannot be read, is copied from the prompt, or takes away what the model was not shown",
        };
        out.refused.extend(draft.left_out.iter().map(left_out));
        for (index, gist) in draft.gists.iter().enumerate() {
            out.refuse_messages("gists", index, &gist.messages, &numbered);
            let checked = if out.gists.len() < MAX_GISTS { check_gist(gist, &numbered) } else { Err("too many gists") };
            match checked {
                Ok(gist) => {
                    let said_at = gist.said_at.or_else(|| begun.map(|day| day.to_string()));
                    out.gists.push(NewGist { said_at, ..gist });
                }
                Err(reason) => out.refused.push(refusal("gists", index, reason)),
            }
        }
        for (index, action) in draft.profile.iter().enumerate() {
            out.refuse_messages("profile", index, &action.messages, &numbered);
            let added = check_action(action, policy, counter).and_then(|action| out.add_action(action));
            if let Err(reason) = added {
                out.refused.push(refusal("profile", index, reason));
            }
        }
        for (index, tag) in draft.tags.iter().enumerate() {
            let plain = |word: &str| text::one_line(&text::storable(word));
            let tag = EventTag { tag: plain(&tag.tag), value: plain(&tag.value) };
            match check_tag(&tag, policy) {
                Ok(()) if out.tags.contains(&tag) => {}
                Ok(()) if out.tags.len() >= MAX_TAGS => out.refused.push(refusal("tags", index, "too many tags")),
                Ok(()) => out.tags.push(tag),
                Err(reason) => out.refused.push(refusal("tags", index, reason)),
            }
        }
        let summary = text::one_line(&text::storable(&draft.summary));
        if !summary.is_empty() {
            let joint = if out.summary.is_empty() { "" } else { " " };
            out.summary = format!("{}{joint}{summary}", out.summary);
        }
    }
    out
}

impl Extraction {
    /// The last word on a slot counts; it stands where the slot was first named.
    fn add_action(&mut self, action: Action) -> Result<(), &'static str> {
        match self.actions.iter().position(|a| a.name() == action.name()) {
            Some(earlier) => self.actions[earlier] = action,
            None if self.actions.len() >= MAX_ACTIONS => return Err("too many profile actions"),
            None => self.actions.push(action),
        }
        Ok(())
    }

    fn refuse_messages(&mut self, list: &str, index: usize, messages: &[u32], lines: &HashMap<u32, &Line>) {
        if messages.iter().any(|number| !lines.contains_key(number)) {
            let item = format!("{list}[{index}].messages");
            self.refused.push(Refusal { item, reason: "names a message that does not exist" });
        }
    }
}

fn refusal(list: &str, index: usize, reason: &'static str) -> Refusal {
    Refusal { item: format!("{list}[{index}]"), reason }
}

fn check_gist(gist: &DraftGist, lines: &HashMap<u32, &Line>) -> Result<NewGist, &'static str> {
    let text = text::one_line(&text::storable(&gist.text));
    let text = text.strip_prefix("- ").map_or(text.clone(), str::to_owned);
    if text.is_empty() {
        return Err("empty text");
    }
    let from: Vec<&Line> = gist.messages.iter().filter_map(|n| lines.get(n).copied()).collect();
    let mut sources: Vec<Source> = Vec::with_capacity(from.len());
    for line in &from {
        let source = Source { blob_id: line.blob_id, message: line.message, speaker: line.alias.clone() };
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    Ok(NewGist {
        occurred_at: gist.occurred_at.as_deref().and_then(iso_date),
        said_at: from.iter().find_map(|l| l.said_on).map(|d| d.to_string()),
        text,
        sources,
    })
}

/// An ISO date, or a year or a month of a year; of what has a time behind the date, the date. Anything else is no date.
fn iso_date(text: &str) -> Option<String> {
    let text = text.trim();
    let date = text.get(..text.len().min(10))?;
    days_of(date).map(|_| date.to_owned())
}

/// What an action would change. An error says why it is refused.
pub(super) fn check_action(
    action: &DraftAction,
    policy: &Policy,
    counter: &dyn TokenCounter,
) -> Result<Action, &'static str> {
    let name = SlotName::new(&text::storable(&action.topic), &text::storable(&action.sub_topic));
    if name.topic.is_empty() || name.sub_topic.is_empty() {
        return Err("no topic or no sub-topic");
    }
    if name.topic.chars().count() > MAX_NAME_CHARS || name.sub_topic.chars().count() > MAX_NAME_CHARS {
        return Err("topic or sub-topic is too long");
    }
    if policy.strict && !policy.schema.names(&name) {
        return Err("not a slot of the profile schema (profile_strict_mode)");
    }
    if action.action == Verb::Remove {
        return Ok(Action::Remove(name));
    }
    let memo = text::one_line(&text::storable(&action.memo));
    if memo.is_empty() {
        return Err("empty memo");
    }
    if policy.validate && !says_something(&memo, &name) {
        return Err("the memo says nothing (profile_validate_mode)");
    }
    if !counter.fits(&memo, policy.max_memo_tokens) {
        return Err("the memo is too long (max_pre_profile_token_size)");
    }
    Ok(Action::Set(name, memo))
}

fn check_tag(tag: &EventTag, policy: &Policy) -> Result<(), &'static str> {
    if tag.tag.is_empty() || tag.value.is_empty() {
        return Err("no tag or no value");
    }
    if tag.value.chars().count() > MAX_NAME_CHARS {
        return Err("the value is too long");
    }
    if policy.event_tags.iter().any(|t| t.name == tag.tag) { Ok(()) } else { Err("not one of event_tags") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Role;
    use crate::extraction::{DraftTag, TagSpec};
    use crate::ids::BlobId;
    use crate::schema::{Schema, SubTopic, Topic};
    use crate::testing::WordCounter;
    use uuid::Uuid;

    fn policy() -> Policy {
        let sub_topics = vec![SubTopic { name: "job".into(), description: None }];
        Policy {
            schema: Schema { topics: vec![Topic { name: "work".into(), description: None, sub_topics }] },
            validate: true,
            max_memo_tokens: 8,
            event_tags: vec![TagSpec { name: "mood".into(), description: String::new() }],
            ..crate::testing::policy()
        }
    }

    fn line(number: u32) -> Line {
        let said_on = Some(jiff::civil::date(2023, 5, 8));
        let blob_id = BlobId(Uuid::nil());
        Line { number, blob_id, message: number - 1, role: Role::User, alias: None, said_on, text: "x".into() }
    }

    fn set(sub_topic: &str, memo: &str) -> DraftAction {
        let (topic, sub_topic) = ("Work".to_owned(), sub_topic.to_owned());
        DraftAction { action: Verb::Set, topic, sub_topic, memo: memo.into(), messages: vec![] }
    }

    fn gist(text: &str, messages: &[u32], occurred_at: Option<&str>) -> DraftGist {
        DraftGist { text: text.into(), occurred_at: occurred_at.map(Into::into), messages: messages.to_vec() }
    }

    #[test]
    fn the_invalid_is_refused_item_by_item() {
        let draft = Draft {
            gists: vec![gist("- met\nBob", &[1, 1], Some("2023-05")), gist("", &[], None)],
            profile: vec![set("Job", "nurse"), set("job", "doctor"), set("", "x"), set("job", "user has a job")],
            tags: vec![
                DraftTag { tag: "mood".into(), value: "glad".into() },
                DraftTag { tag: "other".into(), value: "x".into() },
            ],
            summary: " a\nday ".into(),
            left_out: vec!["profile[7]".into()],
        };
        let out = check(&[draft], &[line(1)], &policy(), &WordCounter);
        assert_eq!(out.gists.len(), 1);
        assert_eq!((out.gists[0].text.as_str(), out.gists[0].occurred_at.as_deref()), ("met Bob", Some("2023-05")));
        assert_eq!((out.gists[0].said_at.as_deref(), out.gists[0].sources.len()), (Some("2023-05-08"), 1));
        assert_eq!(out.actions, [Action::Set(SlotName::new("work", "job"), "doctor".into())]);
        assert_eq!((out.tags.len(), out.summary.as_str()), (1, "a day"));
        let refused: Vec<&str> = out.refused.iter().map(|r| r.item.as_str()).collect();
        assert_eq!(refused, ["profile[7]", "gists[1]", "profile[2]", "profile[3]", "tags[1]"]);
    }

    /// Postgres has no place for it, and a flush that wrote it would fail for good.
    #[test]
    fn nul_is_nowhere() {
        let draft = Draft {
            gists: vec![gist("a\0b", &[1], Some("2023\0"))],
            profile: vec![set("job", "nurse\0"), set("jo\0b", "doctor")],
            tags: vec![DraftTag { tag: "mood".into(), value: "glad\0".into() }],
            summary: "a\0day".into(),
            left_out: vec![],
        };
        let out = check(&[draft], &[line(1)], &policy(), &WordCounter);
        assert_eq!((out.gists.len(), out.actions.len(), out.tags.len()), (1, 2, 1));
        assert!(!format!("{out:?}").contains("\\0"), "{out:?}");
        assert_eq!((out.tags[0].value.as_str(), out.summary.as_str()), ("glad\u{FFFD}", "a\u{FFFD}day"));
    }

    #[test]
    fn messages_that_do_not_exist_are_refused_alone() {
        let dated = |number, said_on| Line { said_on, ..line(number) };
        let days = [None, Some(jiff::civil::date(2023, 5, 8)), Some(jiff::civil::date(2023, 5, 9))];
        let lines = [dated(1, days[0]), dated(2, days[1]), dated(3, days[2])];
        let known = DraftAction { messages: vec![9], ..set("job", "nurse") };
        let gists =
            vec![gist("a", &[9], None), gist("b", &[9, 3, 0], None), gist("c", &[3], None), gist("d", &[], None)];
        let draft = Draft { gists, profile: vec![known], ..Draft::default() };
        let out = check(&[draft], &lines, &policy(), &WordCounter);
        let said: Vec<_> = out.gists.iter().map(|g| (g.text.as_str(), g.said_at.as_deref().unwrap())).collect();
        assert_eq!(said, [("a", "2023-05-08"), ("b", "2023-05-09"), ("c", "2023-05-09"), ("d", "2023-05-08")]);
        let messages: Vec<Vec<u32>> = out.gists.iter().map(|g| g.sources.iter().map(|s| s.message).collect()).collect();
        assert_eq!(messages, [vec![], vec![2], vec![2], vec![]]);
        assert_eq!(out.actions, [Action::Set(SlotName::new("work", "job"), "nurse".into())]);
        let refused: Vec<&str> = out.refused.iter().map(|r| r.item.as_str()).collect();
        assert_eq!(refused, ["gists[0].messages", "gists[1].messages", "profile[0].messages"]);
    }

    #[test]
    fn a_flush_changes_so_many_slots_and_no_more() {
        let actions = (0..=MAX_ACTIONS).map(|n| set(&format!("s{n}"), "old"));
        let mut profile: Vec<DraftAction> = actions.collect();
        profile.push(set("s0", "new"));
        let out = check(&[Draft { profile, ..Draft::default() }], &[], &policy(), &WordCounter);
        assert_eq!(out.actions.len(), MAX_ACTIONS);
        assert_eq!(out.actions[0], Action::Set(SlotName::new("work", "s0"), "new".into()), "no further slot");
        assert_eq!(out.refused, [refusal("profile", MAX_ACTIONS, "too many profile actions")]);
    }

    #[test]
    fn strict_mode_keeps_to_the_schema_and_memos_have_a_limit() {
        let draft = Draft { profile: vec![set("boss", "Ann"), set("job", "a b c d e f g h i")], ..Draft::default() };
        let strict = Policy { strict: true, ..policy() };
        assert_eq!(check(std::slice::from_ref(&draft), &[], &strict, &WordCounter).refused.len(), 2);
        assert_eq!(check(&[draft], &[], &policy(), &WordCounter).refused.len(), 1);
    }

    #[test]
    fn dates_are_iso_or_nothing() {
        for good in ["2023", "2023-05", "2023-05-07", "2023-05-07T10:00:00"] {
            assert!(iso_date(good).is_some(), "{good}");
        }
        for bad in ["", "last week", "2023-13", "2023-5-7", "20230507x", "二〇二三年五月七日"] {
            assert_eq!(iso_date(bad), None, "{bad}");
        }
    }
}
