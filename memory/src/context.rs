//! The context: a prompt section of profile and events that fits a token budget.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::event::Event;
use crate::ids::EventId;
use crate::ports::TokenCounter;
use crate::recall::{KnownGists, KnownProfile, Lending, ProfileFilter, Search, chat_query, date_line, fitting};
use crate::search::Vector;
use crate::text::one_line;

/// Where a prompt wants the lines of the profile.
const PROFILE_SECTION: &str = "{profile_section}";

/// Where a prompt wants the lines of the events.
const EVENT_SECTION: &str = "{event_section}";

/// The prompt of requests that bring none: short, since its tokens are taken from what is remembered.
const FRAME: &str = "# About the user (background; use where it helps)
## Profile
{profile_section}
## Events by day told [day it happened]
{event_section}
";

/// Kept free for each section: text that is put next to other text, without a line break between them as custom
/// prompts do, may take a token more than both alone. Seen 7 times in 40,000 packings of random signs, never more
/// than one token.
const EDGE_TOKENS: u32 = 1;

/// The parameters of the context route, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct ContextRequest {
    /// Tokens of the whole context at most. Fewer than the frame has give the frame alone.
    pub max_tokens: u32,
    /// Filters of the profile part; its `topk` and `max_tokens` are not used.
    pub filter: ProfileFilter,
    /// The share of the profile part, 0 < ratio <= 1.
    pub profile_event_ratio: f64,
    /// The chat to search the gists with: the contents of its messages, oldest first. None, or no message: the
    /// newest gists.
    pub chats: Option<Vec<String>>,
    /// What the chat means ([`chat_query`] of it), if that is known.
    pub meaning: Option<Vector>,
    /// Gists below this similarity are left out.
    pub threshold: f64,
    /// Only gists stored within these days.
    pub time_range_in_days: u32,
    /// Show the summaries of events rather than single gists.
    pub require_event_summary: bool,
    /// A prompt with {profile_section} and {event_section}. Anything else in it is literal; its tokens count, too.
    pub custom_prompt: Option<String>,
    /// All that the profile leaves over goes to events, once it is shown whole.
    pub fill_window_with_events: bool,
}

/// What is remembered of a user, as far as it is known. What is none or empty is shown as nothing.
#[derive(Clone, Copy, Default)]
pub struct Remembered<'a> {
    /// The profile.
    pub profile: Option<&'a KnownProfile>,
    /// The gists.
    pub gists: Option<&'a KnownGists>,
    /// The events, newest first. Needed for `require_event_summary` only.
    pub events: &'a [Event],
}

/// A context, and what the budget did to it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Packed {
    /// The context.
    pub text: String,
    /// Slots in it.
    pub slots_shown: usize,
    /// Slots that the filters let through and the budget did not.
    pub slots_left_out: usize,
    /// Gists (or events, with `require_event_summary`) in it.
    pub events_shown: usize,
    /// Those that fit the request and not the budget.
    pub events_left_out: usize,
}

/// Packs contexts. Make one per token counter: it counts its own frame only once.
///
/// A context that joins lines has at most the tokens of its lines counted one by one. So it is with tokenisers that
/// split at line breaks first, as those of OpenAI do, but for the edges of a section.
pub struct Packer {
    counter: Arc<dyn TokenCounter>,
    frame_tokens: u32,
}

impl Packer {
    /// A packer for texts that this counter counts.
    pub fn new(counter: Arc<dyn TokenCounter>) -> Self {
        let frame_tokens = literal_tokens(&parts(FRAME), counter.as_ref());
        Self { counter, frame_tokens }
    }

    /// Packs what is remembered into at most `max_tokens`.
    ///
    /// Both sections show a prefix of what they could show, and neither budget shrinks when `max_tokens` grows: a
    /// larger context never lacks a line of a smaller one.
    pub fn pack(&self, request: &ContextRequest, remembered: &Remembered<'_>, now: Timestamp) -> Packed {
        let template = parts(request.custom_prompt.as_deref().unwrap_or(FRAME));
        let frame_tokens = match request.custom_prompt {
            Some(_) => literal_tokens(&template, self.counter.as_ref()),
            None => self.frame_tokens,
        };
        let body = request.max_tokens.saturating_sub(frame_tokens);
        let share = profile_share(request);
        let profile = profile_section(request, remembered, times(&template, Part::Profile), share.min(body));

        // A profile that is not shown whole keeps what its next slot did not fit into: were it lent to the events,
        // they would have to give it back as soon as the slot fits.
        let reserved = if profile.left_out == 0 { profile.tokens } else { share.min(body) };
        let most = if request.fill_window_with_events { u32::MAX } else { request.max_tokens - share };
        let max_tokens = most.min(body - reserved);
        let events = self.event_section(request, remembered, now, times(&template, Part::Events), max_tokens);

        Packed {
            text: fill(&template, &profile.text, &events.text),
            slots_shown: profile.shown,
            slots_left_out: profile.left_out,
            events_shown: events.shown,
            events_left_out: events.left_out,
        }
    }

    fn event_section(
        &self,
        request: &ContextRequest,
        remembered: &Remembered<'_>,
        now: Timestamp,
        times: u32,
        max_tokens: u32,
    ) -> Section {
        let since = since(now, request.time_range_in_days);
        let chats = request.chats.as_deref().filter(|chats| !chats.is_empty());
        let search = chats.map(|chats| Search {
            query: chat_query(chats),
            meaning: request.meaning.clone(),
            topk: u32::MAX,
            threshold: request.threshold,
            since,
        });
        if request.require_event_summary {
            let summaries = summaries(remembered, search.as_ref(), since);
            let tokens = |text: &String| self.counter.count(&format!("{text}\n"));
            return Section::of(&summaries, times, max_tokens, tokens, |shown| shown.join("\n"));
        }
        let Some(gists) = remembered.gists else { return Section::default() };
        let places: Vec<usize> = match search {
            Some(search) => gists.rank(&search, Lending::CONTEXT).into_iter().map(|(at, _)| at).collect(),
            None => (0..gists.gists.len()).filter(|&at| gists.gists[at].created_at >= since).collect(),
        };
        let mut dates = HashSet::new();
        let tokens = |&at: &usize| {
            let heading = gists.gists[at].heading().filter(|date| dates.insert(*date));
            gists.line_tokens[at].saturating_add(heading.map_or(0, |_| gists.date_tokens[at]))
        };
        Section::of(&places, times, max_tokens, tokens, |places| by_date(gists, places))
    }
}

/// The gists under their dates, each date where its first gist stands. Those without a date come before all dates.
fn by_date(gists: &KnownGists, places: &[usize]) -> String {
    let mut days: Vec<Vec<Cow<'_, str>>> = vec![Vec::new()];
    let mut day_of: HashMap<Option<&str>, usize> = HashMap::from([(None, 0)]);
    for &at in places {
        let heading = gists.gists[at].heading();
        let day = *day_of.entry(heading).or_insert_with(|| {
            days.push(vec![date_line(heading.unwrap_or_default()).into()]);
            days.len() - 1
        });
        days[day].push((&*gists.lines[at]).into());
    }
    days.concat().join("\n")
}

/// One part of a context.
#[derive(Default)]
struct Section {
    text: String,
    tokens: u32,
    shown: usize,
    left_out: usize,
}

impl Section {
    /// The candidates from the first on that fit, as lines. `times`: how often the prompt shows this section.
    fn of<T>(
        candidates: &[T],
        times: u32,
        max_tokens: u32,
        mut tokens: impl FnMut(&T) -> u32,
        render: impl FnOnce(&[T]) -> String,
    ) -> Self {
        if times == 0 {
            return Self::default();
        }
        let fit = fitting(candidates.iter().map(|c| tokens(c).saturating_mul(times)), max_tokens);
        let text = render(&candidates[..fit.lines]);
        Self { text, tokens: fit.tokens, shown: fit.lines, left_out: candidates.len() - fit.lines }
    }
}

fn profile_section(request: &ContextRequest, remembered: &Remembered<'_>, times: u32, max_tokens: u32) -> Section {
    let Some(known) = remembered.profile else { return Section::default() };
    let places = request.filter.by_topic(known);
    let lines = |places: &[usize]| places.iter().map(|&at| &*known.lines[at]).collect::<Vec<_>>();
    Section::of(&places, times, max_tokens, |&at| known.line_tokens[at], |places| lines(places).join("\n"))
}

/// The whole tokens of the profile's share.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=max_tokens")]
fn profile_share(request: &ContextRequest) -> u32 {
    let max_tokens = f64::from(request.max_tokens);
    (max_tokens * request.profile_event_ratio).clamp(0.0, max_tokens) as u32
}

/// The instant so many days (of 24 hours) before `now`.
fn since(now: Timestamp, days: u32) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(i64::from(days) * 24)).unwrap_or(Timestamp::MIN)
}

/// The summaries of the events that fit the search, best first, or else of the newest.
fn summaries(remembered: &Remembered<'_>, search: Option<&Search>, since: Timestamp) -> Vec<String> {
    let events = remembered.events.iter();
    let chosen: Vec<&Event> = match (search, remembered.gists) {
        (None, _) => events.filter(|event| event.created_at >= since).collect(),
        (Some(_), None) => Vec::new(),
        (Some(search), Some(gists)) => {
            let by_id: HashMap<EventId, &Event> = events.map(|event| (event.id, event)).collect();
            let found = gists.search_events(search);
            found.into_iter().filter_map(|(id, _)| by_id.get(&id).copied()).collect()
        }
    };
    chosen.into_iter().filter_map(summary).collect()
}

/// The lines of an event's summary, each as one of a list. None when there is nothing to show.
fn summary(event: &Event) -> Option<String> {
    let lines = event.data.event_tip.as_deref()?.lines().map(one_line);
    let lines = lines.map(|line| line.strip_prefix("- ").unwrap_or(&line).to_owned()).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(|line| format!("- {line}")).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// A piece of a prompt.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Part<'a> {
    Literal(&'a str),
    Profile,
    Events,
}

/// Splits a prompt at the names of the sections.
fn parts(prompt: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = prompt;
    while let Some((at, name, part)) = next_name(rest) {
        parts.push(Part::Literal(&rest[..at]));
        parts.push(part);
        rest = &rest[at + name.len()..];
    }
    parts.push(Part::Literal(rest));
    parts
}

fn next_name(prompt: &str) -> Option<(usize, &'static str, Part<'static>)> {
    let names = [(PROFILE_SECTION, Part::Profile), (EVENT_SECTION, Part::Events)];
    names.into_iter().filter_map(|(name, part)| Some((prompt.find(name)?, name, part))).min_by_key(|found| found.0)
}

fn times(template: &[Part<'_>], part: Part<'static>) -> u32 {
    u32::try_from(template.iter().filter(|p| **p == part).count()).unwrap_or(u32::MAX)
}

fn literal_tokens(template: &[Part<'_>], counter: &dyn TokenCounter) -> u32 {
    let tokens = template.iter().map(|part| match part {
        Part::Literal(text) => counter.count(text),
        Part::Profile | Part::Events => EDGE_TOKENS,
    });
    tokens.fold(0, u32::saturating_add)
}

fn fill(template: &[Part<'_>], profile: &str, events: &str) -> String {
    let texts = template.iter().map(|part| match part {
        Part::Literal(text) => text,
        Part::Profile => profile,
        Part::Events => events,
    });
    texts.collect()
}

#[cfg(test)]
mod tests;
