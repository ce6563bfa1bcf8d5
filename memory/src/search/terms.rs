//! Text analysis: from a text to the terms by which it is found.

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// Longer words are cut to this many characters: they are keys, checksums or noise, and must not fill the index.
const MAX_TERM_CHARS: usize = 64;

/// English words that stand in most sentences and say nothing of what a sentence is about. Sorted, for the binary
/// search. "may", "will" (both names), "no" and "not" are left in.
#[rustfmt::skip]
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "because", "been",
    "before", "being", "but", "by", "can", "could", "did", "do", "does", "doing", "for", "from", "had", "has", "have",
    "having", "he", "her", "hers", "herself", "him", "himself", "his", "how", "i", "if", "in", "into", "is", "it",
    "its", "itself", "just", "me", "my", "myself", "of", "on", "or", "our", "ours", "ourselves", "she", "should", "so",
    "some", "such", "than", "that", "the", "their", "theirs", "them", "themselves", "then", "there", "these", "they",
    "this", "those", "to", "too", "very", "was", "we", "were", "what", "when", "where", "which", "while", "who",
    "whom", "whose", "why", "with", "would", "you", "your", "yours", "yourself", "yourselves",
];

/// What may stand behind the apostrophe of an English word without being a word itself.
const CONTRACTIONS: &[&str] = &["s", "t", "d", "m", "re", "ve", "ll"];

/// The terms of a text, in order, repeated as often as they occur.
///
/// Compatibility forms are unified (NFKC) and the text lower-cased; words are those of Unicode's segmentation (UAX
/// 29), without English stop words and stemmed with Snowball's English stemmer, which leaves other languages nearly
/// alone. Han, kana and Hangul have no spaces to trust: each run of them becomes its overlapping pairs of
/// characters, a lone character stands for itself.
pub fn terms(text: &str) -> Vec<String> {
    let stemmer = Stemmer::create(Algorithm::English);
    let text = folded(text);
    let mut terms = Vec::new();
    for run in runs(&text) {
        if run.starts_with(is_cjk) {
            push_pairs(run, &mut terms);
        } else {
            run.unicode_words().for_each(|word| push_word(word, &stemmer, &mut terms));
        }
    }
    terms
}

/// Compatibility forms unified, lower case, one kind of apostrophe.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let apostrophe = |c| if matches!(c, '\u{2019}' | '\u{2BC}') { '\'' } else { c };
    text.nfkc().flat_map(char::to_lowercase).map(apostrophe).collect()
}

/// Splits a text where it changes between CJK and other characters.
fn runs(text: &str) -> Vec<&str> {
    let mut runs = Vec::new();
    let (mut start, mut cjk) = (0, false);
    for (at, c) in text.char_indices() {
        if is_cjk(c) != cjk {
            runs.push(&text[start..at]);
            (start, cjk) = (at, !cjk);
        }
    }
    runs.push(&text[start..]);
    runs
}

/// Han, kana or Hangul: the blocks of the Unicode standard, without their punctuation.
fn is_cjk(c: char) -> bool {
    matches!(c,
        '\u{1100}'..='\u{11FF}'         // Hangul Jamo
        | '\u{3005}'..='\u{3007}'       // iteration mark, closing mark, zero
        | '\u{3041}'..='\u{309F}'       // Hiragana
        | '\u{30A1}'..='\u{30FA}'       // Katakana,
        | '\u{30FC}'..='\u{30FF}'       //   without its middle dot
        | '\u{3131}'..='\u{318E}'       // Hangul Compatibility Jamo
        | '\u{31F0}'..='\u{31FF}'       // Katakana Phonetic Extensions
        | '\u{3400}'..='\u{4DBF}'       // Han, extension A
        | '\u{4E00}'..='\u{9FFF}'       // Han
        | '\u{AC00}'..='\u{D7A3}'       // Hangul Syllables
        | '\u{F900}'..='\u{FAFF}'       // Han, compatibility
        | '\u{20000}'..='\u{3FFFF}') // Han, further extensions
}

fn push_pairs(run: &str, terms: &mut Vec<String>) {
    let chars: Vec<char> = run.chars().collect();
    match chars.as_slice() {
        [one] => terms.push(one.to_string()),
        many => terms.extend(many.windows(2).map(|pair| pair.iter().collect::<String>())),
    }
}

/// "Gus's" is "gus"; "don't" and its like say nothing; "o'brien" is two words.
fn push_word(word: &str, stemmer: &Stemmer, terms: &mut Vec<String>) {
    if word.ends_with("n't") {
        return;
    }
    // NFKC writes a free-standing accent as a space that bears it; the space is no part of the word.
    for (i, part) in word.trim().split('\'').enumerate() {
        let empty = part.is_empty() || (i > 0 && CONTRACTIONS.contains(&part));
        if empty || STOP_WORDS.binary_search(&part).is_ok() {
            continue;
        }
        let end = part.char_indices().nth(MAX_TERM_CHARS).map_or(part.len(), |(end, _)| end);
        terms.push(stemmer.stem(&part[..end]).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_folded_and_stemmed() {
        assert_eq!(terms("Hiking the MOUNTAINS, hiked a mountain!"), ["hike", "mountain", "hike", "mountain"]);
        assert_eq!(terms("Ｃａｆｅ\u{301} 42 3.14"), terms("caf\u{e9} 42 3.14"));
        assert_eq!(terms("flight BA-117 in 2023"), ["flight", "ba", "117", "2023"]);
        assert!(terms("What did you do with it, and why?").is_empty());
        assert!(terms(" \n?! 🎉").is_empty());
    }

    #[test]
    fn apostrophes_do_not_hide_a_name() {
        assert_eq!(terms("Gus's dog"), terms("Gus dog"));
        assert_eq!(terms("Gus\u{2019}s"), ["gus"]);
        assert_eq!(terms("I'm sure they don't, he won't, she'll"), ["sure"]);
        assert_eq!(terms("O'Brien"), ["o", "brien"]);
        assert_eq!(terms("we won"), ["won"]);
    }

    #[test]
    fn cjk_becomes_pairs() {
        assert_eq!(terms("我住在北京。"), ["我住", "住在", "在北", "北京"]);
        assert_eq!(terms("猫"), ["猫"]);
        assert_eq!(terms("買iPhone手机"), ["買", "iphon", "手机"]);
        assert_eq!(terms("コーヒーが好き"), ["コー", "ーヒ", "ヒー", "ーが", "が好", "好き"]);
        assert_eq!(terms("ｺｰﾋｰ"), ["コー", "ーヒ", "ヒー"]);
        assert_eq!(terms("서울에 살아요"), ["서울", "울에", "살아", "아요"]);
    }

    #[test]
    fn endless_words_are_cut() {
        assert_eq!(terms(&"9".repeat(5000)), ["9".repeat(MAX_TERM_CHARS)]);
    }

    #[test]
    fn stop_words_can_be_searched() {
        assert!(STOP_WORDS.is_sorted());
    }

    proptest! {
        #[test]
        fn any_text_is_analysed(text in any::<String>()) {
            for term in terms(&text) {
                prop_assert!(!term.is_empty() && term.chars().count() <= MAX_TERM_CHARS);
                prop_assert!(!term.contains(char::is_whitespace));
            }
        }

        #[test]
        fn case_and_padding_say_nothing(text in "[a-zA-Z' ]{0,40}") {
            prop_assert_eq!(terms(&text), terms(&format!("  {} ", text.to_uppercase())));
        }
    }
}
