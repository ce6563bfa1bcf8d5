//! Instants as the stores keep them. All processes of a run share one machine, and so one clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970.
pub(crate) type Micros = i64;

/// A second.
pub(crate) const SECOND: Micros = 1_000_000;
/// A millisecond.
pub(crate) const MILLI: Micros = 1_000;

static BEGAN: AtomicI64 = AtomicI64::new(0);

/// Now.
pub(crate) fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Micros::try_from(since.as_micros()).unwrap()
}

/// The beginning of the run, for [`shown`].
pub(crate) fn begin() {
    BEGAN.store(now(), Ordering::Relaxed);
}

/// An instant as seconds since the beginning of the run, for people.
pub(crate) fn shown(at: Micros) -> String {
    let since = at - BEGAN.load(Ordering::Relaxed);
    format!("{}{}.{:03} s", if since < 0 { "-" } else { "" }, (since / SECOND).abs(), (since % SECOND / MILLI).abs())
}
