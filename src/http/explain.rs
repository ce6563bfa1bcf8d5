//! Why an answer is what it is: what `explain=true` shows of contexts and searches.

use memory::context::{Explained, Explanation, Line, MAX_EXPLAINED, Origin};
use memory::event::Source;
use memory::recall::{Hit, Scores, SlotTally, Tally, gist_line};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::sources::{self, SourceView};

/// Messages that a line is said to come from at most: the first.
const MAX_SOURCES: usize = 10;

/// The parameter that asks for it.
pub(super) const NAME: &str = "explain";

/// What kept some away, and how many.
#[derive(Serialize, ToSchema)]
pub(super) struct LeftOut {
    /// The parameter of the request, or the key of the configuration (`search_max_gists`).
    limit: &'static str,
    /// How many it kept away. Each is counted once.
    count: u64,
}

/// What a similarity is made of.
#[derive(Serialize, ToSchema)]
struct ScoresView {
    /// BM25: the words in common with the query.
    words: f64,
    /// What the lines around it lend to that.
    lent: f64,
    /// The cosine of its vector with the query's.
    #[schema(required)]
    meaning: Option<f32>,
    /// The same of it together with its neighbours.
    #[schema(required)]
    around: Option<f32>,
}

impl From<Scores> for ScoresView {
    fn from(Scores { words, lent, meaning, around }: Scores) -> Self {
        Self { words, lent, meaning, around }
    }
}

/// A line of an answer.
#[derive(Serialize, Default, ToSchema)]
struct LineView {
    /// As it stands in a context.
    text: String,
    /// Its tokens, with its line break, and with the date above it where it is the first of that.
    tokens: u32,
    /// The slot that it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    slot_id: Option<Uuid>,
    /// The gist that it shows, or by which its event was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    gist_id: Option<Uuid>,
    /// Its event.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<Uuid>,
    /// When it was told, as a date, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    said_at: Option<String>,
    /// When it happened, as a date or a part of one, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<String>,
    /// 0 to 1; null where nothing was searched for.
    #[schema(required)]
    similarity: Option<f64>,
    /// What that is made of.
    #[schema(required)]
    scores: Option<ScoresView>,
    /// The messages that it comes from.
    sources: Vec<SourceView>,
}

impl LineView {
    fn of_gist(text: String, tokens: u32, hit: Hit, searched: bool) -> Self {
        Self {
            text,
            tokens,
            gist_id: Some(hit.gist.id.0),
            event_id: Some(hit.gist.event_id.0),
            said_at: hit.gist.said_at,
            occurred_at: hit.gist.occurred_at,
            similarity: searched.then_some(hit.similarity),
            scores: searched.then(|| hit.scores.into()),
            sources: few(hit.gist.sources),
            ..Self::default()
        }
    }

    fn new(Line { text, tokens, origin }: Line, searched: bool) -> Self {
        match origin {
            Origin::Slot(slot) => {
                let sources = few(slot.sources);
                Self { text, tokens, slot_id: Some(slot.id.0), sources, ..Self::default() }
            }
            Origin::Gist(hit) => Self::of_gist(text, tokens, hit, searched),
            Origin::Event(_, Some(hit)) => Self::of_gist(text, tokens, hit, searched),
            Origin::Event(id, None) => Self { text, tokens, event_id: Some(id.0), ..Self::default() },
            Origin::Said(source) => Self { text, tokens, sources: sources::views([source]), ..Self::default() },
        }
    }
}

/// Why a search found what it found.
#[derive(Serialize, ToSchema)]
pub(super) struct SearchExplained {
    /// Gists that were compared with the query.
    considered: usize,
    /// The first 1,000 of what was found, in its order; of an event, its best gist.
    lines: Vec<LineView>,
    /// What was not.
    left_out: Vec<LeftOut>,
}

impl SearchExplained {
    /// Of a search that found these.
    pub(super) fn new(hits: impl IntoIterator<Item = Hit>, tally: Tally) -> Self {
        let line = |hit: Hit| LineView::of_gist(gist_line(&hit.gist), hit.tokens, hit, true);
        let left_out = left_out_of(tally, "similarity_threshold", [("topk", tally.beyond_topk)]);
        Self { considered: tally.considered, lines: hits.into_iter().take(MAX_EXPLAINED).map(line).collect(), left_out }
    }
}

/// A section of a context.
#[derive(Serialize, ToSchema)]
struct SectionView {
    /// Tokens that it could have.
    max_tokens: u32,
    /// Tokens that its lines have.
    tokens: u32,
    /// How many lines it has.
    shown: usize,
    /// The first 1,000 of them, in the order in which they were chosen.
    lines: Vec<LineView>,
    /// What is not there.
    left_out: Vec<LeftOut>,
    /// The first lines that `max_token_size` had no room for, ten at most.
    next: Vec<LineView>,
}

impl SectionView {
    fn new(part: Explained, searched: bool, mut left_out: Vec<LeftOut>) -> Self {
        left_out.extend(some([("max_token_size", part.left_out), ("customize_context_prompt", part.not_in_prompt)]));
        let views = |lines: Vec<Line>| lines.into_iter().map(|line| LineView::new(line, searched)).collect();
        let Explained { max_tokens, tokens, shown, lines, next, .. } = part;
        Self { max_tokens, tokens, shown, lines: views(lines), left_out, next: views(next) }
    }
}

/// Why a context is what it is.
#[derive(Serialize, ToSchema)]
pub(super) struct ContextExplained {
    /// Tokens that it could have.
    max_tokens: u32,
    /// Tokens that it has.
    tokens: u32,
    /// Tokens of what is not remembered in it: the frame, or the client's own prompt.
    frame_tokens: u32,
    /// Gists that came into question.
    considered: usize,
    /// The profile.
    profile: SectionView,
    /// The events.
    events: SectionView,
    /// What was just said; with `include_buffer`.
    buffer: SectionView,
}

impl ContextExplained {
    /// Of a context for a request of so many tokens. `searched`: it was for a chat.
    pub(super) fn new(max_tokens: u32, searched: bool, why: Explanation) -> Self {
        let Explanation { tokens, frame_tokens, profile, slots, events, gists, without_summary, said, .. } = why;
        let SlotTally { not_chosen, other_topics, beyond_topic } = slots;
        let filters = [
            ("chats_str", not_chosen),
            ("only_topics", other_topics),
            ("max_subtopic_size, topic_limits_json", beyond_topic),
        ];
        Self {
            max_tokens,
            tokens,
            frame_tokens,
            considered: gists.considered,
            profile: SectionView::new(profile, false, some(filters).collect()),
            events: SectionView::new(
                events,
                searched,
                left_out_of(gists, "event_similarity_threshold", [("require_event_summary", without_summary)]),
            ),
            buffer: SectionView::new(said, false, Vec::new()),
        }
    }
}

fn left_out_of<const N: usize>(
    tally: Tally,
    threshold: &'static str,
    more: [(&'static str, usize); N],
) -> Vec<LeftOut> {
    let older = LeftOut { limit: "search_max_gists", count: tally.older };
    let limits = [
        ("time_range_in_days", tally.stored_before),
        ("happened_from, happened_until", tally.of_other_times),
        (threshold, tally.dissimilar),
    ];
    let older = Some(older).filter(|older| older.count > 0);
    older.into_iter().chain(some(limits)).chain(some(more)).collect()
}

/// The first of the messages that a line comes from.
fn few(sources: Vec<Source>) -> Vec<SourceView> {
    sources::views(sources.into_iter().take(MAX_SOURCES))
}

/// Those that kept something away.
fn some<const N: usize>(limits: [(&'static str, usize); N]) -> impl Iterator<Item = LeftOut> {
    limits.into_iter().filter(|limit| limit.1 > 0).map(|(limit, count)| LeftOut { limit, count: count as u64 })
}
