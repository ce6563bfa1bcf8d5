//! SIGKILL while a task stands still at a named point of the program.

use std::thread::scope;

use super::client::{Client, PATIENCE};
use super::ledger::Fate;
use super::world::{Running, World};

const USERS: usize = 3;

/// Asks for a flush of every user, each on a thread of its own since it will hang, and kills the server once one
/// stands still at the point. Meanwhile inserts must go on.
fn kill_in_flush(world: &World, running: Running, point: &str) {
    scope(|threads| {
        for user in &world.users {
            let client = running.client.clone();
            threads.spawn(move || client.flush(user).is_ok());
        }
        running.wait_for(point);
        for user in 0..USERS {
            world.must_say(&running.client, user);
        }
        running.server.kill();
    });
}

/// Kills twice at the same point: what was under way, and the server that takes it up again.
fn flush_dies_at(point: &str) {
    let world = World::new(USERS);
    for _ in 0..2 {
        let running = world.start(&[("CRASH_POINT", point)]);
        for _ in 0..3 {
            // A batch that was left may stand still already: that does not hold up inserts.
            (0..USERS).for_each(|user| drop(world.must_say(&running.client, user)));
        }
        kill_in_flush(&world, running, point);
    }
    assert_eq!(world.ledger.count(Fate::Acknowledged), 2 * 4 * USERS);
    world.check();
}

/// A client that heard nothing sends the insert again: it takes effect once.
#[test]
fn a_repeated_insert_after_a_crash() {
    let world = World::new(1);
    let user = &world.users[0];
    let body = serde_json::json!({
        "blob_type": "chat",
        "blob_id": uuid::Uuid::new_v4(),
        "blob_data": {"messages": [{"role": "user", "content": "I like tea."}]},
    });
    let insert = |client: &Client| client.call("POST", &format!("/blobs/insert/{user}"), Some(&body));
    let running = world.start(&[("CRASH_POINT", "after_append")]);
    scope(|threads| {
        let client = running.client.clone();
        threads.spawn(move || insert(&client).is_ok());
        running.wait_for("after_append");
        running.server.kill();
    });
    for flushes in [false, true] {
        let running = world.start(&[]);
        assert_eq!(insert(&running.client).unwrap()["id"], body["blob_id"]);
        if flushes {
            running.client.flush(user).unwrap();
            assert_eq!(insert(&running.client).unwrap()["id"], body["blob_id"]);
            assert_eq!(running.client.capacity(user, "idle"), serde_json::json!([]));
            assert_eq!(running.client.event_lines(user), ["I like tea."]);
        }
        running.server.kill();
    }
}

#[test]
fn after_take() {
    flush_dies_at("after_take");
}

#[test]
fn after_read_profile() {
    flush_dies_at("after_read_profile");
}

#[test]
fn after_answer() {
    flush_dies_at("after_answer");
}

#[test]
fn before_commit() {
    flush_dies_at("before_commit");
}

#[test]
fn after_commit() {
    flush_dies_at("after_commit");
}

#[test]
fn after_discard() {
    flush_dies_at("after_discard");
}

/// The journal has the blob, the client knows nothing of it.
#[test]
fn after_append() {
    let world = World::new(USERS);
    for turn in ["after_append@8", "after_append@2"] {
        let running = world.start(&[("CRASH_POINT", turn)]);
        scope(|threads| {
            for user in 0..USERS {
                let client = running.client.clone();
                let world = &world;
                threads.spawn(move || while world.say(&client, user, 0).is_some() {});
            }
            running.wait_for("after_append");
            running.server.kill();
        });
    }
    // Seven and one got past; the last answers may have died with the server.
    assert!((1..=8).contains(&world.ledger.count(Fate::Acknowledged)));
    world.check();
}

/// One server after the other dies around an ever earlier COMMIT: of an append, a seal, a flush, a discard.
fn dies_around_commits(point: &str) {
    let world = World::new(2);
    for turn in [9, 7, 6, 5, 4, 3, 2] {
        let running = world.start(&[("CRASH_POINT", &format!("{point}@{turn}"))]);
        scope(|threads| {
            for (user, id) in world.users.iter().enumerate() {
                let (client, world) = (running.client.clone(), &world);
                let two = move || (0..2).all(|_| world.say(&client, user, 0).is_some()) && client.flush(id).is_ok();
                threads.spawn(move || while two() {});
            }
            running.wait_for(point);
            running.server.kill();
        });
    }
    assert!(world.ledger.count(Fate::Acknowledged) > 0);
    world.check();
}

#[test]
fn before_a_commit_of_the_database() {
    dies_around_commits("writer_before_commit");
}

#[test]
fn after_a_commit_of_the_database() {
    dies_around_commits("writer_after_commit");
}

/// A deletion that was not answered may or may not have happened. It leaves the batch superseded; the server that
/// takes it up dies as well.
#[test]
fn after_supersede() {
    let world = World::new(1);
    let running = world.start(&[("CRASH_POINT", "after_take,after_supersede")]);
    let said: Vec<_> = (0..5).map(|_| world.must_say(&running.client, 0)).collect();
    let (place, blob) = &said[2];
    scope(|threads| {
        let (client, user) = (running.client.clone(), &world.users[0]);
        threads.spawn(move || client.flush(user).is_ok());
        running.wait_for("after_take");
        let client = running.client.clone();
        threads.spawn(move || client.call("DELETE", &format!("/blobs/{user}/{blob}"), None).is_ok());
        running.wait_for("after_supersede");
        running.server.kill();
    });
    world.ledger.set(*place, Fate::Unknown);
    let running = world.start(&[("CRASH_POINT", "after_reseal")]);
    running.wait_for("after_reseal");
    world.must_say(&running.client, 0);
    running.server.kill();
    assert_eq!(world.count("SELECT count(*) FROM flushes WHERE outcome = 'superseded'"), 1);
    world.check();
}

/// A deletion that was answered has happened, though its flush was under way.
#[test]
fn a_blob_deleted_from_a_batch_stays_deleted() {
    let world = World::new(1);
    let running = world.start(&[("CRASH_POINT", "before_commit")]);
    let said: Vec<_> = (0..4).map(|_| world.must_say(&running.client, 0)).collect();
    scope(|threads| {
        let (client, user) = (running.client.clone(), &world.users[0]);
        threads.spawn(move || client.flush(user).is_ok());
        running.wait_for("before_commit");
        for (place, blob) in &said[1..3] {
            running.client.call("DELETE", &format!("/blobs/{user}/{blob}"), None).unwrap();
            world.ledger.set(*place, Fate::Deleted);
        }
        running.server.kill();
    });
    world.check();
}

/// The user is gone from the store, the journal not purged yet.
#[test]
fn after_delete() {
    let world = World::new(2);
    let running = world.start(&[("CRASH_POINT", "after_delete")]);
    let (old, other) = (&world.users[0], 1);
    for flushed in [true, false] {
        running.client.insert(old, "I live in Paris. I have a secret.").unwrap();
        world.must_say(&running.client, other);
        if flushed {
            running.client.flush(old).unwrap();
        }
    }
    assert_eq!(running.client.event_lines(old).len(), 1);
    scope(|threads| {
        let client = running.client.clone();
        threads.spawn(move || client.call("DELETE", &format!("/users/{old}"), None).is_ok());
        running.wait_for("after_delete");
        running.server.kill();
    });
    assert_eq!(world.count("SELECT count(*) FROM tombstones WHERE purged_at IS NULL"), 1, "the order to purge");
    assert_eq!(world.count("SELECT count(*) FROM journal_entries"), 3, "nothing was purged yet");

    let running = world.start(&[]);
    let gone = running.client.call("GET", &format!("/users/{old}"), None).unwrap_err();
    assert!(gone.contains("404"), "{gone}");
    running.client.call("POST", "/users", Some(&serde_json::json!({"id": old}))).unwrap();
    assert!(running.client.event_lines(old).is_empty() && running.client.profile(old).is_empty());
    world.must_say(&running.client, 0);
    let began = std::time::Instant::now();
    while world.count("SELECT count(*) FROM tombstones WHERE purged_at IS NULL") > 0 {
        assert!(began.elapsed() < PATIENCE, "the journal was not purged");
        std::thread::yield_now();
    }
    running.server.kill();
    for sql in [
        "SELECT count(*) FROM journal_entries WHERE payload LIKE '%secret%'",
        "SELECT count(*) FROM gists WHERE text LIKE '%secret%'",
        "SELECT count(*) FROM slot_revisions WHERE content LIKE '%Paris%'",
        "SELECT count(*) FROM events WHERE data LIKE '%secret%'",
    ] {
        assert_eq!(world.count(sql), 0, "{sql}");
    }
    // What the user made anew has said takes effect, alone.
    world.check();
}
