//! Slots that clients write.

use serde_json::{Map, json};

use super::kit::{Kit, at, commit, flushed_slot, key_in, new_slot, object, slot_of};
use crate::ids::{IdSource, SlotId, SystemIds};
use crate::ports::{NewSlot, SlotChange};
use crate::profile::{Slot, SlotWrite};
use crate::testing::texts;

fn memo(content: &str) -> SlotChange {
    SlotChange { content: content.into(), address: None }
}

pub async fn a_slot_is_added_with_revision_one(kit: Kit) {
    let owner = kit.owner().await;
    let before = kit.profile(&owner).await;
    assert_eq!((before.incarnation, before.slots), (owner.incarnation, vec![]));
    let new = new_slot("title", "nurse");
    assert!(kit.store.add_slot(&owner.key, &new, at(3)).await.unwrap());
    let profile = kit.profile(&owner).await;
    assert_eq!(profile.slots, [slot_of(&new, at(3))]);
    assert_eq!(profile.revision, before.revision + 1);
    assert_eq!(kit.revision(&owner).await, profile.revision);
}

pub async fn adding_a_slot_may_be_repeated(kit: Kit) {
    let owner = kit.owner().await;
    let new = new_slot("title", "nurse");
    assert!(kit.store.add_slot(&owner.key, &new, at(3)).await.unwrap());
    assert!(kit.store.update_slot(&owner.key, new.id, &memo("doctor"), at(4)).await.unwrap());
    let (profile, rows) = (kit.profile(&owner).await, kit.harness.rows_of(&owner.key).await);
    assert!(kit.store.add_slot(&owner.key, &new, at(5)).await.unwrap(), "the user is known");
    assert_eq!(kit.profile(&owner).await, profile, "what came after the first call stays");
    assert_eq!(kit.harness.rows_of(&owner.key).await, rows);
    assert!(!kit.store.add_slot(&key_in("suite"), &new, at(5)).await.unwrap());
}

pub async fn a_slot_is_changed(kit: Kit) {
    let owner = kit.owner().await;
    let new = new_slot("title", "nurse");
    assert!(kit.store.add_slot(&owner.key, &new, at(3)).await.unwrap());
    let other = kit.slot(&owner, "other", at(4)).await;
    let revision = kit.revision(&owner).await;
    let attributes = object(json!({ "b": [2] }));
    let address = Some(("Hobby".to_owned(), "Sport".to_owned(), attributes.clone()));
    let change = SlotChange { content: "chess".into(), address };
    assert!(kit.store.update_slot(&owner.key, new.id, &change, at(9)).await.unwrap());
    let profile = kit.profile(&owner).await;
    let expected = Slot {
        topic: "Hobby".into(),
        sub_topic: "Sport".into(),
        content: "chess".into(),
        attributes,
        revision: 2,
        updated_at: at(9),
        ..slot_of(&new, at(3))
    };
    assert_eq!(profile.slots[0], expected);
    assert_eq!((profile.slots[1].id, profile.slots[1].revision), (other, 1));
    assert_eq!(profile.revision, revision + 1);
}

pub async fn a_slot_keeps_its_address_unless_told(kit: Kit) {
    let owner = kit.owner().await;
    let new = new_slot("title", "nurse");
    assert!(kit.store.add_slot(&owner.key, &new, at(3)).await.unwrap());
    for (revision, content) in [(2, "doctor"), (3, "")] {
        assert!(kit.store.update_slot(&owner.key, new.id, &memo(content), at(9)).await.unwrap());
        let slot = Slot { content: content.into(), revision, updated_at: at(9), ..slot_of(&new, at(3)) };
        assert_eq!(kit.profile(&owner).await.slots, [slot]);
    }
}

pub async fn a_slot_is_deleted(kit: Kit) {
    let owner = kit.owner().await;
    let (gone, stays) = (kit.slot(&owner, "a", at(1)).await, kit.slot(&owner, "b", at(2)).await);
    let revision = kit.revision(&owner).await;
    assert!(kit.store.delete_slot(&owner.key, gone, at(3)).await.unwrap());
    let profile = kit.profile(&owner).await;
    assert_eq!(profile.slots.iter().map(|s| s.id).collect::<Vec<_>>(), [stays]);
    assert_eq!(profile.revision, revision + 1);
    assert!(!kit.store.delete_slot(&owner.key, gone, at(4)).await.unwrap());
    assert!(!kit.store.update_slot(&owner.key, gone, &memo("x"), at(4)).await.unwrap());
    assert_eq!(kit.profile(&owner).await, profile);
}

pub async fn an_unknown_slot_is_not_changed(kit: Kit) {
    let owner = kit.owner().await;
    kit.slot(&owner, "a", at(1)).await;
    let before = kit.profile(&owner).await;
    let unknown = SlotId(SystemIds.random());
    assert!(!kit.store.update_slot(&owner.key, unknown, &memo("x"), at(2)).await.unwrap());
    assert!(!kit.store.delete_slot(&owner.key, unknown, at(2)).await.unwrap());
    assert_eq!(kit.profile(&owner).await, before);
}

pub async fn the_newest_slot_comes_first(kit: Kit) {
    let owner = kit.owner().await;
    let mut same_age = Vec::new();
    for name in ["a", "b", "c", "d"] {
        same_age.push(kit.slot(&owner, name, at(5)).await);
    }
    same_age.sort();
    same_age.reverse();
    let (older, newer) = (kit.slot(&owner, "e", at(4)).await, kit.slot(&owner, "f", at(6)).await);
    let ids = async || kit.profile(&owner).await.slots.iter().map(|s| s.id).collect::<Vec<_>>();
    assert_eq!(ids().await, [&[newer][..], &same_age, &[older]].concat());
    assert!(kit.store.update_slot(&owner.key, older, &memo("new"), at(7)).await.unwrap());
    assert_eq!(ids().await, [&[older, newer][..], &same_age].concat());
}

pub async fn slots_may_share_a_name(kit: Kit) {
    let owner = kit.owner().await;
    let (old, new) = (kit.slot(&owner, "a", at(1)).await, kit.slot(&owner, "a", at(2)).await);
    assert_eq!(kit.profile(&owner).await.slots.iter().map(|s| s.id).collect::<Vec<_>>(), [new, old]);
}

pub async fn slot_text_round_trips(kit: Kit) {
    let owner = kit.owner().await;
    let mut new = new_slot(&texts::odd(), &texts::megabyte());
    (new.topic, new.attributes) = (texts::odd(), texts::object());
    assert!(kit.store.add_slot(&owner.key, &new, at(3)).await.unwrap());
    assert!(kit.profile(&owner).await.slots == [slot_of(&new, at(3))], "a slot must come back as it went in");
    let address = Some((String::new(), texts::odd(), Map::new()));
    let change = SlotChange { content: texts::odd(), address };
    assert!(kit.store.update_slot(&owner.key, new.id, &change, at(4)).await.unwrap());
    let slot = kit.profile(&owner).await.slots.remove(0);
    assert_eq!((slot.content, slot.topic, slot.sub_topic), (texts::odd(), String::new(), texts::odd()));
    assert_eq!(slot.attributes, Map::new());
}

pub async fn a_slot_that_a_client_writes_has_no_sources(kit: Kit) {
    let owner = kit.owner().await;
    let mut told = [flushed_slot("a", "told", at(1)), flushed_slot("b", "told", at(2))];
    let mut commit = commit(&owner, kit.revision(&owner).await, at(2));
    commit.slots = told.clone().map(SlotWrite::Insert).to_vec();
    kit.done(&commit).await;
    let sources = told.clone().map(|slot| slot.sources);
    assert!(sources.iter().all(|sources| !sources.is_empty()));
    // What is there already stays as it is.
    let again = NewSlot { id: told[1].id, ..new_slot("b", "mine") };
    assert!(kit.store.add_slot(&owner.key, &again, at(3)).await.unwrap());
    assert!(kit.store.update_slot(&owner.key, told[0].id, &memo("told"), at(4)).await.unwrap());
    (told[0].sources, told[0].revision, told[0].updated_at) = (Vec::new(), 2, at(4));
    assert_eq!(kit.profile(&owner).await.slots, told);
    let history = [&sources[..], &[Vec::new()]].concat();
    assert_eq!(kit.harness.sources_in_history_of(&owner.key).await, history);
}

pub async fn every_slot_change_is_in_the_history(kit: Kit) {
    let owner = kit.owner().await;
    let id = kit.slot(&owner, "a", at(1)).await;
    assert!(kit.store.update_slot(&owner.key, id, &memo("other"), at(2)).await.unwrap());
    assert!(kit.store.delete_slot(&owner.key, id, at(3)).await.unwrap());
    let expected = [("insert", "memo"), ("update", "other"), ("delete", "other")];
    let expected = expected.map(|(action, content)| (id, action.to_owned(), None, content.to_owned()));
    assert_eq!(kit.harness.history_of(&owner.key).await, expected);
}
