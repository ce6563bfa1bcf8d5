use proptest::prelude::*;

use super::*;
use crate::profile::SlotName;
use crate::testing::policy;

fn parse(text: &str) -> ProfileConfig {
    ProfileConfig::parse(text).unwrap()
}

fn names(policy: &Policy, topic: &str, sub_topic: &str) -> bool {
    policy.schema.names(&SlotName::new(topic, sub_topic))
}

#[test]
fn nothing_sets_nothing() {
    for text in ["", " \n", "# nothing", "~", "null", "{}", "---\n", "language:\nevent_tags: null\n"] {
        assert_eq!(parse(text), ProfileConfig::default(), "{text:?}");
        assert_eq!(parse(text).over(&policy()), policy());
    }
}

#[test]
fn every_key_is_read() {
    let config = parse(
        "language: zh\nprofile_strict_mode: true\nprofile_validate_mode: False\n\
         event_theme_requirement: |\n  What was\n  learned\n\
         event_tags:\n  - name: emotion\n    description: d\n  - name: place\n\
         additional_user_profiles:\n  - topic: Game State\n    description: of the game\n    sub_topics:\n\
         \x20     - level\n      - name: Gold\n        description: coins\n        update_description: newest\n\
         \x20       validate_value: true\n",
    );
    assert_eq!((config.language, config.profile_strict_mode), (Some(Language::Zh), Some(true)));
    assert_eq!(config.profile_validate_mode, Some(false));
    assert_eq!(config.event_theme_requirement.as_deref(), Some("What was\nlearned\n"));
    let tags: Vec<_> = config.event_tags.iter().flatten().map(|tag| (&*tag.name, &*tag.description)).collect();
    assert_eq!(tags, [("emotion", "d"), ("place", "")]);
    let topic = &config.additional_user_profiles[0];
    assert_eq!((topic.name.as_str(), topic.description.as_deref()), ("game_state", Some("of the game")));
    let subs: Vec<_> = topic.sub_topics.iter().map(|sub| (&*sub.name, sub.description.as_deref())).collect();
    assert_eq!(subs, [("level", None), ("gold", Some("coins"))]);
    assert_eq!((&config.overwrite_user_profiles, config.ignored.len()), (&None, 0));
}

#[test]
fn it_is_laid_over_the_policy() {
    let mut base = policy();
    base.schema = Schema::default();
    base.language = Some(Language::Ja);
    base.strict = true;
    let more = parse("additional_user_profiles: [{topic: pets, sub_topics: [dog]}]").over(&base);
    assert!(names(&more, "pets", "dog") && names(&more, "work", "title"));
    assert_eq!((more.language, more.strict), (Some(Language::Ja), true));
    let only = parse(
        "overwrite_user_profiles: [{topic: pets, sub_topics: [dog]}]\nadditional_user_profiles: [{topic: a, sub_topics: [b]}]\n\
         language: en\nprofile_strict_mode: off\nevent_tags: []",
    );
    base.event_tags = vec![TagSpec { name: "mood".into(), description: String::new() }];
    let only = only.over(&base);
    assert!(names(&only, "pets", "dog") && names(&only, "a", "b") && !names(&only, "work", "title"));
    assert_eq!((only.language, only.strict, only.event_tags.len()), (Some(Language::En), false, 0));
    assert_eq!(parse("language: fr").over(&base).language, Some(Language::Ja));
}

#[test]
fn what_has_no_effect_is_told() {
    assert_eq!(parse("foo: 1\nlanguage: fr\nbar: [{}]").ignored, ["foo", "language", "bar"]);
}

#[test]
fn what_is_wrong_has_a_line_and_a_reason() {
    for (text, line, reason) in [
        ("a: [1,", 1, "not YAML"),
        ("- a\n- b", 1, "must be a map"),
        ("just words", 1, "must be a map"),
        ("\n\nlanguage: [en]", 3, "language must be a text"),
        ("profile_strict_mode: maybe", 1, "must be true or false"),
        ("profile_strict_mode: \"true\"", 1, "must be true or false"),
        ("additional_user_profiles: 5", 1, "must be a list"),
        ("additional_user_profiles:\n  - foo: 1\n", 2, "a topic has no \"foo\""),
        ("additional_user_profiles:\n  - description: x\n", 2, "a topic needs its name"),
        ("additional_user_profiles:\n  - topic: a\n    sub_topics:\n      - nam: 1\n", 4, "no \"nam\""),
        ("additional_user_profiles:\n  - topic: a\n    sub_topics:\n      - description: x\n", 4, "needs its name"),
        ("additional_user_profiles:\n  - topic: a\n    sub_topics:\n      - ~\n", 4, "must be a text"),
        ("overwrite_user_profiles:\n  - topic: ' - '\n", 2, "empty name"),
        ("event_tags:\n  - description: x\n", 2, "needs its name"),
        ("event_tags:\n  - mood\n", 2, "must be a map"),
        ("language: en\nlanguage: zh", 2, "twice"),
        ("a: &x 1\nb: *x", 2, "aliases"),
        ("a: 1\n---\nb: 2", 2, "one document"),
        ("? [a]\n: 1", 1, "a key must be a text"),
        ("? ", 1, "a key must be a text"),
        ("language: en\r\n? \r\n", 2, "a key must be a text"),
    ] {
        let error = ProfileConfig::parse(text).unwrap_err();
        assert!(error.line == Some(line) && error.reason.contains(reason), "{text:?}: {error}");
        assert!(error.to_string().starts_with(&format!("line {line}: ")));
    }
}

#[test]
fn everything_has_a_limit() {
    let too_long = ProfileConfig::parse(&format!("#{}", "é".repeat(MAX_CHARS))).unwrap_err();
    assert!(too_long.line.is_none() && too_long.to_string().contains("too long"), "{too_long}");
    parse(&format!("#{}", "é".repeat(MAX_CHARS - 1)));
    let name = "x".repeat(65);
    for (text, reason) in [
        (format!("a: {}{}", "[".repeat(100), "]".repeat(100)), "too deep"),
        (format!("a: [{}]", "1,".repeat(30_000)), "too much"),
        (format!("event_tags: [{}]", "{name: a},".repeat(101)), "100 items at most"),
        (format!("overwrite_user_profiles: [{}]", "{topic: a},".repeat(201)), "200 items at most"),
        (format!("overwrite_user_profiles: [{{topic: {name}}}]"), "more than 64 characters"),
        (format!("event_theme_requirement: {}", "x".repeat(4_001)), "4000 characters at most"),
    ] {
        let error = ProfileConfig::parse(&text).unwrap_err();
        assert!(error.reason.contains(reason), "{error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[-a-c:\\[\\]{}&*!|>'\"#%@`,?~ \n\t0]{0,60}") {
        let _ = ProfileConfig::parse(&text);
    }

    #[test]
    fn any_unicode_is_read_or_refused(text in "\\PC{0,40}") {
        let _ = ProfileConfig::parse(&format!("language: {text}"));
    }
}
