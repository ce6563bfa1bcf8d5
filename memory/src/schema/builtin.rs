//! The built-in topics. The first eight bear the names of those of Memobase, so that a project which moves over
//! finds its own. What the built-in extraction rules write is among them.

use super::{Schema, SubTopic, Topic};

/// A sub-topic and what belongs there.
type Entry = (&'static str, &'static str);

/// Topics in order: name, what belongs there, sub-topics.
const TOPICS: [(&str, &str, &[Entry]); 13] = [
    ("basic_info", "Who the user is", BASIC_INFO),
    ("contact_info", "How to reach the user", CONTACT_INFO),
    ("education", "Where and what the user has learned", EDUCATION),
    ("demographics", "The user's place in society", DEMOGRAPHICS),
    ("work", "What the user does for a living", WORK),
    ("interest", "What the user enjoys or avoids", INTEREST),
    ("psychological", "How the user thinks and feels", PSYCHOLOGICAL),
    ("life_event", "Turning points of the user's life", LIFE_EVENT),
    ("family", "The user's relatives and pets, with names and what is known of them", FAMILY),
    ("relationships", "People close to the user who are no relatives", RELATIONSHIPS),
    ("health", "The user's body and well-being", HEALTH),
    ("lifestyle", "How the user lives from day to day", LIFESTYLE),
    ("belongings", "Things of some weight that the user owns", BELONGINGS),
];

const BASIC_INFO: &[Entry] = &[
    ("name", "Full name, as the user gives it"),
    ("nickname", "What the user likes to be called"),
    ("age", "Age in years, with the date on which it was said"),
    ("gender", "Gender, as the user names it"),
    ("pronouns", "Pronouns to use for the user"),
    ("birth_date", "Date of birth, or the part of it that is known"),
    ("location", "Where the user lives now"),
    ("origin", "Where the user comes from"),
    ("birthplace", "Where the user was born"),
    ("nationality", "Country of citizenship"),
    ("ethnicity", "Ethnic background, if the user mentions it"),
    ("language_spoken", "Languages, and how well the user speaks them"),
];

const CONTACT_INFO: &[Entry] = &[
    ("email", "E-mail address"),
    ("phone", "Telephone number"),
    ("address", "Postal address"),
    ("city", "City of residence"),
    ("country", "Country of residence"),
    ("social_media", "Accounts on social networks"),
    ("website", "The user's own web site"),
];

const EDUCATION: &[Entry] = &[
    ("school", "Schools and universities attended"),
    ("degree", "Degrees earned or aimed at"),
    ("major", "Field of study"),
    ("graduation", "When the user finished, or expects to"),
    ("courses", "Classes and trainings taken"),
];

const DEMOGRAPHICS: &[Entry] = &[
    ("marital_status", "Single, engaged, married, divorced, widowed …"),
    ("number_of_children", "How many children the user has"),
    ("household_income", "What the household earns"),
    ("household", "Who lives under the same roof"),
    ("religion", "Faith or denomination"),
];

const WORK: &[Entry] = &[
    ("company", "Present employer or own business"),
    ("title", "Present position or profession"),
    ("industry", "Line of business"),
    ("location", "Where the user works"),
    ("working_since", "Since when the user has had the present position"),
    ("previous_jobs", "Positions and employers of the past"),
    ("previous_projects", "Projects of the past"),
    ("projects", "What the user works on now"),
    ("work_skills", "Skills and tools used at work"),
    ("colleagues", "Colleagues and superiors, by name"),
    ("career_goals", "What the user wants to reach at work"),
];

const INTEREST: &[Entry] = &[
    ("likes", "Anything liked that fits no other slot"),
    ("dislikes", "Anything disliked or avoided"),
    ("hobbies", "Pastimes"),
    ("books", "Books and authors"),
    ("movies", "Films, series and directors"),
    ("music", "Musicians, genres, instruments played"),
    ("foods", "Favourite dishes, drinks and restaurants"),
    ("sports", "Sports done or followed"),
    ("games", "Video, board and other games"),
    ("travel", "Places visited or dreamt of"),
    ("learning", "What the user learns for pleasure"),
    ("art", "Painting, crafts, theatre and the like"),
    ("favorites", "Favourite colour, season, number and other small things"),
];

const PSYCHOLOGICAL: &[Entry] = &[
    ("personality", "Traits of character"),
    ("values", "What the user holds important"),
    ("beliefs", "Convictions and views of the world"),
    ("motivations", "What drives the user"),
    ("goals", "What the user wants to become or reach in life"),
    ("emotional_state", "Moods that last, and their reasons"),
    ("fears", "What the user is afraid of or worried about"),
];

const LIFE_EVENT: &[Entry] = &[
    ("marriage", "Engagements, weddings, separations"),
    ("birth", "Children born or adopted"),
    ("relocation", "Moves from one home to another"),
    ("career_change", "New jobs, promotions, lay-offs"),
    ("graduation", "Exams passed and schools finished"),
    ("retirement", "The end of working life"),
    ("loss", "Deaths and other losses"),
    ("achievement", "Prizes, records, things made or finished"),
    ("plans", "What the user is going to do, with dates"),
];

const FAMILY: &[Entry] = &[
    ("wife", "The user's wife"),
    ("husband", "The user's husband"),
    ("partner", "Boyfriend, girlfriend or partner in life"),
    ("children", "The children, when spoken of together"),
    ("son", "Sons"),
    ("daughter", "Daughters"),
    ("mother", "Mother"),
    ("father", "Father"),
    ("siblings", "Brothers and sisters, when spoken of together"),
    ("brother", "Brothers"),
    ("sister", "Sisters"),
    ("grandmother", "Grandmothers"),
    ("grandfather", "Grandfathers"),
    ("grandchildren", "Children of the user's children"),
    ("relatives", "Uncles, aunts, cousins, in-laws and others"),
    ("pets", "Animals that live with the user, with kind, name and age"),
];

const RELATIONSHIPS: &[Entry] = &[
    ("friends", "Friends, with names and what ties them"),
    ("neighbors", "People next door"),
    ("roommates", "People who share the user's home"),
    ("important_dates", "Birthdays and anniversaries of others"),
];

const HEALTH: &[Entry] = &[
    ("conditions", "Illnesses and disabilities"),
    ("allergies", "What the user must not eat, take or touch"),
    ("medication", "Medicines taken"),
    ("diet", "Vegetarian, halal, low-salt …"),
    ("injuries", "Injuries and operations"),
    ("sleep", "Sleep and its troubles"),
    ("height", "Height of the body"),
    ("weight", "Weight of the body"),
    ("mental_health", "Diagnoses, therapy, what helps"),
];

const LIFESTYLE: &[Entry] = &[
    ("habits", "What the user does again and again"),
    ("routine", "How days and weeks usually go"),
    ("exercise", "Sport and movement in daily life"),
    ("transport", "How the user gets around"),
    ("home", "House or flat, and how it is"),
    ("substances", "Tobacco, alcohol and the like, or doing without"),
];

const BELONGINGS: &[Entry] = &[
    ("vehicle", "Car, motorcycle, bicycle, boat"),
    ("devices", "Computers, telephones and other machines"),
    ("instruments", "Musical instruments"),
    ("other", "Other things worth knowing of"),
];

impl Default for Schema {
    /// The built-in topics.
    fn default() -> Self {
        let sub_topic =
            |(name, text): &Entry| SubTopic { name: (*name).to_owned(), description: Some((*text).to_owned()) };
        let topic = |(name, text, entries): &(&str, &str, &[Entry])| Topic {
            name: (*name).to_owned(),
            description: Some((*text).to_owned()),
            sub_topics: entries.iter().map(sub_topic).collect(),
        };
        Self { topics: TOPICS.iter().map(topic).collect() }
    }
}
