//! The end of a user, and of old rows.

use super::kit::{Kit, answer, at, blob_id, flush_id, flushed_slot, key_in, letter, record, stored};
use crate::blob::BlobType;
use crate::ids::{FlushId, Owner};
use crate::ports::{Commit, CommitReply, EventFilter, FlushOutcome, Page};
use crate::profile::SlotWrite;

/// Gives a user rows in every table, and returns the commit among them.
async fn furnish(kit: &Kit, owner: &Owner) -> Commit {
    kit.slot(owner, "a", at(1)).await;
    let mut commit = kit.plan(owner, at(2)).await;
    commit.slots = vec![SlotWrite::Insert(flushed_slot("b", "memo", at(2)))];
    commit.keep = vec![stored(commit.blob_ids[0], BlobType::Chat, at(2))];
    let text = answer("answer");
    kit.store.record_answer(owner, commit.flush_id, 0, &text, at(2)).await.unwrap();
    kit.done(&commit).await;
    let dead = letter(&[stored(blob_id(), BlobType::Chat, at(3))]);
    kit.store.end_flush(owner, flush_id(), &record(FlushOutcome::Dead), Some(&dead), at(3)).await.unwrap();
    commit
}

/// Asserts that a user without memory sees nothing of a commit before.
async fn assert_nothing(kit: &Kit, owner: &Owner, commit: &Commit) {
    let (store, key) = (&kit.store, &owner.key);
    assert_eq!(store.events(key, &EventFilter { limit: 10, ..EventFilter::default() }).await.unwrap(), []);
    let event_id = commit.event.as_ref().unwrap().0.id;
    assert_eq!(store.event(key, event_id).await.unwrap(), None);
    assert_eq!(store.blob(key, commit.blob_ids[0]).await.unwrap(), None);
    let page = Page { offset: 0, limit: 10 };
    assert_eq!(store.blob_ids(key, BlobType::Chat, page).await.unwrap(), []);
    assert_eq!(store.flush(key, commit.flush_id).await.unwrap(), None);
    assert_eq!(store.dead_blob_ids(key, BlobType::Chat).await.unwrap(), []);
    assert_eq!(store.answer(key, commit.flush_id, 0).await.unwrap(), None);
}

pub async fn deleting_a_user_leaves_nothing(kit: Kit) {
    let (owner, other) = (kit.owner().await, kit.owner().await);
    let commit = furnish(&kit, &owner).await;
    furnish(&kit, &other).await;
    let rows = kit.harness.rows_of(&other.key).await;
    assert!(rows >= 11, "the look into the store misses tables: {rows} rows");
    assert_eq!(kit.store.delete_user(&owner.key, at(9)).await.unwrap(), Some(owner.incarnation));
    assert_eq!(kit.harness.rows_of(&owner.key).await, 0);
    assert_eq!(kit.harness.history_of(&owner.key).await, []);
    assert_eq!(kit.store.user(&owner.key).await.unwrap(), None);
    assert_eq!(kit.store.profile(&owner.key).await.unwrap(), None);
    assert_eq!(kit.store.gists(&owner.key, 10).await.unwrap(), None);
    assert_nothing(&kit, &owner, &commit).await;
    assert_eq!(kit.harness.rows_of(&other.key).await, rows, "others keep theirs");
}

pub async fn deleting_an_unknown_user_does_nothing(kit: Kit) {
    let owner = kit.owner().await;
    assert_eq!(kit.store.delete_user(&key_in("suite"), at(1)).await.unwrap(), None);
    assert_eq!(kit.store.purge_orders(10).await.unwrap(), []);
    assert!(kit.store.delete_user(&owner.key, at(1)).await.unwrap().is_some());
    assert_eq!(kit.store.delete_user(&owner.key, at(2)).await.unwrap(), None);
    assert_eq!(kit.store.purge_orders(10).await.unwrap(), [owner]);
}

pub async fn a_user_made_anew_inherits_nothing(kit: Kit) {
    let first = kit.owner().await;
    let commit = furnish(&kit, &first).await;
    kit.store.delete_user(&first.key, at(9)).await.unwrap();
    let second = kit.create(&first.key).await;
    assert_eq!(kit.harness.rows_of(&first.key).await, 1);
    let user = kit.store.user(&first.key).await.unwrap().unwrap();
    assert_eq!((user.incarnation, user.data), (second.incarnation, None));
    assert_eq!(kit.profile(&second).await.slots, []);
    assert_eq!(kit.gists(&second, 10).await, []);
    assert_nothing(&kit, &second, &commit).await;
    // A blob of the first life that the client sends again is a new one.
    let again = kit.plan(&second, at(10)).await;
    kit.done(&Commit { blob_ids: commit.blob_ids, ..again }).await;
}

pub async fn purge_orders_wait_until_done(kit: Kit) {
    let mut orders = Vec::new();
    for seconds in 1..=3 {
        let owner = kit.owner().await;
        kit.store.delete_user(&owner.key, at(seconds)).await.unwrap();
        orders.push(owner);
    }
    assert_eq!(kit.store.purge_orders(10).await.unwrap(), orders, "oldest first");
    assert_eq!(kit.store.purge_orders(2).await.unwrap(), orders[..2]);
    for _ in 0..2 {
        kit.store.purge_done(&orders[1], at(9)).await.unwrap();
        assert_eq!(kit.store.purge_orders(10).await.unwrap(), [orders[0].clone(), orders[2].clone()]);
    }
    let stranger = kit.owner().await;
    kit.store.purge_done(&stranger, at(9)).await.unwrap();
    assert_eq!(kit.store.purge_orders(10).await.unwrap().len(), 2);
}

pub async fn each_life_has_its_purge_order(kit: Kit) {
    let first = kit.owner().await;
    kit.store.delete_user(&first.key, at(1)).await.unwrap();
    let second = kit.create(&first.key).await;
    assert_eq!(kit.store.purge_orders(10).await.unwrap(), std::slice::from_ref(&first));
    kit.store.delete_user(&first.key, at(2)).await.unwrap();
    assert_eq!(kit.store.purge_orders(10).await.unwrap(), [first.clone(), second.clone()]);
    kit.store.purge_done(&first, at(3)).await.unwrap();
    assert_eq!(kit.store.purge_orders(10).await.unwrap(), [second]);
}

pub async fn an_ended_life_is_known(kit: Kit) {
    let [first, neighbour] = [kit.owner().await, kit.owner().await];
    assert!(!kit.store.is_buried(&first).await.unwrap());
    kit.store.delete_user(&first.key, at(1)).await.unwrap();
    kit.store.delete_user(&neighbour.key, at(1)).await.unwrap();
    let second = kit.create(&first.key).await;
    assert!(kit.store.is_buried(&first).await.unwrap());
    assert!(!kit.store.is_buried(&second).await.unwrap());
    assert_eq!(kit.store.purge_orders_of(&first.key).await.unwrap(), std::slice::from_ref(&first));
    kit.store.purge_done(&first, at(2)).await.unwrap();
    assert_eq!(kit.store.purge_orders_of(&first.key).await.unwrap(), []);
    assert!(kit.store.is_buried(&first).await.unwrap(), "a purge does not bring it back");
}

/// Leaves, all before `at(10)`: two applied blobs, an answer of an ended flush and one of a flush that has not
/// ended, the purged tombstone of one user and the unpurged one of another.
async fn leave_old_rows(kit: &Kit) -> (Owner, Commit, FlushId) {
    let owner = kit.owner().await;
    let plan = kit.plan(&owner, at(2)).await;
    let commit = Commit { blob_ids: vec![blob_id(), blob_id()], ..plan };
    let open = flush_id();
    for flush_id in [commit.flush_id, open] {
        kit.store.record_answer(&owner, flush_id, 0, &answer("old"), at(1)).await.unwrap();
    }
    kit.done(&commit).await;
    let [purged, unpurged] = [kit.owner().await, kit.owner().await];
    for gone in [&purged, &unpurged] {
        kit.store.delete_user(&gone.key, at(3)).await.unwrap();
    }
    kit.store.purge_done(&purged, at(4)).await.unwrap();
    (owner, commit, open)
}

pub async fn old_rows_are_forgotten(kit: Kit) {
    let (owner, commit, open) = leave_old_rows(&kit).await;
    assert_eq!(kit.store.forget_before(at(10), 100).await.unwrap(), 4);
    assert_eq!(kit.store.forget_before(at(10), 100).await.unwrap(), 0);
    assert_eq!(kit.store.answer(&owner.key, commit.flush_id, 0).await.unwrap(), None);
    assert!(kit.store.answer(&owner.key, open, 0).await.unwrap().is_some(), "this flush may go on");
    assert_eq!(kit.store.purge_orders(10).await.unwrap().len(), 1, "this order was not carried out");
    assert_eq!(kit.events(&owner).await.len(), 1);
    assert!(kit.store.flush(&owner.key, commit.flush_id).await.unwrap().is_some(), "outcomes are kept");
    let again = kit.plan(&owner, at(20)).await;
    kit.done(&Commit { blob_ids: commit.blob_ids, ..again }).await;
}

pub async fn forgetting_has_a_limit(kit: Kit) {
    leave_old_rows(&kit).await;
    assert_eq!(kit.store.forget_before(at(10), 0).await.unwrap(), 0);
    assert_eq!(kit.store.forget_before(at(10), 3).await.unwrap(), 3);
    assert_eq!(kit.store.forget_before(at(10), 3).await.unwrap(), 1);
}

pub async fn young_rows_are_kept(kit: Kit) {
    let (owner, commit, _) = leave_old_rows(&kit).await;
    assert_eq!(kit.store.forget_before(at(0), 100).await.unwrap(), 0);
    let again = kit.plan(&owner, at(20)).await;
    let again = Commit { blob_ids: commit.blob_ids[..1].to_vec(), ..again };
    assert_eq!(kit.commit(&again).await, CommitReply::AppliedBefore(again.blob_ids));
}
