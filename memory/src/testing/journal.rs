use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::faults::{Injected, Shared};
use crate::blob::{BlobType, NewBlob};
use crate::ids::{BlobId, ClaimToken, FlushId, Owner};
use crate::ports::{
    Append, Batch, Clock, Due, Entry, Holding, Journal, JournalError, Level, Release, Removed, Requeue, Requeued,
    Reseal, Standing, Take, Taken,
};

/// A journal in memory. Clones share what they hold.
#[derive(Clone)]
pub struct MemoryJournal {
    clock: Arc<dyn Clock>,
    shared: Shared<State>,
}

/// What a [`MemoryJournal`] held at one instant.
#[derive(Clone, Debug)]
pub struct JournalSnapshot(State);

#[derive(Clone, Debug, Default)]
struct State {
    shelves: BTreeMap<Owner, Shelf>,
    gone: BTreeSet<Owner>,
}

/// All that is kept of one owner.
#[derive(Clone, Debug, Default)]
struct Shelf {
    buffers: BTreeMap<BlobType, Buffer>,
    open: Option<Open>,
}

#[derive(Clone, Debug, Default)]
struct Buffer {
    last_seq: u64,
    waiting: VecDeque<Entry>,
}

#[derive(Clone, Debug)]
struct Open {
    batch: Batch,
    /// The last claim that was not given back, expired or not.
    claim: Option<ClaimToken>,
    /// When the claim expires or, without one, when the wait is over.
    ready_at: Timestamp,
}

impl MemoryJournal {
    /// An empty journal that tells the time by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, shared: Shared::default() }
    }

    /// All that it holds now.
    pub fn snapshot(&self) -> JournalSnapshot {
        self.shared.inspect(|state| JournalSnapshot(state.clone()))
    }

    /// Goes back to what it held then: a journal that comes back older than it was.
    pub fn restore(&self, snapshot: JournalSnapshot) {
        self.shared.inspect(|state| *state = snapshot.0);
    }

    /// The next `calls` fail as unavailable before they act.
    pub fn fail_next(&self, calls: u32) {
        self.shared.fail_next(calls);
    }

    /// The next `calls` act, and then fail as unavailable: outcome unknown.
    pub fn fail_after_next(&self, calls: u32) {
        self.shared.fail_after_next(calls);
    }

    /// Everything that is held of an owner, over all types: the waiting blobs, and the open batch.
    pub fn held(&self, owner: &Owner) -> (Vec<Entry>, Option<Batch>) {
        self.shared.inspect(|state| match state.shelves.get(owner) {
            Some(shelf) => {
                let waiting = shelf.buffers.values().flat_map(|b| b.waiting.iter().cloned()).collect();
                (waiting, shelf.open.as_ref().map(|o| o.batch.clone()))
            }
            None => (Vec::new(), None),
        })
    }

    fn call<T>(&self, act: impl FnOnce(&mut State, Timestamp) -> T) -> Result<T, JournalError> {
        let now = self.clock.now();
        self.shared
            .call(|state| act(state, now))
            .map_err(|Injected| JournalError::Unavailable("failure ordered by the test".into()))
    }
}

/// `at` plus `by`; the end of time when that is beyond it.
fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

impl Buffer {
    fn level(&self) -> Level {
        let tokens = self.waiting.iter().map(|e| u64::from(e.blob.tokens)).sum();
        Level { last_seq: self.last_seq, blobs: self.waiting.len() as u64, tokens }
    }

    /// Takes out the longest prefix within the limits, the first blob in any case.
    fn prefix(&mut self, max_tokens: u64, max_blobs: u32) -> Vec<Entry> {
        let mut tokens = 0;
        let fits = |(index, entry): &(usize, &Entry)| {
            tokens += u64::from(entry.blob.tokens);
            *index == 0 || (tokens <= max_tokens && *index < max_blobs as usize)
        };
        let count = self.waiting.iter().enumerate().take_while(fits).count();
        self.waiting.drain(..count).collect()
    }
}

impl Shelf {
    fn level(&self, blob_type: BlobType) -> Level {
        self.buffers.get(&blob_type).map(Buffer::level).unwrap_or_default()
    }

    fn entry(&self, id: BlobId) -> Option<&Entry> {
        let sealed = self.open.iter().flat_map(|o| &o.batch.entries);
        self.buffers.values().flat_map(|b| &b.waiting).chain(sealed).find(|e| e.blob.id == id)
    }

    fn append(&mut self, blob: &NewBlob, now: Timestamp) -> Append {
        if let Some(known) = self.entry(blob.id) {
            return Append { seq: known.seq, level: self.level(known.blob.blob_type) };
        }
        let buffer = self.buffers.entry(blob.blob_type).or_default();
        buffer.last_seq += 1;
        buffer.waiting.push_back(Entry { seq: buffer.last_seq, appended_at: now, blob: blob.clone() });
        Append { seq: buffer.last_seq, level: buffer.level() }
    }

    fn take(&mut self, take: &Take, now: Timestamp) -> Taken {
        if let Some(open) = &mut self.open {
            let mine = open.claim == Some(take.token);
            let waived = open.claim.is_none() && take.ignore_backoff;
            if open.ready_at > now && !mine && !waived {
                let ready_in = open.ready_at.duration_since(now).unsigned_abs();
                return Taken::Busy { ready_in };
            }
            open.claim = Some(take.token);
            open.ready_at = later(now, take.lease);
            let batch = open.batch.clone();
            let level = self.level(batch.blob_type);
            return Taken::Batch(batch, level);
        }
        let Some(buffer) = self.buffers.get_mut(&take.blob_type) else {
            return Taken::Empty(Level::default());
        };
        let entries = buffer.prefix(take.max_tokens, take.max_blobs);
        let level = buffer.level();
        if entries.is_empty() {
            return Taken::Empty(level);
        }
        let Take { flush_id, blob_type, .. } = *take;
        let batch = Batch { flush_id, blob_type, attempts: 0, tries: 0, retried: false, entries };
        let claim = Some(take.token);
        self.open = Some(Open { batch: batch.clone(), claim, ready_at: later(now, take.lease) });
        Taken::Batch(batch, level)
    }

    /// The open batch, if it has this id and, when `token` is given, is under that claim.
    fn open_as(&mut self, flush_id: FlushId, token: Option<ClaimToken>) -> Option<&mut Open> {
        let open = self.open.as_mut()?;
        (open.batch.flush_id == flush_id && (token.is_none() || open.claim == token)).then_some(open)
    }

    fn reseal(&mut self, reseal: &Reseal, now: Timestamp) -> bool {
        let Some(open) = self.open_as(reseal.flush_id, reseal.token) else { return false };
        open.batch.flush_id = reseal.new_flush_id;
        open.batch.entries.retain(|e| !reseal.drop.contains(&e.blob.id));
        if reseal.token.is_none() && open.claim.take().is_some() {
            open.ready_at = now;
        }
        if open.batch.entries.is_empty() {
            self.open = None;
        }
        true
    }

    fn remove(&mut self, id: BlobId) -> Removed {
        for (blob_type, buffer) in &mut self.buffers {
            if let Some(index) = buffer.waiting.iter().position(|e| e.blob.id == id) {
                buffer.waiting.remove(index);
                return Removed::Waiting(*blob_type, buffer.level());
            }
        }
        let sealed = self.open.iter().find(|o| o.batch.entries.iter().any(|e| e.blob.id == id));
        sealed.map_or(Removed::Unknown, |o| Removed::Sealed(o.batch.flush_id))
    }

    fn blob_ids(&self, blob_type: BlobType, standing: Standing) -> Vec<BlobId> {
        match standing {
            Standing::Waiting => {
                self.buffers.get(&blob_type).into_iter().flat_map(|b| &b.waiting).map(|e| e.blob.id).collect()
            }
            Standing::Sealed => {
                let open = self.open.iter().filter(|o| o.batch.blob_type == blob_type);
                open.flat_map(|o| &o.batch.entries).map(|e| e.blob.id).collect()
            }
        }
    }

    fn requeue(&mut self, requeue: &Requeue, now: Timestamp) -> Requeued {
        if requeue.blobs.iter().any(|(blob, _)| self.entry(blob.id).is_some()) {
            return Requeued::Queued;
        }
        if self.open.is_some() {
            return Requeued::Busy;
        }
        let entry = |(seq, (blob, appended_at)): (u64, &(NewBlob, Timestamp))| Entry {
            seq,
            appended_at: *appended_at,
            blob: blob.clone(),
        };
        let entries = (1..).zip(&requeue.blobs).map(entry).collect();
        let Requeue { flush_id, blob_type, .. } = *requeue;
        let batch = Batch { flush_id, blob_type, attempts: 0, tries: 0, retried: true, entries };
        self.open = Some(Open { batch, claim: None, ready_at: now });
        Requeued::Queued
    }

    fn holding(&self) -> Holding {
        Holding {
            last_seqs: self.buffers.iter().map(|(blob_type, buffer)| (*blob_type, buffer.last_seq)).collect(),
            waiting: self.buffers.values().flat_map(|b| b.waiting.iter().cloned()).collect(),
            open: self.open.as_ref().map(|open| open.batch.clone()),
        }
    }

    fn adopted(holding: &Holding, now: Timestamp) -> Self {
        let mut shelf = Self::default();
        for (blob_type, last_seq) in &holding.last_seqs {
            shelf.buffers.entry(*blob_type).or_default().last_seq = *last_seq;
        }
        for entry in &holding.waiting {
            shelf.buffers.entry(entry.blob.blob_type).or_default().waiting.push_back(entry.clone());
        }
        shelf.open = holding.open.clone().map(|batch| Open { batch, claim: None, ready_at: now });
        shelf
    }

    fn is_empty(&self) -> bool {
        self.open.is_none() && self.buffers.values().all(|buffer| buffer.waiting.is_empty())
    }

    /// What will be due, and since when.
    fn due(&self, age: Duration) -> Vec<(Timestamp, BlobType)> {
        if let Some(open) = &self.open {
            return vec![(open.ready_at, open.batch.blob_type)];
        }
        let oldest =
            |(kind, buffer): (&BlobType, &Buffer)| Some((later(buffer.waiting.front()?.appended_at, age), *kind));
        self.buffers.iter().filter_map(oldest).collect()
    }
}

impl State {
    fn due(&self, age: Duration, from: Option<Timestamp>, limit: u32, now: Timestamp) -> Vec<(Timestamp, Due)> {
        let of = |(owner, shelf): (&Owner, &Shelf)| {
            let due =
                shelf.due(age).into_iter().filter(|(since, _)| *since <= now && from.is_none_or(|from| from <= *since));
            due.map(|(since, blob_type)| (since, Due { owner: owner.clone(), blob_type })).collect::<Vec<_>>()
        };
        let mut due: Vec<(Timestamp, Due)> = self.shelves.iter().flat_map(of).collect();
        due.sort_by_key(|(since, _)| *since);
        let at_from = due.iter().take_while(|(since, _)| from == Some(*since)).count();
        due.truncate(if at_from >= limit as usize { at_from + 1 } else { limit as usize });
        due
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, owner: &Owner, blob: &NewBlob) -> Result<Append, JournalError> {
        self.call(|state, now| {
            if state.gone.contains(owner) {
                return Err(JournalError::OwnerGone);
            }
            Ok(state.shelves.entry(owner.clone()).or_default().append(blob, now))
        })?
    }

    async fn levels(&self, owner: &Owner) -> Result<Vec<(BlobType, Level)>, JournalError> {
        self.call(|state, _| {
            let buffers = state.shelves.get(owner).into_iter().flat_map(|s| &s.buffers);
            buffers.map(|(blob_type, buffer)| (*blob_type, buffer.level())).collect()
        })
    }

    async fn take(&self, owner: &Owner, take: &Take) -> Result<Taken, JournalError> {
        self.call(|state, now| match state.shelves.get_mut(owner) {
            Some(shelf) => shelf.take(take, now),
            None => Taken::Empty(Level::default()),
        })
    }

    async fn renew(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        token: ClaimToken,
        lease: Duration,
    ) -> Result<bool, JournalError> {
        self.call(|state, now| {
            let open = state.shelves.get_mut(owner).and_then(|s| s.open_as(flush_id, Some(token)));
            open.map(|open| open.ready_at = later(now, lease)).is_some()
        })
    }

    async fn reseal(&self, owner: &Owner, reseal: &Reseal) -> Result<bool, JournalError> {
        self.call(|state, now| state.shelves.get_mut(owner).is_some_and(|shelf| shelf.reseal(reseal, now)))
    }

    async fn release(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        token: ClaimToken,
        release: Release,
    ) -> Result<bool, JournalError> {
        self.call(|state, now| {
            let open = state.shelves.get_mut(owner).and_then(|s| s.open_as(flush_id, Some(token)));
            let Some(open) = open else { return false };
            open.claim = None;
            open.ready_at = later(now, release.retry_in);
            open.batch.tries += u32::from(release.setback.tries());
            open.batch.attempts += u32::from(release.setback.attempts());
            true
        })
    }

    async fn discard(&self, owner: &Owner, flush_id: FlushId) -> Result<(), JournalError> {
        self.call(|state, _| {
            if let Some(shelf) = state.shelves.get_mut(owner)
                && shelf.open_as(flush_id, None).is_some()
            {
                shelf.open = None;
            }
        })
    }

    async fn blob_ids(
        &self,
        owner: &Owner,
        blob_type: BlobType,
        standing: Standing,
    ) -> Result<Vec<BlobId>, JournalError> {
        self.call(|state, _| state.shelves.get(owner).map(|s| s.blob_ids(blob_type, standing)).unwrap_or_default())
    }

    async fn blob(&self, owner: &Owner, blob_id: BlobId) -> Result<Option<Entry>, JournalError> {
        self.call(|state, _| state.shelves.get(owner).and_then(|s| s.entry(blob_id)).cloned())
    }

    async fn remove(&self, owner: &Owner, blob_id: BlobId) -> Result<Removed, JournalError> {
        self.call(|state, _| state.shelves.get_mut(owner).map_or(Removed::Unknown, |s| s.remove(blob_id)))
    }

    async fn requeue(&self, owner: &Owner, requeue: &Requeue) -> Result<Requeued, JournalError> {
        self.call(|state, now| {
            if state.gone.contains(owner) {
                return Err(JournalError::OwnerGone);
            }
            Ok(state.shelves.entry(owner.clone()).or_default().requeue(requeue, now))
        })?
    }

    async fn due(
        &self,
        age: Duration,
        from: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<(Timestamp, Due)>, JournalError> {
        self.call(|state, now| state.due(age, from, limit, now))
    }

    async fn purge(&self, owner: &Owner) -> Result<(), JournalError> {
        self.call(|state, _| {
            state.shelves.remove(owner);
            state.gone.insert(owner.clone());
        })
    }

    async fn owners(&self, after: Option<&Owner>, limit: u32) -> Result<Vec<Owner>, JournalError> {
        self.call(|state, _| {
            let held = state.shelves.iter().filter(|(_, shelf)| !shelf.is_empty()).map(|(owner, _)| owner);
            held.filter(|owner| after.is_none_or(|after| *owner > after)).take(limit as usize).cloned().collect()
        })
    }

    async fn holding(&self, owner: &Owner) -> Result<Holding, JournalError> {
        self.call(|state, _| state.shelves.get(owner).map(Shelf::holding).unwrap_or_default())
    }

    async fn adopt(&self, owner: &Owner, holding: &Holding) -> Result<(), JournalError> {
        self.call(|state, now| {
            state.shelves.insert(owner.clone(), Shelf::adopted(holding, now));
        })
    }

    async fn hand_over(&self, owner: &Owner) -> Result<(), JournalError> {
        self.call(|state, _| {
            state.shelves.remove(owner);
        })
    }
}
