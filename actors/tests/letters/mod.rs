//! Dead letters: tried again, dropped, and what else happens to them meanwhile.

#![allow(clippy::unwrap_used, reason = "tests may panic; clippy knows test functions only")]

mod races;

use std::time::Duration;

use actors::{BufferStatus, DroppedLetters, EngineError, Flushed, RetriedLetters};
use memory::blob::BlobType::Chat;
use memory::blob::{BlobData, NewBlob};
use memory::ids::{BlobId, FlushId, Owner, UserKey};
use memory::ports::{
    DeadLetter, DeadLetterHead, FlushOutcome, FlushRecord, FlushResult, Journal, ModelError, Page, Requeue, Standing,
    Store, StoredBlob, Usage,
};

use crate::contents;
use crate::support::{World, chat};

const ALL: Page = Page { offset: 0, limit: 10_000 };
/// Longer than all pauses between the attempts of a flush.
const LONG: Duration = Duration::from_secs(600);

/// The next attempts fail, all that a flush has.
fn refuse(world: &World) {
    (0..world.settings.flush.max_attempts).for_each(|_| world.model.push_error(ModelError::Refused("no".into())));
}

/// Inserts a message that ends as a dead letter.
async fn die(world: &World, user: &UserKey, text: &str) -> (BlobId, FlushId) {
    refuse(world);
    let blob = world.insert(user, text).await.unwrap();
    assert!(world.engine.flush(user, Chat, true).await.is_err());
    world.pass(LONG).await;
    let letters = letters(world, user).await;
    (blob, letters[0].flush_id)
}

async fn letters(world: &World, user: &UserKey) -> Vec<DeadLetterHead> {
    world.engine.dead_letters(&user.project, Some(user.user), ALL).await.unwrap()
}

async fn said(world: &World, user: &UserKey) -> Vec<String> {
    contents(&world.events(user).await)
}

async fn sealed(world: &World, user: &UserKey) -> Vec<BlobId> {
    world.engine.capacity(user, Chat, BufferStatus::Processing).await.unwrap()
}

async fn owner(world: &World, user: &UserKey) -> Owner {
    let incarnation = world.store.user(user).await.unwrap().unwrap().incarnation;
    Owner { key: user.clone(), incarnation }
}

fn record(outcome: FlushOutcome) -> FlushRecord {
    let (result, usage, version) = (FlushResult::default(), Usage::default(), String::new());
    FlushRecord { outcome, result, reason: Some("no".into()), usage, refused: 0, version }
}

/// Puts a letter of one message straight into the store.
async fn bury(world: &World, user: &UserKey, text: &str) -> (BlobId, FlushId) {
    let (id, flush_id) = (BlobId(world.engine.fresh_id()), FlushId(world.engine.fresh_id()));
    let blob = NewBlob { id, blob_type: Chat, tokens: 1, payload: chat(text).to_payload() };
    let letter = DeadLetter { reason: "no".into(), blobs: vec![StoredBlob { blob, created_at: world.engine.now() }] };
    let (owner, record, now) = (owner(world, user).await, record(FlushOutcome::Dead), world.engine.now());
    assert_eq!(world.store.end_flush(&owner, flush_id, &record, Some(&letter), now).await.unwrap(), None);
    (id, flush_id)
}

#[actix::test]
async fn a_letter_is_listed_read_and_retried() {
    let world = World::new();
    let user = world.user().await;
    let (blob, id) = die(&world, &user, "FACT work/title=nurse").await;
    let heads = letters(&world, &user).await;
    assert_eq!((heads.len(), heads[0].user, heads[0].blobs, heads[0].tokens), (1, user.user, 1, 2));
    let (head, blobs) = world.engine.dead_letter(&user, id).await.unwrap().unwrap();
    assert!(head == heads[0] && head.reason.ends_with("no"), "{head:?}");
    let Some(BlobData::Chat { messages }) = blobs[0].blob.clone().map(|blob| blob.data) else { panic!("{blobs:?}") };
    assert_eq!((blobs.len(), blobs[0].id, messages[0].content.as_str()), (1, blob, "FACT work/title=nurse"));
    assert!(world.engine.blob(&user, blob).await.unwrap().is_some());

    assert!(world.engine.retry_dead_letter(&user, id).await.unwrap());
    // Sooner than the sweeper looks.
    world.pass(world.settings.sweep_interval / 2).await;
    assert_eq!(said(&world, &user).await, ["- FACT work/title=nurse"]);
    assert_eq!(world.engine.profile(&user).await.unwrap().unwrap().profile.slots[0].content, "nurse");
    assert_eq!(letters(&world, &user).await, []);
    assert_eq!(world.engine.dead_letter(&user, id).await.unwrap(), None);
    assert!(world.engine.capacity(&user, Chat, BufferStatus::Failed).await.unwrap().is_empty());
    assert!(!world.engine.retry_dead_letter(&user, id).await.unwrap(), "there is nothing left to retry");
    world.pass(LONG).await;
    assert_eq!((said(&world, &user).await.len(), world.model.calls()), (1, 4));
}

#[actix::test]
async fn what_dies_again_is_another_letter() {
    let world = World::new();
    let user = world.user().await;
    let (blob, first) = die(&world, &user, "hard").await;
    refuse(&world);
    assert!(world.engine.retry_dead_letter(&user, first).await.unwrap());
    world.pass(LONG).await;
    let heads = letters(&world, &user).await;
    assert!(heads.len() == 1 && heads[0].flush_id != first, "{heads:?}");
    assert!(!world.engine.retry_dead_letter(&user, first).await.unwrap());
    assert!(world.engine.retry_dead_letter(&user, heads[0].flush_id).await.unwrap());
    world.pass(LONG).await;
    assert_eq!((said(&world, &user).await, letters(&world, &user).await), (vec!["- hard".to_owned()], vec![]));
    assert_eq!(world.engine.blob(&user, blob).await.unwrap(), None);
}

#[actix::test]
async fn what_was_said_later_is_not_overwritten() {
    let world = World::new();
    let user = world.user().await;
    let (_, id) = die(&world, &user, "FACT work/title=nurse").await;
    world.insert(&user, "FACT work/title=vet").await.unwrap();
    world.engine.flush(&user, Chat, true).await.unwrap();
    assert!(world.engine.retry_dead_letter(&user, id).await.unwrap());
    world.pass(LONG).await;
    assert_eq!(said(&world, &user).await, ["- FACT work/title=vet", "- FACT work/title=nurse"]);
    let profile = world.engine.profile(&user).await.unwrap().unwrap();
    let slots: Vec<&str> = profile.profile.slots.iter().map(|slot| slot.content.as_str()).collect();
    assert_eq!(slots, ["vet"]);
    let history = world.store.rows_of(&user).history;
    assert_eq!((history.last().unwrap().action, history.len()), ("overruled", 2));
}

#[actix::test]
async fn a_letter_is_found_by_its_user_alone() {
    let world = World::new();
    let (user, other, nobody) = (world.user().await, world.user_of("other").await, world.stranger());
    let (_, id) = bury(&world, &user, "mine").await;
    let (_, elsewhere) = bury(&world, &other, "theirs").await;
    for (key, id) in [(&user, FlushId(world.engine.fresh_id())), (&user, elsewhere), (&other, id), (&nobody, id)] {
        assert_eq!(world.engine.dead_letter(key, id).await.unwrap(), None);
        assert!(!world.engine.retry_dead_letter(key, id).await.unwrap());
        assert!(!world.engine.drop_dead_letter(key, id).await.unwrap());
    }
    let unknown = EngineError::UnknownUser(nobody.user);
    assert_eq!(letters(&world, &nobody).await, []);
    let retried = world.engine.retry_dead_letters(&nobody.project, Some(nobody.user)).await;
    assert_eq!(retried, Err(unknown.clone()));
    assert_eq!(world.engine.drop_dead_letters(&nobody.project, Some(nobody.user)).await, Err(unknown));
    let dropped = world.engine.drop_dead_letters(&user.project, None).await.unwrap();
    assert_eq!(dropped, DroppedLetters { dropped: 1, more: false });
    assert_eq!((letters(&world, &user).await.len(), letters(&world, &other).await.len()), (0, 1));
}

#[actix::test]
async fn the_oldest_letter_of_each_user_is_retried_first() {
    let world = World::with(|settings| settings.max_active_users = 1);
    let [one, two] = [world.user().await, world.user().await];
    for text in ["1", "2", "3"] {
        bury(&world, &one, text).await;
        world.pass(Duration::from_secs(1)).await;
    }
    bury(&world, &two, "x").await;
    let retry = async || world.engine.retry_dead_letters(&one.project, None).await.unwrap();
    // One actor is all there may be: the other user's batch is left to the sweeper.
    assert_eq!(retry().await, RetriedLetters { retried: 2, busy: 2, more: false });
    world.pass(LONG).await;
    assert_eq!((said(&world, &one).await, said(&world, &two).await), (vec!["- 1".to_owned()], vec!["- x".to_owned()]));
    // What dies again has been tried last: it does not keep the others from their turn.
    refuse(&world);
    assert_eq!(retry().await, RetriedLetters { retried: 1, busy: 1, more: false });
    world.pass(LONG).await;
    assert_eq!(letters(&world, &one).await.len(), 2);
    assert_eq!(retry().await.retried, 1);
    world.pass(LONG).await;
    assert_eq!(retry().await, RetriedLetters { retried: 1, busy: 0, more: false });
    world.pass(LONG).await;
    assert_eq!(said(&world, &one).await, ["- 1", "- 3", "- 2"]);
    assert_eq!(retry().await, RetriedLetters::default());
}

#[actix::test]
async fn many_letters_take_several_calls() {
    let world = World::new();
    let user = world.user().await;
    let (_, oldest) = bury(&world, &user, "oldest").await;
    world.pass(Duration::from_secs(1)).await;
    for _ in 0..1_050 {
        bury(&world, &user, "x").await;
    }
    let retried = world.engine.retry_dead_letters(&user.project, Some(user.user)).await.unwrap();
    assert_eq!(retried, RetriedLetters { retried: 1, busy: 999, more: true });
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(said(&world, &user).await, ["- oldest"]);
    let (_, last) = bury(&world, &user, "last").await;
    assert!(world.engine.dead_letter(&user, last).await.unwrap().is_some());
    assert_eq!(world.engine.dead_letter(&user, oldest).await.unwrap(), None);
    let drop = async || world.engine.drop_dead_letters(&user.project, Some(user.user)).await.unwrap();
    assert_eq!(drop().await, DroppedLetters { dropped: 1_000, more: true });
    assert_eq!(drop().await, DroppedLetters { dropped: 51, more: false });
    assert_eq!(drop().await, DroppedLetters::default());
}
