//! What may be kept in memory, all users together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A budget of bytes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct CacheBudget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl CacheBudget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { used: Arc::default(), limit }
    }

    /// Takes bytes out of the budget for as long as the share lives. None when they are not there.
    pub(crate) fn take(&self, bytes: usize) -> Option<CacheShare> {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(CacheShare { budget: self.clone(), bytes })
    }

    /// True when so little is left that idle users should go.
    pub(crate) fn is_tight(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit / 10 * 9
    }
}

/// Part of a [`CacheBudget`], given back when it is dropped.
#[derive(Debug)]
pub(crate) struct CacheShare {
    budget: CacheBudget,
    bytes: usize,
}

impl CacheShare {
    /// This share with so many bytes. None when they are not there.
    pub(crate) fn resized(self, bytes: usize) -> Option<Self> {
        let budget = self.budget.clone();
        drop(self);
        budget.take(bytes)
    }
}

impl Drop for CacheShare {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_never_overdrawn_and_comes_back() {
        let budget = CacheBudget::new(100);
        let share = budget.take(95).unwrap();
        assert!(budget.is_tight() && budget.take(6).is_none() && budget.take(usize::MAX).is_none());
        let share = share.resized(100).unwrap();
        assert!(share.resized(101).is_none());
        assert!(!budget.is_tight() && budget.take(100).is_some());
    }
}
