//! What a flush does beside its model call: the prompt, and the answer.

use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use memory::extraction::{Draft, Policy, Request, check, lines_of, quote};
use memory::schema::Schema;
use memory::testing::policy;
use powermemo::llm::Prompts;
use powermemo::mock_model::answer;
use powermemo::tokens::Tokeniser;
use serde_json::json;
use uuid::Uuid;

use crate::texts::{chat, slots};

/// The default of `llm_profile_tokens`.
const QUOTE_TOKENS: u32 = 128;

pub(crate) fn benches(criterion: &mut Criterion) {
    let tokeniser = Tokeniser::start();
    let policy = Policy { schema: Schema::default(), max_memo_tokens: 128, validate: true, ..policy() };
    let mut lines = Vec::new();
    for n in 0..8 {
        let first = u32::try_from(lines.len()).unwrap() + 1;
        lines.extend(lines_of(Uuid::nil(), &chat(n), first, &policy.time_zone));
    }
    let mut group = criterion.benchmark_group("extraction");
    group.bench_function("choose memos of 30 slots", |bencher| {
        bencher.iter(|| quote(slots(30), black_box(&lines), &policy.schema, QUOTE_TOKENS, &tokeniser));
    });
    let quoted = quote(slots(30), &lines, &policy.schema, QUOTE_TOKENS, &tokeniser);
    let prompts = Prompts::new().unwrap();
    let policy = Arc::new(policy);
    let request = Request { lines, profile: quoted.profile, named: quoted.named, policy: policy.clone() };
    group.bench_function("render a prompt", |bencher| bencher.iter(|| prompts.batch(black_box(&request)).unwrap()));
    let asked = prompts.batch(&request).unwrap();
    let answer = answer(&json!({"messages": [{"role": "user", "content": asked}]}));
    group.bench_function("read an answer", |bencher| bencher.iter(|| Draft::read(black_box(&answer)).unwrap()));
    let drafts = [Draft::read(&answer).unwrap()];
    assert!(!drafts[0].gists.is_empty(), "the stand-in understands the prompt");
    group.bench_function("check an answer", |bencher| {
        bencher.iter(|| check(black_box(&drafts), &request.lines, &policy, &tokeniser));
    });
    group.finish();
}
