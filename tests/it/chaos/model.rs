//! The language model: answers by the rules of the mock model, when it answers, and keeps who asked what and when.

use std::io::{self, BufRead as _, Read as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use powermemo::mock_model;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::history::Process;
use super::time::{Micros, now};
use crate::model::endpoint::{completion, read, reply};

/// A message with this word in it is never understood.
pub(crate) const POISON: &str = "POISON";
/// The longest that a call is left without an answer; the servers give up before.
const HANG: Duration = Duration::from_secs(4);

/// Shares of the calls that go wrong, in percent, and how long an answer may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Mood {
    pub(crate) errors: u32,
    pub(crate) rubbish: u32,
    pub(crate) hangs: u32,
    pub(crate) drops: u32,
    pub(crate) latency_ms: u64,
}

/// A call: all that the checks need.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) process: Process,
    pub(crate) received: Micros,
    /// The lines of the chat, as the right answer repeats them.
    pub(crate) lines: Vec<String>,
    /// When the right answer was sent, if it was.
    pub(crate) answered: Option<Micros>,
}

/// The endpoint. It stops when this is dropped.
pub(crate) struct Model {
    shared: Arc<Shared>,
    address: String,
}

struct Shared {
    seed: u64,
    mood: Mutex<Mood>,
    calls: Mutex<Vec<Call>>,
    number: AtomicU64,
    stopped: AtomicBool,
}

enum Turn {
    Right(Duration),
    Rubbish,
    Error,
    Hang,
    Drop,
}

impl Model {
    pub(crate) fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (number, stopped) = (AtomicU64::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { seed, mood: Mutex::default(), calls: Mutex::default(), number, stopped });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if served.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), served) = (stream, Arc::clone(&served)) else { continue };
                // A client that goes away in the middle is its own affair.
                std::thread::spawn(move || drop(served.serve(stream)));
            }
        });
        Self { shared, address }
    }

    /// Where servers find it; each adds who it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// All calls so far, in order.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let mut calls = self.shared.calls.lock().unwrap().clone();
        calls.sort_by_key(|call| call.received);
        calls
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(HANG))?;
        stream.set_write_timeout(Some(HANG))?;
        let process = asker(&stream)?;
        let request = read(&stream)?;
        let received = now();
        let right = mock_model::answer(&request);
        let turn = self.turn(&request);
        let place = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(Call { process, received, lines: lines(&right), answered: None });
            calls.len() - 1
        };
        match turn {
            Turn::Right(pause) => {
                std::thread::sleep(pause);
                reply(&mut stream, 200, &[], &completion(Some(right)))?;
                self.calls.lock().unwrap()[place].answered = Some(now());
                Ok(())
            }
            Turn::Rubbish => reply(&mut stream, 200, &[], &completion(Some("Nice weather, is it not?".to_owned()))),
            Turn::Error => {
                reply(&mut stream, 500, &[], &json!({"error": {"message": "broken", "type": "server_error"}}))
            }
            Turn::Hang => stream.read(&mut [0]).map(drop),
            Turn::Drop => Ok(()),
        }
    }

    /// What becomes of a call: decided by the seed and its number.
    fn turn(&self, request: &Value) -> Turn {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let mut luck = SmallRng::seed_from_u64(self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mood = *self.mood.lock().unwrap();
        if request["messages"].to_string().contains(POISON) {
            return Turn::Rubbish;
        }
        let mut lot = luck.random_range(0..100);
        let shares = [(mood.errors, Turn::Error), (mood.rubbish, Turn::Rubbish), (mood.hangs, Turn::Hang)];
        for (share, turn) in shares.into_iter().chain([(mood.drops, Turn::Drop)]) {
            if lot < share {
                return turn;
            }
            lot -= share;
        }
        Turn::Right(Duration::from_millis(luck.random_range(0..=mood.latency_ms)))
    }
}

/// The lines of a recorded or given answer.
pub(crate) fn lines(answer: &str) -> Vec<String> {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    if let Some(recorded) = answer["text"].as_str() {
        return lines(recorded);
    }
    let gists = answer.get("draft").unwrap_or(&answer)["gists"].as_array().cloned().unwrap_or_default();
    gists.iter().filter_map(|gist| Some(gist["text"].as_str()?.to_owned())).collect()
}

/// Who asks: it is in the path. Looks without taking anything from the stream.
fn asker(stream: &TcpStream) -> io::Result<Process> {
    let mut seen = [0; 512];
    let mut length = 0;
    // The first line comes in one piece, or soon after.
    for _ in 0..100 {
        length = stream.peek(&mut seen)?;
        if seen[..length].contains(&b'\n') {
            break;
        }
        std::thread::yield_now();
    }
    let line = seen[..length].lines().next().unwrap_or_else(|| Ok(String::new()))?;
    let mut parts = line.split('/').skip(1).map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(place)), Some(Ok(start))) => Ok(Process { place: place as usize, start }),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
