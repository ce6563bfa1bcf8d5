//! First-person phrases in English.
//!
//! A sentence is read at the start of each of its clauses: "I" in the middle of one ("she thinks I …") is not read.

use std::sync::LazyLock;

use regex::{Captures, Regex, RegexSet};

use crate::dates::{self, pattern};

use super::value::{birthday, capital, clean, clean_to, ends, number, place, proper};
use super::words::{self, holds};
use super::{
    AGE, ALLERGIES, BIRTH_DATE, BIRTHPLACE, BOOKS, CHILD_COUNT, COMPANY, DEGREE, DIET, DISLIKES, EMAIL, FOODS, Fact,
    GAMES, GENDER, GOALS, INDUSTRY, LANGUAGES, LIKES, LOCATION, MAJOR, MARITAL, MARRIAGE, MOVIES, MUSIC, NAME,
    NATIONALITY, ORIGIN, PHONE, PLANS, RETIREMENT, SCHOOL, SPORTS, SlotRef, TITLE, Told, family,
};

/// A phrase that was found: its groups, the last of which is what follows it.
pub(super) struct Phrase<'a> {
    groups: Captures<'a>,
    pub(super) told: Told,
}

impl<'a> Phrase<'a> {
    pub(super) fn group(&self, index: usize) -> &'a str {
        self.groups.get(index).map_or("", |m| m.as_str())
    }

    /// What follows the phrase.
    pub(super) fn rest(&self) -> &'a str {
        self.group(self.groups.len() - 1)
    }
}

/// How a clause may begin, and what it then tells.
pub(super) type Rule = (&'static str, Read);

/// How to read a phrase.
pub(super) type Read = fn(&Phrase<'_>) -> Vec<Fact>;

/// `{am}`: I am; `{so}`: adverbs that change nothing.
const RULES: [Rule; 32] = [
    (r"my (?:full |first |real |given )?name(?:'s| is) (.+)", |p| name(p, true)),
    (r"i go by(?: the name)? (.+)", |p| name(p, false)),
    (r"(?:{am} (?:called|named)|(?:you (?:can|may) |please |just )*call me) (.+)", |p| name(p, false)),
    (r"(?:my friends|everyone|everybody|people|most people) (?:all )?calls? me (.+)", |p| name(p, false)),
    (r"{am} (.+)", greeting_name),
    (r"{am} {so}(\d{1,3}|{tens})(?:[ -]years?[ -]old| ?yo\b| ?y/o)(.*)", |p| age(p, 1)),
    (r"(?:{am}|i) {so}(?:just )?(?:turned )?(\d{1,3}|{tens})((?:\s*[.,!].*|\s+(?:and|now|but)\s.*)?)$", |p| age(p, 10)),
    (r"{am} an? (\d{1,3})[- ]years?[- ]old\b\s*(.*)", |p| [age(p, 1), title(p)].concat()),
    (r"my (?:birthday|birth ?date|date of birth|bday)(?:'s| is| was)(?: on)? (.+)", |p| {
        one(BIRTH_DATE, birthday(p.rest(), p.told))
    }),
    (r"i was born (?:and raised )?(.+)", born),
    (r"(?:{am} (?:originally )?from|i come from|i was raised in|i grew up in) (.+)", |p| {
        one(ORIGIN, place(p.rest(), p.told))
    }),
    (
        r"(?:i (?:currently |now |still )?(?:live|reside)|{am} (?:currently |now )?(?:living|based|residing)) (?:here |alone |together )?(?:in|near) (?:an? [a-z ]{1,40} (?:in|near) )?(.+)",
        |p| one(LOCATION, place(p.rest(), p.told)),
    ),
    (
        r"i(?:'ve| have)? (?:just |recently )*(?:moved|relocated) (?:here )?(?:back )?to ([A-Z][^,.;!]*? (?:from [A-Z]|for (?:work|school|college|university|a (?:new )?job)).*)",
        |p| one(LOCATION, place(p.rest(), Told { lower: false, ..p.told })),
    ),
    (r"{am} {so}(?:an? )?([a-z-]+)(?: citizen)?\b(.*)", nationality),
    (r"{am} an? ((?:trans(?:gender)? )?(?:man|woman|guy|girl)|male|female|non-?binary person)\b(.*)", gender),
    (r"{am} (non-?binary)\b(.*)", gender),
    (
        r"(?:i (?:also |can )?speak|{am} (?:fluent in|a native speaker of)|my (?:native language|mother tongue|first language) is) (?:fluent |native |some |a little |a bit of )?(.+)",
        languages,
    ),
    (r"my e-?mail(?: address)?(?:'s| is) ([\w.+-]+@[\w-]+(?:\.[\w-]+)+)", |p| {
        one(EMAIL, Some(p.rest().trim_end_matches('.').to_owned()))
    }),
    (r"my (?:phone|cell|mobile|telephone)(?: number)?(?:'s| is) (\+?\d[\d ()-]{5,20}\d)", |p| {
        one(PHONE, Some(p.rest().to_owned()))
    }),
    (
        r"(?:i (?:study|studied|graduated|go|went) (?:[a-z ]{0,40} )?(?:at|from|to)|i attend(?:ed)?|{am} (?:an? )?(?:[a-z ]{0,30} )?(?:student|studying|undergrad)(?: [a-z ]{0,40})? at) (.+)",
        school,
    ),
    (r"(?:i study|i studied|{am} studying|i majored in|{am} majoring in|my major is|i have a degree in) (.+)", |p| {
        major(p.rest())
    }),
    (
        r"i (?:have|got|earned|hold) (?:an? |my )(bachelor'?s?|master'?s?|phd|ph\.d\.?|mba|doctorate)\b(?: degree)?(.*)",
        degree,
    ),
    (r"(?:{am} {so}(?:happily )?|i got )(married|single|divorced|engaged|widowed)\b(.*)", marital),
    (r"i have (\d{1,2}|{small}) (?:kids|children)\b(.*)", |p| {
        let count = number(p.group(1)).filter(|n| (1..20).contains(n) && ends(p.rest()));
        one(CHILD_COUNT, count.map(|n| n.to_string()))
    }),
    (r"{am} {so}(?:an?|the) (.+)", title),
    (r"(?:i (?:currently |now )?work|{am} (?:currently |now )?(?:working|employed)) as an? (.+)", work_as),
    (
        r"(?:i (?:currently |now )?work|{am} (?:currently |now )?(?:working|employed)|i (?:just )?(?:got|started|landed) (?:a|my) (?:new )?job) (?:at|for) (.+)",
        |p| one(COMPANY, proper(p.rest(), 5, false).map(|(name, _)| name)),
    ),
    (r"i (?:currently |now )?work in (.+)", |p| {
        let value = clean_to(p.rest(), 2).filter(|v| holds(words::INDUSTRIES, &v.replace(' ', "-")));
        one(INDUSTRY, value)
    }),
    (r"(?:{am} {so}|i )(retired)\b(.*)", |p| one(RETIREMENT, ends(p.rest()).then(|| "retired".to_owned()))),
    (r"{am} allergic to (.+)", |p| list(ALLERGIES, p.rest())),
    (r"{am} {so}(?:an? )?(vegan|vegetarian|pescatarian)\b(.*)", |p| {
        one(DIET, ends(p.rest()).then(|| p.group(1).to_lowercase()))
    }),
    (r"(?:i (?:plan to|intend to)|{am} planning (?:to|on|a)|my plan is to) (.+)", |p| intent(PLANS, p)),
];

/// What the user likes, wants and favours.
const TASTES: [Rule; 5] = [
    (r"i (?:really |absolutely |also |truly |just |still )*(?:love|like|enjoy|adore) (.+)", |p| list(LIKES, p.rest())),
    (r"(?:{am} (?:really |also |very )*(?:into|fond of)|{am} an? (?:big |huge |massive )?fan of) (.+)", |p| {
        list(LIKES, p.rest())
    }),
    (
        r"i (?:really |absolutely |also |truly )*(?:hate|dislike|detest|despise|can't stand|don't like|do not like) (.+)",
        |p| list(DISLIKES, p.rest()),
    ),
    (r"my (?:all[- ]time )?favou?rite ([a-z]+(?: [a-z]+)?)(?: of all time)?(?:'s| is| are) (.+)", favourite),
    (r"(?:my (?:goal|dream|ambition) is to|i want to become) (.+)", |p| intent(GOALS, p)),
];

struct Reader {
    set: RegexSet,
    rules: Vec<(Regex, Read)>,
}

static READER: LazyLock<Reader> = LazyLock::new(|| {
    let rules = [&RULES[..], &TASTES, &family::RULES].concat();
    let expand = |p: &str| {
        let tens = r"(?:twenty|thirty|forty|fifty|sixty|seventy|eighty)(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?|eighteen|nineteen";
        let p = p.replace("{am}", "(?:i'm|i am|im)").replace("{tens}", tens);
        let p = p.replace("{so}", "(?:currently |now |actually |also |just |already |still |only )*");
        let p =
            p.replace("{small}", "an?|one|two|three|four|five|six|seven|eight|nine|ten").replace("{kin}", family::KIN);
        format!("(?i)^{p}")
    };
    let sources: Vec<String> = rules.iter().map(|(p, _)| expand(p)).collect();
    #[expect(clippy::expect_used, reason = "the patterns are constants, and every test compiles them all")]
    let set = RegexSet::new(&sources).expect("constant patterns");
    Reader { set, rules: sources.iter().zip(&rules).map(|(s, (_, read))| (pattern(s), *read)).collect() }
});

/// What a sentence tells of its speaker.
pub(super) fn facts(sentence: &str, told: Told) -> Vec<Fact> {
    static SELF: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)\b(?:i|im|my|me|we)\b"));
    static BREAK: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?i)(?:[,;:(…—]|\.\.\.|\s[-–])\s*|\s(?:and|but|because|so|plus|also|since)\s+"));
    static FILLER: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)^(?:(?:hi|hello|hey|well|so|yes|yeah|yep|oh|ok|okay|sure|btw|also|actually|anyway|and|but|plus|honestly|personally|fyi|right now|currently|now|these days|by the way|because|since|haha|lol|thanks|too|as for me|there)\b[\s,!]*|\W+)*",
        )
    });
    if !SELF.is_match(sentence) {
        return Vec::new();
    }
    let mut facts = Vec::<Fact>::new();
    let starts = std::iter::once(0).chain(BREAK.find_iter(sentence).map(|m| m.end()));
    let mut read = usize::MAX;
    for start in starts {
        let start = start + FILLER.find(&sentence[start..]).map_or(0, |m| m.end());
        if start == read {
            continue;
        }
        read = start;
        let clause = sentence[start..].trim_end();
        for index in READER.set.matches(clause) {
            let (regex, rule) = &READER.rules[index];
            if let Some(groups) = regex.captures(clause) {
                facts.extend(rule(&Phrase { groups, told }));
            }
        }
    }
    facts
}

/// A fact, if there is a value.
pub(super) fn one(slot: SlotRef, value: Option<String>) -> Vec<Fact> {
    value.into_iter().map(|value| Fact { slot, value }).collect()
}

fn name(p: &Phrase<'_>, lower: bool) -> Vec<Fact> {
    const NOT: &str = "not on in too so very really also now hard maybe later back crazy when tomorrow old just here";
    let found = match proper(p.rest(), 4, false) {
        Some((name, _)) => Some(name),
        None => clean_to(p.rest(), 1).filter(|w| lower && w.chars().all(char::is_alphabetic) && w.is_ascii()),
    };
    one(NAME, found.filter(|n| !holds(NOT, n.split(' ').next().unwrap_or_default())))
}

/// "Hi, I'm Ann": after a greeting, and when nothing else follows that would make it an adjective.
fn greeting_name(p: &Phrase<'_>) -> Vec<Fact> {
    const NOT: &str = "muslim christian jewish hindu buddhist catholic gemini leo virgo aries taurus cancer libra \
        scorpio capricorn aquarius pisces sorry good fine great happy excited back new sure glad ready batman asian \
        black white gay late busy done sick bored tired very so";
    if !p.told.greeted {
        return Vec::new();
    }
    let Some((name, rest)) = proper(p.rest(), 3, false) else { return Vec::new() };
    let known = name.split(' ').any(|w| holds(NOT, w)) || holds(words::NATIONS, &name) || holds(words::JOBS, &name);
    let good = !known && ends(rest) && name.chars().all(|c| c.is_alphabetic() || " -".contains(c));
    one(NAME, good.then_some(name))
}

fn age(p: &Phrase<'_>, least: u32) -> Vec<Fact> {
    one(AGE, number(p.group(1)).filter(|n| (least..=110).contains(n)).map(|n| n.to_string()))
}

fn born(p: &Phrase<'_>) -> Vec<Fact> {
    let places = p.rest().match_indices("in ").filter(|(i, _)| *i == 0 || p.rest()[..*i].ends_with(' '));
    let place = places.filter_map(|(i, _)| place(&p.rest()[i + 3..], Told { lower: false, ..p.told })).next();
    [one(BIRTH_DATE, birthday(p.rest(), p.told)), one(BIRTHPLACE, place)].concat()
}

fn nationality(p: &Phrase<'_>) -> Vec<Fact> {
    let word = p.group(1);
    let fits = holds(words::NATIONS, word) && (ends(p.rest()) && !p.rest().starts_with('-'));
    one(NATIONALITY, fits.then(|| capital(word)))
}

fn gender(p: &Phrase<'_>) -> Vec<Fact> {
    let value = match p.group(1).to_lowercase().as_str() {
        "man" | "guy" | "male" => "male".to_owned(),
        "woman" | "girl" | "female" => "female".to_owned(),
        other if other.starts_with("non") => "non-binary".to_owned(),
        other => other.to_owned(),
    };
    one(GENDER, ends(p.rest()).then_some(value))
}

fn languages(p: &Phrase<'_>) -> Vec<Fact> {
    let clause = p.rest().split(['.', ';', '!', '(']).next().unwrap_or_default();
    let words = clause.split(|c: char| !c.is_alphabetic()).filter(|w| !w.is_empty());
    let filler = |w: &&str| !holds("and some fluent fluently a little bit of both native or basic also", w);
    let named = words.filter(filler).take_while(|w| holds(words::LANGUAGES, w));
    named.map(|w| Fact { slot: LANGUAGES, value: capital(w) }).collect()
}

fn school(p: &Phrase<'_>) -> Vec<Fact> {
    const SCHOOLS: &str = "university college school institute academy polytechnic mit ucla eth oxford cambridge harvard \
        stanford yale princeton berkeley caltech nyu";
    let found = proper(p.rest(), 7, false).map(|(name, _)| name);
    let name = found.filter(|n| n.split(|c: char| !c.is_alphabetic()).any(|w| holds(SCHOOLS, w)));
    one(SCHOOL, name)
}

fn major(text: &str) -> Vec<Fact> {
    let end = [" at ", " in ", " with ", " to ", " for ", " every ", " and my ", " by "]
        .iter()
        .filter_map(|w| text.find(w))
        .min();
    let value = clean_to(&text[..end.unwrap_or(text.len())], 4);
    one(
        MAJOR,
        value.filter(|v| {
            v.split_whitespace()
                .next_back()
                .is_some_and(|w| holds(words::FIELDS, w) || w.eq_ignore_ascii_case("science"))
        }),
    )
}

fn degree(p: &Phrase<'_>) -> Vec<Fact> {
    let field = p.rest().trim_start().strip_prefix("in ").map(major).unwrap_or_default();
    let subject = field.first().map(|f| format!(" in {}", f.value)).unwrap_or_default();
    let fits = !field.is_empty() || ends(p.rest()) || p.rest().starts_with(" from");
    one(DEGREE, fits.then(|| format!("{}{subject}", p.group(1))))
}

fn marital(p: &Phrase<'_>) -> Vec<Fact> {
    let (word, rest) = (p.group(1).to_lowercase(), p.rest());
    let to = rest.trim_start().strip_prefix("to ");
    if word == "engaged" && rest.starts_with(" in ") {
        return Vec::new();
    }
    let spouse = to.is_none_or(|t| {
        t.starts_with(char::is_uppercase) || t.starts_with("my ") && !t.contains("job") && !t.contains("work")
    });
    if word == "single" && p.group(0).to_lowercase().starts_with("i got")
        || !(ends(rest) || to.is_some() || got(p))
        || !spouse
    {
        return Vec::new();
    }
    let when = dates::occurred(rest, p.told.said_on).filter(|_| word == "married" && got(p));
    let marriage = when.map(|d| format!("married ({d})"));
    [one(MARITAL, Some(word)), one(MARRIAGE, marriage)].concat()
}

fn got(p: &Phrase<'_>) -> bool {
    p.group(0).to_lowercase().starts_with("i got")
}

/// "a senior nurse at Mercy Hospital": an occupation of our list, and where.
pub(super) fn title(p: &Phrase<'_>) -> Vec<Fact> {
    let Some((title, rest)) = occupation(p.rest()) else { return Vec::new() };
    let at = rest.trim_start().strip_prefix("at ").and_then(|t| proper(t, 5, false)).map(|(name, _)| name);
    let student = title.ends_with("student") || title.ends_with("undergraduate");
    [one(TITLE, Some(title)), one(COMPANY, at.filter(|_| !student))].concat()
}

/// The occupation at the start of a text, of four words at most, and what follows.
pub(super) fn occupation(text: &str) -> Option<(String, &str)> {
    static HEAD: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^((?:[\p{L}/&-]+ ){0,3}?[\p{L}/-]+)(\s+(?:at|in|for|with|by|from|on|of|who|and|but|working|living|based|specializing|here|now|too|because|so|since|as|currently|myself|currently|there)\b.*|\s*[,.;:!()…—].*|\s*[^\p{L}\s'].*|\s*)$",
        )
    });
    let groups = HEAD.captures(text)?;
    let (title, rest) = (groups.get(1)?.as_str(), groups.get(2)?.as_str());
    let title = title.trim_start_matches("full-time ").trim_start_matches("part-time ");
    let last = title.split([' ', '/']).next_back()?;
    let denied = title.split(' ').any(|w| holds(words::NOT_YET, w) || w.starts_with("ex-"));
    (holds(words::JOBS, last) && !denied).then(|| (title.to_owned(), rest))
}

/// "I work as a …": any occupation, listed or not.
fn work_as(p: &Phrase<'_>) -> Vec<Fact> {
    const NOT: &str = "team group unit whole result favor favour pair charm couple bit way lot part";
    let text = p.rest();
    let end = [" at ", " in ", " for ", " with ", " from ", " on ", " and ", " to ", " by "]
        .iter()
        .filter_map(|w| text.find(w))
        .min();
    let (head, rest) = text.split_at(end.unwrap_or(text.len()));
    let value = clean_to(head, 5).filter(|v| !holds(NOT, v.split(' ').next_back().unwrap_or_default()));
    let at = rest.strip_prefix(" at ").or(rest.strip_prefix(" for ")).and_then(|t| proper(t, 5, false));
    let company = at.filter(|_| value.is_some()).map(|(name, _)| name);
    [one(TITLE, value), one(COMPANY, company)].concat()
}

/// Things liked or not: "jazz, tea and long walks".
fn list(slot: SlotRef, rest: &str) -> Vec<Fact> {
    static JOINT: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i),\s*(?:and |or )?|\s+(?:and|or|&)\s+"));
    let clause = rest.split(['.', ';', '!', '(', ':', '…', '—']).next().unwrap_or_default();
    let mut items = Vec::new();
    for item in JOINT.split(clause) {
        // What follows a fact that was cut short is no item of the list.
        let Some(value) = thing(item) else { break };
        let whole = item.split_whitespace().count() <= value.split_whitespace().count() + 1;
        items.push(Fact { slot, value });
        if !whole {
            break;
        }
    }
    items
}

/// A thing that can be liked, if the words say which without their context.
fn thing(item: &str) -> Option<String> {
    const FIRST: &str = "the a an how when what where who why being all every each some any more so too no not like \
        lots plenty very really just getting having seeing hearing knowing thinking doing making going coming trying \
        using keeping feeling giving taking helping looking talking spending learning sharing finding working to if \
        totally literally basically actually everyone people someone much many most as with for also can even \
        nice good great other others another sometimes usually often always watching being then but of yes";
    const VERBS: &str = "is are was were has have had do does did can will makes make made keeps helps gives feels \
        isn't aren't than better about got get gets wasn't don't didn't would won't can't way idea fact hope";
    // "games that test me" are not all games.
    if [" that ", " which ", " who ", " where ", " when "].iter().any(|w| item.contains(w)) {
        return None;
    }
    let value = clean_to(item, 5)?;
    let words: Vec<&str> = value.split(' ').collect();
    let first = words.first()?;
    let adverb = first.ends_with("ly") && !["family", "italy", "jelly"].contains(&first.to_lowercase().as_str());
    let bad = holds(FIRST, first) || adverb || words.iter().any(|w| holds(VERBS, w));
    (!bad && value.chars().count() > 2 && !first.starts_with(|c: char| c.is_ascii_digit())).then_some(value)
}

fn favourite(p: &Phrase<'_>) -> Vec<Fact> {
    let kind = p.group(1).to_lowercase();
    let Some(value) = clean(p.rest().trim_start_matches("definitely ")) else { return Vec::new() };
    if thing(&value).is_none() && !value.starts_with(char::is_uppercase) {
        return Vec::new();
    }
    let last = kind.split(' ').next_back().unwrap_or_default();
    let slot = match last {
        "food" | "foods" | "dish" | "meal" | "fruit" | "dessert" | "snack" | "drink" | "cuisine" => FOODS,
        "movie" | "movies" | "film" | "films" => MOVIES,
        "book" | "books" | "novel" => BOOKS,
        "song" | "band" | "music" | "singer" | "album" => MUSIC,
        "sport" | "sports" | "team" => SPORTS,
        "game" | "games" | "videogame" => GAMES,
        "color" | "colour" | "animal" | "season" | "hobby" | "artist" | "author" | "subject" | "flower" | "city"
        | "place" | "show" | "number" | "actor" | "writer" | "genre" | "activity" | "holiday" | "painter" => LIKES,
        // "My favorite part is …" speaks of something said before.
        _ => return Vec::new(),
    };
    let value = if slot == LIKES { format!("{value} (favourite {kind})") } else { value };
    one(slot, Some(value))
}

/// A plan or a goal, with the date that it names, so that "next month" keeps its meaning.
fn intent(slot: SlotRef, p: &Phrase<'_>) -> Vec<Fact> {
    let clause = p.rest().split(['.', ';', '!', ',', '(', ':', '…', '—']).next().unwrap_or_default();
    let ahead = format!("I will {clause}");
    let date = dates::occurred(&ahead, p.told.said_on).map(|d| format!(" ({d})")).unwrap_or_default();
    let value = clean_to(clause, 10).filter(|v| v.contains(' ') || v.chars().count() > 4);
    one(slot, value.map(|v| format!("{v}{date}")))
}
