//! The messages that events come from are those of the gists that are known, and else those of the store.

#![allow(clippy::unwrap_used, reason = "tests may panic; clippy knows test functions only")]

use memory::blob::BlobType::Chat;
use memory::event::EventData;
use memory::ids::{BlobId, UserKey};
use memory::ports::EventFilter;

use crate::support::World;

/// Two events, each of two chats with one gist each, and these chats. Newest event first.
async fn events(world: &World) -> (UserKey, [[BlobId; 2]; 2]) {
    let user = world.user().await;
    let mut blobs = Vec::new();
    for texts in [["one", "two"], ["three", "four"]] {
        let first = world.insert(&user, texts[0]).await.unwrap();
        blobs.push([first, world.insert(&user, texts[1]).await.unwrap()]);
        world.engine.flush(&user, Chat, true).await.unwrap();
    }
    (user, [blobs[1], blobs[0]])
}

async fn sources(world: &World, user: &UserKey) -> Vec<Vec<BlobId>> {
    let events = world.events(user).await;
    let sources = world.engine.event_sources(user, &events).await.unwrap();
    sources.iter().map(|sources| sources.iter().map(|source| source.blob_id).collect()).collect()
}

#[actix::test]
async fn they_come_from_the_cache_where_it_has_all_gists() {
    let world = World::new();
    let (user, blobs) = events(&world).await;
    assert_eq!(sources(&world, &user).await, blobs);
    let events = world.events(&user).await;
    world.store.fail_next(1);
    let sources = world.engine.event_sources(&user, &events).await.unwrap();
    let quotes: Vec<_> = sources.iter().flatten().map(|source| source.quote.as_deref().unwrap()).collect();
    assert_eq!(quotes, ["three", "four", "one", "two"]);
    assert!(world.engine.event_sources(&world.stranger(), &[]).await.unwrap().is_empty());
    let read = world.engine.events(&user, &EventFilter::default()).await;
    assert!(read.is_err(), "the store was asked before");
}

#[actix::test]
async fn they_come_from_the_store_where_gists_are_cut_off() {
    let world = World::with(|settings| settings.search_max_gists = 3);
    let (user, blobs) = events(&world).await;
    assert_eq!(sources(&world, &user).await, blobs);
    let newest = world.events(&user).await.remove(0);
    world.store.fail_next(1);
    let known = world.engine.event_sources(&user, std::slice::from_ref(&newest)).await;
    assert_eq!(known.unwrap()[0].len(), 2, "all of its gists are known");
}

#[actix::test]
async fn an_event_without_gists_has_none() {
    let world = World::new();
    let (user, blobs) = events(&world).await;
    let newest = world.events(&user).await[0].id;
    let change = EventData { event_tip: Some("a summary".into()), ..EventData::default() };
    assert!(world.engine.update_event(&user, newest, change).await.unwrap());
    assert_eq!(sources(&world, &user).await, [vec![], blobs[1].to_vec()]);
}
