//! Benches of the hot paths, without network or disk: `cargo bench --bench hot_paths`, with `-- bm25` for some of them.
//! The whole service under load is what `powermemo bench` measures.

#![allow(missing_docs, reason = "criterion makes public functions")]
#![allow(clippy::unwrap_used, reason = "a bench may panic")]

mod actors;
mod context;
mod extraction;
#[path = "../common/gists.rs"]
mod made;
mod search;
mod texts;
mod tokens;

use criterion::{criterion_group, criterion_main};

criterion_group!(benches, tokens::benches, actors::benches, context::benches, search::benches, extraction::benches);
criterion_main!(benches);
