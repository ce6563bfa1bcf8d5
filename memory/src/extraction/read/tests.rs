use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::extraction::{DraftAction, DraftGist, DraftTag, Verb};

fn one_gist() -> Draft {
    let gist = DraftGist { text: "likes tea".into(), occurred_at: None, messages: vec![1] };
    Draft { gists: vec![gist], ..Draft::default() }
}

const GIST: &str = r#"{"gists":[{"text":"likes tea","messages":[1]}],"profile":[]}"#;
const EXAMPLE: &str = r#"{"gists":[{"text":"an example"}]}"#;

#[test]
fn what_stands_around_an_answer_is_passed_over() {
    let answers = [
        GIST.to_owned(),
        format!("\u{feff}{GIST}"),
        format!("```json\n{GIST}\n```"),
        format!("Sure! Here is what {{I}} found:\n\n{GIST}\n\nI hope {{that}} helps. {{"),
        format!("<think>\nMaybe {EXAMPLE}?\n</think>\n{GIST}"),
        format!("<thinking>What about {{\"gists\": [</thinking>{GIST}"),
        format!("Thinking of {EXAMPLE} </THINK> {GIST}"),
        format!("<think>never closed {GIST}"),
        format!("As in {EXAMPLE}: {GIST} {{\"note\":\"done\"}}"),
        format!("{{\"answer\":{GIST}}}"),
        format!("{{\"a\":{{\"b\":{{}}}},\"answer\":{GIST},\"z\":{{}}}}"),
        format!("[{GIST}]"),
        GIST.replace("[1]", "[1]\n").replace(',', " ,\r\n\t"),
    ];
    for answer in answers {
        assert_eq!(Draft::read(&answer), Ok(one_gist()), "{answer}");
    }
}

#[test]
fn what_is_no_answer_says_why() {
    let echo = json!({"type": "object", "properties": {"gists": {"type": "array"}, "profile": {"type": "array"}}});
    let cases = [
        (String::new(), "there is no JSON object"),
        (" \n".into(), "there is no JSON object"),
        ("null".into(), "there is no JSON object"),
        ("[]".into(), "there is no JSON object"),
        ("I cannot help with that.".into(), "there is no JSON object"),
        (format!("<think>{GIST}</think>"), "there is no JSON object"),
        (format!("<think>{GIST}</think>{{}}"), "neither a list `gists` nor a list `profile`"),
        ("{}".into(), "neither a list `gists` nor a list `profile`"),
        (r#"{"tags":[],"summary":"x"}"#.into(), "neither a list"),
        (echo.to_string(), "neither a list"),
        (format!("{{\"a\":{{\"b\":{GIST}}}}}"), "neither a list"),
        (GIST[..GIST.len() - 1].into(), "the JSON ends before"),
        (GIST[..20].into(), "the JSON ends before"),
        (GIST[..5].into(), "the JSON ends before"),
        (format!("As in {EXAMPLE}:\n{}", &GIST[..30]), "the JSON ends before"),
        (GIST.replace("}]", "},]"), "trailing comma at line 1 column 47"),
        (format!("As in {EXAMPLE}:\n{}", GIST.replace("}]", "},]")), "trailing comma at line 1 column 47"),
        (r#"{"gists":[{"txt":"a"}],"profile":[7]}"#.into(), "the first one, gists[0]: `text` is missing or"),
        (r#"{"profile":[{"action":"keep","topic":"a","sub_topic":"b"}]}"#.into(), "profile[0]: `action` is neither"),
        (r#"{"gists":null,"profile":"x"}"#.into(), "profile[0]: not an object"),
    ];
    for (answer, reason) in cases {
        let error = Draft::read(&answer).expect_err(&answer).to_string();
        assert!(error.contains(reason), "{answer}: {error}");
    }
}

#[test]
fn lists_and_fields_may_be_loose() {
    let empty = Ok(Draft::default());
    assert_eq!(Draft::read(r#"{"gists":null,"profile":null,"tags":null,"summary":null}"#), empty);
    assert_eq!(Draft::read(r#"{"profile":[],"tags":"","gists":""}"#), empty);

    let gists = |value: Value| Draft::read(&json!({"gists": value, "profile": []}).to_string()).unwrap();
    assert_eq!(gists(json!({"text": "a"})).gists[0].text, "a", "one instead of a list");
    assert_eq!(gists(json!(["a"])).gists[0].text, "a");
    assert_eq!(gists(json!([{"text": null, "occurred_at": 2023}])).gists[0].occurred_at.as_deref(), Some("2023"));
    let messages = [
        (json!(3), vec![3]),
        (json!("3"), vec![3]),
        (json!("[3]"), vec![3]),
        (json!("[3, 4]"), vec![3, 4]),
        (json!(["[3]", 4, "5", 6.0, null]), vec![3, 4, 5, 6]),
        (json!(null), vec![]),
    ];
    for (value, numbers) in messages {
        let draft = gists(json!([{"text": "a", "messages": value}]));
        assert_eq!((&draft.gists[0].messages, draft.left_out.len()), (&numbers, 0), "{value}");
    }
    let tags = Draft::read(r#"{"gists":[],"tags":{"tag":"mood","value":3},"summary":["a","b"]}"#).unwrap();
    assert_eq!((tags.tags[0].value.as_str(), tags.summary.as_str()), ("3", "a; b"));
}

#[test]
fn actions_have_other_names() {
    let read = |action: Value, memo: Value| {
        let item = json!({"action": action, "topic": "a", "sub_topic": "b", "memo": memo});
        Draft::read(&json!({"profile": [item]}).to_string()).map(|draft| {
            let action = &draft.profile[0];
            (action.action, action.memo.clone())
        })
    };
    for word in ["set", "SET", " Set ", "add", "Update", "APPEND"] {
        assert_eq!(read(json!(word), json!("x")), Ok((Verb::Set, "x".into())), "{word}");
    }
    for word in ["remove", "Delete"] {
        assert_eq!(read(json!(word), Value::Null), Ok((Verb::Remove, String::new())), "{word}");
    }
    assert_eq!(read(Value::Null, json!("x")), Ok((Verb::Set, "x".into())));
    assert!(read(json!("keep"), json!("x")).is_err() && read(json!(1), json!("x")).is_err());
    let memos = [
        (json!(2), "2"),
        (json!(true), "yes"),
        (json!(["tea", "", "jazz", 3]), "tea; jazz; 3"),
        (json!([]), ""),
        (Value::Null, ""),
    ];
    for (memo, text) in memos {
        assert_eq!(read(json!("set"), memo), Ok((Verb::Set, text.into())));
    }
    let bare = Draft::read(r#"{"profile":[{"action":"remove","topic":"a","subtopic":"b"}]}"#).unwrap();
    assert_eq!(bare.profile[0].sub_topic, "b");
}

#[test]
fn what_cannot_be_read_is_left_out_and_named() {
    let draft = Draft::read(
        &json!({
            "gists": [{"text": "a", "messages": ["x", 2, -1]}, 7, {"text": {}}, {"text": "b", "occurred_at": []}],
            "profile": [
                {"action": "set", "topic": "a", "sub_topic": "b", "memo": {"x": 1}},
                {"action": "set", "topic": "a", "memo": "x"},
                {"action": "set", "topic": "a", "sub_topic": "c", "memo": "x", "messages": {}},
            ],
            "tags": ["x"],
            "summary": {},
        })
        .to_string(),
    )
    .unwrap();
    assert_eq!(draft.gists.iter().map(|g| g.text.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(draft.gists[0].messages, [2]);
    assert_eq!(draft.profile.iter().map(|a| a.sub_topic.as_str()).collect::<Vec<_>>(), ["c"]);
    let named = "gists[0].messages gists[1] gists[2] gists[3].occurred_at profile[0] profile[1] profile[2].messages \
                 tags[0] summary";
    assert_eq!(draft.left_out.join(" "), named);
}

/// A search that tried each beginning to its end would not come back from these.
#[test]
fn hostile_texts_come_back() {
    let many = |text: &str| text.repeat((1 << 17) / text.len());
    for text in ["{", "[", "<", "{\"a\":", "{\"a\":[", "{\"gists\":[", "{\"a\":{},", "</think>", "{\"a\":1}"] {
        assert!(Draft::read(&many(text)).is_err(), "{text}");
    }
    assert_eq!(Draft::read(&format!("{}{GIST}", many("{ "))), Ok(one_gist()));
}

fn drafts() -> impl Strategy<Value = Draft> {
    let messages = || prop::collection::vec(any::<u32>(), 0..3);
    let verb = prop_oneof![Just(Verb::Set), Just(Verb::Remove)];
    // Text that looks like what stands around an answer.
    let text = || prop_oneof![any::<String>(), "(</think>|<think>|\\{|\\}|\"gists\"|\\[|```|\"|a){0,9}"];
    let gist = (text(), prop::option::of(text()), messages()).prop_map(|(text, occurred_at, messages)| DraftGist {
        text,
        occurred_at,
        messages,
    });
    let action = (verb, text(), text(), text(), messages()).prop_map(|(action, topic, sub_topic, memo, messages)| {
        DraftAction { action, topic, sub_topic, memo, messages }
    });
    let tag = (text(), text()).prop_map(|(tag, value)| DraftTag { tag, value });
    let list = |item| prop::collection::vec(item, 0..3);
    (list(gist.boxed()), prop::collection::vec(action, 0..3), prop::collection::vec(tag, 0..3), text())
        .prop_map(|(gists, profile, tags, summary)| Draft { gists, profile, tags, summary, left_out: vec![] })
}

proptest! {
    #[test]
    fn any_draft_reads_back_wrapped_in_anything(draft in drafts(), before in 0..6_usize, after in 0..5_usize) {
        let before = ["", "\u{feff}", "Here: ", "```json\n", "<think>so {x} {\"gists\":[]}</think>\n", "{\"a\":1} "][before];
        let after = ["", "\n```", "\nDone {", " {\"b\":[]}", "</s>"][after];
        let json = serde_json::to_string(&draft).unwrap();
        prop_assert_eq!(Draft::read(&format!("{before}{json}{after}")), Ok(draft.clone()));
        let pretty = serde_json::to_string_pretty(&draft).unwrap();
        prop_assert_eq!(Draft::read(&format!("{before}{{\"draft\":{pretty}}}{after}")), Ok(draft));
    }

    #[test]
    fn no_text_is_too_odd(text in any::<String>(), json in "([{}\\[\\]\":,a1é]|\"gists\":|\"profile\":|null|\"text\"){0,60}") {
        let _ = Draft::read(&text);
        let _ = Draft::read(&json);
    }

    #[test]
    fn a_cut_answer_is_no_answer(draft in drafts(), cut in 0.0..1.0_f64) {
        let json = serde_json::to_string(&draft).unwrap();
        let end = json.floor_char_boundary((json.len() as f64 * cut) as usize);
        prop_assert!(Draft::read(&json[..end]).is_err());
    }
}
