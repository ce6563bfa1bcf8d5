//! Steps that happen at the same time.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::kit::{Kit, answer, at, blob_id, flush_id, key_in, letter, new_slot, record, stored};
use crate::blob::BlobType;
use crate::ids::{IdSource, Incarnation, SystemIds};
use crate::ports::{Commit, CommitReply, FlushOutcome, SlotChange};

/// How many do the same at once.
const CROWD: usize = 8;

/// Lets all commits go at once.
async fn all(kit: &Kit, commits: Vec<Commit>) -> Vec<CommitReply> {
    let mut tasks = JoinSet::new();
    for commit in commits {
        let store = Arc::clone(&kit.store);
        tasks.spawn(async move { store.commit(&commit).await.unwrap() });
    }
    tasks.join_all().await
}

fn count(replies: &[CommitReply], matches: impl Fn(&CommitReply) -> bool) -> usize {
    replies.iter().filter(|reply| matches(reply)).count()
}

fn done(reply: &CommitReply) -> bool {
    *reply == CommitReply::Done
}

pub async fn concurrent_commits_of_a_flush_happen_once(kit: Kit) {
    let owner = kit.owner().await;
    let plan = kit.plan(&owner, at(1)).await;
    let replies = all(&kit, vec![plan.clone(); CROWD]).await;
    let decided = CommitReply::Decided(plan.record);
    assert_eq!((count(&replies, done), count(&replies, |r| *r == decided)), (1, CROWD - 1), "{replies:?}");
    assert_eq!(kit.events(&owner).await.len(), 1);
    assert_eq!(kit.revision(&owner).await, plan.base_revision + 1);
}

pub async fn concurrent_commits_at_one_revision_happen_once(kit: Kit) {
    let owner = kit.owner().await;
    let mut plans = Vec::new();
    for _ in 0..CROWD {
        plans.push(kit.plan(&owner, at(1)).await);
    }
    let replies = all(&kit, plans.clone()).await;
    let stale = count(&replies, |r| *r == CommitReply::Stale);
    assert_eq!((count(&replies, done), stale), (1, CROWD - 1), "{replies:?}");
    assert_eq!(kit.events(&owner).await.len(), 1);
    let mut decided = 0;
    for plan in &plans {
        decided += usize::from(kit.store.flush(&owner.key, plan.flush_id).await.unwrap().is_some());
    }
    assert_eq!(decided, 1, "who was stale has no outcome yet");
}

pub async fn concurrent_commits_of_a_blob_happen_once(kit: Kit) {
    let owner = kit.owner().await;
    let id = blob_id();
    let mut plans = Vec::new();
    for _ in 0..CROWD {
        plans.push(Commit { blob_ids: vec![id], ..kit.plan(&owner, at(1)).await });
    }
    let replies = all(&kit, plans).await;
    let before = CommitReply::AppliedBefore(vec![id]);
    assert_eq!((count(&replies, done), count(&replies, |r| *r == before)), (1, CROWD - 1), "{replies:?}");
    assert_eq!(kit.events(&owner).await.len(), 1);
}

pub async fn concurrent_ends_and_commits_have_one_outcome(kit: Kit) {
    let owner = kit.owner().await;
    for round in 0..5 {
        let plan = kit.plan(&owner, at(round)).await;
        let dead = letter(&[stored(plan.blob_ids[0], BlobType::Chat, at(1))]);
        let before = kit.events(&owner).await.len();
        let dead_before = kit.store.dead_blob_ids(&owner.key, BlobType::Chat).await.unwrap().len();
        let record = record(FlushOutcome::Dead);
        let ending = kit.store.end_flush(&owner, plan.flush_id, &record, Some(&dead), at(9));
        let (committed, ended) = tokio::join!(kit.store.commit(&plan), ending);
        let (committed, ended) = (committed.unwrap(), ended.unwrap());
        let was_done = committed == CommitReply::Done;
        assert_eq!(ended, was_done.then(|| plan.record.clone()));
        assert!(was_done || committed == CommitReply::Decided(record.clone()), "{committed:?}");
        assert_eq!(kit.events(&owner).await.len() - before, usize::from(was_done));
        let dead = kit.store.dead_blob_ids(&owner.key, BlobType::Chat).await.unwrap().len();
        assert_eq!(dead - dead_before, usize::from(!was_done));
    }
}

pub async fn concurrent_creations_have_one_winner(kit: Kit) {
    let key = key_in("suite");
    let mut tasks = JoinSet::new();
    for _ in 0..CROWD {
        let (store, key) = (Arc::clone(&kit.store), key.clone());
        tasks.spawn(async move {
            let incarnation = Incarnation(SystemIds.random());
            store.create_user(&key, incarnation, None, at(1)).await.unwrap().then_some(incarnation)
        });
    }
    let winners: Vec<Incarnation> = tasks.join_all().await.into_iter().flatten().collect();
    let user = kit.store.user(&key).await.unwrap().unwrap();
    assert_eq!(winners, [user.incarnation]);
}

pub async fn concurrent_slot_changes_all_count(kit: Kit) {
    let owner = kit.owner().await;
    let shared = kit.slot(&owner, "shared", at(1)).await;
    let before = kit.revision(&owner).await;
    let mut tasks = JoinSet::new();
    for index in 0..CROWD {
        let (store, key) = (Arc::clone(&kit.store), owner.key.clone());
        tasks.spawn(async move {
            let change = SlotChange { content: index.to_string(), address: None };
            assert!(store.update_slot(&key, shared, &change, at(2)).await.unwrap());
            assert!(store.add_slot(&key, &new_slot("own", "memo"), at(2)).await.unwrap());
        });
    }
    tasks.join_all().await;
    let profile = kit.profile(&owner).await;
    let changes = i64::try_from(CROWD).unwrap();
    assert_eq!((profile.slots.len(), profile.revision), (CROWD + 1, before + 2 * changes));
    let slot = profile.slots.iter().find(|s| s.id == shared).unwrap();
    assert_eq!(slot.revision, 1 + changes);
}

pub async fn concurrent_answers_agree(kit: Kit) {
    let (owner, id) = (kit.owner().await, flush_id());
    let mut tasks = JoinSet::new();
    for index in 0..CROWD {
        let (store, owner) = (Arc::clone(&kit.store), owner.clone());
        let answer = answer(&index.to_string());
        tasks.spawn(async move { store.record_answer(&owner, id, 0, &answer, at(1)).await.unwrap().text });
    }
    let texts: BTreeSet<String> = tasks.join_all().await.into_iter().collect();
    let kept = kit.store.answer(&owner.key, id, 0).await.unwrap().unwrap().text;
    assert_eq!(texts, BTreeSet::from([kept]));
}

pub async fn a_deletion_and_a_commit_leave_nothing(kit: Kit) {
    for _ in 0..5 {
        let owner = kit.owner().await;
        let plan = kit.plan(&owner, at(1)).await;
        let (committed, deleted) = tokio::join!(kit.store.commit(&plan), kit.store.delete_user(&owner.key, at(2)));
        assert_eq!(deleted.unwrap(), Some(owner.incarnation));
        // Committed first, it went with the user; committed late, only its outcome is there.
        let rows = match committed.unwrap() {
            CommitReply::Done => 0,
            CommitReply::UserGone => 1,
            other => panic!("{other:?}"),
        };
        assert_eq!(kit.harness.rows_of(&owner.key).await, rows);
    }
}
