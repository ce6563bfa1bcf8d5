//! What a Memobase 0.0.42 answered to 186 requests, and what this server answers to the same ones in the same order.
//!
//! `exchanges.jsonl` has one exchange a line: the request, and of the answer what a client builds on. Lines without a
//! number were not recorded; what follows builds on them, and they only have to succeed. Where our answer is another
//! one, [`better`] says why. Its model is the mock model, which follows the same orders in a chat as the one of the
//! recording did (`FACT topic/sub_topic=memo`).
//!
//! Of the answers 5 and 6 the beginning was recorded, and of 141 the first events; the rest is taken to go on so.

mod better;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use ureq::http::Request;

use crate::model::endpoint::{Endpoint, Turn};
use crate::server::Server as Process;
use better::Better;

/// In texts of requests `{name}` stands for what an earlier answer had under this name, and `{NAME}` for the same in
/// upper case.
const EXCHANGES: &str = include_str!("recorded/exchanges.jsonl");
/// How many of them were recorded.
const RECORDED: usize = 186;
/// An answer takes no longer, however long the chat and slow the machine.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    /// Its place in the recording, from 1.
    #[serde(default)]
    number: Option<u32>,
    method: String,
    path: String,
    #[serde(default = "root_token")]
    authorization: Option<String>,
    /// At most one of the next four is there: the body.
    #[serde(default)]
    json: Option<Value>,
    #[serde(default)]
    text: Option<String>,
    /// Bytes, each written as the character of its number.
    #[serde(default)]
    latin1: Option<String>,
    #[serde(default)]
    repeat: Option<Repeat>,
    /// The body is sent without a Content-Type.
    #[serde(default)]
    untyped: bool,
    /// What was answered: see [`outcome`].
    #[serde(default)]
    answer: Option<Value>,
    /// The place in the outcome that may have any shape, since it depends on ids which user it shows.
    #[serde(default)]
    open: Option<String>,
    /// Asked again until it is as recorded: what was asked for before may still be under way.
    #[serde(default)]
    settles: bool,
    /// What of our answer has a name from here on: its JSON pointer.
    #[serde(default)]
    keep: BTreeMap<String, String>,
}

/// A body too long to be written down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    before: String,
    text: String,
    times: usize,
    after: String,
}

#[allow(clippy::unnecessary_wraps, reason = "it stands in for a value that may be null")]
fn root_token() -> Option<String> {
    Some("Bearer secret".to_owned())
}

fn exchanges() -> Vec<Exchange> {
    EXCHANGES.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// What stands for names.
type Known = BTreeMap<String, String>;

fn fill(text: &str, known: &Known) -> String {
    known.iter().fold(text.to_owned(), |text, (name, value)| {
        let upper = (format!("{{{}}}", name.to_uppercase()), value.to_uppercase());
        text.replace(&format!("{{{name}}}"), value).replace(&upper.0, &upper.1)
    })
}

impl Exchange {
    fn body(&self, known: &Known) -> Option<Vec<u8>> {
        if let Some(json) = &self.json {
            return Some(fill(&json.to_string(), known).into_bytes());
        }
        if let Some(text) = &self.latin1 {
            return Some(text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect());
        }
        if let Some(Repeat { before, text, times, after }) = &self.repeat {
            return Some(format!("{before}{}{after}", text.repeat(*times)).into_bytes());
        }
        self.text.clone().map(String::into_bytes)
    }

    fn send(&self, base: &str, known: &Known) -> Result<(u16, String), ureq::Error> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        let agent: ureq::Agent = config.build().into();
        let path = fill(&self.path, known);
        let mut request = Request::builder().method(self.method.as_str()).uri(format!("{base}{path}"));
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let mut response = match self.body(known) {
            Some(body) => {
                if !self.untyped {
                    request = request.header("Content-Type", "application/json");
                }
                agent.run(request.body(body)?)?
            }
            None => agent.run(request.body(())?)?,
        };
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string()?;
        Ok((response.status().as_u16(), text))
    }
}

/// What of an answer a client builds on: the HTTP status, and
/// * in an envelope the errno and the shape of the data,
/// * of problems with the request the type and the place of each,
/// * of anything else only what it is.
fn outcome(status: u16, text: &str) -> Value {
    if text.is_empty() {
        return json!({"status": status, "body": "null"});
    }
    let body = serde_json::from_str::<Value>(text).unwrap_or_else(|_| Value::from(text));
    match (&body["errno"], &body["detail"]) {
        (Value::Number(errno), _) => json!({"status": status, "errno": errno, "data": shape(&body["data"])}),
        (_, Value::Array(problems)) => {
            let problems: Vec<Value> = problems.iter().map(|p| json!([p["type"], p["loc"]])).collect();
            json!({"status": status, "problems": problems})
        }
        (_, Value::String(_)) => json!({"status": status, "detail": "string"}),
        _ => json!({"status": status, "body": kind(&body)}),
    }
}

/// A value without its content: the keys of objects, the kinds of what is in them, and of lists each shape that is
/// there once, however long they are.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let shapes: BTreeMap<&String, Value> = map.iter().map(|(key, value)| (key, shape(value))).collect();
            shapes.into_iter().map(|(key, shape)| (key.clone(), shape)).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => {
            let shapes: BTreeMap<String, Value> = items.iter().map(shape).map(|s| (s.to_string(), s)).collect();
            Value::Array(shapes.into_values().collect())
        }
        other => kind(other).into(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// What is wrong with an outcome, if anything.
fn judge(recorded: &Value, ours: &Value, better: Option<&Better>) -> Option<String> {
    match better {
        None if ours == recorded => None,
        None => Some(format!("was {recorded}")),
        Some(Better { what, .. }) if ours == recorded => Some(format!("is as recorded, but listed as better ({what})")),
        Some(Better { answer, .. }) if ours == answer => None,
        Some(Better { what, line, answer, .. }) => Some(format!("should be {answer}: {what}; {line}")),
    }
}

/// Plays one exchange, and keeps what it has to. Tells what is wrong with it, if anything.
fn play(base: &str, exchange: &Exchange, known: &mut Known, better: &[Better]) -> Option<String> {
    let Exchange { number, method, path, open, .. } = exchange;
    let name = number.map_or_else(|| "not recorded".to_owned(), |number| number.to_string());
    let deadline = Instant::now() + PATIENCE;
    let (text, mut ours) = loop {
        let (status, text) = match exchange.send(base, known) {
            Ok(answer) => answer,
            Err(error) => return Some(format!("{name}: {method} {path}: {error}")),
        };
        let ours = outcome(status, &text);
        if !exchange.settles || Some(&ours) == exchange.answer.as_ref() || Instant::now() > deadline {
            break (text, ours);
        }
    };
    if let Some(shape) = open.as_ref().and_then(|place| ours.pointer_mut(place)) {
        *shape = "open".into();
    }
    let wrong = match (&exchange.answer, number) {
        (Some(recorded), Some(number)) => judge(recorded, &ours, better.iter().find(|b| b.number == *number)),
        _ => (ours["status"] != 200 || ours["errno"] != 0).then(|| "should succeed".to_owned()),
    };
    let body = serde_json::from_str::<Value>(&text).unwrap_or_default();
    for (name, pointer) in &exchange.keep {
        let value = body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        known.insert(name.clone(), value.to_owned());
    }
    wrong.map(|wrong| format!("{name}: {method} {path} answered {ours} {}, {wrong}", body["errmsg"]))
}

#[test]
fn what_was_recorded_goes_as_it_did_or_better() {
    let model = Endpoint::start(Vec::<Turn>::new());
    let server = Process::start(&[("ACCESS_TOKEN", "secret"), ("POWERMEMO_LLM_BASE_URL", &model.base_url())]);
    let (mut known, better) = (Known::new(), better::list());
    let wrong = |exchange: &Exchange| play(&server.base, exchange, &mut known, &better);
    let wrong: Vec<String> = exchanges().iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{} exchanges went wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_exchange_is_there_and_every_better_answer_belongs_to_one() {
    let exchanges = exchanges();
    let numbers: Vec<u32> = exchanges.iter().filter_map(|e| e.number).collect();
    assert!(numbers.iter().copied().eq(1..=u32::try_from(RECORDED).unwrap()), "{numbers:?}");
    assert!(exchanges.iter().all(|e| e.number.is_some() == e.answer.is_some()));
    let better: Vec<u32> = better::list().iter().map(|b| b.number).collect();
    assert!(better.is_sorted_by(|a, b| a < b), "one for each, in order: {better:?}");
    assert!(better.iter().all(|number| numbers.contains(number)), "{better:?}");
}

#[test]
fn a_shape_has_keys_and_kinds_and_no_content() {
    let first = json!({"b": [1, 2.5, "x"], "a": {"at": null, "ok": true}, "none": []});
    let other = json!({"none": [], "a": {"ok": false, "at": null}, "b": ["y", 7]});
    assert_eq!(shape(&first).to_string(), shape(&other).to_string());
    for (key, value) in [("b", json!([1])), ("b", json!([])), ("none", json!(null)), ("a", json!({"at": null}))] {
        let mut changed = first.clone();
        changed[key] = value;
        assert_ne!(shape(&first), shape(&changed), "{changed}");
    }
}

#[test]
fn outcomes_and_lists_are_judged() {
    let ok = outcome(200, r#"{"data": {"id": "x"}, "errno": 0, "errmsg": ""}"#);
    assert_eq!(ok, json!({"status": 200, "errno": 0, "data": {"id": "string"}}));
    let refused = outcome(422, r#"{"detail": [{"type": "missing", "loc": ["body"], "msg": "required"}]}"#);
    assert_eq!(refused, json!({"status": 422, "problems": [["missing", ["body"]]]}));
    assert_eq!(outcome(200, "<html>"), json!({"status": 200, "body": "string"}));
    assert_eq!(outcome(200, ""), json!({"status": 200, "body": "null"}));

    let listed = Better { number: 1, what: "x", line: "y", answer: refused.clone() };
    assert_eq!((judge(&ok, &ok, None), judge(&ok, &refused, Some(&listed))), (None, None));
    assert!(judge(&ok, &refused, None).is_some(), "not listed");
    assert!(judge(&ok, &ok, Some(&listed)).is_some(), "listed without need");
    assert!(judge(&ok, &outcome(200, ""), Some(&listed)).is_some(), "listed as another one");
}
