//! Why a context is what it is: each line with its origin, scores and tokens, and what was left out.

use std::collections::HashSet;

use super::events::{EventLines, Summary, gist_tokens};
use super::{ContextRequest, Layout, Packed, Remembered, SaidLine, Section, line_tokens};
use crate::event::Source;
use crate::ids::EventId;
use crate::ports::TokenCounter;
use crate::profile::Slot;
use crate::recall::{Hit, KnownProfile, SlotTally, Tally};

/// Lines of a section that are told although they were left out, at most: those that would have come next.
const NEXT_LINES: usize = 10;

/// Lines of a section, or hits of a search, that are told at most.
pub const MAX_EXPLAINED: usize = 1_000;

/// Where a line of a context comes from.
#[derive(Clone, PartialEq, Debug)]
pub enum Origin {
    /// A slot of the profile.
    Slot(Slot),
    /// A gist; where nothing was asked its similarity is 0.
    Gist(Hit),
    /// The summary of an event, and the gist by which it was found, if it was searched for.
    Event(EventId, Option<Hit>),
    /// What was said and no flush has processed yet.
    Said(Source),
}

/// A line of a context.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// The line; several for the summary of an event.
    pub text: String,
    /// Its tokens, with its line break, and with the date above it where it is the first of that.
    pub tokens: u32,
    /// Where it comes from.
    pub origin: Origin,
}

/// One section of a context.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Explained {
    /// Tokens that it could have.
    pub max_tokens: u32,
    /// Tokens that its lines have.
    pub tokens: u32,
    /// How many lines it has.
    pub shown: usize,
    /// The first of these, in the order in which they were chosen; [`MAX_EXPLAINED`] at most.
    pub lines: Vec<Line>,
    /// How many lines its tokens had no room for.
    pub left_out: usize,
    /// The first of these, ten at most.
    pub next: Vec<Line>,
    /// How many lines there would be, did the client's prompt show the section.
    pub not_in_prompt: usize,
}

/// Why a context is what it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Explanation {
    /// Tokens of the context.
    pub tokens: u32,
    /// Tokens of what is not remembered in it: the frame, or the client's own prompt.
    pub frame_tokens: u32,
    /// The profile.
    pub profile: Explained,
    /// Which slots the filters kept away.
    pub slots: SlotTally,
    /// The events.
    pub events: Explained,
    /// Which gists were considered, and which were not found.
    pub gists: Tally,
    /// Events that were found and have no summary, or are older than those that are looked at for one.
    pub without_summary: usize,
    /// What was just said.
    pub said: Explained,
}

impl Layout<'_> {
    pub(super) fn explained(
        &self,
        request: &ContextRequest,
        remembered: &Remembered<'_>,
        packed: &Packed,
        counter: &dyn TokenCounter,
    ) -> Explanation {
        let Self { frame_tokens, slots, profile, lines, events, said, .. } = self;
        let known = remembered.profile;
        let slot = |known: &KnownProfile, at: usize| Line {
            text: known.lines[at].to_string(),
            tokens: known.line_tokens[at],
            origin: Origin::Slot(known.profile.slots[at].clone()),
        };
        let slot_lines = known.map_or(Vec::new(), |known| told(slots, profile).map(|&at| slot(known, at)).collect());
        let said_line = |line: &SaidLine| Line {
            text: line.text.clone(),
            tokens: line_tokens(&line.text, counter),
            origin: Origin::Said(line.source.clone()),
        };
        Explanation {
            tokens: counter.count(&packed.text),
            frame_tokens: *frame_tokens,
            profile: section(slots.len(), profile, slot_lines),
            slots: known.map_or(SlotTally::default(), |known| request.filter.tally(known)),
            events: section(lines.len(), events, lines.told(events, counter)),
            gists: lines.tally(),
            without_summary: lines.without_summary(),
            said: section(remembered.said.len(), said, told(remembered.said, said).map(said_line).collect()),
        }
    }
}

impl EventLines<'_> {
    fn tally(&self) -> Tally {
        match self {
            Self::Summaries { tally, .. } => *tally,
            Self::Gists(_, ranking) => ranking.tally,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Summaries { lines, .. } => lines.len(),
            Self::Gists(_, ranking) => ranking.hits.len(),
        }
    }

    fn without_summary(&self) -> usize {
        match self {
            Self::Summaries { without, .. } => *without,
            Self::Gists(..) => 0,
        }
    }

    fn told(&self, section: &Section, counter: &dyn TokenCounter) -> Vec<Line> {
        match self {
            Self::Summaries { lines, .. } => {
                let line = |summary: &Summary| Line {
                    text: summary.text.clone(),
                    tokens: line_tokens(&summary.text, counter),
                    origin: Origin::Event(summary.event, summary.hit.clone()),
                };
                told(lines, section).map(line).collect()
            }
            Self::Gists(gists, ranking) => {
                let mut dates = HashSet::new();
                let mut lines = Vec::new();
                for (number, &(at, similarity)) in ranking.hits.iter().take(section.shown + NEXT_LINES).enumerate() {
                    // Also of a line that is not told, since its date is on show.
                    let tokens = gist_tokens(gists, at, &mut dates);
                    if is_told(number, section) {
                        lines.push(Line {
                            text: gists.line(at).to_owned(),
                            tokens,
                            origin: Origin::Gist(gists.hit(ranking, (at, similarity))),
                        });
                    }
                }
                lines
            }
        }
    }
}

/// What a section shows of its candidates, and the first that it does not.
fn told<'a, T>(candidates: &'a [T], section: &Section) -> impl Iterator<Item = &'a T> {
    candidates.iter().enumerate().filter(|(number, _)| is_told(*number, section)).map(|(_, candidate)| candidate)
}

fn is_told(number: usize, section: &Section) -> bool {
    let next = section.shown..section.shown + NEXT_LINES.min(section.left_out);
    number < section.shown.min(MAX_EXPLAINED) || next.contains(&number)
}

/// `lines`: those that are shown, then the first that are not.
fn section(candidates: usize, section: &Section, mut lines: Vec<Line>) -> Explained {
    let next = lines.split_off(section.shown.min(MAX_EXPLAINED).min(lines.len()));
    let Section { max_tokens, tokens, shown, left_out, .. } = *section;
    let not_in_prompt = candidates - shown - left_out;
    Explained { max_tokens, tokens, shown, lines, left_out, next, not_in_prompt }
}
