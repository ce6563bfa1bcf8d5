//! The ports: what the memory needs from outside, as small traits.
//!
//! An adapter may be called from any runtime and any thread: one that owns sockets moves the work to the runtime
//! that opened them. To add an adapter, implement the trait and run its contract suite ([`crate::testing`], feature
//! `testing`) against it.

mod advisor;
mod changes;
mod clock;
mod counter;
mod embedder;
mod journal;
mod legacy;
mod model;
mod projects;
mod store;
mod vectors;

pub use advisor::{Advisor, Roleplay, TopicAction, TopicAdvice};
pub use changes::{Alone, Change, ChangeFeed};
pub use clock::{Clock, SystemClock};
pub use counter::TokenCounter;
pub use embedder::{Embedded, Embedder, Purpose};
pub use journal::{
    Append, Batch, Due, Entry, Holding, Journal, JournalError, Level, Release, Removed, Requeue, Requeued, Reseal,
    Setback, Standing, Take, Taken,
};
pub use legacy::{Adoption, Legacy, ProjectAdoption};
pub use model::{Answer, LanguageModel, ModelError, Usage};
pub use projects::{ListedUser, Project, ProjectStatus, Projects, TokenHash, UserOrder, UserQuery};
pub use store::{
    Commit, CommitReply, DeadLetter, DeadLetterHead, EventFilter, FlushOutcome, FlushRecord, FlushResult, NewSlot,
    Page, SlotChange, Store, StoreError, StoredBlob, User, Written,
};
pub use vectors::{NewVector, Unembedded, Vectors};
