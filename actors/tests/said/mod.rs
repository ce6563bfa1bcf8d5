//! What was said is in the context before a flush has processed it.

#![allow(clippy::unwrap_used, reason = "tests may panic; clippy knows test functions only")]

use actors::EngineError;
use memory::blob::BlobType::Chat;
use memory::blob::{Blob, BlobData, BlobType, NewBlob};
use memory::context::ContextRequest;
use memory::ids::{BlobId, Owner, UserKey};
use memory::ports::{Journal, Store};
use memory::recall::ProfileFilter;

use crate::support::{World, chat};

fn request(include_buffer: bool) -> ContextRequest {
    ContextRequest {
        max_tokens: 1_000,
        filter: ProfileFilter::default(),
        profile_event_ratio: 0.1,
        chats: None,
        meaning: None,
        asked_on: None,
        happened: Default::default(),
        threshold: 0.2,
        time_range_in_days: 36_500,
        require_event_summary: false,
        custom_prompt: Some("{event_section}".into()),
        fill_window_with_events: false,
        include_buffer,
    }
}

async fn context(world: &World, user: &UserKey) -> String {
    world.engine.context(user, request(true), &[]).await.unwrap()
}

/// A world where nothing is flushed by its size.
fn world() -> World {
    World::with(|settings| {
        settings.buffer.flush_tokens = 1_000_000;
        settings.buffer.max_blobs = 10_000;
        settings.max_active_users = 10;
    })
}

async fn owner(world: &World, user: &UserKey) -> Owner {
    let (incarnation, _) = world.store.revision(user).await.unwrap().unwrap();
    Owner { key: user.clone(), incarnation }
}

#[actix::test]
async fn what_is_inserted_is_in_the_context_at_once_and_flushed_only_once() {
    let world = world();
    let user = world.user().await;
    world.insert(&user, "I moved to Oslo").await.unwrap();
    world.insert(&user, "and I like it").await.unwrap();
    assert_eq!(context(&world, &user).await, "- user: and I like it\n- user: I moved to Oslo");
    assert_eq!(world.engine.context(&user, request(false), &[]).await.unwrap(), "", "only when asked for");

    // While it is sealed it is shown as well, behind what was said since.
    let model = world.hold_model();
    world.engine.flush(&user, Chat, false).await.unwrap();
    model.entered().await;
    world.insert(&user, "third").await.unwrap();
    assert_eq!(context(&world, &user).await, "- user: third\n- user: and I like it\n- user: I moved to Oslo");
    model.open();
    world.engine.flush(&user, Chat, true).await.unwrap();
    let flushed = context(&world, &user).await;
    assert!(!flushed.contains("user:"), "{flushed}");
    for text in ["I moved to Oslo", "and I like it", "third"] {
        assert_eq!(flushed.matches(text).count(), 1, "{flushed}");
    }
}

#[actix::test]
async fn it_is_nobody_elses_and_goes_with_its_user_and_its_blob() {
    let world = world();
    let user = world.user().await;
    let id = world.insert(&user, "secret").await.unwrap();
    let namesake = UserKey { project: "q".into(), ..user.clone() };
    world.engine.create_user(&namesake, None).await.unwrap();
    for other in [world.user().await, namesake, world.stranger()] {
        assert_eq!(context(&world, &other).await, "");
    }
    world.insert(&user, "more").await.unwrap();
    world.engine.delete_blob(&user, id).await.unwrap();
    assert_eq!(context(&world, &user).await, "- user: more");
    world.engine.delete_user(&user).await.unwrap();
    assert_eq!(context(&world, &user).await, "");
    world.engine.create_user(&user, None).await.unwrap();
    assert_eq!(context(&world, &user).await, "", "a user made anew inherits nothing");
}

#[actix::test]
async fn all_kinds_stand_in_order_of_their_coming() {
    let world = world();
    let user = world.user().await;
    let blob = |data| Blob { data, fields: None, created_at: world.engine.now() };
    let long = "w ".repeat(10_000);
    let texts = [
        chat("one"),
        blob(BlobData::Doc { content: long }),
        chat("three"),
        blob(BlobData::Summary { summary: "four".into() }),
    ];
    for text in texts {
        world.engine.insert(&user, BlobId(world.engine.fresh_id()), text, false).await.unwrap();
        world.jump(std::time::Duration::from_secs(1));
    }
    let context = context(&world, &user).await;
    let starts: Vec<String> = context.lines().map(|line| line.chars().take(12).collect()).collect();
    assert_eq!(starts, ["- summary: f", "- user: thre", "- doc: w w w", "- user: one"]);
}

#[actix::test]
async fn what_is_flushed_between_the_reads_is_not_lost() {
    let world = world();
    let user = world.user().await;
    let BlobData::Chat { messages } = chat("early").data else { panic!("no chat") };
    // Enough of them that their gists are counted on another thread.
    let many = Blob { data: BlobData::Chat { messages: vec![messages[0].clone(); 300] }, ..chat("") };
    world.engine.insert(&user, BlobId(world.engine.fresh_id()), many, false).await.unwrap();
    world.engine.flush(&user, Chat, true).await.unwrap();
    world.insert(&user, "later").await.unwrap();

    let (entered, go_on) = world.counter.hold_once();
    let (engine, key) = (world.engine.clone(), user.clone());
    let reading = actix::spawn(async move { engine.context(&key, request(true), &[]).await.unwrap() });
    entered.await.unwrap();
    world.engine.flush(&user, Chat, true).await.unwrap();
    go_on.send(()).unwrap();
    let read = reading.await.unwrap();
    assert!(read.contains("later"), "{read}");
}

#[actix::test]
async fn what_cannot_be_read_is_skipped() {
    let world = world();
    let user = world.user().await;
    world.insert(&user, "one").await.unwrap();
    let owner = owner(&world, &user).await;
    let damaged =
        NewBlob { id: BlobId(world.engine.fresh_id()), blob_type: BlobType::Chat, tokens: 1, payload: "{".to_owned() };
    world.journal.append(&owner, &damaged).await.unwrap();
    world.insert(&user, "three").await.unwrap();
    assert_eq!(context(&world, &user).await, "- user: three\n- user: one");
}

#[actix::test]
async fn a_buffer_of_any_size_is_read_in_part_from_its_newest_end() {
    let world = world();
    let user = world.user().await;
    let owner = owner(&world, &user).await;
    for n in 0..1_100 {
        let payload = chat(&format!("{n}")).to_payload();
        let blob = NewBlob { id: BlobId(world.engine.fresh_id()), blob_type: Chat, tokens: 1, payload };
        world.journal.append(&owner, &blob).await.unwrap();
    }
    let large = ContextRequest { max_tokens: 1_000_000, ..request(true) };
    let shown = world.engine.context(&user, large.clone(), &[]).await.unwrap();
    assert_eq!((shown.lines().next(), shown.lines().count()), (Some("- user: 1099"), 1_000));

    let (other, BlobData::Chat { messages }) = (world.user().await, chat("x").data) else { panic!("no chat") };
    let long = Blob { data: BlobData::Chat { messages: vec![messages[0].clone(); 1_100] }, ..chat("") };
    world.engine.insert(&other, BlobId(world.engine.fresh_id()), long, false).await.unwrap();
    assert_eq!(world.engine.context(&other, large, &[]).await.unwrap().lines().count(), 1_000);
    let small = ContextRequest { max_tokens: 20, ..request(true) };
    assert_eq!(world.engine.context(&user, small, &[]).await.unwrap().lines().next(), Some("- user: 1099"));
}

#[actix::test]
async fn without_the_journal_it_fails_rather_than_leaves_out() {
    let world = world();
    let user = world.user().await;
    world.insert(&user, "one").await.unwrap();
    world.journal.fail_next(1);
    assert_eq!(world.engine.context(&user, request(false), &[]).await.unwrap(), "");
    let asked = world.engine.context(&user, request(true), &[]).await;
    assert!(matches!(asked, Err(EngineError::Unavailable { .. })), "{asked:?}");
    assert_eq!(context(&world, &user).await, "- user: one");
}
