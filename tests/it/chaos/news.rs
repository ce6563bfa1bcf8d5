//! What one server acknowledges, and the others show.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::client::{Client, Reply};
use super::ledger::Shared;
use super::load::Worker;

/// Others' changes are shown after so long at most. The rest is for a machine that is busy.
const BOUND: Duration = Duration::from_millis(100 + 400);

impl Worker {
    /// Lets all servers read the memory of a user, changes it by a message and by an edit, and looks whether all of them
    /// show both. To be called when nothing goes wrong.
    pub(crate) fn last_words(&mut self, user: &Shared) {
        let id = user.who().0;
        let is_told = AtomicBool::new(false);
        let reader = self.client.clone();
        let flushed = std::thread::scope(|threads| {
            seen(&reader, user);
            threads.spawn(|| {
                // Who reads nothing for a second is not cached any more.
                while !is_told.load(Ordering::Relaxed) {
                    seen(&reader, user);
                }
            });
            self.add_slot(user);
            self.say(user);
            let (_, flushed) = self.ask(user, "POST", &format!("/users/buffer/{id}/chat?wait_process=true"), None);
            std::thread::sleep(BOUND);
            is_told.store(true, Ordering::Relaxed);
            flushed
        });
        let (slot, line) = {
            let user = user.lock();
            let line = user.messages.last().and_then(|message| message.lines.first().cloned());
            (user.slots.last().and_then(|slot| slot.kept.clone()), line)
        };
        // What was refused has another reason, which is told elsewhere.
        let Reply::Done(_) = flushed else { return };
        for (place, [profile, context]) in seen(&self.client, user).into_iter().enumerate() {
            if slot.as_ref().is_some_and(|slot| !profile.contains(slot.as_str())) {
                self.complaints.add(format!("server {place} does not show the new slot {slot:?} of {id}"));
            }
            if line.as_ref().is_some_and(|line| !context.contains(line.as_str())) {
                self.complaints.add(format!("server {place} does not show the new line {line:?} of {id}"));
            }
        }
    }
}

/// The profile and the context as each server shows them.
fn seen(client: &Client, user: &Shared) -> Vec<[String; 2]> {
    let id = user.who().0;
    let paths = [format!("/users/profile/{id}"), format!("/users/context/{id}?max_token_size=1000000")];
    let show = |place| {
        paths.each_ref().map(|path| match client.ask(place, "GET", path, None).1 {
            Reply::Done(data) => data.to_string(),
            other => format!("{other:?}"),
        })
    };
    (0..client.places()).map(show).collect()
}
