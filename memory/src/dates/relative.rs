//! English dates that count from the day on which they were said.

use jiff::Span;
use jiff::civil::{Date, Weekday};

use super::{Hit, Rule, Tense, When, shift};

/// A small number, in digits or words, as one group.
pub(super) const NUMBER: &str =
    r"(\d{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|a couple(?: of)?)";

pub(super) const RULES: [Rule; 11] = [
    (r"\bthe day before yesterday\b", |h| days(h, -2)),
    (r"\bthe day after tomorrow\b", |h| days(h, 2)),
    (r"\b(?:yesterday|last (?:night|evening))\b", |h| days(h, -1)),
    (r"\b(?:today|tonight|this (?:morning|afternoon|evening))\b", |h| days(h, 0)),
    (r"\btomorrow\b", |h| days(h, 1)),
    (r"\b{n} (day|week|month|year)s? ago\b", |h| {
        let vague = ["about", "around", "almost", "nearly", "over", "than", "or", "least", "to", "roughly", "some"];
        let before = h.before.trim_end();
        let last = before.split_whitespace().next_back().unwrap_or_default().to_lowercase();
        if vague.contains(&last.as_str()) || before.ends_with(['-', '–', '~', '.', '/']) {
            return None;
        }
        count(h, h.group(2)?, -number(h.group(1)?)?)
    }),
    (r"\b(in )?{n} (day|week|month|year)s?( from now|(?:'|’)? time)?\b", |h| {
        let from_now = h.group(4).is_some_and(|s| s.contains("now"));
        let ahead = h.group(1).is_some() && h.tense() == Tense::Future;
        if from_now || ahead { count(h, h.group(3)?, number(h.group(2)?)?) } else { None }
    }),
    (r"\b(last|this|next) (week|month|year)\b", |h| span(h, step(h)?, h.group(2)?)),
    (r"\b(last|this past|this coming|this|next) weekend\b", |h| {
        let monday = monday(h.said_on?)?;
        shift(monday, Span::new().days(7 * step(h)? + 5)).map(When::Day)
    }),
    (r"\b(last|this past|this coming|this|next|on) (mon|tues?|wednes|thurs?|fri|satur|sun)day\b", weekday),
    (r"\b(every|each) (?:other )?(?:day|week|month|year|\w+day)\b", |_| None),
];

fn days(h: &Hit<'_>, by: i64) -> Option<When> {
    shift(h.said_on?, Span::new().days(by)).map(When::Day)
}

fn number(word: &str) -> Option<i64> {
    const WORDS: [&str; 13] =
        ["", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    let word = word.to_ascii_lowercase();
    match word.as_str() {
        "a" | "an" => Some(1),
        w if w.starts_with("a couple") => Some(2),
        w => w.parse().ok().or_else(|| (0..).zip(WORDS).find(|(_, name)| *name == w).map(|(n, _)| n)),
    }
}

/// So many units from the day on which it was said, as exact as the unit: days and weeks to the day.
pub(super) fn count(h: &Hit<'_>, unit: &str, n: i64) -> Option<When> {
    let today = h.said_on?;
    match unit.to_ascii_lowercase().as_str() {
        "day" => shift(today, Span::new().days(n)).map(When::Day),
        "week" => shift(today, Span::new().weeks(n)).map(When::Day),
        "month" => shift(today, Span::new().months(n)).and_then(|d| When::month(d.year(), d.month())),
        // 2000年前: history, not memory.
        "year" if n.abs() <= 150 => shift(today, Span::new().years(n)).and_then(|d| When::year(d.year())),
        _ => None,
    }
}

/// -1 for the last, 0 for this, 1 for the next. "The last week" of something, or up to now, is no one week.
fn step(h: &Hit<'_>) -> Option<i64> {
    let word = h.group(1)?.to_ascii_lowercase();
    let before = h.before.trim_end().to_lowercase();
    if before.ends_with(" the") || before == "the" || h.after.trim_start().starts_with("of ") && word != "this" {
        return None;
    }
    Some(match word.as_str() {
        "last" | "this past" => -1,
        "next" => 1,
        _ => 0,
    })
}

/// The week, month or year that is so many steps away.
pub(super) fn span(h: &Hit<'_>, steps: i64, unit: &str) -> Option<When> {
    match unit.to_ascii_lowercase().as_str() {
        "week" => When::week(shift(monday(h.said_on?)?, Span::new().weeks(steps))?),
        // From the first of the month, so that 31 May less a month is April all the same.
        "month" => {
            shift(h.said_on?.first_of_month(), Span::new().months(steps)).and_then(|d| When::month(d.year(), d.month()))
        }
        unit => count(h, unit, steps),
    }
}

/// The Monday of a day's week.
pub(super) fn monday(date: Date) -> Option<Date> {
    shift(date, Span::new().days(-i64::from(date.weekday().to_monday_zero_offset())))
}

fn weekday(h: &Hit<'_>) -> Option<When> {
    let today = h.said_on?;
    let day = match h.group(2)?.get(..3)?.to_ascii_lowercase().as_str() {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        _ => Weekday::Sunday,
    };
    let (before, after) = (|| today.nth_weekday(-1, day).ok(), || today.nth_weekday(1, day).ok());
    let word = h.group(1)?.to_ascii_lowercase();
    let passed = day.to_monday_zero_offset() <= today.weekday().to_monday_zero_offset();
    let date = match word.as_str() {
        "on" => match h.tense() {
            Tense::Past => before(),
            Tense::Future => after(),
            Tense::Unknown => None,
        },
        "this past" => before(),
        "this coming" => after(),
        "this" => shift(monday(today)?, Span::new().days(i64::from(day.to_monday_zero_offset()))),
        "last" => step(h).and_then(|_| before()),
        // On a Monday, "next Friday" is in four days to some and in eleven to others.
        _ => step(h).filter(|_| passed).and_then(|_| after()),
    };
    date.map(When::Day)
}
