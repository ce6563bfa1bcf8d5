//! The context: a prompt section of profile and events that fits a token budget.

mod events;
mod explain;
mod said;

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::event::Event;
use crate::ports::TokenCounter;
use crate::recall::{KnownGists, KnownProfile, Period, ProfileFilter, fitting};
use crate::search::Vector;
use events::EventLines;

pub use explain::{Explained, Explanation, Line, MAX_EXPLAINED, Origin};
pub use said::{SAID_LINE_TOKENS, SaidLine, said_lines};

/// Where a prompt wants the lines of the profile.
const PROFILE_SECTION: &str = "{profile_section}";

/// Where a prompt wants the lines of the events.
const EVENT_SECTION: &str = "{event_section}";

/// The prompt of requests that bring none: short, since its tokens are taken from what is remembered.
const FRAME: &str = "## User profile
{profile_section}
## Events by day told [day it happened]
{event_section}
";

/// What follows the frame when the buffer is shown.
const SAID_HEADING: &str = "## Just said, newest first\n";

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
    /// What the chat means ([`crate::recall::chat_query`] of it), if that is known.
    pub meaning: Option<Vector>,
    /// The day on which it is asked, for the words that count from it ("last summer"), if that is known.
    pub asked_on: Option<Date>,
    /// Gists below this similarity are left out.
    pub threshold: f64,
    /// Only gists stored within these days.
    pub time_range_in_days: u32,
    /// Only gists of what happened in this period.
    pub happened: Period,
    /// Show the summaries of events rather than single gists.
    pub require_event_summary: bool,
    /// A prompt with {profile_section} and {event_section}. Anything else in it is literal; its tokens count, too.
    pub custom_prompt: Option<String>,
    /// All that the profile leaves over goes to events, once it is shown whole.
    pub fill_window_with_events: bool,
    /// Show what was said and no flush has processed yet.
    pub include_buffer: bool,
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
    /// What was said and no flush has processed yet ([`said_lines`]), newest first. Needed for `include_buffer` only.
    pub said: &'a [SaidLine],
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
    /// Lines in it of what was just said.
    pub said_shown: usize,
    /// Those that were given and that the budget did not let through.
    pub said_left_out: usize,
}

/// Packs contexts. Make one per token counter: it counts its own frame only once.
///
/// A context that joins lines has at most the tokens of its lines counted one by one. So it is with tokenisers that
/// split at line breaks first, as those of OpenAI do, but for the edges of a section.
pub struct Packer {
    counter: Arc<dyn TokenCounter>,
    frame: Frame,
    buffer_frame: Frame,
}

/// The default prompt, in pieces.
struct Frame {
    parts: Vec<Part<'static>>,
    tokens: u32,
}

impl Frame {
    fn new(parts: Vec<Part<'static>>, counter: &dyn TokenCounter) -> Self {
        let tokens = literal_tokens(&parts, counter);
        Self { parts, tokens }
    }
}

impl Packer {
    /// A packer for texts that this counter counts.
    pub fn new(counter: Arc<dyn TokenCounter>) -> Self {
        let frame = Frame::new(parts(FRAME), counter.as_ref());
        let said = [Part::Literal(SAID_HEADING), Part::Said, Part::Literal("\n")];
        let buffer_frame = Frame::new(parts(FRAME).into_iter().chain(said).collect(), counter.as_ref());
        Self { counter, frame, buffer_frame }
    }

    /// Packs what is remembered into at most `max_tokens`.
    ///
    /// Each section shows a prefix of what it could show, and no budget shrinks when `max_tokens` grows: a larger
    /// context never lacks a line of a smaller one.
    pub fn pack(&self, request: &ContextRequest, remembered: &Remembered<'_>, now: Timestamp) -> Packed {
        self.layout(request, remembered, now).packed()
    }

    /// Packs in the same way, and tells how it came to that.
    pub fn explain(
        &self,
        request: &ContextRequest,
        remembered: &Remembered<'_>,
        now: Timestamp,
    ) -> (Packed, Explanation) {
        let layout = self.layout(request, remembered, now);
        let packed = layout.packed();
        let explanation = layout.explained(request, remembered, &packed, self.counter.as_ref());
        (packed, explanation)
    }

    fn layout<'a>(&'a self, request: &'a ContextRequest, remembered: &Remembered<'a>, now: Timestamp) -> Layout<'a> {
        let (template, frame_tokens) = self.template(request);
        let body = request.max_tokens.saturating_sub(frame_tokens);
        let share = profile_share(request).min(body);
        let slots = remembered.profile.map_or(Vec::new(), |known| request.filter.by_topic(known));
        let profile = profile_section(&slots, remembered, times(&template, Part::Profile), share);
        let most = if request.fill_window_with_events { u32::MAX } else { request.max_tokens - profile_share(request) };
        let max_tokens = most.min(body - profile.reserved());
        let lines = EventLines::new(request, remembered, now);
        let (counter, event_times) = (self.counter.as_ref(), times(&template, Part::Events));
        let events = |max_tokens| lines.section(counter, event_times, max_tokens);
        let mut said = Section::default();
        if request.include_buffer && !remembered.said.is_empty() {
            // Half, and what the events leave over. They are the same whatever the budget, so it never shrinks.
            let left_over = max_tokens - events(max_tokens).reserved();
            let share = left_over.max(max_tokens / 2);
            said = said_section(remembered.said, counter, times(&template, Part::Said), share);
        }
        let events = events(max_tokens - said.reserved());
        Layout { template, frame_tokens, slots, profile, lines, events, said }
    }

    /// The prompt in pieces, and the tokens of what is literal in it.
    fn template<'a>(&self, request: &'a ContextRequest) -> (Cow<'_, [Part<'a>]>, u32) {
        let frame = if request.include_buffer { &self.buffer_frame } else { &self.frame };
        let Some(prompt) = &request.custom_prompt else { return (Cow::Borrowed(&frame.parts), frame.tokens) };
        let mut template = parts(prompt);
        let tokens = literal_tokens(&template, self.counter.as_ref());
        if request.include_buffer {
            // One section for a reader, and so with the edges of one.
            let with_said = |part| match part {
                Part::Events => vec![Part::Said, Part::Break, Part::Events],
                part => vec![part],
            };
            template = template.into_iter().flat_map(with_said).collect();
        }
        (Cow::Owned(template), tokens)
    }
}

/// What goes where in a context.
struct Layout<'a> {
    template: Cow<'a, [Part<'a>]>,
    frame_tokens: u32,
    /// The places of the slots that the filters let through.
    slots: Vec<usize>,
    profile: Section,
    lines: EventLines<'a>,
    events: Section,
    said: Section,
}

impl Layout<'_> {
    fn packed(&self) -> Packed {
        let Self { template, profile, events, said, .. } = self;
        Packed {
            text: fill(template, &profile.text, &events.text, &said.text),
            slots_shown: profile.shown,
            slots_left_out: profile.left_out,
            events_shown: events.shown,
            events_left_out: events.left_out,
            said_shown: said.shown,
            said_left_out: said.left_out,
        }
    }
}

/// Tokens of a line, its line break included.
fn line_tokens(line: &str, counter: &dyn TokenCounter) -> u32 {
    counter.count(&format!("{line}\n"))
}

/// What was just said, newest first.
fn said_section(said: &[SaidLine], counter: &dyn TokenCounter, times: u32, max_tokens: u32) -> Section {
    let tokens = |line: &SaidLine| line_tokens(&line.text, counter);
    let text = |shown: &[SaidLine]| shown.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n");
    Section::of(said, times, max_tokens, tokens, text)
}

/// One part of a context.
#[derive(Default)]
struct Section {
    text: String,
    /// Its share of the budget.
    max_tokens: u32,
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
            return Self { max_tokens, ..Self::default() };
        }
        let fit = fitting(candidates.iter().map(|c| tokens(c).saturating_mul(times)), max_tokens);
        let text = render(&candidates[..fit.lines]);
        Self { text, max_tokens, tokens: fit.tokens, shown: fit.lines, left_out: candidates.len() - fit.lines }
    }

    /// What others cannot have of its share. A section that is not shown whole keeps what its next line did not fit
    /// into: were it lent to others, they would have to give it back as soon as the line fits.
    fn reserved(&self) -> u32 {
        if self.left_out == 0 { self.tokens } else { self.max_tokens }
    }
}

fn profile_section(slots: &[usize], remembered: &Remembered<'_>, times: u32, max_tokens: u32) -> Section {
    let Some(known) = remembered.profile else { return Section { max_tokens, ..Section::default() } };
    let lines = |places: &[usize]| places.iter().map(|&at| &*known.lines[at]).collect::<Vec<_>>();
    Section::of(slots, times, max_tokens, |&at| known.line_tokens[at], |places| lines(places).join("\n"))
}

/// The whole tokens of the profile's share.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=max_tokens")]
fn profile_share(request: &ContextRequest) -> u32 {
    let max_tokens = f64::from(request.max_tokens);
    (max_tokens * request.profile_event_ratio).clamp(0.0, max_tokens) as u32
}

/// A piece of a prompt.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Part<'a> {
    Literal(&'a str),
    Profile,
    Events,
    Said,
    /// The line break between what was said and the events, where both are shown.
    Break,
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
        Part::Profile | Part::Events | Part::Said => EDGE_TOKENS,
        // That of the last line before it, which is counted with it.
        Part::Break => 0,
    });
    tokens.fold(0, u32::saturating_add)
}

fn fill(template: &[Part<'_>], profile: &str, events: &str, said: &str) -> String {
    let between = if said.is_empty() || events.is_empty() { "" } else { "\n" };
    let texts = template.iter().map(|part| match part {
        Part::Literal(text) => text,
        Part::Profile => profile,
        Part::Events => events,
        Part::Said => said,
        Part::Break => between,
    });
    texts.collect()
}

#[cfg(test)]
mod tests;
