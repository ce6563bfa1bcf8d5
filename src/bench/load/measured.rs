//! What was measured in one phase, all threads together.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::bench::client::Fault;

/// Kinds of failures that are told apart at most; what is beyond counts as the last kind.
const MAX_KINDS: usize = 20;
/// Significant digits of a latency.
const DIGITS: u8 = 3;
/// Latencies that are told apart, and the longest, in nanoseconds.
const LATENCY_NANOS: (u64, u64) = (100, 3_600_000_000_000);

/// Latencies, in nanoseconds.
pub(crate) type Latencies = Histogram<u64>;

/// An empty histogram.
pub(crate) fn latencies() -> Latencies {
    let (low, high) = LATENCY_NANOS;
    #[expect(clippy::expect_used, reason = "constant bounds that it takes")]
    Histogram::new_with_bounds(low, high, DIGITS).expect("bounds of a histogram")
}

/// What happened in one second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Second {
    /// Answers.
    pub(crate) answers: u64,
    /// The longest latency, in nanoseconds.
    pub(crate) slowest: u64,
}

/// Requests of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Latencies of successes, since the warm-up ended.
    pub(crate) latencies: Latencies,
    /// Successes within the measured time.
    pub(crate) answers: u64,
    /// All successes, the warm-up's and late ones included.
    pub(crate) acknowledged: u64,
    /// By second of the measured time.
    pub(crate) seconds: Vec<Second>,
}

impl Operation {
    pub(crate) fn new() -> Self {
        Self { latencies: latencies(), answers: 0, acknowledged: 0, seconds: Vec::new() }
    }

    /// Takes in what happened elsewhere at the same time.
    pub(crate) fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.latencies.add(&other.latencies);
        self.answers += other.answers;
        self.acknowledged += other.acknowledged;
        let length = self.seconds.len().max(other.seconds.len());
        self.seconds.resize(length, Second::default());
        for (mine, others) in self.seconds.iter_mut().zip(&other.seconds) {
            mine.answers += others.answers;
            mine.slowest = mine.slowest.max(others.slowest);
        }
    }
}

/// Failures by kind: how many, and the first as an example.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Failures(pub(crate) BTreeMap<String, (u64, Fault)>);

impl Failures {
    pub(crate) fn count(&mut self, fault: Fault) {
        self.count_many(fault, 1);
    }

    pub(crate) fn count_many(&mut self, fault: Fault, times: u64) {
        if times == 0 {
            return;
        }
        let kind = fault.kind();
        if self.0.len() < MAX_KINDS || self.0.contains_key(&kind) {
            self.0.entry(kind).or_insert((0, fault)).0 += times;
        } else if let Some(mut last) = self.0.last_entry() {
            last.get_mut().0 += times;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, fault) in other.0.values() {
            self.count_many(fault.clone(), *count);
        }
    }

    #[cfg(test)]
    pub(crate) fn total(&self) -> u64 {
        self.0.values().map(|(count, _)| count).sum()
    }
}

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// By kind of request.
    pub(crate) operations: Vec<Operation>,
    /// The measured time.
    pub(crate) length: Duration,
    /// The time with the warm-up.
    pub(crate) whole: Duration,
    /// All failures, the warm-up's included.
    pub(crate) failures: Failures,
    /// How long after they were due requests of an open loop were sent, in nanoseconds.
    pub(crate) delays: Latencies,
    /// Requests of an open loop that were due and could not be sent, since all connections were busy.
    pub(crate) unsent: u64,
    /// True when the server stopped answering, and nothing was measured from then on.
    pub(crate) gave_up: bool,
}

impl Measured {
    /// Takes in what another thread measured.
    pub(crate) fn add(&mut self, other: &Self) {
        self.operations.iter_mut().zip(&other.operations).for_each(|(mine, others)| mine.add(others));
        self.length = self.length.max(other.length);
        self.whole = self.whole.max(other.whole);
        self.failures.add(&other.failures);
        let _ = self.delays.add(&other.delays);
        self.unsent += other.unsent;
        self.gave_up |= other.gave_up;
    }

    /// All kinds of requests together.
    pub(crate) fn together(&self) -> Operation {
        let mut together = Operation::new();
        self.operations.iter().for_each(|operation| together.add(operation));
        together
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_failures_are_bounded() {
        let mut failures = Failures::default();
        (400..500).for_each(|status| failures.count(Fault::Status(status, String::new())));
        failures.count(Fault::Status(401, "again".to_owned()));
        assert_eq!((failures.0.len(), failures.total()), (MAX_KINDS, 101));
        assert_eq!(failures.0["HTTP 401"], (2, Fault::Status(401, String::new())), "the first is the example");
    }

    #[test]
    fn threads_are_added_second_by_second() {
        let second = |answers, slowest| Second { answers, slowest };
        let mut one = Operation { seconds: vec![second(1, 9)], answers: 1, ..Operation::new() };
        let mut other = Operation { seconds: vec![second(2, 5), second(3, 7)], answers: 5, ..Operation::new() };
        one.latencies.saturating_record(1_000_000);
        other.latencies.saturating_record(3_000_000);
        one.add(&other);
        assert_eq!((one.answers, one.latencies.len()), (6, 2));
        assert_eq!(one.seconds, [second(3, 9), second(3, 7)]);
    }
}
