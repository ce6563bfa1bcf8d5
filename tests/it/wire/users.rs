//! `/users`.

use serde_json::{Value, json};

use super::case::{Case, case};

fn create(name: &'static str, body: Value) -> Case {
    case(name, "POST", "/users").json(body)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = creating();
    cases.extend(reading());
    cases.extend(changing());
    cases
}

fn creating() -> Vec<Case> {
    let missing = || json!([["missing", ["body"]]]);
    let id = |kind| json!([[kind, ["body", "id", "uuid"]], [kind, ["body", "id", "uuid"]]]);
    vec![
        create("with nothing", json!({})).data(json!({"id": "$id"})).keep("plain", "/data/id"),
        create("with an id", json!({"id": "{fresh}", "data": null})).data(json!({"id": "{fresh}"})),
        create("the same again", json!({"id": "{fresh}"})).errno(409),
        create("in upper case", json!({"id": "4B77E467-EFFA-4330-87F3-FEE5BAE39696"}))
            .data(json!({"id": "4b77e467-effa-4330-87f3-fee5bae39696"})),
        create("version 5", json!({"id": "886313e1-3b8a-5372-9b90-0c9aee199e5e"})).data(json!({"id": "$id"})),
        create("version 1", json!({"id": "d2719f2a-8c1b-11ee-b9d1-0242ac120002"})).problems(id("uuid_version")),
        create("no id", json!({"id": "fake"})).problems(id("uuid_parsing")),
        case("no body", "POST", "/users").problems(missing()),
        create("null", json!(null)).problems(missing()),
        case("half a body", "POST", "/users").bytes("{\"data\": ").problems(json!([["json_invalid", ["body", 9]]])),
        case("no content type", "POST", "/users").bytes("{\"data\": {}}").data(json!({"id": "$id"})),
        create("data is text", json!({"data": "x"})).problems(json!([["dict_type", ["body", "data"]]])),
        create("more keys", json!({"foo": 1, "created_at": "2020-01-01T00:00:00Z"})).data(json!({"id": "$id"})),
        case("no UTF-8", "POST", "/users")
            .bytes(b"{\"data\": {\"a\": \"\xFF\"}}")
            .status(400, json!({"detail": "$text:"})),
        create("with data", json!({"data": {"uni": "é中", "name": "Gus", "nested": {"a": [1, 2]}}}))
            .keep("user", "/data/id"),
        case("NUL and half a surrogate", "POST", "/users")
            .bytes(r#"{"data": {"a": "x\u0000\ud800y", "b": "\\u0000 \ud83d\ude00"}}"#)
            .keep("mended", "/data/id"),
    ]
}

fn reading() -> Vec<Case> {
    let user = |data: Value| json!({"data": data, "id": null, "created_at": "$time", "updated_at": "$time"});
    let version = json!(["uuid_version", ["path", "user_id", "uuid"]]);
    vec![
        case("get", "GET", "/users/{user}").data(user(json!({"uni": "é中", "name": "Gus", "nested": {"a": [1, 2]}}))),
        case("in upper case", "GET", "/users/4B77E467-EFFA-4330-87F3-FEE5BAE39696").data(user(json!(null))),
        case("without dashes", "GET", "/users/4b77e467effa433087f3fee5bae39696").data(user(json!(null))),
        case("in braces", "GET", "/users/%7B{user}%7D").data(user(json!("$any"))),
        case("as URN", "GET", "/users/urn:uuid:{user}").data(user(json!("$any"))),
        case("mended text", "GET", "/users/{mended}").data(user(json!({"a": "x\u{FFFD}\u{FFFD}y", "b": "\\u0000 😀"}))),
        case("unknown", "GET", "/users/{nobody}").errno(404),
        case("unknown, in upper case", "GET", "/users/7F0CAC98-2DE3-4F27-8A2D-2D33384544BB").errno(404),
        case("unknown, without dashes", "GET", "/users/7f0cac982de34f278a2d2d33384544bb").errno(404),
        case("unknown, version 5", "GET", "/users/886313e1-3b8a-5372-9b90-0c9aee199e5d").errno(404),
        case("bad id", "GET", "/users/fake").bad_id("user_id"),
        case("nil id", "GET", "/users/00000000-0000-0000-0000-000000000000").problems(json!([version, version])),
    ]
}

fn changing() -> Vec<Case> {
    let changed = |data: Value| json!({"data": data, "id": null, "created_at": "$time", "updated_at": "$time"});
    vec![
        case("put", "PUT", "/users/{user}").json(json!({"x": 1})).data(json!({"id": "{user}"})),
        case("get after put", "GET", "/users/{user}").data(changed(json!({"x": 1}))),
        case("put nothing", "PUT", "/users/{user}").json(json!({})).data(json!({"id": "{user}"})),
        case("get after nothing", "GET", "/users/{user}").data(changed(json!({}))),
        case("put a list", "PUT", "/users/{user}").json(json!([])).problems(json!([["dict_type", ["body"]]])),
        case("put unknown", "PUT", "/users/{nobody}").json(json!({"x": 1})).errno(404),
        case("put bad id", "PUT", "/users/fake").json(json!({"x": 1})).bad_id("user_id"),
        case("delete", "DELETE", "/users/{user}").data(json!(null)),
        case("delete again", "DELETE", "/users/{user}").errno(404),
        case("get after delete", "GET", "/users/{user}").errno(404),
        case("profile after delete", "GET", "/users/profile/{user}").data(json!({"profiles": []})),
        case("delete bad id", "DELETE", "/users/fake").bad_id("user_id"),
    ]
}
