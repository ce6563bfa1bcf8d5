use super::*;
use crate::blob::Role;
use crate::event::{MAX_HEARD_CHARS, MAX_QUOTE_CHARS};
use crate::extraction::{DraftTag, TagSpec};
use crate::ids::BlobId;
use crate::schema::{Schema, SubTopic, Topic};
use crate::testing::WordCounter;
use uuid::Uuid;

fn policy() -> Policy {
    let sub_topics = vec![SubTopic { name: "job".into(), description: None }];
    Policy {
        schema: Schema { topics: vec![Topic { name: "work".into(), description: None, sub_topics }] },
        validate: true,
        max_memo_tokens: 8,
        event_tags: vec![TagSpec { name: "mood".into(), description: String::new() }],
        ..crate::testing::policy()
    }
}

fn line(number: u32) -> Line {
    let said_on = Some(jiff::civil::date(2023, 5, 8));
    let blob_id = BlobId(Uuid::nil());
    Line { number, blob_id, message: number - 1, role: Role::User, alias: None, said_on, text: "x".into() }
}

fn set(sub_topic: &str, memo: &str) -> DraftAction {
    let (topic, sub_topic) = ("Work".to_owned(), sub_topic.to_owned());
    DraftAction { action: Verb::Set, topic, sub_topic, memo: memo.into(), messages: vec![] }
}

fn gist(text: &str, messages: &[u32], occurred_at: Option<&str>) -> DraftGist {
    DraftGist { text: text.into(), occurred_at: occurred_at.map(Into::into), messages: messages.to_vec() }
}

#[test]
fn the_invalid_is_refused_item_by_item() {
    let draft = Draft {
        gists: vec![gist("- met\nBob", &[1, 1], Some("2023-05")), gist("", &[], None)],
        profile: vec![set("Job", "nurse"), set("job", "doctor"), set("", "x"), set("job", "user has a job")],
        tags: vec![
            DraftTag { tag: "mood".into(), value: "glad".into() },
            DraftTag { tag: "other".into(), value: "x".into() },
        ],
        summary: " a\nday ".into(),
        left_out: vec!["profile[7]".into()],
    };
    let out = check(&[draft], &[line(1)], &policy(), &WordCounter);
    assert_eq!(out.gists.len(), 1);
    assert_eq!((out.gists[0].text.as_str(), out.gists[0].occurred_at.as_deref()), ("met Bob", Some("2023-05")));
    assert_eq!((out.gists[0].said_at.as_deref(), out.gists[0].sources.len()), (Some("2023-05-08"), 1));
    assert_eq!(out.actions, [Action::Set(SlotName::new("work", "job"), "doctor".into(), vec![])]);
    assert_eq!((out.tags.len(), out.summary.as_str()), (1, "a day"));
    let refused: Vec<&str> = out.refused.iter().map(|r| r.item.as_str()).collect();
    assert_eq!(refused, ["profile[7]", "gists[1]", "profile[2]", "profile[3]", "tags[1]"]);
}

/// Postgres has no place for it, and a flush that wrote it would fail for good.
#[test]
fn nul_is_nowhere() {
    let draft = Draft {
        gists: vec![gist("a\0b", &[1], Some("2023\0"))],
        profile: vec![set("job", "nurse\0"), set("jo\0b", "doctor")],
        tags: vec![DraftTag { tag: "mood".into(), value: "glad\0".into() }],
        summary: "a\0day".into(),
        left_out: vec![],
    };
    let out = check(&[draft], &[line(1)], &policy(), &WordCounter);
    assert_eq!((out.gists.len(), out.actions.len(), out.tags.len()), (1, 2, 1));
    assert!(!format!("{out:?}").contains("\\0"), "{out:?}");
    assert_eq!((out.tags[0].value.as_str(), out.summary.as_str()), ("glad\u{FFFD}", "a\u{FFFD}day"));
}

#[test]
fn messages_that_do_not_exist_are_refused_alone() {
    let dated = |number, said_on| Line { said_on, ..line(number) };
    let days = [None, Some(jiff::civil::date(2023, 5, 8)), Some(jiff::civil::date(2023, 5, 9))];
    let lines = [dated(1, days[0]), dated(2, days[1]), dated(3, days[2])];
    let known = DraftAction { messages: vec![9], ..set("job", "nurse") };
    let gists = vec![gist("a", &[9], None), gist("b", &[9, 3, 0], None), gist("c", &[3], None), gist("d", &[], None)];
    let draft = Draft { gists, profile: vec![known], ..Draft::default() };
    let out = check(&[draft], &lines, &policy(), &WordCounter);
    let said: Vec<_> = out.gists.iter().map(|g| (g.text.as_str(), g.said_at.as_deref().unwrap())).collect();
    assert_eq!(said, [("a", "2023-05-08"), ("b", "2023-05-09"), ("c", "2023-05-09"), ("d", "2023-05-08")]);
    let messages: Vec<Vec<u32>> = out.gists.iter().map(|g| g.sources.iter().map(|s| s.message).collect()).collect();
    assert_eq!(messages, [vec![], vec![2], vec![2], vec![]]);
    assert_eq!(out.actions, [Action::Set(SlotName::new("work", "job"), "nurse".into(), vec![])]);
    let refused: Vec<&str> = out.refused.iter().map(|r| r.item.as_str()).collect();
    assert_eq!(refused, ["gists[0].messages", "gists[1].messages", "profile[0].messages"]);
}

#[test]
fn a_source_names_its_message_and_quotes_it() {
    let said = |number, alias: &str, text: &str| Line { alias: Some(alias.into()), text: text.into(), ..line(number) };
    // The second message was cut: its pieces share a number.
    let long = format!("So,\0\n{}", "word ".repeat(30));
    let lines = [said(1, "Ann", " I am\ta nurse "), said(2, "Ben", &long), said(2, "Ben", "the rest")];
    let known = DraftAction { messages: vec![1, 2, 9, 1], ..set("job", "nurse") };
    let draft = Draft { gists: vec![gist("a", &[2, 1, 2], None)], profile: vec![known], ..Draft::default() };
    let out = check(&[draft], &lines, &policy(), &WordCounter);
    let quotes =
        [(0, "Ann", "I am a nurse".to_owned()), (1, "Ben", format!("So,\u{FFFD} {}word…", "word ".repeat(22)))];
    let source = |(message, speaker, quote): &(u32, &str, String)| Source {
        blob_id: BlobId(Uuid::nil()),
        message: *message,
        speaker: Some((*speaker).into()),
        quote: Some(quote.clone()),
        heard: None,
    };
    let newest_first: Vec<Source> = quotes.iter().rev().map(source).collect();
    let named: Vec<Source> = out.gists[0].sources.iter().map(|s| Source { heard: None, ..s.clone() }).collect();
    assert_eq!(named, newest_first, "in the order in which they are named");
    assert_eq!(out.actions, [Action::Set(SlotName::new("work", "job"), "nurse".into(), newest_first)]);
    assert_eq!(quotes[1].2.chars().count(), MAX_QUOTE_CHARS);
}

#[test]
fn the_first_message_of_a_gist_knows_what_it_answers() {
    let said = |number, role, alias: Option<&str>, text: &str| Line {
        role,
        alias: alias.map(str::to_owned),
        text: text.into(),
        ..line(number)
    };
    let (user, bot) = (Role::User, Role::Assistant);
    let long = "x ".repeat(200) + "Do you like\ntea?";
    let lines = [
        said(1, user, None, "hello"),
        // Its pieces share a number.
        said(3, bot, Some("Bot"), "Welcome!"),
        said(3, bot, Some("Bot"), "How are you?"),
        said(4, user, None, "fine"),
        said(5, user, None, "and cold"),
        said(6, bot, None, &long),
        said(7, user, None, "yes"),
        said(8, user, Some("Ann"), "me too"),
    ];
    let gists = [vec![1], vec![4, 7], vec![5], vec![9, 7], vec![8], vec![]];
    let gists = gists.iter().map(|messages| gist("a", messages, None)).collect();
    let known = DraftAction { messages: vec![4], ..set("job", "nurse") };
    let draft = Draft { gists, profile: vec![known], ..Draft::default() };
    let out = check(&[draft], &lines, &policy(), &WordCounter);
    let heard = |gist: &NewGist| gist.sources.iter().map(|source| source.heard.clone()).collect::<Vec<_>>();
    let tea = format!("{}Do you like tea?", "x ".repeat(112));
    assert_eq!(tea.chars().count(), MAX_HEARD_CHARS);
    assert_eq!(
        out.gists.iter().map(heard).collect::<Vec<_>>(),
        [
            vec![None],
            vec![Some("Bot: How are you?".into()), None],
            vec![None],
            vec![Some(tea)],
            vec![Some("yes".into())],
            vec![],
        ]
    );
    let Action::Set(_, _, sources) = &out.actions[0] else { panic!("{:?}", out.actions) };
    assert_eq!(sources[0].heard, None, "a slot is not searched so");
}

#[test]
fn a_memo_comes_from_all_that_was_said_of_its_slot_since_it_was_removed() {
    let said = |sub_topic: &str, memo: &str, messages: &[u32]| DraftAction {
        messages: messages.to_vec(),
        ..set(sub_topic, memo)
    };
    let remove = DraftAction { action: Verb::Remove, ..said("boss", "", &[2]) };
    let drafts = [
        vec![said("job", "nurse", &[2]), said("job", "doctor", &[1]), said("boss", "Ann", &[1])],
        vec![remove, said("Job", "vet", &[3, 2]), said("job", "", &[4]), said("boss", "Ben", &[4])],
    ];
    let drafts = drafts.map(|profile| Draft { profile, ..Draft::default() });
    let out = check(&drafts, &[line(1), line(2), line(3), line(4)], &policy(), &WordCounter);
    let of = |action: &Action| match action {
        Action::Set(_, memo, sources) => (memo.clone(), sources.iter().map(|source| source.message).collect()),
        Action::Remove(_) => panic!("removed"),
    };
    let made: Vec<(String, Vec<u32>)> = out.actions.iter().map(of).collect();
    assert_eq!(made, [("vet".into(), vec![2, 1, 0]), ("Ben".into(), vec![3])]);
}

#[test]
fn a_flush_changes_so_many_slots_and_no_more() {
    let actions = (0..=MAX_ACTIONS).map(|n| set(&format!("s{n}"), "old"));
    let mut profile: Vec<DraftAction> = actions.collect();
    profile.push(set("s0", "new"));
    let out = check(&[Draft { profile, ..Draft::default() }], &[], &policy(), &WordCounter);
    assert_eq!(out.actions.len(), MAX_ACTIONS);
    assert_eq!(out.actions[0], Action::Set(SlotName::new("work", "s0"), "new".into(), vec![]), "no further slot");
    assert_eq!(out.refused, [refusal("profile", MAX_ACTIONS, "too many profile actions")]);
}

#[test]
fn strict_mode_keeps_to_the_schema_and_memos_have_a_limit() {
    let draft = Draft { profile: vec![set("boss", "Ann"), set("job", "a b c d e f g h i")], ..Draft::default() };
    let strict = Policy { strict: true, ..policy() };
    assert_eq!(check(std::slice::from_ref(&draft), &[], &strict, &WordCounter).refused.len(), 2);
    assert_eq!(check(&[draft], &[], &policy(), &WordCounter).refused.len(), 1);
}

#[test]
fn dates_are_iso_or_nothing() {
    for good in ["2023", "2023-05", "2023-05-07", "2023-05-07T10:00:00"] {
        assert!(iso_date(good).is_some(), "{good}");
    }
    for bad in ["", "last week", "2023-13", "2023-5-7", "20230507x", "二〇二三年五月七日"] {
        assert_eq!(iso_date(bad), None, "{bad}");
    }
}
