//! One exchange with the server: what is sent, and what must come back.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use ureq::http::{HeaderMap, Request};

/// A user that no table makes.
const NOBODY: &str = "7f0cac98-2de3-4f27-8a2d-2d33384544bb";

/// What must come back.
enum Wanted {
    /// HTTP 200, errno 0, and this data.
    Data(Value),
    /// HTTP 200, this errno, no data, and some text.
    Errno(u16),
    /// HTTP 422 with problems of these types at these places.
    Problems(Value),
    /// This HTTP status and body; null for any body.
    Status(u16, Value),
}

/// One exchange. In paths, bodies and wanted values, `{name}` stands for what an earlier case kept; `{nobody}` is
/// a user that does not exist, and `{fresh}` an id that no other run uses.
pub(super) struct Case {
    name: &'static str,
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    wanted: Wanted,
    wanted_headers: Vec<(&'static str, &'static str)>,
    kept: Vec<(&'static str, &'static str)>,
}

/// A case: its name, method and path below `/api/v1` (a path with two slashes in front is taken as it is). Any
/// answer with errno 0 will do until it says otherwise.
pub(super) fn case(name: &'static str, method: &'static str, path: impl Into<String>) -> Case {
    Case {
        name,
        method,
        path: path.into(),
        headers: Vec::new(),
        body: None,
        wanted: Wanted::Data(json!("$any")),
        wanted_headers: Vec::new(),
        kept: Vec::new(),
    }
}

impl Case {
    /// Sends JSON.
    pub(super) fn json(self, body: Value) -> Self {
        self.bytes(body.to_string()).header("Content-Type", "application/json")
    }

    /// Sends bytes without a Content-Type.
    pub(super) fn bytes(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends a header.
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Wants data. In it `"$any"` is anything, `"$id"` a UUID, `"$ids"` a list of them, `"$time"` an instant in
    /// UTC, `"$number"` a number, `"$text:…"` a text that contains this and `"$start:…"` one that begins so, and
    /// `"$list:n"` a list of n items.
    pub(super) fn data(self, data: Value) -> Self {
        Self { wanted: Wanted::Data(data), ..self }
    }

    /// Wants an errno.
    pub(super) fn errno(self, errno: u16) -> Self {
        Self { wanted: Wanted::Errno(errno), ..self }
    }

    /// Wants problems: `[[type, [place, …]], …]`.
    pub(super) fn problems(self, problems: Value) -> Self {
        Self { wanted: Wanted::Problems(problems), ..self }
    }

    /// Wants the two problems of an id in the path.
    pub(super) fn bad_id(self, name: &str) -> Self {
        let problem = json!(["uuid_parsing", ["path", name, "uuid"]]);
        self.problems(json!([problem, problem]))
    }

    /// Wants an HTTP status and body.
    pub(super) fn status(self, status: u16, body: Value) -> Self {
        Self { wanted: Wanted::Status(status, body), ..self }
    }

    /// Wants a header that matches a pattern.
    pub(super) fn wants_header(mut self, name: &'static str, pattern: &'static str) -> Self {
        self.wanted_headers.push((name, pattern));
        self
    }

    /// Keeps a value of the answer, by its JSON pointer, for the cases that follow.
    pub(super) fn keep(mut self, name: &'static str, pointer: &'static str) -> Self {
        self.kept.push((name, pointer));
        self
    }
}

/// A server.
pub(super) struct Server {
    base: String,
    token: Option<String>,
    agent: ureq::Agent,
}

type Kept = BTreeMap<&'static str, String>;

impl Server {
    /// The server at a base URL.
    pub(super) fn new(base: &str, token: Option<&str>) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true);
        Self { base: base.to_owned(), token: token.map(str::to_owned), agent: config.build().into() }
    }

    /// Runs a table in order, and tells what failed.
    pub(super) fn run(&self, table: &str, cases: Vec<Case>) -> Vec<String> {
        let mut kept = Kept::from([("nobody", NOBODY.to_owned()), ("fresh", uuid::Uuid::new_v4().to_string())]);
        let check = |case| self.check(case, &mut kept).err();
        cases.iter().filter_map(check).map(|what| format!("{table}: {what}")).collect()
    }

    fn check(&self, case: &Case, kept: &mut Kept) -> Result<(), String> {
        let (status, headers, body) = self.send(case, kept).map_err(|e| format!("{}: {e}", case.name))?;
        let shown = || format!("{}: {} {} answered {status} {body}", case.name, case.method, case.path);
        let fine = match &case.wanted {
            Wanted::Data(data) => {
                let wanted = json!({"data": fill(data, kept), "errno": 0, "errmsg": ""});
                status == 200 && fits(&wanted, &body)
            }
            Wanted::Errno(errno) => {
                let wanted = json!({"data": null, "errno": errno, "errmsg": "$text:"});
                status == 200 && fits(&wanted, &body) && body["errmsg"] != ""
            }
            Wanted::Problems(problems) => status == 422 && problems == &types_and_places(&body),
            Wanted::Status(wanted, pattern) => status == *wanted && (pattern.is_null() || fits(pattern, &body)),
        };
        if !fine {
            return Err(shown());
        }
        for (name, pattern) in &case.wanted_headers {
            let value = headers.get(*name).and_then(|v| v.to_str().ok()).unwrap_or_default();
            if !fits(&json!(pattern), &json!(value)) {
                return Err(format!("{} with {name}: {value:?}", shown()));
            }
        }
        for (name, pointer) in &case.kept {
            let value = body.pointer(pointer).and_then(Value::as_str).ok_or_else(shown)?;
            kept.insert(name, value.to_owned());
        }
        Ok(())
    }

    fn send(&self, case: &Case, kept: &Kept) -> Result<(u16, HeaderMap, Value), ureq::Error> {
        let path = fill_text(&case.path, kept);
        let prefix = if path.starts_with("//") { "" } else { "/api/v1" };
        let path = if path.starts_with("///") { &path[1..] } else { path.as_str() };
        let mut request = Request::builder().method(case.method).uri(format!("{}{prefix}{path}", self.base));
        if let Some(token) = &self.token
            && !case.headers.iter().any(|(name, _)| *name == "Authorization")
        {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        for (name, value) in &case.headers {
            let value = fill_text(value, kept).replace("{token}", self.token.as_deref().unwrap_or_default());
            request = request.header(*name, value);
        }
        let mut response = match &case.body {
            Some(body) => {
                let body = match std::str::from_utf8(body) {
                    Ok(text) => fill_text(text, kept).into_bytes(),
                    Err(_) => body.clone(),
                };
                self.agent.run(request.body(body)?)?
            }
            None => self.agent.run(request.body(())?)?,
        };
        let text = response.body_mut().read_to_string()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok((response.status().as_u16(), response.headers().clone(), body))
    }
}

fn types_and_places(body: &Value) -> Value {
    let problems = body["detail"].as_array().map(Vec::as_slice).unwrap_or_default();
    problems.iter().map(|p| json!([p["type"], p["loc"]])).collect()
}

fn fill_text(text: &str, kept: &Kept) -> String {
    kept.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

fn fill(value: &Value, kept: &Kept) -> Value {
    match value {
        Value::String(text) => Value::String(fill_text(text, kept)),
        Value::Array(items) => items.iter().map(|item| fill(item, kept)).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), fill(v, kept))).collect(),
        other => other.clone(),
    }
}

/// True when a value fits a pattern. See [`Case::data`].
fn fits(pattern: &Value, value: &Value) -> bool {
    match (pattern, value) {
        (Value::String(pattern), value) if pattern.starts_with('$') => fits_word(pattern, value),
        (Value::Array(patterns), Value::Array(values)) => {
            patterns.len() == values.len() && patterns.iter().zip(values).all(|(p, v)| fits(p, v))
        }
        (Value::Object(patterns), Value::Object(values)) => {
            patterns.len() == values.len()
                && patterns.iter().all(|(key, p)| values.get(key).is_some_and(|v| fits(p, v)))
        }
        (pattern, value) => pattern == value,
    }
}

fn fits_word(pattern: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let is_id = |v: &Value| v.as_str().is_some_and(|t| uuid::Uuid::parse_str(t).is_ok());
    match pattern.split_once(':') {
        Some(("$text", part)) => value.is_string() && text.contains(part),
        Some(("$start", part)) => text.starts_with(part),
        Some(("$list", n)) => value.as_array().is_some_and(|items| items.len().to_string() == n),
        _ => match pattern {
            "$any" => true,
            "$id" => is_id(value),
            "$ids" => value.as_array().is_some_and(|items| items.iter().all(is_id)),
            "$number" => value.is_number(),
            "$seconds" => text.parse::<f64>().is_ok_and(|s| s >= 0.0),
            "$time" => text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok(),
            _ => false,
        },
    }
}

#[test]
fn patterns_tell_values_apart() {
    let pattern = json!({"id": "$id", "at": "$time", "list": ["$number"], "text": "$start:- "});
    let good = json!({
        "id": NOBODY, "at": "2026-11-22T16:14:02.032776Z", "list": [0.5], "text": "- x"
    });
    assert!(fits(&pattern, &good));
    for (key, bad) in [("id", json!(1)), ("at", json!("2026-11-22")), ("list", json!([])), ("text", json!("x"))] {
        let mut other = good.clone();
        other[key] = bad;
        assert!(!fits(&pattern, &other), "{key}");
    }
    let mut more = good;
    more["more"] = json!(null);
    assert!(!fits(&pattern, &more));
    assert!(fits(&json!("$list:2"), &json!([1, 2])) && !fits(&json!("$list:2"), &json!([1])));
    let kept = Kept::from([("user", "u".to_owned())]);
    assert_eq!(fill(&json!({"a": ["{user}", "{x}"]}), &kept), json!({"a": ["u", "{x}"]}));
}
