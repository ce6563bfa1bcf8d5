use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde_json::Value;

/// Longest pause that a provider can ask for. A wrong header must not put a memory to sleep for ever.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);
/// Longest identifier that is taken over from a provider, in bytes. Real ones are shorter than half of it.
const MAX_IDENTIFIER_BYTES: usize = 64;

/// What of a provider's error is kept: nothing that could repeat a prompt.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct ProviderError {
    /// Its codes and types, as `invalid_request_error`: letters, digits, `_`, `.` and `-`.
    pub(super) identifiers: Vec<String>,
    /// The parameters it complains about.
    pub(super) complaints: Complaints,
    /// It says that its filter was at work, without an identifier for that.
    pub(super) filtered: bool,
    /// The pause that it asks for in its body (Gemini).
    pub(super) retry_after: Option<Duration>,
    /// The status that it gives in its body.
    pub(super) status: Option<u16>,
}

/// Parameters of a request that a provider may not know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Complaints {
    /// `response_format`, or the schema in it.
    pub(super) format: bool,
    /// `temperature`.
    pub(super) temperature: bool,
    /// `max_completion_tokens`.
    pub(super) token_limit: bool,
    /// `dimensions`, of an embedding.
    pub(super) dimensions: bool,
}

impl Complaints {
    fn of(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        Self {
            format: text.contains("response_format") || text.contains("response format") || text.contains("schema"),
            temperature: text.contains("temperature"),
            token_limit: text.contains("max_completion_tokens"),
            dimensions: text.contains("dimension"),
        }
    }

    fn any(self) -> bool {
        self.format || self.temperature || self.token_limit || self.dimensions
    }
}

impl ProviderError {
    /// Reads the body of an answer that is no success.
    ///
    /// Known forms: `{"error": {"message", "type", "param", "code"}}` (OpenAI; llama.cpp with a number as code), the
    /// same in a list (Gemini), `{"error": "text"}` (Ollama), `{"message", …}` (old vLLM), `{"detail": …}`
    /// (FastAPI), and text or HTML of whatever stands in between.
    pub(super) fn of_body(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::of_error(reported(&value).unwrap_or(&value)),
            Err(_) => Self { complaints: Complaints::of(&String::from_utf8_lossy(body)), ..Self::default() },
        }
    }

    /// Reads the error that a success reports, when it does.
    pub(super) fn of_success(value: &Value) -> Option<Self> {
        reported(value).or_else(|| reported(value.get("choices")?.get(0)?)).map(Self::of_error)
    }

    fn of_error(error: &Value) -> Self {
        let text = |key: &str| error.get(key).and_then(Value::as_str);
        let details = || error.get("details").and_then(Value::as_array).into_iter().flatten();
        let message = text("message").or(error.as_str()).map_or_else(|| error.to_string(), str::to_owned);
        // Whoever names the parameter means it; prose may speak of others too, or repeat the request.
        let named = Complaints::of(text("param").unwrap_or_default());
        let complaints = if named.any() { named } else { Complaints::of(&message) };
        let code = error.get("code").and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        let mut identifiers: Vec<String> = Vec::new();
        let reasons = details().filter_map(|detail| detail.get("reason")?.as_str());
        for identifier in [text("type"), text("status"), text("code")].into_iter().flatten().chain(reasons) {
            let known = identifiers.iter().any(|one| one == identifier);
            if is_identifier(identifier) && !known && identifiers.len() < 4 {
                identifiers.push(identifier.to_owned());
            }
        }
        // DeepSeek has no code for it.
        if message.eq_ignore_ascii_case("model not exist") {
            identifiers.push("model_not_found".to_owned());
        }
        Self {
            identifiers,
            complaints,
            filtered: error.pointer("/metadata/flagged_input").is_some(),
            retry_after: details().find_map(|detail| seconds(detail.get("retryDelay")?.as_str()?.strip_suffix('s')?)),
            status: code.and_then(|code| u16::try_from(code).ok()).filter(|code| (400..600).contains(code)),
        }
    }
}

/// The error in an answer, also in a list of one.
fn reported(value: &Value) -> Option<&Value> {
    match value {
        Value::Array(items) => items.first().filter(|item| item.is_object()).and_then(reported),
        _ => value.get("error").filter(|error| error.is_object() || error.is_string()),
    }
}

/// Short, and of an alphabet in which no sentence can be written; neither a number nor a spelled-out nothing.
fn is_identifier(text: &str) -> bool {
    (1..=MAX_IDENTIFIER_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        && text.bytes().any(|b| b.is_ascii_alphabetic())
        && !["none", "null"].contains(&text.to_ascii_lowercase().as_str())
}

/// When an answer asks to be called again: `retry-after-ms` (OpenAI, Azure), or `Retry-After` in seconds or as a date.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = text("retry-after-ms").and_then(seconds).map(|length| length / 1_000);
    millis.or_else(|| {
        let value = text("retry-after")?;
        seconds(value).or_else(|| until(rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?, now))
    })
}

/// A length in seconds, with a limit.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(MAX_RETRY_AFTER.as_secs_f64())))
}

/// The time until then, with a limit; nothing for the past.
fn until(then: Timestamp, now: Timestamp) -> Option<Duration> {
    let length = Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO);
    Some(length.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use memory::ports::Clock as _;
    use memory::testing::ManualClock;
    use serde_json::json;

    use super::*;

    fn of(body: &Value) -> ProviderError {
        ProviderError::of_body(body.to_string().as_bytes())
    }

    #[test]
    fn the_forms_of_an_error() {
        let identifiers = |body: Value| of(&body).identifiers.join(" ");
        let openai =
            json!({"error": {"message": "No.", "type": "invalid_request_error", "param": null, "code": "x-1"}});
        assert_eq!(identifiers(openai), "invalid_request_error x-1");
        let llama = of(&json!({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}));
        assert_eq!((llama.identifiers.join(" "), llama.status), ("unavailable_error".to_owned(), Some(503)));
        let gemini = of(&json!([{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
            "details": [{"reason": "API_KEY_INVALID"}, {"retryDelay": "34.5s"}]}}]));
        assert_eq!(gemini.identifiers.join(" "), "INVALID_ARGUMENT API_KEY_INVALID");
        assert_eq!(gemini.retry_after, Some(Duration::from_millis(34_500)));
        let vllm = json!({"object": "error", "message": "No.", "type": "NotFoundError", "code": 404});
        assert_eq!(identifiers(vllm), "NotFoundError");
        assert_eq!(identifiers(json!({"error": {"message": "Model Not Exist"}})), "model_not_found");
        assert!(of(&json!({"error": {"code": 403, "metadata": {"flagged_input": "…"}}})).filtered);
        for nothing in [json!("text"), json!([]), json!(7), json!({"error": null}), json!({"detail": [{"type": "x"}]})]
        {
            assert_eq!(identifiers(nothing), "");
        }
        assert_eq!(ProviderError::of_body(b"<html>Bad gateway</html>"), ProviderError::default());
        assert_eq!(ProviderError::of_body(b"\xff\xfe"), ProviderError::default());
    }

    #[test]
    fn prose_is_no_identifier() {
        for bad in ["", "I am sad", "naïve", "None", "null", "42", &"x".repeat(65)] {
            assert!(of(&json!({"error": {"type": bad, "code": bad, "status": bad}})).identifiers.is_empty(), "{bad:?}");
        }
        assert_eq!(of(&json!({"error": {"type": "x".repeat(64)}})).identifiers.len(), 1);
    }

    #[test]
    fn complaints_are_found_in_the_parameter_then_in_the_text() {
        let complaints = |body: Value| of(&body).complaints;
        let format = Complaints { format: true, ..Complaints::default() };
        let temperature = Complaints { temperature: true, ..Complaints::default() };
        let both = Complaints { temperature: true, format: true, ..Complaints::default() };
        let prose = "Unsupported value: 'temperature' with this response_format";
        assert_eq!(complaints(json!({"error": {"message": prose, "param": "temperature"}})), temperature);
        assert_eq!(complaints(json!({"error": {"message": prose, "param": "None"}})), both);
        assert_eq!(complaints(json!({"error": "json_schema is not supported"})), format);
        assert_eq!(complaints(json!({"detail": [{"loc": ["body", "temperature"]}]})), temperature);
        assert_eq!(ProviderError::of_body(b"unknown field response_format").complaints, format);
    }

    #[test]
    fn the_forms_of_retry_after() {
        let clock = ManualClock::new();
        let asked = |pairs: &[(&'static str, &str)]| {
            let headers = pairs.iter().map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).unwrap())
            });
            retry_after(&headers.collect(), clock.now())
        };
        let after = |value: &str| asked(&[("retry-after", value)]);
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after(" 0.25 "), Some(Duration::from_millis(250)));
        assert_eq!(after("Sun, 01 Jun 2025 00:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(after("Sat, 31 May 2025 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(after("Mon, 01 Jun 2026 00:00:00 GMT"), Some(MAX_RETRY_AFTER));
        assert_eq!(after("1e300"), Some(MAX_RETRY_AFTER));
        for nonsense in ["", "-1", "NaN", "soon"] {
            assert_eq!(after(nonsense), None, "{nonsense}");
        }
        assert_eq!(asked(&[]), None);
        assert_eq!(asked(&[("retry-after", "9"), ("retry-after-ms", "1500")]), Some(Duration::from_millis(1_500)));
        assert_eq!(asked(&[("retry-after", "9"), ("retry-after-ms", "?")]), Some(Duration::from_secs(9)));
    }
}
