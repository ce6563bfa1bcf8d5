//! What the engine's log says while the store, the journal or the model is away. All callers of this process share
//! what was said: requests, flushes and the sweeper fail for the same reason.

use std::fmt::Display;
use std::time::Instant;

use memory::outage::Outage;
use memory::ports::{JournalError, StoreError};

static STORE: Outage = Outage::new();
static JOURNAL: Outage = Outage::new();
static FLUSHES: Outage = Outage::new();
static QUOTAS: Outage = Outage::new();
static EMBEDDINGS: Outage = Outage::new();

/// Logs that a call of the store failed.
pub(crate) fn store_failed(error: &StoreError) {
    failed(&STORE, "the store failed", kind(matches!(error, StoreError::Unavailable(_))), error);
}

/// Logs that a call of the journal failed.
pub(crate) fn journal_failed(error: &JournalError) {
    failed(&JOURNAL, "the journal failed", kind(matches!(error, JournalError::Unavailable(_))), error);
}

/// A call of the store succeeded.
pub(crate) fn store_worked() {
    if let Some(line) = STORE.worked(Instant::now()) {
        tracing::info!(held_back = line.held_back, after_s = line.seconds, "the store works again");
    }
}

/// A call of the journal succeeded.
pub(crate) fn journal_worked() {
    if let Some(line) = JOURNAL.worked(Instant::now()) {
        tracing::info!(held_back = line.held_back, after_s = line.seconds, "the journal works again");
    }
}

/// Logs that a flush ended for want of something that is away.
pub(crate) fn flush_waits(project: &impl Display, user: &impl Display, reason: &str) {
    if let Some(line) = FLUSHES.lost("away", Instant::now()) {
        let (held_back, for_s) = (line.held_back, line.seconds);
        tracing::warn!(%project, %user, reason, held_back, for_s, "flush failed; it will be tried again");
    }
}

/// Logs that a flush waits because its project has used up its tokens. Nobody needs to be told that it goes on.
pub(crate) fn quota_used_up(project: &impl Display) {
    if let Some(line) = QUOTAS.lost("used up", Instant::now()) {
        let held_back = line.held_back;
        tracing::warn!(%project, held_back, "a project has used up its tokens of this month; its messages wait");
    }
}

/// Logs that something could not be embedded.
pub(crate) fn embedding_failed(error: &impl Display) {
    if let Some(line) = EMBEDDINGS.lost("embedding", Instant::now()) {
        let held_back = line.held_back;
        tracing::warn!(%error, held_back, "no vectors were made; searches go by words, and what is missing is filled in");
    }
}

/// Something was embedded.
pub(crate) fn embedding_worked() {
    if let Some(line) = EMBEDDINGS.worked(Instant::now()) {
        tracing::info!(held_back = line.held_back, after_s = line.seconds, "vectors are made again");
    }
}

/// A flush took effect.
pub(crate) fn flush_committed() {
    if let Some(line) = FLUSHES.worked(Instant::now()) {
        tracing::info!(held_back = line.held_back, after_s = line.seconds, "flushes go on");
    }
}

/// What cannot be read must not go under in what is away.
fn kind(is_away: bool) -> &'static str {
    if is_away { "away" } else { "damaged" }
}

fn failed(port: &Outage, what: &str, kind: &'static str, error: &impl Display) {
    if let Some(line) = port.lost(kind, Instant::now()) {
        tracing::error!(%error, held_back = line.held_back, for_s = line.seconds, "{what}");
    }
}
