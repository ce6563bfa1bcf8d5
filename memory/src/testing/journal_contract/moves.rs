//! What moves from one journal to another.

use super::kit::{Kit, LEASE, blob, owner_in, reseal, secs, take};
use crate::blob::BlobType;
use crate::ids::Owner;
use crate::ports::{Holding, Release, Setback, Standing, Take};

async fn holding(kit: &Kit, owner: &Owner) -> Holding {
    let mut holding = kit.journal.holding(owner).await.unwrap();
    holding.last_seqs.sort();
    holding
}

/// An owner with an open batch, on its second attempt, and blobs of two types that wait.
async fn rich(kit: &Kit) -> Owner {
    let owner = kit.owner().await;
    for tokens in 1..=4 {
        kit.chat(&owner, tokens).await;
    }
    kit.put(&owner, &blob(BlobType::Doc, 9)).await;
    let claimed = kit.claim(&owner, Take { max_blobs: 2, ..take() }).await;
    let release = Release { retry_in: secs(0), setback: Setback::Failure };
    let done = kit.journal.release(&owner, claimed.batch.flush_id, claimed.token, release).await.unwrap();
    assert!(done);
    owner
}

pub async fn a_holding_is_all_that_is_held(kit: Kit) {
    let owner = rich(&kit).await;
    let held = holding(&kit, &owner).await;
    assert_eq!(held.last_seqs, [(BlobType::Chat, 4), (BlobType::Doc, 1)]);
    let waiting: Vec<_> = held.waiting.iter().map(|e| (e.blob.blob_type, e.seq, e.blob.tokens)).collect();
    assert_eq!(waiting, [(BlobType::Chat, 3, 3), (BlobType::Chat, 4, 4), (BlobType::Doc, 1, 9)]);
    let open = held.open.unwrap();
    assert_eq!((open.attempts, open.tries, open.entries.len()), (1, 1, 2));
    assert!(holding(&kit, &owner_in("suite")).await == Holding::default());
}

pub async fn what_was_handed_over_can_be_adopted(kit: Kit) {
    let owner = rich(&kit).await;
    kit.advance(secs(30)).await;
    let held = holding(&kit, &owner).await;
    kit.journal.hand_over(&owner).await.unwrap();
    assert!(holding(&kit, &owner).await == Holding::default());
    assert_eq!(kit.due(secs(0), 10).await, []);
    // Twice, as after a crash; and in place of what was appended meanwhile.
    kit.put(&owner, &blob(BlobType::Summary, 1)).await;
    for _ in 0..2 {
        kit.journal.adopt(&owner, &held).await.unwrap();
        assert!(holding(&kit, &owner).await == held);
    }
    assert_eq!(kit.due(secs(0), 10).await.len(), 1, "the open batch, once");
    let claimed = kit.claim(&owner, take()).await;
    assert!(Some(&claimed.batch) == held.open.as_ref());
    kit.discard(&owner, claimed.batch.flush_id).await;
    assert_eq!(kit.due(secs(20), 10).await.len(), 2, "blobs are as old as they were");
    assert_eq!(kit.put(&owner, &blob(BlobType::Chat, 5)).await.seq, 5, "numbers go on");
    let level = kit.level(&owner, BlobType::Chat).await.unwrap();
    assert_eq!((level.blobs, level.tokens, level.last_seq), (3, 12, 5));
    assert_eq!(kit.ids(&owner, Standing::Waiting).await.len(), 3);
}

pub async fn claims_do_not_move(kit: Kit) {
    let owner = kit.owner().await;
    kit.chat(&owner, 1).await;
    let claimed = kit.claim(&owner, take()).await;
    let held = holding(&kit, &owner).await;
    kit.journal.adopt(&owner, &held).await.unwrap();
    assert!(!kit.journal.renew(&owner, claimed.batch.flush_id, claimed.token, LEASE).await.unwrap());
    assert!(kit.claim(&owner, take()).await.batch == claimed.batch);
}

pub async fn a_retried_batch_moves_as_one(kit: Kit) {
    let owner = rich(&kit).await;
    let mut held = holding(&kit, &owner).await;
    held.open.as_mut().unwrap().retried = true;
    kit.journal.adopt(&owner, &held).await.unwrap();
    assert!(kit.claim(&owner, take()).await.batch.retried);
}

pub async fn owners_are_paged(kit: Kit) {
    let mut wanted = Vec::new();
    for project in ["one", "two"] {
        for _ in 0..5 {
            let owner = owner_in(project);
            kit.admit(&owner).await;
            kit.chat(&owner, 1).await;
            wanted.push(owner);
        }
    }
    kit.claim(&wanted[0], take()).await;
    // Nothing is left of these.
    let idle = kit.owner().await;
    let id = kit.chat(&idle, 1).await;
    kit.journal.remove(&idle, id).await.unwrap();
    let done = kit.owner().await;
    kit.chat(&done, 1).await;
    let claimed = kit.claim(&done, take()).await;
    let anew = reseal(claimed.batch.flush_id, &claimed.ids(), None);
    assert!(kit.journal.reseal(&done, &anew).await.unwrap());
    let mut found: Vec<Owner> = Vec::new();
    loop {
        let page = kit.journal.owners(found.last(), 3).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
}
