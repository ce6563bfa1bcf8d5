//! What clients ask for that takes several steps: deletions of blobs, retries and drops of dead letters.

use memory::blob::BlobType;
use memory::ids::{BlobId, ClaimToken, FlushId, IdSource, Owner};
use memory::ports::{
    DeadLetter, Due, Entry, FlushOutcome, FlushRecord, FlushResult, Journal, JournalError, Removed, Requeue, Requeued,
    Reseal, Standing, Store, StoredBlob, Take, Taken, Usage,
};

use crate::script::Fault;
use crate::world::{World, now};

/// A call that is under way.
pub(crate) struct Call {
    /// The life of the user at its beginning.
    owner: Owner,
    aim: Aim,
    next: Next,
}

#[derive(Clone, Copy)]
enum Aim {
    NoBlob(BlobId),
    NoLetter(FlushId),
    /// The process tells its actor.
    Retry(usize),
}

/// The step that comes next.
enum Next {
    Read(FlushId),
    /// The batch that the letter was made of goes.
    Forget(FlushId, DeadLetter),
    Requeue(FlushId, DeadLetter),
    /// These leave the journal.
    Remove(Vec<BlobId>),
    Supersede(Vec<BlobId>, FlushId),
    Reseal(Vec<BlobId>, FlushId),
    /// This flush has an outcome.
    Discard(FlushId),
    Store,
}

impl World {
    pub(crate) fn delete_blob(&mut self, pick: usize) {
        // Sealed blobs first: their deletion meets a flush under way.
        let sealed = self.ledger.owners().find_map(|owner| {
            let entries = self.journal.held(owner).1?.entries;
            Some((entries[pick % entries.len()].blob.id, owner.clone()))
        });
        let any = self.ledger.pick(pick);
        if let Some((id, owner)) = sealed.filter(|_| !pick.is_multiple_of(4)).or(any) {
            self.calls.push(Call { owner, aim: Aim::NoBlob(id), next: Next::Remove(vec![id]) });
        }
    }

    pub(crate) fn retry_letter(&mut self, p: usize, pick: usize, steps: usize) {
        if let Some((owner, id)) = self.pick_letter(pick) {
            self.call(Call { owner, aim: Aim::Retry(p), next: Next::Read(id) }, steps);
        }
    }

    pub(crate) fn drop_letter(&mut self, pick: usize, steps: usize) {
        if let Some((owner, id)) = self.pick_letter(pick) {
            self.call(Call { owner, aim: Aim::NoLetter(id), next: Next::Read(id) }, steps);
        }
    }

    fn call(&mut self, call: Call, steps: usize) {
        self.calls.push(call);
        let place = self.calls.len();
        for _ in 0..steps {
            if self.calls.len() == place {
                self.step_call(place - 1, Fault::None);
            }
        }
    }

    /// A worker that none of the processes has: it takes the next batch, and its last attempt fails.
    pub(crate) fn bury(&mut self, u: usize, doc: bool, dies: bool) {
        let Some(owner) = self.living(u) else { return };
        let take = Take {
            blob_type: if doc { BlobType::Doc } else { BlobType::Chat },
            flush_id: FlushId(self.ids.ordered()),
            token: ClaimToken(self.ids.random()),
            lease: self.settings.lease,
            max_tokens: u64::from(self.settings.max_tokens),
            max_blobs: self.settings.max_blobs,
            ignore_backoff: false,
        };
        let Taken::Batch(batch, _) = now(self.journal.take(&owner, &take)).unwrap() else { return };
        self.ledger.know(&owner);
        self.claimed(&owner, take.token);
        let stored = |entry: Entry| StoredBlob { blob: entry.blob, created_at: entry.appended_at };
        let letter = DeadLetter { reason: "no".into(), blobs: batch.entries.into_iter().map(stored).collect() };
        let record = record(FlushOutcome::Dead);
        let decided = now(self.store.end_flush(&owner, batch.flush_id, &record, Some(&letter), self.time())).unwrap();
        if decided.is_none() {
            self.ledger.ended(&owner, batch.flush_id, FlushOutcome::Dead);
        }
        let is_over = decided.is_none_or(|decided| decided.outcome != FlushOutcome::Superseded);
        if is_over && !dies {
            self.discard(&owner, batch.flush_id);
        }
    }

    fn pick_letter(&self, pick: usize) -> Option<(Owner, FlushId)> {
        let living = (0..self.keys.len()).filter_map(|u| self.living(u));
        let of = |owner: Owner| self.store.rows_of(&owner.key).dead.into_keys().map(move |id| (owner.clone(), id));
        let letters: Vec<_> = living.flat_map(of).collect();
        Some(letters[pick.checked_rem(letters.len())?].clone())
    }

    pub(crate) fn abandon_call(&mut self, pick: usize) {
        if !self.calls.is_empty() {
            self.calls.swap_remove(pick % self.calls.len());
        }
    }

    /// One step of a call. With a lost reply the client hears an error, and that was it.
    pub(crate) fn step_call(&mut self, pick: usize, fault: Fault) {
        if self.calls.is_empty() || fault == Fault::Outage {
            return;
        }
        let index = pick % self.calls.len();
        let Call { owner, aim, next } = self.calls.swap_remove(index);
        let heard = fault != Fault::Lost;
        let next = match next {
            Next::Read(id) => self.read_letter(&owner, aim, id),
            Next::Forget(id, letter) => {
                self.discard(&owner, id);
                Some(Next::Requeue(id, letter))
            }
            Next::Requeue(id, letter) => {
                self.requeue(&owner, aim, id, &letter, heard);
                None
            }
            Next::Remove(ids) => Some(self.remove(&owner, aim, ids, heard)),
            Next::Supersede(ids, flush_id) => Some(self.supersede(&owner, ids, flush_id)),
            Next::Reseal(ids, flush_id) => Some(self.reseal_without(&owner, aim, ids, flush_id, heard)),
            Next::Discard(flush_id) => {
                self.discard(&owner, flush_id);
                Some(Next::Store)
            }
            Next::Store => {
                self.drop_from_store(&owner, aim);
                None
            }
        };
        if let Some(next) = next.filter(|_| heard) {
            self.calls.push(Call { owner, aim, next });
        }
    }

    fn read_letter(&mut self, owner: &Owner, aim: Aim, id: FlushId) -> Option<Next> {
        let (_, letter) = now(self.store.dead_letter(&owner.key, id)).unwrap()?;
        if matches!(aim, Aim::Retry(..)) {
            return Some(Next::Forget(id, letter));
        }
        let sealed = now(self.journal.blob_ids(owner, kind(&letter), Standing::Sealed)).unwrap();
        let ids = letter.blobs.iter().map(|stored| stored.blob.id);
        self.ledger.touched.extend(ids.clone());
        Some(Next::Remove(ids.filter(|id| sealed.contains(id)).collect()))
    }

    fn discard(&mut self, owner: &Owner, flush_id: FlushId) {
        now(self.journal.discard(owner, flush_id)).unwrap();
        if self.journal.held(owner).1.is_none() {
            self.ledger.claims.remove(owner);
        }
    }

    fn requeue(&mut self, owner: &Owner, aim: Aim, id: FlushId, letter: &DeadLetter, heard: bool) {
        let blob_type = kind(letter);
        let blobs = letter.blobs.iter().map(|stored| (stored.blob.clone(), stored.created_at)).collect();
        let requeue = Requeue { flush_id: FlushId(self.ids.ordered()), blob_type, blobs };
        match now(self.journal.requeue(owner, &requeue)) {
            Ok(Requeued::Queued) => {}
            Ok(Requeued::Busy) | Err(JournalError::OwnerGone) => return,
            Err(error) => panic!("{error}"),
        }
        let ids: Vec<BlobId> = requeue.blobs.iter().map(|(blob, _)| blob.id).collect();
        // One that was sent again waits, or has been sealed since, and is turned away at its commit: that is no retry.
        let (waiting, open) = self.journal.held(owner);
        let was_sent_again = waiting.iter().any(|entry| ids.contains(&entry.blob.id))
            || open.is_some_and(|open| !open.retried && open.flush_id != id);
        self.ledger.retried(owner, id, &ids, heard && !was_sent_again);
        let u = self.keys.iter().position(|key| *key == owner.key).unwrap();
        if let (Aim::Retry(p), true) = (aim, heard && self.living(u).as_ref() == Some(owner)) {
            self.swept(p, u, &Due { owner: owner.clone(), blob_type });
        }
    }

    fn remove(&mut self, owner: &Owner, aim: Aim, mut ids: Vec<BlobId>, heard: bool) -> Next {
        let Some(id) = ids.pop() else { return Next::Store };
        self.try_deletion(aim);
        match now(self.journal.remove(owner, id)).unwrap() {
            Removed::Waiting(blob_type, level) => {
                self.removed(owner, blob_type, level);
                self.end_deletion(aim, heard);
                Next::Remove(ids)
            }
            Removed::Sealed(flush_id) => {
                ids.push(id);
                Next::Supersede(ids, flush_id)
            }
            Removed::Unknown => Next::Remove(ids),
        }
    }

    fn supersede(&mut self, owner: &Owner, ids: Vec<BlobId>, flush_id: FlushId) -> Next {
        let record = record(FlushOutcome::Superseded);
        let decided = now(self.store.end_flush(owner, flush_id, &record, None, self.time())).unwrap();
        match decided {
            None => self.ledger.ended(owner, flush_id, FlushOutcome::Superseded),
            Some(decided) if decided.outcome != FlushOutcome::Superseded => return Next::Discard(flush_id),
            Some(_) => {}
        }
        Next::Reseal(ids, flush_id)
    }

    fn reseal_without(&mut self, owner: &Owner, aim: Aim, ids: Vec<BlobId>, flush_id: FlushId, heard: bool) -> Next {
        self.try_deletion(aim);
        let new_flush_id = FlushId(self.ids.ordered());
        let reseal = Reseal { flush_id, new_flush_id, drop: ids.clone(), token: None };
        if now(self.journal.reseal(owner, &reseal)).unwrap() {
            self.ledger.claims.remove(owner);
            self.end_deletion(aim, heard);
            return Next::Store;
        }
        Next::Remove(ids)
    }

    /// What is in a letter leaves it for good.
    fn drop_from_store(&mut self, owner: &Owner, aim: Aim) {
        let (time, rows) = (self.time(), self.store.rows_of(&owner.key));
        let mut dead = rows.dead.iter().flat_map(|(id, dead)| dead.letter.blobs.iter().map(move |b| (*id, b.blob.id)));
        match aim {
            Aim::NoBlob(id) => {
                self.try_deletion(aim);
                now(self.store.delete_blob(&owner.key, id, time)).unwrap();
                self.ledger.gone.extend(dead.find(|(_, blob)| *blob == id).map(|(_, blob)| blob));
            }
            Aim::NoLetter(id) => {
                now(self.store.drop_dead_letter(&owner.key, id, time)).unwrap();
                self.ledger.gone.extend(dead.filter(|(letter, _)| *letter == id).map(|(_, blob)| blob));
            }
            Aim::Retry(..) => unreachable!("a retry ends in the journal"),
        }
    }

    /// A blob that is being deleted may be nowhere. Those of a letter that is being dropped are never: until the end the
    /// letter has them.
    fn try_deletion(&mut self, aim: Aim) {
        if let Aim::NoBlob(id) = aim {
            self.ledger.deletion_tried(id);
        }
    }

    fn end_deletion(&mut self, aim: Aim, heard: bool) {
        if let (Aim::NoBlob(id), true) = (aim, heard) {
            self.ledger.deletion_done(id, &self.store);
        }
    }
}

fn record(outcome: FlushOutcome) -> FlushRecord {
    let (result, usage, version) = (FlushResult::default(), Usage::default(), String::new());
    FlushRecord { outcome, result, reason: Some("no".into()), usage, refused: 0, version }
}

fn kind(letter: &DeadLetter) -> BlobType {
    letter.blobs[0].blob.blob_type
}
