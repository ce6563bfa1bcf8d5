//! Reads what a model has answered, whatever stands around the JSON and however loosely it keeps to the contract.

mod items;
#[cfg(test)]
mod tests;

use serde_json::{Deserializer, Map, Value};

use super::Draft;
use items::Reader;

/// Where reasoning ends. Objects before it were drafts of thought, not the answer.
const REASONING_ENDS: [&str; 4] = ["</think>", "</thinking>", "</thought>", "</reasoning>"];

/// How often over a text may be read in search of an object. Answers are read once, with a little chatter more; a text
/// that starts an object at every character would be read as often as it has characters.
const MAX_READS: usize = 8;

/// Why nothing could be made of an answer. The words name positions and fields, never content: they go to the log,
/// and back to the model for a repair.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// No object, or none that is not part of the reasoning.
    #[error("there is no JSON object")]
    NoObject,
    /// What looks like the object breaks off.
    #[error("the JSON ends before its object is complete")]
    EndsEarly,
    /// Objects begin, none is valid.
    #[error("the JSON is not valid, counted from the start of its object: {0}")]
    Invalid(String),
    /// So many objects begin and break that the search was given up.
    #[error("too much of it looks like JSON and is not")]
    Confused,
    /// There are objects, none of which is the one that was asked for.
    #[error("the JSON object has neither a list `gists` nor a list `profile`")]
    NoLists,
    /// There are items, none of which can be read.
    #[error("no item of `gists` or `profile` can be read; the first one, {item}: {reason}")]
    NoItem {
        /// The first item: `gists[0]`.
        item: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Draft {
    /// Reads an answer: the last JSON object in it that has the lists of the contract.
    ///
    /// Around it may stand reasoning, code fences, chatter and one more object. Numbers may come as strings, single
    /// values where a list belongs, `null` where nothing is meant. What cannot be read even so is left out and named
    /// in [`Draft::left_out`].
    ///
    /// # Errors
    /// When there is no such object, or it has items of which none can be read.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        Reader::default().read(&answer(text)?)
    }
}

/// The last object that fits. Takes time linear in the text's length.
fn answer(text: &str) -> Result<Map<String, Value>, Unreadable> {
    let mut found = Err(Unreadable::NoObject);
    let (mut at, mut wasted) = (0, 0);
    while let Some(next) = text[at..].find(['{', '<']) {
        at += next;
        let rest = &text[at..];
        if rest.starts_with('<') {
            if REASONING_ENDS.iter().any(|end| rest.get(..end.len()).is_some_and(|s| s.eq_ignore_ascii_case(end))) {
                found = Err(Unreadable::NoObject);
            }
            at += 1;
            continue;
        }
        let mut objects = Deserializer::from_str(rest).into_iter::<Map<String, Value>>();
        match objects.next() {
            Some(Ok(object)) => {
                at += objects.byte_offset();
                match unwrapped(object) {
                    Some(object) => found = Ok(object),
                    None if found == Err(Unreadable::NoObject) => found = Err(Unreadable::NoLists),
                    None => {}
                }
            }
            Some(Err(error)) if error.is_eof() && is_ours(rest) => return Err(Unreadable::EndsEarly),
            Some(Err(error)) => {
                let read = read_until(rest, &error);
                wasted += read;
                if wasted > MAX_READS.saturating_mul(text.len()) {
                    return Err(Unreadable::Confused);
                }
                // Its parts are tried next, but what is known of the whole says more than what they lack.
                if is_ours(&rest[..rest.floor_char_boundary(read)]) {
                    found = Err(Unreadable::Invalid(error.to_string()));
                } else if error.is_eof() && found == Err(Unreadable::NoObject) {
                    found = Err(Unreadable::EndsEarly);
                }
                at += 1;
            }
            None => at += 1,
        }
    }
    found
}

/// True when a piece of JSON has a key of the contract somewhere.
fn is_ours(json: &str) -> bool {
    json.contains("\"gists\"") || json.contains("\"profile\"")
}

/// How many bytes were read before the error.
fn read_until(text: &str, error: &serde_json::Error) -> usize {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    (lines + error.column()).min(text.len())
}

/// The object itself when it fits, else the one in it that does.
fn unwrapped(mut object: Map<String, Value>) -> Option<Map<String, Value>> {
    if fits(&object) {
        return Some(object);
    }
    let inner = object.values_mut().filter_map(Value::as_object_mut).rfind(|inner| fits(inner))?;
    Some(std::mem::take(inner))
}

/// Whether it has a list of the contract. A schema that is repeated has the same keys, but not with lists.
fn fits(object: &Map<String, Value>) -> bool {
    ["gists", "profile"].iter().any(|key| matches!(object.get(*key), Some(Value::Array(_) | Value::Null)))
}
