use serde_json::{Map, Value};

use super::Unreadable;
use crate::extraction::{Draft, DraftAction, DraftGist, DraftTag, Verb};

/// Other words for [`Verb::Set`] that models use.
const SET: [&str; 10] = ["set", "add", "update", "append", "insert", "create", "replace", "upsert", "write", "modify"];
/// Other words for [`Verb::Remove`].
const REMOVE: [&str; 6] = ["remove", "delete", "clear", "unset", "drop", "erase"];

type Object = Map<String, Value>;

/// Reads the items of an object, and keeps the names of those that cannot be read.
#[derive(Default)]
pub(super) struct Reader {
    left_out: Vec<String>,
    /// The first item that cannot be read, and why.
    first: Option<(String, &'static str)>,
}

impl Reader {
    pub(super) fn read(mut self, object: &Object) -> Result<Draft, Unreadable> {
        let gists = self.list(object, "gists", Self::gist);
        let profile = self.list(object, "profile", Self::action);
        if let Some((item, reason)) = self.first.take().filter(|_| gists.is_empty() && profile.is_empty()) {
            return Err(Unreadable::NoItem { item, reason });
        }
        let tags = self.list(object, "tags", Self::tag);
        let summary = words(object.get("summary")).unwrap_or_else(|_| self.leave_out("summary"));
        Ok(Draft { gists, profile, tags, summary, left_out: self.left_out })
    }

    /// Leaves out what stands at a place. Gives what stands there instead: nothing.
    fn leave_out<T: Default>(&mut self, place: &str) -> T {
        self.left_out.push(place.to_owned());
        T::default()
    }

    /// The items of a list; a single item is a list, too.
    fn list<T>(
        &mut self,
        object: &Object,
        key: &str,
        read: impl Fn(&mut Self, &Value, &str) -> Result<T, &'static str>,
    ) -> Vec<T> {
        let items = match object.get(key) {
            None | Some(Value::Null) => &[],
            Some(Value::Array(items)) => items.as_slice(),
            Some(Value::String(text)) if text.trim().is_empty() => &[],
            Some(single) => std::slice::from_ref(single),
        };
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let place = format!("{key}[{index}]");
            match read(self, item, &place) {
                Ok(item) => list.push(item),
                Err(reason) => {
                    self.first.get_or_insert_with(|| (place.clone(), reason));
                    self.leave_out(&place)
                }
            }
        }
        list
    }

    fn gist(&mut self, item: &Value, place: &str) -> Result<DraftGist, &'static str> {
        if let Value::String(text) = item {
            return Ok(DraftGist { text: text.clone(), occurred_at: None, messages: Vec::new() });
        }
        let gist = item.as_object().ok_or("not an object")?;
        let occurred_at = match gist.get("occurred_at") {
            None | Some(Value::Null) => None,
            Some(Value::String(date)) => Some(date.clone()),
            Some(Value::Number(year)) => Some(year.to_string()),
            Some(_) => self.leave_out(&format!("{place}.occurred_at")),
        };
        Ok(DraftGist {
            text: required(gist, "text").map_err(|()| "`text` is missing or not a string")?,
            occurred_at,
            messages: self.messages(gist, place),
        })
    }

    fn action(&mut self, item: &Value, place: &str) -> Result<DraftAction, &'static str> {
        let action = item.as_object().ok_or("not an object")?;
        let sub_topic = required(action, "sub_topic").or_else(|()| required(action, "subtopic"));
        Ok(DraftAction {
            action: verb(action).ok_or("`action` is neither \"set\" nor \"remove\"")?,
            topic: required(action, "topic").map_err(|()| "`topic` is missing or not a string")?,
            sub_topic: sub_topic.map_err(|()| "`sub_topic` is missing or not a string")?,
            memo: words(action.get("memo")).map_err(|()| "`memo` is not a string")?,
            messages: self.messages(action, place),
        })
    }

    fn tag(&mut self, item: &Value, _: &str) -> Result<DraftTag, &'static str> {
        let tag = item.as_object().ok_or("not an object")?;
        Ok(DraftTag {
            tag: required(tag, "tag").map_err(|()| "`tag` is missing or not a string")?,
            value: required(tag, "value").map_err(|()| "`value` is missing or not a string")?,
        })
    }

    /// The numbers of messages. What is no number is left out.
    fn messages(&mut self, item: &Object, place: &str) -> Vec<u32> {
        let mut numbers = Vec::new();
        let all_read = match item.get("messages") {
            None | Some(Value::Null) => true,
            Some(Value::Array(all)) => all.iter().map(|one| read_numbers(one, &mut numbers)).fold(true, |a, b| a & b),
            Some(one) => read_numbers(one, &mut numbers),
        };
        if !all_read {
            self.left_out.push(format!("{place}.messages"));
        }
        numbers
    }
}

/// `set` when only a memo is there: nothing else can be meant.
fn verb(action: &Object) -> Option<Verb> {
    match action.get("action") {
        None | Some(Value::Null) => action.contains_key("memo").then_some(Verb::Set),
        Some(Value::String(word)) => {
            let is = |words: &[&str]| words.iter().any(|w| w.eq_ignore_ascii_case(word.trim()));
            if is(&SET) { Some(Verb::Set) } else { is(&REMOVE).then_some(Verb::Remove) }
        }
        Some(_) => None,
    }
}

fn required(item: &Object, key: &str) -> Result<String, ()> {
    if item.contains_key(key) { words(item.get(key)) } else { Err(()) }
}

/// A text, or a value that can stand for one.
fn words(value: Option<&Value>) -> Result<String, ()> {
    match value {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::Bool(yes)) => Ok(if *yes { "yes" } else { "no" }.to_owned()),
        Some(Value::Array(items)) if items.iter().all(|i| !i.is_array()) => {
            let items = items.iter().map(|item| words(Some(item))).collect::<Result<Vec<_>, ()>>()?;
            Ok(items.into_iter().filter(|item| !item.trim().is_empty()).collect::<Vec<_>>().join("; "))
        }
        Some(Value::Array(_) | Value::Object(_)) => Err(()),
    }
}

/// A number, or a text that holds numbers as our prompt writes them: `3`, `[3]`, `[3, 4]`. False when it is neither.
fn read_numbers(value: &Value, numbers: &mut Vec<u32>) -> bool {
    match value {
        Value::Null => true,
        Value::Number(number) => {
            let number = number.to_string();
            let number = number.strip_suffix(".0").unwrap_or(&number).parse();
            number.map(|n| numbers.push(n)).is_ok()
        }
        Value::String(text) => {
            let parts = text.split(|c: char| c == ',' || c.is_whitespace() || "[]#".contains(c));
            let read: Result<Vec<u32>, _> = parts.filter(|part| !part.is_empty()).map(str::parse).collect();
            read.map(|read| numbers.extend(read)).is_ok()
        }
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}
