use std::io::Write;
use std::process::Command;

use tracing_subscriber::fmt::MakeWriter;

use super::*;

#[tokio::test]
async fn a_call_and_its_answer() {
    let test = Fixture::new([Reply::text("{}")]);
    let usage = Some(Usage { input: 20, cached: 8, output: 5 });
    assert_eq!(test.call().await.unwrap(), Completion { text: "{}".to_owned(), usage, cut_off: false });
    let asked = &test.provider.asked()[0];
    assert_eq!(asked.target, "/v1/chat/completions");
    assert_eq!(asked.header("authorization"), [format!("Bearer {KEY}")]);
    assert_eq!(asked.header("content-type"), ["application/json"]);
    assert!(asked.header("user-agent")[0].starts_with("powermemo/"));
    assert_eq!(
        asked.body,
        json!({
            "model": "small",
            "messages": [
                {"role": "system", "content": "You extract."},
                {"role": "user", "content": SECRET_TEXT},
                {"role": "assistant", "content": "{"},
            ],
            "stream": false,
            "temperature": 0.2,
            "max_completion_tokens": 700,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "draft", "strict": true, "schema": prompt().schema.json},
            },
        })
    );
}

#[tokio::test]
async fn nothing_is_sent_that_is_not_set() {
    let test = Fixture::with([Reply::text("{}")], |settings| {
        settings.api_key = None;
        settings.temperature = None;
        settings.max_completion_tokens = None;
    });
    test.text().await;
    let asked = &test.provider.asked()[0];
    assert!(asked.header("authorization").is_empty());
    for name in ["openai-organization", "openai-project"] {
        assert!(asked.header(name).is_empty(), "{name}");
    }
    let keys: Vec<&String> = asked.body.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
}

#[tokio::test]
async fn headers_and_query_of_the_settings() {
    let secrets = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect()
    };
    let test = Fixture::with([Reply::text("{}")], |settings| {
        settings.base_url.push('/');
        settings.query = secrets(&[("api-version", "2024-10-21"), ("a b", "c&d")]);
        settings.headers = secrets(&[
            ("api-key", "azure"),
            ("Authorization", "Basic x"),
            ("Content-Type", "application/json; charset=utf-8"),
        ]);
    });
    test.text().await;
    let asked = &test.provider.asked()[0];
    assert_eq!(asked.target, "/v1/chat/completions?a+b=c%26d&api-version=2024-10-21");
    assert_eq!(asked.header("api-key"), ["azure"]);
    assert_eq!(asked.header("authorization"), ["Basic x"], "instead of ours");
    assert_eq!(asked.header("content-type"), ["application/json; charset=utf-8"]);
}

#[test]
fn settings_that_cannot_be_sent() {
    let bad = |change: fn(&mut EndpointSettings)| {
        let mut settings = settings("http://127.0.0.1:1/v1");
        change(&mut settings);
        let error = Endpoint::new(&settings, Arc::new(ManualClock::new()), Arc::new(Twenty)).err().unwrap();
        let shown = format!("{error:?}");
        assert!(!shown.contains("secret"), "{shown}");
        error.to_string()
    };
    assert!(bad(|s| s.base_url = "api.openai.com/v1".to_owned()).contains("llm_base_url"));
    assert!(bad(|s| s.base_url = "ftp://127.0.0.1/v1".to_owned()).contains("llm_base_url"));
    assert!(bad(|s| s.base_url = "http://127.0.0.1/v1?key=secret".to_owned()).contains("llm_openai_default_query"));
    assert!(bad(|s| s.api_key = Some(SecretString::from("secret\n1"))).contains("llm_api_key"));
    assert!(bad(|s| drop(s.headers.insert("a b".to_owned(), SecretString::from("x")))).contains("\"a b\""));
    assert!(bad(|s| drop(s.headers.insert("x".to_owned(), SecretString::from("secret\r\n")))).contains("\"x\""));
    assert!(bad(|s| drop(s.headers.insert("Host".to_owned(), SecretString::from("x")))).contains("host"));
}

#[tokio::test]
async fn a_redirect_does_not_take_the_key_along() {
    let elsewhere = Scripted::start([Reply::text("{}")]);
    let there = format!("{}/chat/completions", elsewhere.url);
    let test = Fixture::new([Reply::error(307, "").header("location", &there)]);
    assert!(unavailable(test.call().await).0.contains("llm_base_url"));
    assert!(elsewhere.asked().is_empty());
}

#[test]
fn secrets_are_not_shown() {
    let mut settings = settings("http://127.0.0.1:1/v1");
    settings.headers.insert("api-key".to_owned(), SecretString::from(KEY));
    settings.query.insert("key".to_owned(), SecretString::from(KEY));
    let headers = transport::headers(&settings, Service::Chat).unwrap();
    assert_eq!(headers.len(), 3);
    for shown in [format!("{settings:?}"), format!("{headers:?}")] {
        assert!(!shown.contains(KEY), "{shown}");
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_given_up_and_not_tried_again() {
    let test = Fixture::with([Reply::Hang], |settings| {
        settings.timeout = Duration::from_millis(200);
        settings.max_retries = 3;
    });
    let (reason, _) = unavailable(test.call().await);
    assert!(reason.contains("llm_timeout_seconds"), "{reason}");
    assert!(test.seen() <= 1 && test.pauses().is_empty());
}

#[tokio::test]
async fn nobody_there() {
    let gone = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let test = Fixture::with([], |settings| settings.base_url = format!("http://{gone}/v1"));
    let (reason, _) = unavailable(test.call().await);
    assert_eq!(reason, "no connection, connection refused: check llm_base_url and the network");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read_to_its_end() {
    let body = format!("{{\"choices\": [], \"x\": \"{}\"}}", "x".repeat(8 << 20));
    let test = Fixture::with([Reply::Answer(200, vec![], body)], |settings| settings.max_retries = 3);
    let (reason, _) = unavailable(test.call().await);
    assert!(reason.contains("8388608 bytes"), "{reason}");
    assert_eq!(test.seen(), 1);
    let error = Reply::Answer(503, vec![], "x".repeat(1 << 20));
    assert!(unavailable(Fixture::new([error]).call().await).0.starts_with("503"));
}

/// What async-openai would take from the environment. The process of a test cannot set it, so it starts another.
#[test]
fn no_variable_of_the_environment_is_used() {
    let names = ["OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"];
    let test = "llm::endpoint::tests::calls::nothing_is_sent_that_is_not_set";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]).envs(names.map(|name| (name, "http://127.0.0.1:1/from-the-environment")));
    command.envs(["HTTP_PROXY", "http_proxy", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:1")));
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains("1 passed"), "{shown}");
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn neither_content_nor_keys_are_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let echo = format!("{SECRET_TEXT} {KEY}");
    let script = [
        Reply::error(500, &echo),
        Reply::error(400, &format!("no json_schema: {echo}")),
        Reply::text(&echo),
        Reply::Answer(200, vec![], echo.clone()),
        Reply::Answer(200, vec![], format!("{{\"choices\": \"{echo}\"}}")),
        Reply::Answer(502, vec![], echo.clone()),
        Reply::Drop,
    ];
    let calls = script.len() - 1;
    let test = Fixture::with(script, |settings| {
        settings.breaker_failures = 3;
        settings.headers = BTreeMap::from([("api-key".to_owned(), SecretString::from(KEY))]);
        settings.query = BTreeMap::from([("key".to_owned(), SecretString::from(KEY))]);
    });
    for _ in 0..calls {
        if let Err(error) = test.call().await {
            assert_no_secret(&error);
        }
        test.clock.advance(PAUSE);
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for expected in ["500 (some_error)", "the model answered", "less than was asked for", "not called for a while"] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    assert!(!log.contains(KEY) && !log.contains(SECRET_TEXT), "{log}");
}
