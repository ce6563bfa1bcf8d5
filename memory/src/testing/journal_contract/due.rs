//! The due index.

use jiff::Timestamp;

use super::kit::{Kit, LEASE, blob, secs, take};
use crate::blob::BlobType;
use crate::ids::Owner;
use crate::ports::Setback::{Failure, Outage};
use crate::ports::{Due, Take};

fn chats(owner: &Owner) -> Due {
    Due { owner: owner.clone(), blob_type: BlobType::Chat }
}

pub async fn a_buffer_is_due_at_its_age(kit: Kit) {
    let owner = kit.owner().await;
    kit.chat(&owner, 1).await;
    assert_eq!(kit.due(secs(60), 10).await, []);
    assert_eq!(kit.due(secs(0), 10).await, [chats(&owner)]);
    kit.advance(secs(50)).await;
    assert_eq!(kit.due(secs(60), 10).await, []);
    kit.advance(secs(20)).await;
    assert_eq!(kit.due(secs(60), 10).await, [chats(&owner)]);
    assert_eq!(kit.due(secs(60), 10).await, [chats(&owner)], "asking changes nothing");
}

pub async fn the_oldest_blob_decides(kit: Kit) {
    let owner = kit.owner().await;
    let oldest = kit.chat(&owner, 1).await;
    kit.advance(secs(50)).await;
    kit.chat(&owner, 1).await;
    kit.advance(secs(20)).await;
    assert_eq!(kit.due(secs(60), 10).await, [chats(&owner)]);
    kit.journal.remove(&owner, oldest).await.unwrap();
    assert_eq!(kit.due(secs(60), 10).await, []);
    kit.advance(secs(50)).await;
    assert_eq!(kit.due(secs(60), 10).await, [chats(&owner)]);
}

pub async fn an_open_batch_hides_its_owner(kit: Kit) {
    let owner = kit.owner().await;
    for _ in 0..2 {
        kit.chat(&owner, 1).await;
    }
    kit.put(&owner, &blob(BlobType::Summary, 1)).await;
    kit.claim(&owner, Take { max_blobs: 1, lease: secs(600), ..take() }).await;
    kit.advance(secs(300)).await;
    assert_eq!(kit.due(secs(60), 10).await, []);
}

pub async fn an_expired_claim_is_due(kit: Kit) {
    let owner = kit.owner().await;
    kit.chat(&owner, 1).await;
    let first = kit.claim(&owner, take()).await;
    kit.chat(&owner, 1).await;
    kit.advance(LEASE + secs(10)).await;
    assert_eq!(kit.due(secs(10_000), 10).await, [chats(&owner)]);
    assert!(kit.claim(&owner, take()).await.batch == first.batch);
    assert_eq!(kit.due(secs(10_000), 10).await, []);
}

pub async fn a_batch_is_due_when_its_wait_is_over(kit: Kit) {
    let owner = kit.owner().await;
    let summary = blob(BlobType::Summary, 1);
    kit.put(&owner, &summary).await;
    kit.chat(&owner, 1).await;
    let first = kit.claim(&owner, Take { blob_type: BlobType::Summary, ..take() }).await;
    assert!(kit.release(&owner, &first, secs(300), Failure).await);
    kit.advance(secs(290)).await;
    assert_eq!(kit.due(secs(10), 10).await, [], "it waits, and what is behind it waits with it");
    kit.advance(secs(20)).await;
    let due = Due { owner: owner.clone(), blob_type: BlobType::Summary };
    assert_eq!(kit.due(secs(10), 10).await, [due]);
}

pub async fn the_longest_due_comes_first(kit: Kit) {
    let mut order = Vec::new();
    for _ in 0..5 {
        let owner = kit.owner().await;
        kit.chat(&owner, 1).await;
        order.push(chats(&owner));
        kit.advance(secs(20)).await;
    }
    // A second blob makes nobody younger.
    kit.chat(&order[0].owner, 1).await;
    assert_eq!(kit.due(secs(10), 10).await, order);
    assert_eq!(kit.due(secs(10), 2).await, order[..2]);
    assert_eq!(kit.due(secs(50), 10).await, order[..3]);
}

pub async fn batches_and_buffers_are_ordered_together(kit: Kit) {
    let [early, batch, late] = [kit.owner().await, kit.owner().await, kit.owner().await];
    kit.chat(&early, 1).await;
    kit.chat(&batch, 1).await;
    let claimed = kit.claim(&batch, take()).await;
    assert!(kit.release(&batch, &claimed, secs(150), Outage).await);
    kit.advance(secs(100)).await;
    kit.chat(&late, 1).await;
    kit.advance(secs(200)).await;
    // Due since 100, 150 and 200 seconds after the start.
    assert_eq!(kit.due(secs(100), 10).await, [&early, &batch, &late].map(chats));
}

pub async fn each_owner_and_type_is_due_once(kit: Kit) {
    let owner = kit.owner().await;
    for blob_type in [BlobType::Chat, BlobType::Doc] {
        for _ in 0..3 {
            kit.put(&owner, &blob(blob_type, 1)).await;
        }
        kit.advance(secs(20)).await;
    }
    let docs = Due { owner: owner.clone(), blob_type: BlobType::Doc };
    assert_eq!(kit.due(secs(10), 10).await, [chats(&owner), docs]);
}

pub async fn a_discard_shows_what_waits(kit: Kit) {
    let owner = kit.owner().await;
    for _ in 0..2 {
        kit.chat(&owner, 1).await;
    }
    let first = kit.claim(&owner, Take { max_blobs: 1, lease: secs(600), ..take() }).await;
    kit.advance(secs(100)).await;
    assert_eq!(kit.due(secs(60), 10).await, []);
    kit.discard(&owner, first.batch.flush_id).await;
    assert_eq!(kit.due(secs(60), 10).await, [chats(&owner)]);
    let second = kit.claim(&owner, take()).await;
    kit.discard(&owner, second.batch.flush_id).await;
    assert_eq!(kit.due(secs(0), 10).await, []);
}

pub async fn nothing_is_due_when_nothing_waits(kit: Kit) {
    let owner = kit.owner().await;
    let id = kit.chat(&owner, 1).await;
    kit.journal.remove(&owner, id).await.unwrap();
    kit.advance(secs(1000)).await;
    assert_eq!(kit.due(secs(0), 10).await, []);
}

/// All that is due, by pages that begin where the last one ended.
async fn pages(kit: &Kit, limit: u32) -> Vec<Vec<(Timestamp, Due)>> {
    let (mut pages, mut from) = (Vec::<Vec<(Timestamp, Due)>>::new(), None);
    loop {
        let page = kit.journal.due(secs(0), from, limit).await.unwrap();
        let Some((last, _)) = page.last() else { return pages };
        if from == Some(*last) && pages.last().is_some_and(|before| page.iter().all(|due| before.contains(due))) {
            return pages;
        }
        from = Some(*last);
        pages.push(page);
        assert!(pages.len() < 100, "the pages go round in circles");
    }
}

pub async fn what_is_due_is_paged(kit: Kit) {
    let mut order = Vec::new();
    for number in 0..40 {
        let owner = kit.owner().await;
        kit.chat(&owner, 1).await;
        if number % 3 == 0 {
            let claimed = kit.claim(&owner, take()).await;
            assert!(kit.release(&owner, &claimed, secs(0), Outage).await);
        }
        order.push(chats(&owner));
        kit.advance(secs(10)).await;
    }
    for limit in [1, 2, 7, 40, 100] {
        let pages = pages(&kit, limit).await;
        let mut seen: Vec<Due> = Vec::new();
        for (since, due) in pages.iter().flatten() {
            assert!(pages.iter().flatten().all(|(other, d)| d != due || other == since));
            if !seen.contains(due) {
                seen.push(due.clone());
            }
        }
        assert_eq!(seen, order, "{limit} a page");
        // One more where a page begins with the last of the one before.
        assert!(pages.iter().all(|page| page.len() <= limit as usize + 1), "{limit} a page");
    }
    let since: Vec<_> =
        kit.journal.due(secs(0), None, 100).await.unwrap().into_iter().map(|(since, _)| since).collect();
    assert!(since.is_sorted());
    let half = kit.journal.due(secs(0), Some(since[20]), 100).await.unwrap();
    assert_eq!(half.into_iter().map(|(_, due)| due).collect::<Vec<_>>(), order[20..]);
}

pub async fn what_is_due_at_one_instant_is_one_page(kit: Kit) {
    // Adopted at the same instant, as by a group of appends.
    let mut owners = Vec::new();
    let (model, appended_at) = (kit.owner().await, Timestamp::from_second(1_700_000_000).unwrap());
    kit.chat(&model, 1).await;
    let mut holding = kit.journal.holding(&model).await.unwrap();
    kit.journal.hand_over(&model).await.unwrap();
    for _ in 0..9 {
        let owner = kit.owner().await;
        holding.waiting[0].appended_at = appended_at;
        holding.waiting[0].blob = blob(BlobType::Chat, 1);
        kit.journal.adopt(&owner, &holding).await.unwrap();
        owners.push(chats(&owner));
    }
    let later = kit.owner().await;
    kit.chat(&later, 1).await;
    owners.push(chats(&later));
    let mut seen: Vec<Due> = Vec::new();
    for (_, due) in pages(&kit, 3).await.into_iter().flatten() {
        if !seen.contains(&due) {
            seen.push(due);
        }
    }
    assert_eq!(seen.len(), owners.len());
    assert!(owners.iter().all(|due| seen.contains(due)));
    assert_eq!(seen.last(), owners.last());
}
