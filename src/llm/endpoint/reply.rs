use memory::ports::Usage;
use serde_json::Value;

use super::Completion;
use super::failure::{Cause, Failure};
use super::provider::ProviderError;

/// Reads a chat completion, whatever is missing in it that can be done without.
///
/// # Errors
/// When it reports an error, was filtered or refused, or is no chat completion.
pub(super) fn completion(value: &Value) -> Result<Completion, Failure> {
    if let Some(failure) = reported(value) {
        return Err(failure);
    }
    let choices = value.get("choices").and_then(Value::as_array);
    let choice = choices.ok_or_else(|| unreadable("it has no choices"))?.first();
    let choice = choice.ok_or_else(|| unreadable("its choices are empty"))?;
    let message = choice.get("message").filter(|message| message.is_object());
    let message = message.ok_or_else(|| unreadable("it has no message"))?;
    let finish_reason = choice.get("finish_reason").and_then(Value::as_str).unwrap_or_default();
    let text = text(message.get("content"))?;
    let refused = message.get("refusal").and_then(Value::as_str).is_some_and(|refusal| !refusal.is_empty());
    // Gemini adds which of its filters it was, after a colon.
    if refused || finish_reason.starts_with("content_filter") {
        return Err(Failure::new(Cause::Filtered));
    }
    // OpenRouter and DeepSeek, when the model broke off.
    if matches!(finish_reason, "error" | "insufficient_system_resource") {
        return Err(Failure::new(Cause::Reported));
    }
    // The second name is Mistral's.
    let cut_off = matches!(finish_reason, "length" | "model_length");
    Ok(Completion { text, usage: usage(value.get("usage")), cut_off })
}

/// The failure that a success reports, when it does.
pub(super) fn reported(value: &Value) -> Option<Failure> {
    let said = ProviderError::of_success(value)?;
    let invalid = said.identifiers.iter().any(|identifier| identifier == "invalid_request_error");
    let cause = said.status.or(invalid.then_some(400)).map_or(Cause::Reported, Cause::Status);
    Some(Failure { cause, retry_after: said.retry_after, said })
}

pub(super) fn unreadable(what: &'static str) -> Failure {
    Failure::new(Cause::Unreadable(what))
}

/// The text of a message: a string, a list of parts, or nothing.
fn text(content: Option<&Value>) -> Result<String, Failure> {
    match content {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let refused = parts.iter().any(|part| part.get("refusal").is_some_and(Value::is_string));
            let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
            if refused { Err(Failure::new(Cause::Filtered)) } else { Ok(texts.collect()) }
        }
        Some(_) => Err(unreadable("its content is no text")),
    }
}

/// What it cost, when it says so.
fn usage(usage: Option<&Value>) -> Option<Usage> {
    let usage = usage?;
    let tokens = |pointer: &str| {
        let tokens = usage.pointer(pointer).and_then(Value::as_u64);
        tokens.map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX))
    };
    let (input, output) = (tokens("/prompt_tokens"), tokens("/completion_tokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let input = input.unwrap_or_default();
    // The second place is DeepSeek's.
    let cached = tokens("/prompt_tokens_details/cached_tokens").or_else(|| tokens("/prompt_cache_hit_tokens"));
    Some(Usage { input, cached: cached.unwrap_or_default().min(input), output: output.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An answer with one choice.
    fn choice(message: &Value, finish_reason: &str) -> Value {
        json!({"choices": [{"message": message, "finish_reason": finish_reason}]})
    }

    fn cause(value: &Value) -> Cause {
        completion(value).unwrap_err().cause
    }

    #[test]
    fn content_comes_as_text_as_parts_or_not_at_all() {
        let text = |content: Value| completion(&choice(&json!({"content": content}), "stop")).unwrap().text;
        assert_eq!(text(json!("{}")), "{}");
        assert_eq!(text(json!([{"type": "text", "text": "{"}, {"type": "x"}, {"text": "}"}])), "{}");
        assert_eq!(text(json!(null)), "");
        assert_eq!(completion(&json!({"choices": [{"message": {}}]})).unwrap().text, "");
    }

    #[test]
    fn an_answer_that_was_cut_off() {
        for (reason, cut_off) in [("stop", false), ("length", true), ("model_length", true)] {
            assert_eq!(completion(&choice(&json!({"content": "{"}), reason)).unwrap().cut_off, cut_off, "{reason}");
        }
    }

    #[test]
    fn filtered_refused_and_broken_off() {
        let message = json!({"content": "no"});
        assert_eq!(cause(&choice(&message, "content_filter")), Cause::Filtered);
        assert_eq!(cause(&choice(&message, "content_filter: SAFETY")), Cause::Filtered);
        assert_eq!(cause(&choice(&json!({"refusal": "I will not."}), "stop")), Cause::Filtered);
        let parts = json!({"content": [{"type": "refusal", "refusal": "I will not."}]});
        assert_eq!(cause(&choice(&parts, "stop")), Cause::Filtered);
        assert_eq!(cause(&choice(&message, "error")), Cause::Reported);
        assert!(completion(&choice(&json!({"content": "{}", "refusal": ""}), "stop")).is_ok());
    }

    #[test]
    fn errors_inside_a_success() {
        assert_eq!(cause(&json!({"error": {"message": "Away.", "code": 502}})), Cause::Status(502));
        assert_eq!(cause(&json!([{"error": {"message": "Away.", "code": "429"}}])), Cause::Status(429));
        assert_eq!(cause(&json!({"error": {"message": "Away."}, "choices": []})), Cause::Reported);
        assert_eq!(cause(&json!({"error": {"message": "No.", "type": "invalid_request_error"}})), Cause::Status(400));
        let mut inside = choice(&json!({"content": "{"}), "error");
        inside["choices"][0]["error"] = json!({"code": 503, "message": "Away."});
        assert_eq!(cause(&inside), Cause::Status(503));
        let mut none = choice(&json!({"content": "{}"}), "stop");
        none["error"] = Value::Null;
        assert!(completion(&none).is_ok());
    }

    #[test]
    fn what_is_no_chat_completion() {
        let message = choice(&json!("text"), "stop");
        let content = choice(&json!({"content": 7}), "stop");
        for bad in
            [json!({}), json!([]), json!("text"), json!({"choices": []}), json!({"choices": {}}), message, content]
        {
            assert!(matches!(cause(&bad), Cause::Unreadable(_)), "{bad}");
        }
    }

    #[test]
    fn usage_is_read_where_it_stands() {
        let of = |told: Value| usage(Some(&told));
        let all = |input, cached, output| Some(Usage { input, cached, output });
        let openai = json!({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}});
        assert_eq!(of(openai), all(9, 8, 3));
        assert_eq!(of(json!({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4, "completion_tokens": 3})), all(9, 4, 3));
        assert_eq!(of(json!({"prompt_tokens": 9, "prompt_tokens_details": null})), all(9, 0, 0));
        assert_eq!(of(json!({"prompt_tokens": 9, "prompt_cache_hit_tokens": 10})), all(9, 9, 0));
        assert_eq!(of(json!({"completion_tokens": 1e300})), None);
        assert_eq!(of(json!({"completion_tokens": u64::MAX})), all(0, 0, u32::MAX));
        assert_eq!(of(json!({})), None);
        assert_eq!(of(json!(null)), None);
        assert_eq!(usage(None), None);
    }
}
