//! `sources=true`: the messages that slots, gists and events come from. Chats are not kept by default: the blob is gone.

use serde_json::{Value, json};

use super::case::{Case, case};

/// What the user says, longer than a quote.
const SAYS: &str = "I work as a baker.\n The people in our street come early on Saturdays, when most of them buy their \
    bread for the week, and it is soon gone.";
/// How it is quoted.
const QUOTE: &str = "I work as a baker. The people in our street come early on Saturdays, when most of them buy their \
    bread for the week,…";

fn get(name: &'static str, path: &str) -> Case {
    case(name, "GET", format!("/users/{path}"))
}

/// A slot, gist or event: its sources where `sources` has any.
fn item(content: (&str, Value), sources: Option<Value>, similarity: Option<&str>) -> Value {
    let (key, content) = content;
    let mut item = json!({"id": "$id", "created_at": "$time", "updated_at": "$time"});
    item[key] = content;
    if key == "content" {
        item["attributes"] = json!("$any");
    } else {
        item["similarity"] = json!(similarity);
    }
    if let Some(sources) = sources {
        item["sources"] = sources;
    }
    item
}

fn told() -> Option<Value> {
    Some(json!([{"blob_id": "{blob}", "message": 1, "speaker": "Gus", "quote": QUOTE}]))
}

fn none() -> Option<Value> {
    Some(json!([]))
}

fn profile(content: &str, sources: Option<Value>) -> Value {
    json!({"profiles": [item(("content", json!(content)), sources, None)]})
}

fn events(sources: Option<Value>, similarity: Option<&str>) -> Value {
    json!({"events": [item(("event_data", json!("$any")), sources, similarity)], "gists": []})
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = told_by_a_chat();
    cases.extend(written_by_a_client());
    cases
}

fn told_by_a_chat() -> Vec<Case> {
    let says = json!([
        {"role": "assistant", "content": "Hello! What do you do?"},
        {"role": "user", "alias": "Gus", "content": SAYS},
    ]);
    let says = json!({"blob_type": "chat", "blob_data": {"messages": says}});
    let query = "query=bread%20street";
    let gist = |sources| json!({"gists": [item(("gist_data", json!("$any")), sources, Some("$number"))], "events": []});
    vec![
        case("a user", "POST", "/users").json(json!({})).keep("user", "/data/id"),
        case("a chat", "POST", "/blobs/insert/{user}").json(says).keep("blob", "/data/id"),
        case("a flush", "POST", "/users/buffer/{user}/chat?wait_process=true").keep("event", "/data/0/event_id"),
        case("the blob is gone", "GET", "/blobs/{user}/{blob}").errno(404),
        get("a slot", "profile/{user}?sources=true").data(profile("baker", told())),
        get("a slot without", "profile/{user}").data(profile("baker", None)),
        get("a slot with, again", "profile/{user}?sources=true").data(profile("baker", told())),
        get("slots of nobody", "profile/{nobody}?sources=true").data(json!({"profiles": []})),
        get("maybe", "profile/{user}?sources=maybe").problems(json!([["bool_parsing", ["query", "sources"]]])),
        get("events", "event/{user}?sources=true").data(events(told(), None)),
        get("events without", "event/{user}").data(events(None, None)),
        get("events of nobody", "event/{nobody}?sources=true").data(json!({"events": [], "gists": []})),
        get("found events", &format!("event/search/{{user}}?{query}&sources=true"))
            .data(events(told(), Some("$number"))),
        get("found events without", &format!("event/search/{{user}}?{query}")).data(events(None, Some("$number"))),
        get("found gists", &format!("event_gist/search/{{user}}?{query}&sources=true&topk=1")).data(gist(told())),
        get("found gists without", &format!("event_gist/search/{{user}}?{query}&topk=1")).data(gist(None)),
        get("events by tags", "event_tags/search/{user}?sources=true").data(events(told(), None)),
        get("events by tags without", "event_tags/search/{user}").data(events(None, None)),
    ]
}

fn written_by_a_client() -> Vec<Case> {
    let mine = json!({"content": "a baker of cakes", "attributes": null});
    vec![
        get("the slot", "profile/{user}?topk=1").keep("slot", "/data/profiles/0/id"),
        case("a change", "PUT", "/users/profile/{user}/{slot}").json(mine).data(json!(null)),
        get("a client's own has none", "profile/{user}?sources=true").data(profile("a baker of cakes", none())),
        case("a tip", "PUT", "/users/event/{user}/{event}").json(json!({"event_tip": "- new"})).data(json!(null)),
        get("nor has a client's own gist", "event/{user}?sources=true").data(events(none(), None)),
        get("nor one that is found", "event_gist/search/{user}?query=new&sources=true")
            .data(json!({"gists": [item(("gist_data", json!("$any")), none(), Some("$number"))], "events": []})),
        case("no gists", "PUT", "/users/event/{user}/{event}").json(json!({"event_tip": "new"})).data(json!(null)),
        get("nor has an event without gists", "event/{user}?sources=true").data(events(none(), None)),
    ]
}
