//! When the requests of an open loop are due.

use std::time::Duration;

use tokio::time::Instant;

const NANOS: u128 = 1_000_000_000;

/// The requests of one thread: every `threads`-th of a steady rate. A request is due whether or not those before it
/// were answered, and its latency counts from then: a server that stalls is charged for all who had to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Schedule {
    /// When the first request of all threads is due.
    pub(super) start: Instant,
    /// Requests per second, all threads together.
    pub(super) rate: u32,
    /// How many threads share the rate.
    pub(super) threads: u32,
    /// Which of them this is, from 0.
    pub(super) thread: u32,
}

impl Schedule {
    /// When the n-th request of this thread is due, from 0.
    pub(super) fn due(&self, n: u64) -> Instant {
        let place = u128::from(n) * u128::from(self.threads) + u128::from(self.thread);
        let nanos = place * NANOS / u128::from(self.rate.max(1));
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 2))
    }

    /// How many requests of this thread, from the n-th on, are due before an instant.
    pub(super) fn due_before(&self, n: u64, end: Instant) -> u64 {
        let nanos = end.saturating_duration_since(self.start).as_nanos();
        // Those with place * NANOS / rate < nanos, that is place < nanos * rate / NANOS, rounded up.
        let places = (nanos * u128::from(self.rate)).div_ceil(NANOS);
        let mine = places.saturating_sub(u128::from(self.thread)).div_ceil(u128::from(self.threads.max(1)));
        u64::try_from(mine).unwrap_or(u64::MAX).saturating_sub(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(start: Instant, rate: u32, threads: u32, thread: u32) -> Schedule {
        Schedule { start, rate, threads, thread }
    }

    #[test]
    fn requests_are_due_at_a_steady_rate() {
        let start = Instant::now();
        let at = |nanos| start + Duration::from_nanos(nanos);
        let one = schedule(start, 1_000, 1, 0);
        assert_eq!([0, 1, 999, 1_000].map(|n| one.due(n)), [0, 1_000_000, 999_000_000, NANOS as u64].map(at));
        let two = [0, 1].map(|thread| schedule(start, 3, 2, thread));
        assert_eq!(two.map(|s| s.due(0)), [0, 333_333_333].map(at));
        assert_eq!(two.map(|s| s.due(1)), [666_666_666, 1_000_000_000].map(at));
        // After a day nothing has drifted.
        let day = 86_400;
        assert_eq!(schedule(start, 7, 1, 0).due(7 * day), start + Duration::from_secs(day));
    }

    #[test]
    fn what_is_due_is_counted() {
        let start = Instant::now();
        for threads in 1..4 {
            for rate in [1, 3, 1_000, 77_777] {
                let end = start + Duration::from_millis(1_234);
                let counted: u64 = (0..threads).map(|t| schedule(start, rate, threads, t).due_before(0, end)).sum();
                let all = schedule(start, rate, 1, 0);
                let listed = (0..).take_while(|n| all.due(*n) < end).count();
                assert_eq!(counted, listed as u64, "{threads} {rate}");
            }
        }
        let one = schedule(start, 10, 1, 0);
        assert_eq!(one.due_before(4, start + Duration::from_secs(1)), 6);
        assert_eq!(one.due_before(40, start + Duration::from_secs(1)), 0);
        assert_eq!(one.due_before(0, start - Duration::from_secs(1)), 0);
    }

    #[test]
    fn a_stall_is_charged_to_all_who_wait() {
        // 100 requests a second on one connection; each answer takes 1 ms, but for one that takes a second.
        let start = Instant::now();
        let schedule = schedule(start, 100, 1, 0);
        let mut now = start;
        let latencies: Vec<Duration> = (0..300)
            .map(|n| {
                let due = schedule.due(n);
                now = now.max(due) + Duration::from_millis(if n == 100 { 1_000 } else { 1 });
                now.duration_since(due)
            })
            .collect();
        let slow = latencies.iter().filter(|latency| **latency > Duration::from_millis(500)).count();
        assert!((50..60).contains(&slow), "{slow}: half of what fell due during the stall waited half of it or more");
        assert_eq!(latencies.iter().max(), Some(&Duration::from_secs(1)));
    }
}
