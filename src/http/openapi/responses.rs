//! The answers that routes have in common, as [`super::super::reply`] makes them.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Responses, ResponsesBuilder, Schema};

use super::parameters::typed;

/// What a route may answer.
#[derive(Default)]
pub(super) struct Answers {
    /// The `data` of a request that was done; none: null.
    pub(super) data: Option<RefOr<Schema>>,
    /// What can go wrong with a request that was understood.
    pub(super) errnos: Vec<(u16, &'static str)>,
    /// Anybody may call, and nobody is asked.
    pub(super) open: bool,
    /// It reads a body.
    pub(super) body: bool,
    /// It reads something.
    pub(super) input: bool,
}

/// The answers of a route.
pub(super) fn of(answers: &Answers) -> Responses {
    let mut all = ResponsesBuilder::new().response("200", done(answers)).response("400", Response::new(NO_REQUEST));
    if answers.open {
        return all.build();
    }
    all = all
        .response("401", failed("No valid token."))
        .response(
            "403",
            failed("The server has no token, and the request is not for a loopback name or is a foreign web page's."),
        )
        .response("503", later("The store or the journal is away, or the server stops."));
    if answers.input {
        all = all.response("422", malformed());
    }
    if answers.body {
        all = all.response("408", failed("The body did not come in time.")).response(
            "413",
            failed("The body is larger than `max_body_bytes`, or has more than 1,000,000 keys and values."),
        );
    }
    all.response(
        "429",
        later("A limit of the server or the project is reached; `errmsg` names it. Nothing was stored."),
    )
    .build()
}

fn json(says: &str, schema: impl Into<RefOr<Schema>>) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(says).content("application/json", content)
}

fn done(answers: &Answers) -> Response {
    let null = typed(Type::Null);
    let data: RefOr<Schema> = match &answers.data {
        None => null.into(),
        Some(data) => AnyOfBuilder::new().item(data.clone()).item(null).into(),
    };
    let mut errnos = vec![0];
    errnos.extend(answers.errnos.iter().map(|(errno, _)| *errno));
    if !answers.open {
        errnos.push(500);
    }
    errnos.sort_unstable();
    errnos.dedup();
    let mut says = "Done, with errno 0".to_owned();
    for (errno, when) in &answers.errnos {
        says.push_str(&format!("; {errno}: {when}"));
    }
    says.push('.');
    json(&says, envelope(data, typed(Type::Integer).enum_values(Some(errnos)))).build()
}

fn envelope(data: impl Into<RefOr<Schema>>, errno: ObjectBuilder) -> ObjectBuilder {
    ObjectBuilder::new()
        .property("data", data)
        .property("errno", errno)
        .property("errmsg", typed(Type::String))
        .required("data")
        .required("errno")
        .required("errmsg")
}

fn failed(says: &str) -> Response {
    json(says, Ref::from_schema_name(FAILURE)).build()
}

fn later(says: &str) -> Response {
    let header = HeaderBuilder::new().schema(Some(typed(Type::Integer))).description(Some("Seconds to wait.")).build();
    json(says, Ref::from_schema_name(FAILURE)).header("Retry-After", header).build()
}

fn malformed() -> Response {
    json("The input is malformed; all that is wrong with it is told.", Ref::from_schema_name(MALFORMED)).build()
}

/// The first two are answered by the framework, before there is a request.
const NO_REQUEST: &str = "This is no HTTP, or its address has more than 65,534 bytes: nothing more is said. Or the body is \
    not UTF-8, or did not come to its end: `{\"detail\": \"…\"}`.";

const FAILURE: &str = "Failure";
const MALFORMED: &str = "Malformed";

/// The schemas that these answers refer to.
pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    let failure = envelope(typed(Type::Null), typed(Type::Integer)).description(Some("An envelope without data."));
    let step =
        ObjectBuilder::new().schema_type(utoipa::openapi::schema::SchemaType::from_iter([Type::String, Type::Integer]));
    let problem = ObjectBuilder::new()
        .property("type", typed(Type::String).description(Some("The kind, as `missing` or `int_parsing`.")))
        .property("loc", ArrayBuilder::new().items(step).description(Some("Where it is: path, query or body first.")))
        .property("msg", typed(Type::String).description(Some("What should be there.")))
        .required("type")
        .required("loc")
        .required("msg");
    let malformed = ObjectBuilder::new().property("detail", ArrayBuilder::new().items(problem)).required("detail");
    vec![(FAILURE, failure.build().into()), (MALFORMED, malformed.build().into())]
}
