//! The ways in which a provider misbehaves. No message is lost in any of them, and none takes effect twice.

use serde_json::{Value, json};
use sqlx::query_scalar;

use super::endpoint::Turn;
use super::room::{NO_BLOBS, Room, error};

/// One attempt is all: what does not count as one must not end the flush.
const ONE_ATTEMPT: (&str, &str) = ("POWERMEMO_FLUSH_MAX_ATTEMPTS", "1");

fn half(right: String) -> Option<String> {
    Some(right.chars().take(right.chars().count() / 2).collect())
}

fn prose(_: String) -> Option<String> {
    Some("I would rather talk about the weather.".to_owned())
}

fn bad_request() -> Turn {
    Turn::Status(400, &[], error("no", "invalid_request_error", None, None))
}

fn format_of(request: &Value) -> &str {
    request["response_format"]["type"].as_str().unwrap()
}

/// An outage: the flush fails and says why, the blob stays, no attempt is counted, and the next flush is fine.
fn an_outage(turn: Turn, words: &str, envs: &[(&'static str, &str)]) {
    let room = Room::new([turn], &[&[ONE_ATTEMPT], envs].concat());
    let blob = room.say();
    room.flush_fails(words);
    assert_eq!(room.endpoint.calls(), 1);
    assert_eq!(room.blobs(), [vec![blob], vec![]]);
    assert!(room.lines().is_empty() && room.outcomes().is_empty());
    assert_eq!(room.world.count("SELECT sum(attempts) FROM journal_batches"), 0);
    room.goes_on();
}

#[test]
fn status_401() {
    let body = error("Incorrect API key", "invalid_request_error", None, Some("invalid_api_key"));
    an_outage(Turn::Status(401, &[], body), "401 (invalid_request_error, invalid_api_key)", &[]);
}

#[test]
fn status_500() {
    an_outage(Turn::Status(500, &[], error("oops", "server_error", None, None)), "500 (server_error)", &[]);
}

#[test]
fn a_dropped_connection() {
    an_outage(Turn::Drop, "the connection ended before the answer", &[]);
}

#[test]
fn a_connection_dropped_in_the_middle_of_an_answer() {
    an_outage(Turn::DropMidBody, "the connection ended before the answer", &[]);
}

#[test]
fn a_provider_that_hangs() {
    an_outage(Turn::Hang, "no answer within 2 s", &[("POWERMEMO_LLM_TIMEOUT_SECONDS", "2")]);
}

/// The provider says when it wants to be asked again: much later than the pause of the flush would be.
#[test]
fn status_429_with_retry_after() {
    let busy = || Turn::Status(429, &[("retry-after", "3000")], error("slow down", "requests", None, None));
    an_outage(busy(), "429", &[]);

    let room = Room::new([busy()], &[]);
    room.say();
    let began = jiff::Timestamp::now();
    room.flush_fails("429");
    let sql = "SELECT ready_at FROM journal_batches";
    let ready_at: i64 = room.world.query(async move |conn| query_scalar(sql).fetch_one(conn).await.unwrap());
    assert!(ready_at - began.as_microsecond() >= 3_000_000_000, "the next try by itself comes too early");
}

/// What another try would not cure counts; after the last attempt the blobs are dead letters with the reason.
fn a_refusal(bad: fn() -> Turn, calls: usize, words: &str) {
    let room = Room::new((0..2 * calls).map(|_| bad()), &[("POWERMEMO_FLUSH_MAX_ATTEMPTS", "2")]);
    let blob = room.say();
    room.flush_fails(words);
    assert_eq!(room.endpoint.calls(), calls);
    assert_eq!(room.blobs(), [vec![blob.clone()], vec![]]);
    assert_eq!(room.world.count("SELECT sum(attempts) FROM journal_batches"), 1);
    room.flush_fails(words);
    assert_eq!(room.endpoint.calls(), 2 * calls);
    assert_eq!(room.blobs(), [vec![], vec![blob]]);
    let outcomes = room.outcomes();
    let (outcome, reason) = (&outcomes[0].0, outcomes[0].1.as_deref().unwrap());
    assert!(outcomes.len() == 1 && outcome == "dead" && reason.contains(words), "{outcomes:?}");
    assert_eq!(room.world.count("SELECT count(*) FROM dead_letters JOIN flushes USING (flush_id, reason)"), 1);

    room.tell("I like tea.");
    room.flush().unwrap();
    assert_eq!(room.lines(), ["I like tea."]);
    assert_eq!(room.blobs()[1].len(), 1);
}

#[test]
fn status_400() {
    // Asked once more without the schema, before it is believed.
    a_refusal(bad_request, 2, "400 (invalid_request_error)");
}

#[test]
fn truncated_twice() {
    a_refusal(|| Turn::Content(half), 2, "not after one repair either");
}

#[test]
fn an_answer_and_its_repair_without_content() {
    a_refusal(|| Turn::Content(|_| None), 2, "there is no JSON object");
}

#[test]
fn prose_twice() {
    a_refusal(|| Turn::Content(prose), 2, "there is no JSON object");
}

/// An answer that cannot be used: the model is asked once more, in the same talk, and does better.
fn a_repair(bad: fn(String) -> Option<String>) {
    let room = Room::new([Turn::Content(bad)], &[ONE_ATTEMPT]);
    room.say();
    room.flush().unwrap();
    let requests = room.endpoint.requests();
    assert_eq!(requests.len(), 2);
    let [first, second] = [0, 1].map(|at| requests[at]["messages"].as_array().unwrap());
    assert!(second.len() > first.len() && second.starts_with(first));
    assert_eq!(second.last().unwrap()["role"], "user");
    room.goes_on();
}

#[test]
fn a_truncated_answer_is_repaired() {
    a_repair(half);
}

#[test]
fn an_empty_answer_is_repaired() {
    a_repair(|_| Some(String::new()));
}

#[test]
fn a_null_answer_is_repaired() {
    a_repair(|_| None);
}

#[test]
fn prose_is_repaired() {
    a_repair(prose);
}

/// An answer with the right JSON in it: used as it is.
fn a_decoration(decorated: fn(String) -> Option<String>) {
    let room = Room::new([Turn::Content(decorated)], &[ONE_ATTEMPT]);
    room.say();
    room.flush().unwrap();
    assert_eq!((room.endpoint.calls(), room.events()), (1, 1));
    room.goes_on();
}

#[test]
fn json_in_a_fence() {
    a_decoration(|right| Some(format!("```json\n{right}\n```")));
}

#[test]
fn json_among_chatter() {
    a_decoration(|right| Some(format!("Sure! Here is {{what}} you asked for:\n{right}\nAnything else? {{}}")));
}

#[test]
fn json_after_reasoning() {
    a_decoration(|right| Some(format!("<think>First {{\"gists\":[], \"profile\":[]}}, no…</think>\n\n{right}")));
}

/// A provider that knows no schemas is asked without one, from then on at once.
#[test]
fn a_refused_schema_is_not_sent_again() {
    let words = "'response_format' of type 'json_schema' is not supported with this model";
    let refusal = error(words, "invalid_request_error", Some("response_format"), None);
    let room = Room::new([Turn::Status(400, &[], refusal)], &[ONE_ATTEMPT]);
    for _ in 0..2 {
        room.say();
        room.flush().unwrap();
    }
    let requests = room.endpoint.requests();
    assert_eq!(requests.iter().map(format_of).collect::<Vec<_>>(), ["json_schema", "json_object", "json_object"]);
    room.goes_on();
}

/// What a message says is kept when its number is wrong; the numbers are counted as refused.
#[test]
fn wrong_numbers_of_messages() {
    let wrong = |right: String| Some(right.replace("\"messages\":[1]", "\"messages\":[99]"));
    let room = Room::new([Turn::Content(wrong)], &[ONE_ATTEMPT]);
    room.say();
    room.flush().unwrap();
    let outcomes = room.outcomes();
    assert_eq!((outcomes.len(), outcomes[0].0.as_str(), outcomes[0].2), (1, "committed", 2));
    room.goes_on();
}

#[test]
fn unknown_topics_are_kept_unless_the_mode_is_strict() {
    for (strict, slots, refused) in [("false", &["title", "sign"][..], 0), ("true", &["title"], 1)] {
        let room = Room::new([], &[("POWERMEMO_PROFILE_STRICT_MODE", strict)]);
        room.tell("FACT work/title=nurse FACT zodiac/sign=leo");
        room.flush().unwrap();
        let mut profile: Vec<String> =
            room.client().profile(room.user()).into_iter().map(|[_, name, _]| name).collect();
        profile.sort_unstable_by_key(|name| slots.iter().position(|slot| slot == name));
        assert_eq!(profile, slots);
        assert_eq!(room.outcomes()[0].2, refused);
        room.running.server.kill();
    }
}

#[test]
fn two_hundred_slots_at_once() {
    let room = Room::new([], &[ONE_ATTEMPT]);
    let slot = |n: usize| [format!("topic_{}", n / 10), format!("slot_{}", n % 10), format!("likes number {n} most")];
    let slots: Vec<[String; 3]> = (0..200).map(slot).collect();
    let facts: Vec<String> = slots.iter().map(|[topic, sub, memo]| format!("FACT {topic}/{sub}={memo}")).collect();
    room.tell(&facts.join(" "));
    room.flush().unwrap();
    let mut profile = room.client().profile(room.user());
    profile.sort_unstable_by_key(|slot| slots.iter().position(|known| known == slot));
    assert_eq!(profile, slots);
    assert_eq!(room.outcomes()[0].2, 0);
}

/// A chat in another language is asked about in that language, and remembered to the letter.
fn a_language(text: &str, version: &str, memo: [&str; 3]) {
    let room = Room::new([], &[ONE_ATTEMPT]);
    let [topic, sub_topic, content] = memo;
    let text = format!("{text} FACT {topic}/{sub_topic}={content}");
    room.tell(&text);
    room.flush().unwrap();
    assert_eq!(room.lines(), [text]);
    assert_eq!(room.client().profile(room.user()), [memo.map(str::to_owned)]);
    assert!(room.outcomes()[0].3.starts_with(version), "{:?}", room.outcomes());
}

#[test]
fn a_chinese_chat() {
    a_language("我叫小明，昨天我搬到了上海，每天早上都喝绿茶。", "zh-", ["兴趣", "饮料", "每天早上喝绿茶"]);
}

#[test]
fn a_japanese_chat() {
    a_language("昨日、猫を飼い始めました。名前はミソです。", "ja-", ["ペット", "猫", "ミソという猫を飼っている"]);
}

/// A long chat is one event, however many calls it takes.
#[test]
fn a_chat_of_two_hundred_messages() {
    for (tokens, calls) in [("16384", 1..=1), ("500", 4..=50)] {
        let room = Room::new([], &[("POWERMEMO_MAX_CHAT_BLOB_BUFFER_PROCESS_TOKEN_SIZE", tokens)]);
        let texts: Vec<String> = (0..200).map(|n| format!("On day {n} I walked {n} miles.")).collect();
        let role = |n: usize| if n.is_multiple_of(2) { "user" } else { "assistant" };
        let message = |(n, text): (usize, &String)| json!({"role": role(n), "content": text});
        let messages: Vec<Value> = texts.iter().enumerate().map(message).collect();
        let body = json!({"blob_type": "chat", "blob_data": {"messages": messages}});
        room.client().call("POST", &format!("/blobs/insert/{}", room.user()), Some(&body)).unwrap();
        room.flush().unwrap();
        assert_eq!((room.lines(), room.events()), (texts, 1));
        assert!(calls.contains(&room.endpoint.calls()), "{} calls", room.endpoint.calls());
        assert_eq!(room.blobs(), NO_BLOBS);
        room.running.server.kill();
    }
}

/// Inserts go on while the model thinks, and belong to the next flush.
#[test]
fn a_model_that_thinks_holds_up_nobody() {
    let (turn, open) = Turn::gate();
    let room = Room::new([turn], &[ONE_ATTEMPT]);
    room.say();
    std::thread::scope(|threads| {
        let (client, user) = (room.client().clone(), room.user());
        let flush = threads.spawn(move || client.flush(user));
        room.endpoint.wait_for_calls(1);
        room.say();
        assert_eq!(room.lines(), Vec::<String>::new());
        drop(open);
        flush.join().unwrap().unwrap();
    });
    assert_eq!(room.lines().len(), 1);
    room.goes_on();
}
