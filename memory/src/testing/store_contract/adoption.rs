//! What is taken over from another service.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::json;

use super::kit::{Kit, at, blob_id, commit, event, flushed_slot, key_in, object, stored};
use crate::blob::BlobType;
use crate::event::{Event, Gist};
use crate::ids::{IdSource, Incarnation, Owner, ProjectId, SystemIds, UserKey};
use crate::ports::{Adoption, Legacy, Page, Project, ProjectStatus, SlotChange};
use crate::profile::Slot;
use crate::quota::TokenQuota;
use crate::testing::texts;

fn incarnation() -> Incarnation {
    Incarnation(SystemIds.random())
}

fn nothing() -> Legacy {
    let (slots, events, blobs) = (Vec::new(), Vec::new(), Vec::new());
    Legacy { data: None, created_at: at(1), updated_at: at(2), slots, events, blobs }
}

fn slot(sub_topic: &str, now: Timestamp) -> Slot {
    let attributes = object(json!({ "update_hits": 3 }));
    Slot { attributes, created_at: at(-9), ..flushed_slot(sub_topic, "memo", now) }
}

fn told(now: Timestamp, gists: &[&str]) -> (Event, Vec<Gist>) {
    let owner = Owner { key: key_in("suite"), incarnation: incarnation() };
    let (event, gists) = event(&commit(&owner, 0, now), gists);
    let gists = gists.into_iter().map(|gist| Gist { occurred_at: None, said_at: None, sources: Vec::new(), ..gist });
    (Event { flush_id: None, updated_at: at(99), ..event }, gists.collect())
}

/// Some of everything.
fn legacy() -> Legacy {
    Legacy {
        data: Some(object(json!({ "name": "Ann" }))),
        slots: vec![slot("a", at(3)), slot("b", at(4))],
        events: vec![told(at(5), &["one", "two"]), told(at(4), &[])],
        blobs: vec![stored(blob_id(), BlobType::Doc, at(6)), stored(blob_id(), BlobType::Chat, at(7))],
        ..nothing()
    }
}

impl Kit {
    /// Takes a legacy over for a user who was not deleted: its life, whether it is new, and the rows that are.
    async fn adopt(&self, key: &UserKey, legacy: &Legacy) -> (Incarnation, bool, HashSet<uuid::Uuid>) {
        match self.store.adopt(key, incarnation(), legacy, at(50)).await.unwrap() {
            Adoption::Done { incarnation, is_new, ids } => (incarnation, is_new, ids),
            other => panic!("nothing was deleted: {other:?}"),
        }
    }

    /// Makes a project, as far as it is not here.
    async fn project(&self, name: &str) -> ProjectId {
        let (id, status, token_quota) = (ProjectId::from(name), ProjectStatus::Active, TokenQuota::Unset);
        let (created_at, updated_at) = (at(0), at(0));
        let project =
            Project { id: id.clone(), status, token: None, profile_config: None, token_quota, created_at, updated_at };
        self.harness.projects().adopt_project(&project, "there", true).await.unwrap();
        id
    }

    /// Somebody of a project that is here.
    async fn somebody(&self) -> UserKey {
        UserKey { project: self.project("suite").await, ..key_in("suite") }
    }

    /// A user with all of a legacy.
    async fn heir(&self, legacy: &Legacy) -> Owner {
        let key = self.somebody().await;
        let (incarnation, is_new, ids) = self.adopt(&key, legacy).await;
        assert!(is_new && ids == legacy.ids().into_iter().collect());
        Owner { key, incarnation }
    }
}

pub async fn a_legacy_is_stored_as_it_is(kit: Kit) {
    let (key, life, legacy) = (kit.somebody().await, incarnation(), legacy());
    let done = kit.store.adopt(&key, life, &legacy, at(50)).await.unwrap();
    let ids = legacy.ids().into_iter().collect();
    assert_eq!(done, Adoption::Done { incarnation: life, is_new: true, ids });
    let owner = Owner { key, incarnation: life };
    let user = kit.store.user(&owner.key).await.unwrap().unwrap();
    assert_eq!((user.incarnation, user.revision, user.data), (life, 1, legacy.data.clone()));
    assert_eq!((user.created_at, user.updated_at), (at(1), at(2)));
    let newest_first: Vec<Slot> = legacy.slots.iter().rev().cloned().collect();
    assert_eq!(kit.profile(&owner).await.slots, newest_first);
    for (event, gists) in &legacy.events {
        let stored = kit.store.event(&owner.key, event.id).await.unwrap();
        assert_eq!(stored, Some((event.clone(), gists.clone(), 1)));
    }
    assert_eq!(kit.events(&owner).await, [legacy.events[0].0.clone(), legacy.events[1].0.clone()]);
    for blob in &legacy.blobs {
        assert_eq!(kit.store.blob(&owner.key, blob.blob.id).await.unwrap().as_ref(), Some(blob));
    }
    let entry = |slot: &Slot| (slot.id, "insert".to_owned(), None, slot.content.clone());
    assert_eq!(kit.harness.history_of(&owner.key).await, legacy.slots.iter().map(entry).collect::<Vec<_>>());
}

pub async fn a_legacy_is_taken_over_once(kit: Kit) {
    let legacy = legacy();
    let owner = kit.heir(&legacy).await;
    let rows = kit.harness.rows_of(&owner.key).await;
    assert_eq!(kit.adopt(&owner.key, &legacy).await, (owner.incarnation, false, HashSet::new()));
    assert_eq!((kit.harness.rows_of(&owner.key).await, kit.revision(&owner).await), (rows, 1));
    let more = Legacy { slots: vec![legacy.slots[0].clone(), slot("c", at(8))], ..legacy };
    let (_, is_new, ids) = kit.adopt(&owner.key, &more).await;
    assert_eq!((is_new, ids), (false, HashSet::from([more.slots[1].id.0])));
    assert_eq!((kit.profile(&owner).await.slots.len(), kit.revision(&owner).await), (3, 2));
}

pub async fn what_was_changed_since_stays(kit: Kit) {
    let legacy = legacy();
    let owner = kit.heir(&legacy).await;
    let key = &owner.key;
    let change = SlotChange { content: "changed".into(), address: None };
    assert!(kit.store.update_slot(key, legacy.slots[0].id, &change, at(60)).await.unwrap());
    assert!(kit.store.delete_slot(key, legacy.slots[1].id, at(60)).await.unwrap());
    assert!(kit.store.delete_event(key, legacy.events[0].0.id).await.unwrap());
    assert!(kit.store.delete_blob(key, legacy.blobs[0].blob.id, at(60)).await.unwrap());
    assert!(kit.store.update_user(key, &object(json!({})), at(60)).await.unwrap());
    let before = (kit.store.user(key).await.unwrap(), kit.profile(&owner).await, kit.events(&owner).await);
    assert_eq!(kit.adopt(key, &legacy).await, (owner.incarnation, false, HashSet::new()));
    let after = (kit.store.user(key).await.unwrap(), kit.profile(&owner).await, kit.events(&owner).await);
    assert_eq!(after, before);
    assert_eq!(kit.store.blob(key, legacy.blobs[0].blob.id).await.unwrap(), None);
}

pub async fn a_user_who_lives_is_given_what_is_new(kit: Kit) {
    let owner = kit.create(&kit.somebody().await).await;
    let own = kit.slot(&owner, "own", at(0)).await;
    let mut legacy = legacy();
    // An id that is here by other ways is not touched.
    legacy.slots[0].id = own;
    let before = kit.store.user(&owner.key).await.unwrap().unwrap();
    let (incarnation, is_new, ids) = kit.adopt(&owner.key, &legacy).await;
    assert_eq!((incarnation, is_new, ids.contains(&own.0), ids.len()), (owner.incarnation, false, false, 5));
    let user = kit.store.user(&owner.key).await.unwrap().unwrap();
    assert_eq!((user.data, user.created_at, user.updated_at), (before.data, before.created_at, before.updated_at));
    assert_eq!(user.revision, before.revision + 1);
    let profile = kit.profile(&owner).await;
    assert_eq!(profile.slots.iter().find(|slot| slot.id == own).unwrap().sub_topic, "own");
    assert_eq!((profile.slots.len(), kit.events(&owner).await.len()), (2, 2));
}

pub async fn a_deleted_user_is_not_brought_back(kit: Kit) {
    let legacy = legacy();
    let owner = kit.heir(&legacy).await;
    kit.store.delete_user(&owner.key, at(60)).await.unwrap();
    assert_eq!(kit.harness.rows_of(&owner.key).await, 0);
    let again = async || kit.store.adopt(&owner.key, incarnation(), &legacy, at(70)).await.unwrap();
    assert_eq!(again().await, Adoption::Deleted);
    assert_eq!(kit.store.user(&owner.key).await.unwrap(), None);
    assert_eq!(kit.harness.rows_of(&owner.key).await, 0);
    // Nor does one made anew inherit anything.
    let anew = kit.create(&owner.key).await;
    kit.store.purge_done(&owner, at(61)).await.unwrap();
    assert_eq!(again().await, Adoption::Deleted);
    assert_eq!((kit.revision(&anew).await, kit.harness.rows_of(&owner.key).await), (0, 1));
    kit.heir(&legacy).await;
}

pub async fn a_legacy_without_memory_leaves_the_revision(kit: Kit) {
    let owner = kit.heir(&nothing()).await;
    assert_eq!(kit.revision(&owner).await, 0);
    let blobs = vec![stored(blob_id(), BlobType::Summary, at(6))];
    let (_, is_new, ids) = kit.adopt(&owner.key, &Legacy { blobs, ..nothing() }).await;
    assert_eq!((is_new, ids.len(), kit.revision(&owner).await), (false, 1, 0));
    let page = Page { offset: 0, limit: 9 };
    assert_eq!(kit.store.blob_ids(&owner.key, BlobType::Summary, page).await.unwrap().len(), 1);
}

pub async fn legacy_text_round_trips(kit: Kit) {
    let mut legacy = Legacy { data: Some(texts::object()), ..legacy() };
    let slot = &mut legacy.slots[0];
    (slot.topic, slot.sub_topic, slot.content) = (texts::odd(), texts::odd(), texts::megabyte());
    slot.attributes = texts::object();
    let (event, gists) = &mut legacy.events[0];
    event.data.event_tip = Some(texts::odd());
    gists[0].text = texts::odd();
    let owner = kit.heir(&legacy).await;
    assert!(kit.store.user(&owner.key).await.unwrap().unwrap().data == legacy.data);
    let profile = kit.profile(&owner).await;
    assert!(profile.slots.contains(&legacy.slots[0]));
    let (event, gists) = &legacy.events[0];
    assert!(kit.store.event(&owner.key, event.id).await.unwrap() == Some((event.clone(), gists.clone(), 1)));
}

pub async fn legacies_of_two_users_do_not_clash(kit: Kit) {
    let legacy = legacy();
    let [one, other] = [kit.heir(&legacy).await, kit.heir(&legacy).await];
    let elsewhere = UserKey { project: kit.project("elsewhere").await, ..one.key.clone() };
    let (_, is_new, ids) = kit.adopt(&elsewhere, &legacy).await;
    assert_eq!((is_new, ids.len()), (true, 6));
    let rows = kit.harness.rows_of(&other.key).await;
    kit.store.delete_user(&one.key, at(60)).await.unwrap();
    for key in [&other.key, &elsewhere] {
        assert_eq!(kit.harness.rows_of(key).await, rows);
        assert!(kit.adopt(key, &legacy).await.2.is_empty());
    }
}

pub async fn concurrent_adoptions_happen_once(kit: Kit) {
    let (key, legacy) = (kit.somebody().await, legacy());
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, key, legacy) = (kit.store.clone(), key.clone(), legacy.clone());
            tokio::spawn(async move { store.adopt(&key, incarnation(), &legacy, at(50)).await.unwrap() })
        })
        .collect();
    let (mut lives, mut makers, mut rows) = (HashSet::new(), 0, 0);
    for task in tasks {
        let Adoption::Done { incarnation, is_new, ids } = task.await.unwrap() else { panic!("nobody deletes it") };
        lives.insert(incarnation);
        makers += usize::from(is_new);
        rows += ids.len();
    }
    assert_eq!((lives.len(), makers, rows), (1, 1, 6));
    assert_eq!(kit.store.profile(&key).await.unwrap().unwrap().slots.len(), 2);
}

/// Whichever comes first: the user is deleted at the end.
pub async fn a_deletion_and_an_adoption_leave_nothing(kit: Kit) {
    for _ in 0..20 {
        let legacy = legacy();
        let owner = kit.heir(&Legacy { slots: Vec::new(), ..legacy.clone() }).await;
        let (store, key) = (kit.store.clone(), owner.key.clone());
        let deletion = tokio::spawn(async move { store.delete_user(&key, at(60)).await.unwrap() });
        let (store, key) = (kit.store.clone(), owner.key.clone());
        let adoption = tokio::spawn(async move { store.adopt(&key, incarnation(), &legacy, at(60)).await.unwrap() });
        assert_eq!(deletion.await.unwrap(), Some(owner.incarnation));
        adoption.await.unwrap();
        assert_eq!(kit.store.user(&owner.key).await.unwrap(), None);
        assert_eq!(kit.harness.rows_of(&owner.key).await, 0);
    }
}

pub async fn a_project_that_is_not_here_gets_no_users(kit: Kit) {
    let (key, legacy) = (key_in("suite"), legacy());
    let adopt = async |key: &UserKey| kit.store.adopt(key, incarnation(), &legacy, at(60)).await.unwrap();
    assert_eq!(adopt(&key).await, Adoption::NoProject);
    let owner = kit.heir(&legacy).await;
    let (projects, id) = (kit.harness.projects(), &owner.key.project);
    projects.set_status(id, ProjectStatus::Suspended, at(60)).await.unwrap();
    assert!(matches!(adopt(&kit.somebody().await).await, Adoption::Done { is_new: true, .. }));
    projects.set_status(id, ProjectStatus::Deleting, at(60)).await.unwrap();
    assert_eq!((adopt(&key).await, adopt(&owner.key).await), (Adoption::NoProject, Adoption::NoProject));
    assert_eq!(kit.store.user(&key).await.unwrap(), None);
    assert_eq!(kit.harness.rows_of(&key).await, 0);
}

/// Whichever comes first: a project whose deletion has begun gets no users, and those it had before can be seen.
pub async fn a_deletion_of_the_project_and_an_adoption_leave_nothing(kit: Kit) {
    for turn in 0..20 {
        let id = kit.project(&format!("p{turn}")).await;
        let keys: Vec<_> = (0..4).map(|_| UserKey { project: id.clone(), ..key_in("suite") }).collect();
        let adoptions = keys.iter().map(|key| {
            let (store, key, legacy) = (kit.store.clone(), key.clone(), legacy());
            tokio::spawn(async move { store.adopt(&key, incarnation(), &legacy, at(60)).await.unwrap() })
        });
        let adoptions: Vec<_> = adoptions.collect();
        let projects = kit.harness.projects();
        assert!(projects.set_status(&id, ProjectStatus::Deleting, at(60)).await.unwrap());
        let seen = projects.user_ids(&id, 9).await.unwrap();
        for (key, adoption) in keys.iter().zip(adoptions) {
            let came = matches!(adoption.await.unwrap(), Adoption::Done { .. });
            assert_eq!(came, seen.contains(&key.user));
        }
    }
}
