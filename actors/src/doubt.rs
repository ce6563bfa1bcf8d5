use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// Tells what is kept in memory that it may be old: all that was known before the last [`Doubt::raise`] is compared with
/// the store before it is used again. Cheap to clone; clones are one.
#[derive(Clone, Debug)]
pub struct Doubt(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    /// Milliseconds after `began` up to which all is doubted; 0 when nothing is.
    until: AtomicU64,
}

impl Default for Doubt {
    fn default() -> Self {
        Self(Arc::new(Inner { began: Instant::now(), until: AtomicU64::new(0) }))
    }
}

impl Doubt {
    /// Doubts all that is known now. Takes effect at once.
    pub fn raise(&self) {
        self.0.until.fetch_max(self.millis(Instant::now()), Ordering::AcqRel);
    }

    /// Whether what was known at an instant is doubted.
    pub(crate) fn covers(&self, known_at: Instant) -> bool {
        self.millis(known_at) <= self.0.until.load(Ordering::Acquire)
    }

    /// Counted from 1, so that 0 is before everything.
    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.0.began).as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_known_before_is_doubted_and_what_comes_later_is_not() {
        let doubt = Doubt::default();
        let before = Instant::now();
        assert!(!doubt.covers(before));
        tokio::time::advance(Duration::from_millis(5)).await;
        doubt.clone().raise();
        assert!(doubt.covers(before) && doubt.covers(Instant::now()));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!doubt.covers(Instant::now()));
    }
}
