//! The gists of one user as a searchable snapshot.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use super::fusion::{Weights, fused};
use super::meaning::{Meanings, Nearness};
use super::search::{Found, FoundEvents, Hit, Scores, Search, Tally, TimeRange};
use crate::dates::{Leaning, leaning, without_days, words_asked, words_of};
use crate::event::{Gist, Source};
use crate::ids::{EventId, GistId};
use crate::ports::TokenCounter;
use crate::search::{Bm25, Vector};
use crate::text::one_line;

/// How many messages at the end of a chat make its query. What was said before is rarely what is asked now.
pub const CHAT_QUERY_MESSAGES: usize = 3;

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

/// How much of a hit's score by words goes to the other gists of its event. What answers a question often stands next to
/// the line that shares its words, and shares none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lending {
    /// Where words alone decide.
    by_words: Shares,
    /// Where meanings are known, too.
    with_meanings: Shares,
    /// What words and neighbours count beside the meaning of a gist.
    weights: Weights,
}

#[derive(Clone, Copy, Debug)]
struct Shares {
    /// The share of a gist's own score that each of its neighbours gets.
    neighbour: f64,
    /// The share of the best score in an event that each of its gists gets.
    event: f64,
}

impl Shares {
    const NONE: Self = Self { neighbour: 0.0, event: 0.0 };
}

impl Lending {
    /// Every gist for itself, words and meaning alike.
    pub(crate) const NONE: Self =
        Self { by_words: Shares::NONE, with_meanings: Shares::NONE, weights: Weights { words: 1.0, wide: 0.0 } };

    /// For contexts. Measured on the development part of LoCoMo (786 questions, 1,000 tokens): by words alone 0.3 to 0.6
    /// and 0.2 to 0.5 differ by less than 0.01. A gist that shares no word with the query and stands next to none
    /// that does stays below 0.2 / 1.2 then, so below the wire's default threshold of 0.2.
    pub(crate) const CONTEXT: Self = Self {
        by_words: Shares { neighbour: 0.5, event: 0.2 },
        with_meanings: Shares { neighbour: 0.3, event: 0.4 },
        weights: Weights { words: 2.0, wide: 0.5 },
    };
}

/// The gists of a user with their lines and the token counts of these. Share it as an `Arc`.
#[derive(Clone, Debug)]
pub struct KnownGists {
    /// The revision of the user's memory that they belong to.
    pub revision: i64,
    /// How many older gists there are that are not among these.
    older: u64,
    /// Oldest first: the order of the store the other way round.
    gists: Vec<Gist>,
    /// The [`gist_line`] of each.
    lines: Vec<Box<str>>,
    /// Tokens of each line, its line break included.
    line_tokens: Vec<u32>,
    /// Tokens of the [`date_line`] of each that has a heading, its line break included.
    date_tokens: Vec<u32>,
    /// What they mean, where that is known.
    meanings: Option<Meanings>,
    /// Their words. Made by the first search.
    words: OnceLock<Bm25>,
}

/// What a ranking of gists came to. The scores are none where nothing was asked.
#[derive(Debug, Default)]
pub(crate) struct Ranking {
    /// The places of the gists that fit, with their similarities: best first, of equal similarity the newest first.
    pub(crate) hits: Vec<(usize, f64)>,
    pub(crate) tally: Tally,
    words: Vec<f64>,
    lent: Vec<f64>,
    near: Option<Nearness>,
}

impl Ranking {
    /// What the similarity of a gist is made of.
    pub(crate) fn scores(&self, at: usize) -> Scores {
        let words = self.words.get(at).copied().unwrap_or_default();
        let near = self.near.as_ref();
        let meaning = near.and_then(|near| near.own[at]);
        Scores {
            words,
            lent: self.lent.get(at).map_or(0.0, |sum| sum - words),
            meaning,
            around: meaning.and(near).map(|near| near.wide[at]),
        }
    }
}

impl KnownGists {
    /// Writes and counts the lines of gists (newest first).
    pub fn new(revision: i64, gists: Vec<Gist>, counter: &dyn TokenCounter) -> Self {
        let mut known = Self {
            revision,
            older: 0,
            gists: Vec::new(),
            lines: Vec::new(),
            line_tokens: Vec::new(),
            date_tokens: Vec::new(),
            meanings: None,
            words: OnceLock::new(),
        };
        known.push(gists.into_iter().rev(), counter);
        known
    }

    /// The same, where so many older gists are not among these.
    #[must_use]
    pub fn with_older(self, older: u64) -> Self {
        Self { older, ..self }
    }

    /// The same, at another revision of the memory that changed none of it.
    #[must_use]
    pub fn at_revision(self, revision: i64) -> Self {
        Self { revision, ..self }
    }

    /// The same with vectors of the gists, all of one space. Those of other gists are passed over.
    #[must_use]
    pub fn with_vectors(mut self, vectors: Vec<(GistId, Vector)>) -> Self {
        let Some((_, first)) = vectors.first() else { return self };
        let meanings = self.meanings.get_or_insert_with(|| Meanings::new(first.numbers().len()));
        meanings.extend(&self.gists);
        meanings.put(&self.gists, vectors);
        self
    }

    /// The same after a commit that stored one more event with these gists (in order of position). None when the event
    /// is not the newest: then its place among the others is for the store to say.
    #[must_use]
    pub fn with_event(mut self, revision: i64, gists: Vec<Gist>, counter: &dyn TokenCounter) -> Option<Self> {
        if let (Some(last), Some(first)) = (self.gists.last(), gists.first())
            && last.created_at > first.created_at
        {
            return None;
        }
        self.revision = revision;
        self.push(gists.into_iter().rev(), counter);
        if let Some(meanings) = &mut self.meanings {
            meanings.extend(&self.gists);
        }
        Some(self)
    }

    fn push(&mut self, gists: impl Iterator<Item = Gist>, counter: &dyn TokenCounter) {
        for gist in gists {
            let line = gist_line(&gist) + "\n";
            self.line_tokens.push(counter.count(&line));
            self.lines.push(line.trim_end_matches('\n').into());
            let before = self.gists.last().zip(self.date_tokens.last().copied());
            self.date_tokens.push(match (gist.heading(), before) {
                (None, _) => 0,
                // Gists of one day follow each other.
                (heading, Some((last, tokens))) if last.heading() == heading => tokens,
                (Some(date), _) => counter.count(&(date_line(date) + "\n")),
            });
            if let Some(words) = self.words.get_mut() {
                words.add(&searchable(&gist));
            }
            self.gists.push(gist);
        }
    }

    /// The messages that these events come from, those of each in the order of its gists. What is not known whole is
    /// left out: of the oldest event, older gists may not be among these.
    pub fn sources_of(&self, events: &HashSet<EventId>) -> HashMap<EventId, Vec<Source>> {
        let cut = self.gists.first().filter(|_| self.older > 0).map(|oldest| oldest.event_id);
        let is_wanted = |id: EventId| events.contains(&id) && Some(id) != cut;
        let by_event = self.gists.chunk_by(|one, next| one.event_id == next.event_id);
        let of = |gists: &[Gist]| Source::of(gists.iter().rev());
        by_event
            .map(|gists| (gists[0].event_id, gists))
            .filter(|(id, _)| is_wanted(*id))
            .map(|(id, g)| (id, of(g)))
            .collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.gists.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.gists.is_empty()
    }

    pub(crate) fn gist(&self, at: usize) -> &Gist {
        &self.gists[at]
    }

    pub(crate) fn line(&self, at: usize) -> &str {
        &self.lines[at]
    }

    pub(crate) fn line_tokens(&self, at: usize) -> u32 {
        self.line_tokens[at]
    }

    pub(crate) fn date_tokens(&self, at: usize) -> u32 {
        self.date_tokens[at]
    }

    /// Whether the meaning of a query is of use: the meanings of most gists are known.
    pub fn has_meanings(&self) -> bool {
        self.useful_meanings().is_some()
    }

    /// The meanings, unless fewer than half of the gists have one: then their words alone decide.
    fn useful_meanings(&self) -> Option<&Meanings> {
        self.meanings.as_ref().filter(|meanings| meanings.known() > 0 && meanings.known() * 2 >= self.gists.len())
    }

    /// About how many bytes it takes in memory, its index included, for the limit of a cache.
    pub fn bytes(&self) -> usize {
        // A text stands in its line, too, and its index takes about as much as the text, twice: terms and postings. So does
        // that of what was said before.
        let each = size_of::<Gist>() + 2 * size_of::<u32>() + size_of::<Box<str>>();
        // What has grown has room for more.
        let spare = each * (self.gists.capacity() - self.gists.len());
        let heard = |s: &Source| s.heard.as_ref().map_or(0, String::len);
        let source = |s: &Source| s.bytes() + 2 * heard(s);
        let text = |g: &Gist| 4 * g.text.len() + g.sources.iter().map(source).sum::<usize>();
        let meanings = self.meanings.as_ref().map_or(0, Meanings::bytes);
        size_of::<Self>() + meanings + spare + self.gists.iter().map(|g| each + text(g)).sum::<usize>()
    }

    /// The gists that fit a query: best first, of equal similarity the newest first.
    ///
    /// The similarity is the score as a share of the best score in the range of time. BM25 has no scale of its
    /// own: shares keep a threshold's meaning ("at least a fifth as good as the best") from a query of one word to
    /// one of three long messages, of which no gist covers more than a small part. Where the meaning of the query is
    /// known, the score is the mean of that share and of the cosine, stretched from 0 for the farthest gist to 1 for
    /// the nearest. A sum of scores found more than a fusion of ranks did on the conversations of `Lending::CONTEXT`.
    pub fn search(&self, search: &Search) -> Found {
        let ranking = self.rank(search, Lending::NONE);
        Found { hits: ranking.hits.iter().map(|&hit| self.hit(&ranking, hit)).collect(), tally: ranking.tally }
    }

    /// The events that fit a query, each as similar as its best gist: best first, of equal similarity the
    /// one with the newest gist first.
    pub fn search_events(&self, search: &Search) -> FoundEvents {
        let ranking = self.rank(&Search { topk: u32::MAX, ..search.clone() }, Lending::NONE);
        let mut seen = HashSet::new();
        let mut best = ranking.hits.iter().filter(|hit| seen.insert(self.gists[hit.0].event_id));
        let events = best.by_ref().take(search.topk as usize);
        let events = events.map(|&hit| (self.gists[hit.0].event_id, self.hit(&ranking, hit))).collect();
        FoundEvents { events, tally: Tally { beyond_topk: best.count(), ..ranking.tally } }
    }

    pub(crate) fn hit(&self, ranking: &Ranking, (at, similarity): (usize, f64)) -> Hit {
        let tokens = self.line_tokens[at];
        Hit { gist: self.gists[at].clone(), similarity, scores: ranking.scores(at), tokens }
    }

    /// The gists in a range of time, newest first, as similar as to no query.
    pub(crate) fn newest(&self, range: &TimeRange) -> Ranking {
        let (in_range, tally) = self.in_range(range);
        let hits = (0..self.gists.len()).rev().filter(|&at| in_range[at]).map(|at| (at, 0.0)).collect();
        Ranking { hits, tally, ..Ranking::default() }
    }

    fn in_range(&self, range: &TimeRange) -> (Vec<bool>, Tally) {
        let mut tally = Tally { older: self.older, ..Tally::default() };
        let in_range = self.gists.iter().map(|gist| {
            let (is_stored, has_happened) = (gist.created_at >= range.stored_since, range.happened.has(gist));
            match (is_stored, has_happened) {
                (true, true) => tally.considered += 1,
                (false, _) => tally.stored_before += 1,
                (true, false) => tally.of_other_times += 1,
            }
            is_stored && has_happened
        });
        (in_range.collect(), tally)
    }

    /// Ranks the gists as [`KnownGists::search`] says.
    pub(crate) fn rank(&self, search: &Search, lending: Lending) -> Ranking {
        // Written so that NaN is refused.
        let possible = search.threshold <= 1.0;
        let (in_range, mut tally) = self.in_range(&search.range);
        if !possible || search.query.trim().is_empty() {
            return Ranking { tally: Tally { dissimilar: tally.considered, ..tally }, ..Ranking::default() };
        }
        let index = self.words.get_or_init(|| Bm25::build(self.gists.iter().map(searchable)));
        let date = search.asked_on.and_then(|day| words_asked(&search.query, day));
        let mut words = match date {
            Some(date) => index.scores(&format!("{}\n{date}", without_days(&search.query))),
            None => index.scores(&search.query),
        };
        for (score, _) in words.iter_mut().zip(&in_range).filter(|(_, in_range)| !**in_range) {
            *score = 0.0;
        }
        let near = search.meaning.as_ref().and_then(|meaning| self.useful_meanings()?.nearness(meaning));
        let lent = self.lend(&words, if near.is_some() { lending.with_meanings } else { lending.by_words });
        let mut scores = match &near {
            Some(near) => fused(&lent, near, lending.weights, &in_range),
            None => lent.clone(),
        };
        if let Some(leaning) = leaning(&search.query) {
            lean(&mut scores, leaning, &in_range);
        }
        let best = scores.iter().zip(&in_range).filter(|(_, in_range)| **in_range).map(|(score, _)| *score);
        let best = best.fold(0.0, f64::max);
        let share = |score: f64| if best > 0.0 { score / best } else { score };
        let scores = scores.iter().map(|score| share(*score)).enumerate();
        let fits = |&(at, similarity): &(usize, f64)| {
            in_range[at] && similarity >= search.threshold && (similarity > 0.0 || search.threshold <= 0.0)
        };
        let mut hits: Vec<(usize, f64)> = scores.filter(fits).collect();
        hits.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
        tally.dissimilar = tally.considered - hits.len();
        tally.beyond_topk = hits.len().saturating_sub(search.topk as usize);
        hits.truncate(search.topk as usize);
        Ranking { hits, tally, words, lent, near }
    }

    fn lend(&self, own: &[f64], shares: Shares) -> Vec<f64> {
        let mut scores = own.to_vec();
        let mut first = 0;
        for event in self.gists.chunk_by(|a, b| a.event_id == b.event_id) {
            let own = &own[first..first + event.len()];
            let scores = &mut scores[first..first + event.len()];
            first += event.len();
            let best = own.iter().copied().fold(0.0, f64::max);
            if own.len() == 1 || best == 0.0 {
                continue;
            }
            for (at, score) in scores.iter_mut().enumerate() {
                let near = own[at.saturating_sub(1)..(at + 2).min(own.len())].iter().sum::<f64>() - own[at];
                *score += shares.event * best + shares.neighbour * near;
            }
        }
        scores
    }
}

/// How much of its score a gist loses at the far end of time, where a question leans to the other: enough to choose among
/// those that fit alike, and too little to hide one that fits well.
const LEANING: f64 = 0.1;

/// Lets the scores in the range (oldest first) lean to one end of it.
fn lean(scores: &mut [f64], leaning: Leaning, in_range: &[bool]) {
    let last = in_range.iter().filter(|in_range| **in_range).count().saturating_sub(1).max(1) as f64;
    let ranged = scores.iter_mut().zip(in_range).filter(|(_, in_range)| **in_range);
    for (at, (score, _)) in ranged.enumerate() {
        let age = match leaning {
            Leaning::Oldest => at as f64,
            Leaning::Newest => last - at as f64,
        };
        *score *= 1.0 - LEANING * age / last;
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

/// The text that a gist is found by: its own behind who said it, its dates in the words in which questions name one
/// ("in May 2023"), and what it answers. Measured as in [`Lending::CONTEXT`]: the date is worth 0.019, what was said
/// before 0.033, and 0.016 where meanings are known.
fn searchable(gist: &Gist) -> String {
    let mut text = embeddable(&gist.text, &gist.sources);
    for date in gist.heading().into_iter().chain(gist.aside()) {
        text = text + " " + &words_of(date);
    }
    for heard in gist.sources.iter().filter_map(|source| source.heard.as_deref()) {
        text = text + "\n" + heard;
    }
    text
}

#[cfg(test)]
mod tests;
