use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Map;
use uuid::Uuid;

use super::SAID;
use crate::blob::Role;
use crate::extraction::{Draft, Line, Policy, Request, check};
use crate::ids::{BlobId, SlotId};
use crate::ports::LanguageModel;
use crate::profile::{Slot, SlotName};
use crate::rules::{RuleExtractor, SLOTS};
use crate::schema::{Schema, SubTopic, Topic};
use crate::testing::WordCounter;
use crate::text::one_line;

fn policy(strict: bool, max_memo_tokens: u32) -> Policy {
    let sub_topics = vec![SubTopic { name: "title".into(), description: None }];
    Policy {
        schema: Schema { topics: vec![Topic { name: "work".into(), description: None, sub_topics }] },
        strict,
        validate: true,
        max_memo_tokens,
        ..crate::testing::policy()
    }
}

fn line(number: u32, role: Role, text: &str) -> Line {
    let blob_id = BlobId(Uuid::nil());
    Line { number, blob_id, message: number - 1, role, alias: None, said_on: Some(SAID), text: text.into() }
}

fn user(texts: &[&str]) -> Vec<Line> {
    texts.iter().zip(1..).map(|(text, number)| line(number, Role::User, text)).collect()
}

fn slot(topic: &str, sub_topic: &str, content: &str) -> Slot {
    Slot {
        id: SlotId(Uuid::nil()),
        topic: topic.into(),
        sub_topic: sub_topic.into(),
        content: content.into(),
        attributes: Map::new(),
        sources: Vec::new(),
        revision: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

fn draft(lines: Vec<Line>, profile: Vec<Slot>, policy: Policy) -> Draft {
    RuleExtractor::new(Arc::new(WordCounter)).draft(&Request {
        lines,
        profile,
        named: vec![],
        policy: Arc::new(policy),
    })
}

fn memos(draft: &Draft) -> Vec<(&str, &str)> {
    draft.profile.iter().map(|a| (a.sub_topic.as_str(), a.memo.as_str())).collect()
}

#[test]
fn user_messages_become_gists_and_assistant_lines_nothing() {
    let lines = vec![
        line(1, Role::User, "I ran\n yesterday."),
        line(2, Role::Assistant, "I'm a nurse."),
        line(3, Role::User, "  "),
        line(4, Role::User, "Nice"),
    ];
    let draft = draft(lines, vec![], policy(false, 50));
    let gists: Vec<_> =
        draft.gists.iter().map(|g| (g.text.as_str(), g.occurred_at.as_deref(), &g.messages[..])).collect();
    assert_eq!(gists, [("I ran yesterday.", Some("2023-05-07"), &[1][..]), ("Nice", None, &[4])]);
    assert!(draft.profile.is_empty() && draft.tags.is_empty() && draft.summary.is_empty());
}

#[test]
fn long_messages_are_cut_at_sentences() {
    let text = "Seven words are in this short sentence. ".repeat(60);
    let draft = draft(user(&[&text]), vec![], policy(false, 50));
    assert_eq!(draft.gists.len(), 3);
    assert!(draft.gists.iter().all(|g| g.text.ends_with('.') && g.messages == [1]));
}

#[test]
fn values_collect_and_single_ones_are_replaced() {
    let lines = user(&["I love tea.", "I'm a nurse", "I love Chess and rowing. I'm a doctor"]);
    let profile = vec![slot("Interest", "Likes", "chess; maps"), slot("work", "title", "cook")];
    let full = draft(lines.clone(), profile.clone(), policy(false, 50));
    assert_eq!(memos(&full), [("likes", "chess; maps; tea; rowing"), ("title", "doctor")]);
    assert_eq!(full.profile[1].messages, [2, 3]);
    let short = draft(lines, profile, policy(false, 2));
    assert_eq!(memos(&short)[0], ("likes", "Chess; rowing"));
}

#[test]
fn known_values_and_slots_outside_of_a_strict_schema_are_not_written() {
    let lines = user(&["I love chess. I'm a nurse"]);
    assert_eq!(memos(&draft(lines.clone(), vec![], policy(true, 50))), [("title", "nurse")]);
    let known = vec![slot("interest", "likes", "Chess"), slot("work", "title", "nurse")];
    assert_eq!(memos(&draft(lines, known, policy(false, 50))), []);
}

#[test]
fn several_speakers_tell_no_slots() {
    let mut lines = user(&["I'm a nurse", "I'm a cook"]);
    lines[0].alias = Some("Ann".into());
    lines[1].alias = Some("Bob".into());
    let draft = draft(lines, vec![], policy(false, 50));
    assert_eq!((draft.gists.len(), draft.profile.len()), (2, 0));
}

#[tokio::test]
async fn the_answer_is_a_draft_that_passes_the_check() {
    let request = Request {
        lines: user(&["I moved two weeks ago. I live in Oslo, I love tea."]),
        profile: vec![],
        named: vec![],
        policy: Arc::new(policy(false, 50)),
    };
    let model = RuleExtractor::new(Arc::new(WordCounter));
    let answer = model.extract(&request).await.unwrap();
    let draft: Draft = serde_json::from_str(&answer.text).unwrap();
    let extraction = check(&[draft], &request.lines, &request.policy, &WordCounter);
    assert_eq!((extraction.gists.len(), extraction.actions.len()), (1, 2));
    assert!(extraction.refused.is_empty() && model.is_immediate());
    assert_eq!((model.name(), answer.version.as_str()), ("rules", "rules-1"));
}

#[test]
fn slots_have_normal_names_and_no_twins() {
    let names: std::collections::BTreeSet<_> = SLOTS.iter().collect();
    assert_eq!(names.len(), SLOTS.len());
    assert!(SLOTS.iter().all(|(t, s)| SlotName::new(t, s) == SlotName { topic: (*t).into(), sub_topic: (*s).into() }));
}

/// Text out of the words that the rules know, so that the patterns are reached.
fn chatter() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "I'm",
        "I",
        "my",
        "name is",
        "love",
        "a",
        "from",
        "Rome",
        "live in",
        "30",
        "nurse",
        "dog",
        "named",
        "and",
        ",",
        "é",
        "我",
        "叫",
        "是",
        "喜欢",
        "住在",
        "一只",
        "岁",
        "。",
        "\n",
        "“",
        "'",
        "birthday",
        "5月",
        "in",
        "born",
        "😀",
        "İ",
        "\u{212A}orean",
        "speak",
    ]);
    prop::collection::vec((words, prop::bool::ANY), 0..20)
        .prop_map(|w| w.iter().map(|(s, space)| format!("{s}{}", if *space { " " } else { "" })).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn gists_hold_the_whole_message(noise in ".{0,200}", chat in chatter(), repeat in 1_usize..30) {
        let text = format!("{noise} {}", format!("{chat} ").repeat(repeat));
        let draft = draft(user(&[&text]), vec![], policy(false, 50));
        let bare = |s: &str| s.split_whitespace().collect::<String>();
        let gists: String = draft.gists.iter().map(|g| bare(&g.text)).collect();
        prop_assert_eq!(gists, bare(&text));
        prop_assert!(draft.gists.iter().all(|g| g.text == one_line(&g.text)));
        prop_assert!(draft.profile.iter().all(|a| SLOTS.contains(&(a.topic.as_str(), a.sub_topic.as_str()))));
    }
}
