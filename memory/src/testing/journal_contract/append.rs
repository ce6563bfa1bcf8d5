//! Appends, levels and what they read.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::kit::{Kit, assert_about, blob, owner_in, reseal, secs, take};
use crate::blob::BlobType;
use crate::ids::{BlobId, ClaimToken, FlushId, IdSource, SystemIds};
use crate::ports::{Level, Release, Removed, Setback, Standing, Taken};
use crate::testing::texts;

pub async fn appends_count_and_order(kit: Kit) {
    let owner = kit.owner().await;
    let mut last = 0;
    let mut tokens = 0;
    let mut ids = Vec::new();
    for count in 1..=3_u32 {
        let blob = blob(BlobType::Chat, count * 10);
        let append = kit.put(&owner, &blob).await;
        tokens += u64::from(count) * 10;
        ids.push(blob.id);
        assert!(append.seq > last, "{append:?} after {last}");
        last = append.seq;
        assert_eq!(append.level, Level { last_seq: last, blobs: u64::from(count), tokens });
    }
    let level = Level { last_seq: last, blobs: 3, tokens: 60 };
    assert_eq!(kit.journal.levels(&owner).await.unwrap(), [(BlobType::Chat, level)]);
    assert_eq!(kit.waiting(&owner).await, ids);
    assert_eq!(kit.sealed(&owner).await, []);
}

pub async fn an_unused_journal_answers(kit: Kit) {
    let owner = owner_in("nobody");
    let (id, token) = (BlobId(SystemIds.random()), ClaimToken(SystemIds.random()));
    let flush_id = FlushId(SystemIds.ordered());
    let journal = &kit.journal;
    assert_eq!(journal.levels(&owner).await.unwrap(), []);
    assert_eq!(kit.take(&owner, &take()).await, Taken::Empty(Level::default()));
    assert!(!journal.renew(&owner, flush_id, token, secs(1)).await.unwrap());
    assert!(!journal.reseal(&owner, &reseal(flush_id, &[id], None)).await.unwrap());
    let release = Release { retry_in: secs(1), setback: Setback::Failure };
    assert!(!journal.release(&owner, flush_id, token, release).await.unwrap());
    journal.discard(&owner, flush_id).await.unwrap();
    assert_eq!(journal.blob_ids(&owner, BlobType::Chat, Standing::Sealed).await.unwrap(), []);
    assert_eq!(journal.blob(&owner, id).await.unwrap(), None);
    assert_eq!(journal.remove(&owner, id).await.unwrap(), Removed::Unknown);
    assert_eq!(kit.due(secs(0), 10).await, []);
    assert_eq!(journal.levels(&owner).await.unwrap(), [], "a question must not create anything");
}

pub async fn a_repeated_append_changes_nothing(kit: Kit) {
    let owner = kit.owner().await;
    let first = blob(BlobType::Chat, 5);
    let before = kit.put(&owner, &first).await;
    kit.chat(&owner, 7).await;
    let mut again = first.clone();
    (again.tokens, again.payload) = (500, "other".into());
    let append = kit.put(&owner, &again).await;
    assert_eq!(append.seq, before.seq);
    assert_eq!((append.level.blobs, append.level.tokens), (2, 12));
    assert_eq!(kit.level(&owner, BlobType::Chat).await, Some(append.level));
    assert_eq!(kit.journal.blob(&owner, first.id).await.unwrap().unwrap().blob, first);
}

pub async fn a_repeated_append_of_a_sealed_blob_changes_nothing(kit: Kit) {
    let owner = kit.owner().await;
    let first = blob(BlobType::Chat, 5);
    let before = kit.put(&owner, &first).await;
    let claimed = kit.claim(&owner, take()).await;
    kit.chat(&owner, 7).await;
    let append = kit.put(&owner, &first).await;
    assert_eq!(append.seq, before.seq);
    assert_eq!((append.level.blobs, append.level.tokens), (1, 7));
    assert!(!kit.waiting(&owner).await.contains(&first.id));
    assert_eq!(kit.sealed(&owner).await, claimed.ids());
}

pub async fn a_blob_id_is_known_over_all_types(kit: Kit) {
    let owner = kit.owner().await;
    let chat = blob(BlobType::Chat, 5);
    let before = kit.put(&owner, &chat).await;
    let mut summary = chat.clone();
    summary.blob_type = BlobType::Summary;
    assert_eq!(kit.put(&owner, &summary).await.seq, before.seq);
    assert_eq!(kit.journal.blob_ids(&owner, BlobType::Summary, Standing::Waiting).await.unwrap(), []);
    assert_eq!(kit.waiting(&owner).await, [chat.id]);
}

pub async fn each_type_has_its_own_buffer(kit: Kit) {
    let owner = kit.owner().await;
    for (index, blob_type) in (1..).zip(BlobType::ALL) {
        let blob = blob(blob_type, index);
        let append = kit.put(&owner, &blob).await;
        assert_eq!((append.level.blobs, append.level.tokens), (1, u64::from(index)));
        assert_eq!(kit.journal.blob_ids(&owner, blob_type, Standing::Waiting).await.unwrap(), [blob.id]);
    }
    let levels = kit.journal.levels(&owner).await.unwrap();
    let types: BTreeSet<BlobType> = levels.iter().map(|(t, _)| *t).collect();
    assert_eq!((levels.len(), types), (6, BlobType::ALL.into()));
}

pub async fn concurrent_appends_get_distinct_numbers(kit: Kit) {
    let owner = kit.owner().await;
    let mut tasks = JoinSet::new();
    for tokens in 1..=50 {
        let (journal, owner) = (Arc::clone(&kit.journal), owner.clone());
        tasks.spawn(async move { journal.append(&owner, &blob(BlobType::Chat, tokens)).await.unwrap() });
    }
    let appends = tasks.join_all().await;
    let numbers: BTreeSet<u64> = appends.iter().map(|a| a.seq).collect();
    assert_eq!(numbers.len(), 50);
    // One atomic step each: every level from one blob to fifty was seen by exactly one append.
    let counts: BTreeSet<u64> = appends.iter().map(|a| a.level.blobs).collect();
    assert_eq!(counts, (1..=50).collect());
    let level = kit.level(&owner, BlobType::Chat).await.unwrap();
    assert_eq!((level.blobs, level.tokens, Some(&level.last_seq)), (50, 1275, numbers.last()));
    assert_eq!(kit.waiting(&owner).await.len(), 50);
}

pub async fn concurrent_repeats_of_an_append_count_once(kit: Kit) {
    let owner = kit.owner().await;
    let same = blob(BlobType::Chat, 3);
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let (journal, owner, same) = (Arc::clone(&kit.journal), owner.clone(), same.clone());
        tasks.spawn(async move { journal.append(&owner, &same).await.unwrap().seq });
    }
    let numbers: BTreeSet<u64> = tasks.join_all().await.into_iter().collect();
    assert_eq!(numbers.len(), 1);
    let level = kit.level(&owner, BlobType::Chat).await.unwrap();
    assert_eq!((level.blobs, level.tokens), (1, 3));
}

pub async fn text_round_trips(kit: Kit) {
    let owner = kit.owner().await;
    let mut blobs = Vec::new();
    for payload in [texts::odd(), texts::megabyte(), String::new()] {
        let mut blob = blob(BlobType::Chat, 1);
        blob.payload = payload;
        kit.put(&owner, &blob).await;
        assert_eq!(kit.journal.blob(&owner, blob.id).await.unwrap().unwrap().blob, blob);
        blobs.push(blob);
    }
    let claimed = kit.claim(&owner, take()).await;
    let sealed: Vec<_> = claimed.batch.entries.into_iter().map(|e| e.blob).collect();
    assert!(sealed == blobs, "a batch must hold the payloads as they came");
}

pub async fn numbers_survive_an_empty_buffer(kit: Kit) {
    let owner = kit.owner().await;
    let first = kit.put(&owner, &blob(BlobType::Chat, 1)).await;
    let claimed = kit.claim(&owner, take()).await;
    kit.discard(&owner, claimed.batch.flush_id).await;
    let empty = Level { last_seq: first.seq, blobs: 0, tokens: 0 };
    assert_eq!(kit.level(&owner, BlobType::Chat).await, Some(empty));
    let second = blob(BlobType::Chat, 1);
    let append = kit.put(&owner, &second).await;
    assert!(append.seq > first.seq);
    kit.journal.remove(&owner, second.id).await.unwrap();
    let third = kit.put(&owner, &blob(BlobType::Chat, 1)).await;
    assert!(third.seq > append.seq, "the number of a removed blob is not given out again");
}

pub async fn entries_carry_the_time_of_the_append(kit: Kit) {
    let owner = kit.owner().await;
    let first = kit.chat(&owner, 1).await;
    kit.advance(secs(3600)).await;
    let second = kit.chat(&owner, 1).await;
    let at = async |id| kit.journal.blob(&owner, id).await.unwrap().unwrap().appended_at;
    let (earlier, later) = (at(first).await, at(second).await);
    assert_about(later.duration_since(earlier).unsigned_abs(), secs(3600));
    let claimed = kit.claim(&owner, take()).await;
    let times: Vec<_> = claimed.batch.entries.iter().map(|e| e.appended_at).collect();
    assert_eq!(times, [earlier, later], "sealing must not change them");
}

pub async fn large_token_counts_add_up(kit: Kit) {
    let owner = kit.owner().await;
    for _ in 0..3 {
        kit.chat(&owner, u32::MAX).await;
    }
    let level = kit.level(&owner, BlobType::Chat).await.unwrap();
    assert_eq!(level.tokens, 3 * u64::from(u32::MAX));
}
