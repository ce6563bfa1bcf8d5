//! The least value that fits a JSON schema.

use serde_json::{Map, Value, json};

/// The first least value that fits a schema: required properties alone, empty lists and texts, the first of a choice.
///
/// Knows what schemas for language models are made of: `type` (one or several), `properties`, `required`, `enum`,
/// `const`, `anyOf` and `minimum`. Anything else is null.
pub(super) fn minimal_instance(schema: &Value) -> Value {
    if let Some(only) = schema.get("const") {
        return only.clone();
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    if let Some(first) = schema["anyOf"].get(0) {
        return minimal_instance(first);
    }
    match schema["type"].as_str().or_else(|| schema["type"][0].as_str()) {
        Some("object") => {
            let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
            let names = required.iter().filter_map(Value::as_str);
            let property = |name: &str| (name.to_owned(), minimal_instance(&schema["properties"][name]));
            Value::Object(names.map(property).collect::<Map<_, _>>())
        }
        Some("array") => json!([]),
        Some("string") => json!(""),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(0)),
        Some("boolean") => json!(false),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_least() {
        for (schema, least) in [
            (json!({"type": "array", "items": {"type": "integer"}}), json!([])),
            (json!({"type": "string"}), json!("")),
            (json!({"type": "string", "enum": ["new_topic", "continue"]}), json!("new_topic")),
            (json!({"type": "integer", "minimum": 3}), json!(3)),
            (json!({"type": "integer"}), json!(0)),
            (json!({"type": "boolean"}), json!(false)),
            (json!({"type": ["string", "null"]}), json!("")),
            (json!({"anyOf": [{"type": "null"}, {"type": "string"}]}), Value::Null),
            (json!({"const": 7}), json!(7)),
            (json!({}), Value::Null),
            (json!(null), Value::Null),
        ] {
            assert_eq!(minimal_instance(&schema), least, "{schema}");
        }
    }

    #[test]
    fn an_object_holds_what_is_required() {
        let schema = json!({
            "type": "object",
            "properties": {
                "slots": {"type": "array"},
                "next": {"type": "object", "properties": {"action": {"enum": ["go", "stay"]}}, "required": ["action"]},
                "more": {"type": "string"},
            },
            "required": ["slots", "next"],
        });
        assert_eq!(minimal_instance(&schema), json!({"slots": [], "next": {"action": "go"}}));
    }
}
