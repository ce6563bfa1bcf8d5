//! Text helpers: one line, beginnings, sentence ends, cuts that fit a token limit, and what no store accepts.

use std::borrow::Cow;
use std::iter;

use unicode_segmentation::UnicodeSegmentation;

use crate::ports::TokenCounter;

/// Folds every run of white space, line breaks included, to one space.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Replaces NUL, which Postgres cannot store, by U+FFFD.
pub fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { Cow::Borrowed(text) }
}

/// The beginning of a text, on one line of at most `max_chars` characters. "…" stands for what is left out: behind a
/// word where one ends in the second half, else between what a reader takes for characters.
pub fn beginning(text: &str, max_chars: usize) -> String {
    // A text may be a megabyte of one word: no more of it is looked at than is shown.
    let line = text.split_whitespace().flat_map(|word| iter::once(' ').chain(word.chars())).skip(1);
    let line: String = line.take(max_chars.saturating_add(1)).collect();
    if line.chars().count() <= max_chars {
        return line;
    }
    // The mark takes the last place.
    let (end, next) = line.char_indices().nth(max_chars.saturating_sub(1)).unwrap_or_default();
    let at_word = if next == ' ' { Some(end) } else { line[..end].rfind(' ').filter(|at| 2 * at >= end) };
    let at_grapheme = || line.grapheme_indices(true).map(|(at, _)| at).take_while(|at| *at <= end).last();
    // A single grapheme may have any number of characters.
    let at = at_word.or_else(|| at_grapheme().filter(|at| *at > 0)).unwrap_or(end);
    format!("{}…", &line[..at])
}

/// The end of a text, on one line of at most `max_chars` characters, from the beginning of a word if one begins there.
pub fn ending(text: &str, max_chars: usize) -> String {
    // As above: no more is looked at than is shown.
    let backwards = text.split_whitespace().rev().flat_map(|word| iter::once(' ').chain(word.chars().rev())).skip(1);
    let mut line: Vec<char> = backwards.take(max_chars.saturating_add(1)).collect();
    if line.len() > max_chars {
        let word = line.iter().rposition(|c| *c == ' ').filter(|at| 2 * at >= max_chars);
        line.truncate(word.unwrap_or(max_chars));
    }
    line.iter().rev().collect()
}

/// The sentences of a text, trimmed, in order. Line breaks end a sentence, as do the full-width marks of Chinese
/// and Japanese.
pub fn sentences(text: &str) -> Vec<&str> {
    spans(text).into_iter().map(str::trim).filter(|s| !s.is_empty()).collect()
}

/// Sentences with the white space behind them, so that together they are the text.
fn spans(text: &str) -> Vec<&str> {
    text.split_sentence_bounds().flat_map(|s| s.split_inclusive('\n')).collect()
}

/// Cuts a text into pieces of at most `max_tokens`, at the ends of sentences where there are any, else between
/// words, else between characters. Nothing but white space at the cuts is lost.
pub fn cut<'a>(text: &'a str, max_tokens: u32, counter: &dyn TokenCounter) -> Vec<&'a str> {
    let whole = text.trim();
    if whole.is_empty() {
        return Vec::new();
    }
    if counter.fits(whole, max_tokens) {
        return vec![whole];
    }
    let fits = |s: &str| counter.fits(s, max_tokens);
    let sentences: Vec<&str> =
        spans(whole).into_iter().flat_map(|s| if fits(s) { vec![s] } else { words(s) }).collect();
    let atoms = sentences.into_iter().flat_map(|s| if fits(s) { vec![s] } else { s.graphemes(true).collect() });
    join(whole, atoms, max_tokens, counter)
}

/// Words with the white space before them: as tokenisers have them.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut is_space) = (0, true);
    for (at, character) in text.char_indices() {
        if character.is_whitespace() && !is_space {
            words.push(&text[start..at]);
            start = at;
        }
        is_space = character.is_whitespace();
    }
    words.push(&text[start..]);
    words
}

/// Joins neighbouring atoms into pieces as long as the sum of their tokens fits. The tokens of a piece are at most
/// the sum of its atoms', since joining only ever lets a tokeniser merge.
fn join<'a>(
    whole: &'a str,
    atoms: impl Iterator<Item = &'a str>,
    max_tokens: u32,
    counter: &dyn TokenCounter,
) -> Vec<&'a str> {
    let mut pieces = Vec::new();
    let (mut start, mut end, mut used) = (0, 0, 0_u32);
    for atom in atoms {
        let mut tokens = counter.count(atom);
        if end > start && used.saturating_add(tokens) > max_tokens {
            pieces.push(whole[start..end].trim());
            (start, used) = (end, 0);
        }
        if start == end {
            // It loses the white space before it, and may have more tokens without.
            tokens = tokens.max(counter.count(atom.trim_start()));
        }
        end += atom.len();
        used = used.saturating_add(tokens);
    }
    pieces.push(whole[start..end].trim());
    pieces.retain(|p| !p.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::WordCounter;

    #[test]
    fn sentences_end_at_marks_and_lines() {
        assert_eq!(sentences("I am Ann. I live in Rome!\nReally"), ["I am Ann.", "I live in Rome!", "Really"]);
        assert_eq!(sentences("我叫小明。我住在北京！"), ["我叫小明。", "我住在北京！"]);
    }

    #[test]
    fn cuts_keep_every_word_and_fit() {
        let text = "One two three. Four five six seven eight nine ten eleven. Twelve.";
        assert_eq!(
            cut(text, 8, &WordCounter),
            ["One two three.", "Four five six seven eight nine ten eleven.", "Twelve."]
        );
        let pieces = cut(text, 4, &WordCounter);
        assert!(pieces.iter().all(|p| WordCounter.count(p) <= 4), "{pieces:?}");
        assert_eq!(pieces.join(" "), text);
    }

    #[test]
    fn a_beginning_is_cut_at_a_word_where_there_is_one() {
        let cases = [
            ("  one\n two ", 7, "one two"),
            ("one two three", 8, "one two…"),
            ("one two three", 9, "one two…"),
            ("one twothree", 9, "one twot…"),
            ("我住在北京的一个小区", 5, "我住在北…"),
            ("", 5, ""),
            ("abc", 1, "…"),
            ("abc", 0, "…"),
            // Four characters that are one to a reader, and one that is longer than what is shown.
            ("ab👩\u{200d}👩\u{200d}👧", 5, "ab…"),
            ("e\u{301}\u{301}\u{301}\u{301}", 3, "e\u{301}…"),
        ];
        for (text, max_chars, expected) in cases {
            assert_eq!(beginning(text, max_chars), expected, "{text:?} {max_chars}");
        }
        assert_eq!(beginning(&"x".repeat(1_000_000), 120).chars().count(), 120);
    }

    #[test]
    fn an_ending_begins_with_a_word_where_there_is_one() {
        let cases = [
            ("  one\n two ", 7, "one two"),
            ("one two three", 9, "two three"),
            ("one two three", 12, "two three"),
            ("onetwo three", 9, "three"),
            ("onetwothree", 5, "three"),
            ("我住在北京", 2, "北京"),
            ("", 5, ""),
            ("abc", 0, ""),
        ];
        for (text, max_chars, expected) in cases {
            assert_eq!(ending(text, max_chars), expected, "{text:?} {max_chars}");
        }
        assert_eq!(ending(&"x".repeat(1_000_000), 240).chars().count(), 240);
    }

    #[test]
    fn white_space_is_nothing() {
        assert!(cut(" \n ", 4, &WordCounter).is_empty());
        assert_eq!(one_line(" a\n\n b\tc "), "a b c");
        assert_eq!(storable("a\0b"), "a\u{FFFD}b");
    }
}
