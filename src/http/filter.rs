//! The parameters by which the profile and the context choose slots.

use std::collections::BTreeMap;

use memory::recall::ProfileFilter;
use serde_json::Value;
use utoipa::openapi::path::Parameter;

use super::input::{Input, MAX_ITEMS, MAX_TOKENS};
use super::messages::json;
use super::openapi::parameters as p;
use super::parse;
use super::reply::Failure;

/// Reads the filter. Its `topk` and `max_tokens` are those of the profile route.
pub(super) fn read(input: &mut Input<'_>) -> ProfileFilter {
    ProfileFilter {
        topk: input.limit("topk", MAX_ITEMS),
        max_tokens: input.limit("max_token_size", MAX_TOKENS),
        ..read_shared(input)
    }
}

/// Reads what the profile and the context have in common. `topic_limits` is read by [`topic_limits`], once
/// everything else is known to be right.
pub(super) fn read_shared(input: &mut Input<'_>) -> ProfileFilter {
    ProfileFilter {
        only_slots: None,
        topk: None,
        max_tokens: None,
        prefer_topics: input.texts("prefer_topics"),
        only_topics: input.texts("only_topics"),
        max_subtopic_size: input.limit("max_subtopic_size", MAX_ITEMS),
        topic_limits: BTreeMap::new(),
    }
}

/// Reads `topic_limits_json`: an object of topics and numbers of slots. Absent or empty sets no limit.
///
/// # Errors
/// errno 400 when it is anything else.
pub(super) fn topic_limits(text: Option<&str>) -> Result<BTreeMap<String, u32>, Failure> {
    let Some(text) = text else { return Ok(BTreeMap::new()) };
    let Some(value) = json(text) else {
        return Err(Failure::bad_request("topic_limits_json: must be valid JSON"));
    };
    let Value::Object(limits) = value else {
        return Err(Failure::bad_request("topic_limits_json: must be an object of topics and numbers"));
    };
    limits.into_iter().map(|(topic, limit)| Ok((topic, slots(&limit)?))).collect()
}

fn slots(limit: &Value) -> Result<u32, Failure> {
    let number = match limit {
        Value::String(text) => parse::int(text),
        other => other.as_i64(),
    };
    let slots = number.and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= MAX_ITEMS);
    slots.ok_or_else(|| {
        Failure::bad_request(format!("topic_limits_json: each limit must be a whole number from 0 to {MAX_ITEMS}"))
    })
}

/// The parameters of [`read`], and `topic_limits_json`.
pub(super) fn parameters() -> Vec<Parameter> {
    let mut all = vec![
        p::limit("topk", None, MAX_ITEMS, "Slots at most; 0 is all."),
        p::limit("max_token_size", None, MAX_TOKENS, "Tokens of the memos at most; the first slot is always there."),
    ];
    all.extend(shared_parameters());
    all
}

/// The parameters of [`read_shared`], and `topic_limits_json`.
pub(super) fn shared_parameters() -> Vec<Parameter> {
    let limits = "Slots of a topic at most, as a JSON object: `{\"work\": 3}`. Goes before max_subtopic_size.";
    vec![
        p::texts("prefer_topics", "Topics to show first, in this order."),
        p::texts("only_topics", "Topics to show, and no others."),
        p::limit("max_subtopic_size", None, MAX_ITEMS, "Slots of one topic at most."),
        p::text("topic_limits_json", limits),
    ]
}

/// When a filter is refused with errno 400.
pub(super) const REFUSED: &str = "topic_limits_json or chats_str cannot be read";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_limits_are_numbers() {
        let limits = topic_limits(Some(r#"{"work": 1, "interest": "2"}"#)).unwrap();
        assert_eq!(limits, BTreeMap::from([("work".to_owned(), 1), ("interest".to_owned(), 2)]));
        assert!(topic_limits(None).unwrap().is_empty());
        for wrong in ["x", "[]", "5", r#"{"t":"#, r#"{"t": "x"}"#, r#"{"t": -1}"#, r#"{"t": 1.5}"#, r#"{"t": 10001}"#] {
            let refused = topic_limits(Some(wrong));
            assert!(matches!(refused, Err(Failure::Refused { errno: 400, .. })), "{wrong}");
        }
    }
}
