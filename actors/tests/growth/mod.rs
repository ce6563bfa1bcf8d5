//! What is cached of a user's gists grows by what is told, and is read anew when something else has changed.

#![allow(clippy::unwrap_used, reason = "tests may panic; clippy knows test functions only")]

use memory::blob::BlobType::Chat;
use memory::event::EventData;
use memory::ids::UserKey;
use memory::ports::EventFilter;
use memory::recall::Search;

use crate::support::World;

async fn tell(world: &World, user: &UserKey, text: &str) {
    world.insert(user, text).await.unwrap();
    world.engine.flush(user, Chat, true).await.unwrap();
}

/// The gists that a word finds, the best and of equals the newest first; and how many were looked at, and were too old.
async fn found(world: &World, user: &UserKey, word: &str) -> (Vec<String>, usize, u64) {
    let found = world.engine.search_gists(user, &Search::by_words(word, 100, 0.1)).await.unwrap();
    let texts = found.hits.into_iter().map(|hit| hit.gist.text).collect();
    (texts, found.tally.considered, found.tally.older)
}

#[actix::test]
async fn what_is_told_is_found_without_another_look_at_the_store() {
    let world = World::new();
    let user = world.user().await;
    tell(&world, &user, "tea is fine").await;
    assert_eq!(found(&world, &user, "tea").await.0, ["tea is fine"]);
    let reads = world.store.gist_reads();
    for text in ["green tea is better", "coffee", "no tea today"] {
        tell(&world, &user, text).await;
        assert!(found(&world, &user, text).await.0.contains(&text.to_owned()), "{text}");
    }
    let (texts, considered, _) = found(&world, &user, "tea").await;
    assert_eq!((texts.len(), considered), (3, 4));
    assert_eq!(world.store.gist_reads(), reads);
}

#[actix::test]
async fn a_change_by_a_client_is_read() {
    let world = World::new();
    let user = world.user().await;
    tell(&world, &user, "tea is fine").await;
    assert_eq!(found(&world, &user, "tea").await.0.len(), 1);
    let event =
        world.engine.events(&user, &EventFilter { limit: 1, ..EventFilter::default() }).await.unwrap().remove(0);
    let change = EventData { event_tip: Some("- coffee is fine".into()), ..EventData::default() };
    assert!(world.engine.update_event(&user, event.id, change).await.unwrap());
    tell(&world, &user, "more coffee").await;
    assert_eq!(found(&world, &user, "tea").await.0, [""; 0]);
    assert_eq!(found(&world, &user, "coffee").await.0.len(), 2);
    // Another process has changed the memory, and this one did not hear of it: what was cached is of an older revision
    // than the commit was made against.
    world.slot(&user, "topic", "memo").await;
    let reads = world.store.gist_reads();
    tell(&world, &user, "coffee again").await;
    assert_eq!(found(&world, &user, "coffee").await.0.len(), 3);
    assert_eq!(world.store.gist_reads(), reads + 1);
}

#[actix::test]
async fn it_does_not_grow_beyond_the_limit_of_a_search() {
    let world = World::with(|settings| settings.search_max_gists = 8);
    let user = world.user().await;
    for number in 0..8 {
        tell(&world, &user, &format!("tea number {number}")).await;
    }
    assert_eq!(found(&world, &user, "tea").await.2, 0);
    let reads = world.store.gist_reads();
    tell(&world, &user, "tea number 8").await;
    assert_eq!(found(&world, &user, "tea").await.1, 9, "a little more than the limit");
    assert_eq!(world.store.gist_reads(), reads);
    tell(&world, &user, "tea number 9").await;
    let (texts, considered, older) = found(&world, &user, "tea").await;
    assert_eq!((texts[0].as_str(), considered, older), ("tea number 9", 8, 2));
    assert_eq!(world.store.gist_reads(), reads + 1);
}
