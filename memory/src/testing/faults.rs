use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The state of a stand-in behind a lock, and the failures that a test has ordered.
#[derive(Debug, Default)]
pub(super) struct Shared<S>(Arc<Mutex<Inner<S>>>);

#[derive(Debug, Default)]
struct Inner<S> {
    state: S,
    fail_before: u32,
    fail_after: u32,
}

/// A failure that a test ordered.
pub(super) struct Injected;

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next `calls` fail before they act.
    pub(super) fn fail_next(&self, calls: u32) {
        self.lock().fail_before = calls;
    }

    /// The next `calls` act and fail then.
    pub(super) fn fail_after_next(&self, calls: u32) {
        self.lock().fail_after = calls;
    }

    /// One call of the port.
    pub(super) fn call<T>(&self, act: impl FnOnce(&mut S) -> T) -> Result<T, Injected> {
        let mut inner = self.lock();
        if take_one(&mut inner.fail_before) {
            return Err(Injected);
        }
        let done = act(&mut inner.state);
        if take_one(&mut inner.fail_after) { Err(Injected) } else { Ok(done) }
    }

    /// A look from outside, which never fails.
    pub(super) fn inspect<T>(&self, look: impl FnOnce(&mut S) -> T) -> T {
        look(&mut self.lock().state)
    }
}

fn take_one(count: &mut u32) -> bool {
    let some = *count > 0;
    *count = count.saturating_sub(1);
    some
}
