//! The embedder that the configuration names.

use std::collections::BTreeMap;
use std::sync::Arc;

use memory::ports::{Embedder, SystemClock, TokenCounter};
use secrecy::SecretString;
use tokio::runtime::Handle;
use url::Url;

use crate::config::{Config, EmbeddingProvider};
use crate::llm::{
    EmbeddingEndpoint, EmbeddingSettings, EmbeddingSize, EmbeddingStyle, EndpointSettings, OpenAiEmbedder,
};

/// Texts of one request at most, at OpenAI and Azure: "any array must be 2048 dimensions or less" in their reference.
const MAX_INPUTS_OPENAI: usize = 2_048;
/// The same at Jina: "Each input list can contain at most 512 items" is what it answers to more.
const MAX_INPUTS_JINA: usize = 512;
/// The same elsewhere: what TEI takes by default (`--max-client-batch-size`). Ollama and LM Studio have no limit, and
/// work on one text after the other: with more, a request of theirs would take longer than it may.
const MAX_INPUTS_ELSEWHERE: usize = 32;

/// The embedder, whose calls run on `io`; none when embeddings are not switched on.
///
/// Time limits, retries, parallel calls and breaker are set as those of the language model are, and counted apart.
///
/// # Errors
/// When the address, a header or a parameter cannot be sent, or there is no TLS on this machine.
pub fn embedder(
    config: &Config,
    counter: Arc<dyn TokenCounter>,
    io: &Handle,
) -> anyhow::Result<Option<Arc<dyn Embedder>>> {
    if !config.enable_event_embedding {
        return Ok(None);
    }
    let settings = settings(config);
    let endpoint = EmbeddingEndpoint::new(&settings, Arc::new(SystemClock))?;
    let size = EmbeddingSize { dimensions: settings.dimensions, max_tokens: config.embedding_max_token_size };
    let embedder = OpenAiEmbedder::new(endpoint, &settings.model, size, counter, io.clone());
    Ok(Some(Arc::new(embedder)))
}

fn settings(config: &Config) -> EmbeddingSettings {
    let model = config.embedding_model.clone();
    // Some gateways put the name of the provider in front: `openai/text-embedding-3-small`.
    let name = model.rsplit('/').next().unwrap_or_default();
    // The second version of Jina's models for texts is as old as the ones of OpenAI that have one dimension.
    let old_jina = name.starts_with("jina-embeddings-v2") || name.starts_with("jina-embedding-");
    let (style, asks_dimensions, max_inputs) = match config.embedding_provider {
        EmbeddingProvider::Jina => (EmbeddingStyle::Jina { tasks: !old_jina }, !old_jina, MAX_INPUTS_JINA),
        EmbeddingProvider::Openai => {
            let most = if is_openai(config.embedding_address()) { MAX_INPUTS_OPENAI } else { MAX_INPUTS_ELSEWHERE };
            (EmbeddingStyle::OpenAi, name.starts_with("text-embedding-3"), most)
        }
        EmbeddingProvider::Ollama | EmbeddingProvider::Lmstudio => {
            (EmbeddingStyle::OpenAi, false, MAX_INPUTS_ELSEWHERE)
        }
    };
    let dimensions = usize::try_from(config.embedding_dim).unwrap_or(usize::MAX);
    EmbeddingSettings { endpoint: endpoint(config), model, dimensions, asks_dimensions, style, max_inputs }
}

fn is_openai(address: &str) -> bool {
    let url = Url::parse(address).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    host == "api.openai.com" || host.ends_with(".openai.azure.com")
}

fn endpoint(config: &Config) -> EndpointSettings {
    let (query, headers) = if config.embeds_at_llm() {
        (config.llm_openai_default_query.clone(), headers(config))
    } else {
        // They may hold keys, as the key may.
        (BTreeMap::new(), BTreeMap::new())
    };
    EndpointSettings {
        base_url: config.embedding_address().to_owned(),
        api_key: config.embedding_key().cloned(),
        query,
        headers,
        timeout: config.llm_timeout,
        connect_timeout: config.llm_connect_timeout,
        max_retries: config.llm_max_retries,
        max_parallel_calls: config.llm_max_parallel_calls,
        // Providers have limits for each model; those of the configuration are the language model's.
        requests_per_minute: None,
        tokens_per_minute: None,
        max_completion_tokens: None,
        temperature: None,
        breaker_failures: config.llm_breaker_failures,
        breaker_pause: config.llm_breaker_pause,
    }
}

/// The headers of the language model's calls. A key for embeddings goes before one that is among them.
fn headers(config: &Config) -> BTreeMap<String, SecretString> {
    let mut headers = config.llm_openai_default_header.clone();
    if config.embedding_api_key.is_some() {
        headers.retain(|name, _| !name.eq_ignore_ascii_case("authorization"));
    }
    headers
}
