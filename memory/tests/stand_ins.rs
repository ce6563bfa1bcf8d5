//! What the stand-ins can do beyond their ports.

use std::sync::Arc;

use memory::blob::{BlobType, NewBlob};
use memory::ids::{BlobId, IdSource, Incarnation, Owner, UserId, UserKey};
use memory::ports::{Journal, JournalError, Store, StoreError};
use memory::testing::{ManualClock, MemoryJournal, MemoryStore, SeededIds};

fn owner(ids: &SeededIds) -> Owner {
    let key = UserKey { project: "p".into(), user: UserId(ids.random()) };
    Owner { key, incarnation: Incarnation(ids.random()) }
}

fn chat(ids: &SeededIds) -> NewBlob {
    NewBlob { id: BlobId(ids.random()), blob_type: BlobType::Chat, tokens: 1, payload: String::new() }
}

fn waiting(journal: &MemoryJournal, owner: &Owner) -> Vec<BlobId> {
    journal.held(owner).0.iter().map(|e| e.blob.id).collect()
}

#[tokio::test]
async fn a_journal_comes_back_older() {
    let (ids, journal) = (SeededIds::new(1), MemoryJournal::new(Arc::new(ManualClock::new())));
    let owner = owner(&ids);
    let [first, second] = [chat(&ids), chat(&ids)];
    journal.append(&owner, &first).await.unwrap();
    let snapshot = journal.snapshot();
    let lost = journal.append(&owner, &second).await.unwrap();
    journal.purge(&owner).await.unwrap();
    journal.restore(snapshot);
    assert_eq!(waiting(&journal, &owner), [first.id]);
    let again = journal.append(&owner, &chat(&ids)).await.unwrap();
    assert_eq!(again.seq, lost.seq, "a journal that lost its tail gives numbers out again");
}

#[tokio::test]
async fn journal_failures_come_before_or_after_the_act() {
    let (ids, journal) = (SeededIds::new(1), MemoryJournal::new(Arc::new(ManualClock::new())));
    let (owner, blob) = (owner(&ids), chat(&ids));
    let append = async || journal.append(&owner, &blob).await;
    journal.fail_next(1);
    assert!(matches!(append().await, Err(JournalError::Unavailable(_))));
    assert_eq!(waiting(&journal, &owner), []);
    journal.fail_after_next(1);
    assert!(matches!(append().await, Err(JournalError::Unavailable(_))));
    assert_eq!(waiting(&journal, &owner), [blob.id]);
    assert_eq!(append().await.unwrap().level.blobs, 1);
}

#[tokio::test]
async fn store_failures_come_before_or_after_the_act() {
    let (ids, store, now) = (SeededIds::new(1), MemoryStore::new(), jiff::Timestamp::UNIX_EPOCH);
    let owner = owner(&ids);
    let create = async || store.create_user(&owner.key, owner.incarnation, None, now).await;
    store.fail_next(2);
    for _ in 0..2 {
        assert!(matches!(create().await, Err(StoreError::Unavailable(_))));
        assert_eq!(store.rows_of(&owner.key).count(), 0);
    }
    store.fail_after_next(1);
    assert!(matches!(create().await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.rows_of(&owner.key).count(), 1);
    assert!(!create().await.unwrap());
}
