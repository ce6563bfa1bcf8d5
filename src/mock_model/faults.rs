//! What goes wrong, and at which call: the same in each run.

use std::time::Duration;

use clap::Args;
use sha2::{Digest as _, Sha256};

/// Every call waits at most so long.
const MAX_LATENCY: Duration = Duration::from_secs(600);

/// How often what goes wrong. Shares are of all calls (0.1 or 10%); together they are at most 1.
#[derive(Clone, PartialEq, Debug, Default, Args)]
pub struct Faults {
    /// Answer so long after each call has come: 200ms, 2s.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = read_latency)]
    pub latency: Duration,
    /// Share of calls that fail with HTTP 500 or 429, in equal parts: 0.1 or 10%.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub errors: f64,
    /// Share of calls answered with prose, cut JSON, nothing, null, or JSON among chatter.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub garbage: f64,
    /// Share of calls that are never answered.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub hang: f64,
    /// Share of calls whose connection is closed without an answer.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub drop: f64,
    /// Decides which calls these are.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Fault {
    /// HTTP 500.
    Broken,
    /// HTTP 429 with `Retry-After: 1`.
    Busy,
    /// An answer that is not what was asked for.
    Garbage(Garbage),
    /// No answer, ever.
    Hang,
    /// The connection closes without an answer.
    Drop,
}

/// A bad answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Garbage {
    /// Words, no JSON.
    Prose,
    /// The first half of the right answer, cut off by the limit of tokens.
    Truncated,
    /// An empty text.
    Empty,
    /// null.
    Null,
    /// The right answer in a code block, with words around it.
    Fenced,
}

impl Garbage {
    pub(super) const ALL: [Self; 5] = [Self::Prose, Self::Truncated, Self::Empty, Self::Null, Self::Fenced];
}

impl Faults {
    /// Checks what the parser of a single flag cannot.
    ///
    /// # Errors
    /// When more than all calls would go wrong; the text is for whoever gave the flags.
    pub fn check(&self) -> Result<(), String> {
        let sum = self.errors + self.garbage + self.hang + self.drop;
        if sum > 1.0 {
            return Err(format!(
                "--errors, --garbage, --hang and --drop are shares of all calls: {sum} is more than 1"
            ));
        }
        Ok(())
    }

    /// What goes wrong with a call; calls are counted from 1.
    pub(super) fn of_call(&self, number: u64) -> Option<Fault> {
        let digest = Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(number.to_le_bytes()).finalize();
        let [lot, kind] = [0, 1].map(|word| u32::from_le_bytes([0, 1, 2, 3].map(|byte| digest[4 * word + byte])));
        let kind = kind as usize;
        let faults = [
            (self.errors, if kind.is_multiple_of(2) { Fault::Broken } else { Fault::Busy }),
            (self.garbage, Fault::Garbage(Garbage::ALL[kind % Garbage::ALL.len()])),
            (self.hang, Fault::Hang),
            (self.drop, Fault::Drop),
        ];
        let mut left = f64::from(lot) / (f64::from(u32::MAX) + 1.0);
        for (share, fault) in faults {
            if left < share {
                return Some(fault);
            }
            left -= share;
        }
        None
    }
}

/// Reads `0.1` or `10%`.
fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent, 100.0));
    let share = number.trim().parse::<f64>().ok().map(|number| number / whole);
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "must be from 0 to 1, or from 0% to 100%".to_owned())
}

/// Reads a time of at most ten minutes, such as `200ms` or `2s`; an error says what it must be.
pub(crate) fn read_latency(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, Duration::from_millis(1)),
        None => (text.strip_suffix('s').unwrap_or(""), Duration::from_secs(1)),
    };
    let latency = number.parse::<u32>().ok().and_then(|number| unit.checked_mul(number));
    let limit = MAX_LATENCY.as_secs();
    latency.filter(|l| *l <= MAX_LATENCY).ok_or_else(|| format!("must be a time such as 200ms or 2s, {limit}s at most"))
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn shares_and_times_are_read() {
        for (text, read) in [("0", 0.0), ("0.25", 0.25), ("25%", 0.25), ("100%", 1.0), ("1", 1.0), (".5", 0.5)] {
            assert_eq!(share(text), Ok(read), "{text}");
        }
        for text in ["", "%", "-0.1", "1.1", "101%", "NaN", "inf", "x"] {
            assert!(share(text).is_err(), "{text}");
        }
        assert_eq!(read_latency("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(read_latency("2s"), Ok(Duration::from_secs(2)));
        for text in ["", "2", "s", "-2s", "1.5s", "2h", "601s", "4294967296ms"] {
            assert!(read_latency(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_more_than_all_calls_go_wrong() {
        let faults = Faults { errors: 0.5, hang: 0.5, ..Faults::default() };
        assert!(faults.check().is_ok());
        let error = Faults { drop: 0.1, ..faults }.check().unwrap_err();
        assert!(error.contains("1.1 is more than 1"), "{error}");
    }

    #[test]
    fn faults_repeat_and_keep_to_their_shares() {
        let faults = Faults { errors: 0.2, garbage: 0.25, hang: 0.1, drop: 0.05, seed: 7, ..Faults::default() };
        let run = |faults: &Faults| (1..=10_000).map(|n| faults.of_call(n)).collect::<Vec<_>>();
        let first = run(&faults);
        assert_eq!(first, run(&faults.clone()));
        assert_ne!(first, run(&Faults { seed: 8, ..faults }));
        let mut counts = HashMap::<_, i32>::new();
        first.into_iter().for_each(|fault| *counts.entry(fault).or_default() += 1);
        let garbage = Garbage::ALL.map(|kind| (Some(Fault::Garbage(kind)), 500));
        let others = [(Fault::Broken, 1000), (Fault::Busy, 1000), (Fault::Hang, 1000), (Fault::Drop, 500)];
        for (fault, expected) in others.map(|(fault, count)| (Some(fault), count)).into_iter().chain(garbage) {
            assert!((counts[&fault] - expected).abs() < 150, "{fault:?}: {}", counts[&fault]);
        }
    }

    #[test]
    fn none_and_all() {
        assert!((1..1_000).all(|n| Faults::default().of_call(n).is_none()));
        let all = Faults { hang: 1.0, ..Faults::default() };
        assert_eq!((1..1_000).map(|n| all.of_call(n)).collect::<HashSet<_>>(), [Some(Fault::Hang)].into());
    }
}
