//! The result of a run: what is written as JSON, and what is shown of it.

mod chart;
mod compare;
mod machine;
mod numbers;
mod page;
mod table;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::load::{Latencies, Operation};

pub(crate) use compare::compare;
pub(crate) use machine::Machine;
pub(crate) use numbers::{Spread, median};
pub(crate) use page::page;
pub(crate) use table::table;

/// The version of the JSON. A field that goes or changes its meaning makes a new one.
pub(crate) const FORMAT: u32 = 1;

const NANOS_PER_MS: f64 = 1_000_000.0;
/// The percentiles of a distribution curve: closer together towards the end.
const CURVE: [f64; 32] = [
    0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0, 65.0, 70.0, 75.0, 80.0, 85.0, 90.0,
    92.5, 95.0, 97.0, 98.0, 99.0, 99.5, 99.7, 99.9, 99.95, 99.99, 99.995, 99.999, 100.0,
];

/// The result of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// See [`FORMAT`].
    pub(crate) format: u32,
    /// Of this program.
    pub(crate) version: String,
    /// When the run ended, UTC.
    pub(crate) date: String,
    /// Where it ran.
    pub(crate) machine: Machine,
    /// What was measured.
    pub(crate) server: Server,
    /// How.
    pub(crate) parameters: Parameters,
    /// Health checks.
    pub(crate) ceilings: Vec<Ceiling>,
    /// What was found, a workload and load each.
    pub(crate) workloads: Vec<Outcome>,
    /// What a reader should know.
    pub(crate) notes: Vec<String>,
}

/// What was measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Server {
    /// Its address.
    pub(crate) url: String,
    /// True when this run started it.
    pub(crate) started_here: bool,
    /// What it said of itself.
    pub(crate) about: Vec<String>,
    /// How long the stand-in for a language model thought, in milliseconds; null when this run started none.
    pub(crate) model_latency_ms: Option<u64>,
}

/// How it was measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Parameters {
    /// Seconds of a round.
    pub(crate) seconds: u64,
    /// Seconds before that.
    pub(crate) warmup: u64,
    /// Rounds.
    pub(crate) rounds: u32,
    /// Seconds of each ceiling.
    pub(crate) ceiling_seconds: u64,
    /// Threads of the load generator.
    pub(crate) threads: u32,
    /// Messages of the user in a conversation.
    pub(crate) turns: u32,
    /// Conversations of a user.
    pub(crate) conversations: u32,
}

/// Health checks on so many connections.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Ceiling {
    /// Connections.
    pub(crate) connections: u32,
    /// Answers per second.
    pub(crate) throughput: Spread,
    /// Medians over all measurements.
    pub(crate) latency: Latency,
    /// Processor time of a request, medians.
    pub(crate) cpu: Cpu,
}

/// A workload under a load.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Its name.
    pub(crate) workload: String,
    /// Connections; at most so many with a rate.
    pub(crate) connections: u32,
    /// Requests per second that were asked for; null: as many as were answered.
    pub(crate) rate: Option<u32>,
    /// Users.
    pub(crate) users: u32,
    /// Answers per second.
    pub(crate) throughput: Spread,
    /// The same, as a share of the ceiling.
    pub(crate) ratio: Option<Spread>,
    /// Medians of the rounds.
    pub(crate) latency: Latency,
    /// The distribution of all rounds together: percentile, and milliseconds.
    pub(crate) curve: Vec<(f64, f64)>,
    /// By kind of request.
    pub(crate) operations: Vec<Kind>,
    /// What failed, warm-up included.
    pub(crate) failures: Vec<Failure>,
    /// Each round.
    pub(crate) rounds: Vec<Round>,
    /// What a soak found.
    pub(crate) soak: Option<Soak>,
}

/// Requests of a kind, all rounds together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Kind {
    /// Its name.
    pub(crate) name: String,
    /// Answers within the measured time.
    pub(crate) count: u64,
    /// Successes, warm-up and late answers included.
    pub(crate) acknowledged: u64,
    /// Answers per second, the median of the rounds.
    pub(crate) throughput: f64,
    /// Medians of the rounds.
    pub(crate) latency: Latency,
}

/// Requests that failed in one way.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// In which way.
    pub(crate) kind: String,
    /// How many.
    pub(crate) count: u64,
    /// The first of them.
    pub(crate) example: String,
}

/// One round.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Seconds that were measured.
    pub(crate) seconds: f64,
    /// Answers per second.
    pub(crate) throughput: f64,
    /// Health checks per second, before and after.
    pub(crate) ceiling: Option<f64>,
    /// One by the other.
    pub(crate) ratio: Option<f64>,
    /// Of this round.
    pub(crate) latency: Latency,
    /// Answers in each second.
    pub(crate) series: Vec<u64>,
    /// The longest latency in each second, in milliseconds.
    pub(crate) slowest_ms: Vec<f64>,
    /// Processor time of a request.
    pub(crate) cpu: Cpu,
    /// Resident memory of the server at the end, in bytes; null when its process is not known.
    pub(crate) resident_bytes: Option<u64>,
    /// How long after they were due requests with a rate were sent, 99th percentile in milliseconds.
    pub(crate) delay_p99_ms: Option<f64>,
    /// Requests with a rate that were due and never sent, since all connections were busy.
    pub(crate) unsent: u64,
}

/// Processor time of one request, warm-up included, in microseconds; null when the process is not known.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Cpu {
    /// Of the load generator.
    pub(crate) client_us: Option<f64>,
    /// Of the server.
    pub(crate) server_us: Option<f64>,
}

/// What a soak found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Soak {
    /// Resident memory of the server, mean of each quarter in bytes; empty when its process is not known.
    pub(crate) resident_quarters: Vec<f64>,
    /// Users whose buffers did not become empty.
    pub(crate) left: u64,
    /// Users with dead letters.
    pub(crate) dead: u64,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// How many were measured.
    pub(crate) count: u64,
    /// The mean.
    pub(crate) mean_ms: f64,
    /// The median.
    pub(crate) p50_ms: f64,
    /// 90th percentile.
    pub(crate) p90_ms: f64,
    /// 99th percentile.
    pub(crate) p99_ms: f64,
    /// 99.9th percentile.
    pub(crate) p999_ms: f64,
    /// The longest.
    pub(crate) max_ms: f64,
}

impl Latency {
    /// Of a histogram.
    pub(crate) fn of(latencies: &Latencies) -> Self {
        let at = |percentile| latencies.value_at_percentile(percentile) as f64 / NANOS_PER_MS;
        Self {
            count: latencies.len(),
            mean_ms: latencies.mean() / NANOS_PER_MS,
            p50_ms: at(50.0),
            p90_ms: at(90.0),
            p99_ms: at(99.0),
            p999_ms: at(99.9),
            max_ms: latencies.max() as f64 / NANOS_PER_MS,
        }
    }

    /// Of rounds: medians, but all counted and the longest of all.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let median = |field: fn(&Self) -> f64| numbers::median(rounds.iter().map(field));
        Self {
            count: rounds.iter().map(|round| round.count).sum(),
            mean_ms: median(|l| l.mean_ms),
            p50_ms: median(|l| l.p50_ms),
            p90_ms: median(|l| l.p90_ms),
            p99_ms: median(|l| l.p99_ms),
            p999_ms: median(|l| l.p999_ms),
            max_ms: rounds.iter().map(|l| l.max_ms).fold(0.0, f64::max),
        }
    }
}

impl Cpu {
    /// Medians.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let median = |field: fn(&Self) -> Option<f64>| {
            let known: Vec<f64> = rounds.iter().filter_map(field).collect();
            (!known.is_empty()).then(|| numbers::median(known.into_iter()))
        };
        Self { client_us: median(|cpu| cpu.client_us), server_us: median(|cpu| cpu.server_us) }
    }
}

/// The curve of a distribution.
pub(crate) fn curve(latencies: &Latencies) -> Vec<(f64, f64)> {
    CURVE.iter().map(|p| (*p, latencies.value_at_percentile(*p) as f64 / NANOS_PER_MS)).collect()
}

/// Longest latencies by second, in milliseconds.
pub(crate) fn slowest(operation: &Operation) -> Vec<f64> {
    operation.seconds.iter().map(|second| second.slowest as f64 / NANOS_PER_MS).collect()
}

impl Outcome {
    /// What tells it from other outcomes of a run: workload and load.
    pub(crate) fn label(&self) -> String {
        match self.rate {
            Some(rate) => format!("{} at {rate}/s, {} users", self.workload, self.users),
            None => format!("{} x{}, {} users", self.workload, self.connections, self.users),
        }
    }

    /// Requests that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.iter().map(|failure| failure.count).sum()
    }
}
