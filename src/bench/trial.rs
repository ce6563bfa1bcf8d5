//! One workload under one load: its rounds, and what comes of them.

use std::time::{Duration, Instant};

use super::client::Fault;
use super::load::{Failures, Latencies, Measured, Operation, Pace, latencies};
use super::options::{BenchArgs, Case, Workload};
use super::report::{Cpu, Failure, Kind, Latency, Outcome, Round, Soak, Spread, curve, median, slowest};
use super::rig::{Rig, Run};
use super::subject::{Subject, Usage};
use super::workloads::Work;

/// Between two looks at the server's memory.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);
/// When one request in a hundred is sent so late, that is worth a note.
const LATE: Duration = Duration::from_millis(5);

/// One request in so many that is due at the very end and never sent says nothing.
const NEGLIGIBLE: u64 = 1_000;

/// A workload under a load, and what was found so far.
pub(super) struct Trial {
    pub(super) case: Case,
    pub(super) work: Box<dyn Work>,
    rounds: Vec<Round>,
    /// The latencies of what the workload is about, all rounds together.
    all: Latencies,
    kinds: Vec<KindOfRequest>,
    failures: Failures,
    /// Resident memory of the server, second by second.
    memory: Vec<u64>,
}

/// Requests of one kind.
struct KindOfRequest {
    name: &'static str,
    /// All rounds together.
    all: Operation,
    /// Answers per second and latencies of each round.
    rounds: Vec<(f64, Latency)>,
}

impl Trial {
    pub(super) fn new(case: Case, work: Box<dyn Work>) -> Self {
        let kinds =
            work.kinds().iter().map(|name| KindOfRequest { name, all: Operation::new(), rounds: Vec::new() }).collect();
        let (all, failures) = (latencies(), Failures::default());
        Self { case, work, rounds: Vec::new(), all, kinds, failures, memory: Vec::new() }
    }

    /// For whoever watches.
    pub(super) fn title(&self) -> String {
        match self.case.pace {
            Pace::Closed => format!("{} x{}", self.case.workload.name(), self.case.connections),
            Pace::Open(rate) => format!("{} at {rate}/s", self.case.workload.name()),
        }
    }

    /// Runs one round. True when the server stopped answering.
    ///
    /// # Errors
    /// When it cannot be run, or everything is to stop.
    pub(super) fn run(&mut self, rig: &Rig, subject: &Subject, args: &BenchArgs, title: &str) -> anyhow::Result<bool> {
        let sessions = self.work.sessions(rig, self.case.connections)?;
        let is_batch = self.work.is_batch();
        let (warmup, length) = (Duration::from_secs(args.warmup), Duration::from_secs(args.seconds));
        let run = Run {
            kinds: self.kinds.len(),
            pace: self.case.pace,
            warmup: if is_batch { Duration::ZERO } else { warmup },
            length: (!is_batch).then_some(length),
            strict: false,
        };
        rig.progress.time(title, if is_batch { Duration::ZERO } else { warmup + length });
        let (spent, mut looked) = (Spent::start(subject), Instant::now());
        let memory = &mut self.memory;
        let mut look = || {
            if looked.elapsed() >= MEMORY_INTERVAL {
                looked = Instant::now();
                memory.extend(subject.pid.and_then(Usage::of).map(|usage| usage.resident));
            }
        };
        let mut measured = rig.run(run, sessions, &mut look)?;
        let end = Spent::start(subject);
        if !measured.gave_up {
            self.work.settle(rig, &mut measured)?;
        }
        // What a batch leaves under way is part of it.
        let spent = if is_batch { spent.until(&Spent::start(subject)) } else { spent.until(&end) };
        self.take(&measured, &spent);
        Ok(measured.gave_up)
    }

    fn take(&mut self, measured: &Measured, spent: &Spent) {
        let headline = match self.work.headline() {
            Some(kind) => measured.operations[kind].clone(),
            None => measured.together(),
        };
        let seconds = measured.length.as_secs_f64();
        let per_second = |answers: u64| if seconds > 0.0 { answers as f64 / seconds } else { 0.0 };
        let is_open = matches!(self.case.pace, Pace::Open(_));
        self.rounds.push(Round {
            seconds,
            throughput: per_second(headline.answers),
            ceiling: None,
            ratio: None,
            latency: Latency::of(&headline.latencies),
            series: headline.seconds.iter().map(|second| second.answers).collect(),
            slowest_ms: slowest(&headline),
            cpu: spent.each(headline.acknowledged),
            resident_bytes: spent.resident,
            delay_p99_ms: is_open.then(|| Latency::of(&measured.delays).p99_ms),
            unsent: measured.unsent,
        });
        // Both have the same bounds.
        let _ = self.all.add(&headline.latencies);
        for (kind, operation) in self.kinds.iter_mut().zip(&measured.operations) {
            kind.all.add(operation);
            kind.rounds.push((per_second(operation.answers), Latency::of(&operation.latencies)));
        }
        self.failures.add(&measured.failures);
    }

    /// Holds the last round against the health checks around it.
    pub(super) fn hold_against(&mut self, ceiling: Option<f64>) {
        if let (Some(round), Some(ceiling)) = (self.rounds.last_mut(), ceiling.filter(|ceiling| *ceiling > 0.0)) {
            round.ceiling = Some(ceiling);
            round.ratio = Some(round.throughput / ceiling);
        }
    }

    /// What is worth knowing.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.work.notes();
        let unsent: u64 = self.rounds.iter().map(|round| round.unsent).sum();
        let answers: u64 = self.rounds.iter().map(|round| round.latency.count).sum();
        let delays = self.rounds.iter().filter_map(|round| round.delay_p99_ms);
        let (delay, title, users) = (median(delays), self.title(), self.case.users);
        if unsent * NEGLIGIBLE > answers {
            let connections = self.case.connections;
            notes.push(format!(
                "{title}, {users} users: the rate was not reached: {unsent} requests were due and never sent, since all \
                 {connections} connections were busy; each counts with the time that it waited"
            ));
        } else if delay > LATE.as_secs_f64() * 1_000.0 {
            notes.push(format!(
                "{title}, {users} users: one request in a hundred was sent {delay:.1} ms late or later, since connections \
                 or the load generator were busy; latencies count from when it was due"
            ));
        }
        notes
    }

    /// What came of all rounds. None before the first.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.rounds.first()?;
        let ratios: Vec<f64> = self.rounds.iter().filter_map(|round| round.ratio).collect();
        let Case { workload, pace, connections, users } = self.case;
        Some(Outcome {
            workload: workload.name().to_owned(),
            connections,
            rate: if let Pace::Open(rate) = pace { Some(rate) } else { None },
            users,
            throughput: Spread::of(self.rounds.iter().map(|round| round.throughput)),
            ratio: (!ratios.is_empty()).then(|| Spread::of(ratios.iter().copied())),
            latency: Latency::median(&self.rounds.iter().map(|round| round.latency).collect::<Vec<_>>()),
            curve: curve(&self.all),
            operations: self.operations(),
            failures: self.failures(),
            rounds: self.rounds.clone(),
            soak: (workload == Workload::Soak).then(|| self.soak()),
        })
    }

    fn operations(&self) -> Vec<Kind> {
        let kind = |KindOfRequest { name, all, rounds }: &KindOfRequest| Kind {
            name: (*name).to_owned(),
            count: all.answers,
            acknowledged: all.acknowledged,
            throughput: median(rounds.iter().map(|(throughput, _)| *throughput)),
            latency: Latency::median(&rounds.iter().map(|(_, latency)| *latency).collect::<Vec<_>>()),
        };
        self.kinds.iter().map(kind).collect()
    }

    fn failures(&self) -> Vec<Failure> {
        let failure = |(kind, (count, fault)): (&String, &(u64, Fault))| {
            let example = format!("{fault}{}", fault.advice());
            Failure { kind: kind.clone(), count: *count, example }
        };
        self.failures.0.iter().map(failure).collect()
    }

    fn soak(&self) -> Soak {
        let count = |fault: Fault| self.failures.0.get(&fault.kind()).map_or(0, |(count, _)| *count);
        Soak { resident_quarters: quarters(&self.memory), left: count(Fault::NotDone), dead: count(Fault::Dead) }
    }
}

/// The mean of each quarter; none when there are fewer than four figures.
fn quarters(figures: &[u64]) -> Vec<f64> {
    let quarter = |n: usize| &figures[figures.len() * n / 4..figures.len() * (n + 1) / 4];
    let mean = |figures: &[u64]| figures.iter().map(|figure| *figure as f64).sum::<f64>() / figures.len() as f64;
    if figures.len() < 4 { Vec::new() } else { (0..4).map(|n| mean(quarter(n))).collect() }
}

/// What processes have spent: first since their start, then since an earlier look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Spent {
    client: Option<Duration>,
    server: Option<Duration>,
    /// Resident memory of the server, in bytes.
    resident: Option<u64>,
}

impl Spent {
    /// Looks at this process and at the server.
    pub(super) fn start(subject: &Subject) -> Self {
        let server = subject.pid.and_then(Usage::of);
        Self {
            client: Usage::of(std::process::id()).map(|usage| usage.cpu),
            server: server.map(|usage| usage.cpu),
            resident: server.map(|usage| usage.resident),
        }
    }

    /// What was spent between two looks.
    fn until(&self, end: &Self) -> Self {
        let between = |from: Option<Duration>, to: Option<Duration>| Some(to?.saturating_sub(from?));
        let (client, server) = (between(self.client, end.client), between(self.server, end.server));
        Self { client, server, resident: end.resident }
    }

    /// What was spent for each of so many answers.
    fn each(&self, answers: u64) -> Cpu {
        let each =
            |time: Option<Duration>| time.filter(|_| answers > 0).map(|t| t.as_secs_f64() * 1e6 / answers as f64);
        Cpu { client_us: each(self.client), server_us: each(self.server) }
    }

    /// What was spent since this look for each of so many answers.
    pub(super) fn per(&self, answers: u64, subject: &Subject) -> Cpu {
        self.until(&Self::start(subject)).each(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soak_has_four_quarters() {
        assert_eq!(quarters(&[1, 1, 2, 2, 3, 3, 4, 6]), [1.0, 2.0, 3.0, 5.0]);
        assert_eq!(quarters(&[1, 2, 3, 4, 5]).len(), 4);
        assert!(quarters(&[1, 2, 3]).is_empty());
    }

    #[test]
    fn what_was_spent_is_shared_out() {
        let spent = |client, server| Spent { client, server, resident: Some(5) };
        let second = |n| Some(Duration::from_secs(n));
        let cpu = spent(second(1), None).until(&spent(second(3), second(4))).each(1_000);
        assert_eq!(cpu, Cpu { client_us: Some(2_000.0), server_us: None });
        assert_eq!(spent(second(1), second(1)).each(0), Cpu::default());
    }
}
