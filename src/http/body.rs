//! The body of a request: read within limits, mended, parsed.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::{self, Bytes};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use serde_json::Value;

use super::invalid::Problems;
use super::repair::repair_escapes;
use super::reply::Failure;

/// The time in which a body must have arrived: slow enough for 16 MiB over a poor line, and an end to a client
/// that never finishes.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// What is set aside for a body before any of it has come, in bytes at most: a client's word for its length costs
/// it nothing.
const MAX_EARLY_ALLOCATION: usize = 64 * 1024;

/// What is read of a body beyond its limit, in bytes, before its client is cut off.
const MAX_DISCARDED: usize = 64 << 20;

/// Keys and values in a body at most. Each takes some 80 bytes of memory, however short it is.
const MAX_VALUES: usize = 1_000_000;

/// The largest body, in bytes (`max_body_bytes`).
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimit(pub(super) usize);

/// A body: text, with the escapes mended that no store accepts (see [`repair_escapes`]).
#[derive(Debug)]
pub(super) struct Body {
    text: String,
    is_json: bool,
}

impl Body {
    /// The text, if it is declared as JSON. Parse this first where speed counts.
    pub(super) fn json(&self) -> Option<&str> {
        self.is_json.then_some(self.text.as_str())
    }

    /// The document. Notes a problem and returns none when there is none.
    pub(super) fn value(&self, problems: &mut Problems) -> Option<Value> {
        if self.text.is_empty() {
            problems.note("missing", vec!["body".into()], "required");
            return None;
        }
        if !self.is_json {
            problems.note(
                "model_attributes_type",
                vec!["body".into()],
                "must be JSON, with Content-Type application/json",
            );
            return None;
        }
        match serde_json::from_str(&self.text) {
            Ok(Value::Null) => {
                problems.note("missing", vec!["body".into()], "required");
                None
            }
            Ok(value) => Some(value),
            Err(error) => {
                let at = position(&self.text, &error);
                problems.note("json_invalid", vec!["body".into(), at.into()], "must be valid JSON");
                None
            }
        }
    }
}

/// Where JSON ends to be valid, in characters from 0.
fn position(text: &str, error: &serde_json::Error) -> usize {
    let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    // The column counts bytes from 1; at the end of the text it is the last byte, and what is missing comes after.
    let column = if error.is_eof() { error.column() } else { error.column().saturating_sub(1) };
    let end = (line_start + column).min(text.len());
    String::from_utf8_lossy(&text.as_bytes()[..end]).chars().count()
}

impl FromRequest for Body {
    type Error = Failure;
    type Future = LocalBoxFuture<'static, Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limit = request.app_data::<web::Data<BodyLimit>>().map_or(0, |limit| limit.0);
        let declared = header_text(request, header::CONTENT_LENGTH).and_then(|text| text.parse::<usize>().ok());
        let is_json = is_json(header_text(request, header::CONTENT_TYPE));
        let payload = payload.take();
        Box::pin(async move {
            let reading = read(payload, declared.unwrap_or(0), limit);
            let bytes = tokio::time::timeout(BODY_TIMEOUT, reading)
                .await
                .map_err(|_| Failure::TooSlow { limit: BODY_TIMEOUT })??;
            let text = text(bytes)?;
            // Each value but the last has a sign behind it: most bodies need no look.
            if text.len() > 2 * MAX_VALUES && values(&text) > MAX_VALUES {
                return Err(Failure::TooManyValues { limit: MAX_VALUES });
            }
            Ok(Self { text, is_json })
        })
    }
}

/// Reads a body. One that is too large is read on, but not kept, since most clients listen for an answer only when
/// they have sent all.
async fn read(mut payload: Payload, declared: usize, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::with_capacity(declared.min(MAX_EARLY_ALLOCATION));
    let mut length = 0;
    while let Some(chunk) = payload.next().await {
        let chunk: Bytes = chunk.map_err(|_| Failure::Unreadable("the body did not come to its end"))?;
        length += chunk.len();
        if length > limit.saturating_add(MAX_DISCARDED) {
            break;
        }
        if length > limit {
            bytes = Vec::new();
        } else {
            bytes.extend_from_slice(&chunk);
        }
    }
    if length > limit { Err(Failure::TooLarge { limit }) } else { Ok(bytes) }
}

fn text(mut bytes: Vec<u8>) -> Result<String, Failure> {
    repair_escapes(&mut bytes);
    String::from_utf8(bytes).map_err(|_| Failure::Unreadable("the body is not valid UTF-8"))
}

/// How many keys and values JSON has, at most: the signs that stand before one, outside of strings.
fn values(json: &str) -> usize {
    let (mut count, mut in_string, mut escaped) = (1, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b':' | b'[' | b'{' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

fn header_text(request: &HttpRequest, name: header::HeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}

/// JSON is what has no Content-Type, or that of JSON or of something made of it (`application/…+json`).
fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return true };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

#[cfg(any(test, feature = "fuzzing"))]
impl Body {
    /// A body of JSON, as if it had been sent.
    ///
    /// # Errors
    /// When it is not text.
    pub(super) fn of_json(bytes: Vec<u8>) -> Result<Self, Failure> {
        Ok(Self { text: text(bytes)?, is_json: true })
    }
}

#[cfg(test)]
impl Body {
    /// [`Body::of_json`] of text.
    pub(super) fn of(json: &str) -> Self {
        Self::of_json(json.as_bytes().to_vec()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use serde_json::json;

    use super::*;

    fn wrong(body: &Body) -> Value {
        let mut problems = Problems::default();
        assert_eq!(body.value(&mut problems), None);
        let mut shown = serde_json::to_value(&problems).unwrap();
        shown[0].as_object_mut().unwrap().remove("msg");
        shown
    }

    #[test]
    fn what_is_no_json_is_placed() {
        for (text, at) in [("{\"data\": ", 9), ("{\"a\": tru}", 9), ("{\"é\":\n x}", 7), ("[1,]", 3), ("nul", 3)] {
            assert_eq!(wrong(&Body::of(text)), json!([{"type": "json_invalid", "loc": ["body", at]}]), "{text}");
        }
        for nothing in ["", "null", " null "] {
            assert_eq!(wrong(&Body::of(nothing)), json!([{"type": "missing", "loc": ["body"]}]));
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let bomb = Body::of(&"[".repeat(1_000_000));
        assert_eq!(wrong(&bomb)[0]["type"], "json_invalid");
        let bomb = Body::of(&r#"{"a":"#.repeat(1_000_000));
        assert_eq!(wrong(&bomb)[0]["type"], "json_invalid");
    }

    #[test]
    fn content_types() {
        for json in
            [None, Some("application/json"), Some("Application/JSON; charset=utf-8"), Some("application/a+json")]
        {
            assert!(is_json(json), "{json:?}");
        }
        for other in ["text/plain", "application/x-www-form-urlencoded", "", "text/x+json"] {
            assert!(!is_json(Some(other)), "{other}");
        }
    }

    async fn extract(request: TestRequest) -> Result<Body, Failure> {
        let (request, mut payload) = request.app_data(web::Data::new(BodyLimit(10))).to_http_parts();
        Body::from_request(&request, &mut payload).await
    }

    #[actix_web::test]
    async fn bodies_have_a_limit() {
        assert!(extract(TestRequest::post().set_payload("0123456789")).await.is_ok());
        let over = extract(TestRequest::post().set_payload("0123456789a")).await;
        assert!(matches!(over, Err(Failure::TooLarge { limit: 10 })), "{over:?}");
    }

    #[actix_web::test]
    async fn bodies_have_so_many_values_and_any_text() {
        let body = async |text: String| {
            let limit = web::Data::new(BodyLimit(16 << 20));
            let (request, mut payload) = TestRequest::post().app_data(limit).set_payload(text).to_http_parts();
            Body::from_request(&request, &mut payload).await
        };
        let many = |count: usize| format!("[{}1]", "1,".repeat(count - 2));
        assert!(body(many(MAX_VALUES)).await.is_ok());
        for over in [many(MAX_VALUES + 1), format!("[{}1]", "{},".repeat(MAX_VALUES))] {
            assert!(matches!(body(over).await, Err(Failure::TooManyValues { .. })));
        }
        let text = format!(r#"["\\\"{}"]"#, "[,{:".repeat(MAX_VALUES));
        assert!(body(text).await.is_ok());
    }

    #[actix_web::test]
    async fn bodies_are_text() {
        let invalid = extract(TestRequest::post().set_payload(vec![0xFF])).await;
        assert!(matches!(invalid, Err(Failure::Unreadable(_))), "{invalid:?}");
        let mended = extract(TestRequest::post().set_payload(r#""\ud800""#)).await.unwrap();
        assert_eq!(mended.json(), Some(r#""\ufffd""#));
    }
}
