//! The routes.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::HttpResponse;
use actix_web::web::{self, Bytes, Data, PayloadConfig, ServiceConfig};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::contract::answer;
use super::faults::{Fault, Faults, Garbage};
use super::reply::{Failure, closed};
use super::usage::Meter;
use super::vector::{base64, vector};

/// Bytes of a request body at most.
const MAX_BODY_BYTES: usize = 32 << 20;
/// Texts of one call for embeddings at most: OpenAI's own limit.
const MAX_INPUTS: usize = 2_048;
/// Numbers of an embedding when the call names no other: as those of small local models, whose texts are short.
const DEFAULT_DIMENSIONS: u64 = 384;
/// Numbers of an embedding at most.
const MAX_DIMENSIONS: u64 = 4_096;
/// The name of the model when a call names none.
const MODEL: &str = "mock-model";

/// What the routes share.
pub(super) struct MockModel {
    faults: Faults,
    meter: Meter,
    stats: Stats,
}

/// Calls and faults since the start.
#[derive(Default)]
struct Stats {
    chat: AtomicU64,
    embeddings: AtomicU64,
    calls: AtomicU64,
    errors: AtomicU64,
    garbage: AtomicU64,
    hang: AtomicU64,
    drop: AtomicU64,
}

impl MockModel {
    pub(super) fn new(faults: Faults) -> Self {
        Self { faults, meter: Meter::new(), stats: Stats::default() }
    }

    /// Answers when its time has come since the call arrived, which the work on the answer is a part of.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> T {
        let due = Instant::now() + self.faults.latency;
        let done = work.await;
        if !self.faults.latency.is_zero() {
            sleep_until(due).await;
        }
        done
    }

    /// Counts a call, and lets it go wrong if its number says so. What is left to go wrong is the content of the answer.
    async fn admit(&self) -> Result<Admission, Failure> {
        let number = 1 + self.stats.calls.fetch_add(1, Ordering::Relaxed);
        let fault = self.faults.of_call(number);
        let count = match fault {
            None => None,
            Some(Fault::Broken | Fault::Busy) => Some(&self.stats.errors),
            Some(Fault::Garbage(_)) => Some(&self.stats.garbage),
            Some(Fault::Hang) => Some(&self.stats.hang),
            Some(Fault::Drop) => Some(&self.stats.drop),
        };
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        match fault {
            None => Ok(Admission::Answer { number, garbage: None }),
            Some(Fault::Garbage(kind)) => Ok(Admission::Answer { number, garbage: Some(kind) }),
            Some(Fault::Broken) => Err(Failure::Broken),
            Some(Fault::Busy) => Err(Failure::Busy),
            Some(Fault::Hang) => pending().await,
            Some(Fault::Drop) => Ok(Admission::Drop),
        }
    }
}

/// What becomes of a call.
enum Admission {
    /// It is answered, well or badly.
    Answer {
        /// Of the call.
        number: u64,
        /// How badly.
        garbage: Option<Garbage>,
    },
    /// Its connection is closed.
    Drop,
}

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .app_data(PayloadConfig::new(MAX_BODY_BYTES))
        .route("/v1/chat/completions", web::post().to(chat))
        .route("/v1/embeddings", web::post().to(embeddings))
        .route("/v1/models", web::get().to(models))
        .route("/health", web::get().to(health))
        .route("/stats", web::get().to(stats))
        .default_service(web::to(not_found));
}

type Body = Result<Bytes, actix_web::Error>;

/// The JSON object of a body. Its Content-Type does not matter.
fn object(body: Body) -> Result<Value, Failure> {
    let body = body.map_err(|error| match error.as_response_error().status_code().as_u16() {
        413 => Failure::TooLarge { limit: MAX_BODY_BYTES },
        _ => Failure::invalid("the body did not come to its end", None),
    })?;
    let value = serde_json::from_slice::<Value>(&body);
    let value = value.map_err(|error| Failure::invalid(format!("the body is not valid JSON: {error}"), None))?;
    if value.is_object() { Ok(value) } else { Err(Failure::invalid("the body must be a JSON object", None)) }
}

async fn chat(model: Data<MockModel>, body: Body) -> Result<HttpResponse, Failure> {
    model.in_time(answer_chat(&model, body)).await
}

async fn answer_chat(model: &MockModel, body: Body) -> Result<HttpResponse, Failure> {
    model.stats.chat.fetch_add(1, Ordering::Relaxed);
    let Admission::Answer { number, garbage } = model.admit().await? else { return Ok(closed()) };
    let request = object(body)?;
    let is_list =
        request["messages"].as_array().is_some_and(|m| !m.is_empty() && m.iter().all(|m| m["role"].is_string()));
    if !is_list {
        return Err(Failure::invalid("messages must be a list of {role, content}, not empty", Some("messages")));
    }
    let (content, finish_reason) = spoilt(answer(&request), garbage);
    if request["stream"] == true {
        return Ok(streamed(&request, number, content.as_deref().unwrap_or_default(), finish_reason));
    }
    let usage = model.meter.chat(&request, content.as_deref().unwrap_or_default());
    Ok(HttpResponse::Ok().json(json!({
        "id": format!("chatcmpl-mock-{number}"),
        "object": "chat.completion",
        "created": 0,
        "model": request["model"].as_str().unwrap_or(MODEL),
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": content, "refusal": null},
            "logprobs": null,
            "finish_reason": finish_reason,
        }],
        "usage": usage,
    })))
}

/// The answer in pieces, as server-sent events: the role, the content in two halves, the end.
fn streamed(request: &Value, number: u64, content: &str, finish_reason: &str) -> HttpResponse {
    let half = content.char_indices().nth(content.chars().count() / 2).map_or(0, |(at, _)| at);
    let (first, second) = content.split_at(half);
    let deltas = [
        (json!({"role": "assistant", "content": ""}), None),
        (json!({"content": first}), None),
        (json!({"content": second}), None),
        (json!({}), Some(finish_reason)),
    ];
    let mut events = String::new();
    for (delta, finish_reason) in deltas {
        let chunk = json!({
            "id": format!("chatcmpl-mock-{number}"),
            "object": "chat.completion.chunk",
            "created": 0,
            "model": request["model"].as_str().unwrap_or(MODEL),
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}],
        });
        events.push_str(&format!("data: {chunk}\n\n"));
    }
    events.push_str("data: [DONE]\n\n");
    HttpResponse::Ok().content_type("text/event-stream").body(events)
}

/// What a bad answer makes of the right one, and why it ended.
fn spoilt(answer: String, garbage: Option<Garbage>) -> (Option<String>, &'static str) {
    let content = match garbage {
        None => answer,
        Some(Garbage::Prose) => "I am sorry, but I would rather talk about the weather.".to_owned(),
        Some(Garbage::Truncated) => {
            let half = answer.chars().count() / 2;
            return (Some(answer.chars().take(half).collect()), "length");
        }
        Some(Garbage::Empty) => String::new(),
        Some(Garbage::Null) => return (None, "stop"),
        Some(Garbage::Fenced) => format!("Here is what I found:\n\n```json\n{answer}\n```\n\nAnything else?"),
    };
    (Some(content), "stop")
}

async fn embeddings(model: Data<MockModel>, body: Body) -> Result<HttpResponse, Failure> {
    model.in_time(answer_embeddings(&model, body)).await
}

async fn answer_embeddings(model: &MockModel, body: Body) -> Result<HttpResponse, Failure> {
    model.stats.embeddings.fetch_add(1, Ordering::Relaxed);
    let Admission::Answer { garbage, .. } = model.admit().await? else { return Ok(closed()) };
    let request = object(body)?;
    let inputs = inputs(&request["input"])?;
    let dimensions = dimensions(&request["dimensions"])?;
    let is_base64 = match request["encoding_format"].as_str() {
        Some("base64") => true,
        None | Some("float") => false,
        _ => return Err(Failure::invalid("encoding_format must be float or base64", Some("encoding_format"))),
    };
    let embed = |(index, text): (usize, &&str)| {
        let numbers = vector(text, dimensions);
        let embedding = if is_base64 { json!(base64(&numbers)) } else { json!(numbers) };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    let answered = if garbage.is_some() { &[][..] } else { &inputs[..] };
    let tokens = inputs.iter().fold(0_u32, |sum, text| sum.saturating_add(model.meter.count(text)));
    Ok(HttpResponse::Ok().json(json!({
        "object": "list",
        "data": answered.iter().enumerate().map(embed).collect::<Vec<_>>(),
        "model": request["model"].as_str().unwrap_or(MODEL),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })))
}

fn inputs(input: &Value) -> Result<Vec<&str>, Failure> {
    let texts = match input {
        Value::String(text) => Some(vec![text.as_str()]),
        Value::Array(texts) => texts.iter().map(Value::as_str).collect(),
        _ => None,
    };
    texts.filter(|texts| (1..=MAX_INPUTS).contains(&texts.len())).ok_or_else(|| {
        Failure::invalid(format!("input must be a text or a list of 1 to {MAX_INPUTS} texts"), Some("input"))
    })
}

fn dimensions(dimensions: &Value) -> Result<usize, Failure> {
    let number = if dimensions.is_null() { Some(DEFAULT_DIMENSIONS) } else { dimensions.as_u64() };
    let number = number.filter(|number| (1..=MAX_DIMENSIONS).contains(number)).and_then(|n| usize::try_from(n).ok());
    number.ok_or_else(|| Failure::invalid(format!("dimensions must be from 1 to {MAX_DIMENSIONS}"), Some("dimensions")))
}

async fn models() -> HttpResponse {
    let model = json!({"id": MODEL, "object": "model", "created": 0, "owned_by": "powermemo"});
    HttpResponse::Ok().json(json!({"object": "list", "data": [model]}))
}

async fn health() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

async fn stats(model: Data<MockModel>) -> HttpResponse {
    let stats = &model.stats;
    let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
    HttpResponse::Ok().json(json!({
        "calls": get(&stats.calls),
        "chat": get(&stats.chat),
        "embeddings": get(&stats.embeddings),
        "faults": {
            "errors": get(&stats.errors),
            "garbage": get(&stats.garbage),
            "hang": get(&stats.hang),
            "drop": get(&stats.drop),
        },
    }))
}

async fn not_found() -> Result<HttpResponse, Failure> {
    Err(Failure::NotFound)
}

#[cfg(test)]
mod tests;
