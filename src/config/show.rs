//! Shows values without showing secrets.

use serde_json::Value;
use url::Url;

use super::layers::{DEFAULTS, Layers};

const MASK: &str = "***";

/// The effective values as YAML, in the order of `config.yaml`, each with a comment that names its source.
pub(super) fn yaml(layers: &Layers) -> String {
    let keys = DEFAULTS.lines().filter_map(|line| line.split_once(": ")).map(|(key, _)| key);
    let known = keys.filter_map(|key| layers.values.get_key_value(key));
    known.map(|(key, (value, source))| format!("{key}: {}  # {source}\n", masked(key, value))).collect()
}

/// A value as it may be shown: secrets give way to asterisks. JSON is YAML too.
pub(super) fn masked(key: &str, value: &Value) -> Value {
    match (key, value) {
        (_, Value::Null) => Value::Null,
        ("access_token" | "llm_api_key" | "embedding_api_key", _) => Value::from(MASK),
        ("database_url" | "redis_url" | "llm_base_url" | "embedding_base_url", Value::String(text)) => {
            Value::from(masked_url(text))
        }
        ("database_url" | "redis_url" | "llm_base_url" | "embedding_base_url", _) => Value::from(MASK),
        ("llm_openai_default_header" | "llm_openai_default_query", Value::Object(map)) => {
            map.keys().map(|name| (name.clone(), Value::from(MASK))).collect()
        }
        ("llm_openai_default_header" | "llm_openai_default_query", _) => Value::from(MASK),
        _ => value.clone(),
    }
}

/// True for keys whose values [`masked`] hides, wholly or in part.
pub(super) fn is_secret(key: &str) -> bool {
    masked(key, &Value::from("x")) != "x"
}

/// Hides the password of an address and the values of its query, which may hold one too. Of an address that cannot be
/// read nothing is shown but its scheme, or that it has none: its password could be anywhere.
fn masked_url(text: &str) -> String {
    let is_scheme =
        |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let Some(scheme) = text.split_once("://").map(|(name, _)| name).filter(is_scheme) else {
        return format!("{MASK} (without a scheme, as in scheme://host)");
    };
    let hidden = || format!("{scheme}://{MASK}");
    let Ok(mut url) = Url::parse(text) else { return hidden() };
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() || url.cannot_be_a_base() {
        return hidden();
    }
    let names: Vec<String> = url.query_pairs().map(|(name, _)| format!("{name}={MASK}")).collect();
    if !names.is_empty() {
        url.set_query(Some(&names.join("&")));
    }
    url.to_string()
}
