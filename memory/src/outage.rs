//! What a log says of something that is away: that it is lost, a reminder a minute, and that it is back. Calls fail by
//! the thousand meanwhile; those that are not told are counted, and the next line has their number.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often it is said that something is still away. What has not failed for so long was back.
const REMINDER: Duration = Duration::from_secs(60);
/// What comes and goes is told no more often than this; and what works for some is back when nobody has failed for so
/// long.
const FLUTTER: Duration = Duration::from_secs(10);

/// Something that may be away, and what was said of that. The time is an argument; who calls writes the lines.
#[derive(Debug, Default)]
pub struct Outage {
    /// Something has failed and is not back. Spares those who succeed the lock.
    failing: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The first and the latest failure, until all is well.
    failed: Option<(Instant, Instant)>,
    /// When each reason was last told. There are as many as the code has words for.
    told: BTreeMap<&'static str, Instant>,
    /// Something was told since the first failure.
    announced: bool,
    held_back: u64,
}

/// What a line is to say. Both are fields of it that are left out when there is nothing to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// Lines that were not written since the last one.
    pub held_back: Option<u64>,
    /// Seconds since the first failure.
    pub seconds: Option<u64>,
}

impl Outage {
    /// All is well.
    pub const fn new() -> Self {
        let state = State { failed: None, told: BTreeMap::new(), announced: false, held_back: 0 };
        Self { failing: AtomicBool::new(false), state: Mutex::new(state) }
    }

    /// A call failed for this reason. None when that is not to be told.
    pub fn lost(&self, reason: &'static str, now: Instant) -> Option<Line> {
        self.failing.store(true, Ordering::Relaxed);
        self.state().lost(reason, now)
    }

    /// It works again, for all. None when it was never said that it did not.
    pub fn back(&self, now: Instant) -> Option<Line> {
        if !self.failing.swap(false, Ordering::Relaxed) {
            return None;
        }
        self.state().back(now)
    }

    /// A call succeeded. Others may fail all the same: as long as they do, it is not back.
    pub fn worked(&self, now: Instant) -> Option<Line> {
        if !self.failing.load(Ordering::Relaxed) || !self.state().is_calm(now) {
            return None;
        }
        self.back(now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lost(&mut self, reason: &'static str, now: Instant) -> Option<Line> {
        let under_way = self.failed.filter(|(_, latest)| now.duration_since(*latest) <= REMINDER);
        if under_way.is_none() {
            self.announced = false;
        }
        let (first, _) = under_way.unwrap_or((now, now));
        self.failed = Some((first, now));
        let too_soon = self.told.get(reason).is_some_and(|told| {
            let pause = if *told < first { FLUTTER } else { REMINDER };
            now.duration_since(*told) < pause
        });
        if too_soon {
            self.held_back += 1;
            return None;
        }
        self.told.insert(reason, now);
        self.announced = true;
        Some(self.line(now.duration_since(first)))
    }

    fn back(&mut self, now: Instant) -> Option<Line> {
        let (first, _) = self.failed.take()?;
        // What was not announced is not called off; its number waits for the next line.
        std::mem::take(&mut self.announced).then(|| self.line(now.duration_since(first)))
    }

    fn is_calm(&self, now: Instant) -> bool {
        self.failed.is_some_and(|(_, latest)| now.duration_since(latest) >= FLUTTER)
    }

    fn line(&mut self, length: Duration) -> Line {
        let some = |number: u64| Some(number).filter(|number| *number > 0);
        Line { held_back: some(std::mem::take(&mut self.held_back)), seconds: some(length.as_secs()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An outage, and instants in milliseconds since the test began.
    fn outage() -> (Outage, impl Fn(u64) -> Instant) {
        let began = Instant::now();
        (Outage::new(), move |millis| began + Duration::from_millis(millis))
    }

    fn line(held_back: u64, seconds: u64) -> Option<Line> {
        let some = |number: u64| (number > 0).then_some(number);
        Some(Line { held_back: some(held_back), seconds: some(seconds) })
    }

    #[test]
    fn a_loss_is_told_once_then_a_reminder_a_minute_then_the_return() {
        let (outage, at) = outage();
        assert_eq!(outage.back(at(0)), None, "nothing was away");
        let told: Vec<_> = (0..=150).filter_map(|s| Some((s, outage.lost("away", at(s * 1_000))?))).collect();
        let expected = [(0, line(0, 0)), (60, line(59, 60)), (120, line(59, 120))];
        assert_eq!(told, expected.map(|(second, line)| (second, line.unwrap())));
        assert_eq!(outage.back(at(151_500)), line(30, 151));
        assert_eq!(outage.back(at(152_000)), None, "once");
        assert_eq!(outage.lost("away", at(153_000)), line(0, 0), "the last line of a loss is long ago");
    }

    #[test]
    fn each_reason_is_told_and_all_end_together() {
        let (outage, at) = outage();
        assert_eq!(outage.lost("full", at(0)), line(0, 0));
        assert_eq!(outage.lost("slow", at(1_000)), line(0, 1));
        assert_eq!([outage.lost("full", at(2_000)), outage.lost("slow", at(2_000))], [None, None]);
        assert_eq!(outage.back(at(3_000)), line(2, 3));
        assert_eq!(outage.back(at(4_000)), None);
    }

    #[test]
    fn what_flutters_is_told_now_and_then_and_counted() {
        let (outage, at) = outage();
        let mut lines = 0;
        let mut held_back = 0;
        for second in 0..60 {
            let told = [outage.lost("away", at(second * 1_000)), outage.back(at(second * 1_000 + 500))];
            lines += told.iter().flatten().count();
            held_back += told.iter().flatten().filter_map(|line| line.held_back).sum::<u64>();
        }
        assert_eq!((lines, held_back), (12, 45), "six losses, each with its return; nine were not told after the last");
        assert_eq!(outage.lost("away", at(60_000)), line(9, 0));
    }

    #[test]
    fn a_loss_that_began_too_soon_to_be_told_is_told_while_it_lasts() {
        let (outage, at) = outage();
        assert_eq!(outage.lost("away", at(0)), line(0, 0));
        assert_eq!(outage.back(at(1_000)), line(0, 1));
        assert_eq!([outage.lost("away", at(2_000)), outage.lost("away", at(9_000))], [None, None]);
        assert_eq!(outage.lost("away", at(10_000)), line(2, 8));
    }

    #[test]
    fn what_works_for_some_is_back_when_nobody_fails_any_more() {
        let (outage, at) = outage();
        assert_eq!(outage.worked(at(0)), None);
        assert_eq!(outage.lost("full", at(1_000)), line(0, 0));
        assert_eq!(outage.worked(at(2_000)), None);
        assert_eq!(outage.lost("full", at(9_000)), None);
        assert_eq!(outage.worked(at(18_999)), None);
        assert_eq!(outage.worked(at(19_000)), line(1, 18));
        assert_eq!(outage.worked(at(30_000)), None);
    }

    #[test]
    fn failures_far_apart_are_outages_of_their_own() {
        let (outage, at) = outage();
        assert_eq!(outage.lost("slow", at(0)), line(0, 0));
        assert_eq!(outage.lost("slow", at(61_000)), line(0, 0));
        assert_eq!(outage.lost("slow", at(62_000)), None);
        assert_eq!(outage.lost("slow", at(200_000)), line(1, 0));
    }
}
