//! The rule extractor: stands in for a language model when none is configured.
//!
//! Every message of the user becomes gists, unchanged in wording. Profile slots come from first-person phrases in
//! English (`english`) and Chinese (`chinese`). A wrong fact in a profile is worse than a missed one, so
//! anything that may be a question, a quotation, a story or a wish is left alone (`guard`).
//!
//! To add a phrase, add a row to the table of its language and a case to its tests; a new slot goes into [`SLOTS`].

mod chinese;
mod english;
mod family;
mod guard;
mod memos;
mod value;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::civil::Date;

use crate::blob::Role;
use crate::dates;
use crate::extraction::{Draft, DraftGist, Line, Request};
use crate::ports::{Answer, LanguageModel, ModelError, TokenCounter, Usage};
use crate::text;

use memos::Memos;

/// What the rule extractor cannot do, in one sentence for the start-up log.
pub const WEAKNESS: &str = "no language model is configured (llm_base_url or OPENAI_API_KEY): messages are remembered word for word, but \
    most facts are missed, because the built-in rules only know a few first-person phrases in English and Chinese";

/// Which rules answered; changes whenever their answers do.
const VERSION: &str = "rules-1";
/// Tokens of one gist at most; a longer message gives several.
const MAX_GIST_TOKENS: u32 = 200;

/// Every slot that the rules write, as topic and sub-topic in normal form.
pub const SLOTS: [(&str, &str); 48] = [
    NAME,
    AGE,
    BIRTH_DATE,
    BIRTHPLACE,
    ORIGIN,
    LOCATION,
    NATIONALITY,
    GENDER,
    LANGUAGES,
    EMAIL,
    PHONE,
    SCHOOL,
    MAJOR,
    DEGREE,
    MARITAL,
    CHILD_COUNT,
    TITLE,
    COMPANY,
    INDUSTRY,
    WORKPLACE,
    LIKES,
    DISLIKES,
    FOODS,
    MOVIES,
    BOOKS,
    MUSIC,
    SPORTS,
    GAMES,
    GOALS,
    MARRIAGE,
    RETIREMENT,
    PLANS,
    ALLERGIES,
    DIET,
    PETS,
    WIFE,
    HUSBAND,
    PARTNER,
    SON,
    DAUGHTER,
    CHILDREN,
    BROTHER,
    SISTER,
    SIBLINGS,
    MOTHER,
    FATHER,
    GRANDMOTHER,
    GRANDFATHER,
];

/// Topic and sub-topic.
type SlotRef = (&'static str, &'static str);

const NAME: SlotRef = ("basic_info", "name");
const AGE: SlotRef = ("basic_info", "age");
const BIRTH_DATE: SlotRef = ("basic_info", "birth_date");
const BIRTHPLACE: SlotRef = ("basic_info", "birthplace");
const ORIGIN: SlotRef = ("basic_info", "origin");
const LOCATION: SlotRef = ("basic_info", "location");
const NATIONALITY: SlotRef = ("basic_info", "nationality");
const GENDER: SlotRef = ("basic_info", "gender");
const LANGUAGES: SlotRef = ("basic_info", "language_spoken");
const EMAIL: SlotRef = ("contact_info", "email");
const PHONE: SlotRef = ("contact_info", "phone");
const SCHOOL: SlotRef = ("education", "school");
const MAJOR: SlotRef = ("education", "major");
const DEGREE: SlotRef = ("education", "degree");
const MARITAL: SlotRef = ("demographics", "marital_status");
const CHILD_COUNT: SlotRef = ("demographics", "number_of_children");
const TITLE: SlotRef = ("work", "title");
const COMPANY: SlotRef = ("work", "company");
const INDUSTRY: SlotRef = ("work", "industry");
const WORKPLACE: SlotRef = ("work", "location");
const LIKES: SlotRef = ("interest", "likes");
const DISLIKES: SlotRef = ("interest", "dislikes");
const FOODS: SlotRef = ("interest", "foods");
const MOVIES: SlotRef = ("interest", "movies");
const BOOKS: SlotRef = ("interest", "books");
const MUSIC: SlotRef = ("interest", "music");
const SPORTS: SlotRef = ("interest", "sports");
const GAMES: SlotRef = ("interest", "games");
const GOALS: SlotRef = ("psychological", "goals");
const MARRIAGE: SlotRef = ("life_event", "marriage");
const RETIREMENT: SlotRef = ("life_event", "retirement");
const PLANS: SlotRef = ("life_event", "plans");
const ALLERGIES: SlotRef = ("health", "allergies");
const DIET: SlotRef = ("health", "diet");
const PETS: SlotRef = ("family", "pets");
const WIFE: SlotRef = ("family", "wife");
const HUSBAND: SlotRef = ("family", "husband");
const PARTNER: SlotRef = ("family", "partner");
const SON: SlotRef = ("family", "son");
const DAUGHTER: SlotRef = ("family", "daughter");
const CHILDREN: SlotRef = ("family", "children");
const BROTHER: SlotRef = ("family", "brother");
const SISTER: SlotRef = ("family", "sister");
const SIBLINGS: SlotRef = ("family", "siblings");
const MOTHER: SlotRef = ("family", "mother");
const FATHER: SlotRef = ("family", "father");
const GRANDMOTHER: SlotRef = ("family", "grandmother");
const GRANDFATHER: SlotRef = ("family", "grandfather");

/// The slots that hold one value, which a newer one replaces. The others collect.
const SINGLE: [SlotRef; 17] = [
    NAME,
    AGE,
    BIRTH_DATE,
    BIRTHPLACE,
    ORIGIN,
    LOCATION,
    NATIONALITY,
    GENDER,
    EMAIL,
    PHONE,
    MARITAL,
    CHILD_COUNT,
    TITLE,
    COMPANY,
    INDUSTRY,
    WORKPLACE,
    RETIREMENT,
];

/// Something that the user said of themselves.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Fact {
    slot: SlotRef,
    value: String,
}

/// What is known of a message while its sentences are read.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// When it was said.
    said_on: Option<Date>,
    /// It began with a greeting, so "I'm Ann" gives a name.
    greeted: bool,
    /// It has no capitals at all, so they cannot tell names from words.
    lower: bool,
}

/// Answers extraction requests by rules, at once and without network. See [`WEAKNESS`].
pub struct RuleExtractor {
    counter: Arc<dyn TokenCounter>,
}

impl RuleExtractor {
    /// An extractor whose gists and memos are measured by this counter.
    pub fn new(counter: Arc<dyn TokenCounter>) -> Self {
        Self { counter }
    }

    /// The gists and slots of one request. Assistant lines give none.
    pub fn draft(&self, request: &Request) -> Draft {
        let counter = &*self.counter;
        let own: Vec<&Line> = request.lines.iter().filter(|l| l.role == Role::User).collect();
        let mut gists = Vec::new();
        let mut memos = Memos::new(request, counter);
        // Of several speakers nobody can say which one is the user.
        let one_speaker = own.iter().filter_map(|l| l.alias.as_deref()).collect::<BTreeSet<_>>().len() < 2;
        for line in own {
            gists.extend(gists_of(line, counter));
            if one_speaker {
                facts_of(&line.text, line.said_on).into_iter().for_each(|fact| memos.tell(fact, line.number));
            }
        }
        Draft { gists, profile: memos.into_actions(), ..Draft::default() }
    }
}

#[async_trait]
impl LanguageModel for RuleExtractor {
    fn name(&self) -> &str {
        "rules"
    }

    fn is_immediate(&self) -> bool {
        true
    }

    async fn extract(&self, request: &Request) -> Result<Answer, ModelError> {
        let text = serde_json::to_string(&self.draft(request)).map_err(|e| ModelError::Unusable(e.to_string()))?;
        Ok(Answer { text, usage: Usage::default(), version: VERSION.to_owned() })
    }
}

fn gists_of(line: &Line, counter: &dyn TokenCounter) -> Vec<DraftGist> {
    let pieces = text::cut(&line.text, MAX_GIST_TOKENS, counter).into_iter().map(text::one_line);
    let gist = |text: String| {
        let occurred_at = dates::occurred(&text, line.said_on);
        DraftGist { text, occurred_at, messages: vec![line.number] }
    };
    pieces.filter(|p| !p.is_empty()).map(gist).collect()
}

/// What a message tells about its user.
fn facts_of(message: &str, said_on: Option<Date>) -> Vec<Fact> {
    let Some(message) = guard::message(message) else { return Vec::new() };
    let lower = !message.chars().any(char::is_uppercase);
    let greeted = guard::greets(&message);
    let mut facts = Vec::new();
    for (index, sentence) in text::sentences(&message).into_iter().enumerate() {
        if guard::sentence(sentence) {
            let told = Told { said_on, greeted: greeted && index < 2, lower };
            facts.extend(english::facts(sentence, told));
            facts.extend(chinese::facts(sentence, told));
        }
    }
    facts
}
