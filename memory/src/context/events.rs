//! What the events of a context could show: gists under their days, or the summaries of whole events.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::{ContextRequest, Remembered, Section, line_tokens};
use crate::event::Event;
use crate::ids::EventId;
use crate::ports::TokenCounter;
use crate::recall::{Hit, KnownGists, Lending, Ranking, Search, Tally, TimeRange, chat_query, date_line};
use crate::text::one_line;

/// What the events of a context could show, best first.
pub(super) enum EventLines<'a> {
    Summaries {
        lines: Vec<Summary>,
        tally: Tally,
        /// Events that were found and have no summary, or are not among those that were given.
        without: usize,
    },
    Gists(&'a KnownGists, Ranking),
}

/// The lines of an event's summary, and the gist by which a search found it.
pub(super) struct Summary {
    pub(super) event: EventId,
    pub(super) hit: Option<Hit>,
    pub(super) text: String,
}

impl<'a> EventLines<'a> {
    pub(super) fn new(request: &ContextRequest, remembered: &Remembered<'a>, now: Timestamp) -> Self {
        let range = TimeRange { happened: request.happened, ..TimeRange::within_days(now, request.time_range_in_days) };
        let chats = request.chats.as_deref().filter(|chats| !chats.is_empty());
        let search = chats.map(|chats| Search {
            query: chat_query(chats),
            asked_on: request.asked_on,
            meaning: request.meaning.clone(),
            topk: u32::MAX,
            threshold: request.threshold,
            range,
        });
        let Some(gists) = remembered.gists else {
            return Self::Summaries { lines: Vec::new(), tally: Tally::default(), without: 0 };
        };
        match search {
            search if request.require_event_summary => summaries(gists, remembered.events, search.as_ref(), &range),
            Some(search) => Self::Gists(gists, gists.rank(&search, Lending::CONTEXT)),
            None => Self::Gists(gists, gists.newest(&range)),
        }
    }

    pub(super) fn section(&self, counter: &dyn TokenCounter, times: u32, max_tokens: u32) -> Section {
        match self {
            Self::Summaries { lines, .. } => {
                let tokens = |summary: &Summary| line_tokens(&summary.text, counter);
                let text = |shown: &[Summary]| shown.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join("\n");
                Section::of(lines, times, max_tokens, tokens, text)
            }
            Self::Gists(gists, ranking) => {
                let mut dates = HashSet::new();
                let tokens = |&(at, _): &(usize, f64)| gist_tokens(gists, at, &mut dates);
                Section::of(&ranking.hits, times, max_tokens, tokens, |hits| by_date(gists, hits))
            }
        }
    }
}

/// Tokens of a gist's line, and of its date where that is not among `dates` yet.
pub(super) fn gist_tokens<'a>(gists: &'a KnownGists, at: usize, dates: &mut HashSet<&'a str>) -> u32 {
    let heading = gists.gist(at).heading().filter(|date| dates.insert(*date));
    gists.line_tokens(at).saturating_add(heading.map_or(0, |_| gists.date_tokens(at)))
}

/// The gists under their dates, each date where its first gist stands. Those without a date come before all dates.
fn by_date(gists: &KnownGists, hits: &[(usize, f64)]) -> String {
    let mut days: Vec<Vec<Cow<'_, str>>> = vec![Vec::new()];
    let mut day_of: HashMap<Option<&str>, usize> = HashMap::from([(None, 0)]);
    for &(at, _) in hits {
        let heading = gists.gist(at).heading();
        let day = *day_of.entry(heading).or_insert_with(|| {
            days.push(vec![date_line(heading.unwrap_or_default()).into()]);
            days.len() - 1
        });
        days[day].push(gists.line(at).into());
    }
    days.concat().join("\n")
}

/// The summaries of the events that fit the search, best first, or else of the newest.
fn summaries<'a>(gists: &KnownGists, events: &[Event], search: Option<&Search>, range: &TimeRange) -> EventLines<'a> {
    let line = |event: &Event, hit| Some(Summary { event: event.id, hit, text: summary(event)? });
    let Some(search) = search else {
        let ranking = gists.newest(range);
        let happened: HashSet<EventId> = ranking.hits.iter().map(|&(at, _)| gists.gist(at).event_id).collect();
        let is_in = |event: &&Event| range.happened.is_open() || happened.contains(&event.id);
        let newest: Vec<&Event> = events.iter().filter(|e| e.created_at >= range.stored_since).filter(is_in).collect();
        let lines: Vec<Summary> = newest.iter().filter_map(|event| line(event, None)).collect();
        // Of older ones only the gists are known.
        let events = newest.len().max(happened.len());
        return EventLines::Summaries { without: events - lines.len(), lines, tally: ranking.tally };
    };
    let by_id: HashMap<EventId, &Event> = events.iter().map(|event| (event.id, event)).collect();
    let found = gists.search_events(search);
    let events = found.events.len();
    let lines = found.events.into_iter().filter_map(|(id, hit)| line(by_id.get(&id)?, Some(hit)));
    let lines: Vec<Summary> = lines.collect();
    EventLines::Summaries { without: events - lines.len(), lines, tally: found.tally }
}

/// The lines of an event's summary, each as one of a list. None when there is nothing to show.
fn summary(event: &Event) -> Option<String> {
    let lines = event.data.event_tip.as_deref()?.lines().map(one_line);
    let lines = lines.map(|line| line.strip_prefix("- ").unwrap_or(&line).to_owned()).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(|line| format!("- {line}")).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
