/// Counts the tokens of a text as the language model would.
pub trait TokenCounter: Send + Sync + 'static {
    /// The number of tokens. Text that looks like a model's control token counts as plain text.
    fn count(&self, text: &str) -> u32;

    /// Whether a text has at most so many tokens. A token is at least one byte, so a short text need not be counted.
    fn fits(&self, text: &str, max_tokens: u32) -> bool {
        u32::try_from(text.len()).is_ok_and(|bytes| bytes <= max_tokens) || self.count(text) <= max_tokens
    }
}
