//! Family, children and pets, in English: what the user tells of those who are theirs.

use super::english::{Phrase, Rule, occupation, one};
use super::value::{ends, number, place, proper};
use super::words::{self, holds};
use super::{
    BROTHER, CHILDREN, DAUGHTER, FATHER, Fact, GRANDFATHER, GRANDMOTHER, HUSBAND, MOTHER, PARTNER, PETS, SIBLINGS,
    SISTER, SON, SlotRef, WIFE,
};

/// Relatives that a slot is kept for, as one group.
pub(super) const KIN: &str = r"(wife|husband|spouse|partner|girlfriend|boyfriend|fianc[ée]e?|son|daughter|brother|sister|mother|mom|mum|father|dad|grandmother|grandma|grandfather|grandpa)";

pub(super) const RULES: [Rule; 6] = [
    (
        r"my (?:(?:older|younger|little|big|elder|eldest|oldest|youngest|twin) )?{kin}(?:'s name)?(?:'s| is) (?:called |named |now |currently )?(.+)",
        kin_is,
    ),
    (r"my (?:(?:older|younger|little|big|elder|eldest|oldest|youngest|twin) )?{kin},? ([A-Z].*)", kin_name),
    (r"my (?:(?:older|younger|little|big|elder|eldest|oldest|youngest|twin) )?{kin} (?:lives|works) (.+)", kin_place),
    (
        r"i have (\d|{small}) ((?:(?:older|younger|little|big|elder|twin|baby|beautiful|wonderful) )?(?:brother|sister|sibling|son|daughter)s?)\b(.*)",
        relatives,
    ),
    (
        r"(?:i|we)(?:'ve| have)? ?(?:have |got |own |adopted |just got |just adopted |recently adopted )(\d|{small}|my) ((?:[a-z]+ ){0,2}?)([a-z]+)\b(.*)",
        pets,
    ),
    (r"my ([a-z]+)(?:'s name)?(?:'s| is)? (?:called |named )?,?\s?([A-Z].*)", pet_name),
];

fn slot_of(kin: &str) -> SlotRef {
    match kin.to_lowercase().as_str() {
        "wife" => WIFE,
        "husband" => HUSBAND,
        "son" => SON,
        "daughter" => DAUGHTER,
        "brother" => BROTHER,
        "sister" => SISTER,
        "mother" | "mom" | "mum" => MOTHER,
        "father" | "dad" => FATHER,
        "grandmother" | "grandma" => GRANDMOTHER,
        "grandfather" | "grandpa" => GRANDFATHER,
        _ => PARTNER,
    }
}

/// "is a doctor", "is Tom", "is 12 years old", "is French".
fn kin_is(p: &Phrase<'_>) -> Vec<Fact> {
    let (slot, rest) = (slot_of(p.group(1)), p.rest());
    let article = ["a ", "an ", "the "].iter().find_map(|a| rest.strip_prefix(a));
    let first = rest.split(|c: char| !c.is_alphanumeric() && c != '-').next().unwrap_or_default();
    let behind = &rest[first.len()..];
    let value = if let Some(job) = article {
        occupation(job).map(|(title, _)| title)
    } else if let Some(age) = number(first).filter(|n| (1..=110).contains(n)) {
        let years = behind.trim_start().starts_with("years old") || behind.trim().is_empty();
        years.then(|| format!("{age} years old"))
    } else if holds(words::NATIONS, first) && ends(behind) {
        Some(first.to_owned())
    } else if let Some(home) = rest.strip_prefix("from ") {
        place(home, p.told).map(|home| format!("from {home}"))
    } else {
        person(rest)
    };
    one(slot, value)
}

/// A person's name at the start of a text.
fn person(text: &str) -> Option<String> {
    const NOT: &str = "christian muslim jewish catholic asian black white ok italian the";
    let (name, rest) = proper(text, 3, false)?;
    let known = name.split(' ').any(|w| holds(NOT, w) || holds(words::NATIONS, w));
    (ends(rest) && !known && name.chars().count() > 1).then_some(name)
}

/// "my sister Anna loves …"
fn kin_name(p: &Phrase<'_>) -> Vec<Fact> {
    let text = p.group(2);
    // The pattern reads without case, so that "my sister loves" comes by here too.
    if !text.starts_with(char::is_uppercase) {
        return Vec::new();
    }
    let name = proper(text, 2, false).map(|(name, _)| name).filter(|n| person(n).is_some() && n.chars().count() > 2);
    one(slot_of(p.group(1)), name)
}

fn kin_place(p: &Phrase<'_>) -> Vec<Fact> {
    let rest = p.rest();
    let job = ["as a ", "as an "].iter().find_map(|a| rest.strip_prefix(a)).and_then(occupation).map(|(t, _)| t);
    let works = p.group(0).contains(" works ");
    let home =
        rest.strip_prefix("in ").filter(|_| !works).and_then(|t| place(t, p.told)).map(|h| format!("lives in {h}"));
    one(slot_of(p.group(1)), job.filter(|_| works).or(home))
}

/// "I have two younger brothers": siblings, or children.
fn relatives(p: &Phrase<'_>) -> Vec<Fact> {
    let who = p.group(2).to_lowercase();
    if !ends(p.rest()) {
        return Vec::new();
    }
    let slot = if who.contains("son") || who.contains("daughter") { CHILDREN } else { SIBLINGS };
    let who = who.trim_start_matches("beautiful ").trim_start_matches("wonderful ");
    let name = named(p.rest()).map(|n| format!(" named {n}")).unwrap_or_default();
    one(slot, Some(format!("{} {who}{name}", p.group(1).to_lowercase())))
}

/// The name in "… named Rex".
fn named(rest: &str) -> Option<String> {
    let markers = ["named ", "called ", "name is "];
    let at = markers.iter().filter_map(|m| rest.find(m).map(|i| i + m.len())).min().filter(|i| *i < 20)?;
    proper(&rest[at..], 2, false).map(|(name, _)| name)
}

fn pets(p: &Phrase<'_>) -> Vec<Fact> {
    let (animal, rest) = (p.group(3).to_lowercase(), p.rest());
    let single =
        if animal.ends_with("ies") { animal.replace("ies", "y") } else { animal.trim_end_matches('s').to_owned() };
    let known = [single.as_str(), animal.as_str()].into_iter().any(|a| holds(words::ANIMALS, a));
    if !known || !ends(rest) || p.group(1).eq_ignore_ascii_case("my") && named(rest).is_none() {
        return Vec::new();
    }
    let value = match named(rest) {
        Some(name) if matches!(p.group(1).to_lowercase().as_str(), "a" | "an" | "my" | "one") => {
            format!("{single} named {name}")
        }
        _ => format!("{} {}{animal}", p.group(1).to_lowercase(), p.group(2).to_lowercase()),
    };
    one(PETS, Some(value))
}

/// "my dog is called Rex", "my cat Luna …"
fn pet_name(p: &Phrase<'_>) -> Vec<Fact> {
    let (animal, text) = (p.group(1).to_lowercase(), p.rest());
    if !holds(words::ANIMALS, &animal) || !text.starts_with(char::is_uppercase) {
        return Vec::new();
    }
    let name = proper(text, 2, false).map(|(name, _)| name).filter(|n| n.chars().count() > 1);
    one(PETS, name.map(|n| format!("{animal} named {n}")))
}
