//! What a call would have cost.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use memory::ports::TokenCounter as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::contract::text_of;
use crate::tokens::Tokeniser;

/// System messages that are remembered at most; then all are forgotten.
const MAX_SEEN: usize = 4_096;

/// Counts tokens: those of the texts alone, without what a provider adds for each message.
pub(super) struct Meter {
    tokeniser: Tokeniser,
    /// The tokens of the system messages that were seen, by their hash.
    seen: Mutex<HashMap<[u8; 32], u32>>,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { tokeniser: Tokeniser::start(), seen: Mutex::default() }
    }

    pub(super) fn count(&self, text: &str) -> u32 {
        self.tokeniser.count(text)
    }

    /// The `usage` of a chat completion. Those tokens count as cached that stand in the longest system message that
    /// was seen before, in this call's or an earlier one.
    pub(super) fn chat(&self, request: &Value, content: &str) -> Value {
        let (mut prompt, mut cached) = (0_u32, 0_u32);
        for message in request["messages"].as_array().into_iter().flatten() {
            let text = text_of(&message["content"]);
            let is_system = matches!(message["role"].as_str(), Some("system" | "developer"));
            let (tokens, seen) = if is_system { self.system(&text) } else { (self.count(&text), false) };
            prompt = prompt.saturating_add(tokens);
            cached = cached.max(if seen { tokens } else { 0 });
        }
        let completion = self.count(content);
        json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt.saturating_add(completion),
            "prompt_tokens_details": {"cached_tokens": cached},
        })
    }

    /// The tokens of a system message, and whether it was seen before.
    fn system(&self, text: &str) -> (u32, bool) {
        let key = Sha256::digest(text.as_bytes()).into();
        let known = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some(tokens) = known {
            return (tokens, true);
        }
        let tokens = self.count(text);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MAX_SEEN {
            seen.clear();
        }
        seen.insert(key, tokens);
        (tokens, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_message_is_cached_from_its_second_call_on() {
        let meter = Meter::new();
        let ask = |system: &str| {
            let messages = [("system", system), ("user", "hello world")];
            let messages = messages.map(|(role, content)| json!({"role": role, "content": content}));
            let usage = meter.chat(&json!({"messages": messages}), "hello world");
            ["prompt_tokens", "completion_tokens", "total_tokens"]
                .map(|key| usage[key].as_u64().unwrap())
                .into_iter()
                .chain(usage["prompt_tokens_details"]["cached_tokens"].as_u64())
                .collect::<Vec<_>>()
        };
        assert_eq!(ask("2 + 2 = 4"), [9, 2, 11, 0]);
        assert_eq!(ask("2 + 2 = 4"), [9, 2, 11, 7]);
        assert_eq!(ask("antidisestablishmentarianism"), [8, 2, 10, 0]);
    }

    #[test]
    fn no_more_is_remembered_than_the_limit() {
        let meter = Meter::new();
        for number in 0..=MAX_SEEN {
            assert!(!meter.system(&number.to_string()).1);
        }
        assert_eq!(meter.seen.lock().unwrap().len(), 1);
        assert!(meter.system(&MAX_SEEN.to_string()).1 && !meter.system("0").1);
    }
}
