//! The tokeniser: counts tokens as the models of OpenAI since GPT-4o do (`o200k_base`).

use memory::ports::TokenCounter;
use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton};

/// Bytes of a run, of white space or of anything else, after which the text is cut.
///
/// A run is what the tokeniser may have to look at as a whole. Its regular expression backtracks over long runs, and
/// gives up (panics) past a million steps; words of human languages are far shorter than this.
const MAX_RUN_BYTES: usize = 4_096;
/// Bytes of a text that are looked at together for its first tokens: what is far behind them costs nothing.
const WINDOW_BYTES: usize = 16 << 10;

/// Counts tokens. All share one set of tables (about 46 MB), loaded once per process.
///
/// Text that looks like a control token (`<|endoftext|>`) counts as plain text. The count is that of the reference
/// tokeniser, except for text with runs of more than 4,096 bytes without a change between white space and other
/// characters: such a run is counted in pieces, and each cut may split a token, so that the count comes out higher or
/// lower by a token or so per 4,096 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Tokeniser(());

impl Tokeniser {
    /// Begins to load the tables (about 200 ms) on a thread of its own. The first count waits for them.
    pub fn start() -> Self {
        // Without a thread the first count loads them itself.
        let _ = std::thread::Builder::new().name("tokeniser".to_owned()).spawn(o200k_base_singleton);
        Self(())
    }
}

impl TokenCounter for Tokeniser {
    fn count(&self, text: &str) -> u32 {
        let tables = o200k_base_singleton();
        let count: usize = pieces(text).map(|piece| tables.count_ordinary(piece)).sum();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// The tokens of a family of models.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vocabulary {
    /// Of OpenAI's chat models since GPT-4o. A stand-in for models of others.
    O200k,
    /// Of OpenAI's embedding models. Of a Chinese text it has half as many more.
    Cl100k,
}

impl Vocabulary {
    /// That of a model for embeddings, as far as it is known.
    pub fn of_embeddings(model: &str) -> Self {
        // Some gateways put the name of the provider in front: `openai/text-embedding-3-small`.
        let name = model.rsplit('/').next().unwrap_or(model);
        if name.starts_with("text-embedding-3") || name.starts_with("text-embedding-ada") {
            Self::Cl100k
        } else {
            Self::O200k
        }
    }

    /// The first tokens of a text, so many at most. A character of which only a part would fit is left out.
    ///
    /// The tables (some 40 MB each) are loaded by the first text that is longer than so many bytes.
    pub fn head(self, text: &str, max_tokens: u32) -> &str {
        let mut left = usize::try_from(max_tokens).unwrap_or(usize::MAX);
        // A token is at least one byte.
        if text.len() <= left {
            return text;
        }
        let tables = self.tables();
        let mut end = 0;
        while end < text.len() {
            let window = &text[end..text.floor_char_boundary(end + WINDOW_BYTES)];
            let piece = &window[..cut(window)];
            let tokens = tables.encode_ordinary(piece);
            if tokens.len() > left {
                // Cannot fail: the tokens are its own.
                let kept = tables.decode_bytes(&tokens[..left]).map_or(0, |bytes| bytes.len());
                return &text[..text.floor_char_boundary(end + kept)];
            }
            left -= tokens.len();
            end += piece.len();
        }
        text
    }

    fn tables(self) -> &'static CoreBPE {
        match self {
            Self::O200k => o200k_base_singleton(),
            Self::Cl100k => cl100k_base_singleton(),
        }
    }
}

/// Cuts a text inside its long runs; a text without any is one piece.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(cut(rest));
        rest = after;
        Some(piece)
    })
}

/// Where the first long run of a text has to be cut; the end of the text when it has none.
fn cut(text: &str) -> usize {
    let (mut run_start, mut run_is_space) = (0, false);
    for (at, c) in text.char_indices() {
        if c.is_whitespace() != run_is_space {
            (run_start, run_is_space) = (at, c.is_whitespace());
        } else if at + c.len_utf8() - run_start > MAX_RUN_BYTES {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest_run(text: &str) -> usize {
        let mut runs = vec![(false, 0)];
        for c in text.chars() {
            match runs.last_mut() {
                Some((space, bytes)) if *space == c.is_whitespace() => *bytes += c.len_utf8(),
                _ => runs.push((c.is_whitespace(), c.len_utf8())),
            }
        }
        runs.into_iter().map(|(_, bytes)| bytes).max().unwrap()
    }

    #[test]
    fn counts_are_those_of_the_reference_tokeniser() {
        // Published counts of o200k_base for these texts.
        let count = |text: &str| Tokeniser::start().count(text);
        assert_eq!(count(""), 0);
        assert_eq!(count("hello world"), 2);
        assert_eq!(count("antidisestablishmentarianism"), 6);
        assert_eq!(count("2 + 2 = 4"), 7);
        assert!(count("<|endoftext|>") > 1, "a control token counts as plain text");
    }

    #[test]
    fn ordinary_text_is_counted_whole() {
        let text = "I moved to Lisbon in May.\n\n猫が好きです。 It's \t fine! ".repeat(500);
        assert_eq!(pieces(&text).count(), 1);
        assert_eq!(Tokeniser::start().count(&text) as usize, o200k_base_singleton().count_ordinary(&text));
    }

    #[test]
    fn no_piece_holds_a_long_run() {
        for unit in ["A", "a", "é", "猫", " ", "\n", "!", "7", "\u{3000}", "👩‍👧", "A \n"] {
            for text in [unit.repeat(20_000), format!("x y {} z", unit.repeat(9_000))] {
                assert_eq!(pieces(&text).collect::<String>(), text);
                assert!(pieces(&text).all(|piece| longest_run(piece) <= MAX_RUN_BYTES), "{unit:?}");
                let most = 1 + text.len() / (MAX_RUN_BYTES - 3);
                assert!(pieces(&text).count() <= most, "{unit:?}");
            }
        }
    }

    #[test]
    fn a_head_is_cut_between_tokens() {
        let head = |text, tokens| Vocabulary::O200k.head(text, tokens);
        assert_eq!(head("antidisestablishmentarianism is long", 6), "antidisestablishmentarianism");
        assert_eq!(head("hello world", 2), "hello world");
        assert_eq!(head("hello world", 1), "hello");
        assert_eq!(head("hello world", 0), "");
        for unit in ["I moved to Lisbon. ", "猫が好きです。", "👩‍👧", "A", "𓀀"] {
            let text = unit.repeat(6_000);
            for vocabulary in [Vocabulary::O200k, Vocabulary::Cl100k] {
                let head = vocabulary.head(&text, 500);
                let tokens = vocabulary.tables().count_ordinary(head);
                assert!(text.starts_with(head) && (495..=500).contains(&tokens), "{unit}: {tokens}");
            }
        }
    }

    #[test]
    fn models_for_embeddings_have_their_vocabulary() {
        let of = Vocabulary::of_embeddings;
        for name in ["text-embedding-3-small", "text-embedding-ada-002", "openai/text-embedding-3-large"] {
            assert_eq!(of(name), Vocabulary::Cl100k, "{name}");
        }
        for name in ["nomic-embed-text", "jina-embeddings-v3", "text-embedding-v4", "text-embedding-3-small/x"] {
            assert_eq!(of(name), Vocabulary::O200k, "{name}");
        }
    }

    #[test]
    fn a_text_on_which_the_bare_tokeniser_panics_is_counted() {
        // One space more than its regular expression may go back over.
        let text = format!("{}x", " ".repeat(1_000_001));
        assert!(std::panic::catch_unwind(|| o200k_base_singleton().count_ordinary(&text)).is_err());
        assert!(Tokeniser::start().count(&text) > 1_000);
    }
}
