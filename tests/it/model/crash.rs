//! SIGKILL at points that only a flush with a model that is paid for reaches. See [`crate::crash`].

use std::thread::scope;

use super::endpoint::{Endpoint, Turn};
use super::room::world;
use crate::crash::world::{Running, World};

/// Asks for a flush of three messages and kills the server when it stands still at the point.
fn die_at(world: &World, point: &str) {
    let running = world.start(&[("CRASH_POINT", point)]);
    (0..3).for_each(|_| drop(world.must_say(&running.client, 0)));
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

#[test]
fn after_read_answer() {
    assert_eq!(calls_after_death_at("after_read_answer", []), 1);
}

/// The answer was there and is lost: it has to be paid for again.
#[test]
fn after_answer() {
    assert_eq!(calls_after_death_at("after_answer", []), 2);
}

#[test]
fn after_record_answer() {
    assert_eq!(calls_after_death_at("after_record_answer", []), 1);
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
