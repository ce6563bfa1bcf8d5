//! Rows of Memobase as they stand here, or why they cannot.

use std::collections::HashMap;

use jiff::Timestamp;
use memory::blob::{Blob, BlobType, NewBlob};
use memory::event::{Event, EventData, Gist};
use memory::ids::{BlobId, EventId, GistId, SlotId};
use memory::ports::{Legacy, TokenCounter};
use memory::profile::Slot;
use memory::text::one_line;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::{Uuid, Variant};

use super::source::{BlobRow, EventRow, SlotRow, UserRow};
use crate::http::read_blob_data;

/// Why a row cannot be taken, in words for the report.
pub(super) type Reason = &'static str;

pub(super) const BAD_ID: Reason = "the id is no UUID of version 4 or 5, and no client could name it";
pub(super) const BAD_TIME: Reason = "a time is missing, infinite or out of range";
pub(super) const TOO_LARGE: Reason = "larger than max_body_bytes: raise it and import again";
pub(super) const NO_OBJECT: Reason = "its JSON is no object, or cannot be read";
pub(super) const NO_ADDRESS: Reason = "the attributes name no topic and sub_topic";
pub(super) const NO_CONTENT: Reason = "there is no content";
pub(super) const NO_EVENT: Reason = "event_data has not the shape of an event";
pub(super) const NO_BLOB: Reason = "blob_data has not the shape of its blob_type";
pub(super) const NO_TYPE: Reason = "the blob_type is not known";
pub(super) const IMAGE: Reason = "images are not supported";

/// Fields of an event that have a place here.
const EVENT_FIELDS: [&str; 3] = ["profile_delta", "event_tip", "event_tags"];

/// Refuses ids that the API refuses.
pub(super) fn check_id(id: Uuid) -> Result<(), Reason> {
    let known = id.get_variant() == Variant::RFC4122 && matches!(id.get_version_num(), 4 | 5);
    if known { Ok(()) } else { Err(BAD_ID) }
}

/// An instant from microseconds since 1970.
pub(super) fn instant(micros: Option<i64>) -> Result<Timestamp, Reason> {
    micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()).ok_or(BAD_TIME)
}

/// An object from JSON; none for null and for nothing.
pub(super) fn object(json: Option<&str>) -> Result<Option<Map<String, Value>>, Reason> {
    match json.map(serde_json::from_str).transpose() {
        Ok(None | Some(Value::Null)) => Ok(None),
        Ok(Some(Value::Object(map))) => Ok(Some(map)),
        Ok(Some(_)) | Err(_) => Err(NO_OBJECT),
    }
}

/// Refuses what no request could have brought.
pub(super) fn check_size(bytes: i64, max_bytes: usize) -> Result<(), Reason> {
    if usize::try_from(bytes).is_ok_and(|bytes| bytes <= max_bytes) { Ok(()) } else { Err(TOO_LARGE) }
}

/// What is remembered of somebody of whom nothing is known.
pub(super) fn nobody() -> Legacy {
    let [created_at, updated_at] = [Timestamp::UNIX_EPOCH; 2];
    Legacy { data: None, created_at, updated_at, slots: Vec::new(), events: Vec::new(), blobs: Vec::new() }
}

/// A user.
pub(super) fn user(row: &UserRow, max_bytes: usize) -> Result<Legacy, Reason> {
    check_id(row.id)?;
    check_size(row.bytes, max_bytes)?;
    let (data, created_at, updated_at) = (object(row.data.as_deref())?, instant(row.created)?, instant(row.updated)?);
    Ok(Legacy { data, created_at, updated_at, ..nobody() })
}

/// A slot.
pub(super) fn slot(row: &SlotRow, max_bytes: usize) -> Result<Slot, Reason> {
    check_id(row.id)?;
    check_size(row.bytes, max_bytes)?;
    let mut attributes = object(row.attributes.as_deref())?.ok_or(NO_ADDRESS)?;
    let mut take = |key: &str| match attributes.remove(key) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(NO_ADDRESS),
    };
    let (topic, sub_topic) = (take("topic")?, take("sub_topic")?);
    Ok(Slot {
        id: SlotId(row.id),
        topic,
        sub_topic,
        content: row.content.clone().ok_or(NO_CONTENT)?,
        attributes,
        sources: Vec::new(),
        revision: 1,
        created_at: instant(row.created)?,
        updated_at: instant(row.updated)?,
    })
}

/// What of an event could not be taken.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Flaws {
    /// How many of its fields have no place here.
    pub(super) fields: usize,
    /// Gists, and why.
    pub(super) gists: Vec<(Uuid, Reason)>,
}

/// An event with its gists in the order of the lines of its tip.
pub(super) fn event(row: &EventRow, max_bytes: usize) -> Result<(Event, Vec<Gist>, Flaws), Reason> {
    check_id(row.id)?;
    check_size(row.bytes, max_bytes)?;
    let data = object(row.data.as_deref())?.ok_or(NO_EVENT)?;
    let fields = data.keys().filter(|key| !EVENT_FIELDS.contains(&key.as_str())).count();
    let data: EventData = serde_json::from_value(Value::Object(data)).map_err(|_| NO_EVENT)?;
    let (created_at, updated_at) = (instant(row.created)?, instant(row.updated)?);
    let event = Event { id: EventId(row.id), flush_id: None, data, created_at, updated_at };
    let (gists, flaws) = gists(row, &event)?;
    Ok((event, gists, Flaws { fields, ..flaws }))
}

/// A gist as the source hands it over.
#[derive(Deserialize)]
struct GistItem {
    id: Uuid,
    /// JSON.
    data: Option<String>,
    created: Option<i64>,
    updated: Option<i64>,
}

fn gists(row: &EventRow, event: &Event) -> Result<(Vec<Gist>, Flaws), Reason> {
    let items: Vec<GistItem> = serde_json::from_str(row.gists.as_deref().unwrap_or("[]")).map_err(|_| NO_EVENT)?;
    let (mut gists, mut flaws) = (Vec::with_capacity(items.len()), Flaws::default());
    for item in items {
        let id = item.id;
        match gist(item, event.id) {
            Ok(gist) => gists.push(gist),
            Err(reason) => flaws.gists.push((id, reason)),
        }
    }
    let tip = event.data.event_tip.as_deref().unwrap_or_default();
    let mut places = HashMap::new();
    for (place, line) in tip.lines().enumerate() {
        places.entry(gist_text(line)).or_insert(place);
    }
    // Stable: of those that stand in no line, the oldest comes first.
    gists.sort_by_key(|gist| places.get(&gist.text).copied().unwrap_or(usize::MAX));
    for (position, gist) in (0..).zip(&mut gists) {
        gist.position = position;
    }
    Ok((gists, flaws))
}

fn gist(item: GistItem, event_id: EventId) -> Result<Gist, Reason> {
    check_id(item.id)?;
    let data = object(item.data.as_deref())?.ok_or(NO_OBJECT)?;
    let text = data.get("content").and_then(Value::as_str).map(gist_text).filter(|text| !text.is_empty());
    Ok(Gist {
        id: GistId(item.id),
        event_id,
        position: 0,
        text: text.ok_or(NO_CONTENT)?,
        occurred_at: None,
        said_at: None,
        sources: Vec::new(),
        created_at: instant(item.created)?,
        updated_at: instant(item.updated)?,
    })
}

/// The text of a gist: one line, without the dash of the wire.
fn gist_text(line: &str) -> String {
    let line = one_line(line);
    match line.strip_prefix('-') {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => rest.trim_start().to_owned(),
        _ => line,
    }
}

/// A blob, and when it was sent.
pub(super) fn blob(
    row: &BlobRow,
    max_bytes: usize,
    counter: &dyn TokenCounter,
) -> Result<(NewBlob, Timestamp), Reason> {
    check_id(row.id)?;
    check_size(row.bytes, max_bytes)?;
    let blob_type: BlobType = row.blob_type.as_deref().and_then(|name| name.parse().ok()).ok_or(NO_TYPE)?;
    if blob_type == BlobType::Image {
        return Err(IMAGE);
    }
    let data = row.data.as_deref().and_then(|json| read_blob_data(blob_type, json)).ok_or(NO_BLOB)?;
    let (fields, created_at) = (object(row.fields.as_deref())?, instant(row.created)?);
    let blob = Blob { data, fields, created_at };
    let tokens = blob.texts().map(|text| counter.count(text)).fold(0, u32::saturating_add);
    Ok((NewBlob { id: BlobId(row.id), blob_type, tokens, payload: blob.to_payload() }, created_at))
}

#[cfg(test)]
mod tests {
    use memory::testing::WordCounter;
    use serde_json::json;

    use super::*;

    const LIMIT: usize = 1_000;

    fn uuid(number: u128) -> Uuid {
        Uuid::from_u128(0x0000_4000_8000_0000_0000_0000 | number)
    }

    fn size(texts: &[&str]) -> i64 {
        i64::try_from(texts.concat().len()).unwrap()
    }

    fn slot_row(content: &str, attributes: &Value) -> SlotRow {
        let (content, attributes) = (content.to_owned(), attributes.to_string());
        let bytes = size(&[&content, &attributes]);
        let (content, attributes) = (Some(content), Some(attributes));
        SlotRow { id: uuid(1), bytes, content, attributes, created: Some(1), updated: Some(2) }
    }

    #[test]
    fn a_user_comes_as_a_whole() {
        let row = |data: Option<&str>| {
            let (bytes, data) = (size(data.as_slice()), data.map(str::to_owned));
            UserRow { id: uuid(1), bytes, data, created: Some(1), updated: Some(2) }
        };
        let read = user(&row(Some("{\"name\":\"Ann\"}")), LIMIT).unwrap();
        assert_eq!((json!(read.data), read.updated_at.as_microsecond()), (json!({"name": "Ann"}), 2));
        assert_eq!(user(&row(None), LIMIT).unwrap().data, None);
        for (wrong, reason) in [
            (row(Some("[1]")), NO_OBJECT),
            (UserRow { bytes: 1_001, ..row(None) }, TOO_LARGE),
            (UserRow { created: None, ..row(None) }, BAD_TIME),
            (UserRow { id: Uuid::from_u128(1), ..row(None) }, BAD_ID),
        ] {
            assert_eq!(user(&wrong, LIMIT), Err(reason), "{wrong:?}");
        }
    }

    #[test]
    fn slots_keep_what_a_client_added() {
        let attributes = json!({"topic": "work", "sub_topic": "title", "update_hits": 2});
        let read = slot(&slot_row("nurse", &attributes), LIMIT).unwrap();
        assert_eq!((read.topic.as_str(), read.sub_topic.as_str(), read.content.as_str()), ("work", "title", "nurse"));
        assert_eq!(json!(read.attributes), json!({"update_hits": 2}));
        assert_eq!((read.created_at.as_microsecond(), read.updated_at.as_microsecond()), (1, 2));
        for (wrong, reason) in [
            (slot_row("x", &json!({"topic": "work"})), NO_ADDRESS),
            (slot_row("x", &json!(null)), NO_ADDRESS),
            (slot_row("x", &json!([1])), NO_OBJECT),
            (slot_row(&"x".repeat(LIMIT), &attributes), TOO_LARGE),
            (SlotRow { content: None, ..slot_row("x", &attributes) }, NO_CONTENT),
            (SlotRow { created: None, ..slot_row("x", &attributes) }, BAD_TIME),
            (SlotRow { updated: Some(i64::MAX), ..slot_row("x", &attributes) }, BAD_TIME),
            (SlotRow { id: Uuid::from_u128(1), ..slot_row("x", &attributes) }, BAD_ID),
        ] {
            assert_eq!(slot(&wrong, LIMIT), Err(reason), "{wrong:?}");
        }
    }

    fn event_row(data: &Value, gists: &Value) -> EventRow {
        let (data, gists) = (data.to_string(), gists.to_string());
        let bytes = size(&[&data, &gists]);
        let (data, gists) = (Some(data), Some(gists));
        EventRow { id: uuid(1), bytes, gist_count: 0, data, created: Some(1), updated: Some(2), gists }
    }

    #[test]
    fn gists_come_in_the_order_of_the_tip() {
        let item = |number, content: &str| {
            let data = json!({ "content": content }).to_string();
            json!({"id": uuid(number), "data": data, "created": 1, "updated": 1})
        };
        let deep = "[".repeat(200) + &"]".repeat(200);
        let listed = json!([item(1, "- b  c"), item(2, "elsewhere"), item(3, "- a"), item(4, " - "), {
            "id": uuid(5), "data": null, "created": 1, "updated": 1
        }, {"id": uuid(6), "data": deep, "created": 1, "updated": 1}]);
        let data = json!({"event_tip": "All\n- a\n- b c", "event_tags": [{"tag": "t", "value": "v"}], "more": 1});
        let row = event_row(&data, &listed);
        let (_, gists, flaws) = event(&row, 10 * LIMIT).unwrap();
        let lines: Vec<_> = gists.iter().map(|gist| (gist.position, gist.id.0, gist.line())).collect();
        let wanted = [(3, "- a"), (1, "- b c"), (2, "- elsewhere")];
        let wanted = (0..).zip(wanted).map(|(at, (number, line))| (at, uuid(number), line.to_owned()));
        assert_eq!(lines, wanted.collect::<Vec<_>>());
        let left = vec![(uuid(4), NO_CONTENT), (uuid(5), NO_OBJECT), (uuid(6), NO_OBJECT)];
        assert_eq!(flaws, Flaws { fields: 1, gists: left });
    }

    #[test]
    fn events_have_their_shape() {
        let read = |data: Value| event(&event_row(&data, &json!([])), LIMIT);
        let delta = json!({"profile_delta": [{"content": "c", "attributes": null}], "event_tags": null});
        assert_eq!(read(delta).unwrap().2, Flaws::default());
        assert_eq!(read(json!({})).unwrap().2, Flaws::default());
        for (wrong, reason) in [
            (json!(null), NO_EVENT),
            (json!([null, null, null]), NO_OBJECT),
            (json!({"event_tip": 1}), NO_EVENT),
            (json!({"event_tags": [{"tag": "t"}]}), NO_EVENT),
            (json!({"event_tip": "x".repeat(LIMIT)}), TOO_LARGE),
        ] {
            assert_eq!(read(wrong).map(|_| ()), Err(reason));
        }
    }

    #[test]
    fn blobs_are_read_by_their_type() {
        let row = |blob_type: &str, data: Value| {
            let (blob_type, data, fields) = (Some(blob_type.to_owned()), data.to_string(), "{\"k\":1}".to_owned());
            let bytes = size(&[&data, &fields]);
            let (data, fields) = (Some(data), Some(fields));
            BlobRow { id: uuid(1), bytes, blob_type, data, fields, created: Some(7), waits: true }
        };
        let chat = json!({"messages": [{"role": "user", "content": "one two", "alias": null, "created_at": null}]});
        let (new, at) = blob(&row("chat", chat.clone()), LIMIT, &WordCounter).unwrap();
        assert_eq!((new.blob_type, new.tokens, at.as_microsecond()), (BlobType::Chat, 2, 7));
        let read = Blob::from_payload(&new.payload).unwrap();
        assert_eq!((read.blob_type(), json!(read.fields), read.created_at), (BlobType::Chat, json!({"k": 1}), at));
        assert!(blob(&row("doc", json!({"content": "x"})), LIMIT, &WordCounter).is_ok());
        for (wrong, reason) in [
            (row("image", json!({"url": "x"})), IMAGE),
            (row("video", json!({})), NO_TYPE),
            (row("summary", chat.clone()), NO_BLOB),
            (row("chat", json!({"messages": [{"role": "system", "content": "x"}]})), NO_BLOB),
            (BlobRow { fields: Some("[]".into()), ..row("chat", chat.clone()) }, NO_OBJECT),
        ] {
            assert_eq!(blob(&wrong, LIMIT, &WordCounter), Err(reason), "{wrong:?}");
        }
    }
}
