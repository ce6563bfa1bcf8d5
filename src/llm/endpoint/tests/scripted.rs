//! A provider for tests: answers from a script over real sockets, and keeps what it was asked.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

/// What to do with one request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// Answer with status, headers and body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// Close the connection instead of answering.
    Drop,
    /// Close the connection in the middle of the answer.
    DropInBody,
    /// Never answer.
    Hang,
    /// Answer when the test opens the gate.
    AfterGate(Box<Reply>),
}

impl Reply {
    /// A body of this status.
    pub(super) fn status(status: u16, body: &Value) -> Self {
        Self::Answer(status, vec![], body.to_string())
    }

    /// An error as OpenAI writes it.
    pub(super) fn error(status: u16, message: &str) -> Self {
        Self::status(status, &json!({"error": {"message": message, "type": "some_error", "param": null, "code": null}}))
    }

    /// A chat completion.
    pub(super) fn text(text: &str) -> Self {
        let choice = json!({"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}});
        let usage = json!({"prompt_tokens": 20, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 8}});
        Self::status(200, &json!({"object": "chat.completion", "choices": [choice], "usage": usage}))
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Answer(_, headers, _) = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

/// What came in.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Path and query.
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Value,
}

impl Asked {
    /// All values of a header.
    pub(super) fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }
}

#[derive(Debug, Default)]
struct State {
    script: VecDeque<Reply>,
    asked: Vec<Asked>,
    /// Requests that have no answer yet, now and at most.
    open: usize,
    peak: usize,
    /// Connections that the client closed before it had its answer.
    given_up: usize,
    gate_open: bool,
}

/// The provider. It ends with the process.
pub(super) struct Scripted {
    pub(super) url: String,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Scripted {
    /// A provider that gives these replies, one for each request, and status 599 after the last.
    pub(super) fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let state = State { script: script.into_iter().collect(), ..State::default() };
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.unwrap(), Arc::clone(&of_thread));
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { url, shared }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.shared.0.lock().unwrap().asked.clone()
    }

    /// The bodies of all requests.
    pub(super) fn bodies(&self) -> Vec<Value> {
        self.asked().into_iter().map(|asked| asked.body).collect()
    }

    /// The most requests that were open at the same time.
    pub(super) fn peak(&self) -> usize {
        self.shared.0.lock().unwrap().peak
    }

    pub(super) fn open_gate(&self) {
        self.shared.0.lock().unwrap().gate_open = true;
        self.shared.1.notify_all();
    }

    /// Waits until so many requests have come.
    pub(super) async fn wait_asked(&self, count: usize) {
        self.wait(move |state| state.asked.len() >= count).await;
    }

    /// Waits until so many clients have closed their connection without an answer.
    pub(super) async fn wait_given_up(&self, count: usize) {
        self.wait(move |state| state.given_up >= count).await;
    }

    async fn wait(&self, done: impl Fn(&State) -> bool + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        let wait = move || drop(shared.1.wait_while(shared.0.lock().unwrap(), |state| !done(state)).unwrap());
        tokio::task::spawn_blocking(wait).await.unwrap();
    }
}

fn change<T>(shared: &(Mutex<State>, Condvar), with: impl FnOnce(&mut State) -> T) -> T {
    let result = with(&mut shared.0.lock().unwrap());
    shared.1.notify_all();
    result
}

/// One connection, which takes one request.
fn serve(stream: TcpStream, shared: &(Mutex<State>, Condvar)) {
    let mut reader = BufReader::new(stream);
    let Some(asked) = read_request(&mut reader) else { return };
    let reply = change(shared, |state| {
        state.asked.push(asked);
        state.open += 1;
        state.peak = state.peak.max(state.open);
        state.script.pop_front().unwrap_or_else(|| Reply::error(599, "the script is over"))
    });
    perform(reply, reader.get_mut(), shared);
}

fn perform(reply: Reply, stream: &mut TcpStream, shared: &(Mutex<State>, Condvar)) {
    // Before the last byte is sent: with it the client may begin the next request.
    let done = || change(shared, |state| state.open -= 1);
    match reply {
        Reply::Answer(status, headers, body) => {
            done();
            let mut head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                head += &format!("{name}: {value}\r\n");
            }
            // A client that has seen enough may be gone.
            let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
        }
        Reply::Drop => done(),
        Reply::DropInBody => {
            done();
            let _ = stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 1000\r\n\r\n{\"choices\": [");
        }
        Reply::Hang => {
            // Ends when the client closes the connection.
            let _ = stream.read(&mut [0]);
            done();
            change(shared, |state| state.given_up += 1);
        }
        Reply::AfterGate(reply) => {
            drop(shared.1.wait_while(shared.0.lock().unwrap(), |state| !state.gate_open).unwrap());
            perform(*reply, stream, shared);
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let target = lines[0].split(' ').nth(1)?.to_owned();
    Some(Asked { target, headers, body: serde_json::from_slice(&body).ok()? })
}
