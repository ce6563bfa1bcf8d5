use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::PgPool;
use tokio::time::sleep;

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
    pub(super) fn is_away(&self) -> bool {
        self.0.away.load(Ordering::Acquire)
    }

    /// A call got a connection, and has it as long as the answer lives.
    pub(super) fn hold(&self) -> Held {
        self.0.held.fetch_add(1, Ordering::AcqRel);
        Held(self.clone())
    }

    /// A call got no connection in time. When no other call has one, that is not for want of places in the pool.
    pub(super) fn missed(&self, pool: &PgPool) {
        if self.0.held.load(Ordering::Acquire) > 0 || self.0.away.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::error!("Postgres is away: calls fail at once until it is back");
        let (reach, pool) = (self.clone(), pool.clone());
        tokio::spawn(async move {
            while pool.acquire().await.is_err() {
                if pool.is_closed() {
                    return;
                }
                sleep(PAUSE).await;
            }
            reach.0.away.store(false, Ordering::Release);
            tracing::info!("Postgres is back");
        });
    }
}
