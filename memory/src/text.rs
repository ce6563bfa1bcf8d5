//! Text helpers: one line, sentence ends, cuts that fit a token limit, and what no store accepts.

use std::borrow::Cow;

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

fn words(text: &str) -> Vec<&str> {
    text.split_inclusive(char::is_whitespace).collect()
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
        let tokens = counter.count(atom);
        if end > start && used.saturating_add(tokens) > max_tokens {
            pieces.push(whole[start..end].trim());
            (start, used) = (end, 0);
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
    fn white_space_is_nothing() {
        assert!(cut(" \n ", 4, &WordCounter).is_empty());
        assert_eq!(one_line(" a\n\n b\tc "), "a b c");
        assert_eq!(storable("a\0b"), "a\u{FFFD}b");
    }
}
