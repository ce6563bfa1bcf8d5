//! `/users/dead_letters` and `/project/dead_letters`.

use serde_json::{Value, json};

use super::case::{Case, case};
use crate::model::endpoint::Turn;

/// What a server is configured with on which [`life`] can be played: one attempt is all, and what waits for the next
/// waits for longer than any test.
pub(super) const IMPATIENT: [(&str, &str); 5] = [
    ("POWERMEMO_FLUSH_MAX_ATTEMPTS", "1"),
    ("POWERMEMO_FLUSH_BACKOFF_MIN_SECONDS", "300"),
    ("POWERMEMO_FLUSH_BACKOFF_MAX_SECONDS", "300"),
    ("POWERMEMO_LLM_MAX_RETRIES", "0"),
    ("POWERMEMO_LLM_BREAKER_FAILURES", "1000"),
];

/// As far as it goes without a letter.
pub(super) fn cases() -> Vec<Case> {
    let of_user = |name, method, path: &str| case(name, method, format!("/users/dead_letters/{path}"));
    let of_project = |name, method, path: &str| case(name, method, format!("/project/dead_letters{path}"));
    let none = || json!({"dead_letters": []});
    let bad_letter = || json!([["uuid_parsing", ["path", "dead_letter_id"]]]);
    let not_allowed = || json!({"detail": "Method Not Allowed"});
    vec![
        case("a user", "POST", "/users").json(json!({})).keep("user", "/data/id"),
        of_user("none", "GET", "{user}").data(none()),
        of_user("a page", "GET", "{user}?page=1000000&page_size=10000").data(none()),
        of_user("an empty page", "GET", "{user}?page_size=0").data(none()),
        of_user("limits", "GET", "{user}?page=-1&page_size=10001")
            .problems(json!([["greater_than_equal", ["query", "page"]], ["less_than_equal", ["query", "page_size"]]])),
        of_user("of nobody", "GET", "{nobody}").data(none()),
        of_user("bad id", "GET", "fake").bad_id("user_id"),
        of_user("retry none", "POST", "{user}/retry").data(json!({"retried": 0, "busy": 0, "more": false})),
        of_user("drop none", "DELETE", "{user}").data(json!({"dropped": 0, "more": false})),
        of_user("retry of nobody", "POST", "{nobody}/retry").errno(404),
        of_user("drop of nobody", "DELETE", "{nobody}").errno(404),
        of_user("retry, bad id", "POST", "fake/retry").bad_id("user_id"),
        of_user("drop, bad id", "DELETE", "fake").bad_id("user_id"),
        of_user("get unknown", "GET", "{user}/{fresh}").errno(404),
        of_user("retry unknown", "POST", "{user}/{fresh}/retry").errno(404),
        of_user("drop unknown", "DELETE", "{user}/{fresh}").errno(404),
        of_user("get of nobody", "GET", "{nobody}/{fresh}").errno(404),
        of_user("retry one of nobody", "POST", "{nobody}/{fresh}/retry").errno(404),
        of_user("drop one of nobody", "DELETE", "{nobody}/{fresh}").errno(404),
        of_user("get, bad letter", "GET", "{user}/fake").problems(bad_letter()),
        of_user("retry, bad letter", "POST", "{user}/fake/retry").problems(bad_letter()),
        of_user("drop, bad letter", "DELETE", "{user}/fake").problems(bad_letter()),
        of_user("retry is no letter", "GET", "{user}/retry").status(405, not_allowed()),
        of_project("none", "GET", "").data(none()),
        of_project("limits", "GET", "?page=1000001&page_size=x")
            .problems(json!([["less_than_equal", ["query", "page"]], ["int_parsing", ["query", "page_size"]]])),
        of_project("another method", "POST", "").status(405, not_allowed()),
        of_project("retry none", "POST", "/retry").data(json!({"retried": 0, "busy": 0, "more": false})),
        of_project("drop none", "DELETE", "").data(json!({"dropped": 0, "more": false})),
    ]
}

/// How a model answers the calls that [`life`] causes, but for the last ones, which are answered as they should.
pub(super) fn script() -> Vec<Turn> {
    // A flush asks once more when it cannot use an answer.
    let dead = || (0..2).map(|_| Turn::Content(|_| Some("no".to_owned())));
    let fine = || [Turn::Content(Some)];
    let away = || [Turn::Status(500, &[], json!({}))];
    // The first letter: dies, dies again, is fine. Two more die, and one of another user. An outage, which is over.
    let (first, others) = (dead().chain(dead()).chain(fine()), dead().chain(dead()).chain(dead()));
    first.chain(others).chain(away()).collect()
}

fn says(name: &'static str, user: &str, text: &str) -> Case {
    let data = json!({"messages": [{"role": "user", "content": text}]});
    case(name, "POST", format!("/blobs/insert/{{{user}}}")).json(json!({"blob_type": "chat", "blob_data": data}))
}

fn flush(name: &'static str, user: &str) -> Case {
    case(name, "POST", format!("/users/buffer/{{{user}}}/chat?wait_process=true"))
}

/// A flush of what a retry has queued: whether that is still under way or over, afterwards it is over.
fn settled(user: &str) -> Case {
    flush("until it is over", user).status(200, json!(null))
}

fn head() -> Value {
    json!({
        "id": "$id", "user_id": "{user}", "blob_type": "chat", "reason": "$text:JSON", "blob_count": 1,
        "token_count": "$number", "created_at": "$time"
    })
}

fn letters(name: &'static str, user: &str, heads: Value) -> Case {
    case(name, "GET", format!("/users/dead_letters/{user}")).data(json!({"dead_letters": heads}))
}

/// The life of letters, on a server whose model follows [`script`].
pub(super) fn life() -> Vec<Case> {
    let mut cases = tried_again();
    cases.extend(several());
    cases
}

fn tried_again() -> Vec<Case> {
    let letter = |name, method, path: &str| case(name, method, format!("/users/dead_letters/{path}"));
    let mut whole = head();
    let message = json!({"role": "user", "alias": null, "content": "My name is Gus.", "created_at": null});
    whole["blobs"] = json!([{
        "id": "{blob}", "blob_type": "chat", "blob_data": {"messages": [message]}, "fields": null,
        "created_at": "$time", "updated_at": "$time"
    }]);
    let capacity = |name, ids: Value| {
        case(name, "GET", "/users/buffer/capacity/{user}/chat?status=failed").data(json!({"ids": ids}))
    };
    vec![
        case("a user", "POST", "/users").json(json!({})).keep("user", "/data/id"),
        case("another", "POST", "/users").json(json!({})).keep("other", "/data/id"),
        says("a message", "user", "My name is Gus.").keep("blob", "/data/id"),
        flush("that dies", "user").errno(503),
        letters("its letter", "{user}", json!([head()])).keep("first", "/data/dead_letters/0/id"),
        letters("another page", "{user}?page=1", json!([])),
        letters("not another user's", "{other}", json!([])),
        case("in the project", "GET", "/project/dead_letters").data(json!({"dead_letters": [head()]})),
        letter("read", "GET", "{user}/{first}").data(whole),
        capacity("by its blob", json!(["{blob}"])),
        case("the blob can be read", "GET", "/blobs/{user}/{blob}"),
        letter("another user's, read", "GET", "{other}/{first}").errno(404),
        letter("another user's, retried", "POST", "{other}/{first}/retry").errno(404),
        letter("another user's, dropped", "DELETE", "{other}/{first}").errno(404),
        letter("retried, in vain", "POST", "{user}/{first}/retry").data(json!(null)),
        settled("user"),
        letters("a letter of its own", "{user}", json!([head()])).keep("second", "/data/dead_letters/0/id"),
        letter("the first is gone", "GET", "{user}/{first}").errno(404),
        letter("retried", "POST", "{user}/{second}/retry").data(json!(null)),
        settled("user"),
        letters("none is left", "{user}", json!([])),
        letter("retried after its end", "POST", "{user}/{second}/retry").errno(404),
        capacity("no blob is left", json!([])),
        case("what it did", "GET", "/users/event/{user}").data(json!({"events": "$list:1", "gists": []})),
    ]
}

fn several() -> Vec<Case> {
    let retried = |n: u32, busy: u32| json!({"retried": n, "busy": busy, "more": false});
    let letter = |name, method, path: &str| case(name, method, format!("/users/dead_letters/{path}"));
    let events = |n: u32| json!({"events": format!("$list:{n}"), "gists": []});
    vec![
        says("another message", "user", "I live in Paris.").keep("old", "/data/id"),
        flush("that dies", "user").errno(503),
        says("and another", "user", "I like tea."),
        flush("that dies", "user").errno(503),
        says("one of another user", "other", "I like coffee."),
        flush("that dies", "other").errno(503),
        letters("the newest", "{user}?page_size=1", json!([head()])).keep("newest", "/data/dead_letters/0/id"),
        letters("the oldest", "{user}?page_size=1&page=1", json!([head()])).keep("oldest", "/data/dead_letters/0/id"),
        case("in the project", "GET", "/project/dead_letters").data(json!({"dead_letters": "$list:3"})),
        says("one that waits for its model", "user", "I like milk."),
        flush("an outage", "user").errno(503),
        letter("retried beside it", "POST", "{user}/{newest}/retry")
            .status(503, json!({"data": null, "errno": 503, "errmsg": "$text:nothing was changed; try again in 1 s"}))
            .wants_header("Retry-After", "1"),
        letter("all of them", "POST", "{user}/retry").data(retried(0, 2)),
        flush("the outage is over", "user"),
        letter("all of them, again", "POST", "{user}/retry").data(retried(1, 1)),
        settled("user"),
        letter("the oldest is gone", "GET", "{user}/{oldest}").errno(404),
        case("what it did", "GET", "/users/event/{user}").data(events(3)),
        letter("dropped", "DELETE", "{user}/{newest}").data(json!(null)),
        letter("dropped again", "DELETE", "{user}/{newest}").errno(404),
        letters("none is left", "{user}", json!([])),
        case("of all users", "POST", "/project/dead_letters/retry").data(retried(1, 0)),
        settled("other"),
        case("what it did", "GET", "/users/event/{other}").data(events(1)),
        case("nothing more of the first", "GET", "/users/event/{user}").data(events(3)),
    ]
}
