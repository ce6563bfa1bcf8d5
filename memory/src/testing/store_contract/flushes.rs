//! Flushes that end without effect, dead letters and recorded answers.

use super::kit::{Kit, answer, at, blob_id, flush_id, key_in, letter, record, stored};
use crate::blob::BlobType;
use crate::ids::{BlobId, FlushId, Owner};
use crate::ports::{Commit, CommitReply, DeadLetter, FlushOutcome, FlushRecord, StoredBlob};
use crate::testing::texts;

async fn end(
    kit: &Kit,
    owner: &Owner,
    id: FlushId,
    record: &FlushRecord,
    dead: Option<&DeadLetter>,
) -> Option<FlushRecord> {
    kit.store.end_flush(owner, id, record, dead, at(7)).await.unwrap()
}

pub async fn a_flush_ends_once(kit: Kit) {
    let (owner, id) = (kit.owner().await, flush_id());
    assert_eq!(kit.store.flush(&owner.key, id).await.unwrap(), None);
    let first = record(FlushOutcome::Superseded);
    assert_eq!(end(&kit, &owner, id, &first, None).await, None);
    let dead = letter(&[stored(blob_id(), BlobType::Chat, at(1))]);
    let rows = kit.harness.rows_of(&owner.key).await;
    let again = end(&kit, &owner, id, &record(FlushOutcome::Dead), Some(&dead)).await;
    assert_eq!(again, Some(first.clone()));
    assert_eq!(kit.store.flush(&owner.key, id).await.unwrap(), Some(first));
    assert_eq!(kit.store.dead_blob_ids(&owner.key, BlobType::Chat).await.unwrap(), []);
    assert_eq!(kit.harness.rows_of(&owner.key).await, rows);
}

pub async fn an_ended_flush_is_not_committed(kit: Kit) {
    for outcome in [FlushOutcome::Dead, FlushOutcome::Cancelled, FlushOutcome::Superseded] {
        let owner = kit.owner().await;
        let plan = kit.plan(&owner, at(5)).await;
        let record = record(outcome);
        let dead = (outcome == FlushOutcome::Dead).then(|| letter(&[stored(plan.blob_ids[0], BlobType::Chat, at(1))]));
        assert_eq!(end(&kit, &owner, plan.flush_id, &record, dead.as_ref()).await, None);
        assert_eq!(kit.commit(&plan).await, CommitReply::Decided(record));
        assert_eq!(kit.events(&owner).await, []);
        assert_eq!(kit.revision(&owner).await, plan.base_revision, "an end without effect changes no memory");
    }
}

pub async fn a_committed_flush_is_not_ended(kit: Kit) {
    let owner = kit.owner().await;
    let plan = kit.plan(&owner, at(5)).await;
    kit.done(&plan).await;
    let dead = letter(&[stored(plan.blob_ids[0], BlobType::Chat, at(1))]);
    let before = end(&kit, &owner, plan.flush_id, &record(FlushOutcome::Dead), Some(&dead)).await;
    assert_eq!(before, Some(plan.record.clone()));
    assert_eq!(kit.store.flush(&owner.key, plan.flush_id).await.unwrap(), Some(plan.record));
    assert_eq!(kit.store.dead_blob_ids(&owner.key, BlobType::Chat).await.unwrap(), []);
}

pub async fn every_outcome_is_kept(kit: Kit) {
    let owner = kit.owner().await;
    for outcome in [FlushOutcome::Dead, FlushOutcome::Cancelled, FlushOutcome::Superseded] {
        let (id, mut record) = (flush_id(), record(outcome));
        record.reason = Some(texts::odd());
        (record.refused, record.usage.input) = (u32::MAX, u32::MAX);
        assert_eq!(end(&kit, &owner, id, &record, None).await, None);
        assert_eq!(kit.store.flush(&owner.key, id).await.unwrap(), Some(record));
    }
}

pub async fn dead_letters_are_listed_in_order(kit: Kit) {
    let owner = kit.owner().await;
    let mut chats = Vec::new();
    for second in 1..=3 {
        let mut blobs = [1, 2, 3].map(|n| stored(blob_id(), BlobType::Chat, at(second * 10 + n)));
        blobs[1].blob.blob_type = BlobType::Doc;
        blobs[2].blob.payload = texts::odd();
        chats.extend([blobs[0].blob.id, blobs[2].blob.id]);
        let dead = letter(&blobs);
        let id = flush_id();
        let record = record(FlushOutcome::Dead);
        assert_eq!(kit.store.end_flush(&owner, id, &record, Some(&dead), at(second)).await.unwrap(), None);
    }
    assert_eq!(kit.store.dead_blob_ids(&owner.key, BlobType::Chat).await.unwrap(), chats);
    assert_eq!(kit.store.dead_blob_ids(&owner.key, BlobType::Doc).await.unwrap().len(), 3);
    assert_eq!(kit.store.dead_blob_ids(&owner.key, BlobType::Code).await.unwrap(), []);
    assert_eq!(kit.store.dead_blob_ids(&key_in("suite"), BlobType::Chat).await.unwrap(), []);
}

pub async fn an_undone_flush_leaves_its_blobs_free(kit: Kit) {
    let owner = kit.owner().await;
    let mut plan = kit.plan(&owner, at(5)).await;
    assert_eq!(end(&kit, &owner, plan.flush_id, &record(FlushOutcome::Superseded), None).await, None);
    plan.flush_id = flush_id();
    kit.done(&plan).await;
}

/// Buries blobs in a letter of their own.
async fn bury(kit: &Kit, owner: &Owner, blobs: &[StoredBlob]) {
    assert_eq!(end(kit, owner, flush_id(), &record(FlushOutcome::Dead), Some(&letter(blobs))).await, None);
}

async fn dead(kit: &Kit, owner: &Owner) -> Vec<BlobId> {
    kit.store.dead_blob_ids(&owner.key, BlobType::Chat).await.unwrap()
}

fn chats<const N: usize>() -> [StoredBlob; N] {
    std::array::from_fn(|_| stored(blob_id(), BlobType::Chat, at(1)))
}

pub async fn a_dead_blob_takes_no_effect(kit: Kit) {
    let owner = kit.owner().await;
    let blobs: [_; 2] = chats();
    bury(&kit, &owner, &blobs).await;
    // It comes back with another: sent again by the client, or in a journal that is older than it was.
    let mut plan = kit.plan(&owner, at(5)).await;
    let fresh = plan.blob_ids[0];
    plan.blob_ids = vec![blobs[1].blob.id, fresh, blobs[0].blob.id];
    plan.keep = blobs.to_vec();
    let rows = kit.harness.rows_of(&owner.key).await;
    let CommitReply::AppliedBefore(mut before) = kit.commit(&plan).await else { panic!("it is in a letter") };
    let mut expected = blobs.each_ref().map(|b| b.blob.id);
    before.sort();
    expected.sort();
    assert_eq!(before, expected, "all of them, and no other");
    assert_eq!(kit.store.flush(&owner.key, plan.flush_id).await.unwrap(), None);
    assert_eq!((kit.revision(&owner).await, kit.harness.rows_of(&owner.key).await), (plan.base_revision, rows));
    (plan.blob_ids, plan.keep) = (vec![fresh], Vec::new());
    kit.done(&plan).await;
}

pub async fn a_dead_blob_is_buried_once(kit: Kit) {
    let owner = kit.owner().await;
    let [first, second, third] = chats();
    bury(&kit, &owner, &[first.clone(), second.clone()]).await;
    bury(&kit, &owner, &[second.clone(), third.clone()]).await;
    assert_eq!(dead(&kit, &owner).await, [first, second, third].map(|b| b.blob.id));
}

pub async fn an_applied_blob_is_not_buried(kit: Kit) {
    let owner = kit.owner().await;
    let [applied, fresh] = chats();
    let plan = kit.plan(&owner, at(5)).await;
    kit.done(&Commit { blob_ids: vec![applied.blob.id], ..plan }).await;
    bury(&kit, &owner, &[applied, fresh.clone()]).await;
    assert_eq!(dead(&kit, &owner).await, [fresh.blob.id]);
}

pub async fn an_empty_letter_is_not_stored(kit: Kit) {
    let owner = kit.owner().await;
    let [applied, other] = chats();
    let plan = kit.plan(&owner, at(5)).await;
    kit.done(&Commit { blob_ids: vec![applied.blob.id, other.blob.id], ..plan }).await;
    for blobs in [vec![], vec![applied.clone()], vec![other, applied]] {
        let (id, rows) = (flush_id(), kit.harness.rows_of(&owner.key).await);
        let record = record(FlushOutcome::Dead);
        assert_eq!(end(&kit, &owner, id, &record, Some(&letter(&blobs))).await, None);
        assert_eq!(kit.harness.rows_of(&owner.key).await, rows + 1, "the outcome alone");
        assert_eq!(kit.store.flush(&owner.key, id).await.unwrap(), Some(record));
    }
    assert_eq!(dead(&kit, &owner).await, []);
}

pub async fn dead_blobs_of_other_users_do_not_clash(kit: Kit) {
    let (one, other) = (kit.owner().await, kit.owner().await);
    let [first, second] = chats();
    bury(&kit, &one, &[first.clone(), second.clone()]).await;
    bury(&kit, &other, std::slice::from_ref(&first)).await;
    assert_eq!(dead(&kit, &other).await, [first.blob.id]);
    let plan = kit.plan(&other, at(5)).await;
    kit.done(&Commit { blob_ids: vec![second.blob.id], ..plan }).await;
}

pub async fn a_deleted_user_gets_no_dead_letter(kit: Kit) {
    let first = kit.owner().await;
    kit.store.delete_user(&first.key, at(1)).await.unwrap();
    let dead = letter(&[stored(blob_id(), BlobType::Chat, at(1))]);
    end(&kit, &first, flush_id(), &record(FlushOutcome::Dead), Some(&dead)).await;
    assert_eq!(kit.store.dead_blob_ids(&first.key, BlobType::Chat).await.unwrap(), []);
    let second = kit.create(&first.key).await;
    end(&kit, &first, flush_id(), &record(FlushOutcome::Dead), Some(&dead)).await;
    assert_eq!(kit.store.dead_blob_ids(&second.key, BlobType::Chat).await.unwrap(), []);
}

pub async fn the_first_answer_counts(kit: Kit) {
    let (owner, id) = (kit.owner().await, flush_id());
    assert_eq!(kit.store.answer(&owner.key, id, 0).await.unwrap(), None);
    let first = answer(&(texts::odd() + &texts::megabyte()));
    for answer in [&first, &answer("second"), &first] {
        let counts = kit.store.record_answer(&owner, id, 0, answer, at(1)).await.unwrap();
        assert!(counts == first, "the first one recorded must come back as it went in");
    }
    assert!(kit.store.answer(&owner.key, id, 0).await.unwrap() == Some(first));
}

pub async fn answers_are_kept_by_part(kit: Kit) {
    let owner = kit.owner().await;
    let flushes = [flush_id(), flush_id()];
    for id in flushes {
        for part in [0, 1, u32::MAX] {
            let answer = answer(&format!("{id} {part}"));
            assert_eq!(kit.store.record_answer(&owner, id, part, &answer, at(1)).await.unwrap(), answer);
        }
    }
    for id in flushes {
        for part in [0, 1, u32::MAX] {
            let text = kit.store.answer(&owner.key, id, part).await.unwrap().unwrap().text;
            assert_eq!(text, format!("{id} {part}"));
        }
        assert_eq!(kit.store.answer(&owner.key, id, 2).await.unwrap(), None);
    }
}

pub async fn a_deleted_user_gets_no_answer(kit: Kit) {
    let first = kit.owner().await;
    kit.store.delete_user(&first.key, at(1)).await.unwrap();
    let id = flush_id();
    let late = answer("late");
    assert_eq!(kit.store.record_answer(&first, id, 0, &late, at(2)).await.unwrap(), late);
    assert_eq!(kit.harness.rows_of(&first.key).await, 0);
    let second = kit.create(&first.key).await;
    assert_eq!(kit.store.record_answer(&first, id, 0, &late, at(2)).await.unwrap(), late);
    assert_eq!(kit.store.answer(&second.key, id, 0).await.unwrap(), None, "another life inherits nothing");
}
