use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use memory::extraction::{Language, Policy, TagSpec};
use memory::schema::{Schema, Topic};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use super::embeddings::EmbeddingProvider;
use super::log;

/// The configuration in force, checked. Each field is the key of that name in `config.yaml`, where defaults and
/// meaning stand. Secrets show as `[REDACTED]` in its `Debug` form.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address to listen on: an IP address or a host name.
    pub host: String,
    /// TCP port; 0 takes any free one.
    pub port: u16,
    /// Folder of the embedded database.
    pub data_dir: PathBuf,
    /// Name of the default project.
    pub project_id: String,
    /// Root token; none asks for none, and then `host` is a loopback address.
    pub access_token: Option<SecretString>,
    /// Bytes of a request body at most.
    pub max_body_bytes: usize,
    /// Threads that serve HTTP; 0: one per core.
    pub http_workers: usize,
    /// Web origins that browsers may call from; `*` is all of them.
    pub cors_origins: Vec<String>,
    /// Log directives, as `tracing_subscriber::EnvFilter` reads them.
    pub log: String,
    /// Shape of log lines.
    pub log_format: LogFormat,
    /// How long a shutdown waits for flushes under way.
    #[serde(rename = "shutdown_timeout_seconds", deserialize_with = "seconds")]
    pub shutdown_timeout: Duration,

    /// Address of the store; none: SQLite in `data_dir`.
    pub database_url: Option<SecretString>,
    /// Connections to Postgres at most.
    pub database_max_connections: u32,
    /// How long a request waits for one of them.
    #[serde(rename = "database_acquire_timeout_seconds", deserialize_with = "seconds")]
    pub database_acquire_timeout: Duration,
    /// Address of the journal; none: in the store.
    pub redis_url: Option<SecretString>,
    /// What the names of all keys in Redis begin with.
    pub redis_key_prefix: String,
    /// How long a step on Redis may take.
    #[serde(rename = "redis_timeout_seconds", deserialize_with = "seconds")]
    pub redis_timeout: Duration,
    /// Refuse a Redis that may lose much.
    pub buffer_require_persistence: bool,
    /// When cached memory is compared with the store.
    pub read_consistency: ReadConsistency,

    /// Keep chat blobs after they have been processed.
    pub persistent_chat_blobs: bool,
    /// Age of its oldest blob at which a buffer is flushed.
    #[serde(deserialize_with = "seconds")]
    pub buffer_flush_interval: Duration,
    /// Tokens in a buffer from which on it is flushed.
    pub max_chat_blob_buffer_token_size: u32,
    /// Tokens that one flush takes at most.
    pub max_chat_blob_buffer_process_token_size: u32,
    /// Blobs that may wait in the buffers of one user.
    pub max_buffered_blobs_per_user: u32,

    /// Flushes that run at the same time.
    pub flush_workers: usize,
    /// Attempts before a batch becomes a dead letter.
    pub flush_max_attempts: u32,
    /// Length of a claim on a batch.
    #[serde(rename = "flush_lease_seconds", deserialize_with = "seconds")]
    pub flush_lease: Duration,
    /// How long a request waits for its flush.
    #[serde(rename = "flush_wait_timeout_seconds", deserialize_with = "seconds")]
    pub flush_wait_timeout: Duration,
    /// Pause before the first retry of a flush.
    #[serde(rename = "flush_backoff_min_seconds", deserialize_with = "seconds")]
    pub flush_backoff_min: Duration,
    /// Pause between retries at most.
    #[serde(rename = "flush_backoff_max_seconds", deserialize_with = "seconds")]
    pub flush_backoff_max: Duration,
    /// Time between two looks for buffers that are due.
    #[serde(rename = "sweep_interval_ms", deserialize_with = "milliseconds")]
    pub sweep_interval: Duration,
    /// Days for which the ids of processed blobs outlive the blobs.
    pub applied_blobs_retention_days: u32,

    /// Users held in memory at the same time.
    pub max_active_users: usize,
    /// Time without a request after which a user leaves memory.
    #[serde(rename = "actor_idle_seconds", deserialize_with = "seconds")]
    pub actor_idle: Duration,
    /// Requests per minute of one project; 0: no limit.
    pub project_requests_per_minute: u32,
    /// Tokens per minute that one project may insert; 0: no limit.
    pub project_tokens_per_minute: u32,
    /// Tokens of model calls per month of a project without a quota of its own; 0: no limit.
    pub project_token_quota_per_month: u64,
    /// Inserts that may be under way on the whole server.
    pub max_inflight_inserts: usize,
    /// Requests that may wait for one user.
    pub max_waiting_per_user: usize,
    /// Newest gists of a user that a search looks through.
    pub search_max_gists: usize,
    /// Bytes that the profiles kept in memory may take, all users together.
    pub cache_bytes: usize,
    /// The same of gists, with the index of their words and their vectors.
    pub search_cache_bytes: usize,

    /// Language of memos; none: that of the chat.
    pub language: Option<Language>,
    /// Time zone of dates.
    #[serde(deserialize_with = "time_zone")]
    pub use_timezone: TimeZone,
    /// Sub-topics of one topic at most.
    pub max_profile_subtopics: u32,
    /// Tokens of one memo at most.
    pub max_pre_profile_token_size: u32,
    /// Topics to look for besides the built-in ones.
    pub additional_user_profiles: Vec<Topic>,
    /// Topics in place of the built-in ones; empty: the built-in ones.
    pub overwrite_user_profiles: Vec<Topic>,
    /// Accept no slots outside the topics to look for.
    pub profile_strict_mode: bool,
    /// Refuse memos that say nothing.
    pub profile_validate_mode: bool,
    /// Labels that events may bear.
    pub event_tags: Vec<EventTag>,
    /// What events should be about.
    pub event_theme_requirement: Option<String>,
    /// How `chats_str` chooses profile slots.
    pub profile_filter: ProfileFilterBy,

    /// Who extracts memories.
    pub llm_style: LlmStyle,
    /// Base address of an OpenAI-compatible endpoint; none: that of OpenAI.
    pub llm_base_url: Option<String>,
    /// API key of the endpoint.
    pub llm_api_key: Option<SecretString>,
    /// Query parameters of each call of the model.
    pub llm_openai_default_query: BTreeMap<String, SecretString>,
    /// Headers of each call of the model.
    pub llm_openai_default_header: BTreeMap<String, SecretString>,
    /// Model that extracts.
    pub best_llm_model: String,
    /// Model that advises role-plays; none: `best_llm_model`.
    pub thinking_llm_model: Option<String>,
    /// Who the model is told to be, in place of the built-in words.
    pub system_prompt: Option<String>,
    /// Temperature, 0 to 2; -1: the provider's own.
    pub llm_temperature: f32,
    /// Tokens of one answer at most; 0: no limit.
    pub llm_max_completion_tokens: u32,
    /// Tokens of present memos that are shown to the model at most.
    pub llm_profile_tokens: u32,
    /// How long one call may take, its answer included.
    #[serde(rename = "llm_timeout_seconds", deserialize_with = "seconds")]
    pub llm_timeout: Duration,
    /// How long connecting may take.
    #[serde(rename = "llm_connect_timeout_seconds", deserialize_with = "seconds")]
    pub llm_connect_timeout: Duration,
    /// Quick retries of a call that failed for a moment.
    pub llm_max_retries: usize,
    /// Calls at the same time.
    pub llm_max_parallel_calls: usize,
    /// Calls per minute; 0: no limit.
    pub llm_requests_per_minute: u32,
    /// Tokens per minute; 0: no limit.
    pub llm_tokens_per_minute: u32,
    /// Failed calls in a row after which the model is left alone.
    pub llm_breaker_failures: u32,
    /// For how long it is left alone.
    #[serde(rename = "llm_breaker_pause_seconds", deserialize_with = "seconds")]
    pub llm_breaker_pause: Duration,

    /// Search events by meaning as well.
    pub enable_event_embedding: bool,
    /// Kind of the embedding endpoint.
    pub embedding_provider: EmbeddingProvider,
    /// Base address of the embedding endpoint; none: see [`Config::embedding_address`].
    pub embedding_base_url: Option<String>,
    /// API key of the embedding endpoint; none: see [`Config::embedding_key`].
    pub embedding_api_key: Option<SecretString>,
    /// Embedding model.
    pub embedding_model: String,
    /// Numbers in an embedding.
    pub embedding_dim: u32,
    /// Tokens of a text to embed at most.
    pub embedding_max_token_size: u32,
}

impl Config {
    /// True when a language model extracts memories.
    pub fn uses_model(&self) -> bool {
        match self.llm_style {
            LlmStyle::Openai => true,
            LlmStyle::Rules => false,
            LlmStyle::Auto => self.llm_api_key.is_some() || self.llm_base_url.is_some(),
        }
    }

    /// Tokens per month of the default project and of new ones; none: no limit.
    pub fn token_quota(&self) -> Option<u64> {
        Some(self.project_token_quota_per_month).filter(|tokens| *tokens > 0)
    }

    /// How long it is remembered which blobs were applied, and which users were deleted.
    pub fn applied_blobs_retention(&self) -> Duration {
        Duration::from_secs(86_400 * u64::from(self.applied_blobs_retention_days))
    }

    /// The directives for the filter of the log, in which `powermemo` stands for all crates of the program.
    pub fn log_directives(&self) -> String {
        log::directives(&self.log)
    }

    /// The topics to look for.
    pub fn schema(&self) -> Schema {
        Schema::with(&self.additional_user_profiles, &self.overwrite_user_profiles)
    }

    /// How memory is made where a project has not said otherwise.
    pub fn policy(&self) -> Policy {
        let tag = |t: &EventTag| TagSpec { name: t.name.clone(), description: t.description.clone() };
        Policy {
            schema: self.schema(),
            strict: self.profile_strict_mode,
            validate: self.profile_validate_mode,
            max_sub_topics: self.max_profile_subtopics,
            max_memo_tokens: self.max_pre_profile_token_size,
            event_tags: self.event_tags.iter().map(tag).collect(),
            time_zone: self.use_timezone.clone(),
            language: self.language,
            introduction: self.system_prompt.clone(),
            event_theme: self.event_theme_requirement.clone(),
        }
    }
}

/// How `chats_str` chooses profile slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProfileFilterBy {
    /// By words in common.
    Lexical,
    /// By a call of the language model.
    Model,
}

/// When cached memory is compared with the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadConsistency {
    /// When another process has changed it, which one learns within 100 ms, and now and then.
    Relaxed,
    /// At every read.
    Strict,
}

/// Who extracts memories.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LlmStyle {
    /// A language model when one is configured, else the rules.
    Auto,
    /// A language model behind an OpenAI-compatible endpoint.
    Openai,
    /// The built-in rules.
    Rules,
}

/// Shape of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A label that events may bear.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventTag {
    /// Its name.
    pub name: String,
    /// What it means.
    #[serde(default)]
    pub description: String,
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

fn time_zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeZone, D::Error> {
    let name = String::deserialize(deserializer)?;
    let unknown = || serde::de::Error::custom("must be an IANA time zone such as Europe/Rome, Asia/Tokyo or UTC");
    TimeZone::get(&name).map_err(|_| unknown())
}
