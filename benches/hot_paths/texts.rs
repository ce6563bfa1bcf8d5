//! What is said: varied, and always the same.

use jiff::{SignedDuration, Timestamp};
use memory::blob::{Blob, BlobData, Message, Role};
use memory::event::Gist;
use memory::ids::{EventId, GistId, SlotId};
use memory::profile::{Slot, SlotName};
use uuid::Uuid;

/// Gists of one event.
const EVENT_GISTS: usize = 5;

const WORDS: [&str; 40] = [
    "harbour",
    "festival",
    "sister",
    "wedding",
    "pottery",
    "class",
    "night",
    "shift",
    "piano",
    "Lisbon",
    "garden",
    "fence",
    "driving",
    "test",
    "bakery",
    "interview",
    "chess",
    "club",
    "knee",
    "cat",
    "marathon",
    "recipes",
    "heating",
    "concert",
    "neighbour",
    "train",
    "coffee",
    "report",
    "deadline",
    "holiday",
    "mountain",
    "bicycle",
    "doctor",
    "birthday",
    "guitar",
    "apartment",
    "landlord",
    "flight",
    "museum",
    "soup",
];

fn word(n: usize) -> &'static str {
    // Some words are frequent and others rare, as in any language.
    let spread = n.wrapping_mul(2_654_435_761) >> 7;
    WORDS[spread % WORDS.len() * (spread / WORDS.len() % WORDS.len()) / WORDS.len()]
}

/// A sentence of about 16 words.
pub(crate) fn sentence(n: usize) -> String {
    let [a, b, c, d] = [0, 1, 2, 3].map(|place| word(n * 4 + place));
    format!("I told my friend about the {a} and the {b}, before number {n} of the {c} came with {d}.")
}

/// A chat of two messages.
pub(crate) fn chat(n: usize) -> Blob {
    let message = |role, content| Message { role, alias: None, content, created_at: None };
    let messages = vec![
        message(Role::User, format!("{} {}", sentence(n), sentence(n + 1))),
        message(Role::Assistant, "That sounds like a lot; how do you feel about it today?".to_owned()),
    ];
    Blob { data: BlobData::Chat { messages }, fields: None, created_at: now() }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

/// Slots of a profile: topics of three each.
pub(crate) fn slots(count: usize) -> Vec<Slot> {
    let slot = |n: usize| {
        let name = SlotName::new(&format!("topic {}", n / 3), &format!("sub-topic {}", n % 3));
        let id = SlotId(Uuid::from_u128(n as u128));
        Slot {
            content: format!("cares about the {} and the {}, since 2021", word(n), word(n + 7)),
            ..Slot::new(&name, id, now())
        }
    };
    (0..count).map(slot).collect()
}

/// Gists, newest first, an hour apart.
pub(crate) fn gists(count: usize) -> Vec<Gist> {
    let gist = |n: usize| {
        let at = now() - SignedDuration::from_hours(i64::try_from(n).unwrap());
        Gist {
            id: GistId(Uuid::from_u128(n as u128)),
            event_id: EventId(Uuid::from_u128((n / EVENT_GISTS) as u128)),
            position: u32::try_from(n % EVENT_GISTS).unwrap(),
            text: sentence(n),
            occurred_at: None,
            said_at: Some("2023-11-14".to_owned()),
            sources: Vec::new(),
            created_at: at,
            updated_at: at,
        }
    };
    (0..count).map(gist).collect()
}
