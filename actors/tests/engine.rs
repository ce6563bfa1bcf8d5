//! The engine on in-memory ports and virtual time.

mod advice;
mod deaths;
mod embeddings;
mod growth;
mod letters;
mod processes;
mod projects;
mod quotas;
mod said;
mod sources;
mod support;

use std::sync::Arc;
use std::time::Duration;

use actors::{BufferStatus, EngineError, Flushed};
use memory::blob::BlobType::Chat;
use memory::ids::BlobId;
use memory::ports::{ModelError, NewSlot, SlotChange, Store};
use support::{World, chat};

fn contents(events: &[memory::event::Event]) -> Vec<String> {
    events.iter().rev().map(|e| e.data.event_tip.clone().unwrap_or_default()).collect()
}

#[actix::test]
async fn what_is_inserted_and_flushed_is_remembered() {
    let world = World::new();
    let user = world.user().await;
    world.insert(&user, "FACT work/title=nurse").await.unwrap();
    assert_eq!(world.engine.capacity(&user, Chat, BufferStatus::Idle).await.unwrap().len(), 1);
    let Flushed::Done(results) = world.engine.flush(&user, Chat, true).await.unwrap() else { panic!("not waited for") };
    assert_eq!((results.len(), results[0].add_profiles.len()), (1, 1));
    let profile = world.engine.profile(&user).await.unwrap().unwrap();
    assert_eq!(profile.profile.slots[0].content, "nurse");
    assert_eq!(world.engine.flush(&user, Chat, true).await.unwrap(), Flushed::Nothing);
}

#[actix::test]
async fn unknown_users_get_no_actor() {
    let world = World::new();
    let user = world.stranger();
    assert_eq!(world.insert(&user, "x").await, Err(EngineError::UnknownUser(user.user)));
    assert!(world.engine.profile(&user).await.unwrap().is_none());
    assert_eq!(world.engine.flush(&user, Chat, true).await.unwrap(), Flushed::Nothing);
    assert_eq!(world.engine.active_users(), 0);
}

#[actix::test]
async fn a_full_buffer_is_flushed_in_the_background() {
    let world = World::new();
    let user = world.user().await;
    let model = world.hold_model();
    // 10 words are more than the 8 tokens of the trigger.
    world.insert(&user, "one two three four five six seven eight nine ten").await.unwrap();
    model.entered().await;
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(world.engine.capacity(&user, Chat, BufferStatus::Processing).await.unwrap().len(), 1);
    // Inserts and reads go on while the model thinks.
    world.insert(&user, "later").await.unwrap();
    assert!(world.engine.profile(&user).await.unwrap().unwrap().profile.slots.is_empty());
    let waiting = world.engine.flush(&user, Chat, true);
    model.let_in(1);
    let opening = async {
        // The second flush begins later than the first.
        model.entered().await;
        world.pass(Duration::from_secs(1)).await;
        model.open();
    };
    let (waiting, ()) = tokio::join!(waiting, opening);
    // Waited for: the flush under way, and then what came after it.
    assert!(matches!(waiting.unwrap(), Flushed::Done(results) if results.len() == 2));
    let events = world.events(&user).await;
    assert_eq!(contents(&events), ["- one two three four five six seven eight nine ten", "- later"]);
}

#[actix::test]
async fn an_immediate_model_has_taken_effect_when_the_request_returns() {
    let world = World::new();
    world.model.set_immediate(true);
    let user = world.user().await;
    world.insert(&user, "short").await.unwrap();
    assert_eq!(world.engine.flush(&user, Chat, false).await.unwrap(), Flushed::Started);
    world.insert(&user, "one two three four five six seven eight nine ten").await.unwrap();
    assert_eq!(world.events(&user).await.len(), 2);
}

#[actix::test]
async fn an_old_buffer_is_flushed_by_the_sweeper_though_its_actor_is_gone() {
    let world = World::new();
    let user = world.user().await;
    world.insert(&user, "hello there").await.unwrap();
    world.pass(world.settings.actor_idle * 2).await;
    assert_eq!(world.engine.active_users(), 0);
    assert!(world.events(&user).await.is_empty());
    world.pass(world.settings.flush_interval).await;
    assert_eq!(contents(&world.events(&user).await), ["- hello there"]);
}

#[actix::test]
async fn a_failed_attempt_is_told_and_tried_again() {
    let world = World::new();
    let user = world.user().await;
    let down = ModelError::Unavailable { reason: "no route".into(), retry_after: None };
    (0..7).for_each(|_| world.model.push_error(down.clone()));
    world.insert(&user, "hello").await.unwrap();
    let failed = world.engine.flush(&user, Chat, true).await;
    assert!(matches!(failed, Err(EngineError::FlushFailed { .. })), "{failed:?}");
    world.pass(Duration::from_secs(600)).await;
    assert_eq!((contents(&world.events(&user).await), world.model.calls()), (vec!["- hello".to_owned()], 8));
}

#[actix::test]
async fn rubbish_ends_as_a_dead_letter_and_the_next_flush_is_fine() {
    let world = World::new();
    let user = world.user().await;
    (0..3).for_each(|_| world.model.push_text("I think that …"));
    world.insert(&user, "lost?").await.unwrap();
    assert!(world.engine.flush(&user, Chat, true).await.is_err());
    world.pass(Duration::from_secs(600)).await;
    assert_eq!(world.engine.capacity(&user, Chat, BufferStatus::Failed).await.unwrap().len(), 1);
    world.insert(&user, "fine").await.unwrap();
    world.engine.flush(&user, Chat, true).await.unwrap();
    assert_eq!(contents(&world.events(&user).await), ["- fine"]);
}

#[actix::test]
async fn a_slow_flush_is_waited_for_no_longer_than_allowed() {
    let world = World::new();
    let user = world.user().await;
    let model = world.hold_model();
    world.insert(&user, "slow").await.unwrap();
    assert_eq!(world.engine.flush(&user, Chat, true).await, Err(EngineError::FlushTimeout));
    model.open();
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(contents(&world.events(&user).await), ["- slow"]);
}

#[actix::test]
async fn a_claim_is_renewed_while_the_model_thinks() {
    let world = World::new();
    let user = world.user().await;
    let model = world.hold_model();
    world.insert(&user, "long thought").await.unwrap();
    world.engine.flush(&user, Chat, false).await.unwrap();
    model.entered().await;
    world.pass(world.settings.flush.lease * 10).await;
    model.open();
    world.pass(Duration::from_secs(1)).await;
    // Nobody else took the batch meanwhile: one call, one event.
    assert_eq!((world.model.calls(), world.events(&user).await.len()), (1, 1));
}

#[actix::test]
async fn a_client_reads_its_own_writes() {
    let world = World::new();
    let user = world.user().await;
    assert!(world.engine.profile(&user).await.unwrap().unwrap().profile.slots.is_empty());
    let slot = NewSlot {
        id: memory::ids::SlotId(world.engine.fresh_id()),
        topic: "work".into(),
        sub_topic: "title".into(),
        content: "vet".into(),
        attributes: serde_json::Map::new(),
    };
    world.engine.add_slot(&user, &slot).await.unwrap();
    assert_eq!(world.engine.profile(&user).await.unwrap().unwrap().profile.slots.len(), 1);
    assert!(world.engine.delete_slot(&user, slot.id).await.unwrap());
    assert!(world.engine.profile(&user).await.unwrap().unwrap().profile.slots.is_empty());
}

#[actix::test]
async fn a_write_that_nobody_waits_for_any_more_is_read() {
    // Nothing runs on it until the test lets it.
    let io = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = World::writing_on(io.handle().clone());
    let (user, other) = (world.user().await, world.user().await);
    let id = world.slot(&user, "work", "nurse").await;
    let content = || async { world.engine.profile(&user).await.unwrap().unwrap().profile.slots[0].content.clone() };
    assert_eq!(content().await, "nurse");
    let change = SlotChange { content: "vet".into(), address: None };
    tokio::select! {
        biased;
        _ = world.engine.update_slot(&user, id, &change) => panic!("the write is held"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(content().await, "nurse");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = std::thread::spawn(move || io.block_on(stopped));
    // Another user's write comes after the first.
    world.engine.delete_user(&other).await.unwrap();
    assert_eq!(content().await, "vet");
    drop(stop);
    running.join().unwrap().unwrap_err();
}

#[actix::test]
async fn what_a_slow_read_found_before_a_write_is_not_kept() {
    let world = World::new();
    let user = world.user().await;
    let id = world.slot(&user, "work", "nurse").await;
    // Enough of them that they are counted on another thread.
    for n in 0..300 {
        world.slot(&user, "more", &format!("{n}")).await;
    }
    let (entered, go_on) = world.counter.hold_once();
    let (engine, key) = (world.engine.clone(), user.clone());
    let reading = actix::spawn(async move { engine.profile(&key).await.unwrap().unwrap() });
    entered.await.unwrap();
    assert!(world.engine.delete_slot(&user, id).await.unwrap());
    go_on.send(()).unwrap();
    assert_eq!(reading.await.unwrap().profile.slots.len(), 301);
    assert_eq!(world.engine.profile(&user).await.unwrap().unwrap().profile.slots.len(), 300);
}

#[actix::test]
async fn a_deleted_user_leaves_nothing_and_its_flush_ends() {
    let world = World::new();
    let user = world.user().await;
    let model = world.hold_model();
    world.insert(&user, "FACT a/b=old").await.unwrap();
    world.engine.flush(&user, Chat, false).await.unwrap();
    model.entered().await;
    world.insert(&user, "buffered").await.unwrap();
    world.engine.delete_user(&user).await.unwrap();
    world.engine.create_user(&user, None).await.unwrap();
    model.open();
    world.pass(Duration::from_secs(5)).await;
    assert!(world.events(&user).await.is_empty());
    assert!(world.engine.blob_ids(&user, Chat, 0, 10).await.unwrap().is_empty());
    world.insert(&user, "new").await.unwrap();
    world.engine.flush(&user, Chat, true).await.unwrap();
    assert_eq!(contents(&world.events(&user).await), ["- new"]);
}

#[actix::test]
async fn a_deleted_blob_takes_no_effect_whether_it_waits_or_is_sealed() {
    let world = World::new();
    let user = world.user().await;
    let model = world.hold_model();
    let sealed = world.insert(&user, "sealed").await.unwrap();
    world.insert(&user, "stays").await.unwrap();
    world.engine.flush(&user, Chat, false).await.unwrap();
    model.entered().await;
    let waiting = world.insert(&user, "waiting").await.unwrap();
    for id in [sealed, waiting, BlobId(world.engine.fresh_id())] {
        world.engine.delete_blob(&user, id).await.unwrap();
        assert_eq!(world.engine.blob(&user, id).await.unwrap(), None);
    }
    model.open();
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(contents(&world.events(&user).await), ["- stays"]);
    assert!(world.engine.blob_ids(&user, Chat, 0, 10).await.unwrap().is_empty());
}

#[actix::test]
async fn limits_are_told_and_nothing_is_stored_past_them() {
    let world = World::new();
    let user = world.user().await;
    world.hold_model();
    for n in 0..world.settings.buffer.max_blobs {
        world.insert(&user, &format!("{n}")).await.unwrap();
    }
    let full = world.insert(&user, "x").await.unwrap_err();
    assert!(matches!(full, EngineError::Busy { parameter: "max_buffered_blobs_per_user", .. }), "{full:?}");
    let others = [world.user().await, world.user().await];
    world.insert(&others[0], "x").await.unwrap();
    let crowded = world.insert(&others[1], "x").await.unwrap_err();
    assert!(matches!(crowded, EngineError::Busy { parameter: "max_active_users", .. }), "{crowded:?}");
    // Idle ones make room.
    world.pass(world.settings.actor_idle * 2).await;
    world.insert(&others[1], "x").await.unwrap();
}

#[actix::test]
async fn flushes_are_bounded_and_projects_take_turns() {
    let world = World::with(|settings| {
        settings.flush_workers = 1;
        settings.max_active_users = 100;
    });
    let model = world.hold_model();
    let mut crowd = Vec::new();
    for _ in 0..5 {
        crowd.push(world.user().await);
    }
    let other = world.user_of("other").await;
    for user in crowd.iter().chain([&other]) {
        world.insert(user, "x").await.unwrap();
        world.engine.flush(user, Chat, false).await.unwrap();
    }
    model.entered().await;
    let state = world.engine.pool_state().await.unwrap();
    assert_eq!((state.running, state.queued), (1, 5));
    model.let_in(3);
    world.pass(Duration::from_millis(100)).await;
    // The flush under way, the next of the crowd, and then the other project's.
    assert_eq!(world.model.calls(), 3);
    assert_eq!(world.events(&other).await.len(), 1);
}

#[actix::test]
async fn shutdown_finishes_what_runs_and_keeps_what_waits() {
    let world = World::new();
    let user = world.user().await;
    let model = world.hold_model();
    world.insert(&user, "running").await.unwrap();
    world.engine.flush(&user, Chat, false).await.unwrap();
    model.entered().await;
    world.insert(&user, "waiting").await.unwrap();
    let engine = world.engine.clone();
    let stopping = actix::spawn(async move { engine.shutdown().await });
    world.pass(Duration::from_millis(1)).await;
    assert!(matches!(world.insert(&user, "late").await, Err(EngineError::Unavailable { .. })));
    model.open();
    stopping.await.unwrap();
    assert_eq!(contents(&world.events(&user).await), ["- running"]);
    assert_eq!(world.engine.capacity(&user, Chat, BufferStatus::Idle).await.unwrap().len(), 1);
}

#[actix::test]
async fn concurrent_inserts_of_one_user_are_all_kept_in_order() {
    let world = World::with(|settings| settings.buffer.max_blobs = 1_000);
    let user = world.user().await;
    let mut inserts = Vec::new();
    for n in 0..100 {
        let (engine, user, id) = (world.engine.clone(), user.clone(), BlobId(world.engine.fresh_id()));
        inserts.push(actix::spawn(async move { engine.insert(&user, id, chat(&format!("m{n}")), false).await }));
    }
    for insert in inserts {
        insert.await.unwrap().unwrap();
    }
    world.engine.flush(&user, Chat, true).await.unwrap();
    world.pass(Duration::from_secs(1)).await;
    let said: Vec<String> = contents(&world.events(&user).await).join("\n").lines().map(str::to_owned).collect();
    assert_eq!(said.len(), 100);
    assert!(world.engine.capacity(&user, Chat, BufferStatus::Idle).await.unwrap().is_empty());
}

#[actix::test]
async fn store_and_journal_away_are_told_and_heal() {
    let world = World::new();
    let user = world.user().await;
    world.insert(&user, "before").await.unwrap();
    world.journal.fail_next(1);
    assert!(matches!(world.insert(&user, "x").await, Err(EngineError::Unavailable { what: "the journal", .. })));
    world.store.fail_next(3);
    assert!(matches!(world.engine.flush(&user, Chat, true).await, Err(EngineError::FlushFailed { .. })));
    world.store.fail_next(0);
    world.pass(Duration::from_secs(600)).await;
    assert_eq!(contents(&world.events(&user).await), ["- before"]);
}

#[actix::test]
async fn a_purge_that_a_crash_cut_short_is_finished_by_the_sweeper() {
    let world = World::new();
    let user = world.user().await;
    world.insert(&user, "secret").await.unwrap();
    let id = world.store.user(&user).await.unwrap().unwrap().incarnation;
    let owner = memory::ids::Owner { key: user.clone(), incarnation: id };
    // The process died between the store's transaction and the purge.
    world.store.delete_user(&user, world.engine.now()).await.unwrap();
    world.pass(Duration::from_secs(2)).await;
    assert_eq!(world.journal.held(&owner).0.len(), 0);
    assert!(world.store.purge_orders(9).await.unwrap().is_empty());
}

#[actix::test]
async fn an_actor_that_panics_is_replaced_and_asked_again() {
    let world = World::new();
    let user = world.user().await;
    world.insert(&user, "FACT work/title=nurse").await.unwrap();
    world.engine.flush(&user, Chat, true).await.unwrap();
    world.counter.panic_once();
    let profile = world.engine.profile(&user).await.unwrap().unwrap();
    assert_eq!(profile.profile.slots.len(), 1);
    assert_eq!(world.engine.active_users(), 1);
}

#[actix::test]
async fn a_flush_that_panics_is_told_and_tried_again() {
    // So few tokens that the text has to be counted.
    let world = World::with(|settings| Arc::make_mut(&mut settings.flush).max_tokens = 2);
    let user = world.user().await;
    world.insert(&user, "hello").await.unwrap();
    world.counter.panic_once();
    assert!(matches!(world.engine.flush(&user, Chat, true).await, Err(EngineError::FlushFailed { .. })));
    // Its claim ends with the lease.
    world.pass(world.settings.flush.lease * 2).await;
    assert_eq!(contents(&world.events(&user).await), ["- hello"]);
}
