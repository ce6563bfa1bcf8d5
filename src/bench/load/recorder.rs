//! Writes down what the connections of one thread see.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::measured::{Failures, Measured, Operation, Second, latencies};
use crate::bench::client::Fault;

/// The server counts as gone when nothing was answered for so long, while connections fail.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// What the connections of a thread see.
pub(super) struct Recorder {
    measured: Measured,
    begin: Instant,
    /// When the warm-up ends.
    from: Instant,
    /// When the measured time ends. None: with the last answer.
    until: Option<Instant>,
    last_answer: Instant,
    /// Whether one failure is too many.
    strict: bool,
    /// Answers so far, for whoever watches.
    live: Arc<AtomicU64>,
}

impl Recorder {
    pub(super) fn new(
        kinds: usize,
        (begin, from, until): (Instant, Instant, Option<Instant>),
        strict: bool,
        live: Arc<AtomicU64>,
    ) -> Self {
        let measured = Measured {
            operations: vec![Operation::new(); kinds],
            length: Duration::ZERO,
            whole: Duration::ZERO,
            failures: Failures::default(),
            delays: latencies(),
            unsent: 0,
            gave_up: false,
        };
        Self { measured, begin, from, until, last_answer: begin, strict, live }
    }

    /// A request of a kind that was sent, or should have been, at one instant and ended at another.
    pub(super) fn ended(&mut self, kind: usize, from: Instant, to: Instant, fault: Option<Fault>) {
        if let Some(fault) = fault {
            let was_answered = fault.was_answered();
            self.measured.gave_up |= self.strict;
            self.measured.failures.count(fault);
            if was_answered {
                self.last_answer = to;
            } else if to.saturating_duration_since(self.last_answer) > GIVE_UP_AFTER {
                self.measured.gave_up = true;
            }
            return;
        }
        self.last_answer = to;
        self.live.fetch_add(1, Ordering::Relaxed);
        let Some(operation) = self.measured.operations.get_mut(kind) else { return };
        operation.acknowledged += 1;
        if to < self.from {
            return;
        }
        let nanos = nanos(to.saturating_duration_since(from));
        operation.latencies.saturating_record(nanos);
        if self.until.is_none_or(|until| to < until) {
            operation.answers += 1;
            let second = usize::try_from(to.duration_since(self.from).as_secs()).unwrap_or(usize::MAX);
            if second >= operation.seconds.len() {
                operation.seconds.resize(second + 1, Second::default());
            }
            let second = &mut operation.seconds[second];
            second.answers += 1;
            second.slowest = second.slowest.max(nanos);
        }
    }

    /// A request of an open loop is sent.
    pub(super) fn sent(&mut self, due: Instant, now: Instant) {
        if due >= self.from {
            self.measured.delays.saturating_record(nanos(now.saturating_duration_since(due)));
        }
    }

    /// Requests were due and never sent. Each waited at least until the end. What they would have asked nobody knows:
    /// they count as the first kind.
    pub(super) fn unsent(&mut self, due: impl Iterator<Item = Instant>, end: Instant) {
        for due in due.filter(|due| *due >= self.from) {
            self.measured.unsent += 1;
            if let Some(operation) = self.measured.operations.first_mut() {
                operation.latencies.saturating_record(nanos(end.saturating_duration_since(due)));
            }
        }
    }

    /// True when the server counts as gone.
    pub(super) fn has_given_up(&self) -> bool {
        self.measured.gave_up
    }

    /// All that was seen.
    pub(super) fn finish(mut self) -> Measured {
        let end = self.until.unwrap_or(self.last_answer);
        self.measured.length = end.saturating_duration_since(self.from);
        self.measured.whole = end.saturating_duration_since(self.begin);
        self.measured
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warm_up_and_late_answers_are_told_apart() {
        let (live, begin) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let at = |millis| begin + Duration::from_millis(millis);
        let mut recorder = Recorder::new(2, (begin, at(1_000), Some(at(3_000))), false, live.clone());
        for (from, to) in [(0, 999), (500, 1_000), (1_000, 1_010), (2_000, 2_999), (2_990, 3_000), (1_500, 4_000)] {
            recorder.ended(1, at(from), at(to), None);
        }
        recorder.ended(1, at(100), at(200), Some(Fault::Timeout));
        let measured = recorder.finish();
        let operation = &measured.operations[1];
        assert_eq!((operation.acknowledged, operation.answers, operation.latencies.len()), (6, 3, 5));
        let seconds: Vec<_> = operation.seconds.iter().map(|s| (s.answers, s.slowest / 1_000_000)).collect();
        assert_eq!(seconds, [(2, 500), (1, 999)]);
        assert_eq!(operation.latencies.max() / 10_000_000, 250, "an answer after the end has its latency counted");
        assert_eq!((measured.length.as_secs(), measured.failures.total()), (2, 1));
        assert_eq!(measured.operations[0].acknowledged, 0);
        assert_eq!(live.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn what_was_never_sent_has_waited() {
        let (live, begin) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let at = |millis| begin + Duration::from_millis(millis);
        let mut recorder = Recorder::new(1, (begin, at(100), Some(at(1_000))), false, live.clone());
        recorder.unsent([50, 200, 900].map(at).into_iter(), at(1_000));
        let measured = recorder.finish();
        assert_eq!((measured.unsent, measured.operations[0].answers), (2, 0));
        assert_eq!(measured.operations[0].latencies.max() / 10_000_000, 80);
    }

    #[test]
    fn a_server_that_is_gone_is_given_up() {
        let (live, begin) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let mut recorder = Recorder::new(1, (begin, begin, None), false, live.clone());
        let later = begin + GIVE_UP_AFTER + Duration::from_secs(1);
        recorder.ended(0, begin, later, Some(Fault::Status(500, String::new())));
        assert!(!recorder.has_given_up(), "it answers");
        recorder.ended(0, later, later, Some(Fault::Closed));
        assert!(!recorder.has_given_up(), "it has just answered");
        recorder.ended(0, later, later + GIVE_UP_AFTER + Duration::from_secs(1), Some(Fault::Closed));
        assert!(recorder.has_given_up());
    }
}
