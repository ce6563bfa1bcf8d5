//! What was sent, what became of it, and whether it is where it should be.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

const CITIES: [&str; 5] = ["Turin", "Lisbon", "Oslo", "Quito", "Hanoi"];

/// What is known of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Its insert was acknowledged: it takes effect exactly once.
    Acknowledged,
    /// Its insert or its deletion was not answered: it takes effect once or never.
    Unknown,
    /// Its deletion was acknowledged before it took effect: it never does.
    Deleted,
}

/// A message: one blob. Those of a lane were sent one after the other.
#[derive(Clone, Copy, Debug)]
struct Message {
    user: usize,
    lane: usize,
    number: usize,
    fate: Fate,
}

impl Message {
    fn city(&self) -> &'static str {
        CITIES[self.number % CITIES.len()]
    }

    /// Says where the user lives, in words for the rules and in those of the mock model.
    fn text(&self) -> String {
        let Self { user, lane, number, .. } = self;
        let city = self.city();
        let place = format!("message {number} of lane {lane} of user {user}");
        format!("I live in {city}. This is {place}. FACT basic_info/location={city}")
    }
}

/// All messages of a test, in the order of their sending.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Vec<Message>>);

impl Ledger {
    /// Notes a message that is about to be sent. Its place in the ledger, and its text.
    pub(crate) fn note(&self, user: usize, lane: usize) -> (usize, String) {
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = messages.iter().filter(|m| (m.user, m.lane) == (user, lane)).count();
        let message = Message { user, lane, number, fate: Fate::Unknown };
        messages.push(message);
        (messages.len() - 1, message.text())
    }

    pub(crate) fn set(&self, place: usize, fate: Fate) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[place].fate = fate;
    }

    /// How many messages of all users have this fate.
    pub(crate) fn count(&self, fate: Fate) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|m| m.fate == fate).count()
    }

    /// Checks the gists of a user, in the order in which they took effect, and tells the city of the last.
    ///
    /// # Panics
    /// When one is missing, there twice, unknown, or before one that was sent earlier in its lane.
    pub(crate) fn check(&self, user: usize, gists: &[String]) -> Option<&'static str> {
        let messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sent: HashMap<String, Message> =
            messages.iter().filter(|m| m.user == user).map(|m| (m.text(), *m)).collect();
        let mut times: HashMap<&str, usize> = HashMap::new();
        let mut last_of_lane: HashMap<usize, usize> = HashMap::new();
        for gist in gists {
            let message = sent.get(gist).unwrap_or_else(|| panic!("nobody sent {gist:?}"));
            *times.entry(gist).or_default() += 1;
            let before = last_of_lane.insert(message.lane, message.number);
            assert!(before.is_none_or(|b| b <= message.number), "out of order: {gist:?} after {before:?}");
        }
        for (text, message) in &sent {
            let found = times.get(text.as_str()).copied().unwrap_or_default();
            let right = match message.fate {
                Fate::Acknowledged => found == 1,
                Fate::Unknown => found <= 1,
                Fate::Deleted => found == 0,
            };
            assert!(right, "{found} times, but {:?}: {text:?}", message.fate);
        }
        gists.last().map(|last| sent[last].city())
    }
}

#[test]
fn the_ledger_sees_what_is_missing_doubled_misplaced_or_strange() {
    let ledger = Ledger::default();
    let texts: Vec<String> = (0..4).map(|_| ledger.note(0, 0).1).collect();
    ledger.set(0, Fate::Acknowledged);
    ledger.set(1, Fate::Acknowledged);
    ledger.set(3, Fate::Deleted);
    let fails = |places: &[usize]| {
        let gists: Vec<String> = places.iter().map(|p| texts[*p].clone()).collect();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ledger.check(0, &gists))).is_err()
    };
    assert!(!fails(&[0, 1]) && !fails(&[0, 1, 2]));
    for wrong in [&[0][..], &[0, 1, 1], &[1, 0], &[0, 1, 2, 2], &[0, 1, 3]] {
        assert!(fails(wrong), "{wrong:?}");
    }
    assert!(std::panic::catch_unwind(|| Ledger::default().check(0, &["x".to_owned()])).is_err());
}
