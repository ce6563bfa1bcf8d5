//! The endpoint against a provider that answers from a script.

mod admission;
mod calls;
mod embeddings;
mod fallbacks;
mod retries;
mod scripted;

use std::sync::Mutex;

use futures_util::FutureExt as _;
use memory::testing::ManualClock;
use serde_json::json;

use scripted::{Reply, Scripted};

use super::line::{RETRY_CEILING, RETRY_FLOOR};
use super::*;

const KEY: &str = "sk-very-secret";
const SECRET_TEXT: &str = "my-cat-is-called-Miso";
const PAUSE: Duration = Duration::from_secs(30);

fn settings(url: &str) -> EndpointSettings {
    EndpointSettings {
        base_url: url.to_owned(),
        api_key: Some(SecretString::from(KEY)),
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        timeout: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(10),
        max_retries: 0,
        max_parallel_calls: 4,
        requests_per_minute: None,
        tokens_per_minute: None,
        max_completion_tokens: Some(700),
        temperature: Some(0.2),
        breaker_failures: 100,
        breaker_pause: PAUSE,
    }
}

/// The system message of [`prompt`].
const SYSTEM: &str = "You extract.";

fn prompt() -> Prompt {
    Prompt {
        model: "small".to_owned(),
        system: Arc::new(SYSTEM.to_owned().into()),
        messages: vec![("user", SECRET_TEXT.to_owned().into()), ("assistant", "{".to_owned().into())],
        schema: Arc::new(AnswerSchema::new("draft", &json!({"type": "object", "required": ["slots"]})).unwrap()),
        for_read: false,
    }
}

/// Says that [`prompt`] has 20 tokens: those of the system message.
struct Twenty;

impl TokenCounter for Twenty {
    fn count(&self, text: &str) -> u32 {
        if text == SYSTEM { 20 } else { 0 }
    }
}

/// An endpoint and the pauses that it made, without the waiting.
struct Fixture {
    provider: Scripted,
    endpoint: Arc<Endpoint>,
    clock: Arc<ManualClock>,
    pauses: Arc<Mutex<Vec<Duration>>>,
}

impl Fixture {
    fn new(script: impl IntoIterator<Item = Reply>) -> Self {
        Self::with(script, |_| {})
    }

    fn with(script: impl IntoIterator<Item = Reply>, change: impl FnOnce(&mut EndpointSettings)) -> Self {
        let provider = Scripted::start(script);
        let mut settings = settings(&provider.url);
        change(&mut settings);
        let clock = Arc::new(ManualClock::new());
        let mut endpoint = Endpoint::new(&settings, Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(Twenty)).unwrap();
        let pauses = Arc::new(Mutex::new(Vec::new()));
        let made = Arc::clone(&pauses);
        endpoint.line.sleep = Arc::new(move |pause| {
            made.lock().unwrap().push(pause);
            std::future::ready(()).boxed()
        });
        Self { provider, endpoint: Arc::new(endpoint), clock, pauses }
    }

    async fn call(&self) -> Result<Completion, ModelError> {
        self.endpoint.complete(&prompt()).await
    }

    /// The text of an answer, in a call that must have one.
    async fn text(&self) -> String {
        self.call().await.unwrap().text
    }

    /// How many requests the provider has seen.
    fn seen(&self) -> usize {
        self.provider.asked().len()
    }

    fn pauses(&self) -> Vec<Duration> {
        self.pauses.lock().unwrap().clone()
    }
}

/// The reason of an outage, and the pause that it asks for. Nothing secret is in it.
fn unavailable(result: Result<Completion, ModelError>) -> (String, Option<Duration>) {
    let error = result.unwrap_err();
    assert_no_secret(&error);
    match error {
        ModelError::Unavailable { reason, retry_after } => (reason, retry_after),
        other => panic!("{other}"),
    }
}

fn refused(result: Result<Completion, ModelError>) -> String {
    let error = result.unwrap_err();
    assert_no_secret(&error);
    match error {
        ModelError::Refused(reason) => reason,
        other => panic!("{other}"),
    }
}

fn assert_no_secret(error: &ModelError) {
    for shown in [format!("{error}"), format!("{error:?}")] {
        assert!(!shown.contains(KEY) && !shown.contains(SECRET_TEXT), "{shown}");
    }
}
