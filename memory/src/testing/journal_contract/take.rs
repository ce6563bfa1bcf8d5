//! Sealing: what becomes a batch.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::kit::{Kit, LEASE, blob, secs, take};
use crate::blob::BlobType;
use crate::ids::{BlobId, Owner};
use crate::ports::Setback::{Failure, Outage};
use crate::ports::{Level, Take, Taken};

async fn chats<const N: usize>(kit: &Kit, owner: &Owner, tokens: [u32; N]) -> [BlobId; N] {
    let mut ids = [BlobId(uuid::Uuid::nil()); N];
    for (id, tokens) in ids.iter_mut().zip(tokens) {
        *id = kit.chat(owner, tokens).await;
    }
    ids
}

pub async fn a_take_seals_what_fits_the_tokens(kit: Kit) {
    // Below the second blob's end, exactly at it, and just above.
    for (max_tokens, count) in [(5, 1), (6, 2), (8, 2), (9, 3)] {
        let owner = kit.owner().await;
        let ids = chats(&kit, &owner, [3, 3, 3]).await;
        let claimed = kit.claim(&owner, Take { max_tokens, ..take() }).await;
        assert_eq!(claimed.ids(), ids[..count], "{max_tokens} tokens");
        let left = 3 - count as u64;
        assert_eq!((claimed.level.blobs, claimed.level.tokens), (left, left * 3));
        assert_eq!(kit.level(&owner, BlobType::Chat).await, Some(claimed.level));
        assert_eq!(kit.waiting(&owner).await, ids[count..]);
        assert_eq!(kit.sealed(&owner).await, ids[..count]);
    }
}

pub async fn a_take_seals_what_fits_the_blobs(kit: Kit) {
    let owner = kit.owner().await;
    let ids = chats(&kit, &owner, [1, 1, 1]).await;
    let claimed = kit.claim(&owner, Take { max_blobs: 2, ..take() }).await;
    assert_eq!(claimed.ids(), ids[..2]);
    assert_eq!((claimed.level.blobs, claimed.level.tokens), (1, 1));
}

pub async fn a_blob_over_the_limit_is_alone(kit: Kit) {
    let owner = kit.owner().await;
    let ids = chats(&kit, &owner, [10, 1]).await;
    let claimed = kit.claim(&owner, Take { max_tokens: 5, ..take() }).await;
    assert_eq!(claimed.ids(), ids[..1]);
}

pub async fn a_take_stops_at_the_first_blob_that_does_not_fit(kit: Kit) {
    let owner = kit.owner().await;
    let ids = chats(&kit, &owner, [3, 10, 1]).await;
    let limit = || Take { max_tokens: 5, ..take() };
    for id in ids {
        let claimed = kit.claim(&owner, limit()).await;
        assert_eq!(claimed.ids(), [id], "a prefix passes over nothing");
        kit.discard(&owner, claimed.batch.flush_id).await;
    }
}

pub async fn the_widest_limits_take_everything(kit: Kit) {
    let owner = kit.owner().await;
    let ids = chats(&kit, &owner, [u32::MAX, u32::MAX, 1]).await;
    let claimed = kit.claim(&owner, Take { max_tokens: u64::MAX, max_blobs: u32::MAX, ..take() }).await;
    assert_eq!(claimed.ids(), ids);
}

pub async fn takes_go_in_order(kit: Kit) {
    let owner = kit.owner().await;
    let mut expected = chats(&kit, &owner, [1, 1, 1, 1, 1]).await.to_vec();
    let (mut got, mut last) = (Vec::new(), 0);
    for _ in 0..3 {
        let claimed = kit.claim(&owner, Take { max_blobs: 2, ..take() }).await;
        // What comes meanwhile goes behind.
        expected.push(kit.chat(&owner, 1).await);
        got.extend(claimed.ids());
        for entry in &claimed.batch.entries {
            assert!(entry.seq > last);
            last = entry.seq;
        }
        kit.discard(&owner, claimed.batch.flush_id).await;
    }
    assert_eq!(got, expected[..6]);
}

pub async fn an_empty_buffer_gives_its_level(kit: Kit) {
    let owner = kit.owner().await;
    let append = kit.put(&owner, &blob(BlobType::Chat, 1)).await;
    let claimed = kit.claim(&owner, take()).await;
    kit.discard(&owner, claimed.batch.flush_id).await;
    let empty = Level { last_seq: append.seq, ..Level::default() };
    assert_eq!(kit.take(&owner, &take()).await, Taken::Empty(empty));
    let other = Take { blob_type: BlobType::Doc, ..take() };
    assert_eq!(kit.take(&owner, &other).await, Taken::Empty(Level::default()));
}

pub async fn one_batch_per_owner_over_all_types(kit: Kit) {
    let owner = kit.owner().await;
    let chat = kit.chat(&owner, 1).await;
    let late = kit.put(&owner, &blob(BlobType::Summary, 2)).await;
    let summaries = || Take { blob_type: BlobType::Summary, ..take() };
    let first = kit.claim(&owner, take()).await;
    kit.busy(&owner, summaries()).await;
    assert!(kit.release(&owner, &first, secs(0), Outage).await);
    let again = kit.claim(&owner, summaries()).await;
    assert_eq!((again.ids(), again.batch.blob_type), (vec![chat], BlobType::Chat));
    assert_eq!(again.batch.flush_id, first.batch.flush_id, "an open batch keeps its id");
    assert_eq!(again.level, first.level, "the level is that of the batch's own buffer");
    assert_eq!(kit.level(&owner, BlobType::Summary).await, Some(late.level));
}

pub async fn appends_go_on_beside_a_batch(kit: Kit) {
    let owner = kit.owner().await;
    let sealed = kit.chat(&owner, 1).await;
    let first = kit.claim(&owner, take()).await;
    let append = kit.put(&owner, &blob(BlobType::Chat, 4)).await;
    assert_eq!((append.level.blobs, append.level.tokens), (1, 4));
    assert!(kit.release(&owner, &first, secs(0), Failure).await);
    let again = kit.claim(&owner, take()).await;
    assert_eq!(again.ids(), [sealed], "a batch does not grow");
    assert_eq!(again.level, append.level);
}

pub async fn a_repeated_take_gives_the_same_batch(kit: Kit) {
    let owner = kit.owner().await;
    chats(&kit, &owner, [1, 1]).await;
    let same = Take { max_blobs: 1, ..take() };
    let first = kit.claim(&owner, same.clone()).await;
    let again = kit.claim(&owner, same).await;
    assert_eq!((&again.batch, again.level), (&first.batch, first.level), "nobody else holds the claim");
    kit.busy(&owner, take()).await;
    assert!(kit.renew(&owner, &first).await);
}

/// Lets ten take at once, and counts who wins.
async fn race(kit: &Kit, owner: &Owner) -> usize {
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let (journal, owner) = (Arc::clone(&kit.journal), owner.clone());
        tasks.spawn(async move { journal.take(&owner, &take()).await.unwrap() });
    }
    let all = tasks.join_all().await;
    assert!(all.iter().all(|t| !matches!(t, Taken::Empty(_))), "{all:?}");
    all.iter().filter(|t| matches!(t, Taken::Batch(..))).count()
}

pub async fn concurrent_takes_have_one_winner(kit: Kit) {
    let owner = kit.owner().await;
    let ids = chats(&kit, &owner, [1, 1, 1]).await;
    assert_eq!(race(&kit, &owner).await, 1);
    assert_eq!(kit.sealed(&owner).await, ids);
}

pub async fn concurrent_takes_of_an_expired_claim_have_one_winner(kit: Kit) {
    let owner = kit.owner().await;
    kit.chat(&owner, 1).await;
    kit.claim(&owner, take()).await;
    kit.advance(LEASE + secs(10)).await;
    assert_eq!(race(&kit, &owner).await, 1);
}

pub async fn a_batch_holds_what_was_appended(kit: Kit) {
    let owner = kit.owner().await;
    let sent = [blob(BlobType::Doc, 7), blob(BlobType::Doc, 0)];
    let mut appends = Vec::new();
    for blob in &sent {
        appends.push(kit.put(&owner, blob).await);
    }
    let ask = Take { blob_type: BlobType::Doc, ..take() };
    let claimed = kit.claim(&owner, ask.clone()).await;
    let batch = &claimed.batch;
    assert_eq!((batch.flush_id, batch.blob_type), (ask.flush_id, BlobType::Doc));
    assert_eq!((batch.attempts, batch.tries), (0, 0));
    for ((entry, blob), append) in batch.entries.iter().zip(&sent).zip(&appends) {
        assert_eq!((&entry.blob, entry.seq), (blob, append.seq));
        assert_eq!(kit.journal.blob(&owner, blob.id).await.unwrap().as_ref(), Some(entry));
    }
    assert_eq!(batch.entries.len(), 2);
}
