//! The path and the query of a request, read so that everything that is wrong is reported at once.

use actix_web::HttpRequest;
use jiff::civil::Date;
use memory::blob::BlobType;
use memory::dates::days_of;
use memory::ids::{FlushId, UserId};
use memory::recall::Period;
use memory::text::storable;
use url::form_urlencoded;
use uuid::Uuid;

use super::body::Body;
use super::invalid::{Problems, Step};
use super::node::Node;
use super::parse;
use super::reply::Failure;

/// Items (events, slots, blobs or letters of a page) that one answer holds at most.
pub(super) const MAX_ITEMS: u32 = 10_000;
/// The largest token budget that a client can ask for.
pub(super) const MAX_TOKENS: u32 = 1_000_000;
/// The longest time range of a search, in days: a century.
pub(super) const MAX_DAYS: u32 = 36_500;
/// The last page of a list.
pub(super) const MAX_PAGE: u32 = 1_000_000;
/// Characters of a search query.
pub(super) const MAX_QUERY_CHARS: usize = 10_000;
/// The header by which a client marks a write that it may send again.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Characters of its value at most.
pub(super) const MAX_KEY_CHARS: usize = 255;

/// The input of a request.
///
/// A reader that finds a problem notes it and returns a stand-in; [`Input::finish`] fails when there was one, so
/// that no stand-in is ever used.
pub(super) struct Input<'r> {
    request: &'r HttpRequest,
    query: Vec<(String, String)>,
    problems: Problems,
}

impl<'r> Input<'r> {
    /// Decodes the query. Bytes that are no UTF-8, and NUL, become U+FFFD.
    pub(super) fn new(request: &'r HttpRequest) -> Self {
        let pairs = form_urlencoded::parse(request.query_string().as_bytes());
        let query = pairs.map(|(name, value)| (name.into_owned(), storable(&value).into_owned())).collect();
        Self { request, query, problems: Problems::default() }
    }

    /// Fails when anything was wrong.
    pub(super) fn finish(self) -> Result<(), Failure> {
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems.into()) }
    }

    /// The user of the path.
    pub(super) fn user(&mut self) -> UserId {
        UserId(self.id("user_id"))
    }

    /// An id of the path.
    pub(super) fn id(&mut self, name: &'static str) -> Uuid {
        match parse::id(self.segment(name)) {
            Ok(id) => id,
            Err(bad) => {
                self.problems.note_id(bad.kind(), vec!["path".into(), name.into()], bad.message());
                Uuid::nil()
            }
        }
    }

    /// The dead letter of the path: the id of its flush.
    pub(super) fn letter(&mut self) -> FlushId {
        const NAME: &str = "dead_letter_id";
        FlushId(parse::own_id(self.segment(NAME)).unwrap_or_else(|bad| {
            self.problems.note(bad.kind(), vec!["path".into(), NAME.into()], bad.message());
            Uuid::nil()
        }))
    }

    /// A blob type of the path.
    pub(super) fn blob_type(&mut self, name: &'static str) -> BlobType {
        self.segment(name).parse().unwrap_or_else(|_| {
            self.problems.note("enum", vec!["path".into(), name.into()], BLOB_TYPES);
            BlobType::Chat
        })
    }

    /// A part of the path, as it stands there.
    pub(super) fn segment(&self, name: &str) -> &'r str {
        note_read(name);
        self.request.match_info().get(name).unwrap_or_default()
    }

    /// A parameter of the query. Of several with one name the last counts.
    fn parameter(&self, name: &str) -> Option<&str> {
        note_read(name);
        self.query.iter().rfind(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn wrong(&mut self, kind: &'static str, name: &'static str, msg: impl Into<std::borrow::Cow<'static, str>>) {
        self.problems.note(kind, vec!["query".into(), name.into()], msg);
    }

    /// The value of `Idempotency-Key`.
    pub(super) fn idempotency_key(&mut self) -> Option<String> {
        let key = self.request.headers().get(IDEMPOTENCY_KEY)?;
        // Visible characters of ASCII and blanks.
        let key = key.to_str().ok().map(str::trim).filter(|key| (1..=MAX_KEY_CHARS).contains(&key.len()));
        if key.is_none() {
            let problem = format!("must be 1 to {MAX_KEY_CHARS} printable ASCII characters");
            self.problems.note("string_type", vec!["header".into(), IDEMPOTENCY_KEY.into()], problem);
        }
        key.map(str::to_owned)
    }

    /// A truth value.
    pub(super) fn flag(&mut self, name: &'static str, default: bool) -> bool {
        note_default(name, default);
        let Some(text) = self.parameter(name) else { return default };
        parse::flag(text).unwrap_or_else(|| {
            self.wrong("bool_parsing", name, "must be true or false");
            default
        })
    }

    /// A whole number from 0 to `max`.
    pub(super) fn limit(&mut self, name: &'static str, max: u32) -> Option<u32> {
        let text = self.parameter(name)?;
        let Some(number) = parse::int(text) else {
            self.wrong("int_parsing", name, "must be a whole number");
            return None;
        };
        match u32::try_from(number) {
            Ok(number) if number <= max => return Some(number),
            _ if number < 0 => self.wrong("greater_than_equal", name, "must be 0 or more"),
            _ => self.wrong("less_than_equal", name, format!("must be {max} or less")),
        }
        None
    }

    /// A decimal number.
    pub(super) fn number(&mut self, name: &'static str) -> Option<f64> {
        let text = self.parameter(name)?;
        let number = parse::float(text);
        if number.is_none() {
            self.wrong("float_parsing", name, "must be a number");
        }
        number
    }

    /// A share: more than 0, and 1 at most.
    pub(super) fn share(&mut self, name: &'static str, default: f64) -> f64 {
        let Some(number) = self.number(name) else { return default };
        if number.is_nan() {
            self.wrong("finite_number", name, "must be a finite number");
        } else if number <= 0.0 {
            self.wrong("greater_than", name, "must be more than 0");
        } else if number > 1.0 {
            self.wrong("less_than_equal", name, "must be 1 or less");
        }
        number
    }

    /// The days from `happened_from` to `happened_until`, both among them: of a year or a month the whole.
    pub(super) fn happened(&mut self) -> Period {
        let from = self.days("happened_from").map(|(first, _)| first);
        let until = self.days("happened_until").map(|(_, last)| last);
        if let (Some(from), Some(until)) = (from, until)
            && from > until
        {
            self.wrong("less_than_equal", "happened_from", "must not be after happened_until");
        }
        Period { from, until }
    }

    fn days(&mut self, name: &'static str) -> Option<(Date, Date)> {
        let text = self.parameter(name).filter(|text| !text.is_empty())?;
        let days = days_of(text);
        if days.is_none() {
            self.wrong("date_parsing", name, "must be a date, a month or a year: 2023-05-08, 2023-05 or 2023");
        }
        days
    }

    /// A text; an empty one counts as none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.parameter(name).filter(|text| !text.is_empty())
    }

    /// What is searched for: must be there, but may be empty.
    pub(super) fn search_query(&mut self) -> String {
        const NAME: &str = "query";
        let Some(text) = self.parameter(NAME).map(str::to_owned) else {
            self.wrong("missing", NAME, "required");
            return String::new();
        };
        if text.chars().nth(MAX_QUERY_CHARS).is_some() {
            self.wrong("string_too_long", NAME, format!("must have {MAX_QUERY_CHARS} characters at most"));
        }
        text
    }

    /// A text that may be left out, of so many characters at most.
    pub(super) fn short_text(&mut self, name: &'static str, max_chars: usize) -> String {
        let text = self.parameter(name).unwrap_or_default().to_owned();
        if text.chars().nth(max_chars).is_some() {
            self.wrong("string_too_long", name, format!("must have {max_chars} characters at most"));
        }
        text
    }

    /// All values of a parameter that may be repeated.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        note_read(name);
        self.query.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
    }

    /// One of several names.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
        default: T,
        msg: &'static str,
    ) -> T {
        let Some(text) = self.parameter(name) else { return default };
        let chosen = choices.iter().find(|(n, _)| *n == text).map(|(_, choice)| *choice);
        chosen.unwrap_or_else(|| {
            self.wrong("literal_error", name, msg);
            default
        })
    }

    /// Reads the body, an object, with `read`.
    pub(super) fn body<T: Default>(&mut self, body: &Body, read: impl FnOnce(Node<'_>, &mut Problems) -> T) -> T {
        let Some(value) = body.value(&mut self.problems) else { return T::default() };
        let root = Node::root(&value, vec![Step::from("body")]);
        read(root, &mut self.problems)
    }

    /// The same for a body with known keys, which is a model to the wire format, not a dictionary.
    pub(super) fn model<T: Default>(&mut self, body: &Body, read: impl FnOnce(Node<'_>, &mut Problems) -> T) -> T {
        self.body(body, |root, problems| {
            if root.is_object(problems, "model_attributes_type") { read(root, problems) } else { T::default() }
        })
    }
}

/// Tells a test which parameters a handler reads, and the defaults of its truth values.
#[cfg(not(test))]
mod noted {
    pub(super) fn note_read(_: &str) {}
    pub(super) fn note_default(_: &str, _: bool) {}
}

#[cfg(test)]
pub(super) mod noted {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    thread_local! {
        /// What was read on this thread, if a test wants to know.
        pub(in crate::http) static READ: RefCell<Option<BTreeMap<String, Option<bool>>>> = const { RefCell::new(None) };
    }

    pub(super) fn note_read(name: &str) {
        READ.with_borrow_mut(|read| read.as_mut().map(|read| read.entry(name.to_owned()).or_default()).is_some());
    }

    pub(super) fn note_default(name: &str, default: bool) {
        READ.with_borrow_mut(|read| read.as_mut().map(|read| read.insert(name.to_owned(), Some(default))));
    }
}

use noted::{note_default, note_read};

/// What a blob type may be.
pub(super) const BLOB_TYPES: &str = "must be chat, summary, doc, image, code or transcript";

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn kinds(input: Input<'_>) -> Vec<&'static str> {
        match input.finish() {
            Ok(()) => Vec::new(),
            Err(Failure::Invalid(problems)) => problems.0.into_iter().map(|p| p.kind).collect(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn all_problems_come_at_once() {
        let request = TestRequest::with_uri("/?topk=-1&page=abc&page_size=10001&flag=maybe&t=abc&r=0&s=2&n=nan&c=x")
            .param("user_id", "fake")
            .param("kind", "Chat")
            .param("dead_letter_id", "x")
            .to_http_request();
        let mut input = Input::new(&request);
        input.user();
        input.blob_type("kind");
        input.letter();
        input.limit("topk", MAX_ITEMS);
        input.limit("page", MAX_PAGE);
        input.limit("page_size", MAX_ITEMS);
        input.flag("flag", false);
        input.number("t");
        input.share("r", 0.6);
        input.share("s", 0.6);
        input.share("n", 0.6);
        input.choice("c", &[("a", 1)], 1, "must be a");
        input.search_query();
        let wanted = [
            "uuid_parsing",
            "uuid_parsing",
            "enum",
            "uuid_parsing",
            "greater_than_equal",
            "int_parsing",
            "less_than_equal",
            "bool_parsing",
            "float_parsing",
            "greater_than",
            "less_than_equal",
            "finite_number",
            "literal_error",
            "missing",
        ];
        assert_eq!(kinds(input), wanted);
    }

    #[test]
    fn the_last_of_several_counts_and_lists_keep_all() {
        let request = TestRequest::with_uri("/?a=1&a=2&b=x%20y&b=%00&query=&empty=").to_http_request();
        let mut input = Input::new(&request);
        assert_eq!(input.limit("a", 9), Some(2));
        assert_eq!(input.limit("z", 9), None);
        assert_eq!(input.texts("b"), ["x y", "\u{FFFD}"]);
        assert_eq!((input.search_query().as_str(), input.text("empty")), ("", None));
        assert!(kinds(input).is_empty());
    }

    #[test]
    fn a_query_has_a_limit() {
        let request = TestRequest::with_uri(&format!("/?query={}", "x".repeat(MAX_QUERY_CHARS + 1))).to_http_request();
        let mut input = Input::new(&request);
        input.search_query();
        assert_eq!(kinds(input), ["string_too_long"]);
    }
}
