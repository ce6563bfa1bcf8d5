//! The gists of one user as a searchable snapshot.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use jiff::Timestamp;

use super::meaning::{Meanings, Nearness};
use crate::event::{Gist, Source};
use crate::ids::{EventId, GistId};
use crate::ports::TokenCounter;
use crate::search::{Bm25, Vector};
use crate::text::one_line;

/// How many messages at the end of a chat make its query. What was said before is rarely what is asked now.
pub const CHAT_QUERY_MESSAGES: usize = 3;

/// A search.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// What is looked for. A blank query finds nothing.
    pub query: String,
    /// What it means, if that is known, in the space of the gists' vectors.
    pub meaning: Option<Vector>,
    /// Hits at most.
    pub topk: u32,
    /// Hits below this similarity are left out. NaN finds nothing; 0 or less admits what matches nothing, too.
    pub threshold: f64,
    /// Only what was stored at this instant or later.
    pub since: Timestamp,
}

/// A gist that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The gist.
    pub gist: Gist,
    /// 0 to 1. See [`KnownGists::search`].
    pub similarity: f64,
}

/// What a chat asks the memory for: the contents of its last three messages (oldest first).
pub fn chat_query(contents: &[String]) -> String {
    contents[contents.len().saturating_sub(CHAT_QUERY_MESSAGES)..].join("\n")
}

/// A gist as a line of a prompt, without its heading and without line break. When it happened stands beside it,
/// unless the heading says so.
pub fn gist_line(gist: &Gist) -> String {
    match gist.aside() {
        Some(date) => one_line(&format!("- {} [{date}]", gist.text)),
        None => one_line(&format!("- {}", gist.text)),
    }
}

/// What stands above the gists of a date, in as few tokens as a date takes.
pub(crate) fn date_line(date: &str) -> String {
    one_line(date) + ":"
}

/// How much of a hit's score goes to the other gists of its event. What answers a question often stands next to the
/// line that shares its words, and shares none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lending {
    /// The share of a gist's own score that each of its neighbours gets.
    neighbour: f64,
    /// The share of the best score in an event that each of its gists gets.
    event: f64,
    /// What the meaning of a gist together with its neighbours counts, where its own counts 1.
    wide: f64,
}

impl Lending {
    /// Every gist for itself.
    pub(crate) const NONE: Self = Self { neighbour: 0.0, event: 0.0, wide: 0.0 };

    /// For contexts. Measured on the development part of LoCoMo (786 questions, 1000 tokens): evidence recall 0.749,
    /// against 0.666 without lending; 0.4 to 0.6 and 0.2 to 0.5 differ by less than 0.01. A gist that shares no word
    /// with the query and stands next to none that does stays below 0.2 / 1.2, so below the wire's default
    /// threshold of 0.2.
    pub(crate) const CONTEXT: Self = Self { neighbour: 0.5, event: 0.2, wide: 0.5 };
}

/// The gists of a user with their lines and the token counts of these. Never changes: share it as an `Arc`.
#[derive(Debug)]
pub struct KnownGists {
    /// The revision of the user's memory that they belong to.
    pub revision: i64,
    /// Newest first.
    pub gists: Vec<Gist>,
    /// The [`gist_line`] of each.
    pub(crate) lines: Vec<Box<str>>,
    /// Tokens of each line, its line break included.
    pub(crate) line_tokens: Vec<u32>,
    /// Tokens of the [`date_line`] of each that has a heading, its line break included.
    pub(crate) date_tokens: Vec<u32>,
    /// What they mean, where that is known.
    meanings: Option<Meanings>,
    /// Made by the first search.
    index: OnceLock<Index>,
}

impl KnownGists {
    /// Writes and counts the lines of gists (newest first).
    pub fn new(revision: i64, gists: Vec<Gist>, counter: &dyn TokenCounter) -> Self {
        let lines: Vec<String> = gists.iter().map(|gist| gist_line(gist) + "\n").collect();
        let line_tokens = lines.iter().map(|line| counter.count(line)).collect();
        let lines = lines.into_iter().map(|line| line.trim_end_matches('\n').into()).collect();
        let mut last: (Option<&str>, u32) = (None, 0);
        let date_tokens = gists.iter().map(|gist| {
            // Gists of one day follow each other.
            if gist.heading() != last.0 {
                last = (gist.heading(), gist.heading().map_or(0, |date| counter.count(&(date_line(date) + "\n"))));
            }
            last.1
        });
        let date_tokens = date_tokens.collect();
        Self { revision, gists, lines, line_tokens, date_tokens, meanings: None, index: OnceLock::new() }
    }

    /// The same with vectors of the gists, all of one space. Those of other gists are passed over.
    #[must_use]
    pub fn with_vectors(self, vectors: Vec<(GistId, Vector)>) -> Self {
        Self { meanings: Meanings::of(&self.gists, vectors), ..self }
    }

    /// Whether the meaning of a query is of use: the meanings of most gists are known.
    pub fn has_meanings(&self) -> bool {
        self.meanings.is_some()
    }

    /// About how many bytes it takes in memory, its index included, for the limit of a cache.
    pub fn bytes(&self) -> usize {
        // A text stands in its line, too, and its index takes about as much as the text, twice: terms and postings.
        let each = size_of::<Gist>() + 2 * size_of::<u32>() + size_of::<Box<str>>();
        let text = |g: &Gist| 4 * g.text.len() + size_of::<crate::event::Source>() * g.sources.len();
        let meanings = self.meanings.as_ref().map_or(0, Meanings::bytes);
        size_of::<Self>() + meanings + self.gists.iter().map(|g| each + text(g)).sum::<usize>()
    }

    /// The gists that fit a query: best first, of equal similarity the newest first.
    ///
    /// The similarity is the score as a share of the best score in the range of time. BM25 has no scale of its
    /// own: shares keep a threshold's meaning ("at least a fifth as good as the best") from a query of one word to
    /// one of three long messages, of which no gist covers more than a small part. Where the meaning of the query is
    /// known, the score is the mean of that share and of the cosine, stretched from 0 for the farthest gist to 1 for the
    /// nearest. A sum of scores found more than a fusion of ranks did on the conversations of `Lending::CONTEXT`.
    pub fn search(&self, search: &Search) -> Vec<Hit> {
        let hit = |(at, similarity): (usize, f64)| Hit { gist: self.gists[at].clone(), similarity };
        self.rank(search, Lending::NONE).into_iter().map(hit).collect()
    }

    /// The events that fit a query, each with the similarity of its best gist: best first, of equal similarity the
    /// one with the newest gist first.
    pub fn search_events(&self, search: &Search) -> Vec<(EventId, f64)> {
        let gists = self.rank(&Search { topk: u32::MAX, ..search.clone() }, Lending::NONE);
        let mut seen = HashSet::new();
        let events = gists.into_iter().map(|(at, similarity)| (self.gists[at].event_id, similarity));
        events.filter(|(event, _)| seen.insert(*event)).take(search.topk as usize).collect()
    }

    /// The places of the gists that fit, with their similarities, in the order of [`KnownGists::search`].
    pub(crate) fn rank(&self, search: &Search, lending: Lending) -> Vec<(usize, f64)> {
        // Written so that NaN is refused.
        let possible = search.threshold <= 1.0 && search.topk > 0;
        if !possible || search.query.trim().is_empty() {
            return Vec::new();
        }
        let index = self.index.get_or_init(|| Index::build(&self.gists));
        let mut scores = index.words.scores(&search.query);
        scores.reverse();
        let in_range = |at: usize| self.gists[at].created_at >= search.since;
        for (at, score) in scores.iter_mut().enumerate() {
            if !in_range(at) {
                *score = 0.0;
            }
        }
        let mut scores = index.lend(scores, lending);
        let near = search.meaning.as_ref().and_then(|meaning| self.meanings.as_ref()?.nearness(meaning));
        if let Some(near) = near {
            scores = fused(&scores, &near, lending.wide, in_range);
        }
        let scores = scores.into_iter().enumerate();
        let mut hits: Vec<(usize, f64)> = scores.filter(|&(at, _)| in_range(at)).collect();
        let best = hits.iter().map(|hit| hit.1).fold(0.0, f64::max);
        if best > 0.0 {
            hits.iter_mut().for_each(|hit| hit.1 /= best);
        }
        hits.retain(|&(_, similarity)| similarity >= search.threshold && (similarity > 0.0 || search.threshold <= 0.0));
        hits.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        hits.truncate(search.topk as usize);
        hits
    }
}

/// Scores by words and by meaning in one, 0 to 1. A gist without a vector has those by its words alone.
fn fused(words: &[f64], near: &Nearness, wide: f64, in_range: impl Fn(usize) -> bool) -> Vec<f64> {
    let best = words.iter().copied().fold(0.0, f64::max);
    let known = |at: &usize| in_range(*at) && near.own[*at].is_some();
    let own = Stretch::of((0..words.len()).filter(known).filter_map(|at| near.own[at]));
    let around = Stretch::of((0..words.len()).filter(known).map(|at| near.wide[at]));
    let score = |(at, words): (usize, &f64)| {
        let words = if best > 0.0 { words / best } else { 0.0 };
        match near.own[at] {
            Some(cosine) => (words + own.of_one(cosine) + wide * around.of_one(near.wide[at])) / (2.0 + wide),
            None => words,
        }
    };
    words.iter().enumerate().map(score).collect()
}

/// Stretches numbers over 0 to 1.
struct Stretch {
    least: f64,
    range: f64,
}

impl Stretch {
    fn of(numbers: impl Iterator<Item = f32>) -> Self {
        let (least, most) =
            numbers.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), number| (a.min(number), b.max(number)));
        Self { least: least.into(), range: f64::from(most) - f64::from(least) }
    }

    fn of_one(&self, number: f32) -> f64 {
        if self.range > 0.0 { (f64::from(number) - self.least) / self.range } else { 0.0 }
    }
}

/// What the first search of a snapshot makes for all others.
#[derive(Debug)]
struct Index {
    /// Oldest first, the other way round than the gists.
    words: Bm25,
    /// The places of the gists, event by event, in the order of each event.
    events: Vec<Vec<u32>>,
}

impl Index {
    fn build(gists: &[Gist]) -> Self {
        let mut events: HashMap<EventId, Vec<u32>> = HashMap::new();
        for (at, gist) in (0..).zip(gists) {
            events.entry(gist.event_id).or_default().push(at);
        }
        let mut events: Vec<Vec<u32>> = events.into_values().filter(|places| places.len() > 1).collect();
        for places in &mut events {
            places.sort_by_key(|&at| gists[at as usize].position);
        }
        let mut words = Bm25::default();
        for gist in gists.iter().rev() {
            words.add(&searchable(gist));
        }
        Self { words, events }
    }

    fn lend(&self, own: Vec<f64>, lending: Lending) -> Vec<f64> {
        let mut scores = own.clone();
        for places in &self.events {
            let best = places.iter().map(|&at| own[at as usize]).fold(0.0, f64::max);
            for &at in places {
                scores[at as usize] += lending.event * best;
            }
            for pair in places.windows(2) {
                scores[pair[0] as usize] += lending.neighbour * own[pair[1] as usize];
                scores[pair[1] as usize] += lending.neighbour * own[pair[0] as usize];
            }
        }
        scores
    }
}

/// The text that the meaning of a gist is made of: its own, behind the name of who said it, if it comes from one person.
/// Questions name people, where "I" is all that they say of themselves.
pub fn embeddable(text: &str, sources: &[Source]) -> String {
    match sources.first().and_then(|source| source.speaker.as_deref()) {
        Some(speaker) if sources.iter().all(|source| source.speaker.as_deref() == Some(speaker)) => {
            one_line(&format!("{speaker}: {text}"))
        }
        _ => text.to_owned(),
    }
}

/// The text that a gist is found by: its own, and its dates in the words in which questions name one ("in May 2023").
/// Measured as in [`Lending::CONTEXT`]: 0.749 against 0.730 without the date.
fn searchable(gist: &Gist) -> String {
    let mut text = gist.text.clone();
    for date in gist.heading().into_iter().chain(gist.aside()) {
        let mut parts = date.splitn(3, '-');
        let year = parts.next().unwrap_or_default();
        let month = parts.next().and_then(|month| month.parse::<usize>().ok()?.checked_sub(1));
        let month = month.and_then(|month| MONTHS.get(month)).copied().unwrap_or_default();
        let day = parts.next().unwrap_or_default().trim_start_matches('0');
        text = format!("{text} {day} {month} {year}");
    }
    text
}

#[rustfmt::skip]
const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
];

#[cfg(test)]
mod tests;
