//! Runs the workloads, round by round, with health checks before and after each.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::load::Pace;
use super::options::{BenchArgs, Options};
use super::report::{Ceiling, Cpu, FORMAT, Latency, Machine, Parameters, Report, Server, Spread};
use super::rig::{Rig, Run};
use super::subject::Subject;
use super::trial::{Spent, Trial};
use super::workloads::{delete_all, health_checks, prepare};

/// How long health checks run before they are measured.
const CEILING_WARMUP: Duration = Duration::from_millis(300);

/// Runs all that the options ask for.
///
/// # Errors
/// When the server cannot be prepared, or everything is to stop. Requests that fail under load are no error here.
pub(super) fn measure(rig: &Rig, subject: &Subject, options: &Options) -> anyhow::Result<Report> {
    let args = &options.args;
    let mut readers = HashMap::new();
    let mut trials = Vec::new();
    let cases = args.cases();
    for case in &cases {
        trials.push(Trial::new(*case, prepare(case, &cases, rig, &mut readers)?));
    }
    let mut ceilings = Ceilings::new(Duration::from_secs(args.ceiling_seconds));
    let mut gave_up = false;
    for round in 1..=args.rounds() {
        for trial in &mut trials {
            if gave_up {
                break;
            }
            let before = ceilings.before(rig, subject, trial.case.connections)?;
            let title = format!("{}/{} {}", round, args.rounds(), trial.title());
            gave_up = trial.run(rig, subject, args, &title)?;
            if !gave_up {
                let after = ceilings.after(rig, subject, trial.case.connections)?;
                trial.hold_against(before.zip(after).map(|(before, after)| f64::midpoint(before, after)));
            }
        }
    }
    let mut report = report(subject, options, &trials, &ceilings);
    if gave_up {
        report.notes.push("the server stopped answering, and nothing was measured from then on".to_owned());
    } else if !args.keep_users && !subject.is_temporary {
        let users: BTreeSet<_> = trials.iter().flat_map(|trial| trial.work.users()).collect();
        if let Err(error) = delete_all(rig, users.into_iter().collect()) {
            report.notes.push(format!("{error:#}; they are left on the server"));
        }
    }
    Ok(report)
}

fn report(subject: &Subject, options: &Options, trials: &[Trial], ceilings: &Ceilings) -> Report {
    let args = &options.args;
    let latency = u64::try_from(args.model_latency.as_millis()).unwrap_or(u64::MAX);
    let notes: BTreeSet<String> = trials.iter().flat_map(Trial::notes).collect();
    Report {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        machine: Machine::here(),
        server: Server {
            url: subject.target.url.clone(),
            started_here: subject.is_own,
            about: subject.about.clone(),
            model_latency_ms: subject.has_model.then_some(latency),
        },
        parameters: parameters(args),
        ceilings: ceilings.report(),
        workloads: trials.iter().filter_map(Trial::outcome).collect(),
        notes: notes.into_iter().collect(),
    }
}

fn parameters(args: &BenchArgs) -> Parameters {
    Parameters {
        seconds: args.seconds,
        warmup: args.warmup,
        rounds: args.rounds(),
        ceiling_seconds: args.ceiling_seconds,
        threads: args.threads,
        turns: args.turns,
        conversations: args.conversations,
    }
}

/// Health checks on so many connections.
struct Check {
    connections: u32,
    throughput: f64,
    latency: Latency,
    cpu: Cpu,
}

/// What the server, the system and this client can do at most, again and again.
struct Ceilings {
    length: Duration,
    checks: Vec<Check>,
    /// Whether nothing was measured since the last.
    is_fresh: bool,
}

impl Ceilings {
    fn new(length: Duration) -> Self {
        Self { length, checks: Vec::new(), is_fresh: false }
    }

    /// Health checks per second just before a round.
    fn before(&mut self, rig: &Rig, subject: &Subject, connections: u32) -> anyhow::Result<Option<f64>> {
        if !(self.is_fresh && self.checks.last().is_some_and(|last| last.connections == connections)) {
            self.measure(rig, subject, connections)?;
        }
        self.is_fresh = false;
        Ok(self.checks.last().map(|check| check.throughput))
    }

    /// Health checks per second just after a round.
    fn after(&mut self, rig: &Rig, subject: &Subject, connections: u32) -> anyhow::Result<Option<f64>> {
        self.measure(rig, subject, connections)?;
        self.is_fresh = true;
        Ok(self.checks.last().map(|check| check.throughput))
    }

    fn measure(&mut self, rig: &Rig, subject: &Subject, connections: u32) -> anyhow::Result<()> {
        if self.length.is_zero() {
            return Ok(());
        }
        rig.progress.time("ceiling", self.length + CEILING_WARMUP);
        let run =
            Run { kinds: 1, pace: Pace::Closed, warmup: CEILING_WARMUP, length: Some(self.length), strict: false };
        let spent = Spent::start(subject);
        let measured = rig.run(run, health_checks(rig, connections), &mut || ())?;
        let done = &measured.operations[0];
        self.checks.push(Check {
            connections,
            throughput: done.answers as f64 / self.length.as_secs_f64(),
            latency: Latency::of(&done.latencies),
            cpu: spent.per(done.acknowledged, subject),
        });
        Ok(())
    }

    fn report(&self) -> Vec<Ceiling> {
        let kinds: BTreeSet<u32> = self.checks.iter().map(|check| check.connections).collect();
        let of = |connections| {
            let checks = || self.checks.iter().filter(move |check| check.connections == connections);
            Ceiling {
                connections,
                throughput: Spread::of(checks().map(|check| check.throughput)),
                latency: Latency::median(&checks().map(|check| check.latency).collect::<Vec<_>>()),
                cpu: Cpu::median(&checks().map(|check| check.cpu).collect::<Vec<_>>()),
            }
        };
        kinds.into_iter().map(of).collect()
    }
}
