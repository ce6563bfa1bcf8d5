//! Descriptions of parameters, one function for each reader of [`super::super::input::Input`].

use serde_json::Value;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Required, Schema};

use memory::blob::BlobType;

/// The pattern of an id that a client may choose: a UUID of version 4 or 5, with all dashes or none. Other spellings (in
/// braces, as `urn:uuid:`) are taken, too, but need not be told of.
pub(in crate::http) const ID_PATTERN: &str = concat!(
    "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[45][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}",
    "|[0-9a-fA-F]{12}[45][0-9a-fA-F]{3}[89abAB][0-9a-fA-F]{15})$",
);

/// A schema of one type.
pub(in crate::http) fn typed(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind)
}

/// The pattern of an id of any version, spelled as in [`ID_PATTERN`].
pub(in crate::http) const OWN_ID_PATTERN: &str =
    "^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32})$";

/// The schema of an id that a client may choose.
pub(in crate::http) fn id_schema() -> Object {
    typed(Type::String).pattern(Some(ID_PATTERN)).build()
}

fn in_path(name: &str, says: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
    parameter.description(Some(says)).schema(Some(schema)).build()
}

fn in_query(name: &str, says: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query).required(Required::False);
    parameter.description(Some(says)).schema(Some(schema)).build()
}

/// The user of the path.
pub(in crate::http) fn user() -> Parameter {
    id("user_id", "The user: a UUID of version 4 or 5.")
}

/// An id of the path.
pub(in crate::http) fn id(name: &str, says: &str) -> Parameter {
    in_path(name, says, id_schema())
}

/// An id of the path that only the server gives out.
pub(in crate::http) fn own_id(name: &str, says: &str) -> Parameter {
    in_path(name, says, typed(Type::String).pattern(Some(OWN_ID_PATTERN)))
}

/// The project of the path.
pub(in crate::http) fn project() -> Parameter {
    in_path("project_id", "The project.", typed(Type::String))
}

/// The header by which a write may be sent again.
pub(in crate::http) fn idempotency_key(max_chars: usize) -> Parameter {
    let schema = typed(Type::String).min_length(Some(1)).max_length(Some(max_chars));
    let says = "Sent again with the same key, an insert counts once and gets the first answer.";
    let parameter = ParameterBuilder::new().name("Idempotency-Key").parameter_in(ParameterIn::Header);
    parameter.required(Required::False).description(Some(says)).schema(Some(schema)).build()
}

/// A blob type of the path.
pub(in crate::http) fn blob_type(name: &str) -> Parameter {
    let names = BlobType::ALL.map(BlobType::as_str);
    in_path(name, "The type of blobs; each has a buffer of its own.", typed(Type::String).enum_values(Some(names)))
}

/// A truth value.
pub(in crate::http) fn flag(name: &str, default: bool, says: &str) -> Parameter {
    in_query(name, says, typed(Type::Boolean).default(Some(default.into())))
}

/// A whole number from 0 to `max`.
pub(in crate::http) fn limit(name: &str, default: Option<u32>, max: u32, says: &str) -> Parameter {
    let schema = typed(Type::Integer).minimum(Some(0)).maximum(Some(max)).default(default.map(Value::from));
    in_query(name, says, schema)
}

/// A decimal number.
pub(in crate::http) fn number(name: &str, default: f64, says: &str) -> Parameter {
    in_query(name, says, typed(Type::Number).default(Some(default.into())))
}

/// A share: more than 0, and 1 at most.
pub(in crate::http) fn share(name: &str, default: f64, says: &str) -> Parameter {
    let schema = typed(Type::Number).exclusive_minimum(Some(0)).maximum(Some(1)).default(Some(default.into()));
    in_query(name, says, schema)
}

/// The days between which something happened.
pub(in crate::http) fn happened() -> [Parameter; 2] {
    let day = |name, says| in_query(name, says, typed(Type::String).pattern(Some(r"^\d{4}(-\d{2}(-\d{2})?)?$")));
    [
        day(
            "happened_from",
            "Only what happened, or was told, on this day or later: `2023-05-08`, `2023-05` or `2023`.",
        ),
        day(
            "happened_until",
            "Only what happened, or was told, on this day or earlier; of a month or a year, its last.",
        ),
    ]
}

/// A text.
pub(in crate::http) fn text(name: &str, says: &str) -> Parameter {
    in_query(name, says, typed(Type::String))
}

/// A text that may be left out, of so many characters at most.
pub(in crate::http) fn short_text(name: &str, max_chars: usize, says: &str) -> Parameter {
    in_query(name, says, typed(Type::String).max_length(Some(max_chars)).default(Some("".into())))
}

/// What is searched for.
pub(in crate::http) fn search_query(max_chars: usize) -> Parameter {
    let schema = typed(Type::String).max_length(Some(max_chars));
    let mut parameter = in_query("query", "What is searched for, in words.", schema);
    parameter.required = Required::True;
    parameter
}

/// Texts: a parameter that may be repeated.
pub(in crate::http) fn texts(name: &str, says: &str) -> Parameter {
    in_query(name, says, ArrayBuilder::new().items(typed(Type::String)))
}

/// One of several names.
pub(in crate::http) fn choice(name: &str, names: &[&str], default: &str, says: &str) -> Parameter {
    in_query(name, says, typed(Type::String).enum_values(Some(names.iter().copied())).default(Some(default.into())))
}

/// A schema of one type, or null.
pub(in crate::http) fn nullable(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([kind, Type::Null]))
}
