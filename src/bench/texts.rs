//! What is said: chats, memos and questions, varied and always the same.

use serde_json::json;

use super::form::NUMBER;

/// Different bodies of a kind.
pub(crate) const VARIANTS: usize = 256;
/// Slots of a user's profile.
pub(crate) const SLOTS: usize = 30;
/// Gists of a user.
pub(crate) const GISTS: usize = 30;
/// Tokens of a chat of two messages at most; a test keeps it true.
pub(crate) const CHAT_TOKENS: u64 = 80;
/// Sub-topics of a topic.
const SUB_TOPICS: usize = 3;

const TOPICS: [&str; 10] =
    ["work", "interest", "family", "travel", "health", "education", "food", "music", "sports", "home"];
const SUB: [&str; 10] =
    ["favourite", "plan", "history", "habit", "wish", "worry", "friend", "place", "schedule", "tool"];
const THINGS: [&str; 16] = [
    "the harbour festival",
    "my sister's wedding",
    "a pottery class",
    "the night shift",
    "our old piano",
    "a trip to Lisbon",
    "the garden fence",
    "my driving test",
    "the new bakery",
    "a job interview",
    "the chess club",
    "my knee",
    "a stray cat",
    "the winter marathon",
    "Grandma's recipes",
    "the broken heating",
];
const TURNS: [&str; 16] = [
    "I have been thinking about",
    "You would not believe what happened with",
    "Yesterday I finally took care of",
    "My colleague keeps asking me about",
    "I am a little worried about",
    "Next week is all about",
    "Let me tell you something about",
    "I could use some advice on",
    "There is good news about",
    "I was up half the night because of",
    "We talked for hours about",
    "I changed my mind about",
    "Do you remember what I said about",
    "It took three phone calls to sort out",
    "I am looking forward to",
    "Nobody warned me about",
];
const REPLIES: [&str; 8] = [
    "That sounds like a lot; how do you feel about it today?",
    "I am glad you told me. What would be the best outcome for you?",
    "Good to hear! Who else knows about it?",
    "Take your time with it. Shall we go through it step by step?",
    "That must have been quite a day. Did you get any rest?",
    "I see. Is there something small you could do about it this week?",
    "Wonderful. When will you know more?",
    "Noted. I will ask you about it again on Friday.",
];

/// The n-th thing that a user says, with a place for a number, so that no two messages are the same.
fn line(n: usize) -> String {
    let (turn, thing) = (TURNS[n % TURNS.len()], THINGS[n / TURNS.len() % THINGS.len()]);
    let other = THINGS[(n * 7 + 3) % THINGS.len()];
    format!("{turn} {thing}. It has number {NUMBER} in my diary, right after {other}, and I wrote two pages about it.")
}

fn reply(n: usize) -> &'static str {
    REPLIES[(n * 5 + n / 8) % REPLIES.len()]
}

/// The body of an insert of two messages.
pub(crate) fn chat(n: usize) -> String {
    insert(&[("user", line(n)), ("assistant", reply(n).to_owned())])
}

/// The body of an insert of four messages, from which the mock model takes a fact.
pub(crate) fn telling_chat(n: usize) -> String {
    let (topic, sub_topic) = slot(n % SLOTS);
    let thing = THINGS[n % THINGS.len()];
    let fact = format!("Please remember: FACT {topic}/{sub_topic}={thing}, as told in the year {}", 2000 + n % 25);
    let messages =
        [("user", line(n)), ("assistant", reply(n).to_owned()), ("user", fact), ("assistant", reply(n + 3).to_owned())];
    insert(&messages)
}

/// The bodies of inserts from which a model that takes lines as they are makes [`GISTS`] gists, and one flush.
pub(crate) fn gist_chats() -> Vec<String> {
    const BLOBS: usize = 3;
    let said =
        |n: usize| format!("{} {}, and it went well.", TURNS[n % TURNS.len()], THINGS[(n * 3 + 1) % THINGS.len()]);
    let speaker = |n: usize| if n.is_multiple_of(2) { "user" } else { "assistant" };
    let lines: Vec<_> = (0..GISTS).map(|n| (speaker(n), said(n))).collect();
    lines.chunks(GISTS / BLOBS).map(insert).collect()
}

fn insert(messages: &[(&str, String)]) -> String {
    let messages: Vec<_> = messages.iter().map(|(role, text)| json!({"role": role, "content": text})).collect();
    json!({"blob_type": "chat", "blob_data": {"messages": messages}}).to_string()
}

/// Topic and sub-topic of a slot.
pub(crate) fn slot(n: usize) -> (&'static str, &'static str) {
    let topic = n / SUB_TOPICS % TOPICS.len();
    (TOPICS[topic], SUB[(topic + n % SUB_TOPICS) % SUB.len()])
}

/// The body that adds a slot.
pub(crate) fn memo(n: usize) -> String {
    let (topic, sub_topic) = slot(n);
    let (one, other) = (THINGS[n % THINGS.len()], THINGS[(n * 5 + 2) % THINGS.len()]);
    let memo = format!("cares about {one} and, since the spring of {}, about {other} as well", 1990 + n);
    json!({"content": memo, "attributes": {"topic": topic, "sub_topic": sub_topic}}).to_string()
}

/// A value of `chats_str`: the last three messages of a chat.
pub(crate) fn question(n: usize) -> String {
    let asked = format!("What did I tell you about {}?", THINGS[(n * 3 + 1) % THINGS.len()]);
    let before = format!("{} {}.", TURNS[n % TURNS.len()], THINGS[n / 16 % THINGS.len()]);
    json!([
        {"role": "user", "content": before},
        {"role": "assistant", "content": reply(n)},
        {"role": "user", "content": asked},
    ])
    .to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use memory::ports::TokenCounter as _;
    use serde_json::Value;

    use super::*;
    use crate::tokens::Tokeniser;

    #[test]
    fn texts_differ() {
        for make in [chat, telling_chat, question] {
            assert_eq!((0..VARIANTS).map(make).collect::<HashSet<_>>().len(), VARIANTS);
        }
        assert_eq!((0..SLOTS).map(slot).collect::<HashSet<_>>().len(), SLOTS);
    }

    #[test]
    fn a_chat_has_no_more_tokens_than_is_said() {
        let tokeniser = Tokeniser::start();
        for n in 0..VARIANTS {
            let body: Value = serde_json::from_str(&chat(n).replace(NUMBER, "000000999999")).unwrap();
            let messages = body["blob_data"]["messages"].as_array().unwrap();
            let tokens: u32 = messages.iter().map(|m| 4 + tokeniser.count(m["content"].as_str().unwrap())).sum();
            assert!(u64::from(tokens) <= CHAT_TOKENS, "{tokens}");
        }
    }

    #[test]
    fn there_are_as_many_gists_as_is_said() {
        let chats: Vec<Value> = gist_chats().iter().map(|chat| serde_json::from_str(chat).unwrap()).collect();
        let lines: usize = chats.iter().map(|chat| chat["blob_data"]["messages"].as_array().unwrap().len()).sum();
        assert_eq!(lines, GISTS);
    }
}
