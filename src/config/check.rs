//! What values may be: types, ranges, and what this version cannot honour.

use std::collections::BTreeMap;
use std::net::IpAddr;

use memory::quota::TokenQuota;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::layers::{Layers, Source};
use super::{Config, EmbeddingProvider, LlmStyle, ProfileFilterBy, show};

/// The least and the greatest value of every numeric key. The upper ends are far beyond sense: they catch slips of
/// the unit (milliseconds for seconds) and keep sums of them from overflowing.
const RANGES: [(&str, u64, u64); 43] = [
    ("port", 0, 65_535),
    ("max_body_bytes", 1_024, 1 << 30),
    ("http_workers", 0, 1_024),
    ("shutdown_timeout_seconds", 0, 3_600),
    ("database_max_connections", 2, 10_000),
    ("database_acquire_timeout_seconds", 1, 600),
    ("redis_timeout_seconds", 1, 600),
    ("buffer_flush_interval", 1, 31_536_000),
    ("max_chat_blob_buffer_token_size", 1, 1_000_000),
    ("max_chat_blob_buffer_process_token_size", 1, 1_000_000),
    ("max_buffered_blobs_per_user", 1, 1_000_000),
    ("flush_workers", 1, 1_024),
    ("flush_max_attempts", 1, 100),
    ("flush_lease_seconds", 1, 3_600),
    ("flush_wait_timeout_seconds", 1, 3_600),
    ("flush_backoff_min_seconds", 1, 3_600),
    ("flush_backoff_max_seconds", 1, 86_400),
    ("sweep_interval_ms", 10, 60_000),
    ("applied_blobs_retention_days", 1, 36_500),
    ("max_active_users", 1, 10_000_000),
    ("actor_idle_seconds", 1, 86_400),
    ("project_requests_per_minute", 0, 100_000_000),
    ("project_tokens_per_minute", 0, 4_000_000_000),
    ("project_token_quota_per_month", 0, TokenQuota::MOST),
    ("max_inflight_inserts", 1, 1_000_000),
    ("max_waiting_per_user", 1, 100_000),
    ("search_max_gists", 1, 1_000_000),
    ("cache_bytes", 0, 1 << 40),
    ("search_cache_bytes", 0, 1 << 40),
    ("max_profile_subtopics", 1, 1_000),
    ("max_pre_profile_token_size", 8, 100_000),
    ("llm_profile_tokens", 0, 1_000_000),
    ("llm_max_completion_tokens", 0, 10_000_000),
    ("llm_requests_per_minute", 0, 100_000_000),
    ("llm_tokens_per_minute", 0, 4_000_000_000),
    ("llm_timeout_seconds", 1, 7_200),
    ("llm_connect_timeout_seconds", 1, 600),
    ("llm_max_retries", 0, 20),
    ("llm_max_parallel_calls", 1, 100_000),
    ("llm_breaker_failures", 1, 1_000_000),
    ("llm_breaker_pause_seconds", 1, 3_600),
    ("embedding_dim", 1, 16_000),
    ("embedding_max_token_size", 1, 1_000_000),
];

/// Keys that only embeddings make use of.
const EMBEDDING_KEYS: [&str; 6] = [
    "embedding_provider",
    "embedding_base_url",
    "embedding_api_key",
    "embedding_model",
    "embedding_dim",
    "embedding_max_token_size",
];

/// Characters of the name of an embedding model at most: with the dimension it names the space of its vectors, which has
/// 200 characters at most.
const MAX_EMBEDDING_MODEL_CHARS: usize = 190;

/// The temperature that leaves it to the provider.
const PROVIDERS_OWN: f32 = -1.0;

/// Keys that only a language model makes use of.
const MODEL_KEYS: [&str; 9] = [
    "event_tags",
    "llm_max_completion_tokens",
    "language",
    "event_theme_requirement",
    "best_llm_model",
    "thinking_llm_model",
    "system_prompt",
    "llm_openai_default_query",
    "llm_openai_default_header",
];

/// Keys of a Memobase configuration that mean nothing here, and why.
const FOREIGN: [(&str, &str); 6] = [
    ("summary_llm_model", "best_llm_model extracts and summarises in one call"),
    ("llm_tab_separator", "models answer in JSON"),
    ("cache_user_profiles_ttl", "profiles are cached with their user; see actor_idle_seconds"),
    ("minimum_chats_token_size_for_event_summary", "every flush makes its event"),
    ("enable_event_summary", "every flush makes its event"),
    ("telemetry_deployment_environment", "nothing is reported to anyone"),
];

/// Characters of a project name at most: the width of the column in the reference's tables.
const MAX_PROJECT_CHARS: usize = 64;

/// Why a key of the reference has no effect here; none for all other keys.
pub(super) fn foreign(key: &str) -> Option<&'static str> {
    FOREIGN.iter().find(|(name, _)| *name == key).map(|(_, why)| *why)
}

/// Checks all values. Errors and warnings go into the layers; with errors the result may still be there, with
/// defaults in place of what was wrong.
pub(super) fn check(layers: &mut Layers) -> Option<Config> {
    let config = types(layers)?;
    network(&config, layers);
    names(&config, layers);
    unsupported(&config, layers);
    embeddings(&config, layers);
    no_effect(&config, layers);
    Some(config)
}

/// Adds the error that a key's value is not what it must be.
fn refuse(layers: &mut Layers, key: &str, must: &str) {
    let Some((value, source)) = layers.values.get(key) else { return };
    layers.errors.push(format!("{key}: {} ({source}) {must}", show::masked(key, value)));
}

/// Checks each value alone, so that every error is found and has a key.
fn types(layers: &mut Layers) -> Option<Config> {
    let mut good = layers.defaults.clone();
    let set: Vec<(String, Value)> = layers
        .values
        .iter()
        .filter(|(_, (_, source))| *source != Source::Default)
        .map(|(key, (value, _))| (key.clone(), value.clone()))
        .collect();
    for (key, value) in set {
        match type_error(layers, &good, &key, &value) {
            Some(must) => refuse(layers, &key, &must),
            None => drop(good.insert(key, value)),
        }
    }
    typed(&good).map_err(|error| layers.errors.push(format!("config.yaml as compiled in: {error}"))).ok()
}

fn typed(values: &BTreeMap<String, Value>) -> serde_json::Result<Config> {
    serde_json::from_value(values.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// What the value must be and is not.
fn type_error(layers: &Layers, good: &BTreeMap<String, Value>, key: &str, value: &Value) -> Option<String> {
    if let Some((_, least, most)) = RANGES.iter().find(|(name, ..)| *name == key) {
        let fits = value.as_u64().is_some_and(|n| (*least..=*most).contains(&n));
        return (!fits).then(|| format!("must be a whole number from {least} to {most}"));
    }
    let default = layers.defaults.get(key);
    if value.as_str().is_some_and(|text| text.trim().is_empty()) {
        return Some("must not be empty; leave the key out for its default".to_owned());
    }
    let mut trial = good.clone();
    trial.insert(key.to_owned(), value.clone());
    let error = typed(&trial).err()?;
    Some(match default {
        Some(Value::Bool(_)) => "must be true or false".to_owned(),
        // The parser's own message may show the value.
        _ if show::is_secret(key) && default.is_some_and(Value::is_object) => "must map names to strings".to_owned(),
        _ if show::is_secret(key) => "must be a string; put it in quotes".to_owned(),
        _ => format!("is not valid: {error}"),
    })
}

fn network(config: &Config, layers: &mut Layers) {
    let name = |host: &str| host.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    let address = config.host.parse::<IpAddr>();
    if address.is_err() && !name(&config.host) {
        refuse(layers, "host", "must be an IP address or a host name");
    } else if config.access_token.is_none() && config.host != "localhost" && !address.is_ok_and(|a| a.is_loopback()) {
        let must = "is reachable by others, so an access token is needed: set ACCESS_TOKEN, or host to 127.0.0.1";
        refuse(layers, "host", must);
    }
    let visible = |token: &str| token.chars().all(|c| c.is_ascii_graphic());
    if config.access_token.as_ref().is_some_and(|token| !visible(token.expose_secret())) {
        refuse(layers, "access_token", "must be visible ASCII characters without spaces, since it goes into a header");
    }
    let is_origin = |text: &str| {
        let origin = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        origin.is_some_and(|url| url.origin().ascii_serialization() == text)
    };
    if config.cors_origins.iter().any(|origin| origin != "*" && !is_origin(origin)) {
        refuse(layers, "cors_origins", "must list origins such as https://chat.example.org, in lower case, no path");
    } else if config.access_token.is_none() && config.cors_origins.iter().any(|origin| origin == "*") {
        refuse(layers, "cors_origins", "lets every web page in, so an access token is needed: set ACCESS_TOKEN");
    }
    for (key, url) in [("llm_base_url", &config.llm_base_url), ("embedding_base_url", &config.embedding_base_url)] {
        let is_base =
            |url: &Url| ["http", "https"].contains(&url.scheme()) && url.password().is_none() && url.query().is_none();
        if url.as_ref().is_some_and(|url| !Url::parse(url).is_ok_and(|url| is_base(&url))) {
            refuse(layers, key, "must be an http:// or https:// address without password and query");
        }
    }
}

fn names(config: &Config, layers: &mut Layers) {
    let id = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if config.project_id.len() > MAX_PROJECT_CHARS || !config.project_id.chars().all(id) {
        let must = format!("must be 1 to {MAX_PROJECT_CHARS} letters, digits, '_', '-' or '.'");
        refuse(layers, "project_id", &must);
    }
    if config.event_tags.iter().any(|tag| tag.name.trim().is_empty()) {
        refuse(layers, "event_tags", "must give every tag a name");
    }
    if config.flush_backoff_min > config.flush_backoff_max {
        refuse(layers, "flush_backoff_min_seconds", "must not be greater than flush_backoff_max_seconds");
    }
    // The filter itself takes any lone word for the name of a module, so that a slip would silence the log.
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let lone = |d: &str| !d.contains(['=', ':', '[']) && !levels.contains(&d.to_lowercase().as_str());
    if config.log.split(',').any(|d| lone(d.trim())) || EnvFilter::try_new(&config.log).is_err() {
        refuse(
            layers,
            "log",
            "must be off, error, warn, info, debug, trace or directives such as info,powermemo=debug",
        );
    }
}

/// What would be a trap if it were merely not honoured.
fn unsupported(config: &Config, layers: &mut Layers) {
    let has_scheme = |url: &Option<SecretString>, schemes: &[&str]| {
        let fits = |url: &SecretString| schemes.iter().any(|scheme| url.expose_secret().starts_with(scheme));
        url.as_ref().is_none_or(fits)
    };
    if !has_scheme(&config.database_url, &crate::store::postgres::SCHEMES) {
        refuse(layers, "database_url", "must begin with postgres://; leave it out to use SQLite in data_dir");
    }
    if !has_scheme(&config.redis_url, &["redis://", "rediss://", "unix://", "redis+unix://"]) {
        refuse(
            layers,
            "redis_url",
            "must begin with redis:// or rediss://; leave it out to keep the journal in the store",
        );
    }
    if config.llm_style == LlmStyle::Openai && config.llm_api_key.is_none() && config.llm_base_url.is_none() {
        let must = "needs to know where the model is: set llm_base_url, or OPENAI_API_KEY for that of OpenAI";
        refuse(layers, "llm_style", must);
    }
    if config.profile_filter == ProfileFilterBy::Model && !config.uses_model() {
        let must = "needs a language model: set llm_base_url or OPENAI_API_KEY, or use lexical";
        refuse(layers, "profile_filter", must);
    }
    if config.llm_temperature != PROVIDERS_OWN && !(0.0..=2.0).contains(&config.llm_temperature) {
        refuse(layers, "llm_temperature", "must be a number from 0 to 2, or -1 for the provider's own");
    }
}

/// What embeddings need.
fn embeddings(config: &Config, layers: &mut Layers) {
    if config.embedding_model.chars().count() > MAX_EMBEDDING_MODEL_CHARS {
        let must = format!("must have {MAX_EMBEDDING_MODEL_CHARS} characters at most");
        refuse(layers, "embedding_model", &must);
    }
    if !config.enable_event_embedding {
        return;
    }
    if !config.knows_embeddings() {
        let must = "needs an endpoint: set embedding_base_url, llm_base_url, or OPENAI_API_KEY for that of OpenAI";
        refuse(layers, "enable_event_embedding", must);
    }
    let at_jina = config.embedding_provider == EmbeddingProvider::Jina && config.embedding_base_url.is_none();
    if at_jina && config.embedding_key().is_none() {
        refuse(layers, "embedding_api_key", "must be a key of Jina's: llm_api_key is sent to llm_base_url alone");
    }
}

/// What changes nothing in this version.
fn no_effect(config: &Config, layers: &mut Layers) {
    let changed = |key: &str| {
        let (value, source) = layers.values.get(key)?;
        (Some(value) != layers.defaults.get(key)).then_some((value, source))
    };
    let mut warnings = Vec::new();
    if config.llm_style == LlmStyle::Auto && !config.uses_model() {
        for key in MODEL_KEYS {
            if let Some((_, source)) = changed(key) {
                warnings.push(format!(
                    "{source}: {key} is set, but NO LANGUAGE MODEL IS CALLED: set llm_base_url, or OPENAI_API_KEY for \
                     that of OpenAI; llm_style: rules silences this"
                ));
            }
        }
    }
    if !config.enable_event_embedding {
        for key in EMBEDDING_KEYS {
            if let Some((_, source)) = changed(key) {
                warnings.push(format!("{source}: {key} has no effect: enable_event_embedding is false"));
            }
        }
    }
    for key in ["additional_user_profiles", "overwrite_user_profiles"] {
        if let Some((value, source)) = changed(key) {
            let text = value.to_string();
            for name in ["update_description", "validate_value"] {
                if text.contains(&format!("\"{name}\":")) {
                    warnings.push(format!("{source}: {name} in {key} has no effect yet"));
                }
            }
        }
    }
    layers.warnings.extend(warnings);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_range_that_holds_its_default() {
        let layers = Layers::read(&super::super::Inputs::default());
        let numbers: Vec<&String> = layers.defaults.iter().filter(|(_, v)| v.is_u64()).map(|(k, _)| k).collect();
        assert_eq!(numbers.len(), RANGES.len());
        for (key, least, most) in RANGES {
            let default = layers.defaults[key].as_u64().unwrap();
            assert!((least..=most).contains(&default), "{key}");
        }
        let known = EMBEDDING_KEYS.iter().chain(&MODEL_KEYS).all(|key| layers.defaults.contains_key(*key));
        assert!(known && !FOREIGN.iter().any(|(key, _)| layers.defaults.contains_key(*key)));
    }
}
