//! The application as far as it goes without an engine: routing, access, limits, and what is malformed.

use actix_web::body::to_bytes;
use actix_web::dev::Service;
use actix_web::http::{Method, header};
use actix_web::middleware::from_fn;
use actix_web::test::{self, TestRequest};
use serde_json::{Value, json};

use super::*;

mod allocations;

pub(super) const USER: &str = "4b77e467-effa-4330-87f3-fee5bae39696";

pub(super) fn settings() -> Settings {
    Settings {
        project: "__root__".into(),
        access_token: Some(AccessToken::new("secret").unwrap()),
        max_body_bytes: 1000,
        cors_origins: vec!["https://app.example".to_owned()],
        workers: 1,
    }
}

pub(super) struct Shown {
    pub(super) status: u16,
    headers: header::HeaderMap,
    pub(super) body: Value,
}

impl Shown {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The types and places of a 422.
    fn problems(&self) -> Value {
        assert_eq!(self.status, 422, "{}", self.body);
        let problems = self.body["detail"].as_array().unwrap();
        problems.iter().map(|p| json!([p["type"], p["loc"]])).collect()
    }
}

pub(super) async fn ask_with(settings: Settings, request: TestRequest) -> Shown {
    let app = test::init_service(app(settings)).await;
    let (status, headers, body) = match app.call(request.to_request()).await {
        Ok(response) => {
            let (status, headers) = (response.status(), response.headers().clone());
            (status, headers, to_bytes(response.into_body()).await.ok().unwrap())
        }
        Err(error) => {
            let response = error.error_response();
            let (status, headers) = (response.status(), response.headers().clone());
            (status, headers, to_bytes(response.into_body()).await.unwrap())
        }
    };
    let body =
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap_or_else(|_| json!("no JSON")) };
    Shown { status: status.as_u16(), headers, body }
}

pub(super) async fn ask(request: TestRequest) -> Shown {
    ask_with(settings(), request.insert_header(("Authorization", "Bearer secret"))).await
}

pub(super) fn at(method: Method, path: &str) -> TestRequest {
    TestRequest::with_uri(path).method(method)
}

pub(super) fn api(method: Method, path: &str) -> TestRequest {
    at(method, &format!("/api/v1{path}"))
}

#[actix_web::test]
async fn the_health_check_asks_for_nothing() {
    let shown = ask_with(settings(), api(Method::GET, "/healthcheck")).await;
    assert_eq!((shown.status, shown.body.clone()), (200, json!({"data": null, "errno": 0, "errmsg": ""})));
    assert!(shown.header("x-process-time").parse::<f64>().unwrap() >= 0.0);
    assert_eq!(ask_with(settings(), api(Method::HEAD, "/healthcheck")).await.status, 200);
    let open = Settings { access_token: None, ..settings() };
    assert_eq!(ask_with(open, api(Method::GET, "/healthcheck").insert_header(("Host", "x.example"))).await.status, 200);
}

#[actix_web::test]
async fn unknown_paths_and_methods() {
    for path in ["/api/v1/nope", "/nope", "//api/v1/healthcheck", "/api/v1/users/"] {
        let shown = ask(at(Method::GET, path)).await;
        assert_eq!((shown.status, shown.body), (404, json!({"detail": "Not Found"})), "{path}");
    }
    let shown = ask(api(Method::GET, "/users")).await;
    assert_eq!((shown.status, shown.body.clone()), (405, json!({"detail": "Method Not Allowed"})));
    assert_eq!(shown.header("allow"), "POST");
    let shown = ask(api(Method::PATCH, &format!("/users/{USER}"))).await;
    assert_eq!((shown.status, shown.header("allow")), (405, "GET, PUT, DELETE"));
    assert!(!shown.header("x-request-id").is_empty());
}

#[actix_web::test]
async fn no_spelling_of_a_path_gets_past_the_token() {
    for path in [format!("/api/v1/users/{USER}"), format!("/%61pi/v1/users/{USER}"), "/api/v1/nope".to_owned()] {
        let shown = ask_with(settings(), at(Method::GET, &path)).await;
        assert_eq!((shown.status, shown.body["errno"].clone()), (401, json!(401)), "{path}");
        assert_eq!(shown.header("www-authenticate"), "Bearer");
        let told = shown.body.to_string();
        assert!(!told.contains(USER), "an answer without a token repeats nothing");
        let named = if path.starts_with("/api/v1/users") { "/api/v1/users/{user_id}" } else { "this path" };
        assert!(told.contains(named), "{told}");
    }
}

#[actix_web::test]
async fn without_a_token_only_this_machine_is_answered() {
    let open = || Settings { access_token: None, ..settings() };
    let local = || api(Method::GET, "/users/fake").insert_header(("Host", "localhost:8019"));
    assert_eq!(ask_with(open(), local()).await.status, 422);
    let foreign = ask_with(open(), local().insert_header(("Origin", "https://evil.example"))).await;
    assert_eq!((foreign.status, foreign.body["errno"].clone()), (403, json!(403)));
    assert_eq!(
        ask_with(open(), api(Method::GET, "/users/fake").insert_header(("Host", "a.example"))).await.status,
        403
    );
}

#[actix_web::test]
async fn web_pages_of_known_origins_may_ask_first() {
    let preflight = |origin: &str| {
        api(Method::OPTIONS, "/users")
            .insert_header(("Origin", origin.to_owned()))
            .insert_header(("Access-Control-Request-Method", "POST"))
            .insert_header(("Access-Control-Request-Headers", "authorization"))
    };
    let known = ask_with(settings(), preflight("https://app.example")).await;
    assert_eq!((known.status, known.header("access-control-allow-origin")), (200, "https://app.example"));
    let other = ask_with(settings(), preflight("https://evil.example")).await;
    assert_eq!(other.header("access-control-allow-origin"), "");
    let refused =
        ask_with(settings(), api(Method::GET, "/users").insert_header(("Origin", "https://app.example"))).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, "https://app.example"));
}

#[actix_web::test]
async fn request_ids_come_back() {
    let shown = ask(api(Method::GET, "/nope").insert_header(("X-Request-ID", "r-1"))).await;
    assert_eq!(shown.header("x-request-id"), "r-1");
}

#[actix_web::test]
async fn all_that_is_wrong_is_told_at_once() {
    let insert = api(Method::POST, "/blobs/insert/fake?wait_process=maybe").set_payload(r#"{"blob_type": "Chat"}"#);
    assert_eq!(
        ask(insert).await.problems(),
        json!([
            ["uuid_parsing", ["path", "user_id", "uuid"]],
            ["uuid_parsing", ["path", "user_id", "uuid"]],
            ["bool_parsing", ["query", "wait_process"]],
            ["enum", ["body", "blob_type"]],
            ["missing", ["body", "blob_data"]],
        ])
    );
    // The fast way through a good body must not pass over a bad path.
    let insert = api(Method::POST, "/blobs/insert/fake");
    let insert = insert.set_payload(r#"{"blob_type": "doc", "blob_data": {"content": "x"}}"#);
    assert_eq!(ask(insert).await.problems().as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn bodies_are_checked() {
    let post = |body: &'static str| api(Method::POST, "/users").set_payload(body);
    let missing = json!([["missing", ["body"]]]);
    assert_eq!(ask(api(Method::POST, "/users")).await.problems(), missing);
    assert_eq!(ask(post("null")).await.problems(), missing);
    assert_eq!(ask(post("[]")).await.problems(), json!([["model_attributes_type", ["body"]]]));
    assert_eq!(ask(post("{\"data\": ")).await.problems(), json!([["json_invalid", ["body", 9]]]));
    assert_eq!(ask(post("{\"data\": \"x\"}")).await.problems(), json!([["dict_type", ["body", "data"]]]));
    let form = post("{}").insert_header(("Content-Type", "text/plain"));
    assert_eq!(ask(form).await.problems(), json!([["model_attributes_type", ["body"]]]));
    let list = api(Method::PUT, &format!("/users/{USER}")).set_payload("[]");
    assert_eq!(ask(list).await.problems(), json!([["dict_type", ["body"]]]));
    let bytes = ask(api(Method::POST, "/users").set_payload(&b"{\"data\": {\"a\": \"\xFF\"}}"[..])).await;
    assert_eq!((bytes.status, bytes.body["detail"].is_string()), (400, true));
    let large = ask(api(Method::POST, "/users").set_payload(vec![b' '; 1001])).await;
    assert_eq!((large.status, large.body["errno"].clone()), (413, json!(413)));
    assert!(large.body["errmsg"].as_str().unwrap().contains("max_body_bytes (1000)"));
}

#[actix_web::test]
async fn limits_name_their_parameter() {
    for (path, parameter) in [
        ("profile/{}?topk=-1", "topk"),
        ("profile/{}?max_token_size=-5", "max_token_size"),
        ("profile/{}?max_subtopic_size=-1", "max_subtopic_size"),
        ("blobs/{}/chat?page=-1", "page"),
        ("blobs/{}/chat?page_size=10001", "page_size"),
        ("event/{}?topk=-1", "topk"),
        ("event/search/{}?query=x&time_range_in_days=-1", "time_range_in_days"),
        ("event_gist/search/{}?query=x&topk=10001", "topk"),
        ("event_tags/search/{}?topk=-1", "topk"),
        ("context/{}?max_token_size=1000001", "max_token_size"),
        ("context/{}?profile_event_ratio=0", "profile_event_ratio"),
        ("context/{}?profile_event_ratio=1.5", "profile_event_ratio"),
        ("context/{}?profile_event_ratio=nan", "profile_event_ratio"),
    ] {
        let shown = ask(api(Method::GET, &format!("/users/{}", path.replace("{}", USER)))).await;
        let problems = shown.problems();
        assert_eq!((problems.as_array().unwrap().len(), &problems[0][1]), (1, &json!(["query", parameter])), "{path}");
    }
}

#[actix_web::test]
async fn past_the_checks_the_engine_is_asked() {
    let chats = "chats_str=%5B%7B%22role%22%3A%22user%22%2C%22content%22%3A%22x%22%7D%5D";
    // It is not there.
    for path in [
        format!("/users/profile/{USER}?{chats}"),
        format!("/users/context/{USER}?{chats}&full_profile_and_only_search_event=false"),
        format!("/users/profile/{USER}?chats_str=%5B%5D&topic_limits_json="),
        format!("/users/context/{USER}?full_profile_and_only_search_event=false"),
        format!("/users/context/{USER}?{chats}"),
    ] {
        let shown = ask(api(Method::GET, &path)).await;
        assert_eq!((shown.status, shown.body["errno"].clone()), (200, json!(500)), "{path}");
    }
}

#[actix_web::test]
async fn a_panic_is_answered() {
    async fn boom() -> HttpResponse {
        panic!("boom")
    }
    let app = App::new().route("/boom", get().to(boom)).wrap(from_fn(trace::observe));
    let app = test::init_service(app).await;
    let request = TestRequest::with_uri("/boom").insert_header(("X-Request-ID", "r-1")).to_request();
    let response = app.call(request).await.err().unwrap().error_response();
    assert_eq!(
        (response.status().as_u16(), response.headers().get("x-request-id").unwrap().as_bytes()),
        (500, &b"r-1"[..])
    );
    let body: Value = serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
    assert_eq!((&body["errno"], &body["data"]), (&json!(500), &Value::Null));
    assert!(!body.to_string().contains("boom"));
}

/// What a server without an engine answers to these bytes on one connection, until it closes.
fn exchange(listener: &TcpListener, sent: &[u8]) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(sent).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[actix_web::test]
async fn a_large_body_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = HttpServer::new(move || app(settings())).workers(1).disable_signals();
    let server = server.listen(listener.try_clone().unwrap()).unwrap().run();
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);
    let head = "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n";
    let declared = format!("{head}Content-Length: 8000000\r\n\r\n{}", " ".repeat(8_000_000));
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(1 << 20));
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(8) + "0\r\n\r\n");
    let answers = web::block(move || [declared, chunked].map(|sent| exchange(&listener, sent.as_bytes())));
    for answer in answers.await.unwrap() {
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer:?}");
        assert!(answer.contains("max_body_bytes (1000)"), "{answer:?}");
    }
    handle.stop(false).await;
    running.await.unwrap().unwrap();
}

#[actix_web::test]
async fn who_never_ends_a_body_loses_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = HttpServer::new(move || app(settings())).workers(1).disable_signals();
    // Well above half a second: so coarse is the framework's clock, and a deadline in the past never rings.
    let server = server.client_disconnect_timeout(Duration::from_secs(1));
    let server = server.listen(listener.try_clone().unwrap()).unwrap().run();
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);
    let post = |path: &str, token: &str, body: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{body}")
    };
    let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n";
    let declared = "Content-Length: 900\r\n\r\n{\"a\":";
    let unended = [
        (401, post("/api/v1/users", "wrong", chunked)),
        (401, post("/api/v1/users", "wrong", declared)),
        (404, post("/nope", "secret", chunked)),
        (405, post("/api/v1/healthcheck", "secret", chunked)),
        (422, post("/api/v1/users/buffer/fake/chat", "secret", chunked)),
    ];
    // The exchange ends when the server closes; it would time out otherwise.
    let at_once = move || {
        let listener = &listener;
        std::thread::scope(|scope| {
            unended
                .map(|(status, sent)| (status, scope.spawn(move || exchange(listener, sent.as_bytes()))))
                .map(|(status, thread)| (status, thread.join().unwrap()))
        })
    };
    for (status, answer) in web::block(at_once).await.unwrap() {
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer:?}");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer:?}");
    }
    handle.stop(false).await;
    running.await.unwrap().unwrap();
}

#[actix_web::test]
async fn a_chunked_body_that_is_read_keeps_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = HttpServer::new(move || app(settings())).workers(1).disable_signals();
    let server = server.listen(listener.try_clone().unwrap()).unwrap().run();
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);
    let head = "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n";
    let first = format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n");
    let last = format!("{head}Connection: close\r\nContent-Length: 2\r\n\r\n[]");
    let answer = web::block(move || exchange(&listener, format!("{first}{last}").as_bytes())).await.unwrap();
    assert_eq!(answer.matches("HTTP/1.1 422 ").count(), 2, "{answer:?}");
    handle.stop(false).await;
    running.await.unwrap().unwrap();
}
