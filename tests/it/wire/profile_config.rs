//! `/project/profile_config`: what it takes, and that it changes what a flush makes.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::case::{Case, case};
use crate::crash::client::{Client, PATIENCE};
use crate::model::endpoint::Endpoint;
use crate::server::Server;
use crate::shared::Site;

pub(super) fn cases() -> Vec<Case> {
    let get = |name, text: &str| case(name, "GET", "/project/profile_config").data(json!({"profile_config": text}));
    let post = |name, body: Value| case(name, "POST", "/project/profile_config").json(body);
    let set = |name, text: &str| post(name, json!({"profile_config": text}));
    let whole = "language: en\nprofile_strict_mode: false\nevent_tags:\n  - name: emotion\n    description: d\n";
    let problem = |kind| json!([[kind, ["body", "profile_config"]]]);
    let refused = |line: u32| json!({"data": null, "errno": 400, "errmsg": format!("$text:line {line}: ")});
    let mut cases = vec![
        get("nothing is set", ""),
        set("set", whole).data(json!(null)),
        get("what was set", whole),
        post("missing", json!({})).problems(problem("missing")),
        post("no text", json!({"profile_config": 5})).problems(problem("string_type")),
        post("no object", json!([])).problems(json!([["model_attributes_type", ["body"]]])),
        set("too long", &format!("#{}", "x".repeat(70_000))).errno(400),
    ];
    for (name, text, line) in [
        ("half a list", "a: [1,", 1),
        ("a list", "- a\n- b", 1),
        ("a topic of another shape", "additional_user_profiles:\n  - foo: 1\n", 2),
        ("a nameless sub-topic", "additional_user_profiles:\n  - topic: a\n    sub_topics:\n      - nam: 1\n", 4),
        ("a flag of another kind", "language: en\nprofile_strict_mode: 7", 2),
    ] {
        cases.push(set(name, text).status(200, refused(line)));
    }
    cases.extend([
        get("what is refused changes nothing", whole),
        set("unknown keys", "foo: 1").data(json!(null)),
        set("unknown language", "language: fr").data(json!(null)),
        get("as it was written", "language: fr"),
        set("nothing in it", "").data(json!(null)),
        get("that resets", ""),
        set("set again", "language: en").data(json!(null)),
        post("null", json!({"profile_config": null})).data(json!(null)),
        get("null resets", ""),
    ]);
    cases
}

/// A new project of a server, by its token.
fn project(root: &Client, name: &str) -> Client {
    let made = root.call("POST", "/admin/projects", Some(&json!({"project_id": name}))).unwrap();
    root.with_token(made["token"].as_str().unwrap())
}

fn set(client: &Client, config: &str) {
    client.call("POST", "/project/profile_config", Some(&json!({"profile_config": config}))).unwrap();
}

fn user(client: &Client) -> String {
    client.call("POST", "/users", Some(&json!({}))).unwrap()["id"].as_str().unwrap().to_owned()
}

/// The slots that a flush makes of what a new user says.
fn slots(client: &Client, said: &str) -> Vec<String> {
    let user = user(client);
    client.insert(&user, said).unwrap();
    client.flush(&user).unwrap();
    let mut slots: Vec<String> = client.profile(&user).iter().map(|[topic, sub, _]| format!("{topic}/{sub}")).collect();
    slots.sort_unstable();
    slots
}

const SAID: &str = "My name is Ada. I live in Turin.";

#[test]
fn each_project_decides_which_slots_a_flush_makes() {
    let server = Server::start(&[]);
    let root = Client::new(&server.base);
    let [own, other] = ["own", "other"].map(|name| project(&root, name));
    let all = ["basic_info/location", "basic_info/name"];
    assert_eq!(slots(&own, SAID), all);
    let name_only = "overwrite_user_profiles: [{topic: basic_info, sub_topics: [name]}]\nprofile_strict_mode: true";
    set(&own, name_only);
    assert_eq!(slots(&own, SAID), ["basic_info/name"]);
    assert_eq!((slots(&other, SAID), slots(&root, SAID)), (all.map(str::to_owned).to_vec(), slots(&other, SAID)));
    set(&own, &format!("{name_only}\nadditional_user_profiles: [{{topic: Basic-Info, sub_topics: [location]}}]"));
    assert_eq!(slots(&own, SAID), all);
    set(&own, name_only);
    assert_eq!(slots(&own, SAID), ["basic_info/name"]);
    set(&own, "");
    assert_eq!(slots(&own, SAID), all);
    // The default project has one, too.
    set(&root, name_only);
    assert_eq!((slots(&root, SAID).len(), slots(&own, SAID).len()), (1, 2));
}

/// The instructions of the last call of the model.
fn instructions(endpoint: &Endpoint) -> String {
    endpoint.requests().last().unwrap()["messages"][0]["content"].as_str().unwrap().to_owned()
}

#[test]
fn a_model_is_asked_as_each_project_wants() {
    let endpoint = Endpoint::start([]);
    let base_url = endpoint.base_url();
    let server = Server::start(&[("POWERMEMO_LLM_BASE_URL", &base_url)]);
    let root = Client::new(&server.base);
    let own = project(&root, "own");
    let asked = |client: &Client| {
        slots(client, SAID);
        instructions(&endpoint)
    };
    let plain = asked(&own);
    set(
        &own,
        "event_tags: [{name: zorblax, description: how odd}]\nevent_theme_requirement: Only about quibbles.\n\
         additional_user_profiles: [{topic: spaceship, sub_topics: [{name: hull, description: its plating}]}]",
    );
    let changed = asked(&own);
    for word in ["zorblax", "how odd", "Only about quibbles.", "spaceship", "hull"] {
        assert!(changed.contains(word) && !plain.contains(word), "{word}: {changed}");
    }
    assert_eq!(asked(&root), plain, "the other project is asked as before");
    assert_eq!(asked(&own), changed, "the same byte for byte");
    set(&own, "language: zh");
    let chinese = asked(&own);
    assert!(chinese.chars().any(|c| ('\u{4e00}'..'\u{9fff}').contains(&c)) && !chinese.contains("zorblax"));
    assert_eq!(asked(&root), plain);
    set(&own, "");
    assert_eq!(asked(&own), plain);
}

/// Tries until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn other_processes_hear_of_changes() {
    let site = Site::new();
    let [one, two] = [(); 2].map(|()| site.start(&[]));
    let own = project(&one.client, "own");
    let there = two.client.with_token(own.token().unwrap());
    assert_eq!(slots(&there, SAID).len(), 2);
    set(&own, "overwrite_user_profiles: [{topic: basic_info, sub_topics: [name]}]\nprofile_strict_mode: true");
    until("the other flushes as it should", || slots(&there, SAID) == ["basic_info/name"]);
    let suspend = |status| one.client.call("PATCH", "/admin/projects/own", Some(&json!({"status": status}))).unwrap();
    let is_open = || there.call("GET", "/project/users", None).is_ok();
    suspend("suspended");
    until("the other refuses", || !is_open());
    suspend("active");
    until("the other lets it in", is_open);
    let rotated = one.client.call("POST", "/admin/projects/own/token", None).unwrap();
    until("the other refuses the old token", || !is_open());
    let again = two.client.with_token(rotated["token"].as_str().unwrap());
    assert!(again.call("GET", "/project/users", None).is_ok());
    one.client.call("DELETE", "/admin/projects/own", None).unwrap();
    until("the other refuses", || again.call("GET", "/project/users", None).is_err());
}

/// What a command printed when it ended well.
fn ran(mut command: Command, args: &[&str]) -> Result<String, String> {
    let output = command.arg("project").args(args).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap().trim().to_owned());
    if output.status.success() { Ok(out) } else { Err(err) }
}

/// Commands beside a server: `command` makes them.
fn commands_beside(base: &str, command: impl Fn() -> Command) {
    let run = |args: &[&str]| ran(command(), args);
    let root = Client::new(base);
    let token = run(&["create", "my-app"]).unwrap();
    let own = root.with_token(&token);
    assert_eq!(slots(&own, SAID).len(), 2, "a new token opens at once");
    let waiting = user(&own);
    own.insert(&waiting, "I live in Oslo.").unwrap();
    assert!(run(&["create", "my-app"]).unwrap_err().contains("already"));
    assert!(run(&["create", "a.b"]).unwrap_err().contains("letters"));
    for command in ["suspend", "delete", "rotate-token", "create"] {
        assert!(run(&[command, "__root__"]).unwrap_err().contains("default"), "{command}");
    }
    let listed = run(&["list"]).unwrap();
    assert!(listed.contains("__root__\tactive") && listed.contains("my-app\tactive"), "{listed}");
    let is_open = |client: &Client| client.call("GET", "/project/users", None).is_ok();
    run(&["suspend", "my-app"]).unwrap();
    until("it is suspended", || !is_open(&own));
    run(&["resume", "my-app"]).unwrap();
    until("it is resumed", || is_open(&own));
    let new = root.with_token(&run(&["rotate-token", "my-app"]).unwrap());
    until("the new token opens", || is_open(&new));
    assert!(!is_open(&own));
    let told = run(&["delete", "my-app"]).unwrap();
    assert!(told.contains("2 users"), "{told}");
    until("it is closed", || !is_open(&new));
    assert!(run(&["resume", "my-app"]).unwrap_err().contains("being deleted"));
    assert!(run(&["suspend", "nobody"]).unwrap_err().contains("no project"));
}

#[test]
fn commands_work_beside_an_embedded_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder.path(), &[]);
    commands_beside(&server.base, || Server::command(folder.path(), &[]));
    assert!(server.stop_gracefully().success());
    // And without one.
    assert!(ran(Server::command(folder.path(), &[]), &["create", "later"]).unwrap().starts_with("sk-later-"));
}

#[test]
fn commands_work_beside_a_server_on_postgres() {
    let site = Site::new();
    let running = site.start(&[]);
    commands_beside(&running.server.base, || site.command(&[]));
}

#[test]
fn a_deleted_project_leaves_nothing() {
    let site = Site::new();
    let running = site.start(&[]);
    let (root, own) = (&running.client, project(&running.client, "own"));
    let users: Vec<String> = (0..30).map(|_| user(&own)).collect();
    for user in &users {
        own.insert(user, SAID).unwrap();
    }
    let other = user(root);
    root.insert(&other, SAID).unwrap();
    let waiting = || site.redis.query::<Vec<String>>(&["KEYS", "*"]).len();
    let full = waiting();
    root.call("DELETE", "/admin/projects/own", None).unwrap();
    assert!(own.call("GET", "/project/users", None).is_err());
    until("what waited is purged", || waiting() + 30 <= full);
    // Another server takes the project for its default one, and finds nobody.
    let heir = site.start(&[("PROJECT_ID", "own")]);
    until("no user is left", || heir.client.call("GET", "/project/users", None).unwrap()["count"] == 0);
    root.flush(&other).unwrap();
    assert_eq!(root.event_lines(&other).len(), 1);
}
