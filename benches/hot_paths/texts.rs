//! What is said: varied, and always the same.

use memory::blob::{Blob, BlobData, Message, Role};
use memory::event::Gist;
use memory::ids::SlotId;
use memory::profile::{Slot, SlotName};
use uuid::Uuid;

use crate::made;
pub(crate) use crate::made::now;

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
    made::gists((0..count).map(sentence))
}
