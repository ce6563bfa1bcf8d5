//! Search over the gists of one user, beside other ways to search the same: `cargo bench --bench search`, or
//! `cargo bench --bench search -- sqlite` for those whose names have the word. What each contender does is said in its file
//! and in `docs/performance.md`.
//!
//! A table rather than criterion: searches take from a part of a millisecond to seconds, and their tail counts. Postgres
//! takes part when `POWERMEMO_TEST_POSTGRES` names a server on which a database may be made.

#![allow(missing_docs, reason = "a bench is no library")]
#![allow(clippy::unwrap_used, reason = "a bench may panic")]

mod data;
#[path = "../common/gists.rs"]
mod made;
mod postgres;
mod powermemo;
mod report;
mod sqlite;

use std::time::Duration;

use data::{Texts, Vectors};
use report::Report;

/// The dimensions of all-MiniLM-L6-v2, and of text-embedding-3-small.
const DIMENSIONS: [usize; 2] = [384, 1_536];

fn main() {
    // Without this flag the tests of all targets run: then the bench only shows that it works.
    let bench = std::env::args().any(|argument| argument == "--bench");
    let (size, budget) = if bench { (20_000, Duration::from_secs(10)) } else { (500, Duration::ZERO) };
    let only = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    let texts = Texts::new(size);
    let mut report = Report::new(only, budget);
    let postgres = postgres::Database::new(&runtime);
    powermemo::words(&mut report, &texts);
    sqlite::words(&mut report, &runtime, &texts);
    if let Some(postgres) = &postgres {
        postgres.words(&mut report, &texts);
    }
    for dimensions in DIMENSIONS {
        let vectors = Vectors::new(size, dimensions);
        report.expect(vectors.nearest());
        powermemo::words_and_vectors(&mut report, &texts, &vectors);
        sqlite::vectors(&mut report, &runtime, &vectors);
        if let Some(postgres) = &postgres {
            postgres.vectors(&mut report, &vectors);
        }
    }
    report.print(&texts);
}
