//! Ends of the process that need no crash point: SIGKILL and SIGTERM under load, a restart, a second process.

use std::sync::mpsc::channel;
use std::thread::scope;
use std::time::{Duration, Instant};

use super::client::PATIENCE;
use super::ledger::Fate;
use super::world::{Running, World};
use crate::server::Server;

const USERS: usize = 3;
const LANES: usize = 2;

/// Streams inserts from all lanes until the server is ended after so many acknowledgements. Buffers are small, so
/// that flushes run all the time.
fn stream<T>(world: &World, running: Running, acknowledgements: usize, end: impl FnOnce(Running) -> T) -> T {
    scope(|threads| {
        let (tell, acknowledged) = channel();
        for lane in 0..USERS * LANES {
            let (tell, client) = (tell.clone(), running.client.clone());
            threads.spawn(move || {
                // Ends when the server has: nobody listens to the last ones.
                while world.say(&client, lane % USERS, lane / USERS).is_some() {
                    let _ = tell.send(());
                }
            });
        }
        drop(tell);
        for count in 0..acknowledgements {
            acknowledged.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("after {count} inserts: {error}"));
        }
        end(running)
    })
}

#[test]
fn killed_under_load_again_and_again() {
    let world = World::new(USERS);
    for round in 0..5 {
        let running = world.start(&[("POWERMEMO_MAX_CHAT_BLOB_BUFFER_TOKEN_SIZE", "100")]);
        stream(&world, running, 20 + 17 * round, |running| running.server.kill());
    }
    world.check();
}

#[test]
fn stopped_under_load() {
    let timeout = 20;
    let world = World::new(USERS);
    let running = world.start(&[
        ("POWERMEMO_MAX_CHAT_BLOB_BUFFER_TOKEN_SIZE", "100"),
        ("POWERMEMO_SHUTDOWN_TIMEOUT_SECONDS", &timeout.to_string()),
    ]);
    let (status, took) = stream(&world, running, 60, |running| {
        let began = Instant::now();
        (running.server.stop_gracefully(), began.elapsed())
    });
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(timeout), "{took:?}");
    let log = std::fs::metadata(world.folder.path().join("powermemo.db-wal"));
    assert!(log.map_or(0, |log| log.len()) == 0, "the write-ahead log was not copied back");
    assert!(world.ledger.count(Fate::Acknowledged) >= 60);
    world.check();
}

#[test]
fn a_second_server_on_the_same_data_refuses_to_start() {
    let world = World::new(1);
    let running = world.start(&[]);
    let second = Server::command(world.folder.path(), &[]).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("in use by another process"), "{said}");
    world.must_say(&running.client, 0);
    running.server.kill();
    world.check();
}

/// The age of a buffer is in the journal: whoever comes later flushes it, without any request for that user.
#[test]
fn a_buffer_that_is_due_is_flushed_after_a_restart() {
    let world = World::new(1);
    let running = world.start(&[]);
    (0..3).for_each(|_| drop(world.must_say(&running.client, 0)));
    running.server.kill();
    let running = world.start(&[("POWERMEMO_BUFFER_FLUSH_INTERVAL", "1")]);
    let began = Instant::now();
    // Reads events from the store alone, which wakes no actor.
    while running.client.event_lines(&world.users[0]).len() < 3 {
        assert!(began.elapsed() < PATIENCE, "the buffer was not flushed");
        std::thread::yield_now();
    }
    running.server.kill();
    world.check();
}
