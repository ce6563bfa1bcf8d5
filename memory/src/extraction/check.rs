mod content;

use std::collections::{BTreeSet, HashMap};

use crate::dates::days_of;
use crate::event::{EventTag, MAX_HEARD_CHARS, Source};
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
    /// Give the slot this memo, whole. It comes from these messages of the batch, newest first.
    Set(SlotName, String, Vec<Source>),
    /// Take the slot away.
    Remove(SlotName),
}

impl Action {
    /// The slot that is meant.
    pub fn name(&self) -> &SlotName {
        match self {
            Self::Set(name, ..) | Self::Remove(name) => name,
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
///
/// Of several words on one slot the last counts, but it comes from the messages of the earlier ones, too: whoever wrote
/// it knew what they had made of the slot. Of what was said before a removal nothing is left.
pub fn check(drafts: &[Draft], lines: &[Line], policy: &Policy, counter: &dyn TokenCounter) -> Extraction {
    let numbered = Numbered::new(lines);
    let begun = lines.iter().find_map(|l| l.said_on);
    let mut out = Extraction::default();
    let mut said: HashMap<SlotName, BTreeSet<u32>> = HashMap::new();
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
            match added {
                Ok(Action::Set(name, ..)) => said.entry(name.clone()).or_default().extend(&action.messages),
                Ok(Action::Remove(name)) => drop(said.remove(name)),
                Err(reason) => out.refused.push(refusal("profile", index, reason)),
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
    for action in &mut out.actions {
        if let Action::Set(name, _, sources) = action {
            // Numbers grow with time.
            *sources = sources_of(said.get(name).into_iter().flatten().rev(), &numbered);
        }
    }
    out
}

impl Extraction {
    /// The last word on a slot counts; it stands where the slot was first named.
    fn add_action(&mut self, action: Action) -> Result<&Action, &'static str> {
        let place = self.actions.iter().position(|a| a.name() == action.name());
        let place = place.unwrap_or(self.actions.len());
        if place >= MAX_ACTIONS {
            return Err("too many profile actions");
        }
        if place == self.actions.len() {
            self.actions.push(action);
        } else {
            self.actions[place] = action;
        }
        Ok(&self.actions[place])
    }

    fn refuse_messages(&mut self, list: &str, index: usize, messages: &[u32], lines: &Numbered<'_>) {
        if messages.iter().any(|number| lines.get(*number).is_none()) {
            let item = format!("{list}[{index}].messages");
            self.refused.push(Refusal { item, reason: "names a message that does not exist" });
        }
    }
}

fn refusal(list: &str, index: usize, reason: &'static str) -> Refusal {
    Refusal { item: format!("{list}[{index}]"), reason }
}

fn check_gist(gist: &DraftGist, lines: &Numbered<'_>) -> Result<NewGist, &'static str> {
    let text = text::one_line(&text::storable(&gist.text));
    let text = text.strip_prefix("- ").map_or(text.clone(), str::to_owned);
    if text.is_empty() {
        return Err("empty text");
    }
    let said_on = gist.messages.iter().filter_map(|n| lines.get(*n)).find_map(|line| line.said_on);
    let mut sources = sources_of(&gist.messages, lines);
    if let Some(first) = sources.first_mut() {
        first.heard = gist.messages.iter().find(|n| lines.get(**n).is_some()).and_then(|number| lines.heard(*number));
    }
    Ok(NewGist {
        occurred_at: gist.occurred_at.as_deref().and_then(iso_date),
        said_at: said_on.map(|day| day.to_string()),
        text,
        sources,
    })
}

/// The lines of a batch by their numbers.
struct Numbered<'a> {
    lines: &'a [Line],
    /// Where each number stands first: the pieces of a message that was cut share theirs.
    first: HashMap<u32, usize>,
}

impl<'a> Numbered<'a> {
    fn new(lines: &'a [Line]) -> Self {
        Self { lines, first: lines.iter().enumerate().rev().map(|(at, line)| (line.number, at)).collect() }
    }

    fn get(&self, number: u32) -> Option<&'a Line> {
        self.first.get(&number).map(|at| &self.lines[*at])
    }

    /// What somebody else said right before a message.
    fn heard(&self, number: u32) -> Option<String> {
        let at = *self.first.get(&number)?;
        let (line, before) = (&self.lines[at], self.lines.get(at.checked_sub(1)?)?);
        if (before.role, &before.alias) == (line.role, &line.alias) {
            return None;
        }
        let said = text::ending(&text::storable(&before.text), MAX_HEARD_CHARS);
        Some(match &before.alias {
            Some(name) => text::one_line(&text::storable(&format!("{name}: {said}"))),
            None => said,
        })
    }
}

/// The messages of these numbers that exist, in order, each once. Of one that was cut, the first piece is quoted.
fn sources_of<'a>(numbers: impl IntoIterator<Item = &'a u32>, lines: &Numbered<'_>) -> Vec<Source> {
    let source = |line: &Line| Source::new(line.blob_id, line.message, line.alias.as_deref(), &line.text);
    let mut sources = Vec::new();
    Source::add(&mut sources, numbers.into_iter().filter_map(|number| lines.get(*number)).map(source));
    sources
}

/// An ISO date, or a year or a month of a year; of what has a time behind the date, the date. Anything else is no date.
fn iso_date(text: &str) -> Option<String> {
    let text = text.trim();
    let date = text.get(..text.len().min(10))?;
    days_of(date).map(|_| date.to_owned())
}

/// What an action would change, without its sources. An error says why it is refused.
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
    Ok(Action::Set(name, memo, Vec::new()))
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
mod tests;
