//! `/users/event`, `/users/event_gist` and `/users/event_tags`.

use serde_json::{Value, json};

use super::case::{Case, case};

const QUERY: &str = "query=lighthouse%20keeper";

fn get(name: &'static str, path: &str) -> Case {
    case(name, "GET", format!("/users/{path}"))
}

fn found(events: Value) -> Value {
    json!({"events": events, "gists": []})
}

fn event(data: Value, similarity: Value) -> Value {
    json!({
        "id": "{event}", "event_data": data, "created_at": "$time", "updated_at": "$time", "similarity": similarity
    })
}

fn changed(tags: Value) -> Value {
    let delta = json!({"content": "c", "attributes": {"topic": "a", "sub_topic": "b"}});
    json!({"profile_delta": [delta], "event_tip": "- The lighthouse keeper moved to Crete", "event_tags": tags})
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = listing();
    cases.extend(changing());
    cases.extend(searching());
    cases.extend(explained());
    cases.extend(tagged());
    cases.push(case("delete", "DELETE", "/users/event/{user}/{event}").data(json!(null)));
    cases.push(case("delete again", "DELETE", "/users/event/{user}/{event}").errno(404));
    cases.push(get("after delete", "event/{user}").data(found(json!([]))));
    cases
}

fn listing() -> Vec<Case> {
    let says = json!([{"role": "user", "content": "My name is Gus and I live in Paris. I work as a baker at Acme."}]);
    let says = json!({"blob_type": "chat", "blob_data": {"messages": says}});
    let data = json!({"profile_delta": "$any", "event_tip": "$text:- ", "event_tags": "$any"});
    vec![
        case("a user", "POST", "/users").json(json!({})).keep("user", "/data/id"),
        case("something happens", "POST", "/blobs/insert/{user}").json(says),
        case("it is taken in", "POST", "/users/buffer/{user}/chat?wait_process=true").keep("event", "/data/0/event_id"),
        get("newest", "event/{user}?topk=1").data(found(json!([event(data.clone(), json!(null))]))),
        get("with a summary", "event/{user}?need_summary=true").data(found(json!([event(data, json!(null))]))),
        get("none", "event/{user}?topk=0").data(found(json!([]))),
        get("no tokens", "event/{user}?max_token_size=0").data(found(json!([]))),
        get("of nobody", "event/{nobody}").data(found(json!([]))),
        get("bad id", "event/fake").bad_id("user_id"),
        get("less than none", "event/{user}?topk=-1").problems(json!([["greater_than_equal", ["query", "topk"]]])),
    ]
}

fn changing() -> Vec<Case> {
    let put = |name, body: Value| case(name, "PUT", "/users/event/{user}/{event}").json(body);
    let delta = json!({"content": "c", "attributes": {"topic": "a", "sub_topic": "b"}});
    vec![
        put("tags", json!({"event_tags": [{"tag": "emotion", "value": "happy"}]})).data(json!(null)),
        put("changes", json!({"profile_delta": [delta]})).data(json!(null)),
        put("tip", json!({"event_tip": "- The lighthouse keeper moved to Crete"})).data(json!(null)),
        get("all of it", "event/{user}?topk=1")
            .data(found(json!([event(changed(json!([{"tag": "emotion", "value": "happy"}])), json!(null))]))),
        put("tip of 5", json!({"event_tip": 5})).problems(json!([["string_type", ["body", "event_tip"]]])),
        put("half a tag", json!({"event_tags": [{"tag": "x"}]}))
            .problems(json!([["missing", ["body", "event_tags", 0, "value"]]])),
        case("unknown", "PUT", "/users/event/{user}/{nobody}").json(json!({"event_tip": "x"})).errno(404),
        case("bad id", "PUT", "/users/event/{user}/fake").json(json!({"event_tip": "x"})).bad_id("event_id"),
    ]
}

fn searching() -> Vec<Case> {
    let search = |name, query: &str| get(name, &format!("event/search/{{user}}?{query}"));
    let gists = |name, path: &str| get(name, &format!("event_gist/search/{path}"));
    let hit = || found(json!([event(changed(json!([{"tag": "emotion", "value": "happy"}])), json!("$number"))]));
    let none = || found(json!([]));
    let missing = || json!([["missing", ["query", "query"]]]);
    let gist = json!({
        "id": "$id", "gist_data": {"content": "$start:- "}, "created_at": "$time", "updated_at": "$time",
        "similarity": "$number"
    });
    vec![
        search("what is there", QUERY).data(hit()),
        search("a low threshold", &format!("{QUERY}&similarity_threshold=-1&topk=2")),
        search("a high threshold", &format!("{QUERY}&similarity_threshold=2")).data(none()),
        search("no threshold", &format!("{QUERY}&similarity_threshold=abc"))
            .problems(json!([["float_parsing", ["query", "similarity_threshold"]]])),
        search("threshold of nan", &format!("{QUERY}&similarity_threshold=nan")).data(none()),
        search("none", &format!("{QUERY}&topk=0&similarity_threshold=-1")).data(none()),
        search("no days", &format!("{QUERY}&time_range_in_days=0&similarity_threshold=-1")).data(none()),
        search("less than no days", &format!("{QUERY}&time_range_in_days=-1"))
            .problems(json!([["greater_than_equal", ["query", "time_range_in_days"]]])),
        search("nothing", "query=").data(none()),
        search("no query", "").problems(missing()),
        get("of nobody", &format!("event/search/{{nobody}}?{QUERY}")).data(none()),
        gists("gists", &format!("{{user}}?{QUERY}")).data(json!({"gists": [gist], "events": []})),
        gists("gists without a query", "{user}").problems(missing()),
        gists("gists of nobody", &format!("{{nobody}}?{QUERY}")).data(none()),
    ]
}

/// Searches that tell why, and those of what happened at some time.
fn explained() -> Vec<Case> {
    let search = |name, path: &str| get(name, &format!("{path}/search/{{user}}?explain=true&{QUERY}"));
    let line = json!({
        "text": "- The lighthouse keeper moved to Crete", "tokens": "$number", "gist_id": "$id", "event_id": "{event}",
        "said_at": "$start:20", "similarity": 1.0, "scores": {"words": "$number", "lent": 0.0, "meaning": null, "around": null}, "sources": []
    });
    let why = |lines: Value, considered: u32, left_out: Value| -> Value {
        json!({"considered": considered, "lines": lines, "left_out": left_out})
    };
    let hit = |why: Value| {
        let event = event(changed(json!([{"tag": "emotion", "value": "happy"}])), json!(1.0));
        json!({"events": [event], "gists": [], "explain": why})
    };
    let none = |why: Value| json!({"events": [], "gists": [], "explain": why});
    let limit = |limit: &str| json!([{"limit": limit, "count": 1}]);
    // Neither told nor happened on a known day.
    let undated = "happened_from=2020&happened_until=2021-05";
    let bad = |name: &str| json!([["date_parsing", ["query", name]]]);
    vec![
        search("why", "event").data(hit(why(json!([line]), 1, json!([])))),
        search("why a gist", "event_gist")
            .data(json!({"events": [], "gists": "$list:1", "explain": why(json!([line]), 1, json!([]))})),
        get(
            "why nothing",
            &format!("event/search/{{user}}?explain=1&{QUERY}&similarity_threshold=0.2&time_range_in_days=0"),
        )
        .data(none(why(json!([]), 0, limit("time_range_in_days")))),
        get("why nothing alike", "event/search/{user}?explain=1&query=piano").data(none(why(
            json!([]),
            1,
            limit("similarity_threshold"),
        ))),
        get("why nothing of a time", &format!("event_gist/search/{{user}}?explain=1&{undated}&{QUERY}"))
            .data(none(why(json!([]), 0, limit("happened_from, happened_until")))),
        get("no date", &format!("event/search/{{user}}?{QUERY}&happened_from=last+May")).problems(bad("happened_from")),
        get("no day", &format!("event/search/{{user}}?{QUERY}&happened_until=2023-02-30"))
            .problems(bad("happened_until")),
        get("no time at all", &format!("event/search/{{user}}?{QUERY}&happened_from=2023-06&happened_until=2023-05"))
            .problems(json!([["less_than_equal", ["query", "happened_from"]]])),
        get("no matter when", &format!("event/search/{{user}}?{QUERY}&happened_until=")),
        get("why, of nobody", &format!("event/search/{{nobody}}?explain=true&{QUERY}")).data(none(why(
            json!([]),
            0,
            json!([]),
        ))),
    ]
}

fn tagged() -> Vec<Case> {
    let tags = |name, query: &str| get(name, &format!("event_tags/search/{query}"));
    let all = || found(json!([event(changed(json!([{"tag": "emotion", "value": "happy"}])), json!(null))]));
    let none = || found(json!([]));
    vec![
        tags("a tag", "{user}?tags=emotion").data(all()),
        tags("two tags", "{user}?tags=emotion,goal").data(none()),
        tags("a value", "{user}?tag_values=emotion%3Dhappy").data(all()),
        tags("another value", "{user}?tag_values=emotion%3Dsad").data(none()),
        tags("no value", "{user}?tag_values=emotion").data(all()),
        tags("no tags", "{user}?topk=1").data(all()),
        tags("less than none", "{user}?topk=-1").problems(json!([["greater_than_equal", ["query", "topk"]]])),
        tags("of nobody", "{nobody}").data(none()),
    ]
}
