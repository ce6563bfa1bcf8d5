//! Searches by meaning: what is embedded when, and what happens while nothing can be.

#![allow(clippy::unwrap_used, reason = "tests may panic; clippy knows test functions only")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use memory::blob::BlobType::Chat;
use memory::blob::{Message, Role};
use memory::event::EventData;
use memory::ids::UserKey;
use memory::ports::{Change, Embedded, Embedder, ModelError, Purpose, Vectors as _};
use memory::recall::{ProfileFilter, Search};
use memory::search::Vector;
use memory::usage::day_of;

use crate::support::World;

/// Longer than a gist must be old to be filled in, and the filler rests after a failure.
const LATER: Duration = Duration::from_secs(150);

/// Knows what dogs and cars are called.
struct Dictionary {
    space: Mutex<&'static str>,
    is_away: AtomicBool,
    calls: AtomicU32,
    asked: Mutex<Vec<(String, Purpose)>>,
}

impl Dictionary {
    fn new(space: &'static str) -> Arc<Self> {
        let (is_away, calls, asked) = (AtomicBool::new(false), AtomicU32::new(0), Mutex::default());
        Arc::new(Self { space: Mutex::new(space), is_away, calls, asked })
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    fn asked(&self) -> Vec<(String, Purpose)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn direction(text: &str) -> Option<Vector> {
    let count = |words: [&str; 2]| words.iter().filter(|word| text.contains(*word)).count();
    let [dogs, cars] = [count(["dog", "puppy"]), count(["car", "Volvo"])].map(|count| count as f32);
    Vector::of(&[dogs, cars, 0.1])
}

#[async_trait]
impl Embedder for Dictionary {
    fn space(&self) -> &str {
        *self.space.lock().unwrap()
    }

    async fn embed(&self, texts: &[String], purpose: Purpose) -> Result<Embedded, ModelError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Err(ModelError::Unavailable { reason: "the test says so".into(), retry_after: None });
        }
        if texts.iter().any(|text| text.contains("poison")) {
            return Err(ModelError::Refused("poison".into()));
        }
        self.asked.lock().unwrap().extend(texts.iter().map(|text| (text.clone(), purpose)));
        let vectors = texts.iter().map(|text| direction(text)).collect();
        Ok(Embedded { vectors, tokens: u32::try_from(texts.len()).unwrap() })
    }
}

fn world(embedder: &Arc<Dictionary>) -> World {
    World::embedding(embedder.clone())
}

async fn tell(world: &World, user: &UserKey, texts: &[&str]) {
    for text in texts {
        world.insert(user, text).await.unwrap();
    }
    world.engine.flush(user, Chat, true).await.unwrap();
}

fn search(query: &str) -> Search {
    Search::by_words(query, 1, 0.1)
}

/// The best gist.
async fn best(world: &World, user: &UserKey, query: &str) -> Option<String> {
    let hits = world.engine.search_gists(user, &search(query)).await.unwrap().hits;
    hits.into_iter().next().map(|hit| hit.gist.text)
}

async fn vectors(world: &World, user: &UserKey, space: &str) -> usize {
    world.store.vectors(user, space, 100).await.unwrap().len()
}

async fn tokens(world: &World) -> u64 {
    let today = day_of(world.engine.now());
    let days = world.engine.usage(&"p".into(), today, today).await.unwrap();
    days.iter().map(|(_, used)| used.embedding_tokens).sum()
}

const SAID: [&str; 3] = ["we have a dog", "my Volvo is red", "tea is fine"];

#[actix::test]
async fn a_flush_embeds_what_it_has_told_in_one_call() {
    let embedder = Dictionary::new("d/3");
    let world = world(&embedder);
    let user = world.user().await;
    tell(&world, &user, &SAID).await;
    assert_eq!((embedder.calls(), vectors(&world, &user, "d/3").await, tokens(&world).await), (1, 3, 3));
    let asked = embedder.asked();
    assert!(asked.iter().all(|(_, purpose)| *purpose == Purpose::Document), "{asked:?}");
    // No word of it is in the gists.
    for (query, found) in [("Is there a puppy?", SAID[0]), ("How many cars?", SAID[1])] {
        assert_eq!(best(&world, &user, query).await.as_deref(), Some(found));
    }
    assert_eq!(embedder.asked().iter().filter(|(_, purpose)| *purpose == Purpose::Query).count(), 2);
    let calls = embedder.calls();
    best(&world, &user, "Is there a puppy?").await;
    assert_eq!(embedder.calls(), calls, "a query is embedded once");
    world.pass(LATER).await;
    assert_eq!(embedder.calls(), calls, "nothing is missing");
}

#[actix::test]
async fn what_could_not_be_embedded_is_filled_in() {
    let embedder = Dictionary::new("d/3");
    let world = world(&embedder);
    let user = world.user().await;
    embedder.set_away(true);
    tell(&world, &user, &SAID).await;
    assert_eq!(vectors(&world, &user, "d/3").await, 0);
    assert_eq!(best(&world, &user, "red").await.as_deref(), Some(SAID[1]), "its words find it");
    assert_eq!(best(&world, &user, "Is there a puppy?").await, None);
    world.pass(LATER).await;
    assert_eq!(vectors(&world, &user, "d/3").await, 0);
    let calls = embedder.calls();
    assert!(calls < 12, "an embedder that is away was asked {calls} times");
    embedder.set_away(false);
    world.pass(LATER).await;
    assert_eq!((vectors(&world, &user, "d/3").await, tokens(&world).await), (3, 3));
    assert_eq!(best(&world, &user, "Is there a puppy?").await.as_deref(), Some(SAID[0]));
}

#[actix::test]
async fn what_a_client_writes_is_embedded_later() {
    let embedder = Dictionary::new("d/3");
    let world = world(&embedder);
    let user = world.user().await;
    tell(&world, &user, &SAID).await;
    let event = world.events(&user).await[0].clone();
    let tip = format!("- {}\n- a puppy came", SAID[2]);
    let data = EventData { event_tip: Some(tip), ..EventData::default() };
    world.engine.update_event(&user, event.id, data).await.unwrap();
    world.pass(LATER).await;
    assert_eq!(vectors(&world, &user, "d/3").await, 2);
    assert_eq!(best(&world, &user, "dogs").await.as_deref(), Some("a puppy came"));
}

#[actix::test]
async fn another_model_embeds_anew_and_words_serve_meanwhile() {
    let embedder = Dictionary::new("d/3");
    let world = world(&embedder);
    let user = world.user().await;
    tell(&world, &user, &SAID).await;
    assert_eq!(best(&world, &user, "Is there a puppy?").await.as_deref(), Some(SAID[0]));
    *embedder.space.lock().unwrap() = "other/3";
    world.engine.heard(&memory::ports::Change::Memory(user.clone())).await;
    assert_eq!(best(&world, &user, "Is there a puppy?").await, None, "vectors of two spaces say nothing of each other");
    assert_eq!(best(&world, &user, "red").await.as_deref(), Some(SAID[1]));
    world.pass(LATER).await;
    assert_eq!((vectors(&world, &user, "d/3").await, vectors(&world, &user, "other/3").await), (0, 3));
    assert_eq!(best(&world, &user, "Is there a puppy?").await.as_deref(), Some(SAID[0]));
}

#[actix::test]
async fn a_text_that_the_model_refuses_keeps_no_other_waiting() {
    let embedder = Dictionary::new("d/3");
    let world = world(&embedder);
    let user = world.user().await;
    tell(&world, &user, &[SAID[0], "this is poison", SAID[1]]).await;
    assert_eq!(vectors(&world, &user, "d/3").await, 0);
    world.pass(LATER).await;
    assert_eq!(vectors(&world, &user, "d/3").await, 2);
    let calls = embedder.calls();
    world.pass(LATER).await;
    assert_eq!(embedder.calls(), calls, "it is not asked for again");
    assert_eq!(best(&world, &user, "poison").await.as_deref(), Some("this is poison"), "its words find it");
}

/// Two processes with different models would overwrite each other's vectors for ever.
#[actix::test]
async fn the_process_that_was_started_last_fills_in() {
    let embedder = Dictionary::new("d/3");
    let world = world(&embedder);
    let user = world.user().await;
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(world.store.space().await.unwrap().as_deref(), Some("d/3"));
    world.store.set_space("other/3").await.unwrap();
    embedder.set_away(true);
    tell(&world, &user, &SAID).await;
    embedder.set_away(false);
    world.pass(LATER).await;
    assert_eq!(vectors(&world, &user, "d/3").await, 0);
    world.store.set_space("d/3").await.unwrap();
    world.pass(LATER).await;
    assert_eq!(vectors(&world, &user, "d/3").await, 3);
}

#[actix::test]
async fn nobody_waits_again_and_again_for_an_embedder_that_is_away() {
    let embedder = Dictionary::new("d/3");
    let world = world(&embedder);
    let user = world.user().await;
    tell(&world, &user, &SAID).await;
    embedder.set_away(true);
    let before = embedder.calls();
    for number in 0..20 {
        best(&world, &user, &format!("red {number}")).await;
    }
    assert_eq!(embedder.calls() - before, 3);
    embedder.set_away(false);
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(best(&world, &user, "Is there a puppy?").await.as_deref(), Some(SAID[0]));
}

#[actix::test]
async fn vectors_are_found_without_another_look_at_the_store() {
    let embedder = Dictionary::new("words");
    let world = world(&embedder);
    let user = world.user().await;
    tell(&world, &user, &["we have a dog", "the weather is bad"]).await;
    assert_eq!(best(&world, &user, "puppy").await.as_deref(), Some("we have a dog"));
    let reads = world.store.gist_reads();
    tell(&world, &user, &["my Volvo is red"]).await;
    tell(&world, &user, &["tea is fine"]).await;
    assert_eq!(best(&world, &user, "which car?").await.as_deref(), Some("my Volvo is red"));
    assert_eq!(best(&world, &user, "puppy").await.as_deref(), Some("we have a dog"));
    assert_eq!(world.store.gist_reads(), reads);
}

#[actix::test]
async fn slots_are_chosen_for_a_chat_by_meaning_too() {
    let embedder = Dictionary::new("words");
    let world = world(&embedder);
    let user = world.user().await;
    for (topic, content) in [("animal", "a puppy named Rex"), ("vehicle", "an old Volvo"), ("drink", "coffee")] {
        world.slot(&user, topic, content).await;
    }
    let chosen = async |said: &str| {
        let message = Message { role: Role::User, alias: None, content: said.into(), created_at: None };
        let selected = world.engine.slots(&user, &ProfileFilter::default(), &[message]).await.unwrap().unwrap();
        // All were written at one instant.
        selected.slots().map(|slot| slot.content.clone()).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(chosen("my dog is ill").await, ["a puppy named Rex"]);
    assert_eq!(embedder.calls(), 2, "the chat, and all slots at once");
    assert_eq!(chosen("which car?").await, ["an old Volvo"]);
    assert_eq!(chosen("a dog with coffee").await, ["a puppy named Rex", "coffee"], "a word in common is enough");
    assert_eq!(embedder.calls(), 4, "slots are known by now");
    world.slot(&user, "animal", "no more dogs").await;
    world.engine.heard(&Change::Memory(user.clone())).await;
    embedder.set_away(true);
    assert_eq!(chosen("coffee, please").await, ["coffee"]);
    assert_eq!(chosen("nothing of it").await.len(), 4, "all where nothing is known");
    embedder.set_away(false);
    assert_eq!(chosen("my dog is ill").await, ["no more dogs"], "two of four do not stand out: words choose");
    assert_eq!(embedder.asked().iter().filter(|(text, _)| text.contains("Rex")).count(), 1);
    assert_eq!(tokens(&world).await, 4, "of four slots, each once");
}
