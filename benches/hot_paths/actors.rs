//! The way of a message through registry and actor, on ports that keep everything in memory. All runs on one thread, so
//! that no hop between threads is measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::System;
use actors::{Doubt, Engine, EngineSettings, Ports, RateSettings};
use criterion::Criterion;
use memory::blob::BlobType;
use memory::buffer::BufferLimits;
use memory::flush::FlushSettings;
use memory::ids::{BlobId, ProjectId, SystemIds, UserId, UserKey};
use memory::ports::{Alone, SystemClock};
use memory::testing::{MemoryJournal, MemoryStore, ScriptedModel, policy};
use powermemo::tokens::Tokeniser;
use tokio::runtime::Handle;

use crate::texts::chat;

/// Users who take turns. The journal is emptied after each turn of all: the one in memory becomes slow as it fills.
const USERS: usize = 512;
const NEVER: Duration = Duration::from_secs(1_000_000);

struct World {
    engine: Engine,
    journal: MemoryJournal,
    users: Vec<UserKey>,
}

impl World {
    async fn new() -> Self {
        let (store, clock) = (MemoryStore::new(), Arc::new(SystemClock));
        let journal = MemoryJournal::new(clock.clone());
        let ports = Ports {
            store: Arc::new(store.clone()),
            projects: Arc::new(store),
            journal: Arc::new(journal.clone()),
            changes: Arc::new(Alone),
            doubt: Doubt::default(),
            model: Arc::new(ScriptedModel::new()),
            advisor: None,
            embeddings: None,
            counter: Arc::new(Tokeniser::start()),
            clock,
            ids: Arc::new(SystemIds),
        };
        let engine = Engine::start(ports, settings(), Handle::current(), Handle::current(), Vec::new());
        let mut users = Vec::new();
        for _ in 0..USERS {
            let key = UserKey { project: ProjectId::from("p"), user: UserId(engine.fresh_id()) };
            engine.create_user(&key, None).await.unwrap();
            users.push(key);
        }
        Self { engine, journal, users }
    }

    /// A message to the actor of each user, about nothing: their buffers are empty.
    async fn touch(&self) {
        for user in &self.users {
            self.engine.flush(user, BlobType::Chat, false).await.unwrap();
        }
    }

    /// Lets all actors go.
    async fn passivate(&self) {
        self.engine.passivate(Duration::ZERO);
        while self.engine.active_users() > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// An insert of each user.
    async fn append(&self, turn: usize) {
        for (place, user) in self.users.iter().enumerate() {
            let id = BlobId(self.engine.fresh_id());
            self.engine.insert(user, id, chat(turn + place), false).await.unwrap();
        }
    }
}

pub(crate) fn benches(criterion: &mut Criterion) {
    let system = System::new();
    let world = system.block_on(World::new());
    let mut group = criterion.benchmark_group("actors");
    group.bench_function("lease", |bencher| {
        bencher.iter_custom(|times| {
            system.block_on(async {
                world.touch().await;
                by_turns(times, async |_| timed(world.touch()).await).await
            })
        });
    });
    group.bench_function("activate", |bencher| {
        bencher.iter_custom(|times| {
            system.block_on(by_turns(times, async |_| {
                world.passivate().await;
                timed(world.touch()).await
            }))
        });
    });
    group.bench_function("passivate", |bencher| {
        bencher.iter_custom(|times| {
            system.block_on(by_turns(times, async |_| {
                world.touch().await;
                timed(world.passivate()).await
            }))
        });
    });
    let empty = world.journal.snapshot();
    group.bench_function("append", |bencher| {
        bencher.iter_custom(|times| {
            system.block_on(by_turns(times, async |turn| {
                world.journal.restore(empty.clone());
                timed(world.append(turn)).await
            }))
        });
    });
    group.finish();
    system.block_on(world.engine.shutdown());
}

/// How long something takes.
async fn timed(what: impl Future<Output = ()>) -> Duration {
    let begun = Instant::now();
    what.await;
    begun.elapsed()
}

/// How long so many messages take, measured by turns of all users.
async fn by_turns(times: u64, turn: impl AsyncFn(usize) -> Duration) -> Duration {
    let turns = usize::try_from(times).unwrap().div_ceil(USERS);
    let mut spent = Duration::ZERO;
    for number in 0..turns {
        spent += turn(number).await;
    }
    spent.mul_f64(times as f64 / (turns * USERS) as f64)
}

fn settings() -> EngineSettings {
    EngineSettings {
        default_project: ProjectId::from("p"),
        buffer: BufferLimits { flush_tokens: u64::MAX, max_blobs: u64::MAX, max_waiters: 4 },
        flush: Arc::new(FlushSettings {
            lease: NEVER,
            max_tokens: 16_384,
            max_blobs: 1_000,
            max_attempts: 5,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            keep_chats: false,
            record_answers: true,
            quote_tokens: 128,
            policy: Arc::new(policy()),
        }),
        flush_interval: NEVER,
        flush_workers: 4,
        flush_wait_timeout: NEVER,
        max_active_users: USERS * 2,
        actor_idle: NEVER,
        sweep_interval: NEVER,
        token_quota: None,
        rates: RateSettings::default(),
        max_inflight_inserts: 4_096,
        search_max_gists: 1_000,
        filter_by_model: false,
        cache_trust: Duration::MAX,
        cache_bytes: 1 << 28,
        search_cache_bytes: 1 << 28,
        applied_blobs_retention: NEVER,
        shutdown_timeout: Duration::from_secs(1),
    }
}
