//! What a language model answers: read, and checked.
#![no_main]

use std::collections::HashSet;

use jiff::civil::date;
use libfuzzer_sys::fuzz_target;
use memory::blob::Role;
use memory::extraction::{Action, Draft, Extraction, Line, Policy, TagSpec, check};
use memory::ids::BlobId;
use memory::ports::TokenCounter as _;
use memory::schema::{MAX_NAME_CHARS, Schema, SubTopic, Topic};
use memory::testing::WordCounter;
use memory::text;
use uuid::Uuid;

fuzz_target!(|answer: &str| {
    let draft = match Draft::read(answer) {
        Ok(draft) => draft,
        Err(error) => {
            // It goes to the log and back to the model: places and fields, no content.
            let said = error.to_string();
            assert!(said.is_ascii() && said.len() < 300, "{said}");
            return;
        }
    };
    let whole = Draft { left_out: Vec::new(), ..draft.clone() };
    let written = serde_json::to_string(&whole).unwrap();
    assert_eq!(Draft::read(&written).as_ref(), Ok(&whole), "{written}");
    for strict in [false, true] {
        let policy = policy(strict);
        keeps_within_limits(&check(&[draft.clone(), whole.clone()], &lines(), &policy, &WordCounter), &policy);
    }
});

fn keeps_within_limits(made: &Extraction, policy: &Policy) {
    let is_line = |line: &str| text::one_line(line) == line && !line.contains('\0');
    assert!(made.gists.len() <= 2_000 && made.actions.len() <= 500 && made.tags.len() <= 100);
    for gist in &made.gists {
        assert!(!gist.text.is_empty() && is_line(&gist.text), "{gist:?}");
        let is_date = |at: &String| at.is_ascii() && (4..=10).contains(&at.len());
        assert!(gist.occurred_at.as_ref().is_none_or(is_date), "{gist:?}");
        assert!(gist.said_at.is_some() && gist.sources.len() <= 2, "{gist:?}");
    }
    let mut slots = HashSet::new();
    for action in &made.actions {
        let name = action.name();
        assert!(slots.insert(name), "a slot is changed twice: {name:?}");
        for part in [&name.topic, &name.sub_topic] {
            assert!((1..=MAX_NAME_CHARS).contains(&part.chars().count()) && is_line(part), "{name:?}");
        }
        assert!(!policy.strict || policy.schema.names(name), "{name:?}");
        if let Action::Set(_, memo, _) = action {
            assert!(!memo.is_empty() && is_line(memo), "{memo:?}");
            assert!(WordCounter.count(memo) <= policy.max_memo_tokens, "{memo:?}");
        }
    }
    for tag in &made.tags {
        let is_short = (1..=MAX_NAME_CHARS).contains(&tag.value.chars().count());
        assert!(tag.tag == "mood" && is_short && is_line(&tag.value), "{tag:?}");
    }
    assert!(is_line(&made.summary), "{:?}", made.summary);
}

fn policy(strict: bool) -> Policy {
    let sub_topics = vec![SubTopic::new("title", None).unwrap()];
    let schema = Schema { topics: vec![Topic::new("work", None, sub_topics).unwrap()] };
    let event_tags = vec![TagSpec { name: "mood".to_owned(), description: String::new() }];
    Policy { schema, strict, validate: strict, event_tags, ..memory::testing::policy() }
}

/// Two messages, the second without a date.
fn lines() -> Vec<Line> {
    let line = |number, said_on| Line {
        number,
        blob_id: BlobId(Uuid::nil()),
        message: number - 1,
        role: Role::User,
        alias: None,
        said_on,
        text: "I am a nurse".to_owned(),
    };
    vec![line(1, Some(date(2024, 5, 1))), line(2, None)]
}
