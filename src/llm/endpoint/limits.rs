use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

/// How many calls at the same time, and how many calls and tokens per minute.
pub(super) struct Limits {
    places: Semaphore,
    /// Whoever waits for the rates: one at a time, in order, so that a large prompt is not overtaken for ever.
    turn: Mutex<()>,
    requests: Option<DefaultDirectRateLimiter>,
    tokens: Option<TokenRate>,
}

struct TokenRate {
    limiter: DefaultDirectRateLimiter,
    /// Tokens that one minute allows, and the most that can be taken at once.
    per_minute: NonZeroU32,
    /// Tokens used and not yet taken: whoever comes next waits for them too.
    debt: AtomicU32,
}

impl Limits {
    pub(super) fn new(
        parallel_calls: usize,
        requests_per_minute: Option<NonZeroU32>,
        tokens_per_minute: Option<NonZeroU32>,
    ) -> Self {
        Self {
            places: Semaphore::new(parallel_calls.clamp(1, Semaphore::MAX_PERMITS)),
            turn: Mutex::new(()),
            requests: requests_per_minute.map(|limit| RateLimiter::direct(Quota::per_minute(limit))),
            tokens: tokens_per_minute.map(|limit| TokenRate {
                limiter: RateLimiter::direct(Quota::per_minute(limit)),
                per_minute: limit,
                debt: AtomicU32::new(0),
            }),
        }
    }

    /// Waits for a place, then until the rates allow one more call of about so many tokens. The place is free again
    /// when the permit is dropped.
    ///
    /// Of a prompt larger than a minute's tokens only a minute's tokens are waited for: it could never go otherwise.
    pub(super) async fn enter(&self, tokens: impl Fn() -> u32) -> Option<SemaphorePermit<'_>> {
        // None when the semaphore is closed, which nobody does; a call without a place would be no harm.
        let place = self.places.acquire().await.ok();
        let _turn = self.turn.lock().await;
        if let Some(requests) = &self.requests {
            requests.until_ready().await;
        }
        if let Some(rate) = &self.tokens {
            rate.take(tokens()).await;
        }
        place
    }

    /// Counts another try of a call that has its place. It does not wait: the rates catch up with the next call.
    pub(super) fn count_try(&self) {
        if let Some(requests) = &self.requests {
            let _ = requests.check();
        }
    }

    /// Counts tokens beyond those told at the entry.
    pub(super) fn count_tokens(&self, tokens: impl Fn() -> u32) {
        if let Some(rate) = &self.tokens {
            rate.owe(tokens());
        }
    }
}

impl TokenRate {
    /// Waits for these tokens and for those owed, a minute's worth at most.
    async fn take(&self, tokens: u32) {
        let owed = self.debt.load(Ordering::Relaxed);
        let all = tokens.saturating_add(owed).min(self.per_minute.get());
        let Some(all) = NonZeroU32::new(all) else { return };
        // Cannot fail: no more than the limiter holds.
        let _ = self.limiter.until_n_ready(all).await;
        // Only now, so that a call given up while it waits leaves the debt to the next.
        let paid = |debt: u32| Some(debt.saturating_sub(owed));
        let _ = self.debt.fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid);
    }

    /// A minute's worth at most, whatever the provider reports.
    fn owe(&self, tokens: u32) {
        let more = |debt: u32| Some(debt.saturating_add(tokens).min(self.per_minute.get()));
        let _ = self.debt.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn limits(requests: Option<u32>, tokens: Option<u32>) -> Limits {
        Limits::new(2, requests.and_then(NonZeroU32::new), tokens.and_then(NonZeroU32::new))
    }

    /// Whether a call may go at once; its place is free again.
    fn goes(limits: &Limits, tokens: u32) -> bool {
        limits.enter(|| tokens).now_or_never().is_some()
    }

    #[test]
    fn places_are_limited_and_come_back() {
        let limits = limits(None, None);
        let first = limits.enter(|| 1).now_or_never().unwrap();
        let _second = limits.enter(|| 1).now_or_never().unwrap();
        assert!(!goes(&limits, 1));
        drop(first);
        assert!(goes(&limits, 1));
    }

    // A minute passes for the rates below only if a test is held up for as long.

    #[test]
    fn calls_per_minute() {
        let one = limits(Some(1), None);
        assert!(goes(&one, 1_000_000));
        assert!(!goes(&one, 1));
        let two = limits(Some(2), None);
        assert!(goes(&two, 1));
        two.count_try();
        assert!(!goes(&two, 1), "a retry is a call");
    }

    #[test]
    fn tokens_per_minute() {
        let limits = limits(None, Some(10));
        assert!(goes(&limits, 6));
        assert!(!goes(&limits, 6));
        assert!(goes(&limits, 4), "whoever gave up has taken nothing");
    }

    #[test]
    fn a_prompt_larger_than_a_minute_takes_all_of_it() {
        let limits = limits(None, Some(10));
        assert!(goes(&limits, 4_000_000_000));
        assert!(!goes(&limits, 1));
    }

    #[test]
    fn tokens_used_on_top_are_waited_for_by_the_next() {
        let limits = limits(None, Some(10));
        assert!(goes(&limits, 1));
        limits.count_tokens(|| 9);
        assert!(!goes(&limits, 1), "nine are left, ten are wanted");
        assert!(goes(&limits, 0), "nothing but the debt");
        assert!(!goes(&limits, 1), "and that was all");
    }

    #[test]
    fn the_debt_is_a_minute_at_most() {
        let limits = limits(None, Some(10));
        limits.count_tokens(|| u32::MAX);
        limits.count_tokens(|| u32::MAX);
        assert!(goes(&limits, 0));
        assert_eq!(limits.tokens.unwrap().debt.load(Ordering::Relaxed), 0);
    }
}
