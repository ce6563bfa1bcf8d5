//! A provider that does what a script says, and keeps what it was asked.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use powermemo::mock_model;
use serde_json::{Value, json};

use crate::crash::client::PATIENCE;

/// What becomes of one call.
pub(crate) enum Turn {
    /// The content of the answer is made from the right one.
    Content(fn(String) -> Option<String>),
    /// This status with these headers and this body.
    Status(u16, &'static [(&'static str, &'static str)], Value),
    /// The connection closes without an answer.
    Drop,
    /// The connection closes in the middle of an answer.
    DropMidBody,
    /// No answer comes until the client goes.
    Hang,
    /// The right answer comes when the other end is dropped or sends.
    Gate(Receiver<()>),
}

impl Turn {
    /// A call that is held, and what lets it go.
    pub(crate) fn gate() -> (Self, Sender<()>) {
        let (open, gate) = channel();
        (Self::Gate(gate), open)
    }
}

/// The endpoint. Each call takes the next turn of the script; after its end, calls are answered as the mock model
/// does. It stops when this is dropped.
pub(crate) struct Endpoint {
    shared: Arc<Shared>,
    address: String,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    script: VecDeque<Turn>,
    requests: Vec<Value>,
    stopped: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoint {
    /// Starts an endpoint with a script.
    pub(crate) fn start(script: impl IntoIterator<Item = Turn>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Mutex::new(State { script: script.into_iter().collect(), ..State::default() });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if served.state().stopped {
                    return;
                }
                let (stream, served) = (stream.unwrap(), Arc::clone(&served));
                // A client that goes away in the middle is its own affair.
                std::thread::spawn(move || drop(serve(stream, &served)));
            }
        });
        Self { shared, address }
    }

    /// The base address to configure.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What it was asked, oldest first.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.shared.state().requests.clone()
    }

    /// How often it was asked.
    pub(crate) fn calls(&self) -> usize {
        self.shared.state().requests.len()
    }

    /// Waits until it was asked so often.
    pub(crate) fn wait_for_calls(&self, calls: usize) {
        let began = Instant::now();
        let mut state = self.shared.state();
        while state.requests.len() < calls {
            let left = PATIENCE.saturating_sub(began.elapsed());
            assert!(!left.is_zero(), "{} calls came, not {calls}", state.requests.len());
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.state().stopped = true;
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(&self.address);
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let request = read(&stream)?;
    let turn = {
        let mut state = shared.state();
        state.requests.push(request.clone());
        shared.changed.notify_all();
        state.script.pop_front()
    };
    let right = || mock_model::answer(&request);
    match turn {
        None => reply(&mut stream, 200, &[], &completion(Some(right()))),
        Some(Turn::Content(content)) => reply(&mut stream, 200, &[], &completion(content(right()))),
        Some(Turn::Status(status, headers, body)) => reply(&mut stream, status, headers, &body),
        Some(Turn::Drop) => Ok(()),
        Some(Turn::DropMidBody) => {
            let body = completion(Some(right())).to_string();
            let half = body.len() / 2;
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            )?;
            stream.write_all(&body.as_bytes()[..half])
        }
        Some(Turn::Hang) => stream.read_to_end(&mut Vec::new()).map(drop),
        Some(Turn::Gate(gate)) => {
            // Nobody holds it any more: it is open.
            let _ = gate.recv();
            reply(&mut stream, 200, &[], &completion(Some(right())))
        }
    }
}

/// Reads a request, and returns its body.
pub(crate) fn read(stream: &TcpStream) -> io::Result<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

pub(crate) fn reply(stream: &mut TcpStream, status: u16, headers: &[(&str, &str)], body: &Value) -> io::Result<()> {
    let body = body.to_string();
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {length}");
    stream.write_all(format!("{head}\r\nconnection: close\r\n{more}\r\n{body}").as_bytes())
}

pub(crate) fn completion(content: Option<String>) -> Value {
    json!({
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    })
}
