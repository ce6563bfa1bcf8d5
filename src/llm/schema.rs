//! JSON schemas of the answers. They keep to what providers enforce: every property required, nothing beside them.
//!
//! Models write the properties in the order of the schema, so that order is part of the prompt (and `serde_json` keeps it
//! by its feature `preserve_order`): a model that has to name the sub-topic before the topic mixes them up.

use std::sync::OnceLock;

use memory::ports::TokenCounter;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

/// The schema of one kind of answer, written once for all calls.
#[derive(Clone, Debug)]
pub struct AnswerSchema {
    /// Its name, for the provider.
    pub name: &'static str,
    /// The JSON schema, as it is sent.
    pub json: Box<RawValue>,
    tokens: OnceLock<u32>,
}

impl AnswerSchema {
    /// A schema by its name.
    ///
    /// # Errors
    /// Never: each JSON value can be written.
    pub fn new(name: &'static str, schema: &Value) -> serde_json::Result<Self> {
        Ok(Self { name, json: to_raw_value(schema)?, tokens: OnceLock::new() })
    }

    /// Its tokens. Providers that are given a schema count it, too.
    pub(super) fn tokens(&self, counter: &dyn TokenCounter) -> u32 {
        *self.tokens.get_or_init(|| counter.count(self.json.get()))
    }
}

/// The answer to an extraction: [`memory::extraction::Draft`].
pub(super) fn extraction() -> Value {
    let messages = || list(json!({"type": "integer"}));
    object(&[
        (
            "gists",
            list(object(&[
                ("text", string()),
                ("occurred_at", json!({"type": ["string", "null"]})),
                ("messages", messages()),
            ])),
        ),
        (
            "profile",
            list(object(&[
                ("action", json!({"type": "string", "enum": ["set", "remove"]})),
                ("topic", string()),
                ("sub_topic", string()),
                ("memo", string()),
                ("messages", messages()),
            ])),
        ),
        ("tags", list(object(&[("tag", string()), ("value", string())]))),
        ("summary", string()),
    ])
}

/// The answer of a model that chooses slots.
pub(super) fn relevant_slots() -> Value {
    object(&[("slots", list(json!({"type": "integer"})))])
}

/// The answer of a model that directs a role-play.
pub(super) fn next_topic() -> Value {
    object(&[("action", json!({"type": "string", "enum": ["new_topic", "continue"]})), ("topics", list(string()))])
}

fn string() -> Value {
    json!({"type": "string"})
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn object(properties: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
    let properties: serde_json::Map<String, Value> =
        properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
}

#[cfg(test)]
mod tests {
    #[test]
    fn properties_keep_the_order_of_the_contract() {
        let schema = super::extraction().to_string();
        let at = |name: &str| schema.find(&format!("\"{name}\":{{")).unwrap();
        let action =
            ["gists", "text", "occurred_at", "profile", "action", "topic", "sub_topic", "memo", "tags", "summary"];
        assert!(action.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{schema}");
    }
}
