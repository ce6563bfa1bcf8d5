//! Chaos: three servers on one Postgres and one Redis, hundreds of users, and everything that can go wrong, all at once;
//! then peace, and everything must be where it belongs.
//!
//! All that is drawn comes from one seed. What the operating system makes of it does not: the same seed makes the same
//! plan, not the same run.
//!
//! `scripts/chaos` runs this for as long as one likes.

mod answers;
mod client;
mod edits;
mod group;
mod history;
mod judge;
mod ledger;
mod leftovers;
mod load;
mod model;
mod news;
mod plan;
mod proxy;
mod run;
mod services;
mod time;
mod truth;
mod verdict;

use std::time::Duration;

use plan::Mode;
use run::{Options, Run};

/// Of the runs that no seed is given for.
const SEED: u64 = 20_261_122;

fn chaos(options: Options) {
    println!("chaos: {options:?}");
    let mut run = Run::start(options);
    run.rage();
    let raged = time::shown(time::now());
    let settled = run.settle();
    println!("chaos until {raged}, peace until {}", time::shown(time::now()));
    judge::judge(run, settled);
    println!("judged {}", time::shown(time::now()));
}

fn run(mode: Mode, seconds: u64) {
    chaos(Options { seed: SEED, mode, length: Duration::from_secs(seconds) });
}

#[test]
fn nothing_acknowledged_is_missing_or_doubled() {
    run(Mode::Always, 45);
}

#[test]
fn a_journal_that_loses_its_last_seconds_loses_no_more() {
    run(Mode::Everysec, 25);
}

#[test]
fn a_journal_that_comes_back_older_doubles_nothing() {
    run(Mode::Older, 25);
}

/// What `scripts/chaos` runs.
#[test]
#[ignore = "as long as one likes: see scripts/chaos"]
fn as_long_as_one_likes() {
    let get = |name: &str| std::env::var(format!("POWERMEMO_CHAOS_{name}")).ok();
    let number = |name: &str, default: u64| get(name).map_or(default, |value| value.parse().unwrap());
    let mode = match get("MODE").as_deref() {
        None | Some("always") => Mode::Always,
        Some("everysec") => Mode::Everysec,
        Some("older") => Mode::Older,
        Some(other) => panic!("no mode: {other}"),
    };
    chaos(Options { seed: number("SEED", SEED), mode, length: Duration::from_secs(number("SECONDS", 1_200)) });
}
