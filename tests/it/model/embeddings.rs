//! Embeddings by the configuration, with providers that misbehave, and with the stand-in for one.

use std::process::Command;
use std::sync::Arc;

use memory::ports::{Embedded, Embedder, ModelError, Purpose};
use memory::testing::WordCounter;
use powermemo::config::{Inputs, Settings};
use powermemo::embedding::embedder;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::endpoint::{Endpoint, Turn};
use super::mock::Mock;

/// The embedder of a configuration, and the runtime that its connections live on.
struct Site {
    embedder: Arc<dyn Embedder>,
    /// Held, so that it lives.
    _io: Runtime,
}

impl Site {
    fn new(base_url: &str, envs: &[(&str, &str)]) -> Self {
        let ours = [
            ("POWERMEMO_ENABLE_EVENT_EMBEDDING", "true"),
            ("POWERMEMO_EMBEDDING_BASE_URL", base_url),
            ("POWERMEMO_LLM_MAX_RETRIES", "0"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let environment = ours.iter().chain(envs).map(|(name, value)| (name.into(), value.into())).collect();
        let inputs = Inputs { working_dir: folder.path().to_owned(), environment, ..Inputs::default() };
        let config = Settings::load(&inputs).unwrap().config;
        let io = Runtime::new().unwrap();
        let embedder = embedder(&config, Arc::new(WordCounter), io.handle()).unwrap().unwrap();
        Self { embedder, _io: io }
    }

    fn embed(&self, texts: &[String]) -> Result<Embedded, ModelError> {
        // From another runtime than that of the connections, as actors do.
        Runtime::new().unwrap().block_on(self.embedder.embed(texts, Purpose::Document))
    }
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("text {n}")).collect()
}

/// Vectors of two numbers for so many texts, the last first.
fn vectors(count: usize) -> Turn {
    let embedding = |index: usize| json!({"object": "embedding", "index": index, "embedding": [1, index]});
    let data: Vec<Value> = (0..count).rev().map(embedding).collect();
    Turn::Status(200, &[], json!({"object": "list", "data": data, "model": "any", "usage": {"prompt_tokens": 7}}))
}

const TWO: (&str, &str) = ("POWERMEMO_EMBEDDING_DIM", "2");
const OTHER: (&str, &str) = ("POWERMEMO_EMBEDDING_MODEL", "any");

#[test]
fn many_texts_are_many_requests() {
    let endpoint = Endpoint::start([vectors(32), vectors(32), vectors(6)]);
    let embedded = Site::new(&endpoint.base_url(), &[TWO, OTHER]).embed(&texts(70)).unwrap();
    let counts: Vec<usize> = endpoint.requests().iter().map(|body| body["input"].as_array().unwrap().len()).collect();
    assert_eq!((counts, embedded.tokens), (vec![32, 32, 6], 21));
    let first = embedded.vectors[0].clone().unwrap();
    assert_eq!(first.numbers(), [127, 0]);
    assert_eq!(embedded.vectors[64].as_ref(), Some(&first));
    assert_eq!(embedded.vectors[69].as_ref().unwrap().numbers(), [25, 127], "by its index");
    let request = &endpoint.requests()[0];
    assert_eq!((&request["model"], &request["encoding_format"]), (&json!("any"), &json!("float")));
    assert!(request.get("dimensions").is_none() && request.get("task").is_none());
}

#[test]
fn each_provider_is_asked_in_its_words() {
    let asked = |envs: &[(&str, &str)]| {
        let endpoint = Endpoint::start([vectors(1)]);
        Site::new(&endpoint.base_url(), &[&[TWO], envs].concat()).embed(&texts(1)).unwrap();
        let mut request = endpoint.requests().remove(0);
        let known = request.as_object_mut().unwrap();
        known.retain(|key, _| !["model", "input"].contains(&key.as_str()));
        request
    };
    let provider = |name| ("POWERMEMO_EMBEDDING_PROVIDER", name);
    let model = |name| ("POWERMEMO_EMBEDDING_MODEL", name);
    let plain = json!({"encoding_format": "float"});
    assert_eq!(asked(&[model("text-embedding-3-large")]), json!({"encoding_format": "float", "dimensions": 2}));
    assert_eq!(asked(&[model("openai/text-embedding-3-small")])["dimensions"], 2);
    assert_eq!(asked(&[model("text-embedding-ada-002")]), plain);
    assert_eq!(asked(&[provider("ollama"), model("nomic-embed-text")]), plain);
    assert_eq!(asked(&[provider("lmstudio"), model("text-embedding-3-small")]), plain);
    let old = json!({"embedding_type": "float", "truncate": true});
    assert_eq!(asked(&[provider("jina"), model("jina-embeddings-v2-base-en")]), old);
    let jina = json!({"dimensions": 2, "embedding_type": "float", "truncate": true, "task": "retrieval.passage"});
    assert_eq!(asked(&[provider("jina"), model("jina-embeddings-v3")]), jina);
}

#[test]
fn failures_tell_refusals_from_outages() {
    let error = |turn: Turn| {
        let endpoint = Endpoint::start([turn]);
        Site::new(&endpoint.base_url(), &[TWO, OTHER, ("POWERMEMO_LLM_TIMEOUT_SECONDS", "2")]).embed(&texts(1))
    };
    let status = |status, headers| Turn::Status(status, headers, json!({"error": {"message": "no"}}));
    let away = |turn: Turn, words: &str| match error(turn) {
        Err(ModelError::Unavailable { reason, retry_after }) => {
            assert!(reason.contains(words), "{reason}");
            retry_after.map(|pause| pause.as_secs())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(away(status(401, &[]), "the provider refused embedding_api_key"), None);
    assert_eq!(away(status(429, &[("retry-after", "30")]), "rate limit"), Some(30));
    assert_eq!(away(status(503, &[]), "overloaded"), None);
    assert_eq!(away(Turn::Hang, "no answer within 2 s"), None);
    assert_eq!(away(Turn::Drop, "the connection ended"), None);
    let refused = |turn: Turn, words: &str| match error(turn) {
        Err(ModelError::Refused(reason)) => assert!(reason.contains(words), "{reason}"),
        other => panic!("{other:?}"),
    };
    refused(status(400, &[]), "check embedding_model, embedding_dim and embedding_max_token_size");
    let three = json!({"data": [{"index": 0, "embedding": [1, 2, 3]}]});
    refused(Turn::Status(200, &[], three), "set embedding_dim to 3");
}

#[test]
fn the_mock_model_embeds_texts_by_their_words() {
    let mock = Mock::start(&[]);
    for (envs, space) in [
        (&[][..], "text-embedding-3-small/1536"),
        (&[("POWERMEMO_EMBEDDING_MODEL", "mock"), ("POWERMEMO_EMBEDDING_DIM", "384")], "mock/384"),
    ] {
        let site = Site::new(mock.base(), envs);
        assert_eq!(site.embedder.space(), space);
        let texts = ["I adopted a puppy named Miso", "the puppy that I adopted", "quarterly tax report"];
        let embedded = site.embed(&texts.map(str::to_owned)).unwrap();
        let [near, other, far] = [0, 1, 2].map(|at| embedded.vectors[at].clone().unwrap());
        assert!(near.cosine(&other) > 0.5 && near.cosine(&far) < 0.25, "{space}");
        assert!(embedded.tokens > 10);
    }
}

/// What the doctor says of embeddings, and whether all is well.
fn doctor(base_url: &str, envs: &[(&str, &str)]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_powermemo"));
    command.arg("doctor").current_dir(folder.path()).env_clear().env("POWERMEMO_EMBEDDING_BASE_URL", base_url);
    let output = command.env("POWERMEMO_LLM_MAX_RETRIES", "0").envs(envs.iter().copied()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let after = told.split_once("  embeddings  ").map(|(_, after)| after.trim().to_owned());
    (output.status.success(), after.unwrap_or_default())
}

#[test]
fn the_doctor_embeds_a_word() {
    let on = ("POWERMEMO_ENABLE_EVENT_EMBEDDING", "true");
    let endpoint = Endpoint::start([vectors(1)]);
    let (fine, told) = doctor(&endpoint.base_url(), &[on, TWO, OTHER]);
    assert!(fine && told.starts_with(&format!("any/2 at {}", endpoint.base_url())), "{told}");

    let endpoint = Endpoint::start([vectors(1)]);
    let (fine, told) = doctor(&endpoint.base_url(), &[on, OTHER]);
    assert!(!fine && told.contains("set embedding_dim to 2"), "{told}");

    let endpoint = Endpoint::start([Turn::Status(401, &[], json!({"error": "no"}))]);
    let (fine, told) = doctor(&endpoint.base_url(), &[on, TWO, OTHER, ("POWERMEMO_EMBEDDING_API_KEY", "wrong")]);
    assert!(!fine && told.contains("refused embedding_api_key") && !told.contains("no key was sent"), "{told}");

    let endpoint = Endpoint::start([Turn::Status(401, &[], json!({"error": "no"}))]);
    let (fine, told) = doctor(&endpoint.base_url(), &[on, TWO, OTHER]);
    assert!(!fine && told.contains("no key was sent"), "{told}");

    let endpoint = Endpoint::start([]);
    let (fine, told) = doctor(&endpoint.base_url(), &[TWO, OTHER]);
    assert!(fine && told.is_empty() && endpoint.calls() == 0, "they are off: {told}");
}
