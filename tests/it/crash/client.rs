//! What the tests ask of a server.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Request;

/// Nothing that is asked here takes as long, unless the server hangs: then the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks a server.
#[derive(Clone)]
pub(crate) struct Client {
    base: String,
    token: Option<String>,
    agent: ureq::Agent,
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        Self { base: base.to_owned(), token: None, agent: config.build().into() }
    }

    /// The same with a token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// What it sends.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Where it asks.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The data of the answer; only HTTP 200 with errno 0 counts.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let request = Request::builder().method(method).uri(format!("{}/api/v1{path}", self.base));
        let mut request = request.header("Content-Type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let sent = match body {
            Some(body) => self.agent.run(request.body(body.to_string()).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        };
        let mut response = sent.map_err(|e| e.to_string())?;
        let text = response.body_mut().read_to_string().map_err(|e| e.to_string())?;
        match serde_json::from_str::<Value>(&text) {
            Ok(mut answer) if response.status() == 200 && answer["errno"] == 0 => Ok(answer["data"].take()),
            _ => Err(format!("{} {text}", response.status())),
        }
    }

    /// Posts a message; its blob's id when that was acknowledged.
    pub(crate) fn insert(&self, user: &str, text: &str) -> Result<String, String> {
        let body = json!({"blob_type": "chat", "blob_data": {"messages": [{"role": "user", "content": text}]}});
        let data = self.call("POST", &format!("/blobs/insert/{user}"), Some(&body))?;
        Ok(data["id"].as_str().unwrap().to_owned())
    }

    /// Flushes and waits for it.
    pub(crate) fn flush(&self, user: &str) -> Result<Value, String> {
        self.call("POST", &format!("/users/buffer/{user}/chat?wait_process=true"), None)
    }

    /// The blobs in a buffer, of a status.
    pub(crate) fn capacity(&self, user: &str, status: &str) -> Value {
        self.call("GET", &format!("/users/buffer/capacity/{user}/chat?status={status}"), None).unwrap()["ids"].take()
    }

    /// The lines of all events, oldest first.
    pub(crate) fn event_lines(&self, user: &str) -> Vec<String> {
        let data = self.call("GET", &format!("/users/event/{user}?topk=1000"), None).unwrap();
        let tips = data["events"].as_array().unwrap().iter().rev().map(|e| e["event_data"]["event_tip"].as_str());
        tips.flat_map(|tip| tip.unwrap().lines()).map(|line| line.strip_prefix("- ").unwrap().to_owned()).collect()
    }

    /// The slots of the profile, as topic, sub-topic and memo.
    pub(crate) fn profile(&self, user: &str) -> Vec<[String; 3]> {
        let data = self.call("GET", &format!("/users/profile/{user}"), None).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let slot =
            |s: &Value| [text(&s["attributes"]["topic"]), text(&s["attributes"]["sub_topic"]), text(&s["content"])];
        data["profiles"].as_array().unwrap().iter().map(slot).collect()
    }
}
