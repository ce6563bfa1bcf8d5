//! The buffer and flush state machines against a small model of what must hold.
//!
//! A script of random actions drives users, processes and their flushes over one journal and one store: crashes,
//! outages, lost replies, journals that come back older, deletions, client edits, and dead letters that are tried again or
//! dropped at every step. Then all faults
//! end, everything comes to rest, and the [`ledger`] says whether each acknowledged blob took effect exactly once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at what it did not expect")]

mod actors;
mod buffer;
mod clients;
mod flush;
mod ledger;
mod script;
mod world;

use proptest::prelude::*;

/// As many scripts as take a few seconds, unless `PROPTEST_CASES` says otherwise.
fn config() -> ProptestConfig {
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 800 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_acknowledged_blob_takes_effect_once(script in script::script()) {
        world::World::play(&script);
    }

    #[test]
    fn a_buffer_believes_the_journal_and_loses_no_wake_up(script in buffer::script()) {
        buffer::play(&script.0);
    }
}
