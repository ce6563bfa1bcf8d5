//! What a search asks for, and what it tells of its way to an answer.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::dates;
use crate::event::Gist;
use crate::ids::EventId;
use crate::search::Vector;

/// A search.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// What is looked for. A blank query finds nothing.
    pub query: String,
    /// The day on which it is asked: "last summer" counts from there. None: such words mean no date.
    pub asked_on: Option<Date>,
    /// What it means, if that is known, in the space of the gists' vectors.
    pub meaning: Option<Vector>,
    /// Hits at most.
    pub topk: u32,
    /// Hits below this similarity are left out. NaN finds nothing; 0 or less admits what matches nothing, too.
    pub threshold: f64,
    /// Which gists come into question.
    pub range: TimeRange,
}

impl Search {
    /// A search by words alone, through all gists.
    pub fn by_words(query: impl Into<String>, topk: u32, threshold: f64) -> Self {
        let (asked_on, meaning, range) = (None, None, TimeRange::default());
        Self { query: query.into(), asked_on, meaning, topk, threshold, range }
    }
}

/// Which gists come into question by their times. The default is all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeRange {
    /// Those stored at this instant or later.
    pub stored_since: Timestamp,
    /// Those of which something happened in this period.
    pub happened: Period,
}

impl Default for TimeRange {
    fn default() -> Self {
        Self { stored_since: Timestamp::MIN, happened: Period::default() }
    }
}

impl TimeRange {
    /// What was stored within so many days (of 24 hours) before `now`.
    pub fn within_days(now: Timestamp, days: u32) -> Self {
        let stored_since = now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MIN);
        Self { stored_since, ..Self::default() }
    }
}

/// Some days, the first and the last among them. An end that is none is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Period {
    /// The first day.
    pub from: Option<Date>,
    /// The last day.
    pub until: Option<Date>,
}

impl Period {
    /// Whether every day is in it.
    pub fn is_open(&self) -> bool {
        self.from.is_none() && self.until.is_none()
    }

    /// Whether a gist happened in it, at least in part: a gist of "2023-05" may have happened on any day of May. What
    /// happened is dated by its own date, or else by the day on which it was told; what has neither is in no period but
    /// the open one.
    pub fn has(&self, gist: &Gist) -> bool {
        if self.is_open() {
            return true;
        }
        let days = |date: &Option<String>| date.as_deref().and_then(dates::days_of);
        let Some((first, last)) = days(&gist.occurred_at).or_else(|| days(&gist.said_at)) else { return false };
        self.from.is_none_or(|from| last >= from) && self.until.is_none_or(|until| first <= until)
    }
}

/// What a hit's similarity is made of.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Scores {
    /// Its BM25 score: the words it shares with the query. 0 or more, without a scale of its own.
    pub words: f64,
    /// What the lines around it lend to that; only in contexts.
    pub lent: f64,
    /// The cosine of its vector with the query's, -1 to 1. None where either is not known.
    pub meaning: Option<f32>,
    /// The same of it together with its neighbours in its event.
    pub around: Option<f32>,
}

/// A gist that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The gist.
    pub gist: Gist,
    /// 0 to 1. See [`super::KnownGists::search`].
    pub similarity: f64,
    /// What it is made of.
    pub scores: Scores,
    /// Tokens of its line in a context, with its line break.
    pub tokens: u32,
}

/// How many gists a search looked at, and what kept the others away. Each is counted once: where it was left out first,
/// in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Those that were compared with the query.
    pub considered: usize,
    /// Older than the newest that are searched.
    pub older: u64,
    /// Stored before the range of time.
    pub stored_before: usize,
    /// Of another time than was asked for, or of none.
    pub of_other_times: usize,
    /// Below the threshold, or without anything in common with the query.
    pub dissimilar: usize,
    /// Worse than the best that were asked for: gists, or events where events are searched.
    pub beyond_topk: usize,
}

/// The gists that a search found.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Found {
    /// Best first.
    pub hits: Vec<Hit>,
    /// How they were found.
    pub tally: Tally,
}

/// The events that a search found.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FoundEvents {
    /// Each with its best gist, best first.
    pub events: Vec<(EventId, Hit)>,
    /// How they were found.
    pub tally: Tally,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::GistId;
    use uuid::Uuid;

    #[test]
    fn a_time_range_ends_at_the_beginning_of_time() {
        let before = |now, days| TimeRange::within_days(now, days).stored_since;
        let now: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        assert_eq!(before(now, 0), now);
        assert_eq!(before(now, 22), "2026-10-31T00:00:00Z".parse().unwrap());
        assert_eq!(before(Timestamp::MIN, 36_500), Timestamp::MIN);
    }

    #[test]
    fn a_period_has_what_happened_in_it_at_least_in_part() {
        let period = |from: &str, until: &str| Period { from: from.parse().ok(), until: until.parse().ok() };
        let dated = |occurred: Option<&str>, said: Option<&str>| Gist {
            occurred_at: occurred.map(str::to_owned),
            said_at: said.map(str::to_owned),
            id: GistId(Uuid::nil()),
            event_id: EventId(Uuid::nil()),
            position: 0,
            text: "x".into(),
            sources: Vec::new(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        let may = period("2023-05-10", "2023-05-20");
        for (date, is_in) in [
            ("2023-05-10", true),
            ("2023-05-20", true),
            ("2023-05-09", false),
            ("2023-05-21", false),
            ("2023-05", true),
            ("2023-06", false),
            ("2023", true),
            ("2022", false),
            ("some day", false),
        ] {
            assert_eq!(may.has(&dated(Some(date), None)), is_in, "{date}");
            assert_eq!(may.has(&dated(None, Some(date))), is_in, "{date}, told");
        }
        assert!(!may.has(&dated(Some("2022-01-01"), Some("2023-05-15"))), "what happened goes before what was told");
        assert!(may.has(&dated(Some("some day"), Some("2023-05-15"))), "what is no date says nothing");
        assert!(!may.has(&dated(None, None)) && Period::default().has(&dated(None, None)));
        assert!(period("2023-05-10", "").has(&dated(Some("2031-01-01"), None)));
        assert!(!period("", "2023-05-10").has(&dated(Some("2031-01-01"), None)));
    }
}
