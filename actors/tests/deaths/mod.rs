//! What is cached of a user whose actor has died: reads find it without the actor, so it must not outlive a change.

#![allow(clippy::unwrap_used, reason = "tests may panic; clippy knows test functions only")]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use memory::blob::BlobType::Chat;
use memory::ids::{Owner, SlotId, UserKey};
use memory::ports::{Change, NewSlot, Store as _};
use memory::recall::Search;

use crate::support::World;

/// Times that other tasks may run until a panic must have come.
const PATIENCE: usize = 1_000;

/// A world in which nobody but reads and writes meets a dead actor: its only sweep is over.
async fn without_sweeps() -> World {
    let world = World::with(|settings| settings.sweep_interval = Duration::from_secs(86_400));
    world.pass(Duration::from_millis(10)).await;
    world
}

/// A user with one slot and one gist.
async fn remembered(world: &World) -> UserKey {
    let user = world.user().await;
    world.insert(&user, "FACT work/title=nurse").await.unwrap();
    world.engine.flush(&user, Chat, true).await.unwrap();
    user
}

async fn slots(world: &World, user: &UserKey) -> Option<usize> {
    world.engine.profile(user).await.unwrap().map(|known| known.profile.slots.len())
}

async fn gists(world: &World, user: &UserKey) -> usize {
    let all = Search::by_words("nurse", 10, 0.0);
    world.engine.search_gists(user, &all).await.unwrap().hits.len()
}

fn slot(world: &World) -> NewSlot {
    let (topic, sub_topic, content) = ("more".into(), "s".into(), "memo".into());
    let id = SlotId(world.engine.fresh_id());
    NewSlot { id, topic, sub_topic, content, attributes: serde_json::Map::new() }
}

/// Lets a user's actor die of a read of something that is not cached. Whoever asked hangs up first, so that nobody has
/// met the dead actor afterwards.
async fn die_of<T>(world: &World, read: impl Future<Output = T>) {
    let active = world.engine.active_users();
    world.counter.panic_once();
    let mut read = pin!(read);
    let sent = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await;
    assert!(sent, "it was cached");
    for _ in 0..PATIENCE {
        if world.counter.has_panicked() {
            assert_eq!(world.engine.active_users(), active, "the actor is still known");
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the actor does not die");
}

/// A user whose profile is cached, and whose actor has died.
async fn dead_with_profile(world: &World) -> UserKey {
    let user = remembered(world).await;
    assert_eq!(slots(world, &user).await, Some(1));
    die_of(world, gists(world, &user)).await;
    user
}

#[actix::test]
async fn a_write_is_read_though_the_actor_is_dead() {
    let world = without_sweeps().await;
    let user = dead_with_profile(&world).await;
    world.engine.add_slot(&user, &slot(&world)).await.unwrap();
    assert_eq!(slots(&world, &user).await, Some(2));

    let user = remembered(&world).await;
    assert_eq!(gists(&world, &user).await, 1);
    die_of(&world, slots(&world, &user)).await;
    let event = world.events(&user).await[0].id;
    assert!(world.engine.delete_event(&user, event).await.unwrap());
    assert_eq!(gists(&world, &user).await, 0);
}

#[actix::test]
async fn a_flush_is_read_though_the_actor_died_meanwhile() {
    let world = without_sweeps().await;
    let user = remembered(&world).await;
    let model = world.hold_model();
    world.insert(&user, "FACT home/city=Turin").await.unwrap();
    world.engine.flush(&user, Chat, false).await.unwrap();
    model.entered().await;
    assert_eq!(slots(&world, &user).await, Some(1));
    die_of(&world, gists(&world, &user)).await;
    model.open();
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(world.events(&user).await.len(), 2);
    assert_eq!(slots(&world, &user).await, Some(2));
}

#[actix::test]
async fn what_another_process_did_is_read_though_the_actor_is_dead() {
    let world = without_sweeps().await;
    let user = dead_with_profile(&world).await;
    world.slot(&user, "more", "memo").await;
    world.engine.heard(&Change::Memory(user.clone())).await;
    assert_eq!(slots(&world, &user).await, Some(2));

    let user = dead_with_profile(&world).await;
    world.slot(&user, "more", "memo").await;
    world.engine.heard(&Change::Everything).await;
    assert_eq!(slots(&world, &user).await, Some(2));
}

#[actix::test]
async fn a_user_deleted_elsewhere_is_gone_though_the_actor_is_dead() {
    let world = without_sweeps().await;
    let user = dead_with_profile(&world).await;
    let incarnation = world.store.delete_user(&user, world.engine.now()).await.unwrap().unwrap();
    world.engine.heard(&Change::Deleted(Owner { key: user.clone(), incarnation })).await;
    assert_eq!(slots(&world, &user).await, None);
    assert_eq!(world.engine.active_users(), 0);
}

#[actix::test]
async fn an_actor_that_follows_a_dead_one_inherits_nothing() {
    let world = without_sweeps().await;
    let user = dead_with_profile(&world).await;
    // Nobody is told of this one: only the store knows it.
    world.slot(&user, "more", "memo").await;
    // The profile is the dead actor's until somebody meets that.
    assert_eq!(gists(&world, &user).await, 1);
    assert_eq!(slots(&world, &user).await, Some(2));
}

#[actix::test]
async fn a_dead_actor_is_forgotten_by_the_sweeper_with_its_share_of_the_cache() {
    // Room for one of the profiles, and for many users.
    let world = World::with(|settings| {
        settings.cache_bytes = 6_000;
        settings.max_active_users = 100;
    });
    let long = "x".repeat(1_000);
    let (user, other) = (remembered(&world).await, world.user().await);
    for user in [&user, &other] {
        world.slot(user, "long", &long).await;
    }
    world.engine.heard(&Change::Memory(user.clone())).await;
    assert_eq!(slots(&world, &user).await, Some(2));
    die_of(&world, gists(&world, &user)).await;
    // Nobody is told of what is added here: it is seen unless the profile was cached.
    assert_eq!(slots(&world, &other).await, Some(1));
    world.slot(&other, "more", "memo").await;
    assert_eq!(slots(&world, &other).await, Some(2), "there is no room");
    world.pass(2 * world.settings.sweep_interval).await;
    assert_eq!(world.engine.active_users(), 1);
    assert_eq!(slots(&world, &other).await, Some(2));
    world.slot(&other, "more", "memo").await;
    assert_eq!(slots(&world, &other).await, Some(2), "there is room");
}
