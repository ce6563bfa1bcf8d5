//! The end of an owner, and what keeps owners apart.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::kit::{Kit, blob, next_life, owner_in, reseal, secs, take};
use crate::blob::BlobType;
use crate::ids::{IdSource, Owner, ProjectId, SystemIds};
use crate::ports::Setback::Failure;
use crate::ports::{JournalError, Level, Removed, Standing, Take, Taken};

/// Asserts that nothing is held of an owner.
async fn assert_nothing(kit: &Kit, owner: &Owner) {
    assert_eq!(kit.journal.levels(owner).await.unwrap(), []);
    for blob_type in BlobType::ALL {
        for standing in [Standing::Waiting, Standing::Sealed] {
            assert_eq!(kit.journal.blob_ids(owner, blob_type, standing).await.unwrap(), []);
        }
    }
    assert_eq!(kit.take(owner, &take()).await, Taken::Empty(Level::default()));
}

async fn assert_gone(kit: &Kit, owner: &Owner) {
    let refused = kit.journal.append(owner, &blob(BlobType::Chat, 1)).await;
    assert!(matches!(refused, Err(JournalError::OwnerGone)), "{refused:?}");
}

pub async fn a_purge_removes_everything(kit: Kit) {
    let owner = kit.owner().await;
    let sealed = kit.chat(&owner, 1).await;
    let claimed = kit.claim(&owner, take()).await;
    let waiting = kit.chat(&owner, 1).await;
    kit.put(&owner, &blob(BlobType::Doc, 1)).await;
    for _ in 0..2 {
        kit.journal.purge(&owner).await.unwrap();
        assert_nothing(&kit, &owner).await;
    }
    for id in [sealed, waiting] {
        assert_eq!(kit.journal.blob(&owner, id).await.unwrap(), None);
        assert_eq!(kit.journal.remove(&owner, id).await.unwrap(), Removed::Unknown);
    }
    assert!(!kit.renew(&owner, &claimed).await);
    assert!(!kit.release(&owner, &claimed, secs(0), Failure).await);
    let ask = reseal(claimed.batch.flush_id, &[], Some(claimed.token));
    assert!(!kit.journal.reseal(&owner, &ask).await.unwrap());
    kit.discard(&owner, claimed.batch.flush_id).await;
    kit.advance(secs(1000)).await;
    assert_eq!(kit.due(secs(0), 10).await, []);
}

pub async fn a_purge_is_for_good(kit: Kit) {
    let owner = kit.owner().await;
    let known = blob(BlobType::Chat, 1);
    kit.put(&owner, &known).await;
    kit.journal.purge(&owner).await.unwrap();
    assert_gone(&kit, &owner).await;
    let repeated = kit.journal.append(&owner, &known).await;
    assert!(matches!(repeated, Err(JournalError::OwnerGone)), "{repeated:?}");
    kit.advance(secs(365 * 24 * 3600)).await;
    assert_gone(&kit, &owner).await;
    assert_nothing(&kit, &owner).await;
}

pub async fn a_purge_of_an_unused_owner_counts(kit: Kit) {
    let owner = kit.owner().await;
    kit.journal.purge(&owner).await.unwrap();
    assert_gone(&kit, &owner).await;
}

pub async fn another_life_is_not_purged(kit: Kit) {
    let first = kit.owner().await;
    let same = blob(BlobType::Chat, 1);
    kit.put(&first, &same).await;
    kit.claim(&first, take()).await;
    kit.journal.purge(&first).await.unwrap();
    let second = next_life(&first);
    kit.admit(&second).await;
    assert_nothing(&kit, &second).await;
    kit.put(&second, &same).await;
    kit.journal.purge(&first).await.unwrap();
    assert_gone(&kit, &first).await;
    assert_eq!(kit.waiting(&second).await, [same.id]);
    assert_eq!(kit.claim(&second, take()).await.ids(), [same.id]);
}

pub async fn a_purge_under_concurrent_appends_leaves_nothing(kit: Kit) {
    let owner = kit.owner().await;
    let mut tasks = JoinSet::new();
    for index in 0..20 {
        let (journal, owner) = (Arc::clone(&kit.journal), owner.clone());
        tasks.spawn(async move {
            if index == 10 {
                return journal.purge(&owner).await.unwrap();
            }
            let done = journal.append(&owner, &blob(BlobType::Chat, 1)).await;
            assert!(matches!(done, Ok(_) | Err(JournalError::OwnerGone)), "{done:?}");
        });
    }
    tasks.join_all().await;
    assert_nothing(&kit, &owner).await;
}

/// Gives two owners the same blob, and asserts that each has its own.
async fn assert_apart(kit: &Kit, one: &Owner, other: &Owner) {
    let same = blob(BlobType::Chat, 3);
    for owner in [one, other] {
        let append = kit.put(owner, &same).await;
        assert_eq!((append.level.blobs, append.level.tokens), (1, 3));
    }
    let of_one = kit.claim(one, take()).await;
    let of_other = kit.claim(other, take()).await;
    kit.discard(one, of_one.batch.flush_id).await;
    assert_eq!(kit.sealed(other).await, [same.id]);
    assert!(kit.renew(other, &of_other).await);
    kit.journal.purge(one).await.unwrap();
    assert_eq!(kit.sealed(other).await, [same.id]);
    kit.chat(other, 1).await;
}

pub async fn owners_are_apart(kit: Kit) {
    let (one, other) = (kit.owner().await, kit.owner().await);
    assert_apart(&kit, &one, &other).await;
}

pub async fn projects_are_apart(kit: Kit) {
    let one = owner_in("one");
    let mut other = one.clone();
    other.key.project = ProjectId::from("other");
    kit.admit(&one).await;
    kit.admit(&other).await;
    assert_apart(&kit, &one, &other).await;
    // Names that would run together if they were joined carelessly.
    for (left, right) in [("a:b", "a"), ("p%", "p_"), ("Ünï", "uni")] {
        let left = owner_in(left);
        let mut right_owner = left.clone();
        right_owner.key.project = ProjectId::from(right);
        kit.admit(&left).await;
        kit.admit(&right_owner).await;
        assert_apart(&kit, &left, &right_owner).await;
    }
}

pub async fn the_batch_of_another_owner_cannot_be_touched(kit: Kit) {
    let (mine, theirs) = (kit.owner().await, kit.owner().await);
    let blob = kit.chat(&theirs, 1).await;
    kit.chat(&mine, 1).await;
    let claimed = kit.claim(&theirs, Take { lease: secs(600), ..take() }).await;
    let flush_id = claimed.batch.flush_id;
    assert!(!kit.renew(&mine, &claimed).await);
    assert!(!kit.release(&mine, &claimed, secs(0), Failure).await);
    for token in [None, Some(claimed.token)] {
        assert!(!kit.journal.reseal(&mine, &reseal(flush_id, &[blob], token)).await.unwrap());
    }
    kit.discard(&mine, flush_id).await;
    assert_eq!(kit.journal.remove(&mine, blob).await.unwrap(), Removed::Unknown);
    assert_eq!(kit.journal.blob(&mine, blob).await.unwrap(), None);
    assert_eq!(kit.journal.levels(&Owner { key: mine.key.clone(), ..theirs.clone() }).await.unwrap(), []);
    assert_eq!(kit.sealed(&theirs).await, [blob]);
    assert!(kit.renew(&theirs, &claimed).await);
    let stranger = owner_in(&SystemIds.random().to_string());
    assert_nothing(&kit, &stranger).await;
}
