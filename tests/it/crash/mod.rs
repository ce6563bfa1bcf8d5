//! Ends the real process in every way there is, and looks for what it had acknowledged.
//!
//! [`points`] needs the feature `crash-points` and is not there without it: `scripts/test` turns it on, `cargo test`
//! alone does not.

pub(crate) mod client;
pub(crate) mod ledger;
mod load;
#[cfg(feature = "crash-points")]
mod points;
pub(crate) mod world;
