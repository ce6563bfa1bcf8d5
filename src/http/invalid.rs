//! Malformed input: what is wrong with a request, in the shape that clients of the wire format know.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

/// Problems of one request that are listed at most, not counting the one that says so: a million wrong items must not
/// become an answer of a million lines.
pub(super) const MAX_PROBLEMS: usize = 100;

/// One step of the way to a value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Step {
    /// A part of the request, a parameter or a key.
    Name(Cow<'static, str>),
    /// A place in a list, or of a character in the body, from 0.
    Index(usize),
}

impl From<&'static str> for Step {
    fn from(name: &'static str) -> Self {
        Self::Name(Cow::Borrowed(name))
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Something that is wrong with a request. The input itself is not repeated: it may be private, and long.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Problem {
    /// The kind, by the name that the wire format gives it ("missing", "int_parsing", …).
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// Where it is.
    pub(super) loc: Vec<Step>,
    /// What should be there.
    pub(super) msg: Cow<'static, str>,
}

/// All that is wrong with a request, in the order path, query, body. When it is too much, the first of it and one last
/// entry that says so.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Problems(pub(super) Vec<Problem>);

impl Problems {
    /// Notes a problem.
    pub(super) fn note(&mut self, kind: &'static str, loc: Vec<Step>, msg: impl Into<Cow<'static, str>>) {
        match self.0.len() {
            ..MAX_PROBLEMS => self.0.push(Problem { kind, loc, msg: msg.into() }),
            MAX_PROBLEMS => {
                let msg = format!("wrong as well, and maybe more is: the first {MAX_PROBLEMS} problems are listed");
                self.0.push(Problem { kind: "too_many_problems", loc, msg: msg.into() });
            }
            _ => {}
        }
    }

    /// True when nothing more will be listed.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() > MAX_PROBLEMS
    }

    /// Notes a problem of an id. It comes twice, once for each of the two UUID versions that would have done.
    pub(super) fn note_id(&mut self, kind: &'static str, mut loc: Vec<Step>, msg: &'static str) {
        loc.push("uuid".into());
        self.note(kind, loc.clone(), msg);
        self.note(kind, loc, msg);
    }

    /// True when nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All problems in one line, for an errmsg: "messages.0.role: must be …; …".
    pub(super) fn sentence(&self) -> String {
        let mut text = String::new();
        for problem in &self.0 {
            if !text.is_empty() {
                text.push_str("; ");
            }
            for (i, step) in problem.loc.iter().enumerate() {
                let dot = if i == 0 { "" } else { "." };
                // Writing to a string cannot fail.
                let _ = match step {
                    Step::Name(name) => write!(text, "{dot}{name}"),
                    Step::Index(index) => write!(text, "{dot}{index}"),
                };
            }
            let _ = write!(text, ": {}", problem.msg);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_have_the_shape_of_the_wire() {
        let mut problems = Problems::default();
        problems.note("missing", vec!["body".into(), "event_tags".into(), 0.into(), "value".into()], "required");
        problems.note_id("uuid_parsing", vec!["path".into(), "user_id".into()], "not a UUID");
        assert_eq!(
            serde_json::to_value(&problems).unwrap(),
            serde_json::json!([
                {"type": "missing", "loc": ["body", "event_tags", 0, "value"], "msg": "required"},
                {"type": "uuid_parsing", "loc": ["path", "user_id", "uuid"], "msg": "not a UUID"},
                {"type": "uuid_parsing", "loc": ["path", "user_id", "uuid"], "msg": "not a UUID"},
            ])
        );
        assert!(problems.sentence().starts_with("body.event_tags.0.value: required; path.user_id.uuid: "));
    }

    #[test]
    fn too_many_problems_are_not_all_listed() {
        let mut problems = Problems::default();
        for index in 0..1_000 {
            assert_eq!(problems.is_full(), index > MAX_PROBLEMS);
            problems.note("missing", vec![index.into()], "required");
        }
        assert_eq!(problems.0.len(), MAX_PROBLEMS + 1);
        assert!(problems.0[..MAX_PROBLEMS].iter().all(|problem| problem.kind == "missing"));
        let last = &problems.0[MAX_PROBLEMS];
        assert_eq!((last.kind, &last.loc), ("too_many_problems", &vec![Step::Index(MAX_PROBLEMS)]));
    }
}
