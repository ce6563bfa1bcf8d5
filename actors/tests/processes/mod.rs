//! Two processes on one store and one journal; and a store or a journal that is away.

#![allow(clippy::unwrap_used, reason = "tests may panic; clippy knows test functions only")]

use std::time::Duration;

use actors::{BufferStatus, EngineError, Flushed};
use memory::blob::BlobType::Chat;
use memory::ids::{BlobId, Incarnation, Owner, ProjectId, UserId, UserKey};
use memory::ports::{Journal as _, Store as _};

use crate::support::{Feed, World, chat};

/// A user whose profile the second process has in its cache, with one slot.
async fn cached(first: &World, second: &World) -> UserKey {
    let user = first.user().await;
    first.slot(&user, "one", "memo").await;
    assert_eq!(slots(second, &user).await, 1);
    user
}

async fn slots(world: &World, user: &UserKey) -> usize {
    world.engine.profile(user).await.unwrap().map_or(0, |known| known.profile.slots.len())
}

/// Adds a slot through the API of a process.
async fn add(world: &World, user: &UserKey) {
    let id = memory::ids::SlotId(world.engine.fresh_id());
    let (topic, sub_topic, content) = ("two".into(), "s".into(), "memo".into());
    let slot = memory::ports::NewSlot { id, topic, sub_topic, content, attributes: serde_json::Map::new() };
    world.engine.add_slot(user, &slot).await.unwrap();
}

#[actix::test]
async fn a_change_is_read_in_the_other_process() {
    let [(first, _), (second, _)] = World::two(|_| {});
    let user = cached(&first, &second).await;
    add(&first, &user).await;
    assert_eq!(slots(&second, &user).await, 2);
    // So is what a flush did.
    first.insert(&user, "FACT work/title=nurse").await.unwrap();
    first.engine.flush(&user, Chat, true).await.unwrap();
    assert_eq!(slots(&second, &user).await, 3);
}

#[actix::test]
async fn a_process_that_may_miss_changes_looks_at_the_store() {
    let [(first, feed), (second, ear)] = World::two(|_| {});
    let user = cached(&first, &second).await;
    feed.cut();
    add(&first, &user).await;
    assert_eq!(slots(&second, &user).await, 1, "nothing was told, and nothing is known to be missing");
    ear.cut();
    assert_eq!(slots(&second, &user).await, 2);
}

#[actix::test]
async fn what_is_cached_is_trusted_for_a_time() {
    let [(first, feed), (second, _)] = World::two(|settings| {
        settings.cache_trust = Duration::from_secs(30);
        settings.max_active_users = 100;
    });
    let user = cached(&first, &second).await;
    feed.cut();
    add(&first, &user).await;
    second.pass(Duration::from_secs(20)).await;
    assert_eq!(slots(&second, &user).await, 1);
    second.pass(Duration::from_secs(20)).await;
    assert_eq!(slots(&second, &user).await, 2);
}

#[actix::test]
async fn with_strict_consistency_every_read_looks_at_the_store() {
    let [(first, feed), (second, _)] = World::two(|settings| settings.cache_trust = Duration::ZERO);
    let user = cached(&first, &second).await;
    feed.cut();
    add(&first, &user).await;
    assert_eq!(slots(&second, &user).await, 2);
    second.store.fail_next(1);
    assert!(matches!(second.engine.profile(&user).await, Err(EngineError::Unavailable { .. })));
    assert_eq!(slots(&second, &user).await, 2);
}

#[actix::test]
async fn reads_go_on_from_the_cache_while_the_store_is_away() {
    let [(first, _), (second, ear)] = World::two(|_| {});
    let user = cached(&first, &second).await;
    ear.cut();
    second.store.fail_next(1);
    assert_eq!(slots(&second, &user).await, 1);
    second.store.fail_next(1);
    let stranger = second.stranger();
    assert!(matches!(second.engine.profile(&stranger).await, Err(EngineError::Unavailable { .. })));
}

#[actix::test]
async fn known_users_are_heard_while_the_store_is_away() {
    let world = World::new();
    let user = world.user().await;
    world.insert(&user, "one").await.unwrap();
    world.store.fail_next(u32::MAX);
    world.insert(&user, "two").await.unwrap();
    assert_eq!(world.engine.capacity(&user, Chat, BufferStatus::Idle).await.unwrap().len(), 2);
    assert!(matches!(world.insert(&world.stranger(), "x").await, Err(EngineError::Unavailable { .. })));
    world.store.fail_next(0);
    world.engine.flush(&user, Chat, true).await.unwrap();
    assert_eq!(world.events(&user).await.len(), 1);
}

#[actix::test]
async fn a_user_deleted_elsewhere_is_gone_here() {
    let [(first, _), (second, _)] = World::two(|_| {});
    let user = cached(&first, &second).await;
    second.insert(&user, "old life").await.unwrap();
    first.engine.delete_user(&user).await.unwrap();
    assert!(second.engine.profile(&user).await.unwrap().is_none());
    assert_eq!(second.insert(&user, "x").await, Err(EngineError::UnknownUser(user.user)));
}

#[actix::test]
async fn a_user_made_anew_elsewhere_inherits_nothing_here() {
    let [(first, feed), (second, _)] = World::two(|_| {});
    let user = cached(&first, &second).await;
    second.insert(&user, "old life").await.unwrap();
    // The second process hears of nothing.
    feed.cut();
    first.engine.delete_user(&user).await.unwrap();
    first.engine.create_user(&user, None).await.unwrap();
    second.insert(&user, "new life").await.unwrap();
    first.engine.flush(&user, Chat, true).await.unwrap();
    let events = first.events(&user).await;
    assert_eq!(events.len(), 1);
    assert!(events[0].data.event_tip.as_ref().unwrap().contains("new life"));
}

#[actix::test]
async fn a_creation_waits_for_the_purge_of_the_life_before() {
    let [(first, feed), (second, _)] = World::two(|_| {});
    let user = cached(&first, &second).await;
    second.insert(&user, "old life").await.unwrap();
    feed.cut();
    // The process that deletes dies before it purges the journal.
    first.store.delete_user(&user, first.engine.now()).await.unwrap();
    first.journal.fail_next(1);
    assert!(matches!(first.engine.create_user(&user, None).await, Err(EngineError::Unavailable { .. })));
    first.engine.create_user(&user, None).await.unwrap();
    second.insert(&user, "new life").await.unwrap();
    let owner = Owner { key: user.clone(), incarnation: first.engine.user(&user).await.unwrap().incarnation };
    assert_eq!(first.journal.held(&owner).0.len(), 1, "it went to the new life");
}

#[actix::test]
async fn what_an_older_journal_brings_back_of_a_deleted_user_is_purged_again() {
    let world = World::new();
    let user = world.user().await;
    world.insert(&user, "one").await.unwrap();
    let owner = Owner { key: user.clone(), incarnation: world.engine.user(&user).await.unwrap().incarnation };
    let older = world.journal.snapshot();
    world.engine.delete_user(&user).await.unwrap();
    world.journal.restore(older);
    assert_eq!(world.journal.held(&owner).0.len(), 1);
    world.pass(Duration::from_secs(3_700)).await;
    assert_eq!(world.journal.held(&owner).0.len(), 0);
    // Of a life that the store has never heard of, nothing is removed.
    let stranger = Owner { key: world.stranger(), incarnation: Incarnation(world.engine.fresh_id()) };
    let blob =
        memory::blob::NewBlob { id: BlobId(world.engine.fresh_id()), blob_type: Chat, tokens: 1, payload: "{}".into() };
    world.journal.append(&stranger, &blob).await.unwrap();
    world.pass(Duration::from_secs(3_700)).await;
    assert_eq!(world.journal.held(&stranger).0.len(), 1);
}

#[actix::test]
async fn a_project_with_many_due_users_does_not_keep_another_waiting() {
    let world = World::with(|settings| {
        settings.max_active_users = 10_000;
        settings.flush_interval = Duration::from_secs(60);
        settings.sweep_interval = Duration::from_secs(5);
    });
    let many = 2_600;
    for number in 0..many {
        let key = UserKey { project: ProjectId::from("many"), user: UserId(uuid(number)) };
        world.engine.create_user(&key, None).await.unwrap();
        world.engine.insert(&key, BlobId(world.engine.fresh_id()), chat("x"), false).await.unwrap();
    }
    world.pass(Duration::from_secs(10)).await;
    let single = world.user_of("single").await;
    world.insert(&single, "FACT work/title=nurse").await.unwrap();
    let gate = world.hold_model();
    world.pass(Duration::from_secs(70)).await;
    // The flushes of the other project that run already, and no more, come before.
    for _ in 0..world.settings.flush_workers {
        gate.entered().await;
    }
    let workers = world.settings.flush_workers;
    gate.let_in(2 * workers);
    world.pass(Duration::from_millis(100)).await;
    assert_eq!(world.events(&single).await.len(), 1);
    gate.open();
    world.pass(Duration::from_secs(20)).await;
    let mut left = 0;
    for number in 0..many {
        let key = UserKey { project: ProjectId::from("many"), user: UserId(uuid(number)) };
        left += world.engine.capacity(&key, Chat, BufferStatus::Idle).await.unwrap().len();
    }
    assert_eq!(left, 0, "all have had their turn");
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Builder::from_random_bytes((number + 1).to_be_bytes()).into_uuid()
}

/// A deletion, and the life after it, that the second process does not hear of while its feed is broken.
async fn made_anew_unheard(first: &World, second: &World, feed: &Feed, ear: &Feed) -> UserKey {
    let user = cached(first, second).await;
    feed.cut();
    ear.cut();
    first.engine.delete_user(&user).await.unwrap();
    first.engine.create_user(&user, None).await.unwrap();
    ear.mend(&second.engine).await;
    // So that what is known from now on is later than the doubt.
    second.pass(Duration::from_millis(10)).await;
    user
}

#[actix::test]
async fn a_process_that_hears_again_asks_which_life_it_is() {
    let [(first, feed), (second, ear)] = World::two(|settings| settings.max_active_users = 100);
    let user = made_anew_unheard(&first, &second, &feed, &ear).await;
    let id = first.insert(&user, "new life").await.unwrap();
    // Each on the actor of the old life, if it were still there.
    assert!(second.engine.blob(&user, id).await.unwrap().is_some());
    assert_eq!(second.engine.capacity(&user, Chat, BufferStatus::Idle).await.unwrap(), [id]);
    assert!(matches!(second.engine.flush(&user, Chat, true).await.unwrap(), Flushed::Done(_)));
    assert_eq!(first.events(&user).await.len(), 1);

    let user = made_anew_unheard(&first, &second, &feed, &ear).await;
    let id = first.insert(&user, "new life").await.unwrap();
    second.engine.delete_blob(&user, id).await.unwrap();
    assert_eq!(first.engine.capacity(&user, Chat, BufferStatus::Idle).await.unwrap(), []);
}

#[actix::test]
async fn what_is_cached_before_a_doubt_is_compared_with_the_store() {
    let [(first, feed), (second, ear)] = World::two(|settings| settings.max_active_users = 100);
    let user = cached(&first, &second).await;
    feed.cut();
    ear.cut();
    add(&first, &user).await;
    ear.mend(&second.engine).await;
    assert_eq!(slots(&second, &user).await, 2);
}

#[actix::test]
async fn a_background_flush_behind_the_batch_of_another_process_is_done() {
    let [(first, _), (second, _)] = World::two(|settings| settings.max_active_users = 100);
    let user = first.user().await;
    first.insert(&user, "one").await.unwrap();
    let gate = first.hold_model();
    first.engine.flush(&user, Chat, false).await.unwrap();
    gate.entered().await;
    second.insert(&user, "two").await.unwrap();
    assert_eq!(second.engine.flush(&user, Chat, false).await.unwrap(), Flushed::Started);
    second.pass(Duration::from_secs(1)).await;
    gate.open();
    second.pass(Duration::from_secs(2)).await;
    assert_eq!(second.events(&user).await.len(), 2);
}

#[actix::test]
async fn room_that_another_process_made_is_seen() {
    let [(first, _), (second, _)] = World::two(|settings| settings.max_active_users = 100);
    let user = first.user().await;
    let limit = first.settings.buffer.max_blobs;
    let mut ids = Vec::new();
    for _ in 0..limit {
        ids.push(second.insert(&user, "x").await.unwrap());
    }
    // Nothing can be flushed now: the model stands still with another batch.
    let gate = first.hold_model();
    first.engine.flush(&user, Chat, false).await.unwrap();
    gate.entered().await;
    second.insert(&user, "there is room").await.unwrap();
    gate.open();
}
