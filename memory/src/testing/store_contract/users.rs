//! Users.

use serde_json::json;

use super::kit::{Kit, at, key_in, object};
use crate::ids::{IdSource, Incarnation, SystemIds};
use crate::ports::EventFilter;
use crate::testing::texts;

fn incarnation() -> Incarnation {
    Incarnation(SystemIds.random())
}

pub async fn a_user_is_as_it_was_created(kit: Kit) {
    let (key, incarnation) = (key_in("suite"), incarnation());
    let data = texts::object();
    assert!(kit.store.create_user(&key, incarnation, Some(&data), at(1)).await.unwrap());
    let user = kit.store.user(&key).await.unwrap().unwrap();
    assert_eq!((user.id, user.incarnation), (key.user, incarnation));
    assert!(user.data == Some(data), "data must come back as it went in");
    assert_eq!((user.created_at, user.updated_at), (at(1), at(1)));
}

pub async fn a_user_id_is_taken_once(kit: Kit) {
    let owner = kit.owner().await;
    let before = kit.store.user(&owner.key).await.unwrap();
    let data = object(json!({ "a": 1 }));
    assert!(!kit.store.create_user(&owner.key, incarnation(), Some(&data), at(5)).await.unwrap());
    assert_eq!(kit.store.user(&owner.key).await.unwrap(), before);
}

pub async fn a_user_may_have_no_data(kit: Kit) {
    let owner = kit.owner().await;
    assert_eq!(kit.store.user(&owner.key).await.unwrap().unwrap().data, None);
    let key = key_in("suite");
    let empty = object(json!({}));
    assert!(kit.store.create_user(&key, incarnation(), Some(&empty), at(1)).await.unwrap());
    assert_eq!(kit.store.user(&key).await.unwrap().unwrap().data, Some(empty), "an empty object is not nothing");
}

pub async fn updating_a_user_replaces_its_data(kit: Kit) {
    let owner = kit.owner().await;
    let before = kit.store.user(&owner.key).await.unwrap().unwrap();
    for (seconds, data) in [(10, json!({ "a": 1, "b": 2 })), (20, json!({ "c": [1] }))] {
        let data = object(data);
        assert!(kit.store.update_user(&owner.key, &data, at(seconds)).await.unwrap());
        let user = kit.store.user(&owner.key).await.unwrap().unwrap();
        assert_eq!((user.data, user.updated_at), (Some(data), at(seconds)));
        assert_eq!((user.created_at, user.incarnation), (before.created_at, before.incarnation));
    }
}

pub async fn an_unknown_user_has_nothing(kit: Kit) {
    let key = key_in("suite");
    assert_eq!(kit.store.user(&key).await.unwrap(), None);
    assert!(!kit.store.update_user(&key, &object(json!({})), at(0)).await.unwrap());
    assert_eq!(kit.store.profile(&key).await.unwrap(), None);
    let all = EventFilter { limit: 10, ..EventFilter::default() };
    assert_eq!(kit.store.events(&key, &all).await.unwrap(), []);
    assert_eq!(kit.store.gists(&key, 10).await.unwrap(), None);
    assert_eq!(kit.harness.rows_of(&key).await, 0);
}

pub async fn the_revision_follows_the_memory(kit: Kit) {
    assert_eq!(kit.store.revision(&key_in("suite")).await.unwrap(), None);
    let owner = kit.owner().await;
    assert_eq!(kit.store.revision(&owner.key).await.unwrap(), Some((owner.incarnation, 0)));
    kit.slot(&owner, "a", at(1)).await;
    let plan = kit.plan(&owner, at(2)).await;
    kit.done(&plan).await;
    let revision = kit.profile(&owner).await.revision;
    assert_eq!(kit.store.revision(&owner.key).await.unwrap(), Some((owner.incarnation, revision)));
    assert_eq!(revision, 2);
}
