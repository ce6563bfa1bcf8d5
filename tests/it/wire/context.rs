//! `/users/context`.

use serde_json::{Value, json};

use super::case::{Case, case};

/// "I like sushi".
const SUSHI: &str = "chats_str=%5B%7B%22role%22%3A%22user%22%2C%22content%22%3A%22I%20like%20sushi%22%7D%5D";

/// "Where is Paris?"
const CHATS: &str = "chats_str=%5B%7B%22role%22%3A%22user%22%2C%22content%22%3A%22Where%20is%20Paris%3F%22%7D%5D";

fn get(name: &'static str, query: &str) -> Case {
    case(name, "GET", format!("/users/context/{{user}}?{query}"))
}

fn context(text: &str) -> Value {
    json!({"context": text})
}

pub(super) fn cases() -> Vec<Case> {
    let slot = |topic: &str, content: &str| {
        let body = json!({"content": content, "attributes": {"topic": topic, "sub_topic": "s"}});
        case("a slot", "POST", "/users/profile/{user}").json(body)
    };
    let mut cases = vec![
        case("a user", "POST", "/users").json(json!({})).keep("user", "/data/id"),
        slot("interest", "sushi"),
        slot("work", "engineer"),
    ];
    cases.extend(packing());
    cases.extend(just_said());
    cases.extend(explained());
    cases.extend(checking());
    cases
}

fn packing() -> Vec<Case> {
    let only = "customize_context_prompt=%3C%7Bprofile_section%7D%3E";
    vec![
        case("of nobody", "GET", "/users/context/{nobody}").data(context("$text:")),
        get("profile", "").data(context("$text:engineer")),
        get("small", "max_token_size=100").data(context("$text:engineer")),
        get("smaller than the frame", "max_token_size=20")
            .data(context("## User profile\n\n## Events by day told [day it happened]\n\n")),
        get("nothing fits", &format!("max_token_size=0&{only}")).data(context("$start:<")),
        get("profile alone", "profile_event_ratio=1").data(context("$text:sushi")),
        get("one topic", "only_topics=interest&prefer_topics=interest").data(context("$text:sushi")),
        get("a limit of one topic", "topic_limits_json=%7B%22interest%22%3A1%7D").data(context("$text:sushi")),
        get("a chat", CHATS).data(context("$text:engineer")),
        get("a chat, full profile", &format!("{CHATS}&full_profile_and_only_search_event=true")),
        get("no chat, no full profile", "full_profile_and_only_search_event=False"),
        get("a chat, part of the profile", &format!("full_profile_and_only_search_event=false&{SUSHI}&{only}"))
            .data(context("<- interest::s: sushi>")),
        get(
            "a chat, part of what is left",
            &format!("full_profile_and_only_search_event=false&{SUSHI}&{only}&only_topics=work"),
        )
        .data(context("<>")),
        get("a chat, no part of the profile", &format!("full_profile_and_only_search_event=false&{CHATS}&{only}"))
            .data(context("<- work::s: engineer\n- interest::s: sushi>")),
        get("the same chat, full profile", &format!("{SUSHI}&{only}"))
            .data(context("<- work::s: engineer\n- interest::s: sushi>")),
        get("events get the rest", "fill_window_with_events=true").data(context("$text:engineer")),
        get("nothing is so similar", &format!("event_similarity_threshold=2&{CHATS}")).data(context("$text:engineer")),
        get("own prompt", only).data(context("$start:<")),
        get("another name stays", "customize_context_prompt=P%3A%7Bfoo%7D").data(context("P:{foo}")),
        get("nothing is evaluated", "customize_context_prompt=%7Bprofile_section.__class__%7D")
            .data(context("{profile_section.__class__}")),
    ]
}

/// What waits in the buffer is shown when it is asked for, and once it is flushed it is not in the buffer any more.
fn just_said() -> Vec<Case> {
    let only = "customize_context_prompt=%3C%7Bevent_section%7D%3E";
    let message = |alias: Value, content: &str| json!({"role": "user", "alias": alias, "content": content});
    let insert = |messages: Value| {
        let body = json!({"blob_type": "chat", "blob_data": {"messages": messages}});
        case("a message", "POST", "/blobs/insert/{user}").json(body)
    };
    let asked = |name| get(name, &format!("include_buffer=true&{only}"));
    vec![
        asked("nothing was said").data(context("<>")),
        insert(json!([message(json!(null), "I moved\nto Oslo."), message(json!("Ann"), "I love it.")])),
        insert(json!([message(json!(null), "See you!")])),
        get("not asked for", only).data(context("<>")),
        get("asked not to", &format!("include_buffer=false&{only}")).data(context("<>")),
        asked("just said").data(context("<- user: See you!\n- Ann: I love it.\n- user: I moved to Oslo.>")),
        get("just said, in the frame", "include_buffer=true")
            .data(context("$text:## Just said, newest first\n- user: See you!\n- Ann:")),
        get("no frame of it", "").data(context("$start:## User profile")),
        case("of nobody, just said", "GET", format!("/users/context/{{nobody}}?include_buffer=true&{only}"))
            .data(context("<>")),
        get("no flag", "include_buffer=maybe").problems(json!([["bool_parsing", ["query", "include_buffer"]]])),
        case("flush", "POST", "/users/buffer/{user}/chat?wait_process=true"),
        asked("flushed").data(context("$text:Oslo")),
        get("flushed, in the frame", "include_buffer=true").data(context("$text:## Just said, newest first\n\n")),
    ]
}

/// What a context is made of, told line by line: two slots, and three gists that were flushed.
fn explained() -> Vec<Case> {
    let (any, none) = (|| json!("$any"), || json!([]));
    let limit = |name: &str, count: u32| json!([{"limit": name, "count": count}]);
    let sushi = json!([{
        "text": "- interest::s: sushi", "tokens": "$number", "slot_id": "$id", "similarity": null, "scores": null,
        "sources": []
    }]);
    let newest = ["- I moved to Oslo.", "- I love it.", "- See you!"].map(|text| told(text, json!(null), json!(null)));
    let scores = json!({"words": "$number", "lent": "$number", "meaning": null, "around": null});
    let found =
        [told("- I moved to Oslo.", json!(1.0), scores.clone()), told("- I love it.", json!("$number"), scores)];
    let asked = "customize_context_prompt=%3C%7Bprofile_section%7D%7C%7Bevent_section%7D%3E&explain=true";
    let asked_of_sushi = format!("{asked}&only_topics=interest&max_token_size=100&profile_event_ratio=0.5");
    let of_sushi = |considered: u32, events: Value, left_out: Value| {
        let profile = section(50, sushi.clone(), limit("only_topics", 1), none());
        why(100, considered, profile, section(50, events, left_out, none()))
    };
    let oslo = CHATS.replace("Paris", "Oslo");
    vec![
        get("why", &asked_of_sushi).data(of_sushi(3, json!(newest), none())),
        get("why so little", &format!("{asked}&max_token_size=10")).data(why(
            10,
            3,
            section(5, none(), limit("max_token_size", 2), json!("$list:2")),
            section(0, none(), limit("max_token_size", 3), json!("$list:3")),
        )),
        get("why no old events", &format!("{asked_of_sushi}&time_range_in_days=0")).data(of_sushi(
            0,
            none(),
            limit("time_range_in_days", 3),
        )),
        get("why none of last year", &format!("{asked_of_sushi}&happened_until=2025")).data(of_sushi(
            0,
            none(),
            limit("happened_from, happened_until", 3),
        )),
        get("why for a chat", &format!("{asked_of_sushi}&{oslo}&event_similarity_threshold=0.6")).data(of_sushi(
            3,
            json!(found),
            limit("event_similarity_threshold", 1),
        )),
        get("why what was just said", &format!("include_buffer=true&{asked}")).data(why(1000, 3, any(), any())),
        get("no day", "happened_from=x").problems(json!([["date_parsing", ["query", "happened_from"]]])),
        get("no flag to explain", "explain=maybe").problems(json!([["bool_parsing", ["query", "explain"]]])),
    ]
}

/// A context of the client's own prompt, and why it is so.
fn why(max_tokens: u32, considered: u32, profile: Value, events: Value) -> Value {
    json!({"context": "$start:<", "explain": {
        "max_tokens": max_tokens, "tokens": "$number", "frame_tokens": "$number", "considered": considered,
        "profile": profile, "events": events, "buffer": "$any",
    }})
}

fn section(max_tokens: u32, lines: Value, left_out: Value, next: Value) -> Value {
    json!({
        "max_tokens": max_tokens, "tokens": "$number", "shown": "$number", "lines": lines, "left_out": left_out,
        "next": next
    })
}

/// A gist with its one source.
fn told(text: &str, similarity: Value, scores: Value) -> Value {
    json!({
        "text": text, "tokens": "$number", "gist_id": "$id", "event_id": "$id", "said_at": "$start:20",
        "similarity": similarity, "scores": scores, "sources": "$list:1"
    })
}

fn checking() -> Vec<Case> {
    let ratio = |kind: &str| json!([[kind, ["query", "profile_event_ratio"]]]);
    vec![
        get("no share", "profile_event_ratio=0").problems(ratio("greater_than")),
        get("more than all", "profile_event_ratio=1.5").problems(ratio("less_than_equal")),
        get("no number", "profile_event_ratio=abc").problems(ratio("float_parsing")),
        get("less than nothing", "max_token_size=-1")
            .problems(json!([["greater_than_equal", ["query", "max_token_size"]]])),
        get("limits are no JSON", "topic_limits_json=x").errno(400),
        get("chats are no JSON", "chats_str=x").errno(400),
        case("bad id", "GET", "/users/context/fake").bad_id("user_id"),
    ]
}
