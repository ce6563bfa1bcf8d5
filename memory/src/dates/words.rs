//! Dates as words of a search: those under which a gist is found, and those that a question means.

use std::borrow::Cow;
use std::sync::LazyLock;

use jiff::civil::Date;
use regex::Regex;

use super::{occurred, pattern};

/// Characters at the end of a question that are searched for its time: more than a question has, and less than a chat may.
const MAX_QUESTION_CHARS: usize = 200;

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
    let question = end_of(question);
    let season = season(question, asked_on);
    let named = occurred(question, Some(asked_on)).map(|iso| words_of(&iso));
    // "The summer of 2024" names its year, too.
    let named = named.filter(|named| season.as_ref().is_none_or(|season| !season.contains(named.trim())));
    let words: Vec<String> = named.into_iter().chain(season).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The end of a text, with its line breaks: they end sentences.
fn end_of(question: &str) -> &str {
    let first = question.char_indices().rev().nth(MAX_QUESTION_CHARS - 1);
    first.map_or(question, |(at, _)| &question[at..])
}

/// A question without the days that are counted from when it was asked: messages that say "yesterday", too, are of another
/// day.
pub(crate) fn without_days(question: &str) -> Cow<'_, str> {
    static DAYS: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)\b(?:the day before yesterday|yesterday|today|tonight|tomorrow)\b|前天|昨天|昨晚|今天|今晚|明天|后天",
        )
    });
    DAYS.replace_all(question, " ")
}

/// Which of several things a question is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leaning {
    /// The first of them.
    Oldest,
    /// The last of them.
    Newest,
}

/// Which of several things a question is about, if its words say so: "my first job", "the latest".
pub(crate) fn leaning(question: &str) -> Option<Leaning> {
    static OLDEST: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?i)\b(?:first|earliest|originally|initially)\b|第一次|最早|最初|初めて"));
    static NEWEST: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)\b(?:latest|newest|most recent(?:ly)?|currently|nowadays|these days|last time)\b|最近|最新|现在|目前|今の",
        )
    });
    static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)\bfirst (?:names?|aid|class|floor|of all)\b"));
    let question = end_of(question);
    match (OLDEST.is_match(question) && !NAME.is_match(question), NEWEST.is_match(question)) {
        (true, false) => Some(Leaning::Oldest),
        (false, true) => Some(Leaning::Newest),
        _ => None,
    }
}

/// The months of a season, on the northern half of the earth. Without a year it is the latest one that has begun; the
/// one before that where "last" is said while it goes on, and this year's where "this" is said.
fn season(question: &str, asked_on: Date) -> Option<String> {
    static SEASON: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)\b(?:(last|this|past|in|during) (?:the )?)?(spring|summer|autumn|fall|winter)(?: (?:of )?(\d{4}))?\b",
        )
    });
    // "Fall" alone may be of a bike, and "spring" of water.
    let found = SEASON.captures_iter(question).find(|found| found.get(1).or(found.get(3)).is_some())?;
    let first = match found[2].to_ascii_lowercase().as_str() {
        "spring" => 3,
        "summer" => 6,
        "winter" => 12,
        _ => 9,
    };
    let (year, month) = (asked_on.year(), asked_on.month());
    let latest = if month >= first { year } else { year - 1 };
    let goes_on = (year - latest) * 12 + i16::from(month - first) < 3;
    let word = found.get(1).map(|word| word.as_str().to_ascii_lowercase());
    let begun = match (found.get(3), word.as_deref()) {
        (Some(given), _) => given.as_str().parse().ok()?,
        (None, Some("last")) if goes_on => latest - 1,
        // In January and February it is the winter that goes on.
        (None, Some("this")) if !goes_on => year,
        _ => latest,
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
    fn days_that_count_from_now_are_no_words_of_a_search() {
        assert_eq!(without_days("What did I eat Yesterday?").trim_end(), "What did I eat  ?");
        assert_eq!(without_days("我昨天去了哪里").trim_end(), "我 去了哪里");
        assert_eq!(without_days("last week"), "last week");
    }

    #[test]
    fn a_question_may_lean_to_the_first_or_the_last() {
        for (question, leans) in [
            ("What was my first job?", Some(Leaning::Oldest)),
            ("我第一次去北京是什么时候？", Some(Leaning::Oldest)),
            ("What is my latest hobby?", Some(Leaning::Newest)),
            ("我最近在看什么书？", Some(Leaning::Newest)),
            ("From the first to the most recent", None),
            ("What is my first name?", None),
            ("Where do I live?", None),
        ] {
            assert_eq!(leaning(question), leans, "{question}");
        }
        assert_eq!(leaning(&format!("first{}", " x".repeat(200))), None, "only the end of a chat asks");
    }

    #[test]
    fn a_question_counts_from_its_day() {
        let asked = |question: &str| words_asked(question, date(2026, 11, 26)).map(|words| words.trim().to_owned());
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
        means("Did I swim yesterday at the summer house?", "25 November 2026");
        means("What did I plan yesterday for this summer?", "25 November 2026 June July August 2026");
        means("It was my birthday\nWhat did we do on May 5, 2024?", "5 May 2024");
        let long = format!("yesterday{}", " x".repeat(250));
        assert_eq!(asked(&long), None, "only the end of a chat asks");
        assert_eq!(asked("Did I fall off my bike?"), None);
        assert_eq!(asked("When was the fall of Rome?"), None);
        assert_eq!(words_asked("this summer", date(2026, 5, 5)).as_deref(), Some("June July August 2026"));
        assert_eq!(
            words_asked("this winter", date(2026, 1, 5)).as_deref(),
            Some("December January February 2025 2026")
        );
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
