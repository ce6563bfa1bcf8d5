//! Counting tokens.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use memory::ports::TokenCounter as _;
use powermemo::tokens::Tokeniser;

use crate::texts::{chat, sentence};

pub(crate) fn benches(criterion: &mut Criterion) {
    let tokeniser = Tokeniser::start();
    let chats: Vec<Vec<String>> = (0..256).map(|n| chat(n).texts().map(str::to_owned).collect()).collect();
    let long: String = (0..500).map(sentence).collect::<Vec<_>>().join("\n");
    let mut group = criterion.benchmark_group("tokens");
    let mut turn = 0;
    group.bench_function("chat of two messages", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % chats.len();
            black_box(&chats[turn]).iter().map(|text| tokeniser.count(text)).sum::<u32>()
        });
    });
    group.throughput(Throughput::Bytes(long.len() as u64));
    group.bench_function("long text", |bencher| bencher.iter(|| tokeniser.count(black_box(&long))));
    group.finish();
}
