//! What is counted of a project: with the flush that used it, once.

use super::endpoint::Turn;
use super::room::Room;

/// Inserts, successes, prompt and completion tokens of today and yesterday: a test may run over midnight.
fn used(room: &Room) -> [u64; 4] {
    let days = room.client().call("GET", "/project/usage?last_days=2", None).unwrap();
    let sum = |name: &str| days.as_array().unwrap().iter().map(|day| day[name].as_u64().unwrap()).sum();
    ["total_insert", "total_success_insert", "total_input_token", "total_output_token"].map(sum)
}

#[test]
fn a_flush_is_counted_once_with_its_tokens() {
    let room = Room::new([], &[]);
    room.say();
    room.say();
    assert_eq!(used(&room), [0; 4], "nothing has been made of them yet");
    room.flush().unwrap();
    // The endpoint says 100 and 10 tokens for each call.
    assert_eq!(used(&room), [2, 2, 100, 10]);
    room.flush().unwrap();
    assert_eq!(used(&room), [2, 2, 100, 10], "there was nothing to flush");
    let bill = room.client().call("GET", "/project/billing", None).unwrap();
    // On the first of a month yesterday's are of another.
    assert!([0, 110].contains(&bill["project_token_cost_month"].as_u64().unwrap()), "{bill}");
    room.goes_on();
}

#[test]
fn a_dead_letter_is_counted_as_an_insert() {
    let bad = || Turn::Content(|_| Some("no".to_owned()));
    let room = Room::new([bad(), bad()], &[("POWERMEMO_FLUSH_MAX_ATTEMPTS", "1")]);
    room.say();
    room.flush().unwrap_err();
    assert_eq!(used(&room)[..2], [1, 0]);
}
