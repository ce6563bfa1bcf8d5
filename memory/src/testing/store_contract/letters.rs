//! Dead letters: listed, read, dropped, and tried again.

use super::kit::{Kit, at, blob_id, flush_id, key_in, letter, record, stored};
use crate::blob::BlobType;
use crate::ids::{BlobId, FlushId, Owner, ProjectId, UserId};
use crate::ports::{Commit, CommitReply, DeadLetterHead, FlushOutcome, Page, StoredBlob};
use crate::testing::texts;

const ALL: Page = Page { offset: 0, limit: 100 };

fn chats<const N: usize>() -> [StoredBlob; N] {
    std::array::from_fn(|_| stored(blob_id(), BlobType::Chat, at(1)))
}

/// Buries blobs in a letter, at this second.
async fn bury(kit: &Kit, owner: &Owner, blobs: &[StoredBlob], second: i64) -> FlushId {
    let (id, dead) = (flush_id(), letter(blobs));
    let ended = kit.store.end_flush(owner, id, &record(FlushOutcome::Dead), Some(&dead), at(second)).await.unwrap();
    assert_eq!(ended, None);
    id
}

async fn heads(kit: &Kit, project: &str, user: Option<UserId>, page: Page) -> Vec<DeadLetterHead> {
    kit.store.dead_letters(&ProjectId::from(project), user, page).await.unwrap()
}

async fn letters_of(kit: &Kit, owner: &Owner) -> Vec<FlushId> {
    heads(kit, owner.key.project.as_str(), Some(owner.key.user), ALL).await.into_iter().map(|h| h.flush_id).collect()
}

async fn dead(kit: &Kit, owner: &Owner) -> Vec<BlobId> {
    kit.store.dead_blob_ids(&owner.key, BlobType::Chat).await.unwrap()
}

/// A commit of these blobs, as of a letter that is tried again.
async fn retry(kit: &Kit, owner: &Owner, blobs: &[StoredBlob]) -> Commit {
    let blob_ids = blobs.iter().map(|stored| stored.blob.id).collect();
    Commit { blob_ids, retried: true, ..kit.plan(owner, at(9)).await }
}

pub async fn letters_are_listed_newest_first(kit: Kit) {
    let [one, other] = [kit.owner().await, kit.owner().await];
    let stranger = kit.create(&key_in("elsewhere")).await;
    let mut wanted = Vec::new();
    for (second, owner) in [(3, &one), (1, &other), (2, &one), (3, &other)] {
        wanted.push((at(second), bury(&kit, owner, &chats::<2>(), second).await, owner.key.user));
    }
    bury(&kit, &stranger, &chats::<1>(), 5).await;
    wanted.sort();
    wanted.reverse();
    let told = |head: &DeadLetterHead| (head.created_at, head.flush_id, head.user);
    let all = heads(&kit, "suite", None, ALL).await;
    assert_eq!(all.iter().map(told).collect::<Vec<_>>(), wanted);
    for head in &all {
        assert_eq!((head.blobs, head.tokens, head.blob_type), (2, 14, BlobType::Chat));
        assert_eq!(head.reason, "it was dead");
    }
    for (offset, limit) in [(0, 1), (1, 2), (3, 9), (4, 1)] {
        let page = heads(&kit, "suite", None, Page { offset, limit }).await;
        let (from, to) = (usize::try_from(offset).unwrap(), usize::try_from(offset + limit).unwrap());
        assert_eq!(page, all[from.min(4)..to.min(4)], "{offset} {limit}");
    }
    let mine = heads(&kit, "suite", Some(one.key.user), ALL).await;
    assert_eq!(mine, all.iter().filter(|head| head.user == one.key.user).cloned().collect::<Vec<_>>());
    assert_eq!(heads(&kit, "suite", Some(stranger.key.user), ALL).await, []);
    assert_eq!(heads(&kit, "nowhere", None, ALL).await, []);
}

pub async fn a_letter_is_as_it_was_buried(kit: Kit) {
    let owner = kit.owner().await;
    let mut blobs: [_; 3] = chats();
    blobs[1].blob.payload = texts::odd();
    blobs[2].created_at = at(-5);
    let id = bury(&kit, &owner, &blobs, 2).await;
    assert_eq!(kit.store.dead_letter(&owner.key, id).await.unwrap(), Some((at(2), letter(&blobs))));
    assert_eq!(kit.store.dead_letter(&owner.key, flush_id()).await.unwrap(), None);
    assert_eq!(kit.store.blob(&owner.key, blobs[1].blob.id).await.unwrap(), Some(blobs[1].clone()));
}

pub async fn a_dropped_letter_never_comes_back(kit: Kit) {
    let owner = kit.owner().await;
    let blobs: [_; 2] = chats();
    let id = bury(&kit, &owner, &blobs, 2).await;
    assert!(!kit.store.drop_dead_letter(&owner.key, flush_id(), at(3)).await.unwrap());
    assert!(kit.store.drop_dead_letter(&owner.key, id, at(3)).await.unwrap());
    assert!(!kit.store.drop_dead_letter(&owner.key, id, at(3)).await.unwrap());
    assert_eq!((letters_of(&kit, &owner).await, dead(&kit, &owner).await), (vec![], vec![]));
    assert_eq!(kit.store.blob(&owner.key, blobs[0].blob.id).await.unwrap(), None);
    // An older journal brings one back, as a retry or not.
    for retried in [false, true] {
        let plan = Commit { retried, ..retry(&kit, &owner, &blobs[..1]).await };
        assert_eq!(kit.commit(&plan).await, CommitReply::AppliedBefore(vec![blobs[0].blob.id]));
    }
    bury(&kit, &owner, &blobs, 4).await;
    assert_eq!(letters_of(&kit, &owner).await, []);
}

pub async fn a_deleted_blob_leaves_its_letter(kit: Kit) {
    let owner = kit.owner().await;
    let blobs: [_; 2] = chats();
    let id = bury(&kit, &owner, &blobs, 2).await;
    assert!(kit.store.delete_blob(&owner.key, blobs[0].blob.id, at(3)).await.unwrap());
    assert_eq!(kit.store.dead_letter(&owner.key, id).await.unwrap(), Some((at(2), letter(&blobs[1..]))));
    let plan = retry(&kit, &owner, &blobs[..1]).await;
    assert_eq!(kit.commit(&plan).await, CommitReply::AppliedBefore(vec![blobs[0].blob.id]));
    assert!(kit.store.delete_blob(&owner.key, blobs[1].blob.id, at(3)).await.unwrap());
    assert_eq!(letters_of(&kit, &owner).await, []);
    assert!(!kit.store.delete_blob(&owner.key, blobs[1].blob.id, at(3)).await.unwrap());
}

pub async fn a_retried_commit_takes_its_blobs_out_of_their_letters(kit: Kit) {
    let owner = kit.owner().await;
    let blobs: [_; 4] = chats();
    let split = bury(&kit, &owner, &blobs[..2], 2).await;
    let whole = bury(&kit, &owner, &blobs[2..3], 3).await;
    let untouched = bury(&kit, &owner, &blobs[3..], 4).await;
    assert_eq!(letters_of(&kit, &owner).await, [untouched, whole, split]);
    let plan = retry(&kit, &owner, &blobs[1..3]).await;
    assert_eq!(kit.commit(&Commit { base_revision: 99, ..plan.clone() }).await, CommitReply::Stale);
    assert_eq!(letters_of(&kit, &owner).await.len(), 3, "a stale commit changes nothing");
    kit.done(&plan).await;
    assert_eq!(letters_of(&kit, &owner).await, [untouched, split]);
    assert_eq!(kit.store.dead_letter(&owner.key, split).await.unwrap(), Some((at(2), letter(&blobs[..1]))));
    let again = retry(&kit, &owner, &blobs[2..3]).await;
    assert_eq!(kit.commit(&again).await, CommitReply::AppliedBefore(vec![blobs[2].blob.id]));
}

pub async fn a_blob_that_dies_again_moves_to_the_new_letter(kit: Kit) {
    let owner = kit.owner().await;
    let blobs: [_; 3] = chats();
    let split = bury(&kit, &owner, &blobs[..2], 2).await;
    bury(&kit, &owner, &blobs[2..], 3).await;
    let last = bury(&kit, &owner, &[blobs[2].clone(), blobs[1].clone()], 4).await;
    assert_eq!(letters_of(&kit, &owner).await, [last, split], "the one that is empty is gone");
    let moved = letter(&[blobs[2].clone(), blobs[1].clone()]);
    assert_eq!(kit.store.dead_letter(&owner.key, last).await.unwrap(), Some((at(4), moved)));
    assert_eq!(kit.store.dead_letter(&owner.key, split).await.unwrap(), Some((at(2), letter(&blobs[..1]))));
}

pub async fn letters_go_with_their_user(kit: Kit) {
    let first = kit.owner().await;
    let id = bury(&kit, &first, &chats::<1>(), 2).await;
    kit.store.delete_user(&first.key, at(3)).await.unwrap();
    let second = kit.create(&first.key).await;
    assert_eq!(letters_of(&kit, &second).await, []);
    assert_eq!(heads(&kit, "suite", None, ALL).await, []);
    assert_eq!(kit.store.dead_letter(&second.key, id).await.unwrap(), None);
    assert!(!kit.store.drop_dead_letter(&second.key, id, at(4)).await.unwrap());
}
