use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use memory::outage::Line;
use tokio::time::sleep;

use super::error::OUTAGE;
use super::pool::Pool;

/// The pause between two attempts to reach a server that is away.
const PAUSE: Duration = Duration::from_millis(200);

/// Whether the server can be reached at all. While it cannot, calls fail at once instead of waiting, each, for a
/// connection that does not come; one task goes on trying.
#[derive(Clone, Default)]
pub(super) struct Reach(Arc<Inner>);

#[derive(Default)]
struct Inner {
    away: AtomicBool,
    /// Calls that have a connection.
    held: AtomicUsize,
}

/// A call that has a connection.
pub(super) struct Held(Reach);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.held.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Reach {
    /// Whether a call is to fail at once.
    pub(super) fn is_away(&self) -> bool {
        let away = self.0.away.load(Ordering::Acquire);
        if away {
            tell_away();
        }
        away
    }

    /// A call got a connection, and has it as long as the answer lives.
    pub(super) fn hold(&self) -> Held {
        self.0.held.fetch_add(1, Ordering::AcqRel);
        Held(self.clone())
    }

    /// A call got no connection in time. When no other call has one, that is not for want of places in the pool.
    pub(super) fn missed(&self, pool: &Pool) {
        if self.0.held.load(Ordering::Acquire) > 0 || self.0.away.swap(true, Ordering::AcqRel) {
            return;
        }
        tell_away();
        let (reach, pool) = (self.clone(), pool.clone());
        tokio::spawn(async move {
            loop {
                match pool.get().await {
                    Ok(conn) => break conn.give_back(),
                    Err(_) if pool.is_closed() => return,
                    Err(_) => {}
                }
                tell_away();
                sleep(PAUSE).await;
            }
            reach.0.away.store(false, Ordering::Release);
            tell_back(OUTAGE.back(Instant::now()));
        });
    }
}

/// Logs, now and then, that calls fail.
fn tell_away() {
    if let Some(line) = OUTAGE.lost("away", Instant::now()) {
        let (held_back, for_s) = (line.held_back, line.seconds);
        tracing::error!(held_back, for_s, "Postgres is away: calls fail at once until it is back");
    }
}

/// Logs that calls succeed again, if it was said that they fail.
pub(super) fn tell_back(line: Option<Line>) {
    if let Some(line) = line {
        tracing::info!(held_back = line.held_back, after_s = line.seconds, "Postgres is back");
    }
}
