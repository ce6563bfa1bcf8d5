#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use jiff::Timestamp;
use memory::ids::{FlushId, IdSource as _, Incarnation, Owner, SystemIds, UserId, UserKey};
use memory::ports::{Clock as _, FlushOutcome, FlushRecord, FlushResult, Store as _, Usage};
use memory::quota::TokenQuota;
use memory::testing::{ManualClock, MemoryStore, policy};
use tokio::time::advance;

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn settings() -> Arc<FlushSettings> {
    Arc::new(FlushSettings {
        lease: Duration::from_secs(60),
        max_tokens: 20,
        max_blobs: 4,
        max_attempts: 3,
        backoff_min: Duration::from_secs(1),
        backoff_max: Duration::from_secs(60),
        keep_chats: false,
        record_answers: true,
        quote_tokens: u32::MAX,
        policy: Arc::new(policy()),
    })
}

fn hash(byte: u8) -> TokenHash {
    TokenHash([byte; 32])
}

/// A store with one project, and a cache of it.
async fn world() -> (MemoryStore, Arc<ProjectCache>, ProjectId) {
    let (store, cache, id, _) = world_with(TokenQuota::Unset).await;
    (store, cache, id)
}

/// The same where the project has a quota, and the clock that it goes by.
async fn world_with(quota: TokenQuota) -> (MemoryStore, Arc<ProjectCache>, ProjectId, Arc<ManualClock>) {
    let (store, id, clock) = (MemoryStore::new(), ProjectId::from("p"), Arc::new(ManualClock::new()));
    store.create_project(&id, &hash(1), quota, NOW).await.unwrap();
    let default_project = ProjectId::from("root");
    let quotas = Quotas { default_project, default_quota: Some(10), hold: true, clock: clock.clone() };
    let cache = Arc::new(ProjectCache::new(Arc::new(store.clone()), settings(), quotas));
    (store, cache, id, clock)
}

/// As a flush of another process does that uses so many tokens.
async fn use_tokens(store: &MemoryStore, id: &ProjectId, input: u32, now: Timestamp) {
    let key = UserKey { project: id.clone(), user: UserId(SystemIds.random()) };
    let owner = Owner { key, incarnation: Incarnation(SystemIds.random()) };
    assert!(store.create_user(&owner.key, owner.incarnation, None, now).await.unwrap());
    let usage = Usage { input, cached: 0, output: 0 };
    let (outcome, result) = (FlushOutcome::Dead, FlushResult::default());
    let record = FlushRecord { outcome, result, reason: None, usage, refused: 0, version: String::new() };
    assert_eq!(store.end_flush(&owner, FlushId(SystemIds.ordered()), &record, None, now).await.unwrap(), None);
}

/// Whether inserts are told that all is used up, once what they have set off is done.
async fn is_known_held(cache: &Arc<ProjectCache>, id: &ProjectId) -> bool {
    cache.known_held(id);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    cache.known_held(id).is_some()
}

#[tokio::test(start_paused = true)]
async fn a_quota_holds_until_the_month_is_over() {
    let (store, cache, id, clock) = world_with(TokenQuota::Tokens(100)).await;
    assert_eq!(cache.known_held(&id), None, "nothing is known, and nobody is asked");
    use_tokens(&store, &id, 60, clock.now()).await;
    assert_eq!(cache.held(&id).await, None);
    // What this process uses is known at once.
    cache.spent(&id, 39);
    assert_eq!(cache.held(&id).await, None);
    cache.spent(&id, 1);
    assert_eq!(cache.held(&id).await.unwrap().left(), Some(0));
    assert_eq!(cache.known_held(&id).unwrap().used, 100);
    use_tokens(&store, &id, 40, clock.now()).await;
    advance(TRUST).await;
    assert_eq!(cache.held(&id).await.unwrap().used, 100, "it is counted once");
    // From 1 June on.
    clock.advance(Duration::from_secs(30 * 86_400 - 1));
    assert!(cache.known_held(&id).is_some());
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.known_held(&id), None, "whatever was read before");
    advance(TRUST).await;
    assert_eq!(cache.held(&id).await, None);
}

#[tokio::test(start_paused = true)]
async fn what_others_use_and_change_is_seen_in_a_moment() {
    let (store, cache, id, clock) = world_with(TokenQuota::Tokens(100)).await;
    assert_eq!(cache.held(&id).await, None);
    use_tokens(&store, &id, 100, clock.now()).await;
    assert_eq!(cache.held(&id).await, None, "it was read just now");
    advance(TRUST).await;
    assert!(cache.held(&id).await.is_some());
    for (quota, held) in
        [(TokenQuota::Tokens(101), false), (TokenQuota::Tokens(0), true), (TokenQuota::Unlimited, false)]
    {
        store.set_token_quota(&id, quota, false, NOW).await.unwrap();
        cache.changed(&id);
        assert_eq!(cache.held(&id).await.is_some(), held, "{quota:?}");
        assert_eq!(cache.known_held(&id).is_some(), held, "{quota:?}");
    }
}

/// Nobody flushes, so that nothing but inserts asks.
#[tokio::test(start_paused = true)]
async fn inserts_learn_what_others_use_and_change() {
    let (store, cache, id, clock) = world_with(TokenQuota::Tokens(100)).await;
    assert_eq!(cache.held(&id).await, None);
    use_tokens(&store, &id, 100, clock.now()).await;
    assert!(!is_known_held(&cache, &id).await, "it was read just now");
    advance(QUOTA_TRUST).await;
    assert_eq!(cache.known_held(&id), None, "it does not wait");
    assert!(is_known_held(&cache, &id).await);
    for (quota, held) in [(101, false), (100, true), (200, false)] {
        store.set_token_quota(&id, TokenQuota::Tokens(quota), false, NOW).await.unwrap();
        cache.changed(&id);
        assert_eq!(is_known_held(&cache, &id).await, held, "{quota}");
    }
    // What is used up is looked at soon, even if no change is told.
    store.set_token_quota(&id, TokenQuota::Tokens(100), false, NOW).await.unwrap();
    cache.changed(&id);
    assert!(is_known_held(&cache, &id).await);
    store.set_token_quota(&id, TokenQuota::Unlimited, false, NOW).await.unwrap();
    advance(TRUST).await;
    assert!(!is_known_held(&cache, &id).await);
}

/// A flush that commits while the project is read is counted, whatever was read.
#[tokio::test(start_paused = true)]
async fn what_is_spent_while_a_project_is_read_is_not_forgotten() {
    let (store, cache, id, clock) = world_with(TokenQuota::Tokens(100)).await;
    assert_eq!(cache.held(&id).await, None);
    let (before, seen) = (cache.before(&id), cache.look(&id).await.unwrap());
    use_tokens(&store, &id, 100, clock.now()).await;
    cache.spent(&id, 100);
    cache.take_in(&id, seen, before, true);
    assert_eq!(cache.known_held(&id).unwrap().used, 100);
    advance(TRUST).await;
    assert_eq!(cache.held(&id).await.unwrap().used, 100, "it is counted once");
}

#[tokio::test(start_paused = true)]
async fn without_the_store_a_quota_that_was_used_up_stays_so() {
    let (store, cache, id, clock) = world_with(TokenQuota::Tokens(100)).await;
    use_tokens(&store, &id, 100, clock.now()).await;
    assert!(cache.held(&id).await.is_some());
    store.set_token_quota(&id, TokenQuota::Tokens(200), false, NOW).await.unwrap();
    cache.changed(&id);
    store.fail_next(1);
    assert!(is_known_held(&cache, &id).await, "the store is away");
    assert!(is_known_held(&cache, &id).await, "it is not asked again at once");
    advance(RETRY).await;
    assert!(!is_known_held(&cache, &id).await, "it is back");
}

#[tokio::test(start_paused = true)]
async fn the_default_project_has_the_quota_of_the_configuration_until_it_gets_its_own() {
    let (store, cache, id, clock) = world_with(TokenQuota::Unset).await;
    let root = ProjectId::from("root");
    for project in [&id, &root] {
        use_tokens(&store, project, 10, clock.now()).await;
    }
    assert_eq!(cache.held(&id).await, None, "it has none");
    assert_eq!(cache.held(&root).await.unwrap().quota, Some(10));
    store.set_profile_config(&root, Some("language: en"), true, NOW).await.unwrap();
    cache.changed(&root);
    assert!(cache.held(&root).await.is_some(), "a row says nothing of that");
    store.set_token_quota(&root, TokenQuota::Unlimited, true, NOW).await.unwrap();
    cache.changed(&root);
    assert_eq!(cache.held(&root).await, None);
}

async fn admits(cache: &ProjectCache, id: &ProjectId, token: u8) -> Admission {
    cache.admit(id, |known| *known == hash(token)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_token_opens_its_project() {
    let (store, cache, id) = world().await;
    assert_eq!(admits(&cache, &id, 1).await, Admission::Open);
    assert_eq!(admits(&cache, &id, 2).await, Admission::Refused);
    assert_eq!(admits(&cache, &"other".into(), 1).await, Admission::Refused);
    store.set_profile_config(&"root".into(), Some("language: en"), true, NOW).await.unwrap();
    assert_eq!(admits(&cache, &"root".into(), 1).await, Admission::Refused, "it has no token");
    for status in [ProjectStatus::Suspended, ProjectStatus::Deleting] {
        store.set_status(&id, status, NOW).await.unwrap();
        cache.changed(&id);
        assert_eq!(admits(&cache, &id, 1).await, Admission::Closed(status));
        assert_eq!(admits(&cache, &id, 2).await, Admission::Refused, "who has no token is told nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_believed_for_a_moment() {
    let (store, cache, id) = world().await;
    assert_eq!(admits(&cache, &id, 1).await, Admission::Open);
    store.set_status(&id, ProjectStatus::Suspended, NOW).await.unwrap();
    assert_eq!(admits(&cache, &id, 1).await, Admission::Open);
    advance(TRUST).await;
    assert_eq!(admits(&cache, &id, 1).await, Admission::Closed(ProjectStatus::Suspended));
    store.set_status(&id, ProjectStatus::Active, NOW).await.unwrap();
    cache.changed(&id);
    assert_eq!(admits(&cache, &id, 1).await, Admission::Open, "it was told");
}

#[tokio::test(start_paused = true)]
async fn a_new_token_is_looked_for_once_a_second() {
    let (store, cache, id) = world().await;
    assert_eq!(admits(&cache, &id, 1).await, Admission::Open);
    store.set_token(&id, &hash(2), NOW).await.unwrap();
    assert_eq!(admits(&cache, &id, 2).await, Admission::Refused);
    advance(DISTRUST).await;
    assert_eq!(admits(&cache, &id, 2).await, Admission::Open);
    assert_eq!(admits(&cache, &id, 1).await, Admission::Refused);
    // A wrong token asks nothing of the store now.
    store.fail_next(1);
    assert_eq!(admits(&cache, &id, 3).await, Admission::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_change_while_it_is_read_is_not_missed() {
    let (_, cache, id) = world().await;
    let before = cache.before(&id);
    cache.changed(&id);
    cache.take_in(&id, Seen { project: None, balance: None }, before, true);
    assert_eq!(admits(&cache, &id, 1).await, Admission::Open, "it was read again");
}

#[tokio::test(start_paused = true)]
async fn without_the_store_what_was_known_goes_on() {
    let (store, cache, id) = world().await;
    assert_eq!(admits(&cache, &id, 1).await, Admission::Open);
    advance(TRUST).await;
    store.fail_next(1);
    assert_eq!(admits(&cache, &id, 1).await, Admission::Open);
    store.set_status(&id, ProjectStatus::Suspended, NOW).await.unwrap();
    assert_eq!(admits(&cache, &id, 1).await, Admission::Open, "it is not asked again at once");
    advance(RETRY).await;
    assert_eq!(admits(&cache, &id, 1).await, Admission::Closed(ProjectStatus::Suspended));
    store.fail_next(1);
    let away = cache.admit(&"other".into(), |_| true).await;
    assert!(matches!(away, Err(EngineError::Unavailable { .. })), "nothing is known of it");
    cache.changed(&id);
    store.fail_next(1);
    let away = cache.admit(&id, |known| *known == hash(1)).await;
    assert!(matches!(away, Err(EngineError::Unavailable { .. })), "what was known is known to be old");
}

#[tokio::test(start_paused = true)]
async fn unknown_projects_fill_nothing_and_are_slowed_down() {
    let (store, cache, id) = world().await;
    assert_eq!(admits(&cache, &id, 1).await, Admission::Open);
    for n in 0..MAX_UNKNOWN {
        assert_eq!(admits(&cache, &format!("x{n}").as_str().into(), 1).await, Admission::Refused);
    }
    assert_eq!(cache.state().entries.len(), 1);
    // The store is not even asked.
    store.fail_next(1);
    let refused = cache.admit(&"more".into(), |_| true).await;
    assert!(matches!(refused, Err(EngineError::Busy { .. })));
    assert_eq!(admits(&cache, &id, 1).await, Admission::Open, "projects that are known are not concerned");
    store.fail_next(0);
    cache.all_changed();
    assert_eq!(admits(&cache, &id, 1).await, Admission::Open, "nor are those that are to be read again");
    store.fail_next(0);
    advance(RETRY_AFTER).await;
    assert_eq!(admits(&cache, &"more".into(), 1).await, Admission::Refused);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_kept_projects_is_limited() {
    let (_, cache, id) = world().await;
    for n in 0..=MAX_KEPT {
        cache.get(&format!("x{n}").as_str().into()).await.unwrap();
    }
    assert_eq!(cache.state().entries.len(), MAX_KEPT);
    assert_eq!(admits(&cache, &id, 1).await, Admission::Open);
    advance(TRUST).await;
    cache.get(&id).await.unwrap();
    assert_eq!(cache.state().entries.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_policy_stays_the_same_until_it_changes() {
    let (store, cache, id) = world().await;
    let plain = cache.get(&id).await.unwrap().flush.clone();
    assert!(Arc::ptr_eq(&plain, &cache.settings));
    store.set_profile_config(&id, Some("profile_strict_mode: true"), false, NOW).await.unwrap();
    cache.changed(&id);
    let strict = cache.get(&id).await.unwrap().flush.clone();
    assert!(strict.policy.strict && !plain.policy.strict);
    store.set_token(&id, &hash(9), NOW).await.unwrap();
    cache.changed(&id);
    assert!(Arc::ptr_eq(&strict.policy, &cache.get(&id).await.unwrap().flush.policy), "another change");
    advance(TRUST * 2).await;
    assert!(Arc::ptr_eq(&strict.policy, &cache.get(&id).await.unwrap().flush.policy), "no change");
    store.set_profile_config(&id, Some("- not one"), false, NOW).await.unwrap();
    cache.changed(&id);
    assert!(Arc::ptr_eq(&plain, &cache.get(&id).await.unwrap().flush), "one that cannot be read has no effect");
}
