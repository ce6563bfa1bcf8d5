//! Values: cut out of a sentence, cleaned, or refused.

use std::sync::LazyLock;

use jiff::civil::date;
use regex::Regex;

use crate::dates::{self, pattern};

use super::Told;

/// Words of a value at most.
const MAX_WORDS: usize = 8;

/// Where the value of a phrase ends and its sentence goes on.
static GOES_ON: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?:\s+(?:and (?:i|my|we|it|he|she|they|you|have|has|had|am|was|also|then|so|now|that|this|there|just)\b|but\b|because\b|since\b|which\b|who\b|that\b|when\b|while\b|so\b|where\b|though\b|although\b|if\b|unless\b|until\b|after\b|before\b|cause\b|cuz\b|except\b|even\b|especially\b|plus\b|whenever\b|as\b|for (?:a|an|the|over|about|almost|many|several|years|now|fun|work|\d+|two|three|four|five|six|ten)\b)| - |--|\.\.\.).*$",
    )
});

/// Words at the end of a value that say nothing of it.
static TRAILING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)[\s,]+(?:now|too|actually|right now|currently|though|as well|these days|btw|by the way|lol|haha|already|at the moment|again|anyway|myself|today|tonight|nowadays|lately|recently|a lot|so much|very much|much|most|the most|the best|more|instead|here|there|for sure|of course|also|still|together|and|or|in|with|at|to|of|the|a|thanks|please|again|everyone|all|guys|itself|myself)$",
    )
});

/// Words that point to something said elsewhere.
const POINTERS: [&str; 46] = [
    "it",
    "its",
    "it's",
    "this",
    "that",
    "that's",
    "these",
    "those",
    "you",
    "your",
    "you're",
    "yours",
    "him",
    "his",
    "he",
    "he's",
    "her",
    "she",
    "she's",
    "them",
    "their",
    "they",
    "they're",
    "there",
    "here",
    "one",
    "ones",
    "i",
    "i'm",
    "my",
    "me",
    "mine",
    "we",
    "us",
    "our",
    "both",
    "such",
    "same",
    "another",
    "everything",
    "something",
    "anything",
    "stuff",
    "things",
    "thing",
    "nothing",
];

/// A value up to the end of its clause, without trailing fillers. None when nothing is left, when it is longer than
/// eight words, or when it points to something said elsewhere.
pub(super) fn clean(text: &str) -> Option<String> {
    clean_to(text, MAX_WORDS)
}

/// [`clean`] with another limit.
pub(super) fn clean_to(text: &str, max_words: usize) -> Option<String> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || " '-&+/#.%\u{300}".contains(c))).unwrap_or(text.len());
    let mut value = GOES_ON.replace(text[..end].trim(), "").into_owned();
    loop {
        let shorter = TRAILING.replace(&value, "").trim_end_matches(['.', '-', ' ', '\'', '/', '&']).to_owned();
        if shorter.len() == value.len() {
            break;
        }
        value = shorter;
    }
    let words: Vec<&str> = value.split_whitespace().collect();
    let points = words.iter().any(|w| POINTERS.contains(&w.to_lowercase().as_str()));
    let letters = value.chars().any(char::is_alphanumeric);
    (letters && !points && words.len() <= max_words).then(|| words.join(" "))
}

/// Capitalised words that begin a new clause or are no names.
const NO_NAMES: [&str; 30] = [
    "I", "I'm", "I've", "It", "It's", "But", "And", "My", "We", "The", "So", "That", "This", "He", "She", "They",
    "You", "OK", "Ok", "HR", "IT", "Mars", "Earth", "Christ", "God", "Hell", "Heaven", "TV", "LOL", "A",
];

/// Words that may stand inside of a name.
const LINKS: [&str; 12] = ["of", "de", "la", "le", "del", "da", "do", "du", "upon", "the", "von", "van"];

/// The proper name at the start of a text, of at most `max_words` words, and what follows it. Places may go on
/// behind a comma ("Lyon, France").
pub(super) fn proper(text: &str, max_words: usize, commas: bool) -> Option<(String, &str)> {
    let text = text.trim_start();
    let text = text.strip_prefix("the ").unwrap_or(text);
    let (mut name, mut rest) = (Vec::<&str>::new(), text);
    let mut comma = false;
    while let Some(word) = rest.split_whitespace().next() {
        let bare = word.trim_end_matches(|c: char| !(c.is_alphanumeric() || c == '.' && word.len() <= 5));
        let behind = rest.trim_start().get(bare.len()..).unwrap_or_default();
        if !(is_capital(bare) || !name.is_empty() && links(bare, behind)) || name.len() >= max_words {
            break;
        }
        name.push(bare);
        rest = behind;
        if rest.starts_with(|c: char| !c.is_whitespace()) {
            let next = rest.strip_prefix(", ").filter(|n| commas && !comma && n.starts_with(char::is_uppercase));
            let Some(next) = next.filter(|n| is_capital(first_word(n))) else { break };
            comma = true;
            name.push(",");
            rest = next;
        }
    }
    while name.last().is_some_and(|w| *w == "," || LINKS.contains(w)) {
        name.pop();
    }
    let name = name.join(" ").replace(" ,", ",").trim_end_matches('.').to_owned();
    let bad = name.contains("'s") || name.is_empty();
    (!bad).then_some((name, rest))
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default().trim_end_matches(|c: char| !c.is_alphanumeric())
}

fn is_capital(word: &str) -> bool {
    word.starts_with(char::is_uppercase)
        && !NO_NAMES.contains(&word)
        && word.chars().all(|c| c.is_alphabetic() || "'.-&".contains(c))
}

fn links(word: &str, behind: &str) -> bool {
    LINKS.contains(&word) && behind.starts_with(' ') && is_capital(first_word(behind))
}

/// A place: a proper name, or, where a message has no capitals, a single word at the end of its clause.
pub(super) fn place(text: &str, told: Told) -> Option<String> {
    const NO_PLACES: [&str; 22] = [
        "fear", "hope", "peace", "denial", "pain", "hell", "poverty", "luxury", "style", "harmony", "silence", "sin",
        "work", "school", "bed", "town", "downtown", "home", "college", "above", "exile", "abroad",
    ];
    if let Some((name, _)) = proper(text, 5, true) {
        let first = name.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
        return (!is_month_or_day(first)).then_some(name);
    }
    let word = clean_to(text, 1).filter(|_| told.lower)?;
    (word.len() > 2 && word.is_ascii() && !NO_PLACES.contains(&word.as_str()) && word.chars().all(char::is_alphabetic))
        .then_some(word)
}

fn is_month_or_day(word: &str) -> bool {
    const NAMES: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    const FULL: [&str; 7] = ["march", "april", "june", "july", "may", "august", "sept"];
    let lower = word.to_lowercase();
    NAMES.contains(&lower.as_str())
        || FULL.contains(&lower.as_str())
        || lower.ends_with("day")
        || lower.ends_with("ber")
}

/// True where a clause ends, or goes on with something that does not change the word before.
pub(super) fn ends(rest: &str) -> bool {
    static MORE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)^(?:\s*$|\s*[,.;:!()…—😀-🙏]|\s+(?:and|but|so|now|from|who|living|working|currently|with|too|in|at|since|because|as|by|btw|though|right now|these days|this year|today|already|lol|haha|named|called|here|-|originally|years?|\p{Emoji_Presentation})(?:\W|$))",
        )
    });
    MORE.is_match(rest)
}

/// A birthday in a stable form: an ISO date or a part of one where a year is named, else "May 5".
pub(super) fn birthday(words: &str, told: Told) -> Option<String> {
    if let Some(full) = dates::occurred(words, None) {
        return Some(full);
    }
    // Any year will do to read a day and a month; one in the middle of a leap year knows every day.
    let found = dates::occurred(words, Some(told.said_on.unwrap_or(date(2024, 7, 1))))?;
    let relative = ["tomorrow", "today", "yesterday", "ago", "last", "next", "this"];
    if told.said_on.is_none() && relative.iter().any(|w| words.to_lowercase().contains(w)) {
        return None;
    }
    let day: jiff::civil::Date = found.parse().ok()?;
    Some(day.strftime("%B %-d").to_string())
}

/// A word with a capital first letter and small others.
pub(super) fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars.flat_map(char::to_lowercase)).collect()
}

/// A small English number, in digits or words, as digits.
pub(super) fn number(word: &str) -> Option<u32> {
    const ONES: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let word = word.to_lowercase();
    let small = |w: &str| (0..).zip(ONES).find(|(_, name)| *name == w).map(|(n, _)| n);
    let tens = |w: &str| (2..).zip(TENS).find(|(_, name)| *name == w).map(|(n, _)| n * 10);
    if let Some((a, b)) = word.split_once(['-', ' ']) {
        return Some(tens(a)? + small(b)?);
    }
    word.parse().ok().or_else(|| small(&word)).or_else(|| tens(&word))
}
