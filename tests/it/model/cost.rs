//! What a flush costs at the model: calls, and tokens of what is sent, as a provider counts them.

use memory::ports::TokenCounter as _;
use memory::schema::Schema;
use powermemo::tokens::Tokeniser;
use serde_json::{Value, json};

use super::room::Room;

/// All that is counted of a call: the messages and the schema.
fn tokens(request: &Value) -> u32 {
    let count = |text: &str| Tokeniser::start().count(text);
    let messages = request["messages"].as_array().unwrap();
    let schema = &request["response_format"]["json_schema"]["schema"];
    assert!(schema.is_object(), "{request}");
    messages.iter().map(|message| count(message["content"].as_str().unwrap())).sum::<u32>() + count(&schema.to_string())
}

/// Sends a blob: what the user and the bot say in turns.
fn tell(room: &Room, texts: &[&str]) {
    let roles = ["user", "assistant"].into_iter().cycle();
    let message = |(role, text)| json!({"role": role, "content": text, "created_at": "8 May, 2023"});
    let messages: Vec<_> = roles.zip(texts).map(message).collect();
    let body = json!({"blob_type": "chat", "blob_data": {"messages": messages}});
    room.client().call("POST", &format!("/blobs/insert/{}", room.user()), Some(&body)).unwrap();
}

/// The tokens of the one call that a flush of all that was told makes.
fn flush(room: &Room) -> u32 {
    room.client().flush(room.user()).unwrap();
    let requests = room.endpoint.requests();
    assert_eq!(requests.len(), 1, "one call is enough");
    tokens(&requests[0])
}

#[test]
fn one_blob_of_a_new_user_is_one_small_call() {
    let room = Room::new([], &[]);
    tell(
        &room,
        &[
            "Hi, my name is Marta. I moved from Porto to Bergen, and yesterday I adopted a dog!",
            "Welcome to Bergen, Marta! How do you like the rain?",
            "I got used to it. I am a nurse, I live in Bergen, and I love hiking.",
            "Then you are in the right place. Have you been up Mount Ulriken yet?",
        ],
    );
    let tokens = flush(&room);
    // Measured: 1,074.
    assert!(tokens <= 1_350, "{tokens}");
}

#[test]
fn a_full_batch_for_thirty_slots_is_one_call_little_larger_than_its_text() {
    // Nothing is flushed before all is told.
    let room = Room::new([], &[("POWERMEMO_MAX_CHAT_BLOB_BUFFER_TOKEN_SIZE", "100000")]);
    let topics = Schema::default().topics.into_iter();
    let names = topics.flat_map(|t| t.sub_topics.into_iter().take(3).map(move |s| (t.name.clone(), s.name)));
    let names: Vec<_> = names.take(30).collect();
    assert_eq!(names.len(), 30);
    for (topic, sub_topic) in names {
        let content = "likes long walks by the river with music and friends, since 2021";
        let slot = json!({"content": content, "attributes": {"topic": topic, "sub_topic": sub_topic}});
        room.client().call("POST", &format!("/users/profile/{}", room.user()), Some(&slot)).unwrap();
    }
    // Words that slots share: all of them may matter.
    let words = ["we", "talked", "about", "travel", "and", "music", "over", "dinner", "with", "friends"];
    let text = words.iter().cycle().take(200).copied().collect::<Vec<_>>().join(" ");
    assert_eq!(Tokeniser::start().count(&text), 200);
    for _ in 0..8 {
        tell(&room, &[&text, &text]);
    }
    let tokens = flush(&room);
    // Measured: 4,551, of which 3,200 are the text.
    assert!((3_200..=4_600).contains(&tokens), "{tokens}");
}
