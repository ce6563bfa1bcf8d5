//! A server whose project uses up its tokens: what waits, what is refused, and how it goes on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::room::{NO_BLOBS, Room};
use crate::crash::client::{Client, PATIENCE};
use crate::shared::{Running, Site, user};

/// What the endpoint says that a call has cost.
const CALL: u64 = 110;

fn set_quota(client: &Client, project: &str, tokens: impl Into<Value>) {
    let body = json!({"token_quota_per_month": tokens.into()});
    let project = client.call("PATCH", &format!("/admin/projects/{project}"), Some(&body)).unwrap();
    assert_eq!(project["token_quota_per_month"], body["token_quota_per_month"]);
}

fn bill(client: &Client) -> Value {
    client.call("GET", "/project/billing", None).unwrap()
}

fn waits_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

/// Asserts that something is answered with HTTP 200 and errno 503, because of the quota.
fn is_refused<T: std::fmt::Debug>(answer: Result<T, String>, lost: &str) {
    let error = answer.unwrap_err();
    assert!(error.starts_with("200 ") && error.contains("\"errno\":503"), "{error}");
    assert!(error.contains("token_quota_per_month") && error.contains(lost), "{error}");
}

/// The same room with another server.
fn restarted(room: Room) -> Room {
    let Room { endpoint, world, running } = room;
    running.server.kill();
    let running = world.start(&[]);
    Room { endpoint, world, running }
}

#[test]
fn messages_wait_for_tokens_over_a_restart_and_are_flushed_when_there_are_more() {
    let room = Room::new([], &[("POWERMEMO_PROJECT_TOKEN_QUOTA_PER_MONTH", "1000")]);
    assert_eq!(bill(room.client())["token_left"], 1000, "the configured one");
    room.say();
    room.flush().unwrap();
    assert_eq!(bill(room.client())["token_left"], 1000 - CALL);
    room.say();
    set_quota(room.client(), "__root__", CALL);
    room.flush_fails("token_quota_per_month");
    let paid = bill(room.client());
    assert_eq!((&paid["token_left"], &paid["project_token_cost_month"]), (&json!(0), &json!(CALL)));
    assert!(paid["next_refill_at"].as_str().unwrap().contains("-01T00:00:00"), "{paid}");
    let refuse = |room: &Room| {
        is_refused(room.client().insert(room.user(), "I live in Oslo."), "nothing was stored");
        let notes = json!({"context": "I live in Oslo."});
        let imported = room.client().call("POST", &format!("/users/profile/import/{}", room.user()), Some(&notes));
        is_refused(imported, "nothing was stored");
    };
    refuse(&room);

    let room = restarted(room);
    room.flush_fails("nothing is lost");
    refuse(&room);
    assert_eq!(room.client().call("POST", &format!("/users/buffer/{}/chat", room.user()), None).unwrap(), Value::Null);
    let [waits, dead] = room.blobs();
    assert_eq!((waits.len(), dead.len(), room.endpoint.calls()), (1, 0, 1), "it waits, and nobody was asked");
    let attempts = room.world.count("SELECT attempts FROM journal_batches");
    assert_eq!(attempts, 0, "no attempt has failed");
    assert_eq!(room.outcomes().len(), 1);

    // Nobody asks for it: the sweeper finds it.
    set_quota(room.client(), "__root__", 10 * CALL);
    waits_until("it was not flushed", || room.blobs() == NO_BLOBS);
    assert_eq!((room.endpoint.calls(), room.events()), (2, 2));
    assert_eq!(bill(room.client())["token_left"], 8 * CALL);
    set_quota(room.client(), "__root__", Value::Null);
    assert_eq!(bill(room.client())["token_left"], Value::Null);
    room.goes_on();
}

#[test]
fn a_server_that_begins_without_tokens_knows_it() {
    let room = Room::new([], &[]);
    room.say();
    set_quota(room.client(), "__root__", 0);
    let room = restarted(room);
    is_refused(room.client().insert(room.user(), "I live in Oslo."), "nothing was stored");
    assert_eq!(room.endpoint.calls(), 0);
    set_quota(room.client(), "__root__", CALL);
    room.goes_on();
}

/// Servers on Postgres and Redis, one of which uses up what both may use.
#[test]
fn servers_share_a_quota() {
    let (site, endpoint) = (Site::new(), Endpoint::start([]));
    let base_url = endpoint.base_url();
    let envs = [("POWERMEMO_LLM_BASE_URL", base_url.as_str()), ("POWERMEMO_SWEEP_INTERVAL_MS", "20")];
    let [one, other]: [Running; 2] = [(); 2].map(|()| site.start(&envs));
    let asked = json!({"project_id": "bot", "token_quota_per_month": CALL});
    let made = one.client.call("POST", "/admin/projects", Some(&asked)).unwrap();
    let [one_bot, other_bot] = [&one, &other].map(|server| server.client.with_token(made["token"].as_str().unwrap()));
    let [uses, waits] = [(); 2].map(|()| user(&one_bot));
    one_bot.insert(&uses, "I live in Turin.").unwrap();
    one_bot.insert(&waits, "I live in Oslo.").unwrap();
    one_bot.flush(&uses).unwrap();
    is_refused(one_bot.insert(&uses, "I live in Rome."), "nothing was stored");
    is_refused(one_bot.flush(&waits), "nothing is lost");
    // It may have read a moment ago that there are tokens. What it takes until then is less than what it would flush.
    waits_until("the other server knows nothing", || {
        std::thread::sleep(Duration::from_millis(100));
        other_bot.insert(&uses, "Hello.").is_err()
    });
    is_refused(other_bot.flush(&waits), "nothing is lost");
    for server in [&one, &other] {
        server.client.insert(&user(&server.client), "The default project has no quota.").unwrap();
    }
    assert_eq!(endpoint.calls(), 1);

    let command = |args: &[&str]| {
        let output = site.command(&[]).args(["project"]).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(command(&["set-quota", "bot", "100000"]), "project bot: 100000 tokens per month\n");
    assert!(command(&["list"]).contains("\t100000 tokens per month"), "{}", command(&["list"]));
    // No server was told: they look by themselves.
    waits_until("it was not flushed", || other_bot.capacity(&waits, "processing") == json!([]));
    assert_eq!(one_bot.event_lines(&waits), ["I live in Oslo."]);
    waits_until("inserts are refused", || one_bot.insert(&uses, "I live in Rome.").is_ok());
    assert_eq!(command(&["set-quota", "bot", "none"]), "project bot: no limit of tokens\n");
}
