//! An engine on in-memory ports. Time is virtual: the tokio clock and the ports' clock advance together.

#![allow(clippy::unwrap_used, reason = "tests may panic; clippy knows test functions only")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use actors::{Doubt, Embeddings, Engine, EngineError, EngineSettings, Ports, RateSettings};
use async_trait::async_trait;
use memory::blob::{Blob, BlobData, Message, Role};
use memory::buffer::BufferLimits;
use memory::event::Event;
use memory::extraction::Request;
use memory::flush::FlushSettings;
use memory::ids::{BlobId, ProjectId, SlotId, SystemIds, UserId, UserKey};
use memory::ports::{
    Advisor, Alone, Answer, Change, ChangeFeed, Embedder, EventFilter, LanguageModel, ModelError, NewSlot, Store as _,
    TokenCounter,
};
use memory::testing::{ManualClock, MemoryJournal, MemoryStore, ScriptedModel, WordCounter, policy};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

/// Holds calls of the model until the test lets them go.
pub(crate) struct Gate {
    held: Semaphore,
    entered: Semaphore,
    closed: AtomicBool,
}

impl Gate {
    /// Waits until a call has come.
    pub(crate) async fn entered(&self) {
        self.entered.acquire().await.unwrap().forget();
    }

    /// Lets some calls go.
    pub(crate) fn let_in(&self, calls: usize) {
        self.held.add_permits(calls);
    }

    /// Lets all calls go, from now on.
    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.let_in(1_000);
    }
}

struct GatedModel(Arc<ScriptedModel>, Arc<Gate>);

#[async_trait]
impl LanguageModel for GatedModel {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn is_immediate(&self) -> bool {
        self.0.is_immediate()
    }

    async fn extract(&self, request: &Request) -> Result<Answer, ModelError> {
        if self.1.closed.load(Ordering::SeqCst) {
            self.1.entered.add_permits(1);
            self.1.held.acquire().await.unwrap().forget();
        }
        self.0.extract(request).await
    }
}

/// Counts words; panics, or stands still, when a test asks for it.
#[derive(Default)]
pub(crate) struct FragileCounter {
    panics: AtomicBool,
    holds: Mutex<Option<(oneshot::Sender<()>, mpsc::Receiver<()>)>>,
}

impl FragileCounter {
    pub(crate) fn panic_once(&self) {
        self.panics.store(true, Ordering::SeqCst);
    }

    /// Whether what [`FragileCounter::panic_once`] asked for has happened.
    pub(crate) fn has_panicked(&self) -> bool {
        !self.panics.load(Ordering::SeqCst)
    }

    /// Lets the next count stand still: the first tells when it does, the second lets it go on.
    pub(crate) fn hold_once(&self) -> (oneshot::Receiver<()>, mpsc::Sender<()>) {
        let ((tell, entered), (go_on, held)) = (oneshot::channel(), mpsc::channel());
        *self.holds.lock().unwrap() = Some((tell, held));
        (entered, go_on)
    }
}

impl TokenCounter for FragileCounter {
    fn count(&self, text: &str) -> u32 {
        assert!(!self.panics.swap(false, Ordering::SeqCst), "asked to panic");
        let hold = self.holds.lock().unwrap().take();
        if let Some((tell, held)) = hold {
            tell.send(()).unwrap();
            held.recv().unwrap();
        }
        WordCounter.count(text)
    }
}

/// Tells another engine what changes, unless it is cut.
#[derive(Default)]
pub(crate) struct Feed {
    other: OnceLock<Engine>,
    cut: AtomicBool,
}

impl Feed {
    fn connect(&self, other: &Engine) {
        assert!(self.other.set(other.clone()).is_ok());
    }

    /// All gets through again. As a feed does, it tells its own process that everything may have changed.
    pub(crate) async fn mend(&self, own: &Engine) {
        own.heard(&Change::Everything).await;
        self.cut.store(false, Ordering::SeqCst);
    }

    /// From now on nothing that this process announces gets through, and it knows that it may miss changes of others.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl ChangeFeed for Feed {
    async fn announce(&self, change: &Change) {
        if let Some(other) = self.other.get()
            && !self.cut.load(Ordering::SeqCst)
        {
            other.heard(change).await;
        }
    }

    fn is_live(&self) -> bool {
        !self.cut.load(Ordering::SeqCst)
    }
}

/// Who is asked besides the model of the flushes.
type Minds = (Option<Arc<dyn Advisor>>, Option<Arc<dyn Embedder>>);

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) settings: EngineSettings,
    pub(crate) store: MemoryStore,
    pub(crate) journal: MemoryJournal,
    pub(crate) model: Arc<ScriptedModel>,
    pub(crate) counter: Arc<FragileCounter>,
    gate: Arc<Gate>,
    clock: Arc<ManualClock>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut EngineSettings)) -> Self {
        Self::start((None, None), Handle::current(), change)
    }

    /// A world that searches by meaning.
    pub(crate) fn embedding(embedder: Arc<dyn Embedder>) -> Self {
        Self::start((None, Some(embedder)), Handle::current(), |settings| settings.buffer.flush_tokens = 1_000)
    }

    /// A world whose reads may ask an advisor.
    pub(crate) fn advised(advisor: Arc<dyn Advisor>, change: impl FnOnce(&mut EngineSettings)) -> Self {
        Self::start((Some(advisor), None), Handle::current(), change)
    }

    /// A world whose writes run on a runtime of the test's.
    pub(crate) fn writing_on(io: Handle) -> Self {
        Self::start((None, None), io, |_| {})
    }

    fn start(minds: Minds, io: Handle, change: impl FnOnce(&mut EngineSettings)) -> Self {
        tokio::time::pause();
        let clock = Arc::new(ManualClock::new());
        let (store, journal) = (MemoryStore::new(), MemoryJournal::new(clock.clone()));
        Self::on(store, journal, clock, Arc::new(Alone), minds, io, change)
    }

    /// Two processes on one store and one journal, and the feeds by which they tell each other of changes.
    pub(crate) fn two(change: impl Fn(&mut EngineSettings)) -> [(Self, Arc<Feed>); 2] {
        tokio::time::pause();
        let clock = Arc::new(ManualClock::new());
        let (store, journal) = (MemoryStore::new(), MemoryJournal::new(clock.clone()));
        let worlds = [0, 1].map(|_| {
            let (feed, io) = (Arc::new(Feed::default()), Handle::current());
            (Self::on(store.clone(), journal.clone(), clock.clone(), feed.clone(), (None, None), io, &change), feed)
        });
        for (feed, other) in [(0, 1), (1, 0)] {
            worlds[feed].1.connect(&worlds[other].0.engine);
        }
        worlds
    }

    fn on(
        store: MemoryStore,
        journal: MemoryJournal,
        clock: Arc<ManualClock>,
        changes: Arc<dyn ChangeFeed>,
        (advisor, embedder): Minds,
        io: Handle,
        change: impl FnOnce(&mut EngineSettings),
    ) -> Self {
        let model = Arc::new(ScriptedModel::new());
        let counter = Arc::new(FragileCounter::default());
        let gate = Arc::new(Gate { held: Semaphore::new(0), entered: Semaphore::new(0), closed: false.into() });
        let mut settings = settings();
        change(&mut settings);
        let ports = Ports {
            store: Arc::new(store.clone()),
            projects: Arc::new(store.clone()),
            journal: Arc::new(journal.clone()),
            changes,
            doubt: Doubt::default(),
            model: Arc::new(GatedModel(model.clone(), gate.clone())),
            advisor,
            embeddings: embedder.map(|embedder| Embeddings::new(embedder, Arc::new(store.clone()))),
            counter: counter.clone(),
            clock: clock.clone(),
            ids: Arc::new(SystemIds),
        };
        let engine = Engine::start(ports, settings.clone(), io, Handle::current(), vec![actix::Arbiter::current()]);
        Self { engine, settings, store, journal, model, counter, gate, clock }
    }

    pub(crate) async fn user(&self) -> UserKey {
        self.user_of("p").await
    }

    pub(crate) async fn user_of(&self, project: &str) -> UserKey {
        let key = UserKey { project: ProjectId::from(project), ..self.stranger() };
        self.engine.create_user(&key, None).await.unwrap();
        key
    }

    pub(crate) fn stranger(&self) -> UserKey {
        UserKey { project: ProjectId::from("p"), user: UserId(self.engine.fresh_id()) }
    }

    pub(crate) async fn insert(&self, user: &UserKey, text: &str) -> Result<BlobId, EngineError> {
        let id = BlobId(self.engine.fresh_id());
        self.engine.insert(user, id, chat(text), false).await.map(|inserted| inserted.id)
    }

    /// Puts a slot into the store.
    pub(crate) async fn slot(&self, user: &UserKey, topic: &str, content: &str) -> SlotId {
        let (topic, content) = (topic.to_owned(), content.to_owned());
        let id = SlotId(self.engine.fresh_id());
        let slot = NewSlot { id, topic, sub_topic: "s".into(), content, attributes: serde_json::Map::new() };
        assert!(self.store.add_slot(user, &slot, self.engine.now()).await.unwrap());
        id
    }

    pub(crate) async fn events(&self, user: &UserKey) -> Vec<Event> {
        self.engine.events(user, &EventFilter { limit: 100, ..EventFilter::default() }).await.unwrap()
    }

    pub(crate) fn hold_model(&self) -> Arc<Gate> {
        self.gate.closed.store(true, Ordering::SeqCst);
        self.gate.clone()
    }

    /// Sets the clock on, without anything happening in between.
    pub(crate) fn jump(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// Lets time pass, in small steps, so that everything due in it happens.
    pub(crate) async fn pass(&self, time: Duration) {
        let step = (time / 200).max(Duration::from_millis(1));
        let mut passed = Duration::ZERO;
        while passed < time {
            self.clock.advance(step);
            tokio::time::sleep(step).await;
            passed += step;
        }
    }
}

pub(crate) fn chat(text: &str) -> Blob {
    let message = Message { role: Role::User, alias: None, content: text.into(), created_at: None };
    Blob { data: BlobData::Chat { messages: vec![message] }, fields: None, created_at: jiff::Timestamp::UNIX_EPOCH }
}

fn settings() -> EngineSettings {
    EngineSettings {
        default_project: ProjectId::from("p"),
        buffer: BufferLimits { flush_tokens: 8, max_blobs: 5, max_waiters: 4 },
        flush: Arc::new(FlushSettings {
            lease: Duration::from_secs(60),
            max_tokens: 100,
            max_blobs: 50,
            max_attempts: 3,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            keep_chats: false,
            record_answers: true,
            quote_tokens: u32::MAX,
            policy: Arc::new(policy()),
        }),
        flush_interval: Duration::from_secs(3600),
        flush_workers: 4,
        flush_wait_timeout: Duration::from_secs(120),
        max_active_users: 2,
        actor_idle: Duration::from_secs(300),
        sweep_interval: Duration::from_secs(1),
        token_quota: None,
        rates: RateSettings::default(),
        max_inflight_inserts: 200,
        search_max_gists: 1_000,
        filter_by_model: false,
        cache_trust: Duration::MAX,
        cache_bytes: 1 << 20,
        search_cache_bytes: 1 << 20,
        applied_blobs_retention: Duration::from_secs(86_400),
        shutdown_timeout: Duration::from_secs(30),
    }
}
