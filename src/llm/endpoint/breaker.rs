use std::time::Duration;

use jiff::Timestamp;

/// Keeps calls away from a provider that has failed several times in a row.
///
/// Closed, every call passes. After `failures` failures in a row it opens: no call passes until the pause is over.
/// Then one call passes, the probe. Its success closes the breaker, its failure opens it for another pause.
///
/// Pure: told the time, and what became of the calls that it let pass.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    pause: Duration,
    state: State,
    probes: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open(Pause),
    Probing { probe: u64, after: Pause },
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    since: Timestamp,
    length: Duration,
}

impl Pause {
    /// What is left of it. A clock that was set back begins it anew, so that it never lasts longer than meant.
    fn rest(&mut self, now: Timestamp) -> Duration {
        self.since = self.since.min(now);
        let over = Duration::try_from(now.duration_since(self.since)).unwrap_or_default();
        self.length.saturating_sub(over)
    }
}

/// A call that may go ahead. Its outcome is owed to the breaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pass {
    probe: Option<u64>,
}

/// A call that may not go ahead, and when to ask again; none: when the probe is back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shut(pub(super) Option<Duration>);

/// The breaker has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// Open from now on, for this long.
    Opened(Duration),
    /// Closed from now on.
    Closed,
}

impl Breaker {
    /// A closed breaker that opens for `pause` after so many failures in a row, at least one.
    pub(super) fn new(failures: u32, pause: Duration) -> Self {
        Self { failures: failures.max(1), pause, state: State::Closed { failures: 0 }, probes: 0 }
    }

    /// Whether a call could go ahead now. Takes nothing.
    pub(super) fn look(&mut self, now: Timestamp) -> Result<(), Shut> {
        match &mut self.state {
            State::Closed { .. } => Ok(()),
            State::Probing { .. } => Err(Shut(None)),
            State::Open(pause) => match pause.rest(now) {
                Duration::ZERO => Ok(()),
                rest => Err(Shut(Some(rest))),
            },
        }
    }

    /// Whether the provider is known to be there. Takes nothing.
    pub(super) fn look_closed(&self) -> Result<(), Shut> {
        if matches!(self.state, State::Closed { .. }) { Ok(()) } else { Err(Shut(None)) }
    }

    /// Lets a call go ahead. After a pause it is the probe, and the only one.
    pub(super) fn admit(&mut self, now: Timestamp) -> Result<Pass, Shut> {
        self.look(now)?;
        let State::Open(after) = self.state else { return Ok(Pass { probe: None }) };
        self.probes += 1;
        self.state = State::Probing { probe: self.probes, after };
        Ok(Pass { probe: Some(self.probes) })
    }

    /// The provider has answered, be it with a refusal. Also a call from before the pause proves that it lives.
    pub(super) fn succeeded(&mut self) -> Option<Change> {
        let was_closed = matches!(self.state, State::Closed { .. });
        self.state = State::Closed { failures: 0 };
        (!was_closed).then_some(Change::Closed)
    }

    /// The provider was away, and may have said for how long.
    pub(super) fn failed(&mut self, pass: Pass, now: Timestamp, retry_after: Option<Duration>) -> Option<Change> {
        let length = self.pause.max(retry_after.unwrap_or_default());
        match &mut self.state {
            State::Closed { failures } => {
                *failures += 1;
                if *failures < self.failures {
                    return None;
                }
            }
            State::Probing { probe, .. } if pass.probe == Some(*probe) => {}
            // A call from before the pause has nothing new to tell, but for when the provider wants to be asked.
            State::Probing { .. } => return None,
            State::Open(pause) => {
                if pause.rest(now) < retry_after.unwrap_or_default() {
                    *pause = Pause { since: now, length };
                }
                return None;
            }
        }
        self.state = State::Open(Pause { since: now, length });
        Some(Change::Opened(length))
    }

    /// The call was given up before it had an outcome. Another may be the probe at once.
    pub(super) fn cancelled(&mut self, pass: Pass) {
        if let State::Probing { probe, after } = self.state
            && pass.probe == Some(probe)
        {
            self.state = State::Open(after);
        }
    }
}

#[cfg(test)]
mod tests {
    use memory::ports::Clock as _;
    use memory::testing::ManualClock;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A breaker that two failures have opened.
    fn opened(clock: &ManualClock) -> Breaker {
        let mut breaker = Breaker::new(2, PAUSE);
        for change in [None, Some(Change::Opened(PAUSE))] {
            let pass = breaker.admit(clock.now()).unwrap();
            assert_eq!(breaker.failed(pass, clock.now(), None), change);
        }
        breaker
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let clock = ManualClock::new();
        let mut breaker = Breaker::new(2, PAUSE);
        for _ in 0..3 {
            let pass = breaker.admit(clock.now()).unwrap();
            assert_eq!(breaker.failed(pass, clock.now(), None), None);
            assert_eq!(breaker.succeeded(), None);
        }
        assert_eq!(breaker.look(clock.now()), Ok(()));
    }

    #[test]
    fn it_stays_open_for_the_pause_and_then_lets_one_probe_pass() {
        let clock = ManualClock::new();
        let mut breaker = opened(&clock);
        clock.advance(seconds(29));
        assert_eq!(breaker.admit(clock.now()), Err(Shut(Some(seconds(1)))));
        clock.advance(seconds(1));
        assert_eq!(breaker.look(clock.now()), Ok(()), "looking takes nothing");
        let probe = breaker.admit(clock.now()).unwrap();
        assert_eq!(breaker.admit(clock.now()), Err(Shut(None)));
        assert_eq!(breaker.look(clock.now()), Err(Shut(None)));
        assert_eq!(breaker.failed(probe, clock.now(), None), Some(Change::Opened(PAUSE)), "one failure is enough");
        assert_eq!(breaker.look(clock.now()), Err(Shut(Some(PAUSE))));
        clock.advance(PAUSE);
        breaker.admit(clock.now()).unwrap();
        assert_eq!(breaker.succeeded(), Some(Change::Closed));
        breaker.admit(clock.now()).unwrap();
        breaker.admit(clock.now()).unwrap();
    }

    #[test]
    fn a_longer_retry_after_lengthens_the_pause() {
        let clock = ManualClock::new();
        let mut breaker = Breaker::new(1, PAUSE);
        let (first, second) = (breaker.admit(clock.now()).unwrap(), breaker.admit(clock.now()).unwrap());
        assert_eq!(breaker.failed(first, clock.now(), Some(seconds(60))), Some(Change::Opened(seconds(60))));
        assert_eq!(breaker.failed(second, clock.now(), Some(seconds(90))), None);
        assert_eq!(breaker.look(clock.now()), Err(Shut(Some(seconds(90)))));
    }

    #[test]
    fn a_cancelled_probe_makes_room_for_the_next() {
        let clock = ManualClock::new();
        let mut breaker = opened(&clock);
        clock.advance(PAUSE);
        let probe = breaker.admit(clock.now()).unwrap();
        breaker.cancelled(probe);
        let next = breaker.admit(clock.now()).unwrap();
        breaker.cancelled(probe);
        assert_eq!(breaker.admit(clock.now()), Err(Shut(None)), "the old probe has no say any more");
        assert_eq!(breaker.failed(probe, clock.now(), None), None);
        assert_eq!(breaker.failed(next, clock.now(), None), Some(Change::Opened(PAUSE)));
    }

    #[test]
    fn late_news_of_calls_from_before_the_pause() {
        let clock = ManualClock::new();
        let mut breaker = Breaker::new(1, PAUSE);
        let (first, late) = (breaker.admit(clock.now()).unwrap(), breaker.admit(clock.now()).unwrap());
        breaker.failed(first, clock.now(), None);
        clock.advance(PAUSE);
        breaker.admit(clock.now()).unwrap();
        assert_eq!(breaker.failed(late, clock.now(), None), None, "only the probe's failure counts");
        assert_eq!(breaker.look(clock.now()), Err(Shut(None)));
        assert_eq!(breaker.succeeded(), Some(Change::Closed), "any answer proves that the provider lives");
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_keep_it_open() {
        let clock = ManualClock::new();
        let mut breaker = opened(&clock);
        let earlier = clock.now() - seconds(86_400);
        assert_eq!(breaker.look(earlier), Err(Shut(Some(PAUSE))));
        assert_eq!(breaker.look(earlier + PAUSE), Ok(()));
    }
}
