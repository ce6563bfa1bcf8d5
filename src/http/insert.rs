//! The body of an insert. It is the hot path of the service, so it is parsed twice: straight into types, and only
//! when that fails through a document tree, which tells what is wrong.

use jiff::Timestamp;
use memory::blob::{BlobData, BlobType, Message, TranscriptStamp};
use memory::ids::BlobId;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::PartialSchema as _;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use super::body::Body;
use super::input::{BLOB_TYPES, Input};
use super::invalid::{Problems, Step};
use super::messages::{self, Object};
use super::node::Node;
use super::openapi::parameters::{OWN_ID_PATTERN, nullable, typed};
use super::reply::Failure;
use super::{parse, stamp};

/// What a client inserts.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Insert {
    pub(super) data: BlobData,
    pub(super) fields: Option<Map<String, Value>>,
    pub(super) created_at: Option<Timestamp>,
    /// The id that the client has chosen for it.
    pub(super) blob_id: Option<BlobId>,
}

#[derive(Deserialize)]
struct Typed<'a> {
    blob_type: BlobType,
    #[serde(default)]
    blob_id: Option<String>,
    #[serde(borrow)]
    blob_data: &'a RawValue,
    #[serde(default)]
    fields: Option<Map<String, Value>>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct Chat {
    messages: Vec<Object<Message>>,
}

#[derive(Deserialize)]
struct Summary {
    summary: String,
}

#[derive(Deserialize)]
struct Transcript {
    transcripts: Vec<Object<TranscriptStamp>>,
}

#[derive(Deserialize)]
struct Code {
    #[serde(default)]
    language: Option<String>,
    content: String,
    #[serde(default)]
    src: Option<String>,
}

#[derive(Deserialize)]
struct Doc {
    content: String,
}

/// Reads an insert straight into types. None: read it again with [`read`].
pub(super) fn read_typed(body: &Body) -> Option<Insert> {
    let Object(typed) = serde_json::from_str::<Object<Typed<'_>>>(body.json()?).ok()?;
    let instant = |text: Option<String>| match text {
        None => Some(None),
        Some(text) => stamp::read_text(&text).map(Some),
    };
    let (created_at, _) = (instant(typed.created_at)?, instant(typed.updated_at)?);
    let blob_id = typed.blob_id.map(|text| parse::own_id(&text)).transpose().ok()?.map(BlobId);
    let data = typed_data(typed.blob_type, typed.blob_data.get())?;
    Some(Insert { data, fields: typed.fields, created_at, blob_id })
}

/// Reads `blob_data`. None when it has not the shape of its type, and for images.
pub(crate) fn typed_data(blob_type: BlobType, json: &str) -> Option<BlobData> {
    fn parse<'de, T: Deserialize<'de>>(json: &'de str) -> Option<T> {
        serde_json::from_str::<Object<T>>(json).ok().map(|Object(data)| data)
    }
    Some(match blob_type {
        BlobType::Chat => {
            let Chat { messages } = parse(json)?;
            BlobData::Chat { messages: messages.into_iter().map(|Object(m)| m).collect() }
        }
        BlobType::Summary => {
            let Summary { summary } = parse(json)?;
            BlobData::Summary { summary }
        }
        BlobType::Transcript => {
            let Transcript { transcripts } = parse(json)?;
            BlobData::Transcript { transcripts: transcripts.into_iter().map(|Object(t)| t).collect() }
        }
        BlobType::Code => {
            let Code { language, content, src } = parse(json)?;
            BlobData::Code { language: language.unwrap_or_default(), content, src }
        }
        BlobType::Doc => {
            let Doc { content } = parse(json)?;
            BlobData::Doc { content }
        }
        BlobType::Image => return None,
    })
}

/// Reads an insert through a document tree.
///
/// # Errors
/// HTTP 422 with all that is wrong with the request. When nothing is, but `blob_data` does not fit its
/// `blob_type`: errno 400, or 501 for images.
pub(super) fn read(mut input: Input<'_>, body: &Body) -> Result<Insert, Failure> {
    let request = input.model(body, |root, problems| {
        let blob_type = blob_type(root.get("blob_type"), problems);
        let data = root.get("blob_data").map(problems);
        let fields = root.get("fields").optional_map(problems);
        let created_at = root.get("created_at").optional_instant(problems);
        root.get("updated_at").optional_instant(problems);
        let blob_id = root.get("blob_id").optional_own_id(problems).map(BlobId);
        Some((blob_type, data, fields, created_at, blob_id))
    });
    input.finish()?;
    // Without a problem there is a request.
    let Some((blob_type, data, fields, created_at, blob_id)) = request else { return Err(Problems::default().into()) };
    let (mut problems, value) = (Problems::default(), Value::Object(data));
    let root = Node::root(&value, vec![Step::from("blob_data")]);
    let Some(data) = data_of(blob_type, &root, &mut problems) else {
        return Err(Failure::not_implemented("blobs of type image are not supported"));
    };
    if !problems.is_empty() {
        return Err(Failure::bad_request(format!("not a blob of type {blob_type}: {}", problems.sentence())));
    }
    Ok(Insert { data, fields, created_at, blob_id })
}

fn blob_type(node: Node<'_>, problems: &mut Problems) -> BlobType {
    node.choice(problems, "enum", BLOB_TYPES, |name| name.parse().ok()).unwrap_or(BlobType::Chat)
}

/// None for images.
fn data_of(blob_type: BlobType, root: &Node<'_>, problems: &mut Problems) -> Option<BlobData> {
    Some(match blob_type {
        BlobType::Chat => BlobData::Chat { messages: messages::read(root.get("messages"), problems) },
        BlobType::Summary => BlobData::Summary { summary: root.get("summary").string(problems) },
        BlobType::Transcript => {
            BlobData::Transcript { transcripts: root.get("transcripts").list(problems, transcript) }
        }
        BlobType::Code => BlobData::Code {
            language: root.get("language").optional_string(problems).unwrap_or_default(),
            content: root.get("content").string(problems),
            src: root.get("src").optional_string(problems),
        },
        BlobType::Doc => BlobData::Doc { content: root.get("content").string(problems) },
        BlobType::Image => return None,
    })
}

fn transcript(item: &Node<'_>, problems: &mut Problems) -> TranscriptStamp {
    let mut stamp = TranscriptStamp {
        content: String::new(),
        start_timestamp_in_seconds: 0.0,
        end_timestamp_in_seconds: None,
        speaker: None,
    };
    if item.is_object(problems, "model_type") {
        stamp.content = item.get("content").string(problems);
        stamp.start_timestamp_in_seconds = item.get("start_timestamp_in_seconds").number(problems);
        let (end, short) = (item.get("end_time_timestamp_in_seconds"), item.get("end_timestamp_in_seconds"));
        stamp.end_timestamp_in_seconds = if end.is_none() { short } else { end }.optional_number(problems);
        stamp.speaker = item.get("speaker").optional_string(problems);
    }
    stamp
}

/// The schema of an insert.
pub(super) fn schema() -> ObjectBuilder {
    let fields = nullable(Type::Object);
    let own_id = nullable(Type::String).pattern(Some(OWN_ID_PATTERN));
    ObjectBuilder::new()
        .property("blob_type", BlobType::schema())
        .property("blob_data", data_schema())
        .property("blob_id", own_id.description(Some("Its id, if the client chooses it: sent again, it counts once.")))
        .property("fields", fields.description(Some("Whatever the client wants to keep with it.")))
        .property("created_at", stamp::sent())
        .property("updated_at", stamp::sent())
        .required("blob_type")
        .required("blob_data")
}

/// The schema of `blob_data`: one of several shapes.
pub(super) fn data_schema() -> RefOr<Schema> {
    let text = || typed(Type::String);
    let shape = |says: &str, name: &str, schema: RefOr<Schema>| {
        ObjectBuilder::new().description(Some(says)).property(name, schema).required(name)
    };
    let code = shape("code", "content", text().into())
        .property("language", nullable(Type::String))
        .property("src", nullable(Type::String));
    let messages = ArrayBuilder::new().items(Message::schema()).into();
    let transcripts = ArrayBuilder::new().items(TranscriptStamp::schema()).into();
    AnyOfBuilder::new()
        .description(Some("Its shape depends on the blob_type."))
        .item(shape("chat", "messages", messages))
        .item(shape("summary", "summary", text().into()))
        .item(shape("transcript", "transcripts", transcripts))
        .item(code)
        .item(shape("doc", "content", text().into()))
        .into()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    use super::*;

    /// What the slow path makes of a body: an insert, or the kind of its refusal.
    fn slow(json: &str) -> Result<Insert, String> {
        let request = TestRequest::default().to_http_request();
        read(Input::new(&request), &Body::of(json)).map_err(|failure| match failure {
            Failure::Invalid(problems) => problems.sentence(),
            Failure::Refused { errno, message } => format!("{errno} {message}"),
            other => other.to_string(),
        })
    }

    #[test]
    fn every_type_of_blob_is_read_both_ways() {
        for data in [
            r#""chat", "blob_data": {"messages": [{"role": "user", "content": "hi", "alias": "Jo", "more": 1}]}"#,
            r#""chat", "blob_data": {"messages": [], "more": 2}"#,
            r#""summary", "blob_data": {"summary": "s"}"#,
            r#""doc", "blob_data": {"content": "d"}"#,
            r#""code", "blob_data": {"language": "rust", "content": "c"}"#,
            r#""code", "blob_data": {"language": null, "content": "c"}"#,
            r#""code", "blob_data": {"content": "c"}"#,
            r#""transcript", "blob_data": {"transcripts": [{"content": "x", "start_timestamp_in_seconds": 0}]}"#,
            r#""transcript", "blob_data": {"transcripts": [
                {"content": "x", "start_timestamp_in_seconds": 0, "end_time_timestamp_in_seconds": 2},
                {"content": "x", "start_timestamp_in_seconds": 0, "end_timestamp_in_seconds": 2}]}"#,
        ] {
            let more = r#""created_at": "2024-05-06", "blob_id": "0190A5C41E0B7CC38F3C1B2D3E4F5061""#;
            let json = format!(r#"{{"blob_type": {data}, "fields": {{"k": "v"}}, {more}}}"#);
            let typed = read_typed(&Body::of(&json)).expect(&json);
            assert_eq!(slow(&json).as_ref(), Ok(&typed));
            assert_eq!(typed.created_at, "2024-05-06T00:00:00Z".parse().ok());
            assert_eq!(typed.blob_id.unwrap().to_string(), "0190a5c4-1e0b-7cc3-8f3c-1b2d3e4f5061");
        }
    }

    #[test]
    fn wrong_inserts_are_explained() {
        for (json, wanted) in [
            ("{}", "body.blob_type: required; body.blob_data: required"),
            (r#"{"blob_type": "Chat", "blob_data": []}"#, "body.blob_type: must be chat, summary"),
            (r#"{"blob_type": 5, "blob_data": {}}"#, "body.blob_type: must be chat, summary"),
            (r#"{"blob_type": "doc", "blob_data": 5}"#, "body.blob_data: must be an object"),
            (r#"{"blob_type": "doc", "blob_data": {}, "created_at": "soon"}"#, "body.created_at: must be a date"),
            (r#"{"blob_type": "doc", "blob_data": {}, "blob_id": "7"}"#, "body.blob_id: must be a UUID"),
            (r#"{"blob_type": "doc", "blob_data": {}, "blob_id": 7}"#, "body.blob_id: must be a UUID"),
            (r#"["doc", {"content": "x"}]"#, "body: must be an object"),
            (r#"{"blob_type": "image", "blob_data": {}}"#, "501 blobs of type image are not supported"),
            (r#"{"blob_type": "doc", "blob_data": {}}"#, "400 not a blob of type doc: blob_data.content: required"),
            (
                r#"{"blob_type": "chat", "blob_data": {"messages": [{"role": "system", "content": 5}]}}"#,
                "400 not a blob of type chat: blob_data.messages.0.role: must be user or assistant; \
                 blob_data.messages.0.content: must be a string",
            ),
            (r#"{"blob_type": "chat", "blob_data": {"messages": "hi"}}"#, "400 not a blob of type chat: blob_data."),
            (r#"{"blob_type": "chat", "blob_data": {"messages": [[]]}}"#, "400 not a blob of type chat: blob_data."),
        ] {
            assert_eq!(read_typed(&Body::of(json)), None, "{json}");
            let refused = slow(json).unwrap_err();
            assert!(refused.starts_with(wanted), "{json}: {refused}");
        }
    }

    #[test]
    fn what_the_fast_way_cannot_read_may_still_be_right() {
        let number = r#"{"blob_type": "doc", "blob_data": {"content": "d"}, "created_at": 1715000000}"#;
        let twice = r#"{"blob_type": "doc", "blob_type": "doc", "blob_data": {"content": "d"}}"#;
        for json in [number, twice] {
            assert_eq!(read_typed(&Body::of(json)), None);
            assert!(slow(json).is_ok(), "{json}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            Just(Value::from(1)),
            Just(Value::from("user")),
            Just(serde_json::json!([])),
            Just(serde_json::json!({"role": "user", "content": "c"})),
        ]
    }

    fn object(keys: &'static [&'static str]) -> impl Strategy<Value = Value> {
        prop::collection::vec((prop::sample::select(keys), value()), 0..5)
            .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()))
    }

    proptest! {
        #[test]
        fn both_ways_agree(
            blob_type in prop::sample::select(&["chat", "summary", "doc", "code", "transcript", "image", "x"][..]),
            message in object(&["role", "content", "alias", "created_at", "start_timestamp_in_seconds",
                "end_time_timestamp_in_seconds", "end_timestamp_in_seconds", "speaker"]),
            mut data in object(&["summary", "content", "language", "src"]),
            rest in object(&["fields", "created_at", "updated_at", "blob_id", "more"]),
        ) {
            for key in ["messages", "transcripts"] {
                data[key] = serde_json::json!([message]);
            }
            let mut body = rest;
            body["blob_type"] = blob_type.into();
            body["blob_data"] = data;
            let json = body.to_string();
            let slow = slow(&json);
            match read_typed(&Body::of(&json)) {
                Some(typed) => prop_assert_eq!(slow, Ok(typed)),
                // The fast way gives up on dates that are numbers, and on nothing else that is right.
                None => prop_assert!(slow.is_err() || body["created_at"].is_i64() || body["updated_at"].is_i64()),
            }
        }
    }
}
