//! Dates that need no other day to count from, or only its year.

use jiff::Span;
use jiff::civil::Date;

use super::{Hit, Rule, Tense, When, shift};

/// English months, long and short, as one group. What follows must end the word.
pub(super) const MONTH: &str = r"(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)";

/// Day, month and year.
pub(super) const FULL: [Rule; 6] = [
    (r"(?:^|[^\d.])(\d{4})([-/.])(\d{1,2})[-/.](\d{1,2})(?:\D|$)", |h| {
        When::day(h.number(1)?, h.number(3)?, h.number(4)?)
    }),
    (r"\b(\d{1,2})(?:st|nd|rd|th)?(?:\s+of)?[\s-]+{month}\b\.?[\s,-]+(\d{4})\b", |h| {
        When::day(h.number(3)?, month(h.group(2)?)?, h.number(1)?)
    }),
    (r"\b{month}\b\.?\s+(\d{1,2})(?:st|nd|rd|th)?(?:,\s*|\s+)(\d{4})\b", |h| {
        When::day(h.number(3)?, month(h.group(1)?)?, h.number(2)?)
    }),
    (r"\b{month}\s+(\d{1,2})\s+[\d:]{5,8}\s+(?:[A-Z]{3,4}\s+)?(\d{4})\b", |h| {
        When::day(h.number(3)?, month(h.group(1)?)?, h.number(2)?)
    }),
    (r"(?:^|[^\d./-])(\d{1,2})([/.-])(\d{1,2})([/.-])(\d{4})(?:\D|$)", numbers),
    (r"(?:^|[^\d])(\d{4})\s*年\s*(\d{1,2})\s*月\s*(\d{1,2})\s*[日号]?", |h| {
        When::day(h.number(1)?, h.number(2)?, h.number(3)?)
    }),
];

/// Part of a date.
pub(super) const PARTIAL: [Rule; 6] = [
    (r"\b{month}\b\.?(?:\s+of)?,?\s+((?:19|20)\d\d)\b", |h| When::month(h.number(2)?, month(h.group(1)?)?)),
    (r"\b(\d{1,2})(?:st|nd|rd|th)?(?:\s+of)?\s+{month}\b", |h| yearless_day(h, h.group(2)?, h.number(1)?)),
    (r"\b{month}\b\.?\s+(?:the\s+)?(\d{1,2})(st|nd|rd|th)?\b", |h| {
        // "We may 5 …", "they march 20 miles": a verb has no capital.
        let verb = matches!(h.group(1), Some("may" | "march" | "mar")) && h.group(3).is_none();
        let more = h.after.starts_with([':', '%', '/', '-', '.']) || h.after.trim_start().starts_with("o'clock");
        if verb || more { None } else { yearless_day(h, h.group(1)?, h.number(2)?) }
    }),
    (
        r"\b(in|since|during|last|next|this|early|late|mid|by|until)[\s-](?:early |late |mid[- ])?(?P<at>{month})\b",
        |h| yearless_month(h, h.group(1)?, h.group(3)?),
    ),
    (r"\b(?:in|since|during|early|late|mid|year)[\s-](?:the\s+year\s+)?((?:19|20)\d\d)\b", |h| {
        let unit = h.after.trim_start().chars().next().is_some_and(char::is_lowercase) && counts(h.after);
        if unit || h.after.starts_with(['-', '/', ',', '.', ':', '%', 's']) && !sentence_goes_on(h.after) {
            None
        } else {
            When::year(h.number(1)?)
        }
    }),
    (r"\b(?:summer|winter|spring|autumn|fall|christmas|easter)(?:\s+of)?,?\s+((?:19|20)\d\d)\b", |h| {
        When::year(h.number(1)?)
    }),
];

/// True for what follows a number that counts something: "in 2000 steps".
fn counts(after: &str) -> bool {
    const UNITS: [&str; 14] = [
        "people", "times", "steps", "dollars", "euros", "words", "miles", "km", "meters", "pieces", "years", "days",
        "hours", "units",
    ];
    after.split_whitespace().next().is_some_and(|w| UNITS.contains(&w.trim_matches(|c: char| !c.is_alphanumeric())))
}

/// True for a comma that ends a clause, and not a group of digits.
fn sentence_goes_on(after: &str) -> bool {
    after.strip_prefix(',').is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The number of an English month.
pub(super) fn month(name: &str) -> Option<i8> {
    const SHORT: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let short = name.get(..3)?.to_ascii_lowercase();
    SHORT.iter().zip(1..).find(|(m, _)| **m == short).map(|(_, number)| number)
}

/// Day, month and year as numbers. Dots stand behind the day; otherwise only what has one reading is read.
fn numbers(h: &Hit<'_>) -> Option<When> {
    let (a, b, year): (i8, i8, i16) = (h.number(1)?, h.number(3)?, h.number(5)?);
    if h.group(2) != h.group(4) {
        return None;
    }
    if h.group(2) == Some(".") || a > 12 || a == b {
        return When::day(year, b, a);
    }
    if b > 12 { When::day(year, a, b) } else { None }
}

fn yearless_day(h: &Hit<'_>, name: &str, day: i8) -> Option<When> {
    if h.recurs() || counts(h.after) {
        return None;
    }
    let month = month(name)?;
    nearest(h, |year| Date::new(year, month, day).ok()).map(When::Day)
}

/// Of the days that one phrase names in the years around `said_on`: the next one, the last one, or the nearest, as
/// the sentence has it.
pub(super) fn nearest(h: &Hit<'_>, in_year: impl Fn(i16) -> Option<Date>) -> Option<Date> {
    let today = h.said_on?;
    let around = [today.year().checked_sub(1)?, today.year(), today.year().checked_add(1)?];
    let days = around.into_iter().filter_map(in_year);
    let distance = |d: &Date| (*d - today).get_days().abs();
    match h.tense() {
        Tense::Future => days.filter(|d| *d >= today).min(),
        Tense::Past => days.filter(|d| *d <= today).max(),
        Tense::Unknown => days.min_by_key(distance),
    }
}

fn yearless_month(h: &Hit<'_>, word: &str, name: &str) -> Option<When> {
    if h.recurs() {
        return None;
    }
    // "Last March" is a month; "mar" and "may" in running text are words.
    let (today, number) = (h.said_on?, month(name)?);
    let here = today.first_of_month();
    let (last, next) = (shift(here, Span::new().months(-1))?, shift(here, Span::new().months(1))?);
    let in_year = |year| Date::new(year, number, 1).ok();
    let year = today.year();
    let date = match word.to_ascii_lowercase().as_str() {
        "last" => [in_year(year), in_year(year - 1)].into_iter().flatten().find(|d| *d <= last)?,
        "next" => [in_year(year), in_year(year + 1)].into_iter().flatten().find(|d| *d >= next)?,
        "this" => in_year(year)?,
        "since" => [in_year(year), in_year(year - 1)].into_iter().flatten().find(|d| *d <= here)?,
        "by" | "until" => [in_year(year), in_year(year + 1)].into_iter().flatten().find(|d| *d >= here)?,
        // This month is neither behind nor ahead.
        _ if number == today.month() => here,
        _ => nearest(h, in_year)?,
    };
    When::month(date.year(), date.month())
}
