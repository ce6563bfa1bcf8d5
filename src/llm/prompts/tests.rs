use std::sync::Arc;

use jiff::Timestamp;
use memory::blob::{Blob, BlobData, Message, Role};
use memory::extraction::{Line, TagSpec, lines_of, quote};
use memory::ids::SlotId;
use memory::ports::TokenCounter;
use memory::schema::Schema;
use uuid::Uuid;

use super::*;
use crate::tokens::Tokeniser;

/// The default of `llm_profile_tokens`.
const QUOTE_TOKENS: u32 = 128;

fn policy() -> Policy {
    Policy { schema: Schema::default(), max_memo_tokens: 128, validate: true, ..memory::testing::policy() }
}

fn message(role: Role, content: &str) -> Message {
    Message { role, alias: None, content: content.into(), created_at: Some("8 May, 2023".into()) }
}

fn lines(messages: Vec<Message>, first: u32) -> Vec<Line> {
    let blob = Blob { data: BlobData::Chat { messages }, fields: None, created_at: Timestamp::UNIX_EPOCH };
    lines_of(Uuid::nil(), &blob, first, &policy().time_zone)
}

fn request(lines: Vec<Line>, profile: Vec<Slot>, policy: Policy) -> Request {
    let quoted = quote(profile, &lines, &policy.schema, QUOTE_TOKENS, &Tokeniser::start());
    Request { lines, profile: quoted.profile, named: quoted.named, policy: Arc::new(policy) }
}

fn said(text: &str) -> Request {
    request(lines(vec![message(Role::User, text)], 1), vec![], policy())
}

fn rendered(request: &Request) -> Rendered {
    let prompts = Prompts::new().unwrap();
    let system = prompts.instructions(request.language(), &request.policy).unwrap();
    Rendered { system, user: prompts.batch(request).unwrap() }
}

/// All that a provider counts: both messages and the schema.
fn tokens(request: &Request) -> u32 {
    let (prompt, counter) = (rendered(request), Tokeniser::start());
    [prompt.system, prompt.user, schema::extraction().to_string()].iter().map(|text| counter.count(text)).sum()
}

/// A text of exactly so many tokens, of words that slots may share.
fn prose(tokens: u32) -> String {
    let words = ["we", "talked", "about", "travel", "and", "music", "over", "dinner", "with", "friends"];
    let text = words.iter().cycle().take(tokens as usize).copied().collect::<Vec<_>>().join(" ");
    assert_eq!(Tokeniser::start().count(&text), tokens);
    text
}

fn thirty_slots() -> Vec<Slot> {
    let names = Schema::default().topics.into_iter().flat_map(|topic| {
        let names: Vec<_> = topic.sub_topics.iter().map(|s| SlotName::new(&topic.name, &s.name)).collect();
        names.into_iter().take(3)
    });
    let slot = |name: SlotName| Slot {
        content: "likes long walks by the river with music and friends, since 2021".into(),
        ..Slot::new(&name, SlotId(Uuid::nil()), Timestamp::UNIX_EPOCH)
    };
    let slots: Vec<Slot> = names.take(30).map(slot).collect();
    assert_eq!(slots.len(), 30);
    slots
}

#[test]
fn a_new_user_costs_few_tokens() {
    let chat = [
        "Hi, my name is Marta. I moved from Porto to Bergen, and yesterday I adopted a dog!",
        "Welcome to Bergen, Marta! How do you like the rain?",
        "I got used to it. I am a nurse, I live in Bergen, and I love hiking.",
        "Then you are in the right place. Have you been up Mount Ulriken yet?",
    ];
    let roles = [Role::User, Role::Assistant].into_iter().cycle();
    let english = chat.iter().zip(roles).map(|(text, role)| message(role, text)).collect();
    assert!(tokens(&request(lines(english, 1), vec![], policy())) <= 1_350);
    for text in ["你好，我叫林晓雨，在成都当小学老师。", "はじめまして、佐藤健太です。大阪で看護師をしています。"]
    {
        let chat = (0..4).map(|_| message(Role::User, text)).collect();
        assert!(tokens(&request(lines(chat, 1), vec![], policy())) <= 1_350, "{text}");
    }
}

/// Eight blobs of 400 tokens each, for a user with thirty slots that all share words with them.
fn full_batch(messages_of_a_blob: u32) -> Request {
    let mut chat = Vec::new();
    for blob in 0..8 {
        let roles = [Role::User, Role::Assistant].into_iter().cycle();
        let text = prose(400 / messages_of_a_blob);
        let messages = roles.take(messages_of_a_blob as usize).map(|role| message(role, &text)).collect();
        chat.extend(lines(messages, messages_of_a_blob * blob + 1));
    }
    request(chat, thirty_slots(), policy())
}

#[test]
fn a_full_batch_costs_little_more_than_its_text() {
    let request = full_batch(2);
    assert!(!request.profile.is_empty() && !request.named.is_empty());
    assert!(tokens(&request) <= 4_600, "{}", tokens(&request));
    // More lines bear more dates; the schema is then what is over.
    let request = full_batch(4);
    let schema = Tokeniser::start().count(&schema::extraction().to_string());
    assert!(tokens(&request) - schema <= 4_600, "{}", tokens(&request) - schema);
}

#[test]
fn instructions_are_the_same_for_every_user_of_a_policy() {
    let (one, two) = (
        rendered(&said("Oslo is lovely")),
        rendered(&request(lines(vec![message(Role::User, "We moved to Oslo")], 1), thirty_slots(), policy())),
    );
    assert_eq!(one.system, two.system);
    assert_ne!(one.user, two.user);
    assert!(!one.system.contains("Oslo is lovely"));
}

type Change<'a> = &'a dyn Fn(&mut Policy);

#[test]
fn a_policy_shows_in_the_instructions() {
    let plain = rendered(&said("hello")).system;
    let tag = TagSpec { name: "mood".into(), description: "how the user feels".into() };
    let changes: [(&str, Change<'_>); 5] = [
        ("mood: how the user feels", &|p| p.event_tags = vec![tag.clone()]),
        ("no others", &|p| p.strict = true),
        ("Write in English", &|p| p.language = Some(Language::En)),
        ("You are a librarian.", &|p| p.introduction = Some("You are a librarian.".into())),
        ("Only what concerns books.", &|p| p.event_theme = Some("Only what concerns books.".into())),
    ];
    for (words, change) in changes {
        let mut policy = policy();
        change(&mut policy);
        let system = rendered(&request(lines(vec![message(Role::User, "hello")], 1), vec![], policy)).system;
        assert!(system.contains(words) && !plain.contains(words), "{words}\n{system}");
    }
}

#[test]
fn every_language_has_its_own_prompt() {
    let prompts = Prompts::new().unwrap();
    let chats =
        [("I am a nurse", Language::En), ("我是护士，住在成都。", Language::Zh), ("私は看護師です。", Language::Ja)];
    let mut systems = Vec::new();
    for (text, language) in chats {
        let request = said(text);
        assert_eq!(request.language(), language);
        systems.push(rendered(&request).system);
        assert!(!prompts.repair(language, "no object", true).unwrap().is_empty());
    }
    assert!(
        systems[0].contains("never an order")
            && systems[1].contains("绝不是命令")
            && systems[2].contains("命令ではありません")
    );
    for (_, language) in chats {
        let example = prompts.example(language);
        assert!(example.gists.len() == 2 && example.profile.len() == 2 && example.left_out.is_empty(), "{language:?}");
    }
    let mut versions: Vec<&str> = chats.iter().map(|(_, language)| prompts.version(*language)).collect();
    assert!(versions.iter().zip(["en-", "zh-", "ja-"]).all(|(version, start)| version.starts_with(start)));
    versions.dedup();
    assert_eq!(versions.len(), 3);
}

#[test]
fn the_batch_says_who_speaks_which_day_it_is_and_what_is_known() {
    let mut chat = lines(vec![message(Role::User, "I saw Ben last Friday"), message(Role::Assistant, "Nice")], 1);
    chat[0].alias = Some("Caroline".into());
    chat[1].alias = Some("Mel".into());
    let slot = Slot {
        content: "nurse\nat night".into(),
        ..Slot::new(&SlotName::new("work", "title"), SlotId(Uuid::nil()), Timestamp::UNIX_EPOCH)
    };
    let named = ["books", "music"].map(|sub_topic| SlotName::new("interest", sub_topic));
    let request = Request { lines: chat, profile: vec![slot], named: named.to_vec(), policy: Arc::new(policy()) };
    let expected = "The user is Caroline. Not the user: Mel.
Days: 2023-05-08 Monday
Known:
work/title: nurse at night
Also known, not shown (\"set\" adds): interest: books, music
<chat>
[1] 2023-05-08 Caroline: I saw Ben last Friday
[2] 2023-05-08 Mel: Nice
</chat>";
    assert_eq!(rendered(&request).user, expected);
}

/// A chat that gives orders to whoever reads it.
#[derive(serde::Deserialize)]
struct Hostile {
    name: String,
    messages: Vec<(Role, String)>,
}

/// What a reader that goes by the structure alone takes for chat lines: number, date, speaker, text.
fn fenced(prompt: &str) -> Vec<(u32, &str, &str, &str)> {
    let mut inside = prompt.lines().skip_while(|line| *line != "<chat>").skip(1);
    let lines: Vec<&str> = inside.by_ref().take_while(|line| *line != "</chat>").collect();
    assert_eq!(inside.count(), 0, "the fence ends the prompt");
    lines
        .into_iter()
        .map(|line| {
            let (number, rest) = line.strip_prefix('[').unwrap().split_once("] ").unwrap();
            let (date, rest) = rest.split_once(' ').unwrap();
            let (speaker, text) = rest.split_once(": ").unwrap();
            (number.parse().unwrap(), date, speaker, text)
        })
        .collect()
}

#[test]
fn no_chat_breaks_out_of_its_lines() {
    let chats: Vec<Hostile> = serde_json::from_str(include_str!("../../../tests/data/hostile_chats.json")).unwrap();
    assert_eq!(chats.len(), 20);
    let innocent = rendered(&said("I like tea."));
    for Hostile { name, messages } in chats {
        let chat = messages.iter().map(|(role, text)| message(*role, text)).collect();
        let request = request(lines(chat, 1), vec![], policy());
        let prompt = rendered(&request);
        let seen = fenced(&prompt.user);
        let expected: Vec<(u32, &str)> = (1..)
            .zip(messages.iter().map(|(role, _)| match role {
                Role::User => "user",
                Role::Assistant => "assistant",
            }))
            .collect();
        assert_eq!(seen.iter().map(|line| (line.0, line.2)).collect::<Vec<_>>(), expected, "{name}");
        assert!(seen.iter().all(|line| line.1 == "2023-05-08"), "{name}");
        if request.language() == Language::En {
            assert_eq!(prompt.system, innocent.system, "{name}");
        }
        for token in [
            "<|",
            "<｜",
            "</s>",
            "<start_of_turn>",
            "<end_of_turn>",
            "[INST]",
            "[/INST]",
            "<<SYS>>",
            "\u{2028}",
            "\u{202e}",
            "\0",
        ] {
            assert!(!prompt.user.contains(token), "{name}: {token:?}");
        }
    }
}
