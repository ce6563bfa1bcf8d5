//! Packing contexts of 30 slots and 30 gists.

use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use jiff::civil::date;
use memory::context::{ContextRequest, Packer, Remembered};
use memory::ids::Incarnation;
use memory::ports::TokenCounter;
use memory::profile::Profile;
use memory::recall::{KnownGists, KnownProfile, Period, ProfileFilter};
use powermemo::tokens::Tokeniser;
use uuid::Uuid;

use crate::texts::{gists, now, sentence, slots};

fn request(chats: Option<Vec<String>>) -> ContextRequest {
    ContextRequest {
        max_tokens: 1_000,
        filter: ProfileFilter::default(),
        profile_event_ratio: 0.6,
        chats,
        meaning: None,
        asked_on: Some(date(2026, 11, 26)),
        threshold: 0.2,
        time_range_in_days: 180,
        happened: Period::default(),
        require_event_summary: false,
        custom_prompt: None,
        fill_window_with_events: false,
        include_buffer: false,
    }
}

pub(crate) fn benches(criterion: &mut Criterion) {
    let counter: Arc<dyn TokenCounter> = Arc::new(Tokeniser::start());
    let packer = Packer::new(counter.clone());
    let profile = Profile { incarnation: Incarnation(Uuid::nil()), revision: 1, slots: slots(30) };
    let profile = KnownProfile::new(profile, counter.as_ref());
    let gists = KnownGists::new(1, gists(30), counter.as_ref());
    let remembered = Remembered { profile: Some(&profile), gists: Some(&gists), events: &[], said: &[] };
    let mut group = criterion.benchmark_group("context");
    let newest = request(None);
    group.bench_function("newest gists", |bencher| {
        bencher.iter(|| packer.pack(black_box(&newest), &remembered, now()));
    });
    let chat = request(Some((0..3).map(sentence).collect()));
    group.bench_function("gists for a chat", |bencher| {
        bencher.iter(|| packer.pack(black_box(&chat), &remembered, now()));
    });
    group.finish();
}
