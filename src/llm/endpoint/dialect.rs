use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::value::RawValue;

use super::Prompt;
use super::failure::{Cause, Failure};

/// Models whose dialect is remembered. A configuration names a few; with more, all are found out anew.
const MAX_MODELS: usize = 64;

/// Which parameters of a request a model understands.
///
/// Starts with all of them, and gives one up whenever the provider complains about it. Each step leaves fewer, so
/// that there is an end to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Dialect {
    format: Format,
    temperature: bool,
    token_limit: TokenLimit,
}

/// How a model is told to answer in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    /// `response_format` with the schema.
    Schema,
    /// `response_format` that asks for any object; the schema is in the prompt.
    Object,
    /// The schema in the prompt alone.
    Prompt,
}

/// How a model is told the longest answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum TokenLimit {
    MaxCompletionTokens,
    /// The name that it had before OpenAI's reasoning models.
    MaxTokens,
}

/// The body of a request.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: Vec<MessageBody<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<FormatBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
}

#[derive(Serialize)]
struct MessageBody<'a> {
    role: &'static str,
    content: Cow<'a, str>,
}

#[derive(Serialize)]
struct FormatBody<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<SchemaBody<'a>>,
}

#[derive(Serialize)]
struct SchemaBody<'a> {
    name: &'static str,
    schema: &'a RawValue,
    strict: bool,
}

/// What a request asks for beyond its messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes {
    pub(super) temperature: Option<f32>,
    pub(super) max_completion_tokens: Option<u32>,
}

impl Dialect {
    const FULL: Self = Self { format: Format::Schema, temperature: true, token_limit: TokenLimit::MaxCompletionTokens };

    /// The body of a request.
    pub(super) fn body(self, prompt: &Prompt, wishes: Wishes) -> Body<'_> {
        let schema = &*prompt.schema;
        let mut system = Cow::Borrowed(prompt.system.text());
        if self.format != Format::Schema {
            let told = "\n\nAnswer with one JSON object that fits this JSON schema: ";
            system = Cow::Owned([prompt.system.text(), told, schema.json.get()].concat());
        }
        let messages = prompt.messages.iter().map(|(role, text)| (*role, Cow::Borrowed(text.text())));
        let messages = std::iter::once(("system", system)).chain(messages);
        let messages = messages.map(|(role, content)| MessageBody { role, content }).collect();
        let response_format = match self.format {
            Format::Schema => {
                let json_schema = SchemaBody { name: schema.name, schema: &schema.json, strict: true };
                Some(FormatBody { kind: "json_schema", json_schema: Some(json_schema) })
            }
            Format::Object => Some(FormatBody { kind: "json_object", json_schema: None }),
            Format::Prompt => None,
        };
        // Over its text, which is as short as it was written: 0.2 and not 0.20000000298023224.
        let written = |value: f32| value.to_string().parse().unwrap_or_else(|_| f64::from(value));
        let limit = |kind: TokenLimit| wishes.max_completion_tokens.filter(|_| self.token_limit == kind);
        Body {
            model: &prompt.model,
            messages,
            stream: false,
            response_format,
            temperature: wishes.temperature.filter(|_| self.temperature).map(written),
            max_completion_tokens: limit(TokenLimit::MaxCompletionTokens),
            max_tokens: limit(TokenLimit::MaxTokens),
        }
    }

    /// What to try after a failure: the same with less, or nothing.
    ///
    /// Some providers refuse a format without a word about it, so that a 400 that complains about nothing is tried
    /// once without the schema before it is believed.
    pub(super) fn after(self, failure: &Failure, wishes: Wishes) -> Option<Self> {
        let Cause::Status(status) = failure.cause else { return None };
        let complaints = failure.said.complaints;
        let refused = matches!(status, 400 | 422);
        let limited = wishes.max_completion_tokens.is_some() && self.token_limit == TokenLimit::MaxCompletionTokens;
        if refused && limited && complaints.token_limit {
            return Some(Self { token_limit: TokenLimit::MaxTokens, ..self });
        }
        if refused && wishes.temperature.is_some() && self.temperature && complaints.temperature {
            return Some(Self { temperature: false, ..self });
        }
        let format = match self.format {
            Format::Schema => Format::Object,
            Format::Object | Format::Prompt => Format::Prompt,
        };
        let unknown_format = complaints.format && matches!(status, 400 | 404 | 415 | 422 | 501);
        let in_doubt = status == 400 && self.format == Format::Schema && failure.may_be_about_the_format();
        (format != self.format && (unknown_format || in_doubt)).then_some(Self { format, ..self })
    }

    /// What it leaves out, in words for the log.
    fn without(self) -> String {
        let format = match self.format {
            Format::Schema => None,
            Format::Object => Some("json_schema (json_object instead)"),
            Format::Prompt => Some("response_format"),
        };
        let temperature = (!self.temperature).then_some("temperature");
        let limit = (self.token_limit == TokenLimit::MaxTokens).then_some("max_completion_tokens (max_tokens instead)");
        [format, temperature, limit].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// What is known of the models of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Dialects(Mutex<HashMap<String, Dialect>>);

impl Dialects {
    /// The dialect of a model; of an unknown one, all there is.
    pub(super) fn of(&self, model: &str) -> Dialect {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(model).copied().unwrap_or(Dialect::FULL)
    }

    /// Remembers what a model has understood. Says so once.
    pub(super) fn understood(&self, model: &str, dialect: Dialect) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(model).copied().unwrap_or(Dialect::FULL) == dialect {
            return;
        }
        if known.len() >= MAX_MODELS {
            known.clear();
        }
        known.insert(model.to_owned(), dialect);
        tracing::warn!(model, without = dialect.without(), "the model is called with less than was asked for");
    }
}
