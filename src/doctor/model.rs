use secrecy::ExposeSecret;
use serde::Deserialize;

use super::Finding;
use crate::config::Config;
use crate::serve::OPENAI_BASE_URL;

const WHAT: &str = "model";
/// The longest list of models that is read.
const MAX_LIST_BYTES: usize = 4 << 20;

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

/// Asks the endpoint for its models: that costs nothing, and shows whether it is there and takes the key.
pub(super) async fn examine(config: &Config) -> Finding {
    if !config.uses_model() {
        let advice = "set OPENAI_API_KEY, or llm_base_url, for a language model; the rules find few facts";
        return Finding::advice(WHAT, "none is configured: the built-in rules make memories", advice);
    }
    let base = config.llm_base_url.as_deref().unwrap_or(OPENAI_BASE_URL).trim_end_matches('/');
    match models(config, base).await {
        Ok((200, list)) => listed(config, base, &list),
        Ok((401 | 403, _)) => {
            Finding::bad(WHAT, format!("{base} refuses the key"), "check llm_api_key (OPENAI_API_KEY)")
        }
        Ok((404 | 405 | 501, _)) => {
            let text = format!("{base} answers, and does not list its models");
            Finding::advice(WHAT, text, "make one insert and flush it with wait_process to see whether the model works")
        }
        Ok((status, _)) => {
            let text = format!("{base} answers with HTTP {status}");
            Finding::bad(WHAT, text, "look into the endpoint's log; until it works, messages wait and nothing is lost")
        }
        Err(reason) => {
            let text = format!("{base} cannot be reached: {reason}");
            Finding::bad(
                WHAT,
                text,
                "check llm_base_url and the network; until it works, messages wait and nothing is lost",
            )
        }
    }
}

fn listed(config: &Config, base: &str, list: &str) -> Finding {
    let name = &config.best_llm_model;
    let Ok(models) = serde_json::from_str::<Models>(list) else {
        return Finding::advice(
            WHAT,
            format!("{base} answers, not as OpenAI would"),
            "check that llm_base_url ends with /v1",
        );
    };
    // Ollama lists `qwen3:latest` for `qwen3`.
    let is_it = |model: &Model| model.id == *name || model.id.split(':').next() == Some(name);
    if models.data.iter().any(is_it) {
        return Finding::good(WHAT, format!("{name} at {base}"));
    }
    let text = format!("{base} does not list the model {name}");
    Finding::advice(WHAT, text, "check best_llm_model; some endpoints list only part of what they serve")
}

/// The status and the body of the answer.
async fn models(config: &Config, base: &str) -> Result<(u16, String), String> {
    // For TLS. Fails when there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connect = config.llm_connect_timeout;
    let client = reqwest::Client::builder().connect_timeout(connect).timeout(connect * 2).build();
    let mut request = client.map_err(why)?.get(format!("{base}/models"));
    if let Some(key) = &config.llm_api_key {
        request = request.bearer_auth(key.expose_secret());
    }
    for (name, value) in &config.llm_openai_default_header {
        request = request.header(name, value.expose_secret());
    }
    let query: Vec<(&str, &str)> =
        config.llm_openai_default_query.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    let mut answer = request.query(&query).send().await.map_err(why)?;
    let mut body = Vec::new();
    while body.len() < MAX_LIST_BYTES
        && let Some(part) = answer.chunk().await.map_err(why)?
    {
        body.extend_from_slice(&part);
    }
    Ok((answer.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
}

/// The innermost reason: the outer ones repeat the address, which may hold a secret.
#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
fn why(error: reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = &error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    if error.is_timeout() { "it did not answer in time".to_owned() } else { reason.to_string() }
}
