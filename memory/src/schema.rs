//! The profile schema: which slots are worth looking for.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::profile::SlotName;

mod builtin;

/// Characters of a name at most; extractions refuse longer ones.
pub const MAX_NAME_CHARS: usize = 64;

/// A sub-topic to look for.
///
/// In a configuration it is a name alone, or a map of `name` and `description`. A map may also hold
/// `update_description` and `validate_value`, which the configurations of Memobase know; they are not used yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubTopic {
    /// Its name, in normal form.
    pub name: String,
    /// What belongs there.
    pub description: Option<String>,
}

/// A topic to look for.
///
/// In a configuration it is a map of `topic` (the name), `description` and `sub_topics`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "TopicShape")]
pub struct Topic {
    /// Its name, in normal form.
    pub name: String,
    /// What belongs there.
    pub description: Option<String>,
    /// Its sub-topics.
    pub sub_topics: Vec<SubTopic>,
}

/// The topics to look for, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schema {
    /// The topics.
    pub topics: Vec<Topic>,
}

/// Why a name cannot name a topic or a sub-topic.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// Nothing is left of it in normal form.
    #[error("a topic or sub-topic has an empty name")]
    Empty,
    /// It is too long.
    #[error("a topic or sub-topic has a name of more than {MAX_NAME_CHARS} characters: {0:?}")]
    TooLong(String),
}

impl Schema {
    /// The built-in topics, or those of `overwrite` when there are any, and then those of `additional`.
    ///
    /// A topic that is there already gains the sub-topics that it lacks; a description that is given replaces the
    /// one that was there.
    pub fn with(additional: &[Topic], overwrite: &[Topic]) -> Self {
        let mut schema = if overwrite.is_empty() { Self::default() } else { Self { topics: Vec::new() } };
        schema.extend(overwrite);
        schema.extend(additional);
        schema
    }

    /// Adds topics, as [`Schema::with`] does.
    pub fn extend(&mut self, topics: &[Topic]) {
        topics.iter().for_each(|topic| self.add(topic));
    }

    /// True when the schema names this slot.
    pub fn names(&self, slot: &SlotName) -> bool {
        self.sub_topic(slot).is_some()
    }

    /// What belongs in this slot, when the schema says it.
    pub fn description(&self, slot: &SlotName) -> Option<&str> {
        self.sub_topic(slot)?.description.as_deref()
    }

    fn sub_topic(&self, slot: &SlotName) -> Option<&SubTopic> {
        let of_topic = self.topics.iter().filter(|t| t.name == slot.topic);
        of_topic.flat_map(|t| &t.sub_topics).find(|s| s.name == slot.sub_topic)
    }

    fn add(&mut self, topic: &Topic) {
        let at = self.topics.iter().position(|t| t.name == topic.name).unwrap_or_else(|| {
            self.topics.push(Topic { name: topic.name.clone(), description: None, sub_topics: Vec::new() });
            self.topics.len() - 1
        });
        let known = &mut self.topics[at];
        replace(&mut known.description, topic.description.as_ref());
        for sub_topic in &topic.sub_topics {
            match known.sub_topics.iter_mut().find(|s| s.name == sub_topic.name) {
                Some(known) => replace(&mut known.description, sub_topic.description.as_ref()),
                None => known.sub_topics.push(sub_topic.clone()),
            }
        }
    }
}

fn replace(old: &mut Option<String>, new: Option<&String>) {
    if let Some(new) = new {
        *old = Some(new.clone());
    }
}

impl SubTopic {
    /// A sub-topic, its name brought into normal form.
    ///
    /// # Errors
    /// When the name is empty or longer than 64 characters.
    pub fn new(name: &str, description: Option<String>) -> Result<Self, NameError> {
        Ok(Self { name: checked(name)?, description })
    }
}

impl Topic {
    /// A topic, its name brought into normal form.
    ///
    /// # Errors
    /// When the name is empty or longer than 64 characters.
    pub fn new(name: &str, description: Option<String>, sub_topics: Vec<SubTopic>) -> Result<Self, NameError> {
        Ok(Self { name: checked(name)?, description, sub_topics })
    }
}

fn checked(name: &str) -> Result<String, NameError> {
    let name = SlotName::new(name, "").topic;
    match name.chars().count() {
        0 => Err(NameError::Empty),
        n if n > MAX_NAME_CHARS => Err(NameError::TooLong(name)),
        _ => Ok(name),
    }
}

/// A topic as configurations write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TopicShape {
    topic: String,
    description: Option<String>,
    #[serde(default)]
    sub_topics: Vec<SubTopic>,
}

impl TryFrom<TopicShape> for Topic {
    type Error = NameError;

    fn try_from(shape: TopicShape) -> Result<Self, NameError> {
        Self::new(&shape.topic, shape.description, shape.sub_topics)
    }
}

/// A sub-topic as configurations write it, when it is a map.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubTopicShape {
    name: String,
    description: Option<String>,
    #[serde(rename = "update_description")]
    _update_description: Option<String>,
    #[serde(rename = "validate_value")]
    _validate_value: Option<bool>,
}

impl<'de> Deserialize<'de> for SubTopic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        // By way of a value, since the message of an untagged enum would not say what is wrong.
        let sub_topic = match Value::deserialize(deserializer)? {
            Value::String(name) => Self::new(&name, None),
            value => {
                let shape: SubTopicShape = serde_json::from_value(value).map_err(D::Error::custom)?;
                Self::new(&shape.name, shape.description)
            }
        };
        sub_topic.map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn topics(value: Value) -> Vec<Topic> {
        serde_json::from_value(value).unwrap()
    }

    fn has(schema: &Schema, topic: &str, sub_topic: &str) -> bool {
        schema.names(&SlotName::new(topic, sub_topic))
    }

    #[test]
    fn built_in_topics_are_in_normal_form_and_said_once() {
        let schema = Schema::default();
        let mut seen = std::collections::BTreeSet::new();
        for topic in &schema.topics {
            assert!(topic.description.is_some() && !topic.sub_topics.is_empty(), "{topic:?}");
            for sub_topic in &topic.sub_topics {
                let name = SlotName::new(&topic.name, &sub_topic.name);
                assert_eq!((&name.topic, &name.sub_topic), (&topic.name, &sub_topic.name));
                assert!(sub_topic.description.is_some() && seen.insert(name), "{topic:?}");
            }
        }
        let reference = "basic_info contact_info education demographics work interest psychological life_event";
        for name in reference.split(' ') {
            assert!(schema.topics.iter().any(|t| t.name == name), "{name}");
        }
    }

    #[test]
    fn slots_of_the_extraction_rules_are_built_in() {
        let slots = [
            ("basic_info", "name age birth_date birthplace origin location nationality gender language_spoken"),
            ("contact_info", "email phone"),
            ("education", "school major degree"),
            ("demographics", "marital_status number_of_children"),
            ("work", "title company industry location"),
            ("interest", "likes dislikes foods movies books music sports games"),
            ("psychological", "goals"),
            ("life_event", "marriage retirement plans"),
            ("health", "allergies diet"),
            ("family", "pets wife husband partner son daughter children brother sister siblings mother father"),
            ("family", "grandmother grandfather"),
        ];
        for (topic, sub_topics) in slots {
            let missing = sub_topics.split(' ').find(|s| !has(&Schema::default(), topic, s));
            assert_eq!(missing, None, "{topic}");
        }
    }

    #[test]
    fn additional_topics_merge_by_normal_name() {
        let more = topics(json!([
            {"topic": "Work", "sub_topics": ["Union-Member", {"name": "title", "description": "In full"}]},
            {"topic": "Game state", "description": "Of the game", "sub_topics": ["level"]},
        ]));
        let schema = Schema::with(&more, &[]);
        assert!(has(&schema, "work", "company") && has(&schema, "work", "union_member"));
        assert_eq!(schema.topics.last().unwrap().name, "game_state");
        let work = schema.topics.iter().find(|t| t.name == "work").unwrap();
        let default = Schema::default();
        let plain = default.topics.iter().find(|t| t.name == "work").unwrap();
        assert_eq!(work.description, plain.description);
        assert_eq!(work.sub_topics.len(), plain.sub_topics.len() + 1);
        let title = work.sub_topics.iter().find(|s| s.name == "title").unwrap();
        assert_eq!(title.description.as_deref(), Some("In full"));
    }

    #[test]
    fn overwriting_leaves_nothing_built_in() {
        let only = topics(json!([{"topic": "pets", "sub_topics": ["dog"]}, {"topic": "Pets", "sub_topics": ["cat"]}]));
        let schema = Schema::with(&topics(json!([{"topic": "plans", "sub_topics": ["trip"]}])), &only);
        let names: Vec<&str> = schema.topics.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["pets", "plans"]);
        assert!(has(&schema, "pets", "dog") && has(&schema, "pets", "cat") && !has(&schema, "basic_info", "name"));
    }

    #[test]
    fn bad_topics_say_what_is_wrong() {
        let error = |value: Value| serde_json::from_value::<Topic>(value).unwrap_err().to_string();
        assert!(error(json!({"topic": " - "})).contains("empty name"));
        assert!(error(json!({"topic": "x".repeat(65)})).contains("more than 64"));
        assert!(error(json!({"topic": "a", "sub_topics": [{"nam": "b"}]})).contains("unknown field `nam`"));
        assert!(error(json!({"topic": "a", "sub_topic": []})).contains("unknown field `sub_topic`"));
        let reference = json!({"name": "b", "description": "d", "update_description": "u", "validate_value": true});
        assert_eq!(topics(json!([{"topic": "a", "sub_topics": [reference]}]))[0].sub_topics[0].name, "b");
    }
}
