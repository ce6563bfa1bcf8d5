use std::fmt::Write as _;

use jiff::civil::Date;
use memory::extraction::{Draft, Language, Line, Policy, Request, plain_line};
use memory::profile::{Slot, SlotName};
use memory::schema::MAX_NAME_CHARS;
use memory::text::one_line;
use minijinja::{Environment, Value, context};
use sha2::{Digest as _, Sha256};

use super::schema;

/// Dates that are given their weekday at most: models reckon "last Friday" from it, and a chat has few days.
const MAX_DAYS: usize = 14;
/// Slots that are named without their memos at most: more would fill the prompt.
const MAX_NAMED: usize = 200;
/// Characters of a memo that advice is asked with at most. Memos of an extraction are shorter; clients may write more.
const MAX_NOTE_CHARS: usize = 500;
/// Characters of all memos together that advice is asked with at most: about 10,000 tokens.
const MAX_NOTES_CHARS: usize = 40_000;
/// Characters of the digest in a version: enough to tell a few hundred prompts apart.
const VERSION_CHARS: usize = 8;

/// The templates of one language.
struct Templates {
    /// Its folder in `prompts/`, and its name in a version.
    code: &'static str,
    /// What it calls itself.
    name: &'static str,
    /// Monday to Sunday.
    weekdays: &'static str,
    /// What goes into the version of an extraction: instructions, batch, repair.
    extraction: [(&'static str, &'static str); 3],
    /// What reads ask for.
    advice: [(&'static str, &'static str); 4],
}

/// The templates in the folder of a language, compiled in.
macro_rules! templates {
    ($code:literal, $name:literal, $weekdays:expr) => {
        Templates {
            code: $code,
            name: $name,
            weekdays: $weekdays,
            extraction: [template!($code, "extract"), template!($code, "batch"), template!($code, "repair")],
            advice: [
                template!($code, "notes"),
                template!($code, "relevant_slots"),
                template!($code, "next_topic"),
                template!($code, "topic_section"),
            ],
        }
    };
}

macro_rules! template {
    ($code:literal, $name:literal) => {
        (concat!($code, "/", $name), include_str!(concat!("../../prompts/", $code, "/", $name, ".jinja")))
    };
}

/// In the order of [`Language`].
const TEMPLATES: [Templates; 3] = [
    templates!("en", "English", "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
    templates!("zh", "中文", "星期一 星期二 星期三 星期四 星期五 星期六 星期日"),
    templates!("ja", "日本語", "月曜日 火曜日 水曜日 木曜日 金曜日 土曜日 日曜日"),
];

impl Templates {
    fn of(language: Language) -> &'static Self {
        &TEMPLATES[language as usize]
    }
}

/// The system message and the first user message of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rendered {
    pub(super) system: String,
    /// What is asked about.
    pub(super) user: String,
}

/// The prompts, in the languages of `prompts/`.
pub struct Prompts {
    environment: Environment<'static>,
    versions: [String; 3],
    examples: [Draft; 3],
}

impl Prompts {
    /// Compiles the templates.
    ///
    /// # Errors
    /// When one of them is broken: a defect of the build.
    pub fn new() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        for language in &TEMPLATES {
            for (name, text) in language.extraction.iter().chain(&language.advice) {
                environment.add_template(name, text)?;
            }
        }
        let example = |templates: &Templates| Draft::read(templates.extraction[0].1).unwrap_or_default();
        let (versions, examples) = (TEMPLATES.each_ref().map(version), TEMPLATES.each_ref().map(example));
        Ok(Self { environment, versions, examples })
    }

    /// The answer that the instructions show as an example. What a model copies of it is no memory.
    pub(super) fn example(&self, language: Language) -> &Draft {
        &self.examples[language as usize]
    }

    /// Which prompt asks for an extraction: the language, and a digest of its templates and the schema of the answer. It
    /// changes whenever they do.
    pub fn version(&self, language: Language) -> &str {
        &self.versions[language as usize]
    }

    /// How to extract what is worth remembering: the system message. The same from call to call, as long as the policy
    /// is: providers cache it.
    ///
    /// # Errors
    /// When a template is broken.
    pub fn instructions(&self, language: Language, policy: &Policy) -> Result<String, minijinja::Error> {
        let topic = |topic: &memory::schema::Topic| {
            let names: Vec<&str> = topic.sub_topics.iter().map(|s| s.name.as_str()).collect();
            context! { name => &topic.name, sub_topics => names.join(", ") }
        };
        let tag = |tag: &memory::extraction::TagSpec| context! { name => &tag.name, description => &tag.description };
        self.render(
            Templates::of(language),
            "extract",
            context! {
                introduction => &policy.introduction,
                strict => policy.strict,
                topics => policy.schema.topics.iter().map(topic).collect::<Vec<_>>(),
                tags => policy.event_tags.iter().map(tag).collect::<Vec<_>>(),
                event_theme => &policy.event_theme,
                language => policy.language.map(|language| Templates::of(language).name),
            },
        )
    }

    /// The batch to extract from, and what is known: the user message.
    ///
    /// # Errors
    /// When a template is broken.
    pub fn batch(&self, request: &Request) -> Result<String, minijinja::Error> {
        let templates = Templates::of(request.language());
        let speakers = request.speakers();
        self.render(
            templates,
            "batch",
            context! {
                user_names => speakers.user.join(", "),
                other_names => speakers.others.join(", "),
                days => days(&request.lines, templates),
                slots => slots(&request.profile),
                named => named(&request.named),
                lines => request.chat_lines(),
            },
        )
    }

    /// Asks for a better answer than one that cannot be used.
    ///
    /// # Errors
    /// When a template is broken.
    pub(super) fn repair(&self, language: Language, problem: &str, cut_off: bool) -> Result<String, minijinja::Error> {
        self.render(Templates::of(language), "repair", context! { problem, cut_off })
    }

    /// Asks which of the slots bear on a chat, whose lines are numbered.
    ///
    /// # Errors
    /// When a template is broken.
    pub(super) fn relevant_slots(
        &self,
        language: Language,
        profile: &[Slot],
        lines: &[String],
    ) -> Result<Rendered, minijinja::Error> {
        let templates = Templates::of(language);
        let system = self.render(templates, "relevant_slots", context! {})?;
        Ok(Rendered { system, user: self.notes(templates, profile, lines)? })
    }

    /// Asks what a role-play should do next.
    ///
    /// # Errors
    /// When a template is broken.
    pub(super) fn next_topic(
        &self,
        language: Language,
        character: Option<&str>,
        profile: &[Slot],
        lines: &[String],
    ) -> Result<Rendered, minijinja::Error> {
        let templates = Templates::of(language);
        // Line by line, since end users write characters too.
        let lines_of = |text: &str| text.lines().map(plain_line).collect::<Vec<_>>().join("\n");
        let character = character.map(lines_of);
        let system = self.render(templates, "next_topic", context! { character })?;
        Ok(Rendered { system, user: self.notes(templates, profile, lines)? })
    }

    /// The section that tells a bot what to talk about next.
    ///
    /// # Errors
    /// When a template is broken.
    pub(super) fn topic_section(&self, language: Language, topics: &[String]) -> Result<String, minijinja::Error> {
        self.render(Templates::of(language), "topic_section", context! { topics => topics.to_vec() })
    }

    fn notes(&self, templates: &Templates, profile: &[Slot], lines: &[String]) -> Result<String, minijinja::Error> {
        let short = |slot: &Slot| Slot { content: slot.content.chars().take(MAX_NOTE_CHARS).collect(), ..slot.clone() };
        let mut room = MAX_NOTES_CHARS;
        let fits = |slot: &Slot| {
            let left = room.checked_sub(slot.content.len() + slot.topic.len() + slot.sub_topic.len());
            room = left.unwrap_or(0);
            left.is_some()
        };
        let notes: Vec<Slot> = profile.iter().map(short).take_while(fits).collect();
        self.render(templates, "notes", context! { slots => slots(&notes), lines => lines.to_vec() })
    }

    fn render(&self, templates: &Templates, name: &str, values: Value) -> Result<String, minijinja::Error> {
        self.environment.get_template(&format!("{}/{name}", templates.code))?.render(values)
    }
}

fn version(templates: &Templates) -> String {
    let mut digest = Sha256::new();
    for (_, text) in templates.extraction {
        digest.update(text);
    }
    digest.update(schema::extraction().to_string());
    let mut version = format!("{}-", templates.code);
    for byte in digest.finalize().iter().take(VERSION_CHARS / 2) {
        // Writing to a string cannot fail.
        let _ = write!(version, "{byte:02x}");
    }
    version
}

/// The days of a chat with their weekdays: "2023-05-08 Monday, …".
fn days(lines: &[Line], templates: &Templates) -> String {
    let mut days: Vec<Date> = lines.iter().filter_map(|line| line.said_on).collect();
    days.sort_unstable();
    days.dedup();
    let named = |day: &Date| {
        let monday = usize::try_from(day.weekday().to_monday_zero_offset()).unwrap_or(0);
        format!("{day} {}", templates.weekdays.split(' ').nth(monday).unwrap_or_default())
    };
    days.iter().rev().take(MAX_DAYS).rev().map(named).collect::<Vec<_>>().join(", ")
}

/// Slots for a template, each on one line. Clients write them, so they may hold anything that a chat may.
fn slots(slots: &[Slot]) -> Vec<Value> {
    let slot = |slot: &Slot| {
        let content = one_line(&plain_line(&slot.content));
        context! { topic => short_name(&slot.topic), sub_topic => short_name(&slot.sub_topic), content }
    };
    slots.iter().map(slot).collect()
}

/// A name as far as an extraction could write it. Clients may write longer ones.
fn short_name(name: &str) -> String {
    one_line(&plain_line(name)).chars().take(MAX_NAME_CHARS).collect()
}

/// Names by topic: "work: title, company; interest: books". Those beyond the limit are not shown; memos that are set for
/// them are joined to what is there all the same.
fn named(names: &[SlotName]) -> String {
    let mut topics: Vec<(&str, Vec<String>)> = Vec::new();
    for name in names.iter().take(MAX_NAMED) {
        let sub_topic = short_name(&name.sub_topic);
        match topics.iter_mut().find(|(topic, _)| *topic == name.topic) {
            Some((_, sub_topics)) => sub_topics.push(sub_topic),
            None => topics.push((&name.topic, vec![sub_topic])),
        }
    }
    let topic = |(topic, sub_topics): &(&str, Vec<String>)| format!("{}: {}", short_name(topic), sub_topics.join(", "));
    topics.iter().map(topic).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
