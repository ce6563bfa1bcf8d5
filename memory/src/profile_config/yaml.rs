//! YAML as a tree whose nodes know their lines: what is wrong can be pointed at.

use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::TScalarStyle;

use super::ProfileConfigError;

/// How deep lists and maps may stand in each other.
const MAX_DEPTH: usize = 16;
/// Nodes of a document at most.
const MAX_NODES: usize = 20_000;

/// A value, and the line on which it begins, from 1.
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

pub(super) enum Value {
    /// `plain`: without quotes, so that it may be a number, a truth value or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// A list or map whose end has not come yet.
struct Open {
    line: usize,
    is_map: bool,
    items: Vec<Node>,
}

impl Open {
    fn close(self) -> Node {
        let line = self.line;
        if !self.is_map {
            return Node { line, value: Value::List(self.items) };
        }
        let (mut pairs, mut items) = (Vec::new(), self.items.into_iter());
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            pairs.push((key, value));
        }
        Node { line, value: Value::Map(pairs) }
    }
}

/// Reads a document; none when it is empty.
///
/// The parser is asked event by event, and what is open is kept in a list: no input can exhaust the stack.
pub(super) fn read(text: &str) -> Result<Option<Node>, ProfileConfigError> {
    let mut parser = Parser::new_from_str(text);
    let last = last_line(text);
    let (mut open, mut root, mut nodes, mut documents) = (Vec::<Open>::new(), None, 0, 0);
    loop {
        let (event, mark) = parser.next_token().map_err(|error| {
            let line = error.marker().line().clamp(1, last);
            ProfileConfigError::at(line, format!("not YAML: {}", error.info()))
        })?;
        let line = mark.line().clamp(1, last);
        let wrong = |reason: &str| Err(ProfileConfigError::at(line, reason));
        nodes += 1;
        if nodes > MAX_NODES {
            return wrong("there is too much in it");
        }
        let done = match event {
            Event::StreamEnd => return Ok(root),
            Event::Alias(_) => return wrong("anchors and aliases (& and *) are not supported"),
            Event::DocumentStart => {
                documents += 1;
                if documents > 1 {
                    return wrong("there may be one document only");
                }
                continue;
            }
            Event::Nothing | Event::StreamStart | Event::DocumentEnd => continue,
            Event::Scalar(text, style, ..) => {
                let plain = style == TScalarStyle::Plain;
                Node { line, value: Value::Scalar { text, plain } }
            }
            start @ (Event::SequenceStart(..) | Event::MappingStart(..)) => {
                if open.len() >= MAX_DEPTH {
                    return wrong("lists and maps stand too deep in each other");
                }
                let is_map = matches!(start, Event::MappingStart(..));
                open.push(Open { line, is_map, items: Vec::new() });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(closed) => closed.close(),
                None => return wrong("not YAML"),
            },
        };
        match open.last_mut() {
            Some(outer) => outer.items.push(done),
            None => root = Some(done),
        }
    }
}

/// The number of the last line. The parser finds what is missing at the end behind it, where nobody can look.
fn last_line(text: &str) -> usize {
    text.replace("\r\n", "\n").split_terminator(['\n', '\r']).count().max(1)
}

impl Node {
    /// True for nothing, `~` and `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    pub(super) fn wrong<T>(&self, reason: impl Into<String>) -> Result<T, ProfileConfigError> {
        Err(ProfileConfigError::at(self.line, reason))
    }

    /// A text: any scalar but null.
    pub(super) fn text(&self, what: &str, max_chars: usize) -> Result<&str, ProfileConfigError> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => match text.chars().nth(max_chars) {
                None => Ok(text),
                Some(_) => self.wrong(format!("{what} must have {max_chars} characters at most")),
            },
            _ => self.wrong(format!("{what} must be a text")),
        }
    }

    /// A truth value, in any of the spellings that parsers of YAML take for one.
    pub(super) fn flag(&self, what: &str) -> Result<bool, ProfileConfigError> {
        if let Value::Scalar { text, plain: true } = &self.value {
            match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => return Ok(true),
                "false" | "no" | "off" => return Ok(false),
                _ => {}
            }
        }
        self.wrong(format!("{what} must be true or false"))
    }

    /// The items of a list.
    pub(super) fn list(&self, what: &str, max: usize) -> Result<&[Self], ProfileConfigError> {
        match &self.value {
            Value::List(items) if items.len() <= max => Ok(items),
            Value::List(_) => self.wrong(format!("{what} must have {max} items at most")),
            _ => self.wrong(format!("{what} must be a list")),
        }
    }

    /// The pairs of a map, each of whose keys stands there once.
    pub(super) fn map(&self, what: &str) -> Result<Vec<(&str, &Self)>, ProfileConfigError> {
        let Value::Map(pairs) = &self.value else { return self.wrong(format!("{what} must be a map of keys")) };
        let mut named = Vec::<(&str, &Self)>::with_capacity(pairs.len());
        for (key, value) in pairs {
            let name = key.text("a key", 200)?;
            if named.iter().any(|(known, _)| *known == name) {
                return key.wrong(format!("{name:?} stands there twice"));
            }
            named.push((name, value));
        }
        Ok(named)
    }
}
