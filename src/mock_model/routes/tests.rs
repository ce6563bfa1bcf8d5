use std::collections::HashSet;

use actix_web::App;
use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, call_service, init_service, read_body, read_body_json};

use super::*;

/// What a mock model with these faults answers to calls, one after the other.
async fn answers(faults: Faults, calls: &[(&str, String)]) -> Vec<(StatusCode, Value)> {
    let app = init_service(App::new().app_data(Data::new(MockModel::new(faults))).configure(configure)).await;
    let mut answers = Vec::new();
    for (path, body) in calls {
        let request = if body.is_empty() { TestRequest::get() } else { TestRequest::post() };
        let response = call_service(&app, request.uri(path).set_payload(body.clone()).to_request()).await;
        let status = response.status();
        assert_eq!(response.headers().contains_key("retry-after"), status == StatusCode::TOO_MANY_REQUESTS);
        answers.push((status, read_body_json(response).await));
    }
    answers
}

fn chat_call() -> (&'static str, String) {
    let messages = json!([{"role": "user", "content": "[1] - user: hello FACT a/b=c"}]);
    ("/v1/chat/completions", json!({"model": "m", "messages": messages}).to_string())
}

async fn one(path: &str, body: &str) -> (StatusCode, Value) {
    answers(Faults::default(), &[(path, body.to_owned())]).await.remove(0)
}

#[actix_web::test]
async fn a_chat_is_answered_in_the_shape_of_openai() {
    let (path, body) = chat_call();
    let (status, answered) = one(path, &body).await;
    assert_eq!(
        (status, &answered["object"], &answered["model"]),
        (StatusCode::OK, &json!("chat.completion"), &json!("m"))
    );
    let content = answered["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(content).unwrap()["profile"][0]["memo"], "c");
    assert_eq!(answered["choices"][0]["finish_reason"], "stop");
}

#[actix_web::test]
async fn an_answer_comes_in_pieces_when_that_is_asked_for() {
    let app = App::new().app_data(Data::new(MockModel::new(Faults::default()))).configure(configure);
    let app = init_service(app).await;
    let messages = json!([{"role": "user", "content": "[1] - user: 我喜欢茶 FACT a/b=茶"}]);
    let call = |stream| {
        let body = json!({"model": "m", "messages": messages, "stream": stream}).to_string();
        TestRequest::post().uri("/v1/chat/completions").set_payload(body).to_request()
    };
    let whole: Value = read_body_json(call_service(&app, call(false)).await).await;
    let response = call_service(&app, call(true)).await;
    assert_eq!(response.headers().get("content-type").unwrap(), "text/event-stream");
    let body = read_body(response).await;
    let events: Vec<&str> = std::str::from_utf8(&body)
        .unwrap()
        .split_terminator("\n\n")
        .map(|e| e.strip_prefix("data: ").unwrap())
        .collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> = events[..4].iter().map(|e| serde_json::from_str(e).unwrap()).collect();
    let content: String = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(whole["choices"][0]["message"]["content"], content);
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
}

#[actix_web::test]
async fn what_is_wrong_with_a_request_is_said_in_the_shape_of_openai() {
    let chat = "/v1/chat/completions";
    for (path, body, param) in [
        (chat, "{", Value::Null),
        (chat, "[]", Value::Null),
        (chat, "{}", json!("messages")),
        (chat, r#"{"messages":[]}"#, json!("messages")),
        ("/v1/embeddings", "{}", json!("input")),
        ("/v1/embeddings", r#"{"input":[1]}"#, json!("input")),
        ("/v1/embeddings", r#"{"input":"x","dimensions":0}"#, json!("dimensions")),
        ("/v1/embeddings", r#"{"input":"x","dimensions":4097}"#, json!("dimensions")),
        ("/v1/embeddings", r#"{"input":"x","encoding_format":"hex"}"#, json!("encoding_format")),
    ] {
        let (status, answered) = one(path, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body}");
        let error = &answered["error"];
        assert_eq!(
            (&error["type"], &error["param"], &error["code"]),
            (&json!("invalid_request_error"), &param, &Value::Null)
        );
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(one("/nowhere", "").await.0, StatusCode::NOT_FOUND);
    assert_eq!(one(chat, &" ".repeat(MAX_BODY_BYTES + 1)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(one(chat, &" ".repeat(MAX_BODY_BYTES)).await.0, StatusCode::BAD_REQUEST);
    let too_many = json!({"input": vec!["x"; MAX_INPUTS + 1]}).to_string();
    assert_eq!(one("/v1/embeddings", &too_many).await.0, StatusCode::BAD_REQUEST);
}

#[actix_web::test]
async fn embeddings_are_numbers_or_base64() {
    let (_, plain) = one("/v1/embeddings", r#"{"input":["tea","jazz"],"dimensions":3}"#).await;
    let (_, packed) = one("/v1/embeddings", r#"{"input":"jazz","dimensions":3,"encoding_format":"base64"}"#).await;
    let numbers: Vec<f32> = serde_json::from_value(plain["data"][1]["embedding"].clone()).unwrap();
    assert_eq!((numbers.len(), &plain["data"][1]["index"]), (3, &json!(1)));
    assert_eq!(packed["data"][0]["embedding"], base64(&numbers));
    assert_eq!(plain["usage"]["prompt_tokens"], 3);
    let (_, usual) = one("/v1/embeddings", r#"{"input":"tea"}"#).await;
    assert_eq!(usual["data"][0]["embedding"].as_array().unwrap().len(), 384);
}

#[actix_web::test]
async fn models_health_and_stats() {
    assert_eq!(one("/v1/models", "").await.1["data"][0]["id"], MODEL);
    assert_eq!(one("/health", "").await.0, StatusCode::OK);
    let mut calls = vec![chat_call(); 40];
    calls.extend([("/v1/embeddings", r#"{"input":"x"}"#.to_owned()), ("/stats", String::new())]);
    let faults = Faults { errors: 1.0, ..Faults::default() };
    let (_, stats) = answers(faults, &calls).await.pop().unwrap();
    let faults = json!({"errors": 41, "garbage": 0, "hang": 0, "drop": 0});
    assert_eq!(stats, json!({"calls": 41, "chat": 40, "embeddings": 1, "faults": faults}));
}

#[actix_web::test]
async fn errors_and_garbage_come_in_all_kinds_and_repeat() {
    let calls = vec![chat_call(); 60];
    let errors = answers(Faults { errors: 1.0, ..Faults::default() }, &calls).await;
    let statuses: HashSet<_> = errors.iter().map(|(status, _)| status.as_u16()).collect();
    assert_eq!(statuses, [429, 500].into());
    let faults = Faults { garbage: 1.0, ..Faults::default() };
    let garbage = answers(faults.clone(), &calls).await;
    let contents: HashSet<_> = garbage.iter().map(|(_, a)| a["choices"][0]["message"]["content"].clone()).collect();
    assert_eq!(contents.len(), Garbage::ALL.len());
    assert!(contents.contains(&Value::Null) && contents.contains(&json!("")));
    let cut = garbage.iter().find(|(_, a)| a["choices"][0]["finish_reason"] == "length").unwrap();
    let content = cut.1["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(content.starts_with(r#"{"gists""#) && serde_json::from_str::<Value>(content).is_err());
    // But for the part of the prompt that was cached, which is none here.
    assert_eq!(answers(faults, &calls).await, garbage);
}
