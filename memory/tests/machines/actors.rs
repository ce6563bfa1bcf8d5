//! The processes: one buffer per user, at most one flush each, and those who wait.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use memory::blob::{BlobType, NewBlob};
use memory::buffer::{Effect, FlushEnd, UserBuffer, Waited, WaiterId};
use memory::flush::Flush;
use memory::ids::{BlobId, Owner};
use memory::ports::{Append, Due, Journal, JournalError, Level};
use memory::testing::WordCounter;

use crate::flush::Run;
use crate::script::{Fault, Mood};
use crate::world::{LIMITS, World, now};

/// A process. To crash it, put a new one in its place.
#[derive(Default)]
pub(crate) struct Process {
    pub(crate) actors: BTreeMap<usize, Actor>,
    /// Flushes that go on although their user was deleted here.
    pub(crate) orphans: Vec<Run>,
}

impl Process {
    pub(crate) fn is_at_rest(&self) -> bool {
        self.orphans.is_empty() && self.actors.values().all(Actor::is_at_rest)
    }
}

/// One user in one process.
pub(crate) struct Actor {
    pub(crate) owner: Owner,
    pub(crate) buffer: UserBuffer,
    pub(crate) run: Option<Run>,
    late: Vec<Late>,
    retries: Vec<Timestamp>,
    waiters: BTreeMap<WaiterId, Waiting>,
}

/// The reply to an append that is still on its way.
struct Late {
    blob_type: BlobType,
    sent_at: u64,
    reply: Append,
    waits: bool,
}

/// Somebody who waits, for blobs that were acknowledged before.
pub(crate) struct Waiting {
    blobs: Vec<BlobId>,
}

impl Actor {
    fn is_at_rest(&self) -> bool {
        let rests = self.run.is_none() && self.late.is_empty() && self.waiters.is_empty() && self.retries.is_empty();
        assert!(!rests || self.buffer.is_idle(), "a wake-up was lost: {:?}", self.buffer);
        rests
    }
}

impl World {
    /// The actor of a user; made, with what the journal holds, if there is none.
    fn activate(&mut self, p: usize, u: usize) -> Option<&mut Actor> {
        if !self.processes[p].actors.contains_key(&u) {
            let owner = self.living(u)?;
            let mut buffer = UserBuffer::new(LIMITS);
            buffer.loaded(now(self.journal.levels(&owner)).unwrap());
            self.ledger.know(&owner);
            let (late, retries, waiters) = (Vec::new(), Vec::new(), BTreeMap::new());
            self.processes[p].actors.insert(u, Actor { owner, buffer, run: None, late, retries, waiters });
        }
        self.processes[p].actors.get_mut(&u)
    }

    pub(crate) fn append(&mut self, p: usize, u: usize, blob: &NewBlob, fault: Fault, late: bool, waits: bool) {
        let blob_type = blob.blob_type;
        let Some(actor) = self.activate(p, u) else { return };
        let owner = actor.owner.clone();
        let Ok(sent_at) = actor.buffer.admit(blob_type) else {
            // Full: make room. What fills it may have been flushed by another process meanwhile.
            let effects = actor.buffer.sweep(blob_type);
            return self.carry_out(p, u, effects);
        };
        self.ledger.sent(&owner, blob);
        if fault == Fault::Outage {
            return;
        }
        let reply = match now(self.journal.append(&owner, blob)) {
            Ok(reply) => reply,
            Err(JournalError::OwnerGone) => return self.close(p, u),
            Err(error) => panic!("{error}"),
        };
        self.ledger.appended(blob.id, reply.seq, fault == Fault::None);
        if fault == Fault::None {
            let actor = self.processes[p].actors.get_mut(&u).unwrap();
            actor.late.push(Late { blob_type, sent_at, reply, waits });
            if !late {
                self.deliver(p, u, usize::MAX);
            }
        }
    }

    /// A client that never heard sends the same blob again, perhaps elsewhere.
    pub(crate) fn resend(&mut self, p: usize, pick: usize, fault: Fault) {
        if let Some((blob_id, owner)) = self.ledger.pick(pick) {
            let u = self.keys.iter().position(|k| *k == owner.key).unwrap();
            // To another life of the user it is another blob.
            if self.activate(p, u).is_some_and(|actor| actor.owner == owner) {
                let blob = self.ledger.blobs[&blob_id].blob.clone();
                self.append(p, u, &blob, fault, false, false);
            }
        }
    }

    /// A reply arrives; `usize::MAX` is the newest.
    pub(crate) fn deliver(&mut self, p: usize, u: usize, pick: usize) {
        let Some(actor) = self.processes[p].actors.get_mut(&u) else { return };
        if actor.late.is_empty() {
            return;
        }
        let last = actor.late.len() - 1;
        let reply = actor.late.remove(if pick == usize::MAX { last } else { pick % actor.late.len() });
        let id = self.tick * 100 + 1;
        let blobs = self.ledger.acknowledged(&actor.owner, reply.blob_type, reply.reply.seq);
        let waiter = reply.waits.then_some(id);
        let (waits, effects) = actor.buffer.appended(reply.blob_type, reply.sent_at, &reply.reply, waiter);
        if waits && reply.waits {
            actor.waiters.insert(id, Waiting { blobs });
        }
        self.carry_out(p, u, effects);
    }

    pub(crate) fn request(&mut self, p: usize, u: usize, blob_type: BlobType, waits: bool) {
        let Some(actor) = self.activate(p, u) else { return };
        let owner = actor.owner.clone();
        let levels = now(self.journal.levels(&owner)).unwrap();
        let id = self.tick * 100;
        let blobs = self.ledger.acknowledged(&owner, blob_type, u64::MAX);
        let actor = self.processes[p].actors.get_mut(&u).unwrap();
        if waits {
            // Other processes append too: who waits wants all of it.
            actor.buffer.loaded(levels);
        }
        let Ok(effects) = actor.buffer.request(blob_type, waits.then_some(id)) else { return };
        if waits {
            actor.waiters.insert(id, Waiting { blobs });
        }
        self.carry_out(p, u, effects);
    }

    pub(crate) fn forget(&mut self, p: usize, u: usize) {
        let Some(actor) = self.processes[p].actors.get_mut(&u) else { return };
        if let Some((id, _)) = actor.waiters.pop_first() {
            actor.buffer.forget(id);
        }
    }

    pub(crate) fn swept(&mut self, p: usize, u: usize, due: &Due) {
        let alive = self.activate(p, u).is_some_and(|actor| actor.owner == due.owner);
        if alive {
            let actor = self.processes[p].actors.get_mut(&u).unwrap();
            let effects = actor.buffer.sweep(due.blob_type);
            self.carry_out(p, u, effects);
        } else if !self.processes[p].orphans.iter().any(|run| run.owner == due.owner) {
            // A life that is over: its flush ends as cancelled.
            let run = self.new_run(due.owner.clone(), due.blob_type, false);
            self.processes[p].orphans.push(run);
        }
    }

    pub(crate) fn removed(&mut self, owner: &Owner, blob_type: BlobType, level: Level) {
        let actors = self.processes.iter_mut().flat_map(|p| p.actors.values_mut());
        // The process that the client asked; which one, does not matter.
        if let Some(actor) = actors.into_iter().find(|a| a.owner == *owner) {
            actor.buffer.removed(blob_type, level);
        }
    }

    pub(crate) fn retry_due(&mut self, p: usize) {
        let time = self.time();
        let users: Vec<usize> = self.processes[p].actors.keys().copied().collect();
        for u in users {
            let actor = self.processes[p].actors.get_mut(&u).unwrap();
            let before = actor.retries.len();
            actor.retries.retain(|at| *at > time);
            if actor.retries.len() < before {
                let effects = actor.buffer.retry();
                self.carry_out(p, u, effects);
            }
        }
    }

    /// Ends an actor because its user is gone.
    pub(crate) fn close(&mut self, p: usize, u: usize) {
        let Some(actor) = self.processes[p].actors.get_mut(&u) else { return };
        let effects = actor.buffer.close("the user is gone");
        self.carry_out(p, u, effects);
        let actor = self.processes[p].actors.remove(&u).unwrap();
        assert!(actor.waiters.is_empty(), "somebody waits for ever");
        self.processes[p].orphans.extend(actor.run);
    }

    fn new_run(&self, owner: Owner, blob_type: BlobType, ignore_backoff: bool) -> Run {
        let (settings, clock, ids) = (self.settings.clone(), self.clock.clone(), self.ids.clone());
        let counter = std::sync::Arc::new(WordCounter);
        let flush = Flush::new(owner.clone(), blob_type, ignore_backoff, settings, clock, ids, counter);
        Run::new(owner, flush)
    }

    fn carry_out(&mut self, p: usize, u: usize, effects: Vec<Effect>) {
        for effect in effects {
            let time = self.time();
            let owner = self.processes[p].actors[&u].owner.clone();
            match effect {
                Effect::Flush { blob_type, ignore_backoff } => {
                    let run = self.new_run(owner, blob_type, ignore_backoff);
                    let before = self.processes[p].actors.get_mut(&u).unwrap().run.replace(run);
                    assert!(before.is_none(), "two flushes of one user in one process");
                }
                Effect::RetryIn(wait) => {
                    let at = time.checked_add(SignedDuration::try_from(wait).unwrap()).unwrap();
                    self.processes[p].actors.get_mut(&u).unwrap().retries.push(at);
                }
                Effect::Answer(id, waited) => {
                    let waiting = self.processes[p].actors.get_mut(&u).unwrap().waiters.remove(&id);
                    let waiting = waiting.expect("an answer to nobody, or a second one");
                    if matches!(waited, Waited::Done(_)) {
                        self.ledger.waited(&owner, &waiting.blobs, &self.store);
                    }
                }
            }
        }
    }

    /// One step of the flush of a user in a process.
    pub(crate) fn step(&mut self, p: usize, u: usize, fault: Fault, mood: Mood) {
        let Some(actor) = self.processes[p].actors.get_mut(&u) else { return };
        let Some(mut run) = actor.run.take() else { return };
        let end = self.advance(&mut run, fault, mood);
        let actor = self.processes[p].actors.get_mut(&u).unwrap();
        let Some(end) = end else {
            actor.run = Some(run);
            return;
        };
        let gone = end == FlushEnd::Cancelled;
        let effects = actor.buffer.ended(end);
        self.carry_out(p, u, effects);
        if gone {
            self.close(p, u);
        }
    }

    pub(crate) fn step_orphan(&mut self, p: usize, pick: usize, fault: Fault) {
        let count = self.processes[p].orphans.len();
        if count > 0 {
            let mut run = self.processes[p].orphans.swap_remove(pick % count);
            if self.advance(&mut run, fault, Mood::Good).is_none() {
                self.processes[p].orphans.push(run);
            }
        }
    }

    /// Everything that can be done without the clock.
    pub(crate) fn settle(&mut self, p: usize) {
        while !self.processes[p].orphans.is_empty() {
            self.step_orphan(p, 0, Fault::None);
        }
        for u in 0..self.keys.len() {
            let mut steps = 0;
            while self.processes[p].actors.get(&u).is_some_and(|a| a.run.is_some() || !a.late.is_empty()) {
                self.deliver(p, u, 0);
                self.step(p, u, Fault::None, Mood::Good);
                steps += 1;
                assert!(steps < 2_000, "flushes without end");
            }
        }
    }

    pub(crate) fn renew(&mut self, p: usize, u: usize) {
        let Some(run) = self.processes[p].actors.get(&u).and_then(|a| a.run.as_ref()) else { return };
        let (Some((flush_id, token)), owner, lease) = (run.flush.claim(), run.owner.clone(), self.settings.lease)
        else {
            return;
        };
        if now(self.journal.renew(&owner, flush_id, token, lease)).unwrap() {
            self.claimed(&owner, token);
        }
    }
}
