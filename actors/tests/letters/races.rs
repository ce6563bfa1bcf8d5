//! Retries, drops and deletions while something else goes on.

#![allow(clippy::unwrap_used, reason = "tests may panic; clippy knows test functions only")]

use super::*;
use memory::ids::{ClaimToken, IdSource, SystemIds};
use memory::ports::{Take, Taken};

#[actix::test]
async fn a_retry_beside_another_batch_is_refused_and_works_later() {
    let world = World::new();
    let user = world.user().await;
    let (_, id) = die(&world, &user, "old").await;
    let model = world.hold_model();
    world.insert(&user, "new").await.unwrap();
    world.engine.flush(&user, Chat, false).await.unwrap();
    model.entered().await;
    let busy = world.engine.retry_dead_letter(&user, id).await.unwrap_err();
    assert!(matches!(busy, EngineError::BatchOpen { .. }), "{busy:?}");
    let many = world.engine.retry_dead_letters(&user.project, Some(user.user)).await.unwrap();
    assert_eq!(many, RetriedLetters { retried: 0, busy: 1, more: false });
    assert_eq!((letters(&world, &user).await.len(), sealed(&world, &user).await.len()), (1, 1));
    model.open();
    world.pass(Duration::from_secs(1)).await;
    assert!(world.engine.retry_dead_letter(&user, id).await.unwrap());
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(said(&world, &user).await, ["- new", "- old"]);
}

#[actix::test]
async fn a_repeated_retry_happens_once_and_new_messages_follow() {
    let world = World::new();
    let user = world.user().await;
    let (blob, id) = die(&world, &user, "old").await;
    let model = world.hold_model();
    assert!(world.engine.retry_dead_letter(&user, id).await.unwrap());
    model.entered().await;
    for _ in 0..3 {
        assert!(world.engine.retry_dead_letter(&user, id).await.unwrap());
    }
    assert_eq!((letters(&world, &user).await.len(), sealed(&world, &user).await), (1, vec![blob]));
    world.insert(&user, "new").await.unwrap();
    let flush = world.engine.flush(&user, Chat, true);
    let opening = async {
        world.pass(Duration::from_secs(1)).await;
        assert!(world.engine.profile(&user).await.unwrap().is_some(), "reads go on");
        model.open();
    };
    let (flushed, ()) = tokio::join!(flush, opening);
    assert!(matches!(flushed.unwrap(), Flushed::Done(results) if results.len() == 2));
    world.pass(LONG).await;
    assert_eq!(said(&world, &user).await, ["- old", "- new"]);
    assert_eq!((letters(&world, &user).await, world.model.calls()), (vec![], 5));
}

#[actix::test]
async fn a_letter_that_is_dropped_during_its_retry_takes_no_effect() {
    let world = World::new();
    let user = world.user().await;
    let (blob, id) = die(&world, &user, "FACT a/b=secret").await;
    let model = world.hold_model();
    assert!(world.engine.retry_dead_letter(&user, id).await.unwrap());
    model.entered().await;
    world.insert(&user, "new").await.unwrap();
    assert!(world.engine.drop_dead_letter(&user, id).await.unwrap());
    assert_eq!(world.engine.blob(&user, blob).await.unwrap(), None, "it is gone at once, from the journal too");
    assert!(!world.engine.drop_dead_letter(&user, id).await.unwrap());
    assert!(!world.engine.retry_dead_letter(&user, id).await.unwrap());
    model.open();
    world.engine.flush(&user, Chat, true).await.unwrap();
    world.pass(LONG).await;
    assert_eq!((said(&world, &user).await, letters(&world, &user).await), (vec!["- new".to_owned()], vec![]));
    assert!(world.engine.profile(&user).await.unwrap().unwrap().profile.slots.is_empty());
}

/// As when a retry has read the letter just before it was dropped: the store alone decides.
#[actix::test]
async fn a_letter_that_is_queued_after_its_end_takes_no_effect() {
    let world = World::new();
    let user = world.user().await;
    let (blob, id) = die(&world, &user, "secret").await;
    let owner = owner(&world, &user).await;
    let (_, letter) = world.store.dead_letter(&user, id).await.unwrap().unwrap();
    assert!(world.engine.drop_dead_letter(&user, id).await.unwrap());
    let blobs = letter.blobs.into_iter().map(|stored| (stored.blob, stored.created_at)).collect();
    let requeue = Requeue { flush_id: FlushId(SystemIds.ordered()), blob_type: Chat, blobs };
    world.journal.requeue(&owner, &requeue).await.unwrap();
    assert_eq!(sealed(&world, &user).await, [blob]);
    world.pass(LONG).await;
    assert_eq!((said(&world, &user).await, letters(&world, &user).await), (vec![], vec![]));
    assert!(sealed(&world, &user).await.is_empty());
}

#[actix::test]
async fn a_blob_leaves_its_letter_while_it_is_retried() {
    let world = World::new();
    let user = world.user().await;
    let first = world.insert(&user, "secret").await.unwrap();
    let (second, id) = die(&world, &user, "stays").await;
    let model = world.hold_model();
    assert!(world.engine.retry_dead_letter(&user, id).await.unwrap());
    model.entered().await;
    assert_eq!(sealed(&world, &user).await, [first, second]);
    world.engine.delete_blob(&user, first).await.unwrap();
    assert_eq!(world.engine.blob(&user, first).await.unwrap(), None);
    assert_eq!(sealed(&world, &user).await, [second]);
    let (head, blobs) = world.engine.dead_letter(&user, id).await.unwrap().unwrap();
    assert_eq!((head.blobs, blobs[0].id), (1, second));
    model.open();
    world.pass(LONG).await;
    assert_eq!((said(&world, &user).await, letters(&world, &user).await), (vec!["- stays".to_owned()], vec![]));
}

#[actix::test]
async fn a_blob_leaves_its_letter_before_and_the_last_one_ends_it() {
    let world = World::new();
    let user = world.user().await;
    let first = world.insert(&user, "secret").await.unwrap();
    let (second, id) = die(&world, &user, "stays").await;
    world.engine.delete_blob(&user, first).await.unwrap();
    assert_eq!(world.engine.blob(&user, first).await.unwrap(), None);
    refuse(&world);
    assert!(world.engine.retry_dead_letter(&user, id).await.unwrap());
    world.pass(LONG).await;
    assert_eq!(world.engine.capacity(&user, Chat, BufferStatus::Failed).await.unwrap(), [second]);
    world.engine.delete_blob(&user, second).await.unwrap();
    assert_eq!(letters(&world, &user).await, []);
    world.pass(LONG).await;
    assert!(said(&world, &user).await.is_empty());
}

/// A worker was cut short between the letter and the end of its batch.
async fn left_behind(world: &World) -> (UserKey, BlobId, FlushId) {
    let user = world.user().await;
    let blob = world.insert(&user, "old").await.unwrap();
    let owner = owner(world, &user).await;
    let take = Take {
        blob_type: Chat,
        flush_id: FlushId(SystemIds.ordered()),
        token: ClaimToken(SystemIds.random()),
        lease: LONG,
        max_tokens: 100,
        max_blobs: 10,
        ignore_backoff: false,
    };
    let Taken::Batch(batch, _) = world.journal.take(&owner, &take).await.unwrap() else { panic!("nothing to take") };
    let stored = |entry: memory::ports::Entry| StoredBlob { blob: entry.blob, created_at: entry.appended_at };
    let letter = DeadLetter { reason: "no".into(), blobs: batch.entries.into_iter().map(stored).collect() };
    let (record, now) = (record(FlushOutcome::Dead), world.engine.now());
    world.store.end_flush(&owner, batch.flush_id, &record, Some(&letter), now).await.unwrap();
    (user, blob, batch.flush_id)
}

#[actix::test]
async fn a_letter_whose_batch_was_left_in_the_journal_is_retried() {
    let world = World::new();
    let (user, _, id) = left_behind(&world).await;
    assert!(world.engine.retry_dead_letter(&user, id).await.unwrap());
    world.pass(Duration::from_secs(1)).await;
    assert_eq!((said(&world, &user).await, letters(&world, &user).await), (vec!["- old".to_owned()], vec![]));
}

#[actix::test]
async fn a_letter_whose_batch_was_left_in_the_journal_is_dropped() {
    let world = World::new();
    let (user, blob, id) = left_behind(&world).await;
    assert!(world.engine.drop_dead_letter(&user, id).await.unwrap());
    assert_eq!(world.engine.blob(&user, blob).await.unwrap(), None);
    world.insert(&user, "new").await.unwrap();
    world.engine.flush(&user, Chat, true).await.unwrap();
    assert_eq!(said(&world, &user).await, ["- new"]);
}

#[actix::test]
async fn a_user_made_anew_inherits_no_retry() {
    let world = World::new();
    let user = world.user().await;
    let (_, id) = die(&world, &user, "old").await;
    let model = world.hold_model();
    assert!(world.engine.retry_dead_letter(&user, id).await.unwrap());
    model.entered().await;
    world.engine.delete_user(&user).await.unwrap();
    world.engine.create_user(&user, None).await.unwrap();
    assert!(!world.engine.retry_dead_letter(&user, id).await.unwrap());
    model.open();
    world.pass(LONG).await;
    assert_eq!((said(&world, &user).await, letters(&world, &user).await), (vec![], vec![]));
    let owner = owner(&world, &user).await;
    assert_eq!(world.journal.blob_ids(&owner, Chat, Standing::Sealed).await.unwrap(), []);
}
