//! A world with one user, a server on it, and the endpoint that it calls.

use serde_json::{Value, json};
use sqlx::query_as;

use super::endpoint::{Endpoint, Turn};
use crate::crash::client::Client;
use crate::crash::world::{Running, World};

/// One user, whose memory a scripted model makes. No batch is tried again behind the test's back: the pause after a
/// failure is longer than any test, and only a flush that is asked for goes before it.
pub(crate) struct Room {
    pub(crate) endpoint: Endpoint,
    pub(crate) world: World,
    pub(crate) running: Running,
}

/// A row of `flushes`: outcome, reason, how much of the answer was refused, version of the prompt.
pub(crate) type Outcome = (String, Option<String>, i64, String);

/// What [`Room::blobs`] tells when all have taken effect.
pub(crate) const NO_BLOBS: [Vec<String>; 2] = [Vec::new(), Vec::new()];

/// A world whose servers call the endpoint at this address.
pub(crate) fn world(base_url: &str, envs: &[(&'static str, &str)]) -> World {
    let ours = [
        ("POWERMEMO_LLM_BASE_URL", base_url.to_owned()),
        ("POWERMEMO_LLM_MAX_RETRIES", "0".to_owned()),
        ("POWERMEMO_LLM_BREAKER_FAILURES", "1000".to_owned()),
        ("POWERMEMO_FLUSH_BACKOFF_MIN_SECONDS", "300".to_owned()),
        ("POWERMEMO_FLUSH_BACKOFF_MAX_SECONDS", "300".to_owned()),
        ("POWERMEMO_FLUSH_WAIT_TIMEOUT_SECONDS", "50".to_owned()),
    ];
    World::with(1, ours.into_iter().chain(envs.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect())
}

impl Room {
    pub(crate) fn new(script: impl IntoIterator<Item = Turn>, envs: &[(&'static str, &str)]) -> Self {
        let endpoint = Endpoint::start(script);
        let world = world(&endpoint.base_url(), envs);
        let running = world.start(&[]);
        Self { endpoint, world, running }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.running.client
    }

    pub(crate) fn user(&self) -> &str {
        &self.world.users[0]
    }

    /// Sends the next message of the ledger; its blob's id.
    pub(crate) fn say(&self) -> String {
        self.world.must_say(self.client(), 0).1
    }

    /// Sends a message of one's own.
    pub(crate) fn tell(&self, text: &str) {
        self.client().insert(self.user(), text).unwrap();
    }

    pub(crate) fn flush(&self) -> Result<Value, String> {
        self.client().flush(self.user())
    }

    /// Flushes, which must fail with errno 503 and a reason that holds these words.
    pub(crate) fn flush_fails(&self, words: &str) {
        let error = self.flush().unwrap_err();
        assert!(error.starts_with("200 ") && error.contains("\"errno\":503"), "{error}");
        assert!(error.contains(words), "{error}");
    }

    /// The blobs of the buffer, whatever their batch does, and the dead ones.
    pub(crate) fn blobs(&self) -> [Vec<String>; 2] {
        let of = |status: &str| -> Vec<String> {
            serde_json::from_value(self.client().capacity(self.user(), status)).unwrap()
        };
        [[of("idle"), of("processing")].concat(), of("failed")]
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.client().event_lines(self.user())
    }

    /// How many events the user has.
    pub(crate) fn events(&self) -> usize {
        let data = self.client().call("GET", &format!("/users/event/{}?topk=1000", self.user()), None).unwrap();
        data["events"].as_array().unwrap().len()
    }

    /// The outcomes in the store, oldest first.
    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        let sql = "SELECT outcome, reason, refused, version FROM flushes ORDER BY rowid";
        self.world.query(async move |conn| query_as(sql).fetch_all(conn).await.unwrap())
    }

    /// The next message is remembered; then all that was acknowledged is where it belongs: in exactly one event.
    pub(crate) fn goes_on(self) {
        self.say();
        self.flush().unwrap();
        assert_eq!(self.blobs(), NO_BLOBS);
        self.running.server.kill();
        self.world.check();
    }
}

/// An error in OpenAI's shape.
pub(crate) fn error(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}
