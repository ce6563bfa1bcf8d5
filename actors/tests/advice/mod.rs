//! What reads ask of a language model, and what they do without its answer.

#![allow(clippy::unwrap_used, reason = "tests may panic; clippy knows test functions only")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actors::EngineError;
use async_trait::async_trait;
use memory::blob::{Message, Role};
use memory::context::ContextRequest;
use memory::extraction::Policy;
use memory::ids::UserKey;
use memory::ports::{Advisor, ModelError, Roleplay, TopicAction, TopicAdvice};
use memory::profile::Slot;
use memory::recall::ProfileFilter;

use crate::support::World;

/// What the advisor does when it is asked.
enum Mood {
    /// Chooses these places, and has a topic.
    Answers(Vec<usize>),
    Fails(ModelError),
    Silent,
}

/// An advisor that does as it is told, and notes what it was asked.
struct FakeAdvisor {
    mood: Mutex<Mood>,
    chats: Mutex<Vec<(Vec<String>, usize)>>,
    roleplays: Mutex<Vec<Roleplay>>,
}

impl FakeAdvisor {
    fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Self { mood: Mutex::new(mood), chats: Mutex::default(), roleplays: Mutex::default() })
    }

    async fn answer<T>(&self, answer: impl FnOnce(&[usize]) -> T) -> Result<T, ModelError> {
        let told = match &*self.mood.lock().unwrap() {
            Mood::Answers(places) => Some(Ok(answer(places))),
            Mood::Fails(error) => Some(Err(error.clone())),
            Mood::Silent => None,
        };
        match told {
            Some(told) => told,
            None => std::future::pending().await,
        }
    }

    fn turn(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

#[async_trait]
impl Advisor for FakeAdvisor {
    async fn relevant(&self, _: &Arc<Policy>, chat: &[Message], slots: &[Slot]) -> Result<Vec<usize>, ModelError> {
        let contents = chat.iter().map(|message| message.content.clone()).collect();
        self.chats.lock().unwrap().push((contents, slots.len()));
        self.answer(<[usize]>::to_vec).await
    }

    async fn next_topic(&self, _: &Arc<Policy>, roleplay: &Roleplay) -> Result<TopicAdvice, ModelError> {
        self.roleplays.lock().unwrap().push(roleplay.clone());
        self.answer(|_| TopicAdvice { action: TopicAction::NewTopic, topic_prompt: Some("tea".into()) }).await
    }
}

fn chat(contents: &[&str]) -> Vec<Message> {
    let message =
        |content: &&str| Message { role: Role::User, alias: None, content: (*content).to_owned(), created_at: None };
    contents.iter().map(message).collect()
}

fn away() -> ModelError {
    ModelError::Unavailable { reason: "HTTP 500".into(), retry_after: Some(Duration::from_millis(10)) }
}

/// A user with three slots, newest first: tea, Paris, nurse.
async fn user(world: &World) -> UserKey {
    let user = world.user().await;
    for (topic, content) in [("work", "nurse"), ("home", "Paris"), ("interest", "tea")] {
        world.slot(&user, topic, content).await;
        world.pass(Duration::from_secs(1)).await;
    }
    user
}

async fn contents(world: &World, user: &UserKey, filter: &ProfileFilter, said: &[&str]) -> Vec<String> {
    let selected = world.engine.slots(user, filter, &chat(said)).await.unwrap().unwrap();
    selected.slots().map(|slot| slot.content.clone()).collect()
}

fn by_model(settings: &mut actors::EngineSettings) {
    settings.filter_by_model = true;
}

#[actix::test]
async fn words_choose_slots_in_the_profiles_order() {
    let world = World::new();
    let user = user(&world).await;
    let all = ProfileFilter::default();
    assert_eq!(contents(&world, &user, &all, &["I am a nurse in Paris"]).await, ["Paris", "nurse"]);
    let one = ProfileFilter { topk: Some(1), ..all.clone() };
    assert_eq!(contents(&world, &user, &one, &["I am a nurse in Paris"]).await, ["Paris"]);
    let work = ProfileFilter { only_topics: vec!["work".into()], ..all.clone() };
    assert_eq!(contents(&world, &user, &work, &["I am a nurse in Paris"]).await, ["nurse"]);
    assert!(contents(&world, &user, &work, &["Paris"]).await.is_empty());
    // Four messages: the first is not what is asked now.
    assert_eq!(contents(&world, &user, &all, &["nurse", "well", "so", "Paris"]).await, ["Paris"]);
    for nothing in [&[][..], &["hm"], &[""]] {
        assert_eq!(contents(&world, &user, &all, nothing).await, ["tea", "Paris", "nurse"], "{nothing:?}");
    }
    assert!(world.engine.slots(&world.stranger(), &all, &chat(&["Paris"])).await.unwrap().is_none());
}

#[actix::test]
async fn a_chat_narrows_the_profile_of_a_context() {
    let world = World::new();
    let user = user(&world).await;
    let request = || ContextRequest {
        max_tokens: 1_000,
        filter: ProfileFilter::default(),
        profile_event_ratio: 0.5,
        chats: None,
        meaning: None,
        asked_on: None,
        happened: Default::default(),
        threshold: 0.2,
        time_range_in_days: 180,
        require_event_summary: false,
        custom_prompt: Some("{profile_section}".into()),
        fill_window_with_events: false,
        include_buffer: false,
    };
    let narrowed = world.engine.context(&user, request(), &chat(&["a nurse"])).await.unwrap();
    assert_eq!(narrowed, "- work::s: nurse");
    assert_eq!(world.engine.context(&user, request(), &[]).await.unwrap().lines().count(), 3);
    assert_eq!(world.engine.context(&world.stranger(), request(), &chat(&["a nurse"])).await.unwrap(), "");
}

#[actix::test]
async fn a_model_chooses_where_it_is_told_to() {
    let advisor = FakeAdvisor::new(Mood::Answers(vec![2, 0, 7]));
    let world = World::advised(advisor.clone(), by_model);
    let (user, all) = (user(&world).await, ProfileFilter::default());
    assert_eq!(contents(&world, &user, &all, &["1", "2", "3", "Paris"]).await, ["tea", "nurse"]);
    let asked = (vec!["2".to_owned(), "3".to_owned(), "Paris".to_owned()], 3);
    assert_eq!(*advisor.chats.lock().unwrap(), [asked]);
    advisor.turn(Mood::Answers(vec![7]));
    assert_eq!(contents(&world, &user, &all, &["Paris"]).await, ["tea", "Paris", "nurse"], "nothing is relevant");
}

#[actix::test]
async fn a_model_chooses_nowhere_else() {
    let advisor = FakeAdvisor::new(Mood::Answers(vec![0]));
    let world = World::advised(advisor.clone(), |_| {});
    assert_eq!(contents(&world, &user(&world).await, &ProfileFilter::default(), &["Paris"]).await, ["Paris"]);
    assert!(advisor.chats.lock().unwrap().is_empty());
}

#[actix::test]
async fn words_choose_when_the_model_does_not() {
    let advisor = FakeAdvisor::new(Mood::Silent);
    let world = World::advised(advisor.clone(), by_model);
    let user = user(&world).await;
    let failures = [away(), ModelError::Refused("no".into()), ModelError::Unusable("?".into())];
    for mood in failures.map(Mood::Fails).into_iter().chain([Mood::Silent]) {
        advisor.turn(mood);
        assert_eq!(contents(&world, &user, &ProfileFilter::default(), &["Paris"]).await, ["Paris"]);
    }
    assert_eq!(advisor.chats.lock().unwrap().len(), 4);
}

#[actix::test]
async fn a_model_is_shown_the_newest_slots_only() {
    let advisor = FakeAdvisor::new(Mood::Answers(vec![0]));
    let world = World::advised(advisor.clone(), by_model);
    let user = world.user().await;
    for n in 0..1_001 {
        world.slot(&user, "t", &format!("n{n}")).await;
    }
    assert_eq!(contents(&world, &user, &ProfileFilter::default(), &["x"]).await.len(), 1);
    assert_eq!(advisor.chats.lock().unwrap()[0].1, 1_000);
}

#[actix::test]
async fn a_role_play_is_advised_from_what_the_filter_lets_through() {
    let advisor = FakeAdvisor::new(Mood::Answers(Vec::new()));
    let world = World::advised(advisor.clone(), |_| {});
    let user = user(&world).await;
    let filter = ProfileFilter { only_topics: vec!["home".into()], ..Default::default() };
    let said: Vec<String> = (0..60).map(|n| format!("m{n}")).collect();
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    let advice = world.engine.next_topic(&user, &filter, chat(&said), Some("a pirate".into())).await.unwrap();
    assert_eq!((advice.action, advice.topic_prompt.as_deref()), (TopicAction::NewTopic, Some("tea")));
    let roleplay = advisor.roleplays.lock().unwrap().pop().unwrap();
    assert_eq!((roleplay.messages, roleplay.agent_context.as_deref()), (chat(&said[10..]), Some("a pirate")));
    assert_eq!(roleplay.profile.iter().map(|slot| slot.content.as_str()).collect::<Vec<_>>(), ["Paris"]);
    world.engine.next_topic(&user, &filter, Vec::new(), None).await.unwrap();
}

#[actix::test]
async fn a_role_play_is_shortened_to_what_a_model_may_be_shown() {
    let advisor = FakeAdvisor::new(Mood::Answers(Vec::new()));
    let world = World::advised(advisor.clone(), |_| {});
    let user = world.user().await;
    // 100 tokens are allowed.
    let (forty, long) = ("word ".repeat(40), "word ".repeat(101));
    let ask = |said: &[&str], context: Option<&str>| {
        let (engine, user, messages) = (world.engine.clone(), user.clone(), chat(said));
        let context = context.map(str::to_owned);
        async move { engine.next_topic(&user, &ProfileFilter::default(), messages, context).await }
    };
    ask(&["a", &forty, &forty], Some("ten words beside the talk and two more are ten")).await.unwrap();
    assert_eq!(advisor.roleplays.lock().unwrap().pop().unwrap().messages.len(), 3);
    ask(&["a", &forty, &forty], Some(&"word ".repeat(21))).await.unwrap();
    assert_eq!(advisor.roleplays.lock().unwrap().pop().unwrap().messages.len(), 1);
    for (said, context) in [(&[long.as_str()][..], None), (&["a"], Some(long.as_str())), (&[], Some(long.as_str()))] {
        let refused = ask(said, context).await;
        assert!(matches!(refused, Err(EngineError::TooLong { limit: 100, .. })), "{refused:?}");
    }
    assert!(advisor.roleplays.lock().unwrap().is_empty());
}

#[actix::test]
async fn a_role_play_without_advice_is_told_why() {
    let advisor = FakeAdvisor::new(Mood::Silent);
    let world = World::advised(advisor.clone(), |_| {});
    let user = world.user().await;
    let retry_after = Duration::from_secs(1);
    let failed = |error: &ModelError| EngineError::ModelFailed { reason: error.to_string() };
    let (refused, unusable) = (ModelError::Refused("no".into()), ModelError::Unusable("?".into()));
    for (mood, wanted) in [
        (Mood::Fails(away()), EngineError::ModelAway { reason: "HTTP 500".into(), retry_after }),
        (Mood::Fails(refused.clone()), failed(&refused)),
        (Mood::Fails(unusable.clone()), failed(&unusable)),
        (Mood::Silent, EngineError::ModelTimeout { limit: Duration::from_secs(120) }),
    ] {
        advisor.turn(mood);
        let advice = world.engine.next_topic(&user, &ProfileFilter::default(), chat(&["boring"]), None).await;
        assert_eq!(advice, Err(wanted));
    }
}

#[actix::test]
async fn a_role_play_needs_a_user_and_a_model() {
    let world = World::new();
    let (user, nobody) = (world.user().await, world.stranger());
    for (key, wanted) in [(&user, EngineError::NoModel), (&nobody, EngineError::UnknownUser(nobody.user))] {
        let advice = world.engine.next_topic(key, &ProfileFilter::default(), Vec::new(), None).await;
        assert_eq!(advice, Err(wanted));
    }
}

#[actix::test]
async fn shutdown_waits_for_no_advice() {
    let advisor = FakeAdvisor::new(Mood::Silent);
    let world = World::advised(advisor.clone(), |_| {});
    let (user, engine) = (world.user().await, world.engine.clone());
    let asking =
        actix::spawn(async move { engine.next_topic(&user, &ProfileFilter::default(), chat(&["boring"]), None).await });
    while advisor.roleplays.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    world.engine.shutdown().await;
    assert!(matches!(asking.await.unwrap(), Err(EngineError::Unavailable { .. })));
}
