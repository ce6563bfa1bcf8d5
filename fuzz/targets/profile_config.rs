//! The profile configuration of a project.
#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::fuzz_target;
use memory::extraction::{Language, TagSpec};
use memory::profile::SlotName;
use memory::profile_config::{MAX_CHARS, ProfileConfig, ProfileConfigError};
use memory::schema::{MAX_NAME_CHARS, Topic};
use memory::testing::policy;

fuzz_target!(|text: &str| match ProfileConfig::parse(text) {
    Ok(config) => {
        keeps_within_limits(&config);
        let once = config.over(&policy());
        assert_eq!(config.over(&once), once, "laid over twice, it is another one");
        reads_back(config);
    }
    Err(error) => points_at_something(text, &error),
});

fn points_at_something(text: &str, error: &ProfileConfigError) {
    let lines = text.replace("\r\n", "\n").split_terminator(['\n', '\r']).count().max(1);
    assert!(error.line.is_none_or(|line| (1..=lines).contains(&line)), "{lines} lines: {error}");
    // Names may be repeated, and each of their characters be written as an escape.
    assert!(!error.reason.is_empty() && error.reason.len() < 3_000, "{error}");
}

fn keeps_within_limits(config: &ProfileConfig) {
    let of_server = config.overwrite_user_profiles.as_deref().unwrap_or_default();
    let is_name = |name: &str| (1..=MAX_NAME_CHARS).contains(&name.chars().count());
    let is_text = |text: &Option<String>| text.as_ref().is_none_or(|text| text.chars().count() <= 4_000);
    for topics in [of_server, &config.additional_user_profiles] {
        assert!(topics.len() <= 200);
        for topic in topics {
            assert!(is_name(&topic.name) && is_text(&topic.description) && topic.sub_topics.len() <= 200, "{topic:?}");
            assert!(topic.sub_topics.iter().all(|s| is_name(&s.name) && is_text(&s.description)), "{topic:?}");
        }
        let policy = config.over(&policy());
        let mut slots = topics.iter().flat_map(|t| t.sub_topics.iter().map(|s| SlotName::new(&t.name, &s.name)));
        assert!(slots.all(|slot| policy.schema.names(&slot)), "a slot that was asked for is unknown");
    }
    let tags = config.event_tags.as_deref().unwrap_or_default();
    assert!(tags.len() <= 100);
    let is_tag = |tag: &TagSpec| !tag.name.is_empty() && tag.name.chars().count() <= 200 && tag.name.trim() == tag.name;
    assert!(tags.iter().all(|tag| is_tag(tag) && tag.description.chars().count() <= 4_000), "{tags:?}");
    assert!(is_text(&config.event_theme_requirement));
}

/// What was read, written as YAML with all in quotes, reads as the same.
fn reads_back(mut config: ProfileConfig) {
    config.ignored.clear();
    let written = written(&config);
    if written.chars().count() <= MAX_CHARS {
        assert_eq!(ProfileConfig::parse(&written).as_ref(), Ok(&config), "{written}");
    }
}

fn written(config: &ProfileConfig) -> String {
    let mut out = String::from("{");
    if let Some(language) = config.language {
        let name = match language {
            Language::En => "en",
            Language::Zh => "zh",
            Language::Ja => "ja",
        };
        let _ = write!(out, "language: {name}, ");
    }
    if let Some(topics) = &config.overwrite_user_profiles {
        let _ = write!(out, "overwrite_user_profiles: [{}], ", topics_of(topics));
    }
    let _ = write!(out, "additional_user_profiles: [{}], ", topics_of(&config.additional_user_profiles));
    for (key, flag) in
        [("profile_strict_mode", config.profile_strict_mode), ("profile_validate_mode", config.profile_validate_mode)]
    {
        if let Some(flag) = flag {
            let _ = write!(out, "{key}: {flag}, ");
        }
    }
    if let Some(tags) = &config.event_tags {
        let tag =
            |tag: &TagSpec| format!("{{name: {}, description: {}}}, ", quoted(&tag.name), quoted(&tag.description));
        let _ = write!(out, "event_tags: [{}], ", tags.iter().map(tag).collect::<String>());
    }
    if let Some(theme) = &config.event_theme_requirement {
        let _ = write!(out, "event_theme_requirement: {}, ", quoted(theme));
    }
    out + "}"
}

fn topics_of(topics: &[Topic]) -> String {
    let mut out = String::new();
    for topic in topics {
        let _ = write!(out, "{{topic: {}, ", quoted(&topic.name));
        if let Some(description) = &topic.description {
            let _ = write!(out, "description: {}, ", quoted(description));
        }
        out.push_str("sub_topics: [");
        for sub in &topic.sub_topics {
            let _ = match &sub.description {
                None => write!(out, "{}, ", quoted(&sub.name)),
                Some(text) => write!(out, "{{name: {}, description: {}}}, ", quoted(&sub.name), quoted(text)),
            };
        }
        out.push_str("]}, ");
    }
    out
}

/// A text in double quotes, with escapes for all but plain characters.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out + "\""
}
