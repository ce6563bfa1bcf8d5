//! Whether everything is where it should be.

mod calls;
mod edits;
mod messages;

use std::fmt::Write as _;

use uuid::Uuid;

use super::history::{History, Loss};
use super::ledger::{Message, User};
use super::plan::Mode;
use super::time::{SECOND, shown};
use super::truth::Held;

pub(crate) use calls::{repeated_calls, rival_calls};

/// Something that is wrong.
#[derive(Debug)]
pub(crate) struct Complaint {
    pub(crate) user: Uuid,
    /// The message that it is about.
    pub(crate) message: Option<u64>,
    pub(crate) what: String,
}

/// What the checks go by.
pub(crate) struct Rules {
    pub(crate) mode: Mode,
    pub(crate) losses: Vec<Loss>,
}

impl Rules {
    /// Whether the journal may have forgotten a message after it was acknowledged.
    fn may_be_lost(&self, message: &Message) -> bool {
        self.losses.iter().any(|loss| message.answered >= loss.from && message.sent <= loss.at)
    }
}

/// Checks all of one user but the calls of the model.
pub(crate) fn check(user: &User, held: &Held, rules: &Rules) -> Vec<Complaint> {
    let mut complaints = Complaints { user: user.id, all: Vec::new() };
    messages::check(user, held, rules, &mut complaints);
    edits::check_own(user, held, &mut complaints);
    complaints.all
}

pub(crate) use edits::check_shared;

/// The complaints about one user.
pub(crate) struct Complaints {
    user: Uuid,
    pub(crate) all: Vec<Complaint>,
}

impl Complaints {
    pub(crate) fn new(user: Uuid) -> Self {
        Self { user, all: Vec::new() }
    }

    fn add(&mut self, what: impl Into<String>) {
        self.all.push(Complaint { user: self.user, message: None, what: what.into() });
    }

    fn about(&mut self, message: &Message, what: impl Into<String>) {
        self.all.push(Complaint { user: self.user, message: Some(message.number), what: what.into() });
    }
}

/// All that is known of what a complaint is about, for people.
pub(crate) fn explain(complaint: &Complaint, user: &User, held: &Held, history: &History) -> String {
    let mut text = format!("user {} ({}), life {}: {}\n", complaint.user, user.number, user.life, complaint.what);
    let Some(message) = user.messages.iter().find(|m| Some(m.number) == complaint.message) else { return text };
    let Message { number, life, process, sent, answered, fate, blob, deletion, .. } = message;
    let _ = writeln!(text, "  message {number} of life {life}, blob {blob:?}: {fate:?} by {process:?}");
    let _ = writeln!(text, "  sent {}, answered {}", shown(*sent), shown(*answered));
    if let Some((asked, done)) = deletion {
        let _ = writeln!(text, "  its deletion was asked for {}, acknowledged {:?}", shown(*asked), done.map(shown));
    }
    for event in held.events.iter().filter(|event| event.gists.contains(&message.lines[0])) {
        let _ = writeln!(text, "  in event {} of flush {:?}, planned {}", event.id, event.flush, shown(event.created));
    }
    for dead in held.dead.iter().filter(|dead| dead.payload.contains(&message.lines[0])) {
        let _ = writeln!(text, "  in a dead letter: {}", dead.reason);
    }
    if let Some(flush) = blob.and_then(|blob| held.applied.get(&blob)) {
        let _ = writeln!(text, "  applied by flush {flush}: {:?}", held.flushes.get(flush));
    }
    for line in history.between(sent - 3 * SECOND, answered.saturating_add(10 * SECOND).min(sent + 20 * SECOND)) {
        let _ = writeln!(text, "    {line}");
    }
    text
}
