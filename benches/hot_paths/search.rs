//! Searching the gists of one user by words. `benches/search` has it by meaning, and beside other ways to search.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use memory::recall::{KnownGists, Search};
use memory::search::Bm25;
use powermemo::tokens::Tokeniser;

use crate::texts::{gists, sentence};

/// Gists of a busy user, and as many as are searched at most.
const SIZES: [usize; 2] = [1_000, 20_000];

pub(crate) fn benches(criterion: &mut Criterion) {
    let tokeniser = Tokeniser::start();
    let mut group = criterion.benchmark_group("bm25");
    for size in SIZES {
        let gists = gists(size);
        let known = KnownGists::new(1, gists.clone(), &tokeniser);
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("search", size), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % 64;
                known.search(black_box(&Search::by_words(sentence(turn), 10, 0.2)))
            });
        });
        group.sample_size(10);
        group.bench_function(BenchmarkId::new("index", size), |bencher| {
            bencher.iter(|| Bm25::build(gists.iter().map(|gist| gist.text.as_str())));
        });
        group.sample_size(100);
    }
    group.finish();
}
