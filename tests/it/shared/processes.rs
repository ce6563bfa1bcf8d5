//! Two servers on one site are one service.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Site, user};

/// How soon another process must know of a change.
const BOUND: Duration = Duration::from_millis(100);

#[test]
fn what_one_server_is_told_the_other_knows() {
    let site = Site::new();
    let [one, other] = [site.start(&[]), site.start(&[])];
    let user = user(&one.client);
    one.client.insert(&user, "I live in Turin.").unwrap();
    other.client.insert(&user, "I live in Oslo.").unwrap();
    assert_eq!(one.client.capacity(&user, "idle").as_array().unwrap().len(), 2);
    one.client.flush(&user).unwrap();
    assert_eq!(other.client.event_lines(&user), ["I live in Turin.", "I live in Oslo."]);
    assert_eq!(other.client.profile(&user), [["basic_info", "location", "Oslo"].map(str::to_owned)]);
}

#[test]
fn a_change_is_seen_by_the_other_server_within_the_bound() {
    let site = Site::new();
    let [one, other] = [site.start(&[]), site.start(&[])];
    let user = user(&one.client);
    let path = format!("/users/profile/{user}");
    for round in 0..20 {
        // Both have it in their cache.
        let before = [&one, &other].map(|server| server.client.profile(&user).len());
        assert_eq!(before, [round, round]);
        let slot = json!({"content": "x", "attributes": {"topic": "t", "sub_topic": format!("s{round}")}});
        let (writer, reader) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        writer.client.call("POST", &path, Some(&slot)).unwrap();
        assert_eq!(writer.client.profile(&user).len(), round + 1, "who wrote it reads it at once");
        let answered = Instant::now();
        while reader.client.profile(&user).len() == round {
            assert!(answered.elapsed() < BOUND + Duration::from_secs(5), "the other server never knew");
        }
    }
}

#[test]
fn a_deleted_user_is_gone_on_both_and_comes_back_empty() {
    let site = Site::new();
    let [one, other] = [site.start(&[]), site.start(&[])];
    let user = user(&one.client);
    for server in [&one, &other] {
        server.client.insert(&user, "I live in Turin.").unwrap();
    }
    one.client.call("DELETE", &format!("/users/{user}"), None).unwrap();
    one.client.call("POST", "/users", Some(&json!({"id": user}))).unwrap();
    other.client.insert(&user, "I live in Oslo.").unwrap();
    one.client.flush(&user).unwrap();
    for server in [&one, &other] {
        assert_eq!(server.client.event_lines(&user), ["I live in Oslo."]);
    }
}

/// The server that has the batch is killed; the other one finishes it when the claim has ended.
#[test]
fn a_batch_of_a_dead_server_is_taken_over() {
    let site = Site::new();
    let quick = [("POWERMEMO_FLUSH_LEASE_SECONDS", "1"), ("POWERMEMO_SWEEP_INTERVAL_MS", "50")];
    let stuck = site.start(&[&quick[..], &[("CRASH_POINT", "before_commit")]].concat());
    let user = user(&stuck.client);
    stuck.client.insert(&user, "I live in Turin.").unwrap();
    let background = format!("/users/buffer/{user}/chat");
    let flush = std::thread::spawn({
        let client = stuck.client.clone();
        // It is never answered: its server dies.
        move || client.call("POST", &background, None).is_err()
    });
    let began = Instant::now();
    while stuck.client.capacity(&user, "processing").as_array().unwrap().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30), "no flush began");
    }
    stuck.server.kill();
    assert!(flush.join().unwrap());
    let other = site.start(&quick);
    while other.client.capacity(&user, "processing") != json!([]) {
        assert!(began.elapsed() < Duration::from_secs(60), "nobody took the batch over");
    }
    assert_eq!(other.client.event_lines(&user), ["I live in Turin."]);
}
