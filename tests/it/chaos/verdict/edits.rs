//! Edits of the profile: acknowledged ones are kept.

use std::collections::HashMap;

use super::Complaints;
use crate::chaos::answers::Recorded;
use crate::chaos::edits::OWN_TOPIC;
use crate::chaos::ledger::{Life, User};
use crate::chaos::model::Call;
use crate::chaos::truth::{Held, Revision};

/// Slots that clients alone write hold what the last acknowledged edit wrote, or one of unknown outcome.
pub(super) fn check_own(user: &User, held: &Held, complaints: &mut Complaints) {
    for slot in &user.slots {
        let found = held.slots.iter().find(|(id, ..)| *id == slot.id).map(|(_, _, content)| content.clone());
        if user.state != Life::Lives || slot.life != user.life {
            if found.is_some() {
                complaints.add(format!("slot {} is there, though its user was deleted since", slot.id));
            }
        } else if found != slot.kept && !slot.possible.contains(&found) {
            let (id, kept) = (slot.id, &slot.kept);
            complaints.add(format!("slot {id} holds {found:?}, and the last acknowledged edit made it {kept:?}"));
        }
    }
    let strange = |(id, topic, _): &&(_, String, _)| topic == OWN_TOPIC && !held.revisions.contains_key(id);
    if let Some((id, ..)) = held.slots.iter().find(strange) {
        complaints.add(format!("slot {id} has no history"));
    }
}

/// A slot that flushes write, too, keeps a client's value until a later edit, or a flush that began after it. The model
/// is asked after the profile was read: a flush all of whose calls came before the edit was sent has not seen it.
pub(crate) fn check_shared(
    user: &User,
    held: &Held,
    recorded: &HashMap<uuid::Uuid, Vec<&Recorded>>,
    calls: &HashMap<&[String], Vec<&Call>>,
    complaints: &mut Complaints,
) {
    for edit in user.edits.iter().filter(|edit| edit.life == user.life && user.state == Life::Lives) {
        let revisions = held.revisions.get(&edit.slot).map(Vec::as_slice).unwrap_or_default();
        let by_client = |r: &Revision| r.author == "client" && r.content == edit.content;
        let Some(place) = revisions.iter().position(by_client) else {
            if edit.is_acknowledged {
                complaints.add(format!("the edit {:?} of slot {} is nowhere", edit.content, edit.slot));
            }
            continue;
        };
        let next = revisions[place + 1..].iter().find(|r| r.action != "overruled");
        let Some(flush) = next.filter(|r| r.author == "flush").and_then(|r| r.flush) else { continue };
        let answers = recorded.get(&flush).map(Vec::as_slice).unwrap_or_default();
        let last_call = answers.iter().filter_map(|answer| calls.get(answer.lines.as_slice())).flatten();
        if last_call.map(|call| call.received).max().is_some_and(|last| last < edit.sent) {
            let (content, slot) = (&edit.content, edit.slot);
            complaints.add(format!("flush {flush} began before the edit {content:?} of slot {slot}, and overwrote it"));
        }
    }
    for (id, topic, content) in &held.slots {
        let last = held.revisions.get(id).and_then(|all| all.iter().rfind(|r| r.action != "overruled"));
        if last.is_none_or(|last| last.content != *content) {
            complaints.add(format!("slot {id} of {topic} holds {content:?}, and its history ends with {last:?}"));
        }
    }
}
