//! The profile configuration of a project: how its memory is to be made, as far as that differs from the server's way.

mod yaml;

use crate::extraction::{Language, Policy, TagSpec};
use crate::schema::{Schema, SubTopic, Topic};

use yaml::Node;

/// Characters of a configuration at most.
pub const MAX_CHARS: usize = 65_535;
/// Topics of a list, and sub-topics of a topic, at most.
const MAX_TOPICS: usize = 200;
/// Event tags at most.
const MAX_TAGS: usize = 100;
/// Characters of a description or of the event theme at most.
const MAX_TEXT_CHARS: usize = 4_000;
/// Characters of a name at most, before it is brought into its normal form.
const MAX_NAME_CHARS: usize = 200;

/// Why a configuration cannot be used, in words for its author.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}{reason}", .line.map_or_else(String::new, |line| format!("line {line}: ")))]
pub struct ProfileConfigError {
    /// Where, counted from 1; none when all of it is meant.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl ProfileConfigError {
    fn at(line: usize, reason: impl Into<String>) -> Self {
        Self { line: Some(line), reason: reason.into() }
    }
}

/// A profile configuration. What it does not set stays as the server has it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProfileConfig {
    /// The language of memory.
    pub language: Option<Language>,
    /// Topics in place of the server's.
    pub overwrite_user_profiles: Option<Vec<Topic>>,
    /// Topics besides those.
    pub additional_user_profiles: Vec<Topic>,
    /// Refuse slots outside the topics.
    pub profile_strict_mode: Option<bool>,
    /// Refuse memos that say nothing.
    pub profile_validate_mode: Option<bool>,
    /// Labels that events may bear.
    pub event_tags: Option<Vec<TagSpec>>,
    /// What events should be about.
    pub event_theme_requirement: Option<String>,
    /// What was there and has no effect: unknown keys, and a language that there are no prompts in.
    pub ignored: Vec<String>,
}

impl ProfileConfig {
    /// Reads a configuration. An empty one sets nothing.
    ///
    /// # Errors
    /// See [`ProfileConfigError`].
    pub fn parse(text: &str) -> Result<Self, ProfileConfigError> {
        if text.chars().nth(MAX_CHARS).is_some() {
            let reason = format!("it is too long: {MAX_CHARS} characters are the limit");
            return Err(ProfileConfigError { line: None, reason });
        }
        let mut config = Self::default();
        let Some(root) = yaml::read(text)?.filter(|root| !root.is_null()) else { return Ok(config) };
        for (key, value) in root.map("a profile configuration")? {
            if value.is_null() {
                continue;
            }
            match key {
                "language" => {
                    let name = value.text(key, MAX_NAME_CHARS)?;
                    config.language = language(name);
                    if config.language.is_none() {
                        config.ignored.push(key.to_owned());
                    }
                }
                "overwrite_user_profiles" => {
                    config.overwrite_user_profiles = Some(topics(key, value)?).filter(|topics| !topics.is_empty());
                }
                "additional_user_profiles" => config.additional_user_profiles = topics(key, value)?,
                "profile_strict_mode" => config.profile_strict_mode = Some(value.flag(key)?),
                "profile_validate_mode" => config.profile_validate_mode = Some(value.flag(key)?),
                "event_tags" => config.event_tags = Some(tags(key, value)?),
                "event_theme_requirement" => {
                    config.event_theme_requirement = Some(value.text(key, MAX_TEXT_CHARS)?.to_owned());
                }
                _ => config.ignored.push(key.to_owned()),
            }
        }
        Ok(config)
    }

    /// The server's policy with this laid over it.
    pub fn over(&self, base: &Policy) -> Policy {
        let mut policy = base.clone();
        if let Some(topics) = &self.overwrite_user_profiles {
            policy.schema = Schema { topics: Vec::new() };
            policy.schema.extend(topics);
        }
        policy.schema.extend(&self.additional_user_profiles);
        policy.language = self.language.or(policy.language);
        policy.strict = self.profile_strict_mode.unwrap_or(policy.strict);
        policy.validate = self.profile_validate_mode.unwrap_or(policy.validate);
        if let Some(tags) = &self.event_tags {
            policy.event_tags.clone_from(tags);
        }
        if let Some(theme) = &self.event_theme_requirement {
            policy.event_theme = Some(theme.clone());
        }
        policy
    }
}

fn language(name: &str) -> Option<Language> {
    match name {
        "en" => Some(Language::En),
        "zh" => Some(Language::Zh),
        "ja" => Some(Language::Ja),
        _ => None,
    }
}

fn topics(key: &str, value: &Node) -> Result<Vec<Topic>, ProfileConfigError> {
    value.list(key, MAX_TOPICS)?.iter().map(topic).collect()
}

fn topic(node: &Node) -> Result<Topic, ProfileConfigError> {
    let (mut name, mut description, mut sub_topics) = (None, None, Vec::new());
    for (key, value) in node.map("a topic")? {
        match key {
            "topic" => name = Some((value, value.text(key, MAX_NAME_CHARS)?)),
            _ if value.is_null() && ["description", "sub_topics"].contains(&key) => {}
            "description" => description = Some(value.text(key, MAX_TEXT_CHARS)?.to_owned()),
            "sub_topics" => {
                sub_topics = value.list(key, MAX_TOPICS)?.iter().map(sub_topic).collect::<Result<_, _>>()?;
            }
            _ => return value.wrong(format!("a topic has no {key:?}: it has topic, description and sub_topics")),
        }
    }
    let Some((at, name)) = name else { return node.wrong("a topic needs its name, as topic: …") };
    Topic::new(name, description, sub_topics).or_else(|error| at.wrong(error.to_string()))
}

/// A sub-topic is a name alone, or a map.
fn sub_topic(node: &Node) -> Result<SubTopic, ProfileConfigError> {
    if let yaml::Value::Scalar { .. } = node.value {
        let name = node.text("a sub-topic", MAX_NAME_CHARS)?;
        return SubTopic::new(name, None).or_else(|error| node.wrong(error.to_string()));
    }
    let (mut name, mut description) = (None, None);
    for (key, value) in node.map("a sub-topic")? {
        match key {
            "name" => name = Some((value, value.text(key, MAX_NAME_CHARS)?)),
            _ if value.is_null() => {}
            "description" => description = Some(value.text(key, MAX_TEXT_CHARS)?.to_owned()),
            // Known to configurations of Memobase, and without effect here.
            "update_description" => drop(value.text(key, MAX_TEXT_CHARS)?),
            "validate_value" => drop(value.flag(key)?),
            _ => return value.wrong(format!("a sub-topic has no {key:?}: it has name and description")),
        }
    }
    let Some((at, name)) = name else { return node.wrong("a sub-topic needs its name, as name: …") };
    SubTopic::new(name, description).or_else(|error| at.wrong(error.to_string()))
}

fn tags(key: &str, value: &Node) -> Result<Vec<TagSpec>, ProfileConfigError> {
    value.list(key, MAX_TAGS)?.iter().map(tag).collect()
}

fn tag(node: &Node) -> Result<TagSpec, ProfileConfigError> {
    let (mut name, mut description) = (None, String::new());
    for (key, value) in node.map("an event tag")? {
        match key {
            "name" => name = Some(value.text(key, MAX_NAME_CHARS)?.trim()),
            "description" if value.is_null() => {}
            "description" => value.text(key, MAX_TEXT_CHARS)?.clone_into(&mut description),
            _ => return value.wrong(format!("an event tag has no {key:?}: it has name and description")),
        }
    }
    match name.filter(|name| !name.is_empty()) {
        Some(name) => Ok(TagSpec { name: name.to_owned(), description }),
        None => node.wrong("an event tag needs its name, as name: …"),
    }
}

#[cfg(test)]
mod tests;
