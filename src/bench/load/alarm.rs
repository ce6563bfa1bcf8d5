//! Wakes at an instant, to the microsecond where the system can: the timers of tokio only do milliseconds.

use std::io;

use tokio::time::Instant;

#[cfg(target_os = "linux")]
mod system {
    use std::os::fd::OwnedFd;

    use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
    use rustix::time::{timerfd_create, timerfd_settime};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::{Instant, io};

    pub(in crate::bench::load) struct Alarm(AsyncFd<OwnedFd>);

    impl Alarm {
        pub(in crate::bench::load) fn new() -> io::Result<Self> {
            let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            #[expect(deprecated, reason = "the descriptor is owned, so that it cannot be closed too early")]
            Ok(Self(AsyncFd::with_interest(timer, Interest::READABLE)?))
        }

        pub(in crate::bench::load) async fn wait(&self, until: Instant) -> io::Result<()> {
            loop {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(());
                }
                let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
                let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
                let value = Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() };
                let alarm = Itimerspec { it_interval: zero, it_value: value };
                timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &alarm)?;
                // It is not read: setting it anew takes back that it went off.
                self.0.readable().await?.clear_ready();
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Instant, io};

    pub(in crate::bench::load) struct Alarm;

    impl Alarm {
        pub(in crate::bench::load) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(in crate::bench::load) async fn wait(&self, until: Instant) -> io::Result<()> {
            tokio::time::sleep_until(until).await;
            Ok(())
        }
    }
}

pub(super) use system::Alarm;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn an_alarm_goes_off_again_and_again_and_never_early() {
        let alarm = Alarm::new().unwrap();
        for micros in [0, 50, 1_000, 10, 300] {
            let until = Instant::now() + Duration::from_micros(micros);
            tokio::time::timeout(Duration::from_secs(10), alarm.wait(until)).await.unwrap().unwrap();
            assert!(Instant::now() >= until, "{micros}");
        }
        alarm.wait(Instant::now() - Duration::from_secs(1)).await.unwrap();
    }
}
