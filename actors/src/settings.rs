use std::sync::Arc;
use std::time::Duration;

use memory::buffer::BufferLimits;
use memory::flush::FlushSettings;
use memory::ids::{IdSource, ProjectId};
use memory::ports::{Advisor, ChangeFeed, Clock, Journal, LanguageModel, Projects, Store, TokenCounter};

use crate::doubt::Doubt;
use crate::embeddings::Embeddings;
use crate::rates::RateSettings;

/// What the engine works with. Cheap to clone.
#[derive(Clone)]
pub struct Ports {
    /// The system of record.
    pub store: Arc<dyn Store>,
    /// The projects in it.
    pub projects: Arc<dyn Projects>,
    /// The durable mirror of the buffers.
    pub journal: Arc<dyn Journal>,
    /// Tells other processes on the same store what changes; see [`crate::Engine::heard`] for the other direction.
    pub changes: Arc<dyn ChangeFeed>,
    /// Raised whenever changes of others may have been missed.
    pub doubt: Doubt,
    /// What makes memory of chats.
    pub model: Arc<dyn LanguageModel>,
    /// Answers what reads ask of a language model, where there is one.
    pub advisor: Option<Arc<dyn Advisor>>,
    /// What searches by meaning need, where they are wanted.
    pub embeddings: Option<Embeddings>,
    /// Counts tokens.
    pub counter: Arc<dyn TokenCounter>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws ids.
    pub ids: Arc<dyn IdSource>,
}

/// The limits and times of the engine. Each is a key of the configuration.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The project that exists without being created (`project_id`).
    pub default_project: ProjectId,
    /// What one buffer may hold, and when it is flushed.
    pub buffer: BufferLimits,
    /// How flushes are run.
    pub flush: Arc<FlushSettings>,
    /// A buffer whose oldest blob has waited this long is flushed (`buffer_flush_interval`).
    pub flush_interval: Duration,
    /// Flushes that run at the same time (`flush_workers`).
    pub flush_workers: usize,
    /// How long a request waits for a flush (`flush_wait_timeout_seconds`).
    pub flush_wait_timeout: Duration,
    /// Users with an actor at the same time (`max_active_users`).
    pub max_active_users: usize,
    /// How long an actor stays without a request (`actor_idle_seconds`).
    pub actor_idle: Duration,
    /// How often the sweeper looks for what is due (`sweep_interval_ms`).
    pub sweep_interval: Duration,
    /// Tokens that each new project, and the default one, may use in a month unless it gets another quota; none: as many
    /// as it likes (`project_token_quota_per_month`).
    pub token_quota: Option<u64>,
    /// What one project may ask for in a minute.
    pub rates: RateSettings,
    /// Inserts under way at the same time (`max_inflight_inserts`).
    pub max_inflight_inserts: usize,
    /// Gists of one user that are searched: the newest (`search_max_gists`).
    pub search_max_gists: u32,
    /// The model chooses slots by a chat, where there is one; its words do otherwise (`profile_filter`).
    pub filter_by_model: bool,
    /// What is cached is compared with the store before it is used once it is older than this; zero compares it every
    /// time (`read_consistency`). Whatever this says, it is compared while the change feed is not live.
    pub cache_trust: Duration,
    /// Bytes that all cached profiles may take together (`cache_bytes`).
    pub cache_bytes: usize,
    /// Bytes that all cached gists, with what is needed to search them, may take together (`search_cache_bytes`).
    pub search_cache_bytes: usize,
    /// How long the store remembers which blobs were applied (`applied_blobs_retention_days`).
    pub applied_blobs_retention: Duration,
    /// How long shutdown waits for flushes under way (`shutdown_timeout_seconds`).
    pub shutdown_timeout: Duration,
}
