//! Messages: each acknowledged one in exactly one event or dead letter, in order, and of this life of its user.

use std::collections::HashMap;

use serde_json::Value;

use super::{Complaints, Rules};
use crate::chaos::ledger::{Fate, Life, Message, User};
use crate::chaos::plan::Mode;
use crate::chaos::truth::{Event, Held};

/// A message that took effect, and the event that tells of it.
type Effect<'a> = (&'a Message, &'a Event);

pub(super) fn check(user: &User, held: &Held, rules: &Rules, complaints: &mut Complaints) {
    match (user.state, held.incarnation) {
        (Life::Lives, None) => complaints.add("the user is gone, whom nobody deleted"),
        (Life::Ended | Life::Doomed, Some(_)) if !user.may_come_back => complaints.add("a deleted user is still there"),
        _ => {}
    }
    let effects = effects(user, held, complaints);
    let dead = dead(user, held, complaints);
    let mut times = HashMap::<u64, usize>::new();
    for message in effects.iter().map(|(message, _)| *message).chain(dead) {
        *times.entry(message.number).or_default() += 1;
    }
    for message in &user.messages {
        count(user, message, times.get(&message.number).copied().unwrap_or_default(), rules, complaints);
    }
    for effect in &effects {
        belongs(held, effect, rules, complaints);
    }
    order(&effects, rules, complaints);
    flushes(held, complaints);
}

/// What took effect, in order.
fn effects<'a>(user: &'a User, held: &'a Held, complaints: &mut Complaints) -> Vec<Effect<'a>> {
    let known = user.by_text();
    let mut effects = Vec::new();
    for event in &held.events {
        let mut gists = event.gists.as_slice();
        while let Some(first) = gists.first() {
            let Some(message) = known.get(first.as_str()) else {
                complaints.add(format!("event {} holds what is no message's beginning: {first:?}", event.id));
                break;
            };
            if !gists.starts_with(&message.lines) {
                complaints.about(message, format!("event {} does not hold all of its lines", event.id));
                break;
            }
            gists = &gists[message.lines.len()..];
            effects.push((*message, event));
        }
    }
    effects
}

/// What was set aside.
fn dead<'a>(user: &'a User, held: &Held, complaints: &mut Complaints) -> Vec<&'a Message> {
    let known = user.by_text();
    let mut dead = Vec::new();
    for blob in &held.dead {
        let payload: Value = serde_json::from_str(&blob.payload).unwrap_or_default();
        let text = payload["data"]["messages"][0]["content"].as_str().unwrap_or_default();
        match known.get(text) {
            Some(message) if blob.reason.is_empty() => complaints.about(message, "set aside without a reason"),
            Some(message) => dead.push(*message),
            None => complaints.add(format!("a dead letter holds what nobody sent: {text:?}")),
        }
    }
    dead
}

/// Whether a message is there as often as it should be.
fn count(user: &User, message: &Message, times: usize, rules: &Rules, complaints: &mut Complaints) {
    if times > 1 {
        complaints.about(message, format!("there {times} times"));
    }
    let lives = user.state == Life::Lives && message.life == user.life;
    if times > 0 && !lives && message.fate != Fate::Unknown {
        complaints.about(message, "there, though its user was deleted since");
    }
    let must = lives && message.fate == Fate::Acknowledged && message.deletion.is_none();
    if must && times == 0 && !rules.may_be_lost(message) {
        complaints.about(message, "acknowledged, and nowhere");
    }
}

/// Whether a message took effect where and when it could.
fn belongs(held: &Held, (message, event): &Effect<'_>, rules: &Rules, complaints: &mut Complaints) {
    if let Some(blob) = message.blob {
        let applied = held.applied.get(&blob);
        if applied != event.flush.as_ref() {
            complaints
                .about(message, format!("noted as applied by {applied:?}, and told by an event of {:?}", event.flush));
        }
    }
    // An older journal brings back what was deleted from it.
    if rules.mode == Mode::Always
        && let Some((_, Some(deleted))) = message.deletion
        && event.created > deleted
    {
        complaints.about(message, "took effect after its deletion was acknowledged");
    }
}

/// Whether messages took effect in the order of their acknowledgement: one that was acknowledged before another was
/// sent comes before it.
///
/// A message that the journal has lost may still take effect, when a worker has read it before: that may then be after
/// messages that came later.
fn order(effects: &[Effect<'_>], rules: &Rules, complaints: &mut Complaints) {
    let mut latest: Option<&Message> = None;
    for (message, _) in effects {
        if let Some(before) = latest
            && message.fate == Fate::Acknowledged
            && message.answered < before.sent
            && !rules.may_be_lost(message)
        {
            complaints.about(message, format!("took effect after message {}, which was sent later", before.number));
        }
        if latest.is_none_or(|before| before.sent < message.sent) {
            latest = Some(message);
        }
    }
}

/// Whether each event is that of one committed flush.
fn flushes(held: &Held, complaints: &mut Complaints) {
    let mut seen = HashMap::new();
    for event in &held.events {
        let outcome = event.flush.and_then(|flush| held.flushes.get(&flush)).map(String::as_str);
        if outcome != Some("committed") {
            complaints.add(format!("event {} is of a flush that ended as {outcome:?}", event.id));
        }
        if let Some(other) = seen.insert(event.flush, event.id) {
            complaints.add(format!("events {other} and {} are of the same flush", event.id));
        }
    }
}
