//! What keeps projects and users apart, by any id.

use serde_json::json;

use super::kit::{Kit, answer, at, blob_id, flush_id, key_in, letter, object, record, stored};
use crate::blob::BlobType;
use crate::event::{Event, Gist};
use crate::ids::{BlobId, FlushId, Owner, SlotId, UserKey};
use crate::ports::{Commit, EventFilter, FlushOutcome, Page, SlotChange, Written};

/// Everything of one user that another must not see.
struct Secret {
    owner: Owner,
    slot: SlotId,
    event: (Event, Vec<Gist>),
    blob: BlobId,
    flush_id: FlushId,
    letter: FlushId,
}

async fn secret(kit: &Kit, key: &UserKey) -> Secret {
    let owner = kit.create(key).await;
    let slot = kit.slot(&owner, "a", at(1)).await;
    let plan = kit.plan(&owner, at(2)).await;
    let commit = Commit { keep: vec![stored(plan.blob_ids[0], BlobType::Chat, at(2))], ..plan };
    kit.store.record_answer(&owner, commit.flush_id, 0, &answer("secret"), at(2)).await.unwrap();
    kit.done(&commit).await;
    let dead = letter(&[stored(blob_id(), BlobType::Chat, at(3))]);
    let dead_flush = flush_id();
    kit.store.end_flush(&owner, dead_flush, &record(FlushOutcome::Dead), Some(&dead), at(3)).await.unwrap();
    let event = commit.event.unwrap();
    Secret { owner, slot, event, blob: commit.blob_ids[0], flush_id: commit.flush_id, letter: dead_flush }
}

/// Asserts that nothing of the secret can be read under this address.
async fn assert_hidden(kit: &Kit, key: &UserKey, secret: &Secret) {
    let store = &kit.store;
    assert_eq!(store.events(key, &EventFilter { limit: 10, ..EventFilter::default() }).await.unwrap(), []);
    assert_eq!(store.event(key, secret.event.0.id).await.unwrap(), None);
    assert_eq!(store.gists(key, 10).await.unwrap().map(|(_, gists)| gists).unwrap_or_default(), []);
    assert_eq!(store.profile(key).await.unwrap().map(|p| p.slots).unwrap_or_default(), []);
    assert_eq!(store.blob(key, secret.blob).await.unwrap(), None);
    let page = Page { offset: 0, limit: 10 };
    assert_eq!(store.blob_ids(key, BlobType::Chat, page).await.unwrap(), []);
    assert_eq!(store.flush(key, secret.flush_id).await.unwrap(), None);
    assert_eq!(store.dead_blob_ids(key, BlobType::Chat).await.unwrap(), []);
    assert_eq!(store.dead_letters(&key.project, Some(key.user), page).await.unwrap(), []);
    assert_eq!(store.dead_letter(key, secret.letter).await.unwrap(), None);
    assert_eq!(store.answer(key, secret.flush_id, 0).await.unwrap(), None);
}

/// Tries to change the secret under this address, and asserts that it stays what it was.
async fn assert_safe(kit: &Kit, key: &UserKey, secret: &Secret) {
    let (store, theirs) = (&kit.store, &secret.owner.key);
    let state = async || {
        let (profile, history) = (kit.profile(&secret.owner).await, kit.harness.history_of(theirs).await);
        (profile, history, kit.events(&secret.owner).await, kit.harness.rows_of(theirs).await)
    };
    let before = state().await;
    let revision = before.0.revision;
    let change = SlotChange { content: "mine".into(), address: None };
    assert!(!store.update_slot(key, secret.slot, &change, at(5)).await.unwrap());
    assert!(!store.delete_slot(key, secret.slot, at(5)).await.unwrap());
    for base in [revision, 0] {
        let written = store.replace_event(key, &secret.event.0, &[], base).await.unwrap();
        assert_eq!(written, Written::Unknown);
    }
    assert!(!store.delete_event(key, secret.event.0.id).await.unwrap());
    assert!(!store.delete_blob(key, secret.blob, at(9)).await.unwrap());
    assert!(!store.drop_dead_letter(key, secret.letter, at(9)).await.unwrap());
    assert_eq!(state().await, before);
    assert_eq!(store.event(theirs, secret.event.0.id).await.unwrap().unwrap().1, secret.event.1);
    assert!(store.blob(theirs, secret.blob).await.unwrap().is_some());
}

/// The same user in another project.
fn elsewhere(key: &UserKey) -> UserKey {
    UserKey { project: "elsewhere".into(), user: key.user }
}

pub async fn a_user_id_may_live_in_two_projects(kit: Kit) {
    let here = key_in("here");
    let there = elsewhere(&here);
    let (one, other) = (kit.create(&here).await, kit.create(&there).await);
    assert!(kit.store.update_user(&here, &object(json!({ "a": 1 })), at(2)).await.unwrap());
    assert_eq!(kit.store.user(&there).await.unwrap().unwrap().data, None);
    assert_eq!(kit.store.user(&there).await.unwrap().unwrap().incarnation, other.incarnation);
    assert_eq!(kit.store.delete_user(&here, at(3)).await.unwrap(), Some(one.incarnation));
    assert!(kit.store.user(&there).await.unwrap().is_some());
    assert_eq!(kit.store.purge_orders(10).await.unwrap(), [one]);
}

pub async fn no_project_reads_another(kit: Kit) {
    let secret = secret(&kit, &key_in("here")).await;
    let there = elsewhere(&secret.owner.key);
    assert_hidden(&kit, &there, &secret).await;
    assert_eq!(kit.store.user(&there).await.unwrap(), None);
    kit.create(&there).await;
    assert_hidden(&kit, &there, &secret).await;
}

pub async fn no_project_changes_another(kit: Kit) {
    let secret = secret(&kit, &key_in("here")).await;
    let there = elsewhere(&secret.owner.key);
    assert_safe(&kit, &there, &secret).await;
    assert!(!kit.store.update_user(&there, &object(json!({})), at(5)).await.unwrap());
    assert_eq!(kit.store.delete_user(&there, at(5)).await.unwrap(), None);
    kit.create(&there).await;
    assert_safe(&kit, &there, &secret).await;
    assert!(kit.store.delete_user(&there, at(6)).await.unwrap().is_some());
    assert_eq!(kit.store.blob(&secret.owner.key, secret.blob).await.unwrap().unwrap().blob.id, secret.blob);
    assert_eq!(kit.profile(&secret.owner).await.slots.len(), 1);
    assert_eq!(kit.store.dead_blob_ids(&secret.owner.key, BlobType::Chat).await.unwrap().len(), 1);
}

pub async fn no_user_touches_another(kit: Kit) {
    let secret = secret(&kit, &key_in("here")).await;
    let neighbour = kit.create(&key_in("here")).await;
    assert_hidden(&kit, &neighbour.key, &secret).await;
    assert_safe(&kit, &neighbour.key, &secret).await;
}
