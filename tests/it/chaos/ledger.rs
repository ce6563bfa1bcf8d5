//! What clients sent, and what they were told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use uuid::Uuid;

use super::history::Process;
use super::model::POISON;
use super::time::{Micros, now};

/// What is known of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Acknowledged: it takes effect exactly once.
    Acknowledged,
    /// Answered with an error: it takes effect once or never, and never in a later life.
    Refused,
    /// Not answered, or sent while its user was deleted: it takes effect once or never. The server may have been late.
    Unknown,
}

/// A message: one blob of some lines.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) number: u64,
    /// The life of the user in which it was sent, from 1.
    pub(crate) life: u32,
    pub(crate) lines: Vec<String>,
    pub(crate) process: Option<Process>,
    pub(crate) sent: Micros,
    /// When the answer came.
    pub(crate) answered: Micros,
    pub(crate) fate: Fate,
    pub(crate) blob: Option<Uuid>,
    /// When its deletion was asked for, and acknowledged.
    pub(crate) deletion: Option<(Micros, Option<Micros>)>,
}

/// A slot that clients alone write.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) id: Uuid,
    pub(crate) life: u32,
    /// What the last acknowledged edit made of it; none when that deleted it.
    pub(crate) kept: Option<String>,
    /// What edits of unknown outcome may make of it at any time.
    pub(crate) possible: Vec<Option<String>>,
}

/// An edit of a slot that flushes write, too.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    pub(crate) life: u32,
    pub(crate) slot: Uuid,
    pub(crate) content: String,
    pub(crate) sent: Micros,
    pub(crate) is_acknowledged: bool,
}

/// Whether a user is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    /// It lives.
    Lives,
    /// Its deletion was acknowledged.
    Ended,
    /// A deletion of unknown outcome may end it at any time: no more is asked of it.
    Doomed,
}

/// A user over all its lives.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) number: usize,
    pub(crate) life: u32,
    pub(crate) state: Life,
    /// Grows whenever a deletion or a creation begins, and when it ends: odd in between.
    pub(crate) epoch: u32,
    /// A creation of unknown outcome may make it anew at any time.
    pub(crate) may_come_back: bool,
    pub(crate) messages: Vec<Message>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) edits: Vec<Edit>,
}

/// A user that several clients share.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<User>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, User> {
        self.0.lock().unwrap()
    }

    /// The id and the present life.
    pub(crate) fn who(&self) -> (Uuid, u32) {
        let user = self.lock();
        (user.id, user.life)
    }

    pub(crate) fn slot(&self, at: usize) -> Slot {
        self.lock().slots[at].clone()
    }
}

/// All users of a run.
#[derive(Default)]
pub(crate) struct Ledger {
    users: Mutex<Vec<Shared>>,
    messages: AtomicU64,
    words: AtomicU64,
}

impl Ledger {
    /// A user that nobody has created yet.
    pub(crate) fn new_user(&self, id: Uuid) -> Shared {
        let mut users = self.users.lock().unwrap();
        let user = User {
            id,
            number: users.len(),
            life: 0,
            state: Life::Ended,
            epoch: 0,
            may_come_back: false,
            messages: Vec::new(),
            slots: Vec::new(),
            edits: Vec::new(),
        };
        users.push(Shared(Arc::new(Mutex::new(user))));
        users[users.len() - 1].clone()
    }

    pub(crate) fn users(&self) -> Vec<Shared> {
        self.users.lock().unwrap().clone()
    }

    /// Words that nobody has said before.
    pub(crate) fn fresh_words(&self) -> String {
        format!("works in house {}", self.words.fetch_add(1, Ordering::Relaxed))
    }

    /// A message that is about to be sent; its place among those of the user.
    pub(crate) fn note(&self, user: &mut User, lines: usize, poisoned: bool, tells: bool) -> usize {
        let number = 1 + self.messages.fetch_add(1, Ordering::Relaxed);
        let line = |at: usize| {
            let fact = if tells { format!(" FACT work/title={}", self.fresh_words()) } else { String::new() };
            let poison = if poisoned { POISON } else { "news" };
            format!(
                "This is {poison}, message {number}, line {at}, of user {} in life {}.{fact}",
                user.number, user.life
            )
        };
        user.messages.push(Message {
            number,
            life: user.life,
            lines: (0..lines).map(line).collect(),
            process: None,
            sent: now(),
            answered: Micros::MAX,
            fate: Fate::Unknown,
            blob: None,
            deletion: None,
        });
        user.messages.len() - 1
    }
}

impl User {
    /// The messages by the text of their first lines.
    pub(crate) fn by_text(&self) -> HashMap<&str, &Message> {
        self.messages.iter().map(|message| (message.lines[0].as_str(), message)).collect()
    }
}
