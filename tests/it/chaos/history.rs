//! What was done to the system and when: for the checks that depend on it, and for whoever reads a failure.

use std::collections::HashMap;
use std::sync::Mutex;

use super::time::{Micros, now, shown};

/// A process of a server: its place in the group, and how often a server was started there before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Process {
    pub(crate) place: usize,
    pub(crate) start: u32,
}

/// A stretch of time that the journal forgot: acknowledged in it is what may be missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    /// What was acknowledged before this is kept.
    pub(crate) from: Micros,
    /// When the journal lost it.
    pub(crate) at: Micros,
}

/// All that happened.
#[derive(Default)]
pub(crate) struct History(Mutex<Events>);

#[derive(Default)]
struct Events {
    lines: Vec<(Micros, String)>,
    counts: HashMap<&'static str, usize>,
    started: HashMap<Process, Micros>,
    /// When a process stood still, or could not talk to a service.
    stalls: Vec<(Process, Micros, Option<Micros>)>,
    losses: Vec<Loss>,
    last_death: Micros,
}

impl History {
    /// Notes what happens now, and counts it under `kind`.
    pub(crate) fn note(&self, kind: &'static str, what: impl Into<String>) {
        let mut events = self.0.lock().unwrap();
        events.lines.push((now(), format!("{kind} {}", what.into())));
        *events.counts.entry(kind).or_default() += 1;
    }

    pub(crate) fn started(&self, process: Process) {
        self.0.lock().unwrap().started.insert(process, now());
    }

    /// A process died without a chance to tell the others what it had just done.
    pub(crate) fn died(&self) {
        self.0.lock().unwrap().last_death = now();
    }

    pub(crate) fn last_death(&self) -> Micros {
        self.0.lock().unwrap().last_death
    }

    pub(crate) fn stalls(&self, process: Process) {
        self.0.lock().unwrap().stalls.push((process, now(), None));
    }

    pub(crate) fn goes_on(&self, process: Process) {
        let mut events = self.0.lock().unwrap();
        let open = events.stalls.iter_mut().filter(|(stalled, _, end)| *stalled == process && end.is_none());
        open.for_each(|(_, _, end)| *end = Some(now()));
    }

    pub(crate) fn lost(&self, loss: Loss) {
        self.0.lock().unwrap().losses.push(loss);
    }

    pub(crate) fn losses(&self) -> Vec<Loss> {
        self.0.lock().unwrap().losses.clone()
    }

    pub(crate) fn counts(&self) -> Vec<(&'static str, usize)> {
        let mut counts: Vec<_> = self.0.lock().unwrap().counts.iter().map(|(kind, count)| (*kind, *count)).collect();
        counts.sort_unstable();
        counts
    }

    /// When a process was started.
    pub(crate) fn start_of(&self, process: Process) -> Micros {
        self.0.lock().unwrap().started.get(&process).copied().unwrap_or(Micros::MAX)
    }

    /// For how long a process ran between two instants: lived, and did not stand still.
    pub(crate) fn running(&self, process: Process, from: Micros, to: Micros) -> Micros {
        let from = from.max(self.start_of(process));
        let events = self.0.lock().unwrap();
        let mut stalls: Vec<(Micros, Micros)> = events
            .stalls
            .iter()
            .filter(|(stalled, ..)| *stalled == process)
            .map(|(_, began, ended)| ((*began).max(from), ended.unwrap_or(Micros::MAX).min(to)))
            .filter(|(began, ended)| began < ended)
            .collect();
        stalls.sort_unstable();
        let (mut stalled, mut covered) = (0, from);
        for (began, ended) in stalls {
            stalled += (ended - began.max(covered)).max(0);
            covered = covered.max(ended);
        }
        (to - from - stalled).max(0)
    }

    /// What happened between two instants.
    pub(crate) fn between(&self, from: Micros, to: Micros) -> Vec<String> {
        let events = self.0.lock().unwrap();
        let inside = events.lines.iter().filter(|(at, _)| (from..=to).contains(at));
        inside.map(|(at, line)| format!("{:>12}  {line}", shown(*at))).collect()
    }
}

#[test]
fn a_process_runs_when_it_lives_and_does_not_stand_still() {
    let (history, process) = (History::default(), Process { place: 0, start: 0 });
    {
        let mut events = history.0.lock().unwrap();
        events.started.insert(process, 100);
        events.stalls = vec![(process, 150, Some(200)), (process, 180, Some(250)), (process, 300, None)];
    }
    for (from, to, running) in [(0, 90, 0), (0, 150, 50), (120, 260, 40), (260, 400, 40), (160, 190, 0)] {
        assert_eq!(history.running(process, from, to), running, "{from} to {to}");
    }
}
