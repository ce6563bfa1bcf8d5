//! What was promised, and whether it was kept.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use memory::blob::{BlobType, NewBlob};
use memory::event::Source;
use memory::flush::FlushSettings;
use memory::ids::{BlobId, ClaimToken, FlushId, Owner, SlotId, UserKey};
use memory::ports::{Commit, FlushOutcome};
use memory::profile::{Slot, SlotWrite};
use memory::testing::{MemoryJournal, MemoryStore, UserRows};

/// A blob that was ever sent.
pub(crate) struct Known {
    owner: Owner,
    pub(crate) blob: NewBlob,
    /// The sequence number that it got first.
    seq: Option<u64>,
    /// A client was told that it is safe.
    acknowledged: bool,
    /// Lost with a journal's tail, or its deletion is under way: it may be nowhere, but not twice anywhere.
    loose: bool,
    /// A client was told that it is deleted.
    deleted: bool,
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) blobs: BTreeMap<BlobId, Known>,
    lives: BTreeSet<Owner>,
    over: BTreeSet<Owner>,
    /// Who holds a claim, and until when.
    pub(crate) claims: BTreeMap<Owner, (ClaimToken, Timestamp)>,
    outcomes: BTreeMap<FlushId, (Owner, FlushOutcome)>,
    /// For each answer of the model: when the profile that it was shown was read, and its slots.
    shown: Vec<(u64, Vec<Slot>)>,
    /// When a client last wrote a slot of this name.
    client: BTreeMap<(Owner, String), u64>,
    pub(crate) slots: BTreeMap<Owner, BTreeMap<SlotId, String>>,
    /// Blobs of letters that were tried again: they take effect out of order.
    late: BTreeSet<BlobId>,
    /// Letters of which a client was told that they are tried again.
    retried: BTreeSet<(Owner, FlushId)>,
    /// Blobs whose deletion was tried, or the drop of their letter: a retry may have come to nothing over it.
    pub(crate) touched: BTreeSet<BlobId>,
    /// Blobs that have left their letter for good.
    pub(crate) gone: BTreeSet<BlobId>,
    restores: u32,
}

/// Where blobs are.
struct Places {
    held: BTreeSet<BlobId>,
    applied: BTreeSet<BlobId>,
    dead: BTreeSet<BlobId>,
}

impl Places {
    /// Looks for the blobs of a user, all lives of it. Nothing may be in a place twice, or done with twice.
    fn of(ledger: &Ledger, key: &UserKey, journal: &MemoryJournal, rows: &UserRows) -> Self {
        let applied = set(rows.applied.iter().map(|row| row.blob_id));
        let dead = set(rows.dead.values().flat_map(|dead| &dead.letter.blobs).map(|stored| stored.blob.id));
        let both: Vec<_> = applied.intersection(&dead).collect();
        assert!(both.is_empty(), "took effect and are dead letters: {both:?}");
        let mut held = BTreeSet::new();
        for owner in ledger.lives.iter().filter(|owner| owner.key == *key) {
            let (waiting, open) = journal.held(owner);
            held.extend(set(waiting.iter().chain(open.iter().flat_map(|o| &o.entries)).map(|e| e.blob.id)));
        }
        Self { held, applied, dead }
    }

    fn done(&self, id: &BlobId) -> bool {
        self.applied.contains(id) || self.dead.contains(id)
    }
}

fn set(ids: impl Iterator<Item = BlobId>) -> BTreeSet<BlobId> {
    let mut set = BTreeSet::new();
    for id in ids {
        assert!(set.insert(id), "twice: {id}");
    }
    set
}

fn versions(slots: &[Slot], sub_topic: &str) -> BTreeSet<(SlotId, i64)> {
    slots.iter().filter(|slot| slot.sub_topic == sub_topic).map(|slot| (slot.id, slot.revision)).collect()
}

impl Ledger {
    pub(crate) fn know(&mut self, owner: &Owner) {
        self.lives.insert(owner.clone());
    }

    pub(crate) fn owners(&self) -> impl Iterator<Item = &Owner> {
        self.lives.iter()
    }

    pub(crate) fn user_deleted(&mut self, owner: Owner) {
        self.over.insert(owner);
    }

    pub(crate) fn pick(&self, pick: usize) -> Option<(BlobId, Owner)> {
        let index = pick.checked_rem(self.blobs.len())?;
        self.blobs.iter().nth(index).map(|(id, known)| (*id, known.owner.clone()))
    }

    pub(crate) fn sent(&mut self, owner: &Owner, blob: &NewBlob) {
        let (owner, blob_) = (owner.clone(), blob.clone());
        let new = || Known { owner, blob: blob_, seq: None, acknowledged: false, loose: false, deleted: false };
        let known = self.blobs.entry(blob.id).or_insert_with(new);
        // Sent again after its deletion, it may come back.
        known.loose |= std::mem::take(&mut known.deleted);
    }

    pub(crate) fn appended(&mut self, id: BlobId, seq: u64, heard: bool) {
        let known = self.blobs.get_mut(&id).unwrap();
        known.seq.get_or_insert(seq);
        known.acknowledged |= heard;
    }

    /// What a client may rely on: of this type, up to this sequence number.
    pub(crate) fn acknowledged(&self, owner: &Owner, blob_type: BlobType, up_to: u64) -> Vec<BlobId> {
        let relied = |k: &Known| {
            k.acknowledged && k.owner == *owner && k.blob.blob_type == blob_type && k.seq.is_some_and(|s| s <= up_to)
        };
        self.blobs.iter().filter(|(_, k)| relied(k)).map(|(id, _)| *id).collect()
    }

    pub(crate) fn deletion_tried(&mut self, id: BlobId) {
        let known = self.blobs.get_mut(&id).unwrap();
        known.loose |= !known.deleted;
        self.touched.insert(id);
    }

    pub(crate) fn retried(&mut self, owner: &Owner, letter: FlushId, blobs: &[BlobId], promised: bool) {
        self.late.extend(blobs);
        if promised {
            self.retried.insert((owner.clone(), letter));
        }
    }

    /// A copy of what took effect before, sent again or brought back by a journal, may be deleted too. After a journal
    /// came back older, a flush that took the blob before may still be under way. Of a life that is over nothing tells any
    /// more what took effect, and a retry may fill its journal until the purge.
    pub(crate) fn deletion_done(&mut self, id: BlobId, store: &MemoryStore) {
        let known = self.blobs.get_mut(&id).unwrap();
        let rows = store.rows_of(&known.owner.key);
        let mut dead = rows.dead.values().flat_map(|dead| &dead.letter.blobs);
        let done = rows.applied.iter().any(|row| row.blob_id == id) || dead.any(|stored| stored.blob.id == id);
        if !done && self.restores == 0 && !self.over.contains(&known.owner) {
            (known.deleted, known.loose) = (true, false);
        }
    }

    /// What was in the journal only, and is no more, is lost; what was deleted may be back.
    pub(crate) fn journal_restored(&mut self, journal: &MemoryJournal, store: &MemoryStore, keys: &[UserKey]) {
        self.restores += 1;
        self.claims.clear();
        for key in keys {
            let places = Places::of(self, key, journal, &store.rows_of(key));
            for (id, known) in self.blobs.iter_mut().filter(|(_, k)| k.owner.key == *key) {
                let lost = !places.held.contains(id) && !places.done(id);
                known.loose |= lost || known.deleted;
                known.deleted = false;
            }
        }
    }

    pub(crate) fn ended(&mut self, owner: &Owner, flush_id: FlushId, outcome: FlushOutcome) {
        if self.over.contains(owner) {
            // The rows of a deleted user are gone, that of this flush too.
            assert_ne!(outcome, FlushOutcome::Committed, "a flush of a deleted user took effect");
            return;
        }
        let before = self.outcomes.insert(flush_id, (owner.clone(), outcome));
        assert!(before.is_none(), "two outcomes of one flush: {before:?} and {outcome:?}");
    }

    /// The number of an answer for which the profile of that time was shown.
    pub(crate) fn shown(&mut self, read_at: u64, profile: &[Slot]) -> usize {
        self.shown.push((read_at, profile.to_vec()));
        self.shown.len() - 1
    }

    /// Every fact was written or overruled, and no client's value was overwritten unseen: neither by a flush that had
    /// read an older one, nor by a model that was not shown it.
    pub(crate) fn committed(&self, owner: &Owner, commit: &Commit, before: &UserRows, settings: &FlushSettings) {
        let (recorded, quotes) = (settings.record_answers, settings.quote_tokens > 0);
        let gists = commit.event.iter().flat_map(|(_, gists)| gists);
        let mut facts = BTreeMap::new();
        for gist in gists {
            let (text, serial) = gist.text.rsplit_once(" #").unwrap();
            assert!(gist.sources.iter().all(|s| commit.blob_ids.contains(&s.blob_id)), "a gist of another batch");
            let of_flush = before.answers.iter().filter(|((flush_id, _), _)| *flush_id == commit.flush_id);
            let mut answers =
                of_flush.map(|(_, (answer, _))| answer).chain(commit.answer.iter().map(|(_, answer)| answer));
            let is_recorded = answers.any(|answer| answer.text.contains(&format!("#{serial}\"")));
            assert!(!recorded || is_recorded, "an answer was used that is not the recorded one");
            if let Some(fact) = text.strip_prefix("FACT about/") {
                let (slot, memo) = fact.split(' ').next().unwrap().split_once('=').unwrap();
                facts.insert(slot.to_owned(), (format!("{memo} #{serial}"), serial.parse::<usize>().unwrap()));
            }
        }
        for (sub_topic, (memo, serial)) in facts {
            let says = |content: &str| content == memo || (!quotes && content.ends_with(&format!("; {memo}")));
            let write = commit.slots.iter().find(|w| says(&w.slot().content));
            let write = write.expect("a fact was neither written nor kept");
            let old = before.slots.iter().find(|slot| slot.id == write.slot().id).map(|slot| slot.content.as_str());
            if let (SlotWrite::Update(slot), Some(old), false) = (write, old, quotes) {
                let newest = old.rsplit("; ").next().unwrap_or_default();
                assert!(slot.content.contains(newest), "a memo that the model was not shown is gone");
            }
            let client = self.client.get(&(owner.clone(), sub_topic.clone())).copied().unwrap_or(0);
            let (read_at, shown) = &self.shown[serial];
            // What came and went again unseen leaves nothing to overrule a flush.
            let changed = client > *read_at && versions(shown, &sub_topic) != versions(&before.slots, &sub_topic);
            let overruled = matches!(write, SlotWrite::Overruled(_));
            assert!(overruled || !changed, "a client's {sub_topic} was overwritten by a flush that had not seen it");
            let excused = commit.retried || self.restores > 0;
            assert!(!overruled || changed || excused, "a flush was overruled by nobody");
        }
        check_sources(commit, before);
        if commit.retried {
            self.check_retried(commit, before);
        }
    }

    /// What comes from a letter replaces nothing that is newer.
    fn check_retried(&self, commit: &Commit, before: &UserRows) {
        let dead = || before.dead.values().flat_map(|dead| &dead.letter.blobs);
        let of = |id: &BlobId| dead().find(|stored| stored.blob.id == *id).map(|stored| stored.created_at);
        let said: Vec<Option<Timestamp>> = commit.blob_ids.iter().map(of).collect();
        assert!(said.iter().all(Option::is_some), "a retry of what is in no letter");
        let replaces = |write: &&SlotWrite| matches!(write, SlotWrite::Update(_) | SlotWrite::Delete(_));
        for write in commit.slots.iter().filter(replaces) {
            let old = before.slots.iter().find(|slot| slot.id == write.slot().id).unwrap();
            assert!(Some(old.updated_at) <= said.last().copied().flatten(), "old news replaced newer: {write:?}");
        }
    }

    pub(crate) fn client_wrote(&mut self, owner: &Owner, sub_topic: &str, tick: u64) {
        self.client.insert((owner.clone(), sub_topic.to_owned()), tick);
    }

    /// The profile is what the writes of clients and flushes made of it.
    pub(crate) fn check_slots(&mut self, owner: &Owner, commit: &Commit, stored: &BTreeMap<SlotId, String>) {
        let slots = self.slots.entry(owner.clone()).or_default();
        for write in &commit.slots {
            let slot = write.slot();
            match write {
                SlotWrite::Insert(_) | SlotWrite::Update(_) => drop(slots.insert(slot.id, slot.content.clone())),
                SlotWrite::Delete(_) => drop(slots.remove(&slot.id)),
                SlotWrite::Overruled(_) => {}
            }
        }
        assert_eq!(slots, stored);
    }

    /// Somebody was told that these have taken effect. A journal that lost its tail gives sequence numbers out again,
    /// by which waits are measured: then it may be told too early.
    pub(crate) fn waited(&self, owner: &Owner, blobs: &[BlobId], store: &MemoryStore) {
        if self.restores > 0 {
            return;
        }
        let rows = store.rows_of(&owner.key);
        for id in blobs.iter().filter(|id| self.must_be_somewhere(&self.blobs[id])) {
            let applied = rows.applied.iter().any(|row| row.blob_id == *id);
            let dead = rows.dead.values().any(|dead| dead.letter.blobs.iter().any(|b| b.blob.id == *id));
            assert!(applied || dead, "the wait is over, but {id} has not taken effect");
        }
    }

    fn must_be_somewhere(&self, known: &Known) -> bool {
        known.acknowledged && !known.loose && !known.deleted && !self.over.contains(&known.owner)
    }

    /// I1 and I2: nothing is nowhere, nothing twice.
    pub(crate) fn check_now(&self, journal: &MemoryJournal, store: &MemoryStore, keys: &[UserKey]) {
        for key in keys {
            let places = Places::of(self, key, journal, &store.rows_of(key));
            for (id, known) in self.blobs.iter().filter(|(_, k)| k.owner.key == *key) {
                let somewhere = places.held.contains(id) || places.done(id);
                assert!(somewhere || !self.must_be_somewhere(known), "lost: {id}");
                assert!(!somewhere || !known.deleted, "back after its deletion: {id}");
                assert!(!places.dead.contains(id) || !self.gone.contains(id), "back in a letter: {id}");
            }
        }
    }

    /// What must hold once everything is at rest.
    pub(crate) fn check_end(&self, journal: &MemoryJournal, store: &MemoryStore, keys: &[UserKey]) {
        for key in keys {
            let rows = store.rows_of(key);
            let places = Places::of(self, key, journal, &rows);
            assert!(places.held.is_empty(), "left in the journal: {:?}", places.held);
            let life = rows.user.as_ref().map(|u| Owner { key: key.clone(), incarnation: u.incarnation });
            self.check_life(&rows, life.as_ref());
            self.check_events(&rows);
            if self.restores == 0 {
                self.check_order(&rows);
                self.check_letters(&rows, life.as_ref());
            }
        }
    }

    /// I5: what there is belongs to the present life.
    fn check_life(&self, rows: &UserRows, life: Option<&Owner>) {
        let mine = |id: BlobId| assert_eq!(life, Some(&self.blobs[&id].owner), "{id} is of another life");
        rows.applied.iter().for_each(|row| mine(row.blob_id));
        rows.dead.values().flat_map(|dead| &dead.letter.blobs).for_each(|stored| mine(stored.blob.id));
        rows.blobs.iter().for_each(|stored| mine(stored.blob.id));
        let gists = rows.events.iter().flat_map(|(_, gists)| gists);
        gists.flat_map(|gist| &gist.sources).for_each(|source| mine(source.blob_id));
        let slots = rows.slots.iter().chain(rows.history.iter().map(|row| &row.slot));
        slots.flat_map(|slot| &slot.sources).for_each(|source| mine(source.blob_id));
        for (flush_id, (record, _)) in &rows.flushes {
            let known = self.outcomes.get(flush_id).map(|(owner, outcome)| (Some(owner), *outcome));
            // A flush of a life that is over leaves its outcome, and nothing else.
            let fine = record.outcome == FlushOutcome::Cancelled || known == Some((life, record.outcome));
            assert!(fine, "the row of a flush of another life: {record:?}");
        }
        let slots = life.and_then(|life| self.slots.get(life)).cloned().unwrap_or_default();
        assert_eq!(crate::world::by_id(&rows.slots), slots);
        assert!(life.is_some() || rows.count() == rows.flushes.len(), "rows of a deleted user: {rows:?}");
    }

    /// A letter that was tried again has taken effect, or is another letter.
    fn check_letters(&self, rows: &UserRows, life: Option<&Owner>) {
        for (_, letter) in self.retried.iter().filter(|(owner, _)| Some(owner) == life) {
            let left = rows.dead.get(letter).into_iter().flat_map(|dead| &dead.letter.blobs);
            let left: Vec<BlobId> = left.map(|stored| stored.blob.id).filter(|id| !self.touched.contains(id)).collect();
            assert!(left.is_empty(), "the retry of {letter} was forgotten: {left:?}");
        }
    }

    /// The gists of a blob that took effect are in one event: that of its flush. One that left its letter for good counts
    /// as applied by the flush that failed, and made nothing.
    fn check_events(&self, rows: &UserRows) {
        let mut events: BTreeMap<BlobId, BTreeSet<Option<FlushId>>> = BTreeMap::new();
        for (event, gists) in &rows.events {
            for source in gists.iter().flat_map(|gist| &gist.sources) {
                events.entry(source.blob_id).or_default().insert(event.flush_id);
            }
        }
        for row in &rows.applied {
            let flushes = events.remove(&row.blob_id);
            if self.outcomes.get(&row.flush_id).is_some_and(|(_, outcome)| *outcome == FlushOutcome::Dead) {
                assert_eq!(flushes, None, "what was dropped took effect: {}", row.blob_id);
                continue;
            }
            assert!(!self.gone.contains(&row.blob_id), "what was dropped took effect: {}", row.blob_id);
            assert_eq!(flushes, Some(BTreeSet::from([Some(row.flush_id)])), "the gists of {}", row.blob_id);
        }
        assert!(events.is_empty(), "gists of blobs that took no effect: {events:?}");
    }

    /// I3: blobs of a type took effect in the order in which the journal got them.
    fn check_order(&self, rows: &UserRows) {
        let mut last: BTreeMap<BlobType, u64> = BTreeMap::new();
        // A blob that was deleted and sent again has another place.
        let in_order = |id: &BlobId| !self.blobs[id].loose && !self.late.contains(id);
        let dropped = |flush_id: &FlushId| self.outcomes[flush_id].1 == FlushOutcome::Dead;
        for row in rows.applied.iter().filter(|row| in_order(&row.blob_id) && !dropped(&row.flush_id)) {
            let known = &self.blobs[&row.blob_id];
            let seq = known.seq.unwrap();
            let before = last.insert(known.blob.blob_type, seq).unwrap_or(0);
            assert!(before < seq, "{} took effect out of order", row.blob_id);
        }
    }
}

/// A memo comes from its batch first, and then from what the slots of its name came from.
fn check_sources(commit: &Commit, before: &UserRows) {
    let is_own = |source: &Source| commit.blob_ids.contains(&source.blob_id);
    for write in commit.slots.iter().filter(|write| !matches!(write, SlotWrite::Delete(_))) {
        let slot = write.slot();
        let (own, old) = slot.sources.split_at(slot.sources.iter().take_while(|source| is_own(source)).count());
        let same = before.slots.iter().filter(|other| other.name() == slot.name());
        let known: Vec<&Source> = same.flat_map(|other| &other.sources).collect();
        let is_update = matches!(write, SlotWrite::Update(_));
        let fine = old.is_empty() || (is_update && old.iter().all(|source| known.contains(&source)));
        assert!(fine && !own.is_empty(), "sources of elsewhere: {write:?}");
    }
}
