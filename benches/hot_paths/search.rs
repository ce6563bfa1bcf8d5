//! Searching the gists of one user.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use jiff::Timestamp;
use memory::recall::{KnownGists, Search};
use memory::search::{Bm25, Vector};
use powermemo::tokens::Tokeniser;

use crate::texts::{gists, sentence};

/// Gists of a busy user, and as many as are searched at most.
const SIZES: [usize; 2] = [1_000, 20_000];

pub(crate) fn benches(criterion: &mut Criterion) {
    let tokeniser = Tokeniser::start();
    let mut group = criterion.benchmark_group("bm25");
    for size in SIZES {
        let known = KnownGists::new(1, gists(size), &tokeniser);
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("search", size), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % 64;
                let (query, since) = (sentence(turn), Timestamp::UNIX_EPOCH);
                known.search(black_box(&Search { query, meaning: None, topk: 10, threshold: 0.2, since }))
            });
        });
        group.sample_size(10);
        group.bench_function(BenchmarkId::new("index", size), |bencher| {
            bencher.iter(|| Bm25::build(known.gists.iter().map(|gist| gist.text.as_str())));
        });
        group.sample_size(100);
    }
    group.finish();
    by_meaning(criterion, &tokeniser);
}

/// The dimensions of all-MiniLM-L6-v2, and of text-embedding-3-small.
const DIMENSIONS: [usize; 2] = [384, 1_536];

/// Words and vectors together, over as many gists as are searched at most. The first line of each says what they take in
/// memory.
fn by_meaning(criterion: &mut Criterion, tokeniser: &Tokeniser) {
    let mut group = criterion.benchmark_group("meaning");
    let size = 20_000;
    for dimensions in DIMENSIONS {
        let direction = |seed: usize| {
            let number = |at: usize| ((seed * 31 + at * 17) % 251) as f32 - 125.0;
            Vector::of(&(0..dimensions).map(number).collect::<Vec<f32>>())
        };
        let mut gists = gists(size);
        for (number, gist) in (0..).zip(&mut gists) {
            gist.id = memory::ids::GistId(uuid::Uuid::from_u128(number));
        }
        let vectors = (0..).zip(&gists).filter_map(|(number, gist)| Some((gist.id, direction(number)?)));
        let vectors: Vec<_> = vectors.collect();
        let known = KnownGists::new(1, gists, tokeniser).with_vectors(vectors);
        println!("{size} gists of {dimensions} dimensions take {} MB", known.bytes() / 1_000_000);
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("search", dimensions), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % 64;
                let (query, since) = (sentence(turn), Timestamp::UNIX_EPOCH);
                let meaning = direction(turn);
                known.search(black_box(&Search { query, meaning, topk: 10, threshold: 0.2, since }))
            });
        });
    }
    group.finish();
}
