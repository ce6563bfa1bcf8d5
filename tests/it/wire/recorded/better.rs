//! Where our answer is not the recorded one.
//!
//! Each entry names the line of our own description of the wire format (`wire.md`, the table of what to do better)
//! that it follows. An entry that is not needed fails the test as well as one that is missing.

use serde_json::{Value, json};

/// An answer of ours that is better than the recorded one.
pub(super) struct Better {
    /// The exchange.
    pub(super) number: u32,
    /// What is asked.
    pub(super) what: &'static str,
    /// The line that says why.
    pub(super) line: &'static str,
    /// What we answer; see [`super::outcome`].
    pub(super) answer: Value,
}

const UNKNOWN_USER: &str = "wire.md, better: an unknown user is errno 404, and no message tells of the inside";
const TAKEN_ID: &str = "wire.md, better: a user id that exists is errno 409";
const BLOB_TYPES: &str = "wire.md, better: doc, code and transcript are processed, image is errno 501";
const ODD_TEXT: &str = "wire.md, better: control tokens, NUL and lone surrogates in text are accepted";
const LIMITS: &str = "wire.md, better: limits and ratios out of range are HTTP 422 naming the parameter";
const CONFIG: &str = "wire.md, better: a profile_config is checked when it is set, errno 400";
const PROMPT: &str = "wire.md, better: customize_context_prompt has two names, anything else is literal";
const BODY_SIZE: &str = "wire.md, better: a body past max_body_bytes is HTTP 413";
const DOORS: &str = "wire.md, better: lower-case bearer and HEAD on the health check are accepted";
const UNKNOWN_SLOT: &str = "wire.md, better: a change of an unknown profile slot is errno 404";
const LARGE_BUFFER: &str = "wire.md, better: a blob over the limit of a flush is split, and nothing fails";

fn errno(errno: u16) -> Value {
    json!({"status": 200, "errno": errno, "data": "null"})
}

fn data(shape: Value) -> Value {
    json!({"status": 200, "errno": 0, "data": shape})
}

/// A parameter that is out of range.
fn problem(kind: &str, parameter: &str) -> Value {
    json!({"status": 422, "problems": [[kind, ["query", parameter]]]})
}

/// Events with and without tags, and one that changed no slot.
fn events() -> Value {
    let delta = json!({"attributes": {"sub_topic": "string", "topic": "string"}, "content": "string"});
    let tag = json!({"tag": "string", "value": "string"});
    let event = |tags: Value, delta: Value| {
        json!({
            "created_at": "string",
            "event_data": {"event_tags": tags, "event_tip": "string", "profile_delta": delta},
            "id": "string", "similarity": "null", "updated_at": "string",
        })
    };
    let none = || Value::from("null");
    data(
        json!({"events": [event(none(), json!([])), event(none(), json!([delta])), event(json!([tag]), json!([delta]))], "gists": []}),
    )
}

/// All of them, in the order of the recording.
pub(super) fn list() -> Vec<Better> {
    let inserted = || data(json!({"chat_results": [], "id": "string"}));
    let below = |parameter: &str| problem("greater_than_equal", parameter);
    let bill = json!({"next_refill_at": "string", "project_token_cost_month": "number", "token_left": "null"});
    let better = |(number, what, line, answer)| Better { number, what, line, answer };
    [
        (2, "HEAD of the health check", DOORS, json!({"status": 200, "body": "null"})),
        (12, "a token behind `bearer`", DOORS, data(bill)),
        (20, "a user with an id that exists", TAKEN_ID, errno(409)),
        (45, "an image", BLOB_TYPES, errno(501)),
        (46, "a transcript", BLOB_TYPES, inserted()),
        (57, "half a surrogate", ODD_TEXT, inserted()),
        (58, "a control token", ODD_TEXT, inserted()),
        (63, "what failed of a chat of 2 MB", LARGE_BUFFER, data(json!({"ids": []}))),
        (71, "a page before the first", LIMITS, below("page")),
        (98, "a slot for nobody", UNKNOWN_USER, errno(404)),
        (101, "a change of no slot", UNKNOWN_SLOT, errno(404)),
        (104, "less than no slots", LIMITS, below("topk")),
        (107, "less than no tokens", LIMITS, below("max_token_size")),
        (118, "an import for nobody", UNKNOWN_USER, errno(404)),
        (141, "all events, that of a document among them", BLOB_TYPES, events()),
        (143, "less than no events", LIMITS, below("topk")),
        (150, "no share for the profile", LIMITS, problem("greater_than", "profile_event_ratio")),
        (157, "a prompt with another name", PROMPT, data(json!({"context": "string"}))),
        (164, "a configuration that is a list", CONFIG, errno(400)),
        (165, "a configuration with a topic without a name", CONFIG, errno(400)),
        (178, "users before the first", LIMITS, below("offset")),
        (180, "less than no days", LIMITS, below("last_days")),
        (183, "advice for nobody", UNKNOWN_USER, errno(404)),
        (184, "a body of 30 MB", BODY_SIZE, json!({"status": 413, "errno": 413, "data": "null"})),
    ]
    .map(better)
    .into()
}
