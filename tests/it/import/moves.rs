//! What moves, and what a second import leaves alone.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;

/// A report as it is when everything has come.
const FIRST: [(&str, &str); 7] = [
    ("projects", "2 moved, 0 here already"),
    ("users", "3 moved, 0 here already"),
    ("profile slots", "3 moved, 0 came before"),
    ("events", "2 moved, 0 came before"),
    ("event gists", "2 moved, 0 came before"),
    ("waiting blobs", "3 moved, 0 came before"),
    ("kept blobs", "2 moved, 0 came before"),
];
/// And when all of it had come before.
const SECOND: [(&str, &str); 7] = [
    ("projects", "0 moved, 2 here already"),
    ("users", "0 moved, 3 here already"),
    ("profile slots", "0 moved, 3 came before"),
    ("events", "0 moved, 2 came before"),
    ("event gists", "0 moved, 2 came before"),
    ("waiting blobs", "0 moved, 3 came before"),
    ("kept blobs", "0 moved, 2 came before"),
];

fn assert_report(report: &str, wanted: &[(&str, &str)]) {
    wanted.iter().for_each(|(kind, counts)| assert_counted(report, kind, counts));
}

/// The ids of a list, as the API shows it.
fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

/// Asserts that Ann is here, as she was there.
fn assert_ann(client: &Client) {
    let ann = id(0, 1);
    let user = client.call("GET", &format!("/users/{ann}"), None).unwrap();
    assert_eq!(user["data"], json!({"name": "Ann"}));
    assert_eq!(user["created_at"], "2024-01-02T03:04:05.678901Z");
    assert_eq!(user["updated_at"], "2024-02-02T03:04:05.678901Z");
    let profile = client.call("GET", &format!("/users/profile/{ann}"), None).unwrap();
    assert_eq!(ids(&profile["profiles"]), [id(1, 1), id(1, 2)]);
    assert_eq!(
        profile["profiles"][0],
        json!({
            "id": id(1, 1), "content": "nurse", "created_at": "2024-01-02T00:00:00.000001Z",
            "updated_at": "2024-01-05T00:00:00.000000Z",
            "attributes": {"topic": "work", "sub_topic": "title", "update_hits": 2},
        })
    );
    let events = client.call("GET", &format!("/users/event/{ann}"), None).unwrap();
    assert_eq!(ids(&events["events"]), [id(2, 1), id(2, 2)]);
    let event = &events["events"][0];
    assert_eq!(event["event_data"]["event_tip"], "- went hiking\n- bought a bike");
    assert_eq!(event["event_data"]["event_tags"], json!([{"tag": "mood", "value": "glad"}]));
    assert_eq!(event["event_data"]["profile_delta"][0]["attributes"]["sub_topic"], "title");
    assert_eq!(event["created_at"], "2024-05-06T07:08:09.123456Z");
    assert_eq!(event["updated_at"], "2024-05-07T00:00:00.000000Z");
    let search = format!("/users/event_gist/search/{ann}?query=bike&time_range_in_days=36500");
    let gists = client.call("GET", &search, None).unwrap();
    assert_eq!(gists["gists"][0]["id"], id(3, 1), "{gists}");
    assert_eq!(gists["gists"][0]["gist_data"]["content"], "- bought a bike");
    let context = client.call("GET", &format!("/users/context/{ann}?time_range_in_days=36500"), None).unwrap();
    let context = context["context"].as_str().unwrap().to_owned();
    let place = |text: &str| context.find(text).unwrap_or_else(|| panic!("no {text} in {context}"));
    assert!(place("went hiking") < place("bought a bike"), "in the order of the tip: {context}");
    let bob = client.call("GET", &format!("/users/{}", id(0, 2)), None).unwrap();
    assert_eq!(bob["data"], Value::Null);
    let config = client.call("GET", "/project/profile_config", None).unwrap();
    assert_eq!(config["profile_config"], "language: en\n");
}

/// Asserts that what was not processed there waits here, and what was kept is kept.
fn assert_blobs(client: &Client) {
    let ann = id(0, 1);
    assert_eq!(client.capacity(&ann, "idle"), json!([id(4, 3), id(4, 1), id(4, 2)]), "the oldest comes first");
    let chats = client.call("GET", &format!("/users/blobs/{ann}/chat?page_size=10"), None).unwrap();
    assert_eq!(chats["ids"].as_array().unwrap().len(), 4);
    let doc = client.call("GET", &format!("/blobs/{ann}/{}", id(4, 5)), None).unwrap();
    assert_eq!((&doc["blob_data"]["content"], &doc["fields"]), (&json!("A document."), &json!({"k": "v"})));
    assert_eq!(doc["created_at"], "2024-05-01T00:00:00.000000Z");
}

/// Asserts that the other project is here, and opens with a new token alone.
fn assert_bot(place: &Place) {
    let project = |args: &[&str]| {
        let (done, out) = told(&place.command().arg("project").args(args).output().unwrap());
        assert!(done, "{out}");
        out.trim().to_owned()
    };
    assert!(project(&["list"]).contains("bot\tsuspended"));
    let token = project(&["rotate-token", "bot"]);
    project(&["resume", "bot"]);
    let mut command = place.command();
    command.env("ACCESS_TOKEN", "root");
    let server = Server::spawn(command);
    let client = Client::new(&server.base);
    assert!(client.with_token("sk-bot-in clear").call("GET", "/project/profile_config", None).is_err());
    let client = client.with_token(&token);
    let config = client.call("GET", "/project/profile_config", None).unwrap();
    assert_eq!(config["profile_config"], "language: zh\nunheard_of: 1\n");
    assert_eq!(client.profile(&id(0, 1)), [["interest", "drinks", "tea"].map(str::to_owned)]);
    assert!(server.stop_gracefully().success());
}

fn everything_moves_to(place: &Place) {
    let source = Reference::new();
    let (done, report) = place.run(&source, &[]);
    assert!(done, "{report}");
    assert_report(&report, &FIRST);
    assert!(report.contains("2 embeddings, which") && report.contains("1 status row of users"), "{report}");
    assert!(report.contains("1 billing account of projects") && report.contains("1 key without effect"), "{report}");
    assert!(report.contains("rotate-token NAME` for\n  bot\nnothing was left behind"), "{report}");
    let rows = place.rows();
    let (done, report) = place.run(&source, &[]);
    assert!(done, "{report}");
    assert_report(&report, &SECOND);
    assert_eq!(place.rows(), rows);

    let (server, client) = place.serve();
    assert_ann(&client);
    assert_blobs(&client);
    client.flush(&id(0, 1)).unwrap();
    let events = client.call("GET", &format!("/users/event/{}?topk=1", id(0, 1)), None).unwrap();
    let tip = events["events"][0]["event_data"]["event_tip"].to_string();
    assert!(tip.contains("Turin") && tip.contains("tea") && !tip.contains("old news"), "{tip}");
    assert_eq!(client.capacity(&id(0, 1), "idle"), json!([]));
    assert!(server.stop_gracefully().success());
    let (done, report) = place.run(&source, &[]);
    assert!(done, "{report}");
    assert_counted(&report, "waiting blobs", "0 moved, 3 came before");
    assert_bot(place);
}

#[test]
fn everything_moves_to_sqlite() {
    everything_moves_to(&Place::sqlite());
}

#[test]
fn everything_moves_to_postgres() {
    everything_moves_to(&Place::postgres());
}

#[test]
fn everything_moves_to_postgres_and_redis() {
    everything_moves_to(&Place::Shared(Site::new()));
}

/// Changes and deletions that a client made after an import outlive the next one.
fn what_clients_changed_stays_in(place: &Place) {
    let source = Reference::new();
    assert!(place.run(&source, &[]).0);
    let (server, client) = place.serve();
    let (ann, bob) = (id(0, 1), id(0, 2));
    let call = |method, path: String, body: Option<Value>| client.call(method, &path, body.as_ref()).unwrap();
    call("PUT", format!("/users/{ann}"), Some(json!({"data": 1})));
    call("PUT", format!("/users/profile/{ann}/{}", id(1, 1)), Some(json!({"content": "boss", "attributes": null})));
    call("DELETE", format!("/users/profile/{ann}/{}", id(1, 2)), None);
    call("DELETE", format!("/users/event/{ann}/{}", id(2, 1)), None);
    call("DELETE", format!("/blobs/{ann}/{}", id(4, 1)), None);
    call("DELETE", format!("/blobs/{ann}/{}", id(4, 5)), None);
    call("POST", "/project/profile_config".to_owned(), Some(json!({"profile_config": "language: ja"})));
    call("DELETE", format!("/users/{bob}"), None);
    assert!(server.stop_gracefully().success());
    source.run(
        "INSERT INTO user_profiles VALUES (id(1, 9), '__root__', id(0, 1), 'new', '{\"topic\": \"t\", \"sub_topic\": \"s\"}');
        INSERT INTO user_profiles VALUES (id(1, 8), '__root__', id(0, 2), 'x', '{\"topic\": \"t\", \"sub_topic\": \"s\"}');",
    );
    let (done, report) = place.run(&source, &[]);
    assert!(done, "{report}");
    assert_counted(&report, "users", "0 moved, 2 here already, 1 deleted here, not brought back");
    assert_counted(&report, "profile slots", "1 moved, 3 came before, 1 deleted here, not brought back");
    assert_counted(&report, "waiting blobs", "0 moved, 3 came before");
    let (_server, client) = place.serve();
    let call = |path: String| client.call("GET", &path, None).unwrap();
    assert_eq!(call(format!("/users/{ann}"))["data"], json!({"data": 1}));
    let mut memos: Vec<String> = client.profile(&ann).into_iter().map(|[_, _, memo]| memo).collect();
    memos.sort();
    assert_eq!(memos, ["boss", "new"]);
    assert_eq!(ids(&call(format!("/users/event/{ann}"))["events"]), [id(2, 2)]);
    assert_eq!(client.capacity(&ann, "idle"), json!([id(4, 3), id(4, 2)]));
    assert_eq!(call(format!("/users/blobs/{ann}/doc"))["ids"], json!([]));
    assert_eq!(call("/project/profile_config".to_owned())["profile_config"], "language: ja");
    assert!(client.call("GET", &format!("/users/{bob}"), None).is_err());
}

#[test]
fn what_clients_changed_stays_in_sqlite() {
    what_clients_changed_stays_in(&Place::sqlite());
}

#[test]
fn what_clients_changed_stays_in_postgres() {
    what_clients_changed_stays_in(&Place::postgres());
}

#[test]
fn a_server_on_postgres_sees_what_comes_meanwhile() {
    let (place, source) = (Place::postgres(), Reference::new());
    let (_server, client) = place.serve();
    let ann = id(0, 1);
    assert!(place.run(&source, &[]).0);
    assert_eq!(client.profile(&ann).len(), 2);
    source.run("INSERT INTO user_profiles VALUES (id(1, 9), '__root__', id(0, 1), 'x', '{\"topic\": \"t\", \"sub_topic\": \"s\"}')");
    assert!(place.run(&source, &[]).0);
    // It is cached, and trusted for 30 s if nobody tells.
    let answered = Instant::now();
    while client.profile(&ann).len() == 2 {
        assert!(answered.elapsed() < Duration::from_secs(10), "the server was not told");
    }
}

#[test]
fn a_user_with_very_much_comes_in_parts() {
    let source = Reference::empty();
    source.run(
        r#"INSERT INTO projects (project_id, status) VALUES ('__root__', 'active');
        INSERT INTO users (id, project_id) VALUES (id(0, 1), '__root__');
        INSERT INTO user_profiles (id, project_id, user_id, content, attributes)
            SELECT id(1, n), '__root__', id(0, 1), repeat('memo ', 2000), '{"topic": "t", "sub_topic": "s"}'
            FROM generate_series(1, 450) AS n;
        INSERT INTO user_events (id, project_id, user_id, event_data)
            SELECT id(2, n), '__root__', id(0, 1), '{"event_tip": "- x"}' FROM generate_series(1, 250) AS n;
        INSERT INTO user_event_gists (id, project_id, user_id, event_id, gist_data)
            SELECT id(3, n), '__root__', id(0, 1), id(2, 1 + n % 250), '{"content": "- x"}'
            FROM generate_series(1, 2250) AS n;
        INSERT INTO general_blobs (id, project_id, user_id, blob_type, blob_data)
            SELECT id(4, n), '__root__', id(0, 1), 'doc', '{"content": "x"}' FROM generate_series(1, 450) AS n;
        INSERT INTO buffer_zones (project_id, user_id, blob_id, blob_type, status)
            SELECT '__root__', id(0, 1), id(4, n), 'doc', 'idle' FROM generate_series(1, 220) AS n"#,
    );
    for place in [Place::sqlite(), Place::postgres()] {
        let wanted = [1, 450, 450, 250, 2250, 230, 930, 220];
        for (moved, here) in [(1, 0), (0, 1)] {
            let (done, report) = place.run(&source, &[]);
            assert!(done, "{report}");
            assert_counted(&report, "users", &format!("{moved} moved, {here} here already"));
            for (kind, count) in [("profile slots", 450), ("event gists", 2250), ("kept blobs", 230)] {
                assert_counted(&report, kind, &format!("{} moved, {} came before", moved * count, here * count));
            }
            assert_eq!(place.rows(), wanted);
        }
    }
}

#[test]
fn one_project_moves_alone() {
    let (place, source) = (Place::sqlite(), Reference::new());
    let (done, report) = place.run(&source, &["--project", "bot"]);
    assert!(done, "{report}");
    assert_counted(&report, "users", "1 moved, 0 here already");
    assert_counted(&report, "events", "0 moved, 0 came before");
    assert!(report.contains("0 embeddings"), "{report}");
    let (done, report) = place.run(&source, &["--project", "nobody"]);
    assert!(!done && report.contains("there is no project \"nobody\" in the source"), "{report}");
}

#[test]
fn a_rehearsal_changes_nothing() {
    let (place, source) = (Place::sqlite(), Reference::new());
    let (done, report) = place.run(&source, &["--dry-run"]);
    assert!(done, "{report}");
    for (kind, counts) in FIRST {
        let (number, _) = counts.split_once(' ').unwrap();
        assert_counted(&report, kind, &format!("{number} to be moved"));
    }
    let Place::Sqlite(folder) = &place else { unreachable!() };
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
