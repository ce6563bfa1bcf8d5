//! What goes wrong and when: drawn from the seed before anything happens.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::model::Mood;
use super::proxy::Weather;

/// How durable the journal is, and how it comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Redis writes to disk before it answers: nothing that was acknowledged may be missing.
    Always,
    /// Redis writes to disk every second, and its machine crashes: what was acknowledged in the last two seconds may be
    /// missing.
    Everysec,
    /// Redis comes back on a copy of its folder that was made earlier: what was acknowledged since, and had not taken
    /// effect, is missing.
    Older,
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// SIGKILL of a server, which stays away for a while.
    Kill(usize, Duration),
    /// SIGTERM of a server.
    Term(usize),
    /// A server stands still.
    Stop(usize, Duration),
    /// The network between a server and Redis (true) or the store.
    Network(usize, bool, Weather, Duration),
    /// SIGKILL of Redis. In [`Mode::Everysec`] its machine crashes; so much of the last second is lost.
    KillRedis(Duration, Duration),
    /// Redis stands still.
    HangRedis(Duration),
    /// The folder of Redis is copied.
    CopyRedis,
    /// Redis is killed and comes back on the last copy.
    OlderRedis(Duration),
    /// SIGKILL of all of Postgres, or an immediate stop.
    KillStore(bool, Duration),
    /// Postgres stands still.
    HangStore(Duration),
    /// The model is in another mood.
    Model(Mood),
}

/// The faults of a run, each with its instant. Servers are killed only in the first `killing`.
pub(crate) fn plan(
    seed: u64,
    mode: Mode,
    places: usize,
    length: Duration,
    killing: Duration,
) -> Vec<(Duration, Fault)> {
    let mut luck = SmallRng::seed_from_u64(seed);
    let mut plan = vec![(Duration::ZERO, Fault::Model(mood(&mut luck)))];
    let mut at = Duration::from_secs(2);
    while at < length {
        let fault = draw(&mut luck, mode, places);
        if at < killing || !matches!(fault, Fault::Kill(..)) {
            plan.push((at, fault));
        }
        at += millis(&mut luck, 200, 2_000);
    }
    // A short run has what its mode is about, too.
    let kill = Fault::KillRedis(Duration::ZERO, Duration::from_millis(900));
    match mode {
        Mode::Always => {}
        Mode::Everysec => plan.push((length / 2, kill)),
        Mode::Older => plan.extend([(length / 4, Fault::CopyRedis), (length / 2, Fault::OlderRedis(Duration::ZERO))]),
    }
    plan.sort_by_key(|(at, _)| *at);
    plan
}

fn draw(luck: &mut SmallRng, mode: Mode, places: usize) -> Fault {
    let place = luck.random_range(0..places);
    match luck.random_range(0..100) {
        0..14 => Fault::Kill(place, millis(luck, 0, 2_500)),
        14..18 => Fault::Term(place),
        18..32 => Fault::Stop(place, millis(luck, 100, 1_500)),
        // Longer than the lease and the client's patience.
        32..40 => Fault::Stop(place, millis(luck, 3_000, 6_000)),
        40..50 => Fault::Network(place, luck.random_bool(0.5), Weather::Open, Duration::ZERO),
        50..57 => Fault::Network(place, luck.random_bool(0.5), Weather::Refuse, millis(luck, 100, 2_500)),
        57..63 => Fault::Network(place, luck.random_bool(0.5), Weather::Hold, millis(luck, 300, 4_000)),
        63..74 if mode == Mode::Older && luck.random_bool(0.5) => Fault::CopyRedis,
        63..74 if mode == Mode::Older => Fault::OlderRedis(millis(luck, 0, 1_000)),
        63..74 => Fault::KillRedis(millis(luck, 0, 1_000), millis(luck, 200, 1_000)),
        74..78 => Fault::HangRedis(millis(luck, 100, 3_000)),
        78..82 => Fault::KillStore(luck.random_bool(0.5), millis(luck, 0, 1_000)),
        82..86 => Fault::HangStore(millis(luck, 100, 2_500)),
        _ => Fault::Model(mood(luck)),
    }
}

fn mood(luck: &mut SmallRng) -> Mood {
    match luck.random_range(0..6) {
        0 => Mood::default(),
        1 => Mood { latency_ms: 1_000, ..Mood::default() },
        2 => Mood { latency_ms: 100, hangs: 20, drops: 10, ..Mood::default() },
        3 => Mood { errors: 30, drops: 10, latency_ms: 300, ..Mood::default() },
        4 => Mood { rubbish: 15, latency_ms: 200, ..Mood::default() },
        _ => Mood { errors: 5, rubbish: 5, hangs: 3, drops: 5, latency_ms: 500 },
    }
}

fn millis(luck: &mut SmallRng, from: u64, to: u64) -> Duration {
    Duration::from_millis(luck.random_range(from..to))
}
