//! Blobs that outlive their flush.

use super::kit::{Kit, at, blob_id, commit, flush_id, key_in, letter, record, stored};
use crate::blob::BlobType;
use crate::ids::{BlobId, Owner};
use crate::ports::{Commit, CommitReply, FlushOutcome, Page, StoredBlob};
use crate::testing::texts;

async fn keep(kit: &Kit, owner: &Owner, keep: &[StoredBlob]) {
    let commit = commit(owner, kit.revision(owner).await, at(100));
    let blob_ids = keep.iter().map(|b| b.blob.id).collect();
    kit.done(&Commit { blob_ids, keep: keep.to_vec(), ..commit }).await;
}

async fn page(kit: &Kit, owner: &Owner, blob_type: BlobType, offset: u64, limit: u64) -> Vec<BlobId> {
    kit.store.blob_ids(&owner.key, blob_type, Page { offset, limit }).await.unwrap()
}

pub async fn a_blob_is_as_it_was_kept(kit: Kit) {
    let owner = kit.owner().await;
    for blob_type in BlobType::ALL {
        let blob = stored(blob_id(), blob_type, at(3));
        keep(&kit, &owner, std::slice::from_ref(&blob)).await;
        assert_eq!(kit.store.blob(&owner.key, blob.blob.id).await.unwrap(), Some(blob.clone()));
        assert_eq!(page(&kit, &owner, blob_type, 0, 10).await, [blob.blob.id]);
    }
    assert_eq!(kit.store.blob(&owner.key, blob_id()).await.unwrap(), None);
}

pub async fn blobs_are_paged_newest_first(kit: Kit) {
    let owner = kit.owner().await;
    let blobs = [3, 1, 4, 2, 5].map(|seconds| stored(blob_id(), BlobType::Chat, at(seconds)));
    let doc = stored(blob_id(), BlobType::Doc, at(9));
    keep(&kit, &owner, &blobs[..2]).await;
    keep(&kit, &owner, &[&blobs[2..], &[doc]].concat()).await;
    let newest = [4, 2, 0, 3, 1].map(|index: usize| blobs[index].blob.id);
    let wide = u64::MAX;
    for (offset, limit, from, to) in [(0, 10, 0, 5), (0, 2, 0, 2), (2, 2, 2, 4), (4, 2, 4, 5), (1, wide, 1, 5)] {
        assert_eq!(page(&kit, &owner, BlobType::Chat, offset, limit).await, newest[from..to], "{offset} {limit}");
    }
    for (offset, limit) in [(0, 0), (5, 10), (wide, 10), (wide, wide)] {
        assert_eq!(page(&kit, &owner, BlobType::Chat, offset, limit).await, [], "{offset} {limit}");
    }
}

pub async fn blobs_of_one_instant_come_last_stored_first(kit: Kit) {
    let owner = kit.owner().await;
    let blobs: [_; 8] = std::array::from_fn(|_| stored(blob_id(), BlobType::Chat, at(1)));
    keep(&kit, &owner, &blobs[..5]).await;
    keep(&kit, &owner, &blobs[5..]).await;
    let newest: Vec<BlobId> = blobs.iter().rev().map(|b| b.blob.id).collect();
    assert_eq!(page(&kit, &owner, BlobType::Chat, 0, 10).await, newest);
    assert_eq!(page(&kit, &owner, BlobType::Chat, 2, 3).await, newest[2..5]);
}

pub async fn a_blob_is_deleted(kit: Kit) {
    let owner = kit.owner().await;
    let blobs = [1, 2].map(|seconds| stored(blob_id(), BlobType::Chat, at(seconds)));
    let plan = kit.plan(&owner, at(5)).await;
    let blob_ids = blobs.iter().map(|b| b.blob.id).collect();
    kit.done(&Commit { blob_ids, keep: blobs.to_vec(), ..plan }).await;
    assert!(kit.store.delete_blob(&owner.key, blobs[0].blob.id, at(9)).await.unwrap());
    assert_eq!(kit.store.blob(&owner.key, blobs[0].blob.id).await.unwrap(), None);
    assert_eq!(page(&kit, &owner, BlobType::Chat, 0, 10).await, [blobs[1].blob.id]);
    assert!(!kit.store.delete_blob(&owner.key, blobs[0].blob.id, at(9)).await.unwrap());
    assert!(!kit.store.delete_blob(&owner.key, blob_id(), at(9)).await.unwrap());
    assert_eq!(kit.events(&owner).await.len(), 1, "what was made of it stays");
}

pub async fn blob_text_round_trips(kit: Kit) {
    let owner = kit.owner().await;
    let mut blobs = Vec::new();
    for payload in [texts::odd(), texts::megabyte(), String::new()] {
        let mut blob = stored(blob_id(), BlobType::Chat, at(1));
        (blob.blob.payload, blob.blob.tokens) = (payload, u32::MAX);
        blobs.push(blob);
    }
    keep(&kit, &owner, &blobs).await;
    for blob in blobs {
        let read = kit.store.blob(&owner.key, blob.blob.id).await.unwrap().unwrap();
        assert!(read == blob, "a blob must come back as it went in");
    }
}

pub async fn a_withdrawn_blob_takes_no_effect(kit: Kit) {
    let owner = kit.owner().await;
    let [withdrawn, applied] = [blob_id(), blob_id()];
    let plan = kit.plan(&owner, at(5)).await;
    kit.done(&Commit { blob_ids: vec![applied], ..plan }).await;
    for id in [withdrawn, withdrawn, applied] {
        kit.store.withdraw_blob(&owner.key, id, at(6)).await.unwrap();
    }
    // An older journal brings it back.
    let plan = kit.plan(&owner, at(7)).await;
    let again = Commit { blob_ids: vec![withdrawn], ..plan };
    assert_eq!(kit.commit(&again).await, CommitReply::AppliedBefore(vec![withdrawn]));
    let stranger = key_in("suite");
    kit.store.withdraw_blob(&stranger, withdrawn, at(6)).await.unwrap();
    assert_eq!(kit.harness.rows_of(&stranger).await, 0);
}

pub async fn a_settled_blob_is_known(kit: Kit) {
    let (owner, other) = (kit.owner().await, kit.owner().await);
    let [applied, withdrawn, dead, fresh] = [blob_id(), blob_id(), blob_id(), blob_id()];
    let plan = kit.plan(&owner, at(5)).await;
    kit.done(&Commit { blob_ids: vec![applied], ..plan }).await;
    kit.store.withdraw_blob(&owner.key, withdrawn, at(6)).await.unwrap();
    let letter = letter(&[stored(dead, BlobType::Chat, at(1))]);
    kit.store.end_flush(&owner, flush_id(), &record(FlushOutcome::Dead), Some(&letter), at(7)).await.unwrap();
    let settled = async |owner: &Owner, id| kit.store.is_settled(&owner.key, id).await.unwrap();
    for id in [applied, withdrawn, dead] {
        assert!(settled(&owner, id).await && !settled(&other, id).await);
    }
    assert!(!settled(&owner, fresh).await);
    kit.store.delete_user(&owner.key, at(8)).await.unwrap();
    let next = kit.create(&owner.key).await;
    assert!(!settled(&next, applied).await, "another life inherits nothing");
}
