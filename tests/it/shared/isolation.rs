//! Two projects on one site: neither sees nor changes what the other has, by any id of it, on any route.

use serde_json::{Value, json};
use ureq::http::Request;

use super::Site;
use crate::crash::client::Client;
use crate::server::Server;

/// A word that stands in all that the first project stores.
const SECRET: &str = "xylophone";

/// The ids of all that the first project stores.
struct Ids {
    user: String,
    blob: String,
    waiting: String,
    profile: String,
    event: String,
}

fn get(client: &Client, path: &str) -> Value {
    client.call("GET", path, None).unwrap()
}

fn furnish(client: &Client) -> Ids {
    let data = client.call("POST", "/users", Some(&json!({"data": {"note": SECRET}}))).unwrap();
    let user = data["id"].as_str().unwrap().to_owned();
    let blob = client.insert(&user, &format!("I live in Turin. {SECRET}")).unwrap();
    client.flush(&user).unwrap();
    let slot = json!({"content": SECRET, "attributes": {"topic": "t", "sub_topic": "s"}});
    let profile = client.call("POST", &format!("/users/profile/{user}"), Some(&slot)).unwrap();
    let waiting = client.insert(&user, &format!("later {SECRET}")).unwrap();
    let events = get(client, &format!("/users/event/{user}"));
    let event = events["events"][0]["id"].as_str().unwrap().to_owned();
    Ids { user, blob, waiting, profile: profile["id"].as_str().unwrap().to_owned(), event }
}

/// Everything that the first project has, as it reads it.
fn state(client: &Client, ids: &Ids) -> Vec<Value> {
    let Ids { user, blob, waiting, .. } = ids;
    let paths = [
        format!("/users/{user}"),
        format!("/users/blobs/{user}/chat?page_size=50"),
        format!("/blobs/{user}/{blob}"),
        format!("/blobs/{user}/{waiting}"),
        format!("/users/profile/{user}"),
        format!("/users/event/{user}"),
        format!("/users/buffer/capacity/{user}/chat?status=idle"),
        format!("/users/context/{user}"),
        format!("/users/dead_letters/{user}"),
        "/project/profile_config".to_owned(),
        "/project/users".to_owned(),
    ];
    paths.iter().map(|path| get(client, path)).collect()
}

/// Every route with a place for ids, filled with these.
fn attempts(ids: &Ids) -> Vec<(&'static str, String, Option<Value>)> {
    let Ids { user, blob, waiting, profile, event } = ids;
    let message = json!([{"role": "user", "content": SECRET}]).to_string();
    let chats: String = url::form_urlencoded::byte_serialize(message.as_bytes()).collect();
    let slot = || Some(json!({"content": "mine", "attributes": {"topic": "t", "sub_topic": "s"}}));
    let chat = json!({"blob_type": "chat", "blob_data": {"messages": [{"role": "user", "content": "mine"}]}});
    let play = json!({"messages": [{"role": "user", "content": "mine"}]});
    let mut all = vec![
        ("GET", format!("/users/{user}"), None),
        ("PUT", format!("/users/{user}"), Some(json!({"note": "mine"}))),
        ("GET", format!("/users/blobs/{user}/chat?page_size=50"), None),
        ("POST", format!("/blobs/insert/{user}?wait_process=true"), Some(chat)),
        ("GET", format!("/users/profile/{user}"), None),
        ("GET", format!("/users/profile/{user}?chats_str={chats}"), None),
        ("POST", format!("/users/profile/{user}"), slot()),
        ("POST", format!("/users/profile/import/{user}"), Some(json!({"raw": "I live in Oslo"}))),
        ("PUT", format!("/users/profile/{user}/{profile}"), slot()),
        ("DELETE", format!("/users/profile/{user}/{profile}"), None),
        ("POST", format!("/users/buffer/{user}/chat?wait_process=true"), None),
        ("GET", format!("/users/event/{user}"), None),
        ("GET", format!("/users/event/search/{user}?query={SECRET}"), None),
        ("GET", format!("/users/event_gist/search/{user}?query={SECRET}"), None),
        ("GET", format!("/users/event_tags/search/{user}"), None),
        ("PUT", format!("/users/event/{user}/{event}"), Some(json!({"event_tip": "mine"}))),
        ("DELETE", format!("/users/event/{user}/{event}"), None),
        ("GET", format!("/users/context/{user}"), None),
        ("GET", format!("/users/context/{user}?chats_str={chats}"), None),
        ("POST", format!("/users/roleplay/proactive/{user}"), Some(play)),
        ("GET", format!("/users/dead_letters/{user}"), None),
        ("POST", format!("/users/dead_letters/{user}/retry"), None),
        ("DELETE", format!("/users/dead_letters/{user}"), None),
        ("GET", "/project/users".to_owned(), None),
        ("GET", format!("/project/users?search={SECRET}"), None),
        ("GET", "/project/profile_config".to_owned(), None),
        ("POST", "/project/profile_config".to_owned(), Some(json!({"profile_config": "language: zh"}))),
        ("GET", "/project/dead_letters".to_owned(), None),
        ("POST", "/project/dead_letters/retry".to_owned(), None),
        ("DELETE", "/project/dead_letters".to_owned(), None),
    ];
    for status in ["idle", "processing", "failed", "done"] {
        all.push(("GET", format!("/users/buffer/capacity/{user}/chat?status={status}"), None));
    }
    for id in [blob, waiting, profile, event] {
        all.push(("GET", format!("/blobs/{user}/{id}"), None));
        all.push(("DELETE", format!("/blobs/{user}/{id}"), None));
        all.push(("GET", format!("/users/dead_letters/{user}/{id}"), None));
        all.push(("POST", format!("/users/dead_letters/{user}/{id}/retry"), None));
        all.push(("DELETE", format!("/users/dead_letters/{user}/{id}"), None));
    }
    all.push(("DELETE", format!("/users/{user}"), None));
    all
}

/// The answer, whatever it is.
fn send(client: &Client, method: &str, path: &str, body: Option<&Value>) -> String {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let agent: ureq::Agent = config.build().into();
    let request = Request::builder().method(method).uri(format!("{}/api/v1{path}", client.base()));
    let mut request = request.header("Content-Type", "application/json");
    if let Some(token) = client.token() {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut response = agent.run(request.body(body).unwrap()).unwrap();
    assert_ne!(response.status(), 404, "{method} {path} is no route");
    let text = response.body_mut().read_to_string().unwrap();
    assert!(!text.contains("Not Found") && !text.contains("Method Not Allowed"), "{method} {path} is no route");
    text
}

/// Each id and word of the first project that an answer to the second must not show. The ids that the request itself
/// named may come back.
fn check(ids: &Ids, path: &str, answer: &str) {
    let all = [SECRET, "Turin", &ids.blob, &ids.waiting, &ids.profile, &ids.event];
    for word in all.into_iter().filter(|word| !path.contains(word)) {
        assert!(!answer.contains(word), "{path} shows {word}: {answer}");
    }
}

/// Two projects, as their clients see them: the second tries all it can.
fn keeps_apart(first: &Client, second: &Client) {
    let ids = furnish(first);
    let before = state(first, &ids);
    let shown = before.iter().filter(|data| data.to_string().contains(SECRET)).count();
    assert!(shown >= 6, "the first project sees what it stored: {before:?}");
    // The second project has no such user at first, and then one of its own under the same id.
    for own in [false, true] {
        if own {
            second.call("POST", "/users", Some(&json!({"id": ids.user}))).unwrap();
        }
        for (method, path, body) in attempts(&ids) {
            check(&ids, &path, &send(second, method, &path, body.as_ref()));
        }
        assert_eq!(state(first, &ids), before);
    }
    // What waited is still there and takes effect.
    first.flush(&ids.user).unwrap();
    assert_eq!(first.event_lines(&ids.user).len(), 2);
}

#[test]
fn no_project_sees_or_changes_another() {
    let site = Site::new();
    let keep = ("POWERMEMO_PERSISTENT_CHAT_BLOBS", "true");
    let first = site.start(&[("PROJECT_ID", "first"), keep]);
    let second = site.start(&[("PROJECT_ID", "second"), keep]);
    keeps_apart(&first.client, &second.client);
}

#[test]
fn no_token_opens_another_project() {
    let site = Site::new();
    let keep = ("POWERMEMO_PERSISTENT_CHAT_BLOBS", "true");
    let shared = site.start(&[keep]);
    let embedded = Server::start(&[keep]);
    for root in [shared.client, Client::new(&embedded.base)] {
        let [first, second] = ["one", "one-two"].map(|name| {
            let made = root.call("POST", "/admin/projects", Some(&json!({"project_id": name}))).unwrap();
            root.with_token(made["token"].as_str().unwrap())
        });
        keeps_apart(&first, &second);
        keeps_apart(&second, &root);
    }
}
