//! How often a request asks for memory: counted on one thread, so that more is noticed, however fast the machine.
//!
//! The ports are those of tests, in memory; the counts hold what they take, too. A bound is a tenth above what was
//! measured. Who makes a request cheaper lowers it; who makes one dearer should know what for.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use actors::{Doubt, EngineSettings, Ports, RateSettings};
use allocation_counter::measure;
use jiff::Timestamp;
use memory::blob::{Blob, BlobData, BlobType, Message, Role};
use memory::buffer::BufferLimits;
use memory::flush::FlushSettings;
use memory::ids::{BlobId, SystemIds, UserId, UserKey};
use memory::ports::{Alone, NewSlot, Store as _};
use memory::testing::{ManualClock, MemoryJournal, MemoryStore, ScriptedModel, policy};

use super::*;
use crate::tokens::Tokeniser;

/// Requests of a kind.
const REQUESTS: u32 = 100;
/// What a user says, and what the bot answers.
const CHAT: [(Role, &str); 2] =
    [(Role::User, "I moved to Bergen in May."), (Role::Assistant, "How do you like the rain there?")];

/// An engine with one user, who is active and has thirty slots and a gist, all in the cache.
struct World {
    engine: Engine,
    user: UserKey,
}

impl World {
    async fn start() -> Self {
        let clock = Arc::new(ManualClock::new());
        let store = MemoryStore::new();
        let ports = Ports {
            store: Arc::new(store.clone()),
            projects: Arc::new(store.clone()),
            journal: Arc::new(MemoryJournal::new(clock.clone())),
            changes: Arc::new(Alone),
            doubt: Doubt::default(),
            model: Arc::new(ScriptedModel::new()),
            advisor: None,
            embeddings: None,
            counter: Arc::new(Tokeniser::start()),
            clock,
            ids: Arc::new(SystemIds),
        };
        let here = tokio::runtime::Handle::current;
        let engine = Engine::start(ports, engine_settings(), here(), here(), vec![actix::Arbiter::current()]);
        let user = UserKey { project: settings().project, user: UserId(engine.fresh_id()) };
        engine.create_user(&user, None).await.unwrap();
        for number in 0..30 {
            let (id, sub_topic) = (memory::ids::SlotId(engine.fresh_id()), format!("habit {number}"));
            let content = "likes long walks by the river with music and friends, since 2021".to_owned();
            let slot = NewSlot { id, topic: "life".into(), sub_topic, content, attributes: serde_json::Map::new() };
            assert!(store.add_slot(&user, &slot, engine.now()).await.unwrap());
        }
        let world = Self { engine, user };
        world.insert(chat()).await;
        world.engine.flush(&world.user, BlobType::Chat, true).await.unwrap();
        world.insert(chat()).await;
        world
    }

    async fn insert(&self, blob: Blob) {
        self.engine.insert(&self.user, BlobId(self.engine.fresh_id()), blob, false).await.unwrap();
    }
}

fn engine_settings() -> EngineSettings {
    let hour = Duration::from_secs(3600);
    EngineSettings {
        default_project: ProjectId::from("p"),
        buffer: BufferLimits { flush_tokens: u64::MAX, max_blobs: u64::MAX, max_waiters: 4 },
        flush: Arc::new(FlushSettings {
            lease: hour,
            max_tokens: 1_000,
            max_blobs: 50,
            max_attempts: 3,
            backoff_min: hour,
            backoff_max: hour,
            keep_chats: false,
            record_answers: true,
            quote_tokens: u32::MAX,
            policy: Arc::new(policy()),
        }),
        flush_interval: hour,
        flush_workers: 1,
        flush_wait_timeout: hour,
        max_active_users: 2,
        actor_idle: hour,
        sweep_interval: hour,
        token_quota: None,
        rates: RateSettings::default(),
        max_inflight_inserts: 200,
        search_max_gists: 1_000,
        filter_by_model: false,
        cache_trust: Duration::MAX,
        cache_bytes: 1 << 20,
        search_cache_bytes: 1 << 20,
        applied_blobs_retention: hour,
        shutdown_timeout: hour,
    }
}

fn chat() -> Blob {
    let message =
        |(role, content): (Role, &str)| Message { role, alias: None, content: content.into(), created_at: None };
    let messages = CHAT.into_iter().map(message).collect();
    Blob { data: BlobData::Chat { messages }, fields: None, created_at: Timestamp::UNIX_EPOCH }
}

/// An insert of the chat, as a client sends it.
fn insertion(user: &UserKey) -> TestRequest {
    let messages = CHAT.map(|(role, content)| json!({"role": role, "content": content}));
    let body = json!({"blob_type": "chat", "blob_data": {"messages": messages}});
    api(Method::POST, &format!("/blobs/insert/{}", user.user.0)).set_json(body)
}

/// How many allocations one piece of some work makes, on average.
fn allocations(system: &actix::SystemRunner, work: impl Future<Output = ()>) -> u64 {
    measure(|| system.block_on(work)).count_total / u64::from(REQUESTS)
}

/// The allocations of one request at the router, and what it was answered the last time.
fn of_request(of: impl Fn(&UserKey) -> TestRequest) -> (u64, Bytes) {
    let system = actix::System::new();
    let world = system.block_on(World::start());
    let engine = web::Data::new(world.engine.clone());
    let app = system.block_on(test::init_service(app(settings()).app_data(engine)));
    let ask = async |request| {
        let response = app.call(request).await.ok().unwrap();
        assert_eq!(response.status(), 200);
        to_bytes(response.into_body()).await.ok().unwrap()
    };
    let request = || of(&world.user).insert_header(("Authorization", "Bearer secret")).to_request();
    // What is made at first use is no matter.
    let mut last = system.block_on(ask(request()));
    let requests: Vec<_> = (0..REQUESTS).map(|_| request()).collect();
    let allocations = allocations(&system, async {
        for request in requests {
            last = ask(request).await;
        }
    });
    (allocations, last)
}

#[test]
fn an_insert_allocates_little() {
    let system = actix::System::new();
    let world = system.block_on(World::start());
    let blobs: Vec<_> = (0..REQUESTS).map(|_| chat()).collect();
    let engine = allocations(&system, async {
        for blob in blobs {
            world.insert(blob).await;
        }
    });
    let (router, answer) = of_request(insertion);
    assert!(answer.starts_with(b"{\"data\":{\"id\":"), "{answer:?}");
    // Measured: 16 and 45.
    assert!(engine <= 17 && router <= 49, "{engine} in the engine, {router} with the router");
}

#[test]
fn a_read_from_the_cache_allocates_little() {
    let read = |path: &'static str| of_request(move |user| api(Method::GET, &format!("/users/{path}/{}", user.user.0)));
    let ((profile, slots), (context, packed)) = (read("profile"), read("context"));
    assert!(slots.len() > 5_000 && packed.len() > 1_000, "{slots:?} {packed:?}");
    // Measured: 33 and 52.
    assert!(profile <= 36 && context <= 57, "{profile} for a profile, {context} for a context");
}
