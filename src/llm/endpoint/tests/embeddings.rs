use memory::ports::{Embedded, Embedder, Purpose};
use memory::search::Vector;
use memory::testing::WordCounter;
use serde_json::Value;
use tokio::runtime::Handle;

use super::*;
use crate::llm::{EmbeddingSize, OpenAiEmbedder};

/// An embedder of vectors of three numbers, which sends 4 texts at most, of 100 tokens at most.
struct Embeds {
    provider: Scripted,
    embedder: OpenAiEmbedder,
    clock: Arc<ManualClock>,
}

impl Embeds {
    fn new(script: impl IntoIterator<Item = Reply>) -> Self {
        Self::with(script, |_| {})
    }

    fn with(script: impl IntoIterator<Item = Reply>, change: impl FnOnce(&mut EmbeddingSettings)) -> Self {
        let provider = Scripted::start(script);
        let mut settings = EmbeddingSettings {
            endpoint: settings(&provider.url),
            model: "small".to_owned(),
            dimensions: 3,
            asks_dimensions: false,
            style: EmbeddingStyle::OpenAi,
            max_inputs: 4,
        };
        change(&mut settings);
        let clock = Arc::new(ManualClock::new());
        let endpoint = EmbeddingEndpoint::new(&settings, clock.clone()).unwrap().without_pauses();
        let size = EmbeddingSize { dimensions: settings.dimensions, max_tokens: 100 };
        let embedder = OpenAiEmbedder::new(endpoint, "small", size, Arc::new(WordCounter), Handle::current());
        Self { provider, embedder, clock }
    }

    async fn embed(&self, texts: &[&str]) -> Result<Embedded, ModelError> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        self.embedder.embed(&texts, Purpose::Document).await
    }

    /// Embeds a text that is a secret.
    async fn one(&self) -> Result<Embedded, ModelError> {
        self.embed(&[SECRET_TEXT]).await
    }

    /// The texts of each request.
    fn inputs(&self) -> Vec<Vec<String>> {
        let inputs = self.provider.bodies().into_iter().map(|body| body["input"].clone());
        inputs.map(|input| serde_json::from_value(input).unwrap()).collect()
    }
}

/// An answer with these vectors, in this order.
fn answer(vectors: &[(usize, [f32; 3])]) -> Reply {
    let data: Vec<Value> =
        vectors.iter().map(|(index, numbers)| json!({"index": index, "embedding": numbers})).collect();
    Reply::status(200, &json!({"data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}}))
}

/// An answer with so many vectors, of which the first is told from the others.
fn answers(count: usize) -> Reply {
    let vectors: Vec<_> = (0..count).map(|at| (at, [1.0, if at == 0 { 1.0 } else { 0.0 }, 0.0])).collect();
    answer(&vectors)
}

fn vector(numbers: [f32; 3]) -> Option<Vector> {
    Vector::of(&numbers)
}

/// The error of an embedding that fails.
async fn fails(test: &Embeds) -> ModelError {
    let error = test.one().await.unwrap_err();
    assert_no_secret(&error);
    error
}

/// The reason of an outage, and the pause that it asks for.
async fn is_away(test: &Embeds) -> (String, Option<Duration>) {
    match fails(test).await {
        ModelError::Unavailable { reason, retry_after } => (reason, retry_after),
        other => panic!("{other}"),
    }
}

async fn is_refused(test: &Embeds) -> String {
    match fails(test).await {
        ModelError::Refused(reason) => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_request_and_its_answer() {
    let test = Embeds::new([answer(&[(1, [0.0, 2.0, 0.0]), (0, [1.0, 0.0, 0.0])])]);
    let embedded = test.embed(&["tea", "jazz"]).await.unwrap();
    let vectors = vec![vector([1.0, 0.0, 0.0]), vector([0.0, 1.0, 0.0])];
    assert_eq!(embedded, Embedded { vectors, tokens: 2 });
    assert_eq!(test.embedder.space(), "small/3");
    let asked = &test.provider.asked()[0];
    assert_eq!(asked.target, "/v1/embeddings");
    assert_eq!(asked.header("authorization"), [format!("Bearer {KEY}")]);
    assert_eq!(asked.body, json!({"model": "small", "input": ["tea", "jazz"], "encoding_format": "float"}));
}

#[tokio::test]
async fn texts_go_in_batches_and_come_back_in_order() {
    let test = Embeds::new([answers(4), answers(4), answers(1)]);
    let texts: Vec<String> = (0..9).map(|n| n.to_string()).collect();
    let embedded = test.embedder.embed(&texts, Purpose::Query).await.unwrap();
    assert_eq!(test.inputs(), [vec!["0", "1", "2", "3"], vec!["4", "5", "6", "7"], vec!["8"]]);
    let (first, other) = (vector([1.0, 1.0, 0.0]), vector([1.0, 0.0, 0.0]));
    for (at, found) in embedded.vectors.iter().enumerate() {
        assert_eq!(*found, if at % 4 == 0 { first.clone() } else { other.clone() }, "{at}");
    }
    assert_eq!((embedded.vectors.len(), embedded.tokens), (9, 6));
}

#[tokio::test]
async fn the_tokens_of_a_request_are_limited() {
    /// Each text has more than a third of what a request may have.
    struct Many;
    impl TokenCounter for Many {
        fn count(&self, _: &str) -> u32 {
            34_000
        }
    }
    let mut test = Embeds::new([answers(2), answers(1)]);
    let endpoint = EmbeddingSettings {
        endpoint: settings(&test.provider.url),
        model: "small".to_owned(),
        dimensions: 3,
        asks_dimensions: false,
        style: EmbeddingStyle::OpenAi,
        max_inputs: 4,
    };
    let endpoint = EmbeddingEndpoint::new(&endpoint, test.clock.clone()).unwrap();
    let size = EmbeddingSize { dimensions: 3, max_tokens: 100 };
    test.embedder = OpenAiEmbedder::new(endpoint, "small", size, Arc::new(Many), Handle::current());
    test.embed(&["a", "b", "c"]).await.unwrap();
    assert_eq!(test.inputs(), [vec!["a", "b"], vec!["c"]]);
}

#[tokio::test]
async fn an_answer_stays_below_what_is_read_of_it() {
    let test = Embeds::with([], |settings| (settings.dimensions, settings.max_inputs) = (100_000, 2_048));
    test.embed(&["a", "b", "c"]).await.unwrap_err();
    assert_eq!(test.inputs(), [["a", "b"]], "two vectors of 100,000 numbers");
}

#[tokio::test]
async fn blank_texts_are_not_sent_and_have_no_vector() {
    let test = Embeds::new([answer(&[(0, [1.0, 0.0, 0.0]), (1, [0.0, 0.0, 0.0])])]);
    let embedded = test.embed(&["", " tea ", "\n\t ", "jazz"]).await.unwrap();
    assert_eq!(embedded.vectors, [None, vector([1.0, 0.0, 0.0]), None, None], "zeros have no direction");
    assert_eq!(test.inputs(), [["tea", "jazz"]]);
    let nothing = Embeds::new([]);
    assert_eq!(nothing.embed(&["", " "]).await.unwrap(), Embedded { vectors: vec![None; 2], tokens: 0 });
    assert_eq!(nothing.embed(&[]).await.unwrap(), Embedded::default());
    assert!(nothing.provider.asked().is_empty());
}

#[tokio::test]
async fn long_texts_are_cut() {
    let test = Embeds::new([answers(1)]);
    test.embed(&[&"tea and jazz, ".repeat(100)]).await.unwrap();
    let sent = &test.inputs()[0][0];
    assert!(sent.starts_with("tea and jazz, tea") && (300..400).contains(&sent.len()), "{}", sent.len());
}

#[tokio::test]
async fn another_dimension_is_refused_with_both_numbers() {
    let four = Reply::status(200, &json!({"data": [{"index": 0, "embedding": [1, 2, 3, 4]}]}));
    let reason = is_refused(&Embeds::new([four])).await;
    assert!(reason.contains("have 4 numbers, and embedding_dim is 3: set embedding_dim to 4"), "{reason}");
}

#[tokio::test]
async fn numbers_that_are_none_cannot_be_used() {
    for number in ["null", "1e39"] {
        let body = format!("{{\"data\": [{{\"index\": 0, \"embedding\": [1, 2, {number}]}}]}}");
        let error = fails(&Embeds::new([Reply::Answer(200, vec![], body)])).await;
        assert!(matches!(error, ModelError::Unusable(_)), "{error}");
    }
}

#[tokio::test]
async fn usage_may_be_missing() {
    let silent = Reply::status(200, &json!({"data": [{"embedding": [1, 2, 3]}]}));
    assert_eq!(Embeds::new([silent]).one().await.unwrap().tokens, 0);
}

#[tokio::test]
async fn dimensions_are_asked_for_where_they_can_be() {
    let test = Embeds::with([answers(1)], |settings| settings.asks_dimensions = true);
    test.one().await.unwrap();
    assert_eq!(test.provider.bodies()[0]["dimensions"], 3);
}

#[tokio::test]
async fn dimensions_that_are_refused_are_left_out_and_what_comes_is_checked() {
    let complaint = || Reply::error(400, "This model does not support specifying dimensions.");
    let script = [complaint(), answers(1), answers(1)];
    let test = Embeds::with(script, |settings| settings.asks_dimensions = true);
    test.one().await.unwrap();
    test.one().await.unwrap();
    let asked: Vec<bool> = test.provider.bodies().iter().map(|body| body.get("dimensions").is_some()).collect();
    assert_eq!(asked, [true, false, false], "found out once");

    let four = Reply::status(200, &json!({"data": [{"index": 0, "embedding": [1, 2, 3, 4]}]}));
    let test = Embeds::with([complaint(), four], |settings| settings.asks_dimensions = true);
    assert!(is_refused(&test).await.contains("set embedding_dim to 4"));

    let test = Embeds::with([complaint(), complaint()], |settings| settings.asks_dimensions = true);
    assert!(is_refused(&test).await.contains("set embedding_dim to a number that embedding_model can give"));
}

#[tokio::test]
async fn jina_is_told_the_purpose() {
    for (tasks, purpose, task) in [
        (true, Purpose::Document, Some("retrieval.passage")),
        (true, Purpose::Query, Some("retrieval.query")),
        (false, Purpose::Query, None),
    ] {
        let test = Embeds::with([answers(1)], |settings| {
            (settings.style, settings.asks_dimensions) = (EmbeddingStyle::Jina { tasks }, tasks);
        });
        test.embedder.embed(&["tea".to_owned()], purpose).await.unwrap();
        let mut expected = json!({"model": "small", "input": ["tea"], "embedding_type": "float", "truncate": true});
        if let Some(task) = task {
            (expected["dimensions"], expected["task"]) = (json!(3), json!(task));
        }
        assert_eq!(test.provider.bodies(), [expected]);
    }
}

/// As DashScope says it: `batch size is invalid, it should not be larger than 10`.
#[tokio::test]
async fn a_refusal_may_be_for_the_number_of_texts() {
    for status in [400, 413, 422] {
        let too_many = || Reply::error(status, "batch size is invalid");
        let script = [too_many(), answers(2), answers(2), answers(2), answers(1)];
        let test = Embeds::new(script);
        let embedded = test.embed(&["a", "b", "c", "d"]).await.unwrap();
        assert_eq!(embedded.vectors.len(), 4);
        test.embed(&["e", "f", "g"]).await.unwrap();
        let counts: Vec<usize> = test.inputs().iter().map(Vec::len).collect();
        assert_eq!(counts, [4, 2, 2, 2, 1], "{status}: found out once");
    }
}

#[tokio::test]
async fn a_text_that_is_refused_is_no_reason_for_smaller_requests() {
    let no = || Reply::error(400, "no");
    let test = Embeds::new([no(), answers(2), no(), no(), answers(4)]);
    let error = test.embed(&["a", "b", "c", "d"]).await.unwrap_err();
    let ModelError::Refused(reason) = &error else { panic!("{error}") };
    assert!(reason.contains("embedding_max_token_size"), "{reason}");
    test.embed(&["e", "f", "g", "h"]).await.unwrap();
    let counts: Vec<usize> = test.inputs().iter().map(Vec::len).collect();
    assert_eq!(counts, [4, 2, 2, 1, 4]);
}

#[tokio::test]
async fn filtered_content_is_not_tried_in_parts() {
    let filtered = json!({"error": {"message": SECRET_TEXT, "code": "content_filter"}});
    let test = Embeds::new([Reply::status(400, &filtered)]);
    let error = test.embed(&["a", "b"]).await.unwrap_err();
    assert!(matches!(error, ModelError::Refused(_)) && test.provider.asked().len() == 1, "{error}");
}

#[tokio::test]
async fn failures_name_the_keys_of_embeddings() {
    let replies = [
        (Reply::error(401, "Incorrect API key provided: sk-very-secret"), "401 (some_error): ", "embedding_api_key"),
        (Reply::error(404, SECRET_TEXT), "404", "check embedding_base_url (most end in /v1) and embedding_model"),
        (Reply::error(429, SECRET_TEXT), "429", "rate limit"),
        (Reply::error(500, SECRET_TEXT), "500", "failed or is overloaded"),
        (Reply::error(501, SECRET_TEXT), "501", "no embeddings at embedding_base_url"),
        (Reply::status(200, &json!({"data": []})), "an answer that cannot be read", "embedding_base_url"),
        (Reply::Answer(200, vec![], "<html>".to_owned()), "an answer that cannot be read", "embedding_base_url"),
        (Reply::Drop, "the connection ended", "overloaded"),
    ];
    for (reply, happened, advice) in replies {
        let (reason, _) = is_away(&Embeds::new([reply])).await;
        assert!(reason.starts_with(happened) && reason.contains(advice), "{reason}");
        assert!(!reason.contains("llm_base_url") && !reason.contains('{'), "{reason}");
    }
}

#[tokio::test]
async fn what_passes_is_tried_again_and_a_long_pause_handed_on() {
    let script = [Reply::error(503, ""), Reply::status(200, &json!({"data": []})), answers(1)];
    let test = Embeds::with(script, |settings| settings.endpoint.max_retries = 2);
    test.one().await.unwrap();
    assert_eq!(test.provider.asked().len(), 3);

    let busy = Reply::error(429, "").header("retry-after", "60");
    let test = Embeds::with([busy], |settings| settings.endpoint.max_retries = 2);
    assert_eq!(is_away(&test).await.1, Some(Duration::from_secs(60)));
    assert_eq!(test.provider.asked().len(), 1);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let test = Embeds::with([Reply::Hang], |settings| settings.endpoint.timeout = Duration::from_millis(200));
    assert!(is_away(&test).await.0.starts_with("no answer within"));
}

#[tokio::test]
async fn whoever_does_not_wait_any_more_ends_the_request() {
    let test = Embeds::new([Reply::Hang]);
    let asked = async {
        tokio::select! {
            _ = test.one() => panic!("it hangs"),
            () = test.provider.wait_asked(1) => {}
        }
    };
    asked.await;
    test.provider.wait_given_up(1).await;
}

#[tokio::test]
async fn the_breaker_is_tried_by_whoever_comes() {
    let script = [Reply::error(500, ""), Reply::error(500, ""), answers(1)];
    let test = Embeds::with(script, |settings| settings.endpoint.breaker_failures = 2);
    is_away(&test).await;
    is_away(&test).await;
    assert_eq!(is_away(&test).await.1, Some(PAUSE), "answered without a request");
    test.clock.advance(PAUSE);
    let query = test.embedder.embed(&["tea".to_owned()], Purpose::Query).await;
    assert_eq!((query.unwrap().vectors.len(), test.provider.asked().len()), (1, 3));
}
