//! Token quotas: what waits for tokens, and what is refused meanwhile.

#![allow(clippy::unwrap_used, reason = "tests may panic; clippy knows test functions only")]

use std::time::Duration;

use actors::{BufferStatus, EngineError, Flushed};
use memory::blob::BlobType::Chat;
use memory::ids::{BlobId, Owner, ProjectId, UserKey};
use memory::ports::{Batch, Journal as _, Page, Store as _, TokenHash};
use memory::quota::TokenQuota;

use crate::support::{World, chat};

/// What a call of the model costs in these worlds.
const CALL: u64 = 11;
const DAY: Duration = Duration::from_secs(86_400);

fn default() -> ProjectId {
    "p".into()
}

/// A world whose default project may make so many calls in a month.
fn world(calls: u64) -> World {
    World::with(|settings| {
        settings.max_active_users = 1_000;
        settings.token_quota = Some(calls * CALL);
    })
}

async fn left(world: &World) -> Option<i64> {
    world.engine.balance(&default()).await.unwrap().left()
}

/// Two users with a message each, of whom the first has used up what there is: a call.
async fn used_up(world: &World) -> [UserKey; 2] {
    let users = [world.user().await, world.user().await];
    for user in &users {
        world.insert(user, "FACT work/title=nurse").await.unwrap();
    }
    assert!(matches!(world.engine.flush(&users[0], Chat, true).await, Ok(Flushed::Done(_))));
    assert_eq!(left(world).await, Some(0));
    users
}

/// The open batch of a user.
async fn batch(world: &World, user: &UserKey) -> Option<Batch> {
    let incarnation = world.store.user(user).await.unwrap().unwrap().incarnation;
    let owner = Owner { key: user.clone(), incarnation };
    world.journal.holding(&owner).await.unwrap().open
}

/// Asserts that a flush that is waited for is held, and that nothing of it is lost.
async fn is_held(world: &World, user: &UserKey) {
    let before = world.model.calls();
    let Err(EngineError::FlushFailed { reason }) = world.engine.flush(user, Chat, true).await else {
        panic!("it is not held")
    };
    assert!(reason.contains("token_quota_per_month"), "{reason}");
    assert_eq!(world.model.calls(), before, "nobody is asked");
    assert_eq!(world.engine.capacity(user, Chat, BufferStatus::Processing).await.unwrap().len(), 1);
}

async fn slots(world: &World, user: &UserKey) -> usize {
    world.engine.profile(user).await.unwrap().unwrap().profile.slots.len()
}

async fn letters(world: &World) -> usize {
    let page = Page { offset: 0, limit: 100 };
    world.engine.dead_letters(&default(), None, page).await.unwrap().len()
}

#[actix::test]
async fn what_waits_for_tokens_is_no_failure_and_is_flushed_when_there_are_more() {
    let world = world(1);
    let [_, waits] = used_up(&world).await;
    is_held(&world, &waits).await;
    // Nobody asked for in the background is told of it; it waits as well.
    assert_eq!(world.engine.flush(&waits, Chat, false).await.unwrap(), Flushed::Started);
    world.pass(Duration::from_secs(7_200)).await;
    let open = batch(&world, &waits).await.unwrap();
    assert_eq!((open.attempts, letters(&world).await, world.model.calls()), (0, 0, 1));
    assert_eq!(open.tries, 0, "nothing was tried");
    assert_eq!(slots(&world, &waits).await, 0);

    world.engine.set_token_quota(&default(), TokenQuota::Tokens(2 * CALL)).await.unwrap();
    world.pass(Duration::from_secs(3)).await;
    assert_eq!((slots(&world, &waits).await, world.model.calls(), left(&world).await), (1, 2, Some(0)));
    assert_eq!(batch(&world, &waits).await, None);
}

#[actix::test]
async fn tokens_come_back_on_the_first_of_the_month() {
    let world = world(1);
    let [_, waits] = used_up(&world).await;
    is_held(&world, &waits).await;
    // The clock stands at the beginning of June.
    world.jump(DAY * 30 - Duration::from_secs(60));
    world.pass(Duration::from_secs(50)).await;
    assert_eq!((slots(&world, &waits).await, left(&world).await), (0, Some(0)));
    world.pass(Duration::from_secs(13)).await;
    assert_eq!((slots(&world, &waits).await, world.model.calls()), (1, 2));
    assert_eq!(world.engine.balance(&default()).await.unwrap().used, CALL, "it counts for the month of its flush");
}

#[actix::test]
async fn inserts_are_refused_while_there_are_no_tokens() {
    let world = world(1);
    let sent = BlobId(world.engine.fresh_id());
    let early = world.user().await;
    world.engine.insert_once(&early, sent, chat("hello"), false).await.unwrap();
    let [user, _] = used_up(&world).await;
    let Err(EngineError::QuotaUsedUp(balance)) = world.insert(&user, "more").await else { panic!("it was taken") };
    assert_eq!((balance.left(), balance.month.ends_at().to_string().as_str()), (Some(0), "2025-07-01T00:00:00Z"));
    assert_eq!(world.engine.capacity(&user, Chat, BufferStatus::Idle).await.unwrap(), []);
    let imported = world.engine.import(&user, "a nurse".into()).await;
    assert!(matches!(imported, Err(EngineError::QuotaUsedUp(_))), "{imported:?}");
    // What is tried again needs tokens as well.
    let retried = world.engine.retry_dead_letters(&default(), None).await;
    assert!(matches!(retried, Err(EngineError::QuotaUsedUp(_))), "{retried:?}");
    // What was acknowledged is so when it is sent again.
    world.engine.insert_once(&early, sent, chat("hello"), false).await.unwrap();
    let other = world.engine.insert_once(&early, BlobId(world.engine.fresh_id()), chat("hello"), false).await;
    assert!(matches!(other, Err(EngineError::QuotaUsedUp(_))), "{other:?}");
    world.engine.set_token_quota(&default(), TokenQuota::Unlimited).await.unwrap();
    world.insert(&user, "more").await.unwrap();
}

#[actix::test]
async fn no_project_uses_the_tokens_of_another() {
    let world = world(1);
    let [user, waits] = used_up(&world).await;
    let quota = TokenQuota::Tokens(CALL);
    world.engine.create_project(&"own".into(), &TokenHash([1; 32]), quota).await.unwrap();
    let other = world.user_of("own").await;
    world.insert(&other, "FACT pets/dog=Miso").await.unwrap();
    assert!(matches!(world.engine.flush(&other, Chat, true).await, Ok(Flushed::Done(_))));
    assert!(matches!(world.insert(&other, "more").await, Err(EngineError::QuotaUsedUp(_))));
    world.engine.set_token_quota(&"own".into(), TokenQuota::Tokens(CALL + 1)).await.unwrap();
    world.insert(&other, "more").await.unwrap();
    assert!(world.insert(&user, "more").await.is_err());
    is_held(&world, &waits).await;
    let unknown = world.engine.set_token_quota(&"nobody".into(), quota).await;
    assert_eq!(unknown, Err(EngineError::UnknownProject("nobody".into())));
}

#[actix::test]
async fn a_new_project_gets_the_quota_of_the_configuration_unless_it_is_given_one() {
    let world = world(3);
    for (name, given, quota) in [
        ("a", TokenQuota::Unset, Some(3 * CALL)),
        ("b", TokenQuota::Unlimited, None),
        ("c", TokenQuota::Tokens(5), Some(5)),
    ] {
        let id = ProjectId::from(name);
        let project = world.engine.create_project(&id, &TokenHash([1; 32]), given).await.unwrap();
        assert_eq!(world.engine.token_quota(&id, Some(&project)), quota, "{name}");
        assert_eq!(world.engine.balance(&id).await.unwrap().quota, quota, "{name}");
    }
}

#[actix::test]
async fn another_process_learns_that_the_tokens_are_used_up_and_that_there_are_more() {
    let [(first, feed), (second, _)] = World::two(|settings| {
        settings.max_active_users = 1_000;
        settings.token_quota = Some(CALL);
    });
    let [_, waits] = used_up(&first).await;
    is_held(&second, &waits).await;
    let refused = second.insert(&waits, "more").await;
    assert!(matches!(refused, Err(EngineError::QuotaUsedUp(_))), "{refused:?}");
    first.engine.set_token_quota(&default(), TokenQuota::Tokens(CALL + 1)).await.unwrap();
    // Its sweeper meets the user that waits.
    second.pass(Duration::from_secs(3)).await;
    second.insert(&waits, "FACT pets/dog=Miso").await.unwrap();
    first.engine.set_token_quota(&default(), TokenQuota::Tokens(0)).await.unwrap();
    second.pass(Duration::from_secs(60)).await;
    // What is not told is looked for every five seconds.
    feed.cut();
    first.engine.set_token_quota(&default(), TokenQuota::Tokens(100 * CALL)).await.unwrap();
    second.pass(Duration::from_secs(8)).await;
    second.insert(&waits, "more").await.unwrap();
    second.engine.flush(&waits, Chat, true).await.unwrap();
    assert_eq!(slots(&second, &waits).await, 2);
}
