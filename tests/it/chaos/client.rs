//! Asks a server once, and tells apart what an answer proves.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::Value;
use ureq::http::Request;

use super::group::Door;
use super::history::Process;

/// How long a client waits for an answer. Longer than the servers' own limits, shorter than a server stands still.
const PATIENCE: Duration = Duration::from_secs(4);

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Done.
    Done(Value),
    /// Not done, or not known to be done: status or errno, and the text. The server has finished with it.
    Refused(u16, String),
    /// Nobody listened: it was never sent.
    NotSent,
    /// No answer: it may have been done, or may be done later.
    Lost,
}

/// Sends requests.
#[derive(Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    doors: Vec<Door>,
}

impl Client {
    pub(crate) fn new(doors: Vec<Door>) -> Self {
        // Without idle connections, what was refused is known not to have been sent.
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        Self { agent: config.max_idle_connections(0).build().into(), doors }
    }

    pub(crate) fn places(&self) -> usize {
        self.doors.len()
    }

    /// Asks the server at a place. Tells which process was asked, if there was one.
    pub(crate) fn ask(&self, place: usize, method: &str, path: &str, body: Option<&Value>) -> (Option<Process>, Reply) {
        let Some((base, process)) = self.doors[place].base() else { return (None, Reply::NotSent) };
        (Some(process), self.send(&format!("{base}/api/v1{path}"), method, body))
    }

    fn send(&self, uri: &str, method: &str, body: Option<&Value>) -> Reply {
        let request = Request::builder().method(method).uri(uri).header("Content-Type", "application/json");
        let sent = match body {
            Some(body) => self.agent.run(request.body(body.to_string()).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        };
        let mut response = match sent {
            Ok(response) => response,
            Err(ureq::Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => return Reply::NotSent,
            Err(ureq::Error::ConnectionFailed) => return Reply::NotSent,
            Err(_) => return Reply::Lost,
        };
        let status = response.status().as_u16();
        let Ok(text) = response.body_mut().read_to_string() else { return Reply::Lost };
        let answer = serde_json::from_str::<Value>(&text).unwrap_or_default();
        match answer["errno"].as_u64() {
            Some(0) if status == 200 => Reply::Done(answer["data"].clone()),
            Some(errno) => Reply::Refused(u16::try_from(errno).unwrap_or(status), text),
            None => Reply::Refused(status, text),
        }
    }
}
