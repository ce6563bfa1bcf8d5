//! Blobs of dead letters that are processed again.

use jiff::Timestamp;

use super::kit::{Kit, blob, reseal, secs, take};
use crate::blob::{BlobType, NewBlob};
use crate::ids::{FlushId, IdSource, Owner, SystemIds};
use crate::ports::{Due, JournalError, Release, Requeue, Requeued, Setback, Take};

fn requeue(blobs: &[NewBlob]) -> Requeue {
    let appended = |n: i64| Timestamp::from_second(1_700_000_000 + n).unwrap();
    let blobs = (0..).zip(blobs).map(|(n, blob)| (blob.clone(), appended(n))).collect();
    Requeue { flush_id: FlushId(SystemIds.ordered()), blob_type: BlobType::Chat, blobs }
}

fn chats<const N: usize>() -> [NewBlob; N] {
    std::array::from_fn(|n| blob(BlobType::Chat, 10 + u32::try_from(n).unwrap()))
}

async fn queue(kit: &Kit, owner: &Owner, requeue: &Requeue) -> Requeued {
    kit.journal.requeue(owner, requeue).await.unwrap()
}

pub async fn requeued_blobs_come_before_what_waits(kit: Kit) {
    let owner = kit.owner().await;
    let waiting = kit.chat(&owner, 1).await;
    let level = kit.level(&owner, BlobType::Chat).await;
    let asked = requeue(&chats::<3>());
    assert_eq!(queue(&kit, &owner, &asked).await, Requeued::Queued);
    assert_eq!(kit.level(&owner, BlobType::Chat).await, level, "no level changes");
    let due = Due { owner: owner.clone(), blob_type: BlobType::Chat };
    assert_eq!(kit.due(secs(10_000), 10).await, [due], "it is due at once");
    // Limits do not cut it: it was a batch before.
    let claimed = kit.claim(&owner, Take { max_blobs: 1, max_tokens: 1, ..take() }).await;
    let batch = &claimed.batch;
    assert_eq!((batch.flush_id, batch.retried, batch.attempts, batch.tries), (asked.flush_id, true, 0, 0));
    assert_eq!(batch.entries.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3]);
    let blobs: Vec<_> = batch.entries.iter().map(|e| (e.blob.clone(), e.appended_at)).collect();
    assert!(blobs == asked.blobs);
    kit.discard(&owner, batch.flush_id).await;
    let next = kit.claim(&owner, take()).await;
    assert_eq!((next.ids(), next.batch.retried), (vec![waiting], false));
}

pub async fn a_requeue_of_an_unused_owner_works(kit: Kit) {
    let owner = kit.owner().await;
    let asked = requeue(&chats::<1>());
    assert_eq!(queue(&kit, &owner, &asked).await, Requeued::Queued);
    assert_eq!(kit.sealed(&owner).await, [asked.blobs[0].0.id]);
    let claimed = kit.claim(&owner, take()).await;
    kit.discard(&owner, claimed.batch.flush_id).await;
    assert_eq!(kit.put(&owner, &blob(BlobType::Chat, 1)).await.seq, 1);
}

pub async fn a_requeue_beside_an_open_batch_is_busy(kit: Kit) {
    let owner = kit.owner().await;
    let sealed = kit.chat(&owner, 1).await;
    let claimed = kit.claim(&owner, take()).await;
    let asked = requeue(&chats::<1>());
    assert_eq!(queue(&kit, &owner, &asked).await, Requeued::Busy);
    assert_eq!(kit.sealed(&owner).await, [sealed]);
    assert_eq!(kit.journal.blob(&owner, asked.blobs[0].0.id).await.unwrap(), None);
    kit.discard(&owner, claimed.batch.flush_id).await;
    assert_eq!(queue(&kit, &owner, &asked).await, Requeued::Queued);
}

pub async fn a_requeue_of_known_blobs_changes_nothing(kit: Kit) {
    let owner = kit.owner().await;
    let asked = requeue(&chats::<2>());
    queue(&kit, &owner, &asked).await;
    let claimed = kit.claim(&owner, take()).await;
    let again = requeue(&[asked.blobs[1].0.clone()]);
    assert_eq!(queue(&kit, &owner, &again).await, Requeued::Queued);
    assert!(kit.renew(&owner, &claimed).await, "the claim goes on");
    assert_eq!(kit.sealed(&owner).await, claimed.ids());
    kit.discard(&owner, claimed.batch.flush_id).await;
    kit.put(&owner, &again.blobs[0].0).await;
    assert_eq!(queue(&kit, &owner, &again).await, Requeued::Queued);
    assert_eq!(kit.waiting(&owner).await, [again.blobs[0].0.id], "it waits as it did");
}

pub async fn a_requeued_batch_stays_one(kit: Kit) {
    let owner = kit.owner().await;
    let asked = requeue(&chats::<2>());
    queue(&kit, &owner, &asked).await;
    let first = kit.claim(&owner, take()).await;
    let drop = [asked.blobs[0].0.id];
    let anew = reseal(first.batch.flush_id, &drop, Some(first.token));
    assert!(kit.journal.reseal(&owner, &anew).await.unwrap());
    let release = Release { retry_in: secs(0), setback: Setback::Failure };
    assert!(kit.journal.release(&owner, anew.new_flush_id, first.token, release).await.unwrap());
    let second = kit.claim(&owner, take()).await;
    assert_eq!((second.batch.retried, second.batch.attempts), (true, 1));
    assert_eq!(second.ids(), [asked.blobs[1].0.id]);
}

pub async fn a_purged_owner_gets_nothing_back(kit: Kit) {
    let owner = kit.owner().await;
    let asked = requeue(&chats::<1>());
    queue(&kit, &owner, &asked).await;
    kit.journal.purge(&owner).await.unwrap();
    let refused = kit.journal.requeue(&owner, &asked).await;
    assert!(matches!(refused, Err(JournalError::OwnerGone)), "{refused:?}");
    assert_eq!(kit.sealed(&owner).await, []);
}
