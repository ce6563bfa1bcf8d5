/// Counts the tokens of a text as the language model would.
pub trait TokenCounter: Send + Sync + 'static {
    /// The number of tokens. Text that looks like a model's control token counts as plain text.
    fn count(&self, text: &str) -> u32;
}
