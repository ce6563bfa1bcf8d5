use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use crate::event::{Event, EventTag, Gist};
use crate::ids::{BlobId, EventId, FlushId, GistId, SlotId};
use crate::ports::{
    Answer, Commit, CommitReply, DeadLetter, EventFilter, FlushOutcome, FlushRecord, FlushResult, NewSlot, SlotChange,
    StoredBlob, User,
};
use crate::profile::{Author, Profile, Slot, SlotWrite};
use crate::search::Vector;

/// A line of a slot's history.
#[derive(Clone, PartialEq, Debug)]
pub struct HistoryRow {
    /// What was done: see [`SlotWrite::action`].
    pub action: &'static str,
    /// Who did it.
    pub author: Author,
    /// The slot after the change; as it was, for a deletion.
    pub slot: Slot,
    /// When.
    pub at: Timestamp,
}

/// A blob that has taken effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AppliedRow {
    /// The blob.
    pub blob_id: BlobId,
    /// By which flush.
    pub flush_id: FlushId,
    /// When.
    pub at: Timestamp,
}

/// A dead letter, and when it was stored.
#[derive(Clone, PartialEq, Debug)]
pub struct Letter {
    /// The letter.
    pub letter: DeadLetter,
    /// When its flush failed for good.
    pub created_at: Timestamp,
}

/// All rows of one user.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct UserRows {
    /// The user itself; none when only a flush of a deleted user left its outcome.
    pub user: Option<User>,
    /// Its slots, in no particular order.
    pub slots: Vec<Slot>,
    /// What became of its slots, in order.
    pub history: Vec<HistoryRow>,
    /// Its events in the order in which they were stored, each with its gists.
    pub events: Vec<(Event, Vec<Gist>)>,
    /// The vectors of its gists, each with its space.
    pub vectors: BTreeMap<GistId, (String, Option<Vector>)>,
    /// The blobs that were kept, in the order in which they were stored.
    pub blobs: Vec<StoredBlob>,
    /// The flushes that have ended, and when.
    pub flushes: BTreeMap<FlushId, (FlushRecord, Timestamp)>,
    /// The blobs that took effect, in that order.
    pub applied: Vec<AppliedRow>,
    /// The dead letters.
    pub dead: BTreeMap<FlushId, Letter>,
    /// The recorded answers by flush and part, and when they were recorded.
    pub answers: BTreeMap<(FlushId, u32), (Answer, Timestamp)>,
    /// The slots, events and blobs that were taken over from another service, whatever became of them.
    pub adopted: BTreeSet<Uuid>,
}

impl UserRows {
    /// The number of rows.
    pub fn count(&self) -> usize {
        usize::from(self.user.is_some())
            + self.slots.len()
            + self.history.len()
            + self.events.iter().map(|(_, gists)| 1 + gists.len()).sum::<usize>()
            + self.blobs.len()
            + self.flushes.len()
            + self.applied.len()
            + self.dead.len()
            + self.answers.len()
            + self.adopted.len()
    }

    /// Counts a change of profile or events.
    pub(super) fn bump(&mut self) {
        if let Some(user) = &mut self.user {
            user.revision += 1;
        }
    }

    pub(super) fn log(&mut self, action: &'static str, author: Author, slot: &Slot, at: Timestamp) {
        self.history.push(HistoryRow { action, author, slot: slot.clone(), at });
    }

    pub(super) fn profile(&self) -> Option<Profile> {
        let user = self.user.as_ref()?;
        let mut slots = self.slots.clone();
        slots.sort_by_key(|s| std::cmp::Reverse((s.updated_at, s.id)));
        Some(Profile { incarnation: user.incarnation, revision: user.revision, slots })
    }

    pub(super) fn add_slot(&mut self, new: &NewSlot, now: Timestamp) -> bool {
        if self.slots.iter().any(|s| s.id == new.id) {
            return true;
        }
        let slot = Slot {
            id: new.id,
            topic: new.topic.clone(),
            sub_topic: new.sub_topic.clone(),
            content: new.content.clone(),
            attributes: new.attributes.clone(),
            sources: Vec::new(),
            revision: 1,
            created_at: now,
            updated_at: now,
        };
        self.log("insert", Author::Client, &slot, now);
        self.slots.push(slot);
        self.bump();
        true
    }

    pub(super) fn update_slot(&mut self, id: SlotId, change: &SlotChange, now: Timestamp) -> bool {
        let Some(slot) = self.slots.iter_mut().find(|s| s.id == id) else { return false };
        slot.content.clone_from(&change.content);
        slot.sources.clear();
        if let Some((topic, sub_topic, attributes)) = change.address.clone() {
            (slot.topic, slot.sub_topic, slot.attributes) = (topic, sub_topic, attributes);
        }
        slot.revision += 1;
        slot.updated_at = now;
        let slot = slot.clone();
        self.log("update", Author::Client, &slot, now);
        self.bump();
        true
    }

    pub(super) fn delete_slot(&mut self, id: SlotId, now: Timestamp) -> bool {
        let Some(index) = self.slots.iter().position(|s| s.id == id) else { return false };
        let slot = self.slots.swap_remove(index);
        self.log("delete", Author::Client, &slot, now);
        self.bump();
        true
    }

    /// Events with their gists, newest first; of equal age, the one that was stored last.
    fn newest_first(&self) -> Vec<&(Event, Vec<Gist>)> {
        let mut events: Vec<_> = self.events.iter().rev().collect();
        events.sort_by_key(|(e, _)| std::cmp::Reverse(e.created_at));
        events
    }

    pub(super) fn events(&self, filter: &EventFilter) -> Vec<Event> {
        let passes = |event: &&Event| {
            let tags: &[EventTag] = event.data.event_tags.as_deref().unwrap_or_default();
            filter.since.is_none_or(|since| event.created_at >= since)
                && filter.tags.iter().all(|name| tags.iter().any(|t| t.tag == *name))
                && filter.tag_values.iter().all(|tag| tags.contains(tag))
        };
        let events = self.newest_first().into_iter().map(|(event, _)| event);
        events.filter(passes).take(filter.limit as usize).cloned().collect()
    }

    pub(super) fn event(&mut self, id: EventId) -> Option<&mut (Event, Vec<Gist>)> {
        self.events.iter_mut().find(|(event, _)| event.id == id)
    }

    pub(super) fn gists(&self, limit: u32) -> Vec<Gist> {
        self.newest_first().into_iter().flat_map(|(_, gists)| gists).take(limit as usize).cloned().collect()
    }

    /// Commits a flush. Called for whatever rows there are, those of another life too.
    pub(super) fn commit(&mut self, commit: &Commit) -> CommitReply {
        if let Some((record, _)) = self.flushes.get(&commit.flush_id) {
            return CommitReply::Decided(record.clone());
        }
        let living = self.user.as_ref().filter(|u| u.incarnation == commit.owner.incarnation);
        let Some(revision) = living.map(|u| u.revision) else {
            let record = FlushRecord {
                outcome: FlushOutcome::Cancelled,
                result: FlushResult::default(),
                reason: Some("the user was deleted".into()),
                ..commit.record.clone()
            };
            self.flushes.insert(commit.flush_id, (record, commit.now));
            return CommitReply::UserGone;
        };
        let is_done = |id: &&BlobId| self.is_applied(**id) || (!commit.retried && self.is_dead(**id));
        let before: Vec<BlobId> = commit.blob_ids.iter().filter(is_done).copied().collect();
        if !before.is_empty() {
            return CommitReply::AppliedBefore(before);
        }
        let is_recorded = |part: u32| self.answers.contains_key(&(commit.flush_id, part));
        if revision != commit.base_revision || commit.answer.as_ref().is_some_and(|(part, _)| is_recorded(*part)) {
            return CommitReply::Stale;
        }
        self.apply(commit);
        CommitReply::Done
    }

    /// True when a blob has taken effect.
    pub(super) fn is_applied(&self, id: BlobId) -> bool {
        self.applied.iter().any(|row| row.blob_id == id)
    }

    /// True when a blob is in a dead letter.
    pub(super) fn is_dead(&self, id: BlobId) -> bool {
        self.dead.values().flat_map(|dead| &dead.letter.blobs).any(|stored| stored.blob.id == id)
    }

    /// Takes blobs out of their letters; letters without blobs go.
    pub(super) fn exhume(&mut self, ids: &[BlobId]) {
        for dead in self.dead.values_mut() {
            dead.letter.blobs.retain(|stored| !ids.contains(&stored.blob.id));
        }
        self.dead.retain(|_, dead| !dead.letter.blobs.is_empty());
    }

    fn apply(&mut self, commit: &Commit) {
        self.flushes.insert(commit.flush_id, (commit.record.clone(), commit.now));
        let row = |id: &BlobId| AppliedRow { blob_id: *id, flush_id: commit.flush_id, at: commit.now };
        self.applied.extend(commit.blob_ids.iter().map(row));
        self.exhume(&commit.blob_ids);
        if let Some((part, answer)) = &commit.answer {
            self.answers.insert((commit.flush_id, *part), (answer.clone(), commit.now));
        }
        for write in &commit.slots {
            let slot = write.slot();
            self.log(write.action(), Author::Flush(commit.flush_id), slot, commit.now);
            if write.changes_slot() {
                self.slots.retain(|s| s.id != slot.id);
            }
            if matches!(write, SlotWrite::Insert(_) | SlotWrite::Update(_)) {
                self.slots.push(slot.clone());
            }
        }
        if let Some((event, gists)) = &commit.event {
            self.events.push((event.clone(), in_order(gists)));
        }
        self.blobs.extend(commit.keep.iter().cloned());
        if commit.changes_memory() {
            self.bump();
        }
    }
}

/// Gists in order of position.
pub(super) fn in_order(gists: &[Gist]) -> Vec<Gist> {
    let mut gists = gists.to_vec();
    gists.sort_by_key(|g| g.position);
    gists
}
