//! Commits, and what makes their effect exactly-once.

use super::kit::{Kit, answer, at, blob_id, commit, event, flush_id, flushed_slot, new_slot, slot_of, source, stored};
use crate::blob::BlobType;
use crate::ids::{IdSource, Incarnation, Owner, SystemIds};
use crate::ports::{Commit, CommitReply, FlushOutcome, FlushResult, Page, SlotChange};
use crate::profile::{Slot, SlotWrite};

/// A commit with something of everything.
async fn full(kit: &Kit, owner: &Owner) -> Commit {
    let mut full = kit.plan(owner, at(10)).await;
    full.blob_ids = vec![blob_id(), blob_id()];
    full.keep = full.blob_ids.iter().map(|id| stored(*id, BlobType::Chat, at(9))).collect();
    let slot = flushed_slot("title", "nurse", at(10));
    let event_id = full.event.as_ref().map(|(e, _)| e.id);
    full.record.result = FlushResult {
        event_id,
        add_profiles: vec![slot.id, new_slot("", "").id],
        update_profiles: vec![new_slot("", "").id],
        delete_profiles: vec![new_slot("", "").id],
    };
    full.slots = vec![SlotWrite::Insert(slot)];
    full.answer = Some((1, answer("the last one")));
    full
}

/// Asserts that nothing of a commit is stored, but for what `rows` there were.
async fn assert_undone(kit: &Kit, commit: &Commit, revision: i64, rows: u64) {
    let key = &commit.owner.key;
    assert_eq!(kit.store.flush(key, commit.flush_id).await.unwrap(), None);
    assert_eq!(kit.revision(&commit.owner).await, revision);
    for blob in &commit.keep {
        assert_eq!(kit.store.blob(key, blob.blob.id).await.unwrap(), None);
    }
    if let Some((part, _)) = commit.answer {
        assert_eq!(kit.store.answer(key, commit.flush_id, part).await.unwrap(), None);
    }
    assert_eq!(kit.harness.rows_of(key).await, rows);
}

pub async fn a_commit_stores_everything(kit: Kit) {
    let owner = kit.owner().await;
    let commit = full(&kit, &owner).await;
    kit.done(&commit).await;
    assert_eq!(kit.store.flush(&owner.key, commit.flush_id).await.unwrap(), Some(commit.record));
    let profile = kit.profile(&owner).await;
    assert_eq!(profile.slots, [commit.slots[0].slot().clone()]);
    assert_eq!(profile.revision, commit.base_revision + 1);
    let (event, gists) = commit.event.unwrap();
    assert_eq!(kit.events(&owner).await, [event]);
    assert_eq!(kit.gists(&owner, 10).await, gists);
    for kept in commit.keep {
        assert_eq!(kit.store.blob(&owner.key, kept.blob.id).await.unwrap(), Some(kept));
    }
    let (part, answer) = commit.answer.unwrap();
    assert_eq!(kit.store.answer(&owner.key, commit.flush_id, part).await.unwrap(), Some(answer));
}

pub async fn a_commit_of_an_answer_that_is_not_the_first_is_stale(kit: Kit) {
    let owner = kit.owner().await;
    for retried in [false, true] {
        let commit = Commit { retried, ..full(&kit, &owner).await };
        let first = answer("another worker's");
        kit.store.record_answer(&owner, commit.flush_id, 1, &first, at(9)).await.unwrap();
        let rows = kit.harness.rows_of(&owner.key).await;
        assert_eq!(kit.commit(&commit).await, CommitReply::Stale);
        assert_undone(&kit, &Commit { answer: None, ..commit.clone() }, commit.base_revision, rows).await;
        assert_eq!(kit.store.answer(&owner.key, commit.flush_id, 1).await.unwrap(), Some(first));
        kit.done(&Commit { answer: None, ..commit }).await;
    }
}

pub async fn a_repeated_commit_changes_nothing(kit: Kit) {
    let owner = kit.owner().await;
    let first = full(&kit, &owner).await;
    kit.done(&first).await;
    let (profile, rows) = (kit.profile(&owner).await, kit.harness.rows_of(&owner.key).await);
    let mut other = full(&kit, &owner).await;
    other.flush_id = first.flush_id;
    other.record.version = "other".into();
    for again in [&first, &other] {
        assert_eq!(kit.commit(again).await, CommitReply::Decided(first.record.clone()));
    }
    assert_eq!(kit.profile(&owner).await, profile);
    assert_eq!(kit.events(&owner).await.len(), 1);
    assert_eq!(kit.harness.rows_of(&owner.key).await, rows);
}

pub async fn a_commit_for_a_deleted_user_is_cancelled(kit: Kit) {
    let owner = kit.owner().await;
    let late = full(&kit, &owner).await;
    kit.store.delete_user(&owner.key, at(5)).await.unwrap();
    assert_eq!(kit.commit(&late).await, CommitReply::UserGone);
    let record = kit.store.flush(&owner.key, late.flush_id).await.unwrap().unwrap();
    assert_eq!((record.outcome, &record.result), (FlushOutcome::Cancelled, &FlushResult::default()));
    assert_eq!(kit.commit(&late).await, CommitReply::Decided(record));
    assert_eq!(kit.harness.rows_of(&owner.key).await, 1, "only the outcome is stored");
    assert_eq!(kit.store.user(&owner.key).await.unwrap(), None);
}

pub async fn a_commit_for_another_life_is_cancelled(kit: Kit) {
    let first = kit.owner().await;
    let late = full(&kit, &first).await;
    kit.store.delete_user(&first.key, at(5)).await.unwrap();
    let second = kit.create(&first.key).await;
    assert_eq!(kit.revision(&second).await, late.base_revision, "so that the revision cannot save it");
    assert_eq!(kit.commit(&late).await, CommitReply::UserGone);
    let record = kit.store.flush(&first.key, late.flush_id).await.unwrap().unwrap();
    assert_eq!(record.outcome, FlushOutcome::Cancelled);
    assert_eq!(kit.profile(&second).await.slots, []);
    assert_eq!(kit.events(&second).await, []);
    assert_eq!(kit.store.blob(&first.key, late.blob_ids[0]).await.unwrap(), None);
    // Its blobs did not take effect, so they still may, in this life.
    let again = Commit { owner: second, flush_id: flush_id(), ..late };
    kit.done(&again).await;
}

pub async fn a_blob_takes_effect_once(kit: Kit) {
    let owner = kit.owner().await;
    let first = full(&kit, &owner).await;
    kit.done(&first).await;
    let revision = kit.revision(&owner).await;
    let rows = kit.harness.rows_of(&owner.key).await;
    let mut second = full(&kit, &owner).await;
    let fresh = second.blob_ids[0];
    second.blob_ids = vec![fresh, first.blob_ids[1], first.blob_ids[0]];
    let CommitReply::AppliedBefore(mut before) = kit.commit(&second).await else { panic!("applied before") };
    before.sort();
    let mut expected = first.blob_ids.clone();
    expected.sort();
    assert_eq!(before, expected, "all of them, and no other");
    assert_undone(&kit, &second, revision, rows).await;
    // The same flush is still undecided, and its other blob still fresh.
    second.blob_ids = vec![fresh];
    kit.done(&second).await;
}

pub async fn a_stale_commit_changes_nothing(kit: Kit) {
    let owner = kit.owner().await;
    let mut late = full(&kit, &owner).await;
    kit.slot(&owner, "a", at(1)).await;
    let revision = kit.revision(&owner).await;
    let rows = kit.harness.rows_of(&owner.key).await;
    for base in [late.base_revision, revision + 1] {
        late.base_revision = base;
        assert_eq!(kit.commit(&late).await, CommitReply::Stale);
        assert_undone(&kit, &late, revision, rows).await;
    }
    late.base_revision = revision;
    kit.done(&late).await;
}

pub async fn a_commit_adds_one_to_the_revision(kit: Kit) {
    let owner = kit.owner().await;
    let mut revision = kit.revision(&owner).await;
    let slots = [flushed_slot("a", "1", at(1)), flushed_slot("b", "1", at(1))].map(SlotWrite::Insert);
    let base = commit(&owner, revision, at(1));
    let with_slots = Commit { slots: slots.to_vec(), ..base };
    let mut with_event = commit(&owner, revision + 1, at(2));
    with_event.event = Some(event(&with_event, &["one", "two"]));
    for commit in [with_slots, with_event, Commit { base_revision: revision + 2, ..full(&kit, &owner).await }] {
        kit.done(&commit).await;
        revision += 1;
        assert_eq!(kit.revision(&owner).await, revision);
    }
}

pub async fn a_commit_that_changes_nothing_leaves_the_revision(kit: Kit) {
    let owner = kit.owner().await;
    let revision = kit.revision(&owner).await;
    let empty = commit(&owner, revision, at(1));
    let mut overruled = commit(&owner, revision, at(2));
    overruled.slots = vec![SlotWrite::Overruled(flushed_slot("a", "1", at(2)))];
    for commit in [empty, overruled] {
        kit.done(&commit).await;
        assert_eq!(kit.revision(&owner).await, revision);
        assert_eq!(kit.store.flush(&owner.key, commit.flush_id).await.unwrap(), Some(commit.record));
    }
    assert_eq!(kit.harness.history_of(&owner.key).await.len(), 1);
}

pub async fn a_commit_writes_slots(kit: Kit) {
    let owner = kit.owner().await;
    let [kept, changed, gone] = ["kept", "changed", "gone"].map(|name| new_slot(name, "old"));
    for slot in [&kept, &changed, &gone] {
        assert!(kit.store.add_slot(&owner.key, slot, at(1)).await.unwrap());
    }
    let client = SlotChange { content: "client".into(), address: None };
    assert!(kit.store.update_slot(&owner.key, kept.id, &client, at(2)).await.unwrap());
    let before = kit.harness.history_of(&owner.key).await.len();
    let kept_now = Slot { content: "client".into(), revision: 2, updated_at: at(2), ..slot_of(&kept, at(1)) };
    let changed_now = Slot { content: "flush".into(), revision: 2, updated_at: at(9), ..slot_of(&changed, at(1)) };
    let overruled = Slot { content: "overruled".into(), updated_at: at(9), ..kept_now.clone() };
    let nowhere = flushed_slot("nowhere", "lost", at(9));
    let added = flushed_slot("added", "new", at(10));
    let mut commit = commit(&owner, kit.revision(&owner).await, at(10));
    commit.slots = vec![
        SlotWrite::Insert(added.clone()),
        SlotWrite::Update(changed_now.clone()),
        SlotWrite::Delete(slot_of(&gone, at(1))),
        SlotWrite::Overruled(overruled.clone()),
        SlotWrite::Overruled(nowhere.clone()),
    ];
    kit.done(&commit).await;
    assert_eq!(kit.profile(&owner).await.slots, [added.clone(), changed_now, kept_now]);
    let lines = [
        (added.id, "insert", "new"),
        (changed.id, "update", "flush"),
        (gone.id, "delete", "old"),
        (kept.id, "overruled", "overruled"),
        (nowhere.id, "overruled", "lost"),
    ];
    let expected = lines.map(|(id, action, memo)| (id, action.to_owned(), Some(commit.flush_id), memo.to_owned()));
    assert_eq!(kit.harness.history_of(&owner.key).await[before..], expected);
}

pub async fn sources_are_kept_with_slots_and_their_history(kit: Kit) {
    let owner = kit.owner().await;
    let without = Slot { sources: Vec::new(), ..flushed_slot("without", "1", at(1)) };
    let told = flushed_slot("told", "2", at(2));
    let overruled = flushed_slot("overruled", "3", at(2));
    let writes = [SlotWrite::Insert(without.clone()), SlotWrite::Insert(told.clone()), SlotWrite::Overruled(overruled)];
    let now_told = Slot { sources: vec![source(7)], revision: 2, updated_at: at(3), ..without.clone() };
    let later = [SlotWrite::Update(now_told.clone()), SlotWrite::Delete(told.clone())];
    for writes in [&writes[..], &later] {
        let mut commit = commit(&owner, kit.revision(&owner).await, at(3));
        commit.slots = writes.to_vec();
        kit.done(&commit).await;
        let sources: Vec<_> = writes.iter().map(|write| write.slot().sources.clone()).collect();
        assert!(kit.harness.sources_in_history_of(&owner.key).await.ends_with(&sources));
        let left = if writes.len() == 3 { vec![told.clone(), without.clone()] } else { vec![now_told.clone()] };
        assert_eq!(kit.profile(&owner).await.slots, left);
    }
    assert_eq!(kit.harness.sources_in_history_of(&owner.key).await.len(), 5);
}

pub async fn the_checks_have_an_order(kit: Kit) {
    let owner = kit.owner().await;
    let first = full(&kit, &owner).await;
    kit.done(&first).await;
    // Applied before and stale: the blobs are looked at first.
    let both = Commit { flush_id: flush_id(), ..first.clone() };
    assert!(matches!(kit.commit(&both).await, CommitReply::AppliedBefore(_)));
    // Another life, applied before and stale: the user is looked at first.
    let life = Owner { key: owner.key.clone(), incarnation: Incarnation(SystemIds.random()) };
    let gone = Commit { owner: life.clone(), flush_id: flush_id(), ..first.clone() };
    assert_eq!(kit.commit(&gone).await, CommitReply::UserGone);
    // All of it and decided: the outcome is looked at first.
    let decided = Commit { owner: life, ..first.clone() };
    assert_eq!(kit.commit(&decided).await, CommitReply::Decided(first.record));
}

pub async fn blobs_of_other_users_do_not_clash(kit: Kit) {
    let (one, other) = (kit.owner().await, kit.owner().await);
    let mut elsewhere = one.key.clone();
    elsewhere.project = "elsewhere".into();
    let elsewhere = kit.create(&elsewhere).await;
    let first = full(&kit, &one).await;
    kit.done(&first).await;
    for owner in [other, elsewhere] {
        let mut commit = full(&kit, &owner).await;
        (commit.blob_ids, commit.keep) = (first.blob_ids.clone(), first.keep.clone());
        kit.done(&commit).await;
        let page = Page { offset: 0, limit: 10 };
        assert_eq!(kit.store.blob_ids(&owner.key, BlobType::Chat, page).await.unwrap().len(), 2);
        assert!(kit.store.delete_blob(&owner.key, first.blob_ids[0], at(9)).await.unwrap());
        assert!(kit.store.blob(&one.key, first.blob_ids[0]).await.unwrap().is_some());
    }
}

pub async fn deleted_blobs_stay_applied(kit: Kit) {
    let owner = kit.owner().await;
    let first = full(&kit, &owner).await;
    kit.done(&first).await;
    let (event, _) = first.event.unwrap();
    assert!(kit.store.delete_event(&owner.key, event.id).await.unwrap());
    for id in &first.blob_ids {
        assert!(kit.store.delete_blob(&owner.key, *id, at(9)).await.unwrap());
    }
    let mut second = full(&kit, &owner).await;
    second.blob_ids = first.blob_ids[..1].to_vec();
    assert_eq!(kit.commit(&second).await, CommitReply::AppliedBefore(second.blob_ids));
}
