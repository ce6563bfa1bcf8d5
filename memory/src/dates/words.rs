//! Dates as words of a search: those under which a gist is found, and those that a question means.

use std::sync::LazyLock;

use jiff::civil::Date;
use regex::Regex;

use super::{occurred, pattern};

#[rustfmt::skip]
const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
];

/// An ISO date, or a year or a month of one, in the words in which questions name it: "8 May 2023".
pub(crate) fn words_of(iso: &str) -> String {
    let mut parts = iso.splitn(3, '-');
    let year = parts.next().unwrap_or_default();
    let month = parts.next().and_then(|month| month.parse::<usize>().ok()?.checked_sub(1));
    let month = month.and_then(|month| MONTHS.get(month)).copied().unwrap_or_default();
    let day = parts.next().unwrap_or_default().trim_start_matches('0');
    format!("{day} {month} {year}")
}

/// The words of the date that a question names, counted from the day on which it is asked: "yesterday", "last summer".
/// None where it names none.
pub(crate) fn words_asked(question: &str, asked_on: Date) -> Option<String> {
    season(question, asked_on).or_else(|| occurred(question, Some(asked_on)).map(|iso| words_of(&iso)))
}

/// The months of a season, on the northern half of the earth. Without a year it is the latest one that has begun, and the
/// one before that where "last" is said while it goes on.
fn season(question: &str, asked_on: Date) -> Option<String> {
    static SEASON: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)\b(last|this|past|in|during|over|the) (?:the )?(spring|summer|autumn|fall|winter)\b(?: (?:of )?(\d{4})\b)?",
        )
    });
    let found = SEASON.captures(question)?;
    let first = match found[2].to_ascii_lowercase().as_str() {
        "spring" => 3,
        "summer" => 6,
        "winter" => 12,
        _ => 9,
    };
    let (year, month) = (asked_on.year(), asked_on.month());
    let begun = match found.get(3) {
        Some(given) => given.as_str().parse().ok()?,
        None => {
            let latest = if month >= first { year } else { year - 1 };
            let goes_on = (year - latest) * 12 + i16::from(month - first) < 3;
            if goes_on && found[1].eq_ignore_ascii_case("last") { latest - 1 } else { latest }
        }
    };
    let months = (0..3).map(|n| MONTHS[usize::from((first.unsigned_abs() + n - 1) % 12)]);
    let next_year = if first == 12 { format!(" {}", begun + 1) } else { String::new() };
    Some(format!("{} {begun}{next_year}", months.collect::<Vec<_>>().join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn dates_are_named_in_words() {
        assert_eq!(words_of("2023-05-08"), "8 May 2023");
        assert_eq!(words_of("2023-12").trim(), "December 2023");
        assert_eq!(words_of("2023").trim(), "2023");
        assert_eq!(words_of("Year 32637-99-x").trim(), "x  Year 32637");
    }

    #[test]
    fn a_question_counts_from_its_day() {
        let asked = |question| words_asked(question, date(2026, 11, 26)).map(|words| words.trim().to_owned());
        let means = |question, words: &str| assert_eq!(asked(question).as_deref(), Some(words), "{question}");
        means("What did I eat yesterday?", "25 November 2026");
        means("What happened last month?", "October 2026");
        means("Where was I two years ago?", "2024");
        means("上个月我去了哪里？", "October 2026");
        means("What did I do last summer?", "June July August 2026");
        means("Where did we go in the winter?", "December January February 2025 2026");
        means("Who visited me this autumn?", "September October November 2026");
        means("Who visited me last fall?", "September October November 2025");
        means("Who came in the summer of 2024?", "June July August 2024");
        assert_eq!(asked("Did I fall off my bike?"), None);
        assert_eq!(asked("Who is Summer?"), None);
        assert_eq!(
            words_asked("last winter", date(2026, 1, 5)).as_deref(),
            Some("December January February 2024 2025")
        );
        assert_eq!(
            words_asked("last winter", date(2026, 3, 5)).as_deref(),
            Some("December January February 2025 2026")
        );
    }
}
