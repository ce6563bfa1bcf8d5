//! Edits of the profile: of slots that flushes never write, and of one that they do.

use serde_json::json;
use uuid::Uuid;

use rand::RngExt as _;

use super::client::Reply;
use super::ledger::{Edit, Life, Shared, Slot};
use super::load::Worker;
use super::time::now;

/// The topic of slots that clients alone write. The model is never told anything about it.
pub(crate) const OWN_TOPIC: &str = "client";
/// The slot that the model writes, too.
pub(crate) const SHARED_SLOT: (&str, &str) = ("work", "title");
/// Slots of a user that a client writes.
const SLOTS: usize = 3;

impl Worker {
    /// Adds, changes or deletes a slot that clients alone write.
    pub(crate) fn edit_own_slot(&mut self, user: &Shared) {
        let life = user.lock().life;
        let places: Vec<usize> = {
            let user = user.lock();
            (0..user.slots.len()).filter(|at| user.slots[*at].life == life && user.slots[*at].kept.is_some()).collect()
        };
        if places.len() < SLOTS {
            return self.add_slot(user);
        }
        let place = places[self.luck.random_range(0..places.len())];
        if self.luck.random_bool(0.1) { self.delete_slot(user, place) } else { self.change_slot(user, place) }
    }

    pub(crate) fn add_slot(&mut self, user: &Shared) {
        let (content, (id, life)) = (self.ledger.fresh_words(), user.who());
        let body = json!({"content": content, "attributes": {"topic": OWN_TOPIC, "sub_topic": content}});
        let (_, reply) = self.ask(user, "POST", &format!("/users/profile/{id}"), Some(&body));
        // One of unknown outcome has an id that nobody knows: nothing can be said of it.
        let Reply::Done(data) = reply else { return };
        let id = data["id"].as_str().unwrap().parse().unwrap();
        user.lock().slots.push(Slot { id, life, kept: Some(content), possible: Vec::new() });
    }

    fn change_slot(&mut self, user: &Shared, at: usize) {
        let content = self.ledger.fresh_words();
        let (id, slot) = (user.who().0, user.slot(at).id);
        let path = format!("/users/profile/{id}/{slot}");
        let place = self.place(user);
        let (_, reply) = self.client.ask(place, "PUT", &path, Some(&json!({"content": content, "attributes": null})));
        let is_done = self.settle(user, at, Some(content), &reply);
        if is_done && self.luck.random_bool(0.5) {
            self.reads_its_write(user, at, place);
        }
    }

    fn delete_slot(&mut self, user: &Shared, at: usize) {
        let (id, slot) = (user.who().0, user.slot(at).id);
        let (_, reply) = self.ask(user, "DELETE", &format!("/users/profile/{id}/{slot}"), None);
        self.settle(user, at, None, &reply);
    }

    /// Takes in what came of an edit. True when it was acknowledged.
    fn settle(&mut self, user: &Shared, at: usize, new: Option<String>, reply: &Reply) -> bool {
        let mut user = user.lock();
        let id = user.id;
        let slot = &mut user.slots[at];
        match reply {
            Reply::Done(_) => {
                slot.kept = new;
                return true;
            }
            Reply::NotSent => {}
            Reply::Refused(404, text) if !slot.possible.contains(&None) => {
                self.complaints.add(format!("slot {} of user {id}, which is there, is unknown: {text}", slot.id));
            }
            // It may be done later still, even after one that is acknowledged.
            Reply::Refused(..) | Reply::Lost => slot.possible.push(new),
        }
        false
    }

    /// The server that acknowledged an edit must show it at once.
    fn reads_its_write(&mut self, user: &Shared, at: usize, place: usize) {
        let (id, slot) = (user.who().0, user.slot(at));
        let (process, reply) = self.client.ask(place, "GET", &format!("/users/profile/{id}"), None);
        let Reply::Done(data) = reply else { return };
        let shown = data["profiles"].as_array().unwrap().iter().find(|shown| shown["id"] == slot.id.to_string());
        let shown = shown.map(|shown| shown["content"].as_str().unwrap().to_owned());
        if shown != slot.kept && !slot.possible.contains(&shown) {
            let wanted = slot.kept.as_deref();
            self.complaints
                .add(format!("{process:?} shows {shown:?} after the edit {wanted:?}: user {id}, {}", slot.id));
        }
    }

    /// Changes the slot that flushes write, too, if there is one.
    pub(crate) fn edit_shared_slot(&mut self, user: &Shared) {
        let (id, life) = user.who();
        let (_, Reply::Done(data)) = self.ask(user, "GET", &format!("/users/profile/{id}"), None) else { return };
        let is_shared = |slot: &&serde_json::Value| {
            let attributes = &slot["attributes"];
            attributes["topic"] == SHARED_SLOT.0 && attributes["sub_topic"] == SHARED_SLOT.1
        };
        let Some(found) = data["profiles"].as_array().unwrap().iter().find(is_shared) else { return };
        let slot: Uuid = found["id"].as_str().unwrap().parse().unwrap();
        let content = self.ledger.fresh_words();
        let sent = now();
        let path = format!("/users/profile/{id}/{slot}");
        let (_, reply) = self.ask(user, "PUT", &path, Some(&json!({"content": content, "attributes": null})));
        let is_acknowledged = matches!(reply, Reply::Done(_));
        let mut user = user.lock();
        if user.state == Life::Lives && user.life == life {
            user.edits.push(Edit { life, slot, content, sent, is_acknowledged });
        }
    }
}
