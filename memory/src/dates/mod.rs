//! Dates in free text.
//!
//! [`date_in`] reads a client's own words for the time of a message. [`occurred`] finds the first date that running
//! text names, absolute or relative to the day on which it was said. Both would rather find nothing than be wrong:
//! what has two common readings is no date.
//!
//! The parsers on crates.io read a string that is a date and nothing else, and none knows Chinese; so the phrases
//! are found here with regular expressions, and `jiff` does the calendar.

mod absolute;
mod chinese;
mod relative;
mod words;

#[cfg(test)]
mod tests;

pub(crate) use chinese::numeral;
pub(crate) use words::{Leaning, leaning, without_days, words_asked, words_of};

use std::sync::LazyLock;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use regex::{Captures, Regex, RegexSet};

/// Bytes of a client's words for a time that are looked at. No way to write a time is longer.
const MAX_WORDS_BYTES: usize = 128;
/// Bytes of a text that are searched for a date.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// The calendar date that a client's own words for a time name, if they name one.
///
/// A time with an offset counts with the date as it is written; digits alone are Unix seconds or milliseconds, in
/// UTC, or `YYYYMMDD`. Of numbers with slashes, `13/05/2024` is read, but not `03/04/2024`, which is a day in March
/// to one reader and in April to another. Dots (`3.4.2024`) always stand behind the day. Years have four digits.
pub fn date_in(words: &str) -> Option<Date> {
    let words = head(words.trim(), MAX_WORDS_BYTES);
    if let Some(date) = unix(words).or_else(|| compact(words)) {
        return Some(date);
    }
    match first(words, None, &ABSOLUTE)? {
        When::Day(date) => Some(date),
        When::Month(_) | When::Year(_) => None,
    }
}

/// The first date that a text names: an ISO date, or a month (`2023-05`) or a year of one, as exact as the words.
///
/// Relative words ("yesterday", "上周六") count from `said_on` and mean nothing without it. "Last Saturday" is the
/// latest Saturday before that day; 上周六 is the Saturday of the week before, and weeks begin on Monday. "Two weeks
/// ago" is the day 14 days before; "last week" is no day, so it gives the month if the week lies in one; a weekend
/// is its Saturday. "Next Friday" is read only where this week's has passed.
pub fn occurred(text: &str, said_on: Option<Date>) -> Option<String> {
    first(head(text, MAX_TEXT_BYTES), said_on, &ALL).map(|when| when.to_string())
}

/// The first and the last day of an ISO date, or of a year or a month of one. None for anything else.
pub fn days_of(iso: &str) -> Option<(Date, Date)> {
    let digits = iso.bytes().enumerate().all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() });
    let day = |text: &str| text.parse::<Date>().ok().filter(|_| digits);
    match iso.len() {
        4 => Some((day(&format!("{iso}-01-01"))?, day(&format!("{iso}-12-31"))?)),
        7 => day(&format!("{iso}-01")).map(|first| (first, first.last_of_month())),
        10 => day(iso).map(|date| (date, date)),
        _ => None,
    }
}

/// A date as exact as it was named. Months and years are kept as their first day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum When {
    Day(Date),
    Month(Date),
    Year(Date),
}

impl When {
    fn day(year: i16, month: i8, day: i8) -> Option<Self> {
        Date::new(year, month, day).ok().map(Self::Day)
    }

    fn month(year: i16, month: i8) -> Option<Self> {
        Date::new(year, month, 1).ok().map(Self::Month)
    }

    fn year(year: i16) -> Option<Self> {
        Date::new(year, 1, 1).ok().map(Self::Year)
    }

    fn first_day(self) -> Date {
        match self {
            Self::Day(date) | Self::Month(date) | Self::Year(date) => date,
        }
    }

    /// The month of a week, if it lies in one; `monday` is its first day.
    fn week(monday: Date) -> Option<Self> {
        let sunday = shift(monday, Span::new().days(6))?;
        if sunday.month() == monday.month() { Self::month(monday.year(), monday.month()) } else { None }
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Day(d) => write!(f, "{d}"),
            Self::Month(d) => write!(f, "{:04}-{:02}", d.year(), d.month()),
            Self::Year(d) => write!(f, "{:04}", d.year()),
        }
    }
}

/// Whether the sentence around a phrase speaks of what was or of what will be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tense {
    Past,
    Future,
    Unknown,
}

/// A phrase found in a text.
struct Hit<'a> {
    groups: Captures<'a>,
    /// The sentence up to the phrase.
    before: &'a str,
    /// The rest of the sentence.
    after: &'a str,
    said_on: Option<Date>,
}

impl Hit<'_> {
    fn group(&self, index: usize) -> Option<&str> {
        self.groups.get(index).map(|m| m.as_str())
    }

    fn number<T: std::str::FromStr>(&self, index: usize) -> Option<T> {
        self.group(index)?.parse().ok()
    }

    fn tense(&self) -> Tense {
        static FUTURE: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"(?i)\b(?:will|won't|going to|gonna|plan|planning|upcoming|coming|forward|hope|hoping|can't wait|next)\b|(?:'|’)ll\b|会|要|打算|计划|将|准备|希望",
            )
        });
        static PAST: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"(?i)\b(?:was|were|went|did|had|got|took|saw|met|came|made|ran|won|ago|gave|felt|left|bought|found|began|last|\w{2,}ed)\b|了|过|曾",
            )
        });
        let either = |r: &Regex| r.is_match(self.before) || r.is_match(self.after);
        match (either(&FUTURE), either(&PAST)) {
            (true, false) => Tense::Future,
            (false, true) => Tense::Past,
            _ => Tense::Unknown,
        }
    }

    /// True where a phrase without a year names a day of every year, not one day.
    fn recurs(&self) -> bool {
        static EVERY: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"(?i)\b(?:every|each|born|birthday(?:'s| is| was)?|anniversary)\b|每|生日|出生"));
        EVERY.is_match(self.before)
    }
}

/// How to read a phrase.
type Read = fn(&Hit<'_>) -> Option<When>;
/// A kind of phrase and how to read it.
type Rule = (&'static str, Read);

struct Finder {
    set: RegexSet,
    rules: Vec<(Regex, Read)>,
}

impl Finder {
    fn new(rules: &[Rule]) -> Self {
        let expand = |p: &str| p.replace("{month}", absolute::MONTH).replace("{n}", relative::NUMBER);
        let expand = |p: &str| expand(p).replace("{week}", "(?:周|星期|礼拜)").replace("{c}", chinese::NUMERAL);
        let sources: Vec<String> = rules.iter().map(|(p, _)| format!("(?i){}", expand(p))).collect();
        #[expect(clippy::expect_used, reason = "the patterns are constants, and every test compiles them all")]
        let set = RegexSet::new(&sources).expect("constant patterns");
        Self { set, rules: sources.iter().zip(rules).map(|(s, (_, read))| (pattern(s), *read)).collect() }
    }
}

static ABSOLUTE: LazyLock<Finder> = LazyLock::new(|| Finder::new(&absolute::FULL));
static ALL: LazyLock<Finder> = LazyLock::new(|| {
    let rules = [&absolute::FULL[..], &absolute::PARTIAL, &relative::RULES, &chinese::RULES];
    Finder::new(&rules.concat())
});

/// Compiles a constant pattern.
pub(crate) fn pattern(source: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "the patterns are constants, and every test compiles them all")]
    Regex::new(source).expect("constant pattern")
}

/// The first phrase that names a date; of two that begin alike, the longer. A phrase that names none hides the
/// phrases inside it: "31 February 2023" is not "February 2023".
fn first(text: &str, said_on: Option<Date>, finder: &Finder) -> Option<When> {
    let mut hits = Vec::new();
    for index in finder.set.matches(text) {
        let (regex, read) = &finder.rules[index];
        hits.extend(regex.captures_iter(text).filter_map(|groups| {
            // A word before the date ("since May 5, 2020") must not hide a longer phrase behind it.
            let at = groups.name("at").or_else(|| groups.get(0))?;
            Some((at.range(), groups, *read))
        }));
    }
    hits.sort_by_key(|(range, ..)| (range.start, std::cmp::Reverse(range.end)));
    let mut hidden = 0;
    for (range, groups, read) in hits {
        if range.start < hidden {
            continue;
        }
        let (before, after) = (sentence_before(text, range.start), sentence_after(text, range.end));
        let found = read(&Hit { groups, before, after, said_on });
        // Years before 1 have no ISO form of four digits.
        if let Some(when) = found.filter(|w| w.first_day().year() > 0) {
            return Some(when);
        }
        hidden = range.end;
    }
    None
}

const ENDS: [char; 8] = ['.', '!', '?', '\n', '。', '！', '？', '；'];

fn sentence_before(text: &str, at: usize) -> &str {
    let before = &text[..at];
    before.rsplit(ENDS).next().unwrap_or(before)
}

fn sentence_after(text: &str, at: usize) -> &str {
    let after = &text[at..];
    after.split(ENDS).next().unwrap_or(after)
}

/// At most `max_bytes` of a text, cut between characters.
fn head(text: &str, max_bytes: usize) -> &str {
    let end = (0..=max_bytes.min(text.len())).rev().find(|i| text.is_char_boundary(*i));
    &text[..end.unwrap_or_default()]
}

fn shift(date: Date, by: Span) -> Option<Date> {
    date.checked_add(by).ok()
}

/// Unix seconds (10 digits, with or without a fraction) or milliseconds (13 digits).
fn unix(words: &str) -> Option<Date> {
    let whole = words.split_once('.').filter(|(_, f)| f.bytes().all(|b| b.is_ascii_digit())).map_or(words, |(w, _)| w);
    if !whole.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i64 = whole.parse().ok()?;
    let time = match whole.len() {
        10 => Timestamp::from_second(number),
        13 => Timestamp::from_millisecond(number),
        _ => return None,
    };
    time.ok().map(|t| t.to_zoned(TimeZone::UTC).date())
}

/// `YYYYMMDD`, alone or before a `T`.
fn compact(words: &str) -> Option<Date> {
    let digits = words.split(['T', ' ']).next()?;
    if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Date::new(digits[..4].parse().ok()?, digits[4..6].parse().ok()?, digits[6..].parse().ok()?).ok()
}
