//! Routing, tokens, and what every answer has.

use serde_json::json;

use super::case::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("health", "GET", "/healthcheck").header("Authorization", "").data(json!(null)),
        case("health, HEAD", "HEAD", "/healthcheck").header("Authorization", "").status(200, json!(null)),
        case("unknown path", "GET", "/nope").status(404, json!({"detail": "Not Found"})),
        case("double slash", "GET", "///api/v1/healthcheck").status(404, json!({"detail": "Not Found"})),
        case("wrong method", "GET", "/users")
            .status(405, json!({"detail": "Method Not Allowed"}))
            .wants_header("Allow", "POST"),
        case("request id", "GET", "/users/profile/{nobody}")
            .header("X-Request-ID", "wire-1")
            .wants_header("X-Request-ID", "wire-1")
            .wants_header("X-Process-Time", "$seconds"),
        case("no request id", "GET", "/users/profile/{nobody}").wants_header("X-Request-ID", "$id"),
    ]
}

/// Only for a server with a token.
pub(super) fn token_cases() -> Vec<Case> {
    let asks = |name, value| case(name, "GET", "/users/profile/{nobody}").header("Authorization", value);
    let refused = || json!({"data": null, "errno": 401, "errmsg": "$text:"});
    let mut cases = vec![
        asks("lower-case scheme", "bearer {token}"),
        asks("trailing words", "Bearer {token} extra"),
        asks("no token", "").status(401, refused()).wants_header("WWW-Authenticate", "Bearer"),
    ];
    for (name, value) in [
        ("another scheme", "Basic c2VjcmV0"),
        ("a malformed project token", "Bearer sk-x"),
        ("the token of an unknown project", "Bearer sk-proj-x"),
        ("the name of the root project", "Bearer __root__"),
        ("an empty token", "Bearer "),
    ] {
        cases.push(asks(name, value).status(401, refused()));
    }
    cases
}

/// Only for a fresh server that takes three requests and some ten tokens a minute.
pub(super) fn rate_cases() -> Vec<Case> {
    let past = |parameter: &str| json!({"data": null, "errno": 429, "errmsg": format!("$text:{parameter}")});
    let insert = |name, text: &str| {
        let body = json!({"blob_type": "doc", "blob_data": {"content": text}});
        case(name, "POST", "/blobs/insert/{user}").json(body)
    };
    vec![
        case("first", "POST", "/users").json(json!({})).keep("user", "/data/id"),
        insert("second, with eight tokens", "one two three four five six seven eight"),
        insert("third, with more than are left", "one two three four five six seven eight")
            .status(429, past("project_tokens_per_minute"))
            .wants_header("Retry-After", "$seconds"),
        case("fourth", "GET", "/users/profile/{user}")
            .status(429, past("project_requests_per_minute"))
            .wants_header("Retry-After", "$seconds"),
        case("health", "GET", "/healthcheck").data(json!(null)),
    ]
}

/// Only for a server that lets the origin <https://app.example> call.
pub(super) fn origin_cases() -> Vec<Case> {
    let preflight = |name, origin| {
        case(name, "OPTIONS", "/users")
            .header("Authorization", "")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization,content-type")
    };
    vec![
        preflight("preflight", "https://app.example")
            .status(200, json!(null))
            .wants_header("Access-Control-Allow-Origin", "https://app.example")
            .wants_header("Access-Control-Allow-Methods", "$text:POST")
            .wants_header("Access-Control-Allow-Headers", "$text:authorization"),
        preflight("preflight of a stranger", "https://evil.example")
            .status(400, json!(null))
            .wants_header("Access-Control-Allow-Origin", ""),
        case("a page", "GET", "/users/profile/{nobody}")
            .header("Origin", "https://app.example")
            .data(json!({"profiles": []}))
            .wants_header("Access-Control-Allow-Origin", "https://app.example")
            .wants_header("Access-Control-Expose-Headers", "$text:x-request-id"),
    ]
}

/// Only for a server without a token.
pub(super) fn local_cases() -> Vec<Case> {
    let asks = |name, header, value| case(name, "GET", "/users/profile/{nobody}").header(header, value);
    let refused = || json!({"data": null, "errno": 403, "errmsg": "$text:"});
    vec![
        case("a user", "POST", "/users").json(json!({"data": {}})).data(json!({"id": "$id"})),
        asks("a token all the same", "Authorization", "Bearer anything"),
        asks("by name", "Host", "localhost:8019"),
        asks("by a name below", "Host", "memo.localhost"),
        asks("by IPv6", "Host", "[::1]:8019"),
        asks("by a foreign name", "Host", "evil.example").status(403, refused()),
        asks("by an address of the network", "Host", "10.0.0.1:8019").status(403, refused()),
        asks("a local page", "Origin", "http://localhost:3000"),
        asks("a foreign page", "Origin", "https://evil.example").status(403, refused()),
        asks("a page from nowhere", "Origin", "null").status(403, refused()),
        case("health by a foreign name", "GET", "/healthcheck").header("Host", "evil.example").data(json!(null)),
        case("no writing from a foreign page", "POST", "/users")
            .json(json!({}))
            .header("Origin", "https://evil.example")
            .status(403, refused()),
    ]
}
