//! The real `powermemo mock-model`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::{Value, json};

use super::room::world;
use crate::crash::client::PATIENCE;

/// The process. It is killed when this is dropped.
pub(super) struct Mock {
    /// "http://127.0.0.1:PORT/v1"
    base: String,
    child: Child,
}

impl Mock {
    /// Starts it among a configuration that the server would refuse: it is none of its business.
    pub(super) fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.yaml"), "no_such_key: 1").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_powermemo"));
        command.args(["mock-model", "--port", "0"]).args(flags).env("POWERMEMO_PORT", "x");
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut mock = Self { base: String::new(), child: command.spawn().unwrap() };
        let mut greeting = String::new();
        // The rest of the greeting has nobody who reads it.
        BufReader::new(mock.child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
        mock.base = greeting.strip_prefix("mock-model listens on ").unwrap().trim().to_owned();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "it needs no folder");
        mock
    }

    /// The base address to configure.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    fn post(&self, path: &str, body: &Value) -> Result<(u16, Value), ureq::Error> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        let agent: ureq::Agent = config.build().into();
        let mut response = agent.post(format!("{}{path}", self.base)).send(body.to_string())?;
        let text = response.body_mut().read_to_string()?;
        Ok((response.status().as_u16(), serde_json::from_str(&text).unwrap()))
    }

    fn stats(&self) -> Value {
        let address = self.base.strip_suffix("/v1").unwrap();
        let text = ureq::get(format!("{address}/stats")).call().unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn stop(mut self) -> ExitStatus {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "the signal could not be sent");
        self.child.wait().unwrap()
    }

    /// Sends a chat by hand.
    fn send(&self, body: &str) -> TcpStream {
        let address = self.base.strip_prefix("http://").unwrap().strip_suffix("/v1").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        let head = format!("POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        stream
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn chat() -> Value {
    let messages = json!([
        {"role": "system", "content": "2 + 2 = 4"},
        {"role": "user", "content": "<chat>\n[1] 2024-05-01 user: I am a nurse FACT work/title=nurse\n</chat>"},
    ]);
    json!({"model": "any", "messages": messages})
}

#[test]
fn it_answers_chats_and_embeddings_and_stops_when_asked() {
    let mock = Mock::start(&["--latency", "1ms"]);
    let cached = [0, 7].map(|cached| {
        let (status, answered) = mock.post("/chat/completions", &chat()).unwrap();
        let draft = answered["choices"][0]["message"]["content"].as_str().unwrap();
        let draft: Value = serde_json::from_str(draft).unwrap();
        assert_eq!((status, &draft["profile"][0]["memo"]), (200, &json!("nurse")));
        answered["usage"]["prompt_tokens_details"]["cached_tokens"] == cached
    });
    assert_eq!(cached, [true; 2]);
    let (status, answered) = mock.post("/embeddings", &json!({"input": ["a", "b"], "model": "any"})).unwrap();
    assert_eq!((status, answered["data"].as_array().unwrap().len()), (200, 2));
    assert_eq!(mock.post("/chat/completions", &json!([])).unwrap().0, 400);
    assert_eq!((&mock.stats()["calls"], &mock.stats()["chat"]), (&json!(4), &json!(3)));
    assert!(mock.stop().success());
}

#[test]
fn a_dropped_call_gets_not_a_byte() {
    let mock = Mock::start(&["--drop", "100%"]);
    let mut received = Vec::new();
    // The connection may be reset as well as closed.
    let _ = mock.send(&chat().to_string()).read_to_end(&mut received);
    assert!(received.is_empty(), "{}", String::from_utf8_lossy(&received));
    assert!(mock.post("/chat/completions", &chat()).is_err());
    assert_eq!(mock.stats()["faults"]["drop"], 2);
}

/// What hangs does not hold up others, nor the end.
#[test]
fn a_hanging_call_is_never_answered() {
    let mock = Mock::start(&["--hang", "1"]);
    let mut stream = mock.send(&chat().to_string());
    let began = std::time::Instant::now();
    while mock.stats()["faults"]["hang"] != 1 {
        assert!(began.elapsed() < PATIENCE, "the call did not arrive");
        std::thread::yield_now();
    }
    assert!(mock.stop().success());
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received);
    assert!(received.is_empty(), "{}", String::from_utf8_lossy(&received));
}

/// A server whose model fails more often than not remembers each message once, whatever it takes.
#[test]
fn a_server_on_a_faulty_model_loses_nothing() {
    let mock = Mock::start(&["--errors", "20%", "--garbage", "40%", "--drop", "10%", "--seed", "3"]);
    let world = world(&mock.base, &[("POWERMEMO_FLUSH_MAX_ATTEMPTS", "100")]);
    let running = world.start(&[]);
    for _ in 0..15 {
        world.must_say(&running.client, 0);
        let tries = (0..100).take_while(|_| running.client.flush(&world.users[0]).is_err()).count();
        assert!(tries < 100, "no try was fine");
    }
    running.server.kill();
    world.check();
    let stats = mock.stats();
    for fault in ["errors", "garbage", "drop"] {
        assert!(stats["faults"][fault].as_u64().unwrap() > 0, "{stats}");
    }
}
