//! Projects: their policies and their end.

#![allow(clippy::unwrap_used, reason = "tests may panic; clippy knows test functions only")]

use std::time::Duration;

use actors::{BufferStatus, EngineError, Flushed};
use memory::blob::BlobType::Chat;
use memory::ids::{ProjectId, UserKey};
use memory::ports::{
    Journal as _, Page, Project, ProjectStatus, Projects as _, Store as _, TokenHash, UserOrder, UserQuery,
};
use memory::quota::TokenQuota;

use crate::support::World;

const TOKEN: TokenHash = TokenHash([1; 32]);
const STRICT: &str = "overwrite_user_profiles: [{topic: work, sub_topics: [title]}]\nprofile_strict_mode: true";

fn own() -> ProjectId {
    "own".into()
}

/// The number of slots that a flush makes of two facts.
async fn slots(world: &World, user: &UserKey) -> usize {
    world.insert(user, "FACT work/title=nurse").await.unwrap();
    world.insert(user, "FACT pets/dog=Miso").await.unwrap();
    world.engine.flush(user, Chat, true).await.unwrap();
    world.engine.profile(user).await.unwrap().unwrap().profile.slots.len()
}

async fn users(world: &World, id: &ProjectId) -> u64 {
    let page = Page { offset: 0, limit: 1 };
    let query = UserQuery { search: String::new(), order: UserOrder::UpdatedAt, descending: true, page };
    world.engine.project_users(id, &query).await.unwrap().1
}

async fn row(world: &World) -> Option<Project> {
    world.engine.project(&own()).await.unwrap()
}

#[actix::test]
async fn a_flush_takes_the_policy_of_its_project() {
    let world = World::with(|settings| settings.max_active_users = 1_000);
    world.engine.create_project(&own(), &TOKEN, TokenQuota::Unset).await.unwrap();
    let (before, other) = (world.user_of("own").await, world.user_of("p").await);
    assert_eq!(slots(&world, &before).await, 2);
    world.engine.set_profile_config(&own(), Some(STRICT)).await.unwrap();
    assert_eq!(slots(&world, &world.user_of("own").await).await, 1);
    assert_eq!(slots(&world, &other).await, 2);
    world.engine.set_profile_config(&own(), None).await.unwrap();
    assert_eq!(slots(&world, &world.user_of("own").await).await, 2);
    // The default project needs no row.
    world.engine.set_profile_config(&"p".into(), Some(STRICT)).await.unwrap();
    assert_eq!(slots(&world, &world.user_of("p").await).await, 1);
    let unknown = world.engine.set_profile_config(&"nobody".into(), Some(STRICT)).await;
    assert_eq!(unknown, Err(EngineError::UnknownProject("nobody".into())));
}

#[actix::test]
async fn another_process_flushes_as_the_project_wants() {
    let [(first, feed), (second, _)] = World::two(|settings| settings.max_active_users = 1_000);
    first.engine.create_project(&own(), &TOKEN, TokenQuota::Unset).await.unwrap();
    let user = second.user_of("own").await;
    assert_eq!(slots(&second, &user).await, 2);
    first.engine.set_profile_config(&own(), Some(STRICT)).await.unwrap();
    assert_eq!(slots(&second, &second.user_of("own").await).await, 1, "it was told");
    feed.cut();
    first.engine.set_profile_config(&own(), None).await.unwrap();
    second.pass(Duration::from_secs(6)).await;
    assert_eq!(slots(&second, &second.user_of("own").await).await, 2, "it looks by itself now and then");
}

#[actix::test]
async fn a_flush_waits_for_the_store_to_tell_the_policy() {
    let world = World::with(|settings| settings.max_active_users = 1_000);
    world.engine.create_project(&own(), &TOKEN, TokenQuota::Unset).await.unwrap();
    world.engine.set_profile_config(&own(), Some(STRICT)).await.unwrap();
    let user = world.user_of("own").await;
    for fact in ["FACT work/title=nurse", "FACT pets/dog=Miso"] {
        world.insert(&user, fact).await.unwrap();
    }
    world.store.fail_next(1);
    let failed = world.engine.flush(&user, Chat, true).await;
    assert!(matches!(failed, Err(EngineError::FlushFailed { .. })), "{failed:?}");
    assert_eq!(world.model.calls(), 0, "nobody is asked with the wrong policy");
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.engine.profile(&user).await.unwrap().unwrap().profile.slots.len(), 1);
    assert_eq!(world.engine.flush(&user, Chat, true).await.unwrap(), Flushed::Nothing);
}

#[actix::test]
async fn a_deleted_project_goes_with_its_users() {
    let world = World::with(|settings| settings.max_active_users = 1_000);
    let created = world.engine.create_project(&own(), &TOKEN, TokenQuota::Unset).await.unwrap();
    assert_eq!(created.status, ProjectStatus::Active);
    let other = world.user_of("p").await;
    let mut gone = Vec::new();
    // More than one sweep deletes.
    for _ in 0..600 {
        gone.push(world.user_of("own").await);
    }
    for user in gone.iter().take(3).chain([&other]) {
        world.insert(user, "FACT work/title=nurse").await.unwrap();
    }
    assert_eq!(world.engine.profile(&gone[0]).await.unwrap().unwrap().profile.slots.len(), 0);
    world.engine.set_project_status(&own(), ProjectStatus::Deleting).await.unwrap();
    world.pass(Duration::from_secs(10)).await;
    assert_eq!((users(&world, &own()).await, users(&world, &"p".into()).await), (0, 1));
    assert!(world.engine.profile(&gone[0]).await.unwrap().is_none());
    assert_eq!(world.insert(&gone[0], "x").await, Err(EngineError::UnknownUser(gone[0].user)));
    assert_eq!(world.store.purge_orders(9).await.unwrap(), []);
    let waiting = world.journal.due(Duration::ZERO, None, 100).await.unwrap();
    assert_eq!(waiting.iter().map(|(_, due)| &due.owner.key).collect::<Vec<_>>(), [&other]);
    // A request that was under way has made a user; the name is taken until that is gone.
    let late = world.user_of("own").await;
    assert_eq!(world.engine.create_project(&own(), &TOKEN, TokenQuota::Unset).await, Err(EngineError::ProjectExists));
    assert_eq!(row(&world).await.unwrap().status, ProjectStatus::Deleting);
    world.pass(Duration::from_secs(150)).await;
    assert_eq!(row(&world).await, None);
    assert!(world.store.user(&late).await.unwrap().is_none());
    world.engine.create_project(&own(), &TOKEN, TokenQuota::Unset).await.unwrap();
    assert_eq!(world.engine.capacity(&other, Chat, BufferStatus::Idle).await.unwrap().len(), 1);
}

#[actix::test]
async fn a_deletion_goes_on_after_an_outage() {
    let world = World::with(|settings| settings.max_active_users = 1_000);
    world.engine.create_project(&own(), &TOKEN, TokenQuota::Unset).await.unwrap();
    for _ in 0..20 {
        world.user_of("own").await;
    }
    world.engine.set_project_status(&own(), ProjectStatus::Deleting).await.unwrap();
    // The sweeper meets some of these.
    for _ in 0..5 {
        world.store.fail_after_next(1);
        world.pass(Duration::from_secs(1)).await;
    }
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(users(&world, &own()).await, 0);
    assert_eq!(world.store.purge_orders(9).await.unwrap(), []);
}

#[actix::test]
async fn the_default_project_stays() {
    let world = World::with(|settings| settings.max_active_users = 1_000);
    let default = ProjectId::from("p");
    assert_eq!(world.engine.create_project(&default, &TOKEN, TokenQuota::Unset).await, Err(EngineError::ProjectExists));
    assert_eq!(world.engine.rotate_token(&default, &TOKEN).await, Err(EngineError::DefaultProject));
    for status in [ProjectStatus::Suspended, ProjectStatus::Deleting] {
        assert_eq!(world.engine.set_project_status(&default, status).await, Err(EngineError::DefaultProject));
    }
    assert_eq!(world.store.project(&default).await.unwrap(), None);
}
