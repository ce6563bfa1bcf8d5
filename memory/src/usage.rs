//! What projects use.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::ports::Usage;

/// What is counted of a project in a day, or in one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Used {
    /// Blobs that were inserted, and have taken effect or become dead letters since: an insert is counted by the flush
    /// that settles it.
    pub inserts: u64,
    /// Blobs that have taken effect.
    pub successes: u64,
    /// Prompt tokens of the flushes' model calls.
    pub input_tokens: u64,
    /// Completion tokens of the flushes' model calls.
    pub output_tokens: u64,
    /// Tokens of what was embedded to be found. They are none of a quota.
    pub embedding_tokens: u64,
}

impl Used {
    /// What a flush has used whose model calls cost this much.
    pub fn new(inserts: usize, successes: usize, usage: Usage) -> Self {
        let blobs = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let Usage { input, output, .. } = usage;
        Self {
            inserts: blobs(inserts),
            successes: blobs(successes),
            input_tokens: input.into(),
            output_tokens: output.into(),
            embedding_tokens: 0,
        }
    }

    /// True when there is nothing to count.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Prompt and completion tokens.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

impl std::ops::AddAssign for Used {
    fn add_assign(&mut self, other: Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.inserts, other.inserts);
        add(&mut self.successes, other.successes);
        add(&mut self.input_tokens, other.input_tokens);
        add(&mut self.output_tokens, other.output_tokens);
        add(&mut self.embedding_tokens, other.embedding_tokens);
    }
}

/// The day that an instant counts for: that of UTC.
pub fn day_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}
