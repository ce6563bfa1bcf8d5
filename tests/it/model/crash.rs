//! SIGKILL at points that only a flush with a model that is paid for reaches. See [`crate::crash`].

use std::thread::scope;

use super::endpoint::{Endpoint, Turn};
use super::room::world;
use crate::crash::client::PATIENCE;
use crate::crash::world::{Running, World};

/// Asks for a flush of three messages and kills the server when it stands still at the point.
fn die_at(world: &World, point: &str) {
    let running = world.start(&[("CRASH_POINT", point)]);
    (0..3).for_each(|_| drop(world.must_say(&running.client, 0)));
    flush_and_die(world, running, point);
}

fn flush_and_die(world: &World, running: Running, point: &str) {
    scope(|threads| {
        let client = running.client.clone();
        threads.spawn(move || client.flush(&world.users[0]).is_ok());
        running.wait_for(point);
        running.server.kill();
    });
}

/// The server that takes it up again, without points; what was left is flushed.
fn take_up(world: &World) -> Running {
    let running = world.start(&[]);
    running.client.flush(&world.users[0]).unwrap();
    running
}

/// How often the model is asked for one flush that dies at a point and is taken up again.
fn calls_after_death_at(point: &str, script: impl IntoIterator<Item = Turn>) -> usize {
    let endpoint = Endpoint::start(script);
    let world = world(&endpoint.base_url(), &[]);
    die_at(&world, point);
    let running = take_up(&world);
    assert_eq!(running.client.event_lines(&world.users[0]).len(), 3);
    running.server.kill();
    world.check();
    endpoint.calls()
}

/// A server that dies with the answer recorded and not used, since a client wrote the profile while the model thought;
/// and the endpoint, called once.
fn die_with_the_answer() -> (Endpoint, World) {
    const POINT: &str = "after_record_answer";
    let (turn, gate) = Turn::gate();
    let endpoint = Endpoint::start([turn]);
    let world = world(&endpoint.base_url(), &[]);
    let running = world.start(&[("CRASH_POINT", POINT)]);
    (0..3).for_each(|_| drop(world.must_say(&running.client, 0)));
    scope(|threads| {
        let (client, user) = (running.client.clone(), &world.users[0]);
        let flushing = client.clone();
        threads.spawn(move || flushing.flush(user).is_ok());
        endpoint.wait_for_calls(1);
        let slot = serde_json::json!({"content": "no", "attributes": {"topic": "work", "sub_topic": "title"}});
        let slot = client.call("POST", &format!("/users/profile/{user}"), Some(&slot)).unwrap();
        let slot = slot["id"].as_str().unwrap();
        client.call("DELETE", &format!("/users/profile/{user}/{slot}"), None).unwrap();
        drop(gate);
        running.wait_for(POINT);
        running.server.kill();
    });
    (endpoint, world)
}

/// Only who takes a batch up looks for an answer. It finds that of the first server, and dies, too.
#[test]
fn after_read_answer() {
    const POINT: &str = "after_read_answer";
    let (endpoint, world) = die_with_the_answer();
    flush_and_die(&world, world.start(&[("CRASH_POINT", POINT)]), POINT);
    let running = take_up(&world);
    assert_eq!(running.client.event_lines(&world.users[0]).len(), 3);
    running.server.kill();
    world.check();
    assert_eq!(endpoint.calls(), 1);
}

/// The answer was there and is lost: it has to be paid for again.
#[test]
fn after_answer() {
    assert_eq!(calls_after_death_at("after_answer", []), 2);
}

#[test]
fn after_record_answer() {
    let (endpoint, world) = die_with_the_answer();
    let running = take_up(&world);
    assert_eq!(running.client.event_lines(&world.users[0]).len(), 3);
    running.server.kill();
    world.check();
    assert_eq!(endpoint.calls(), 1);
}

/// The batch was given back after an outage, and whoever waited was not told.
#[test]
fn after_release() {
    let outage = Turn::Status(500, &[], serde_json::json!({}));
    assert_eq!(calls_after_death_at("after_release", [outage]), 2);
}

/// The batch is dead in the store, and still in the journal.
#[test]
fn after_end() {
    let bad = || Turn::Content(|_| Some("no".to_owned()));
    let endpoint = Endpoint::start([bad(), bad()]);
    let world = world(&endpoint.base_url(), &[("POWERMEMO_FLUSH_MAX_ATTEMPTS", "1")]);
    die_at(&world, "after_end");
    assert_eq!(world.count("SELECT count(*) FROM journal_entries"), 3);
    assert_eq!(world.count("SELECT count(*) FROM flushes WHERE outcome = 'dead' AND reason <> ''"), 1);

    let running = world.start(&[]);
    let (client, user) = (&running.client, &world.users[0]);
    // The end of the dead flush may be found by this one or by the sweeper before it.
    let _ = client.flush(user);
    assert_eq!(client.capacity(user, "failed").as_array().unwrap().len(), 3);
    for status in ["idle", "processing"] {
        assert_eq!(client.capacity(user, status), serde_json::json!([]), "{status}");
    }
    assert!(client.event_lines(user).is_empty());
    client.insert(user, "I like tea.").unwrap();
    client.flush(user).unwrap();
    assert_eq!(client.event_lines(user), ["I like tea."]);
    assert_eq!(client.capacity(user, "failed").as_array().unwrap().len(), 3);
    running.server.kill();
    assert_eq!(world.count("SELECT count(*) FROM dead_letter_blobs"), 3);
    assert_eq!(world.count("SELECT count(*) FROM journal_entries"), 0);
    // Two for the dead flush, one for the last. Whoever takes up the dead one may ask once more: the run finds the
    // outcome when it wants to commit another.
    assert!((3..=4).contains(&endpoint.calls()), "{} calls", endpoint.calls());
}

/// The model is thinking when the server dies.
#[test]
fn while_the_model_thinks() {
    let endpoint = Endpoint::start([Turn::Hang]);
    let world = world(&endpoint.base_url(), &[]);
    let running = world.start(&[]);
    (0..3).for_each(|_| drop(world.must_say(&running.client, 0)));
    scope(|threads| {
        let (client, user) = (running.client.clone(), &world.users[0]);
        threads.spawn(move || client.flush(user).is_ok());
        endpoint.wait_for_calls(1);
        running.server.kill();
    });
    take_up(&world).server.kill();
    world.check();
    assert_eq!(endpoint.calls(), 2);
}

/// Three messages that are a dead letter, and what the mock model answers from then on.
fn letter(script: impl IntoIterator<Item = Turn>) -> (Endpoint, World, String) {
    let bad = || Turn::Content(|_| Some("no".to_owned()));
    let endpoint = Endpoint::start([bad(), bad()].into_iter().chain(script));
    let world = world(&endpoint.base_url(), &[("POWERMEMO_FLUSH_MAX_ATTEMPTS", "1")]);
    let running = world.start(&[]);
    (0..3).for_each(|_| drop(world.must_say(&running.client, 0)));
    running.client.flush(&world.users[0]).unwrap_err();
    let list = running.client.call("GET", "/project/dead_letters", None).unwrap();
    let id = list["dead_letters"][0]["id"].as_str().unwrap().to_owned();
    running.server.kill();
    (endpoint, world, id)
}

/// A call about a letter of which the server dies at this point.
fn die_over(world: &World, point: &str, method: &str, path: &str) {
    let running = world.start(&[("CRASH_POINT", point)]);
    scope(|threads| {
        let client = running.client.clone();
        threads.spawn(move || client.call(method, path, None).is_ok());
        running.wait_for(point);
        running.server.kill();
    });
}

/// The letter is queued, and nobody was told: neither the client nor an actor.
#[test]
fn after_requeue() {
    let (_endpoint, world, id) = letter([]);
    let path = format!("/users/dead_letters/{}/{id}", world.users[0]);
    die_over(&world, "after_requeue", "POST", &format!("{path}/retry"));
    assert_eq!(world.count("SELECT count(*) FROM journal_batches WHERE retried"), 1);
    assert_eq!(world.count("SELECT count(*) FROM dead_letter_blobs"), 3);
    let running = take_up(&world);
    assert_eq!(running.client.event_lines(&world.users[0]).len(), 3);
    running.client.call("POST", &format!("{path}/retry"), None).unwrap_err();
    running.server.kill();
    world.check();
}

/// A letter that was being retried is out of the journal and still in the store: it can be dropped, or retried.
#[test]
fn after_withdraw() {
    for drops in [true, false] {
        let (_endpoint, world, id) = letter([Turn::Status(500, &[], serde_json::json!({}))]);
        let path = format!("/users/dead_letters/{}/{id}", world.users[0]);
        let running = world.start(&[]);
        running.client.call("POST", &format!("{path}/retry"), None).unwrap();
        // After the outage the batch waits for its next attempt, for longer than this test takes.
        let began = std::time::Instant::now();
        while world.count("SELECT count(*) FROM journal_batches WHERE retried AND tries = 1") == 0 {
            assert!(began.elapsed() < PATIENCE, "the retry did not begin");
            std::thread::yield_now();
        }
        running.server.kill();
        die_over(&world, "after_withdraw", "DELETE", &path);
        assert_eq!(world.count("SELECT count(*) FROM journal_entries"), 0);
        assert_eq!(world.count("SELECT count(*) FROM dead_letter_blobs"), 3);
        let running = world.start(&[]);
        if drops {
            running.client.call("DELETE", &path, None).unwrap();
            running.client.call("POST", &format!("{path}/retry"), None).unwrap_err();
        } else {
            running.client.call("POST", &format!("{path}/retry"), None).unwrap();
        }
        // A retry is a flush in the background: this one waits for it.
        running.client.flush(&world.users[0]).unwrap();
        assert_eq!(running.client.event_lines(&world.users[0]).len(), if drops { 0 } else { 3 });
        running.server.kill();
        for sql in ["SELECT count(*) FROM journal_entries", "SELECT count(*) FROM dead_letters"] {
            assert_eq!(world.count(sql), 0, "{sql}");
        }
    }
}
