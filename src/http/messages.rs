//! Chat messages as clients write them: in blobs, and in the parameter `chats_str`.

use std::fmt;
use std::marker::PhantomData;

use memory::blob::{Message, Role};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::invalid::Problems;
use super::node::Node;
use super::repair::repair_escapes;
use super::reply::Failure;

/// A struct that is read from an object only. Derived readers would take a list of its values too, which no client
/// means.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// Reads the messages of a list, and notes what is wrong with them.
pub(super) fn read(list: Node<'_>, problems: &mut Problems) -> Vec<Message> {
    list.list(problems, message)
}

fn message(item: &Node<'_>, problems: &mut Problems) -> Message {
    let mut message = Message { role: Role::User, alias: None, content: String::new(), created_at: None };
    if item.is_object(problems, "model_type") {
        message.role = role(item.get("role"), problems);
        message.content = item.get("content").string(problems);
        message.alias = item.get("alias").optional_string(problems);
        message.created_at = item.get("created_at").optional_string(problems);
    }
    message
}

fn role(node: Node<'_>, problems: &mut Problems) -> Role {
    let known = |name: &str| match name {
        "user" => Some(Role::User),
        "assistant" => Some(Role::Assistant),
        _ => None,
    };
    node.choice(problems, "literal_error", "must be user or assistant", known).unwrap_or(Role::User)
}

/// The messages of `chats_str`; none when the parameter is absent or names none.
///
/// # Errors
/// errno 400 when it is no JSON list of messages.
pub(super) fn from_parameter(chats: Option<&str>) -> Result<Option<Vec<Message>>, Failure> {
    let Some(chats) = chats else { return Ok(None) };
    let Some(value) = json(chats) else { return Err(Failure::bad_request("chats_str: must be valid JSON")) };
    let mut problems = Problems::default();
    let messages = read(Node::root(&value, vec!["chats_str".into()]), &mut problems);
    if !problems.is_empty() {
        return Err(Failure::bad_request(problems.sentence()));
    }
    Ok(Some(messages).filter(|m| !m.is_empty()))
}

/// Reads the JSON of a parameter, mended as a body is.
pub(super) fn json(text: &str) -> Option<Value> {
    let mut bytes = text.as_bytes().to_vec();
    repair_escapes(&mut bytes);
    serde_json::from_slice(&bytes).ok()
}

/// What the parameter `chats_str` is, for its description.
pub(super) const PARAMETER: &str =
    "The chat so far, as a JSON list of `{\"role\": \"user\", \"content\": \"…\"}`; the last three messages count.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_are_messages() {
        let chats = r#"[{"role": "user", "content": "hi\u0000", "alias": null}, {"role": "assistant", "content": ""}]"#;
        let messages = from_parameter(Some(chats)).unwrap().unwrap();
        assert_eq!((messages[0].content.as_str(), messages[1].role), ("hi\u{FFFD}", Role::Assistant));
        assert_eq!(from_parameter(None).unwrap(), None);
        assert_eq!(from_parameter(Some("[]")).unwrap(), None);
    }

    #[test]
    fn other_chats_are_refused() {
        for (chats, wanted) in [
            ("x", "chats_str: must be valid JSON"),
            ("{}", "chats_str: must be a list"),
            (r#"[{"role": "system", "content": ""}]"#, "chats_str.0.role: must be user or assistant"),
            (r#"[{"role": 1}]"#, "chats_str.0.role: must be user or assistant; chats_str.0.content: required"),
            ("[[]]", "chats_str.0: must be an object"),
        ] {
            match from_parameter(Some(chats)) {
                Err(Failure::Refused { errno: 400, message }) => assert_eq!(message, wanted),
                other => panic!("{chats}: {:?}", other.map(|_| ())),
            }
        }
    }

    #[test]
    fn objects_are_not_read_from_lists() {
        assert!(serde_json::from_str::<Object<Message>>(r#"{"role": "user", "content": "x", "more": 1}"#).is_ok());
        assert!(serde_json::from_str::<Object<Message>>(r#"["user", null, "x", null]"#).is_err());
    }
}
