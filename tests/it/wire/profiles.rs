//! `/users/profile`.

use serde_json::{Value, json};

use super::case::{Case, case};

fn slot(content: &str, topic: &str, sub_topic: &str) -> Value {
    json!({"content": content, "attributes": {"topic": topic, "sub_topic": sub_topic}})
}

fn shown(content: &str, attributes: Value) -> Value {
    json!({
        "id": "$id", "content": content, "created_at": "$time", "updated_at": "$time", "attributes": attributes
    })
}

fn add(name: &'static str, body: Value) -> Case {
    case(name, "POST", "/users/profile/{user}").json(body)
}

fn get(name: &'static str, query: &str) -> Case {
    case(name, "GET", format!("/users/profile/{{user}}{query}"))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = adding();
    cases.extend(reading());
    cases.extend(changing());
    cases.extend(importing());
    cases
}

fn adding() -> Vec<Case> {
    vec![
        case("a user", "POST", "/users").json(json!({})).keep("user", "/data/id"),
        get("empty", "").data(json!({"profiles": []})),
        case("unknown user", "GET", "/users/profile/{nobody}").data(json!({"profiles": []})),
        add("add", slot("one", "Topic A", "Sub B")).data(json!({"id": "$id"})).keep("first", "/data/id"),
        add("with more", json!({"content": "two", "attributes": {"topic": "t", "sub_topic": "s", "extra": 1}})),
        add("the same slot twice", slot("three", "t", "s")).data(json!({"id": "$id"})),
        add("no sub_topic", json!({"content": "t", "attributes": {"topic": "t"}})).errno(520),
        add("no attributes", json!({"content": "t", "attributes": null})).errno(520),
        add("attributes left out", json!({"content": "t"})).problems(json!([["missing", ["body", "attributes"]]])),
        add("nothing", json!({}))
            .problems(json!([["missing", ["body", "content"]], ["missing", ["body", "attributes"]]])),
        case("empty texts", "POST", "/users").json(json!({})).keep("other", "/data/id"),
        case("empty texts", "POST", "/users/profile/{other}").json(slot("", "", "")).data(json!({"id": "$id"})),
        case("to nobody", "POST", "/users/profile/{nobody}").json(slot("t", "t", "s")).errno(404),
    ]
}

fn reading() -> Vec<Case> {
    let one = || shown("one", json!({"topic": "Topic A", "sub_topic": "Sub B"}));
    let two = || shown("two", json!({"topic": "t", "sub_topic": "s", "extra": 1}));
    let three = || shown("three", json!({"topic": "t", "sub_topic": "s"}));
    let profiles = |slots: Vec<Value>| json!({"profiles": slots});
    let says = |text: &str| format!("?chats_str=%5B%7B%22role%22%3A%22user%22%2C%22content%22%3A%22{text}%22%7D%5D");
    let limits = |text: &str| format!("?topic_limits_json={text}");
    vec![
        get("newest first", "").data(profiles(vec![three(), two(), one()])),
        get("topk of 0 is all", "?topk=0").data(profiles(vec![three(), two(), one()])),
        get("topk", "?topk=1").data(profiles(vec![three()])),
        get("budget of nothing", "?max_token_size=1").data(profiles(vec![three()])),
        get("preferred", "?prefer_topics=Topic%20A&prefer_topics=t").data(profiles(vec![one(), three(), two()])),
        get("only", "?only_topics=Topic%20A").data(profiles(vec![one()])),
        get("only what is not there", "?only_topics=zzz").data(profiles(vec![])),
        get("one of each topic", "?max_subtopic_size=1").data(profiles(vec![three(), one()])),
        get("a limit of one topic", &limits("%7B%22t%22%3A1%7D")).data(profiles(vec![three(), one()])),
        get("half a limit", &limits("%7B%22t%22%3A")).errno(400),
        get("limit is text", &limits("%7B%22t%22%3A%22x%22%7D")).errno(400),
        get("chats are no JSON", "?chats_str=xx").errno(400),
        get("chats of nobody", "?chats_str=%5B%7B%22role%22%3A%22system%22%2C%22content%22%3A%22hi%22%7D%5D")
            .errno(400),
        get("a chat", &says("one%20of%20three")).data(profiles(vec![three(), one()])),
        get("a chat, limited", &format!("{}&topk=1", says("one%20of%20three"))).data(profiles(vec![three()])),
        get("a chat about nothing known", &says("hm")).data(profiles(vec![three(), two(), one()])),
        get("no chats", "?chats_str=%5B%5D").data(profiles(vec![three(), two(), one()])),
        get("less than no slots", "?topk=-1").problems(json!([["greater_than_equal", ["query", "topk"]]])),
        get("less than no tokens", "?max_token_size=-5")
            .problems(json!([["greater_than_equal", ["query", "max_token_size"]]])),
        get("no number", "?topk=abc").problems(json!([["int_parsing", ["query", "topk"]]])),
    ]
}

fn changing() -> Vec<Case> {
    let put = |name, body: Value| case(name, "PUT", "/users/profile/{user}/{first}").json(body);
    let new = |content, attributes| json!({"profiles": [shown(content, attributes)]});
    vec![
        put("attributes of null stay", json!({"content": "new", "attributes": null})).data(json!(null)),
        get("changed, and first", "?topk=1").data(new("new", json!({"topic": "Topic A", "sub_topic": "Sub B"}))),
        put("moved", slot("new", "x", "y")).data(json!(null)),
        get("after the move", "?topk=1").data(new("new", json!({"topic": "x", "sub_topic": "y"}))),
        put("attributes left out", json!({"content": "z"})).problems(json!([["missing", ["body", "attributes"]]])),
        case("unknown slot", "PUT", "/users/profile/{user}/{nobody}")
            .json(json!({"content": "z", "attributes": null}))
            .errno(404),
        case("bad id", "PUT", "/users/profile/{user}/fake")
            .json(json!({"content": "z", "attributes": null}))
            .bad_id("profile_id"),
        case("delete", "DELETE", "/users/profile/{user}/{first}").data(json!(null)),
        case("delete again", "DELETE", "/users/profile/{user}/{first}").errno(404),
        case("delete bad id", "DELETE", "/users/profile/{user}/fake").bad_id("profile_id"),
        get("what is left", "").data(json!({"profiles": "$list:2"})),
    ]
}

fn importing() -> Vec<Case> {
    let import =
        |name, user: &str, body: Value| case(name, "POST", format!("/users/profile/import/{{{user}}}")).json(body);
    vec![
        import("nothing", "user", json!({})).problems(json!([["missing", ["body", "context"]]])),
        import("for nobody", "nobody", json!({"context": "x"})).errno(404),
        import("a text", "other", json!({"context": "My name is Gus and I live in Paris."})).data(json!(null)),
    ]
}
