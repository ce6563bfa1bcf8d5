//! `/blobs`, `/users/blobs` and `/users/buffer`.

use serde_json::{Value, json};

use super::case::{Case, case};

fn insert(name: &'static str, body: Value) -> Case {
    case(name, "POST", "/blobs/insert/{user}").json(body)
}

fn chat(messages: Value) -> Value {
    json!({"blob_type": "chat", "blob_data": {"messages": messages}})
}

fn says(text: &str) -> Value {
    chat(json!([{"role": "user", "content": text}]))
}

fn shown(blob_type: &str, data: Value) -> Value {
    json!({
        "blob_type": blob_type, "blob_data": data, "fields": null, "created_at": "$time", "updated_at": "$time"
    })
}

fn inserted() -> Value {
    json!({"id": "$id", "chat_results": []})
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = inserting();
    cases.extend(refused());
    cases.extend(strange());
    cases.extend(reading());
    cases.extend(listing());
    cases.extend(flushing());
    cases.extend(triggering());
    cases.extend(repeated());
    cases
}

fn inserting() -> Vec<Case> {
    let full = json!([
        {"role": "user", "content": "I work at Acme as an engineer", "alias": "Jack", "created_at": "2024/01/02"},
        {"role": "assistant", "content": "ok", "alias": "Her", "created_at": "Year 32637"}
    ]);
    let mut dated = chat(full);
    dated["fields"] = json!({"k": "v"});
    dated["created_at"] = json!("2024-05-06T07:08:09Z");
    let more = json!({
        "blob_type": "chat", "baz": 3,
        "blob_data": {"messages": [{"role": "user", "content": "hi", "foo": 1}], "bar": 2}
    });
    let doc = json!({"blob_type": "doc", "blob_data": {"content": "A document"}, "fields": {"a": 1}});
    let code = json!({"blob_type": "code", "blob_data": {"language": "rust", "content": "fn main() {}"}});
    let transcript = json!({"content": "x", "start_timestamp_in_seconds": 0});
    let transcript = json!({"blob_type": "transcript", "blob_data": {"transcripts": [transcript]}});
    let wait = |value: &str| case("wait", "POST", format!("/blobs/insert/{{user}}?wait_process={value}"));
    vec![
        case("a user", "POST", "/users").json(json!({})).keep("user", "/data/id"),
        insert("plain", says("My name is Gus.")).data(inserted()).keep("plain", "/data/id"),
        insert("with all it can have", dated).data(inserted()).keep("dated", "/data/id"),
        insert("with more keys", more).data(inserted()),
        insert("a summary", json!({"blob_type": "summary", "blob_data": {"summary": "s"}}))
            .data(inserted())
            .keep("summary", "/data/id"),
        insert("a document", doc).data(inserted()).keep("doc", "/data/id"),
        insert("code", code).data(inserted()).keep("code", "/data/id"),
        insert("a transcript", transcript).data(inserted()).keep("transcript", "/data/id"),
        insert("no messages", chat(json!([]))).data(inserted()),
        wait("True").json(says("a")).data(inserted()),
        wait("true").json(says("b")).data(inserted()),
        wait("1").json(says("c")).data(inserted()),
        wait("False").json(says("d")).data(inserted()),
        wait("0").json(says("e")).data(inserted()),
        wait("maybe").json(says("f")).problems(json!([["bool_parsing", ["query", "wait_process"]]])),
    ]
}

fn refused() -> Vec<Case> {
    let dated = |created_at: Value| {
        let mut body = says("x");
        body["created_at"] = created_at;
        body
    };
    let message = |message: Value| chat(json!([message]));
    let missing = json!([["missing", ["body", "blob_type"]], ["missing", ["body", "blob_data"]]]);
    vec![
        insert("an image", json!({"blob_type": "image", "blob_data": {"url": "http://x"}})).errno(501),
        insert("wrong case", json!({"blob_type": "Chat", "blob_data": {"messages": []}}))
            .problems(json!([["enum", ["body", "blob_type"]]])),
        insert("messages are text", chat(json!("hi"))).errno(400),
        insert("system", message(json!({"role": "system", "content": "x"}))).errno(400),
        insert("content of null", message(json!({"role": "user", "content": null}))).errno(400),
        insert("content of 5", message(json!({"role": "user", "content": 5}))).errno(400),
        insert("time is a number", message(json!({"role": "user", "content": "x", "created_at": 123}))).errno(400),
        insert("much that is wrong", chat(json!(vec![0; 100_000]))).errno(400),
        insert("another type's data", json!({"blob_type": "doc", "blob_data": {"messages": []}})).errno(400),
        insert("nothing", json!({})).problems(missing),
        case("no body", "POST", "/blobs/insert/{user}").problems(json!([["missing", ["body"]]])),
        insert("bad date", dated(json!("yesterday")))
            .problems(json!([["datetime_from_date_parsing", ["body", "created_at"]]])),
        case("bad id", "POST", "/blobs/insert/fake").json(says("x")).bad_id("user_id"),
        case("for nobody", "POST", "/blobs/insert/{nobody}").json(says("x")).errno(404),
    ]
}

fn strange() -> Vec<Case> {
    let raw = r#"{"blob_type": "chat", "blob_data": {"messages": [{"role": "user", "content": "a\ud800b\u0000"}]}}"#;
    let large = vec![b' '; 17 << 20];
    vec![
        case("a user", "POST", "/users").json(json!({})).keep("odd", "/data/id"),
        case("half a surrogate and NUL", "POST", "/blobs/insert/{odd}").bytes(raw).keep("mended", "/data/id"),
        case("a control token", "POST", "/blobs/insert/{odd}").json(says("hello <|endoftext|> world")).data(inserted()),
        case("17 MiB", "POST", "/blobs/insert/{odd}")
            .bytes(large)
            .status(413, json!({"data": null, "errno": 413, "errmsg": "$text:max_body_bytes"})),
    ]
}

fn reading() -> Vec<Case> {
    let get = |name, blob: &str| case(name, "GET", format!("/blobs/{{user}}/{blob}"));
    let shown = |blob_type: &str, data: Value, fields: Value| {
        let mut blob = shown(blob_type, data);
        blob["fields"] = fields;
        blob
    };
    let plain = json!({"messages": [
        {"role": "user", "alias": null, "content": "My name is Gus.", "created_at": null}
    ]});
    let dated = json!({"messages": [
        {"role": "user", "content": "I work at Acme as an engineer", "alias": "Jack", "created_at": "2024/01/02"},
        {"role": "assistant", "content": "ok", "alias": "Her", "created_at": "Year 32637"}
    ]});
    let stamp = json!({
        "content": "x", "start_timestamp_in_seconds": 0.0, "end_time_timestamp_in_seconds": null, "speaker": null
    });
    let code = json!({"language": "rust", "content": "fn main() {}", "src": null});
    let mended = json!({"messages": [
        {"role": "user", "alias": null, "content": "a\u{FFFD}b\u{FFFD}", "created_at": null}
    ]});
    vec![
        get("plain", "{plain}").data(shown("chat", plain, json!(null))),
        get("with all it can have", "{dated}").data(shown("chat", dated, json!({"k": "v"}))),
        get("document", "{doc}").data(shown("doc", json!({"content": "A document"}), json!({"a": 1}))),
        get("code", "{code}").data(shown("code", code, json!(null))),
        get("transcript", "{transcript}").data(shown("transcript", json!({"transcripts": [stamp]}), json!(null))),
        case("mended", "GET", "/blobs/{odd}/{mended}").data(shown("chat", mended, json!(null))),
        get("unknown", "{nobody}").errno(404),
        get("bad id", "fake").bad_id("blob_id"),
        case("another user's", "GET", "/blobs/{nobody}/{plain}").errno(404),
        case("delete", "DELETE", "/blobs/{user}/{doc}").data(json!(null)),
        get("after delete", "{doc}").errno(404),
        case("delete again", "DELETE", "/blobs/{user}/{doc}").data(json!(null)),
        case("delete of nobody", "DELETE", "/blobs/{nobody}/{doc}").data(json!(null)),
        case("delete bad id", "DELETE", "/blobs/{user}/fake").bad_id("blob_id"),
    ]
}

fn listing() -> Vec<Case> {
    let list = |name, path: &str| case(name, "GET", format!("/users/blobs/{path}"));
    let none = || json!({"ids": []});
    vec![
        list("chats", "{user}/chat").data(json!({"ids": "$list:9"})),
        list("a page", "{user}/chat?page=1&page_size=1").data(json!({"ids": "$list:1"})),
        list("the last page", "{user}/chat?page=8&page_size=1").data(json!({"ids": ["{plain}"]})),
        list("beyond the last page", "{user}/chat?page=9&page_size=1").data(none()),
        list("an empty page", "{user}/chat?page_size=0").data(none()),
        list("before the first page", "{user}/chat?page=-1")
            .problems(json!([["greater_than_equal", ["query", "page"]]])),
        list("no page", "{user}/chat?page=abc").problems(json!([["int_parsing", ["query", "page"]]])),
        list("images", "{user}/image").data(none()),
        list("no type", "{user}/fool").problems(json!([["enum", ["path", "blob_type"]]])),
        list("of nobody", "{nobody}/chat").data(none()),
    ]
}

fn flushing() -> Vec<Case> {
    let capacity = |name, path: &str| case(name, "GET", format!("/users/buffer/capacity/{path}"));
    let flush = |name, path: &str| case(name, "POST", format!("/users/buffer/{path}"));
    let (none, nothing) = (|| json!({"ids": []}), || json!([]));
    let did = json!([
        {"event_id": "$any", "add_profiles": "$ids", "update_profiles": "$ids", "delete_profiles": "$ids"}
    ]);
    vec![
        capacity("processing", "{user}/chat").data(none()),
        capacity("idle", "{user}/chat?status=idle").data(json!({"ids": "$list:9"})),
        capacity("failed", "{user}/chat?status=failed").data(none()),
        capacity("done", "{user}/chat?status=done").data(none()),
        capacity("no status", "{user}/chat?status=x").problems(json!([["literal_error", ["query", "status"]]])),
        capacity("no type", "{user}/fool").problems(json!([["enum", ["path", "buffer_type"]]])),
        capacity("of nobody", "{nobody}/chat?status=idle").data(none()),
        flush("waited for", "{user}/chat?wait_process=True").data(did.clone()),
        flush("nothing is left", "{user}/chat?wait_process=true").data(nothing()),
        flush("nothing, with a body", "{user}/chat").json(json!({"x": 1})).data(nothing()),
        capacity("idle after the flush", "{user}/chat?status=idle").data(none()),
        case("a chat after its flush", "GET", "/blobs/{user}/{plain}").errno(404),
        flush("a summary", "{user}/summary?wait_process=true").data(did.clone()),
        case("a summary after its flush", "GET", "/blobs/{user}/{summary}")
            .data(shown("summary", json!({"summary": "s"}))),
        flush("code", "{user}/code").data(json!(null)),
        case("code after its flush", "GET", "/users/blobs/{user}/code").data(json!({"ids": ["{code}"]})),
        flush("a transcript", "{user}/transcript?wait_process=1").data(did),
        flush("images", "{user}/image?wait_process=True").data(nothing()),
        flush("no type", "{user}/fool").problems(json!([["enum", ["path", "buffer_type"]]])),
        flush("bad id", "fake/chat").bad_id("user_id"),
        flush("of nobody", "{nobody}/chat?wait_process=true").data(nothing()),
        insert("one more", says("I live in Paris.")).data(inserted()),
        flush("in the background", "{user}/chat").data(json!(null)),
        capacity("idle after the background flush", "{user}/chat?status=idle").data(none()),
        case("the profile after it", "GET", "/users/profile/{user}?topk=1").data(json!({"profiles": "$list:1"})),
        case("summaries after their flush", "GET", "/users/blobs/{user}/summary").data(json!({"ids": ["{summary}"]})),
    ]
}

/// Inserts past the size trigger, of 1024 tokens: the profile shows at once what they did.
fn triggering() -> Vec<Case> {
    let full = |start: &str| says(&format!("{start} {}", "word ".repeat(1_500)));
    let doc =
        json!({"blob_type": "doc", "blob_data": {"content": format!("My name is Ada. {}", "word ".repeat(1_500))}});
    // More than one flush takes, which is 16384 tokens.
    let oversized = says(&"I like tea. ".repeat(6_000));
    let ids = |ids: Value| json!({"ids": ids});
    let capacity = |name, status: &str| {
        case(name, "GET", format!("/users/buffer/capacity/{{full}}/chat?status={status}")).data(ids(json!([])))
    };
    let result = json!({
        "event_id": "$any", "add_profiles": "$ids", "update_profiles": "$ids", "delete_profiles": "$ids"
    });
    let done = json!({"id": "$id", "chat_results": [result]});
    vec![
        case("a user", "POST", "/users").json(json!({})).keep("full", "/data/id"),
        case("waited for", "POST", "/blobs/insert/{full}?wait_process=True")
            .json(full("I live in Paris."))
            .data(done.clone()),
        case("what it did", "GET", "/users/profile/{full}").data(json!({"profiles": "$list:1"})),
        case("not waited for", "POST", "/blobs/insert/{full}").json(full("I love eating sushi.")).data(inserted()),
        case("what it did", "GET", "/users/profile/{full}").data(json!({"profiles": "$list:2"})),
        case("a document", "POST", "/blobs/insert/{full}?wait_process=1").json(doc).data(done),
        case("documents stay", "GET", "/users/blobs/{full}/doc").data(ids(json!("$list:1"))),
        case("an oversized blob", "POST", "/blobs/insert/{full}").json(oversized).data(inserted()),
        capacity("nothing waits", "idle"),
        capacity("nothing is under way", "processing"),
        capacity("nothing failed", "failed"),
        case("chats are gone", "GET", "/users/blobs/{full}/chat").data(ids(json!([]))),
    ]
}

/// Inserts that a client sends again, since it does not know whether they arrived.
fn repeated() -> Vec<Case> {
    let named = |id: Value, text: &str| {
        let mut body = says(text);
        body["blob_id"] = id;
        body
    };
    let chosen = |name, text| insert(name, named(json!("{fresh}"), text));
    let first = json!({"id": "{fresh}", "chat_results": []});
    let keyed = |name, user: &str, key: &str| {
        let case = case(name, "POST", format!("/blobs/insert/{{{user}}}")).json(says("I like tea."));
        case.header("Idempotency-Key", key)
    };
    let same = |kept: &str| json!({"id": format!("{{{kept}}}"), "chat_results": []});
    let waiting = |user: &str, ids: Value| {
        let path = format!("/users/buffer/capacity/{{{user}}}/chat?status=idle");
        case("what waits", "GET", path).data(json!({ "ids": ids }))
    };
    let bad_key = json!([["string_type", ["header", "idempotency-key"]]]);
    vec![
        case("a user", "POST", "/users").json(json!({})).keep("user", "/data/id"),
        chosen("an id of the client's", "My name is Gus.").data(first.clone()),
        chosen("the same again", "My name is Gus.").data(first.clone()),
        chosen("with another text", "My name is Ada.").data(first.clone()),
        waiting("user", json!(["{fresh}"])),
        insert("no id", named(json!(null), "I live in Paris.")).data(inserted()).keep("other", "/data/id"),
        waiting("user", json!(["{fresh}", "{other}"])),
        case("a flush", "POST", "/users/buffer/{user}/chat?wait_process=true"),
        chosen("again after the flush", "My name is Gus.").data(first),
        waiting("user", json!([])),
        case("it has happened once", "GET", "/users/event/{user}").data(json!({"events": "$list:1", "gists": []})),
        insert("a bad id", named(json!("seven"), "x")).problems(json!([["uuid_parsing", ["body", "blob_id"]]])),
        insert("no text", named(json!(7), "x")).problems(json!([["uuid_parsing", ["body", "blob_id"]]])),
        keyed("a key", "user", "order 66").data(inserted()).keep("keyed", "/data/id"),
        keyed("the key again", "user", "order 66").data(same("keyed")),
        keyed("another key", "user", "order 67").data(inserted()).keep("next", "/data/id"),
        waiting("user", json!(["{keyed}", "{next}"])),
        case("another user", "POST", "/users").json(json!({})).keep("stranger", "/data/id"),
        keyed("the key of another", "stranger", "order 66").data(inserted()).keep("theirs", "/data/id"),
        waiting("stranger", json!(["{theirs}"])),
        keyed("an empty key", "user", " ").problems(bad_key.clone()),
        keyed("a long key", "user", &"k".repeat(256)).problems(bad_key),
    ]
}

/// Only for a server that keeps chats.
pub(super) fn kept_cases() -> Vec<Case> {
    vec![
        case("a user", "POST", "/users").json(json!({})).keep("user", "/data/id"),
        insert("a chat", says("My name is Gus.")).data(inserted()).keep("plain", "/data/id"),
        case("a flush", "POST", "/users/buffer/{user}/chat?wait_process=true"),
        case("the chat after it", "GET", "/users/blobs/{user}/chat").data(json!({"ids": ["{plain}"]})),
        case("delete", "DELETE", "/blobs/{user}/{plain}").data(json!(null)),
        case("the chat after that", "GET", "/blobs/{user}/{plain}").errno(404),
    ]
}
