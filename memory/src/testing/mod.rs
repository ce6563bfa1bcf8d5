//! Stand-ins for the ports, and the contract suites that every adapter must pass. For tests only.

mod adoption;
mod clock;
mod faults;
mod journal;
pub mod journal_contract;
mod model;
mod projects;
pub mod projects_contract;
mod store;
pub mod store_contract;
mod store_rows;
mod texts;
mod vectors;

pub use clock::{ManualClock, SeededIds};
pub use journal::{JournalSnapshot, MemoryJournal};
pub use model::ScriptedModel;
pub use store::MemoryStore;
pub use store_rows::{AppliedRow, HistoryRow, UserRows};

use jiff::tz::TimeZone;

use crate::extraction::Policy;
use crate::ports::TokenCounter;
use crate::schema::Schema;

/// A policy that asks for nothing and refuses little: memos of more than 50 tokens.
pub fn policy() -> Policy {
    Policy {
        schema: Schema { topics: Vec::new() },
        strict: false,
        validate: false,
        max_sub_topics: 15,
        max_memo_tokens: 50,
        event_tags: Vec::new(),
        time_zone: TimeZone::UTC,
        language: None,
        introduction: None,
        event_theme: None,
    }
}

/// Counts words: a token counter that a reader of a test can follow.
#[derive(Clone, Copy, Debug, Default)]
pub struct WordCounter;

impl TokenCounter for WordCounter {
    fn count(&self, text: &str) -> u32 {
        u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX)
    }
}
