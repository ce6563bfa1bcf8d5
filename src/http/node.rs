//! Readers of JSON bodies that report everything that is wrong at once.
//!
//! A reader that finds a problem notes it and returns a stand-in. The caller looks at the problems before it uses
//! any of the values.

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::invalid::{Problems, Step};
use super::{parse, stamp};

/// A value in a body, or the place where one is missing.
#[derive(Clone, Debug)]
pub(super) struct Node<'v> {
    value: Option<&'v Value>,
    loc: Vec<Step>,
}

impl<'v> Node<'v> {
    /// The root of a document.
    pub(super) fn root(value: &'v Value, loc: Vec<Step>) -> Self {
        Self { value: Some(value), loc }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &'static str) -> Self {
        Self { value: self.value.and_then(|v| v.get(key)), loc: self.below(key) }
    }

    fn below(&self, step: impl Into<Step>) -> Vec<Step> {
        let mut loc = self.loc.clone();
        loc.push(step.into());
        loc
    }

    /// True when there is no value, not even null.
    pub(super) fn is_absent(&self) -> bool {
        self.value.is_none()
    }

    /// True when the value is absent or null.
    pub(super) fn is_none(&self) -> bool {
        self.value.is_none_or(Value::is_null)
    }

    /// Notes that this value is wrong.
    pub(super) fn wrong(self, problems: &mut Problems, kind: &'static str, msg: &'static str) {
        problems.note(kind, self.loc, msg);
    }

    /// Reads a value with `read`; notes "missing" when it is absent, and `kind` when it cannot be read.
    fn required<T: Default>(
        self,
        problems: &mut Problems,
        kind: &'static str,
        msg: &'static str,
        read: impl FnOnce(&'v Value) -> Option<T>,
    ) -> T {
        match self.value {
            None => {
                self.wrong(problems, "missing", "required");
                T::default()
            }
            Some(value) => read(value).unwrap_or_else(|| {
                self.wrong(problems, kind, msg);
                T::default()
            }),
        }
    }

    /// An object whose keys are read one by one. False when it is none.
    pub(super) fn is_object(&self, problems: &mut Problems, kind: &'static str) -> bool {
        let object = self.value.is_some_and(Value::is_object);
        if !object {
            self.clone().required::<()>(problems, kind, "must be an object", |_| None);
        }
        object
    }

    /// A string.
    pub(super) fn string(self, problems: &mut Problems) -> String {
        self.required(problems, "string_type", "must be a string", |v| v.as_str().map(str::to_owned))
    }

    /// A string, null or nothing.
    pub(super) fn optional_string(self, problems: &mut Problems) -> Option<String> {
        if self.is_none() { None } else { Some(self.string(problems)) }
    }

    /// A string or null, but something.
    pub(super) fn nullable_string(self, problems: &mut Problems) -> Option<String> {
        if self.value == Some(&Value::Null) { None } else { Some(self.string(problems)) }
    }

    /// One of several names, which `read` knows.
    pub(super) fn choice<T>(
        self,
        problems: &mut Problems,
        kind: &'static str,
        msg: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.required(problems, kind, msg, |v| v.as_str().and_then(read).map(Some))
    }

    /// A number.
    pub(super) fn number(self, problems: &mut Problems) -> f64 {
        self.required(problems, "float_type", "must be a number", Value::as_f64)
    }

    /// A number, null or nothing.
    pub(super) fn optional_number(self, problems: &mut Problems) -> Option<f64> {
        if self.is_none() { None } else { Some(self.number(problems)) }
    }

    /// A whole number from 0 to `most`, or null, but something.
    pub(super) fn nullable_whole(self, problems: &mut Problems, most: u64, msg: &'static str) -> Option<u64> {
        if self.value == Some(&Value::Null) {
            return None;
        }
        self.required(problems, "int_type", msg, |v| whole(v).filter(|number| *number <= most).map(Some))
    }

    /// Any object.
    pub(super) fn map(self, problems: &mut Problems) -> Map<String, Value> {
        self.required(problems, "dict_type", "must be an object", |v| v.as_object().cloned())
    }

    /// Any object, null or nothing.
    pub(super) fn optional_map(self, problems: &mut Problems) -> Option<Map<String, Value>> {
        if self.is_none() { None } else { Some(self.map(problems)) }
    }

    /// Any object or null, but something.
    pub(super) fn nullable_map(self, problems: &mut Problems) -> Option<Map<String, Value>> {
        if self.value == Some(&Value::Null) { None } else { Some(self.map(problems)) }
    }

    /// What is read of each item of a list. Ends early when too much is wrong to be listed.
    pub(super) fn list<T>(
        self,
        problems: &mut Problems,
        mut read: impl FnMut(&Node<'v>, &mut Problems) -> T,
    ) -> Vec<T> {
        let loc = self.loc.clone();
        let items = self.required(problems, "list_type", "must be a list", |v| v.as_array().map(Vec::as_slice));
        let mut list = Vec::new();
        for (index, value) in items.iter().enumerate() {
            if problems.is_full() {
                break;
            }
            let mut loc = loc.clone();
            loc.push(Step::Index(index));
            list.push(read(&Node { value: Some(value), loc }, problems));
        }
        list
    }

    /// [`Node::list`] of a list, null or nothing.
    pub(super) fn optional_list<T>(
        self,
        problems: &mut Problems,
        read: impl FnMut(&Node<'v>, &mut Problems) -> T,
    ) -> Option<Vec<T>> {
        if self.is_none() { None } else { Some(self.list(problems, read)) }
    }

    /// An instant, null or nothing.
    pub(super) fn optional_instant(self, problems: &mut Problems) -> Option<Timestamp> {
        let value = self.value.filter(|v| !v.is_null())?;
        let instant = stamp::read(value);
        if instant.is_none() {
            let kind = match value {
                Value::String(_) => "datetime_from_date_parsing",
                Value::Number(_) => "datetime_parsing",
                _ => "datetime_type",
            };
            self.wrong(problems, kind, "must be a date and time as in RFC 3339");
        }
        instant
    }

    /// An id of whatever version, null or nothing.
    pub(super) fn optional_own_id(self, problems: &mut Problems) -> Option<Uuid> {
        if self.is_none() {
            return None;
        }
        let read = |text: &str| parse::own_id(text).ok();
        self.choice(problems, "uuid_parsing", "must be a UUID", read)
    }

    /// An id, null or nothing.
    pub(super) fn optional_id(self, problems: &mut Problems) -> Option<Uuid> {
        match self.value? {
            Value::Null => None,
            Value::String(text) => match parse::id(text) {
                Ok(id) => Some(id),
                Err(bad) => {
                    problems.note_id(bad.kind(), self.loc, bad.message());
                    None
                }
            },
            _ => {
                problems.note_id("uuid_type", self.loc, "must be a UUID");
                None
            }
        }
    }
}

/// A whole number, however it is written: 3.0 is one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in range")]
fn whole(value: &Value) -> Option<u64> {
    let in_range = |number: &f64| number.fract() == 0.0 && (0.0..9e18).contains(number);
    value.as_u64().or_else(|| value.as_f64().filter(in_range).map(|number| number as u64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kinds(problems: &Problems) -> Vec<&'static str> {
        problems.0.iter().map(|p| p.kind).collect()
    }

    #[test]
    fn every_problem_is_noted() {
        let body = json!({"name": 5, "map": [], "list": {}, "at": "yesterday", "when": true, "id": "x", "other": 1});
        let root = Node::root(&body, vec!["body".into()]);
        let mut problems = Problems::default();
        root.get("gone").string(&mut problems);
        root.get("name").string(&mut problems);
        root.get("map").map(&mut problems);
        root.get("list").list(&mut problems, |_, _| ());
        root.get("at").optional_instant(&mut problems);
        root.get("when").optional_instant(&mut problems);
        root.get("id").optional_id(&mut problems);
        root.get("other").optional_id(&mut problems);
        let wanted =
            ["missing", "string_type", "dict_type", "list_type", "datetime_from_date_parsing", "datetime_type"];
        assert_eq!(kinds(&problems)[..6], wanted);
        assert_eq!(kinds(&problems)[6..], ["uuid_parsing", "uuid_parsing", "uuid_type", "uuid_type"]);
    }

    #[test]
    fn a_list_that_is_all_wrong_is_not_read_to_its_end() {
        let body = json!({"list": vec![0; 10_000]});
        let (mut problems, mut read) = (Problems::default(), 0);
        Node::root(&body, vec![]).get("list").list(&mut problems, |item, problems| {
            read += 1;
            item.clone().string(problems)
        });
        assert_eq!((read, problems.0.len()), (101, 101));
    }

    #[test]
    fn what_may_be_left_out_may_be_null() {
        let body = json!({"null": null});
        let root = Node::root(&body, vec![]);
        let mut problems = Problems::default();
        for key in ["null", "absent"] {
            assert_eq!(root.get(key).optional_string(&mut problems), None);
            assert_eq!(root.get(key).optional_map(&mut problems), None);
            assert_eq!(root.get(key).optional_instant(&mut problems), None);
            assert_eq!(root.get(key).optional_id(&mut problems), None);
            assert!(root.get(key).optional_list(&mut problems, |_, _| ()).is_none());
        }
        assert_eq!(root.get("null").nullable_map(&mut problems), None);
        assert!(problems.is_empty());
        root.get("absent").nullable_map(&mut problems);
        assert_eq!(kinds(&problems), ["missing"]);
    }

    #[test]
    fn a_whole_number_may_be_written_as_any_number() {
        let read = |value: Value| {
            let (body, mut problems) = (json!({"n": value}), Problems::default());
            let number = Node::root(&body, vec![]).get("n").nullable_whole(&mut problems, 1 << 53, "whole");
            problems.is_empty().then_some(number)
        };
        for (value, number) in [(json!(3), 3), (json!(3.0), 3), (json!(1e3), 1_000), (json!(-0.0), 0)] {
            assert_eq!(read(value), Some(Some(number)));
        }
        assert_eq!(read(Value::Null), Some(None));
        for wrong in [json!(3.5), json!(-1), json!(-1.0), json!(1e300), json!("3"), json!((1_u64 << 53) + 1)] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }
}
