//! Tells the processes on one store what has changed: adapters of [`memory::ports::ChangeFeed`].
//!
//! `feed` is what an adapter is made of: `outbox` keeps what is to be told until it is on its way, `inbox` hands on
//! what the others tell, `message` is the form in which a change travels. An adapter adds how messages are sent
//! (`outbox::Carrier`) and heard (`inbox::Listener`).

mod feed;
mod inbox;
mod message;
mod outbox;
pub mod postgres;
pub mod redis;

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use memory::ports::Change;

/// What an adapter calls with the changes of other processes. It must not block.
pub type OnChange = Arc<dyn Fn(Change) + Send + Sync>;

/// The first and the longest pause between attempts, before jitter, which may double it.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// Pauses that double, with jitter, without end.
fn pauses() -> impl Iterator<Item = Duration> + Send {
    let (first, longest) = PAUSES;
    let doubling = ExponentialBuilder::new().with_min_delay(first).with_max_delay(longest).without_max_times();
    doubling.with_jitter().build().chain(std::iter::repeat(longest))
}
