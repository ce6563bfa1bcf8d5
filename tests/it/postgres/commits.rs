//! Commits and profiles that go in one group: each ends as it would alone.
//!
//! On a runtime of one thread nothing is sent before the test waits: all that it asks for until then is one group.

use std::pin::pin;

use futures_util::future::{join_all, select};
use memory::blob::NewBlob;
use memory::event::{EventTag, Source};
use memory::ids::{BlobId, GistId};
use memory::ports::{Answer, Clock, Commit, CommitReply, EventFilter, StoreError, StoredBlob, SystemClock, Usage};
use memory::profile::{Slot, SlotWrite};
use memory::usage::day_of;
use serde_json::Map;

use super::groups::patient;
use super::sharing::{chat, commit, user};
use super::*;

fn slot(content: &str, revision: i64) -> Slot {
    let now = SystemClock.now();
    let (topic, sub_topic) = ("work".to_owned(), SystemIds.random().to_string());
    let content = content.to_owned();
    let source = Source {
        blob_id: BlobId(SystemIds.random()),
        message: 1,
        speaker: None,
        quote: Some(content.clone()),
        heard: None,
    };
    Slot {
        id: SlotId(SystemIds.random()),
        topic,
        sub_topic,
        content,
        attributes: Map::new(),
        sources: vec![source],
        revision,
        created_at: now,
        updated_at: now,
    }
}

fn answer(text: &str) -> Answer {
    Answer { text: text.into(), usage: Usage::default(), version: "it".into() }
}

/// A commit of `size` of everything.
fn of_size(size: usize, owner: &Owner) -> Commit {
    let mut plan = commit(owner, BlobId(SystemIds.random()), 0);
    let (mut event, gist) = plan.event.take().map(|(event, gists)| (event, gists[0].clone())).unwrap();
    let tag = |n: usize| EventTag { tag: format!("tag {n}"), value: format!("{size}") };
    event.data.event_tags = Some((0..size).map(tag).collect());
    let gists = (0..size).map(|n| memory::event::Gist {
        id: GistId(SystemIds.random()),
        position: n.try_into().unwrap(),
        text: format!("gist {n} of {size}"),
        ..gist.clone()
    });
    plan.blob_ids = (0..size.max(1)).map(|_| BlobId(SystemIds.random())).collect();
    let stored = |id| StoredBlob { blob: NewBlob { id, ..chat() }, created_at: plan.now };
    plan.keep = plan.blob_ids.iter().take(size).map(|id| stored(*id)).collect();
    plan.slots = (0..size).map(|n| SlotWrite::Insert(slot(&format!("memo {n} of {size}"), 1))).collect();
    plan.event = (size > 0).then(|| (event, gists.collect()));
    plan.answer = (size > 0).then(|| (1, answer(&format!("of {size}"))));
    plan.record.usage = Usage { input: 10, output: 1, ..Usage::default() };
    plan
}

/// Commits of users of their own.
async fn of_sizes<const N: usize>(sizes: [usize; N], shared: &Shared) -> Vec<Commit> {
    let mut plans = Vec::new();
    for size in sizes {
        plans.push(of_size(size, &user(shared).await));
    }
    plans
}

/// All that a commit asks for is there, of `owner`.
async fn assert_stored(store: &PostgresStore, plan: &Commit) {
    let key = &plan.owner.key;
    assert_eq!(store.flush(key, plan.flush_id).await.unwrap().as_ref(), Some(&plan.record));
    let profile = store.profile(key).await.unwrap().unwrap();
    let mut slots: Vec<Slot> = plan.slots.iter().map(|write| write.slot().clone()).collect();
    slots.sort_by_key(|slot| std::cmp::Reverse((slot.updated_at, slot.id)));
    assert_eq!((profile.slots, profile.revision), (slots, i64::from(plan.changes_memory())));
    let (event, gists) = plan.event.clone().unzip();
    assert_eq!(store.gists(key, 10).await.unwrap().unwrap().1, gists.unwrap_or_default());
    let tags = event.iter().flat_map(|event| event.data.event_tags.clone().unwrap_or_default());
    let filter = EventFilter { limit: 10, tag_values: tags.collect(), ..EventFilter::default() };
    assert_eq!(store.events(key, &filter).await.unwrap(), Vec::from_iter(event));
    // The tags of commits beside it are another's.
    for value in (0..4).map(|size| size.to_string()).filter(|size| *size != plan.slots.len().to_string()) {
        let other = EventTag { tag: "tag 0".into(), value };
        let filter = EventFilter { limit: 10, tag_values: vec![other], ..EventFilter::default() };
        assert_eq!(store.events(key, &filter).await.unwrap(), []);
    }
    for id in &plan.blob_ids {
        assert!(store.is_settled(key, *id).await.unwrap());
        let kept = plan.keep.iter().find(|stored| stored.blob.id == *id);
        assert_eq!(store.blob(key, *id).await.unwrap().as_ref(), kept);
    }
    let kept = store.answer(key, plan.flush_id, 1).await.unwrap();
    assert_eq!(kept, plan.answer.clone().map(|(_, answer)| answer));
}

/// The transactions that the outcomes of these flushes came with.
async fn transactions(shared: &Shared, plans: &[&Commit]) -> i64 {
    let ids: Vec<Uuid> = plans.iter().map(|plan| plan.flush_id.0).collect();
    let sql = "SELECT count(DISTINCT xmin::text) FROM flushes WHERE flush_id = ANY($1)";
    sqlx::query_scalar(sql).bind(ids).fetch_one(&mut shared.connect().await).await.unwrap()
}

async fn together(store: &PostgresStore, plans: &[Commit]) -> Vec<CommitReply> {
    join_all(plans.iter().map(|plan| store.commit(plan))).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test]
async fn commits_at_once_are_one_transaction_and_each_is_stored_whole() {
    let shared = fresh().await;
    let (store, plans) = (shared.store(), of_sizes([2, 0, 1, 3], &shared).await);
    assert_eq!(together(&store, &plans).await, [const { CommitReply::Done }; 4]);
    for plan in &plans {
        assert_stored(&store, plan).await;
    }
    assert_eq!(transactions(&shared, &plans.iter().collect::<Vec<_>>()).await, 1);
    let (key, today) = (&plans[0].owner.key, day_of(plans[0].now));
    let used = store.usage(&key.project, today, today).await.unwrap();
    let sum = used.iter().map(|(_, used)| (used.inserts, used.successes, used.input_tokens, used.output_tokens));
    assert_eq!(sum.collect::<Vec<_>>(), [(7, 7, 40, 4)]);
}

#[tokio::test]
async fn slots_are_changed_in_a_group_as_alone() {
    let shared = fresh().await;
    let (store, mut first, mut second) = (shared.store(), Vec::new(), Vec::new());
    for n in 0..3 {
        let owner = user(&shared).await;
        let before = [slot("to change", 1), slot("to delete", 1), slot("to stay", 1)];
        let mut plan = of_size(0, &owner);
        plan.slots = before.iter().cloned().map(SlotWrite::Insert).collect();
        let mut next = of_size(0, &owner);
        next.base_revision = 1;
        let changed = Slot { content: format!("changed {n}"), revision: 2, ..before[0].clone() };
        next.slots = vec![SlotWrite::Update(changed), SlotWrite::Delete(before[1].clone())];
        first.push(plan);
        second.push(next);
    }
    // Of this user there is nothing to change.
    let SlotWrite::Update(gone) = &second[2].slots[0] else { panic!() };
    assert!(together(&store, &first).await.iter().all(|reply| *reply == CommitReply::Done));
    assert!(store.delete_slot(&second[2].owner.key, gone.id, second[2].now).await.unwrap());
    let replies = together(&store, &second).await;
    assert_eq!(replies, [CommitReply::Done, CommitReply::Done, CommitReply::Stale]);
    assert_eq!(transactions(&shared, &[&second[0], &second[1]]).await, 1);
    for (n, plan) in second.iter().enumerate() {
        let slots = store.profile(&plan.owner.key).await.unwrap().unwrap().slots;
        let mut contents: Vec<_> = slots.into_iter().map(|slot| slot.content).collect();
        contents.sort();
        let changed = format!("changed {n}");
        assert_eq!(contents, if n < 2 { [&changed, "to stay"] } else { ["to delete", "to stay"] });
    }
}

/// Each for another reason.
#[tokio::test]
async fn commits_that_cannot_be_do_no_harm_to_the_others() {
    let shared = fresh().await;
    let (store, mut plans) = (shared.store(), of_sizes([1; 7], &shared).await);
    // An unknown life, another revision, a blob that took effect, an outcome.
    plans[1].owner.incarnation = Incarnation(SystemIds.random());
    plans[2].base_revision = 7;
    let before = Commit { blob_ids: plans[3].blob_ids.clone(), slots: Vec::new(), ..of_size(0, &plans[3].owner) };
    let mut decided = plans[4].clone();
    decided.slots.clear();
    assert_eq!(together(&store, &[before, decided.clone()]).await, [const { CommitReply::Done }; 2]);
    plans[5].owner = Owner { key: owner().key, ..plans[5].owner.clone() };
    let replies = together(&store, &plans).await;
    let expected = [
        CommitReply::Done,
        CommitReply::UserGone,
        CommitReply::Stale,
        CommitReply::AppliedBefore(plans[3].blob_ids.clone()),
        CommitReply::Decided(decided.record),
        CommitReply::UserGone,
        CommitReply::Done,
    ];
    assert_eq!(replies, expected);
    assert_eq!(transactions(&shared, &[&plans[0], &plans[6]]).await, 1);
    assert_stored(&store, &plans[0]).await;
    assert_stored(&store, &plans[6]).await;
}

/// That breaks a key, and with it the whole statement.
#[tokio::test]
async fn an_answer_of_another_makes_one_commit_stale_and_no_other() {
    let shared = fresh().await;
    let store = shared.store();
    let plans = of_sizes([1, 1, 2], &shared).await;
    let (plan, first) = (&plans[1], answer("the first"));
    store.record_answer(&plan.owner, plan.flush_id, 1, &first, plan.now).await.unwrap();
    let replies = together(&store, &plans).await;
    assert_eq!(replies, [CommitReply::Done, CommitReply::Stale, CommitReply::Done]);
    assert_eq!(store.answer(&plan.owner.key, plan.flush_id, 1).await.unwrap(), Some(first));
    assert_stored(&store, &plans[0]).await;
    assert_stored(&store, &plans[2]).await;
}

#[tokio::test]
async fn a_user_whom_another_holds_does_not_hold_up_the_others() {
    let shared = fresh().await;
    let store = PostgresStore::new(PostgresDatabase::connect(&shared.place.url(), &patient()).await.unwrap());
    let mut conn = shared.connect().await;
    let plans = of_sizes([1, 2], &shared).await;
    let mut transaction = conn.begin().await.unwrap();
    let lock = "SELECT FROM users WHERE user_id = $1 FOR UPDATE";
    sqlx::query(lock).bind(plans[0].owner.key.user.0).execute(&mut *transaction).await.unwrap();
    let (mut held, free) = (pin!(store.commit(&plans[0])), pin!(store.commit(&plans[1])));
    let first = tokio::time::timeout(Duration::from_secs(20), select(&mut held, free)).await;
    let futures_util::future::Either::Right((reply, _)) = first.expect("it is held up") else {
        panic!("it wrote what another holds")
    };
    assert_eq!(reply.unwrap(), CommitReply::Done);
    transaction.rollback().await.unwrap();
    assert_eq!(held.await.unwrap(), CommitReply::Done);
    assert_stored(&store, &plans[0]).await;
    assert_stored(&store, &plans[1]).await;
}

#[tokio::test]
async fn a_profile_that_cannot_be_read_does_no_harm_to_the_others() {
    let shared = fresh().await;
    let (store, plans) = (shared.store(), of_sizes([1; 3], &shared).await);
    assert!(together(&store, &plans).await.iter().all(|reply| *reply == CommitReply::Done));
    let damage = "UPDATE profile_slots SET attributes = '{' WHERE user_id = $1";
    sqlx::query(damage).bind(plans[1].owner.key.user.0).execute(&mut shared.connect().await).await.unwrap();
    let unknown = owner().key;
    let keys = [&plans[0].owner.key, &plans[1].owner.key, &unknown, &plans[2].owner.key];
    let [first, damaged, none, last] = join_all(keys.map(|key| store.profile(key))).await.try_into().unwrap();
    assert!(matches!(damaged, Err(StoreError::Damaged(_))), "{damaged:?}");
    assert_eq!(none.unwrap(), None);
    for (profile, plan) in [(first, &plans[0]), (last, &plans[2])] {
        assert_eq!(profile.unwrap().unwrap().slots, [plan.slots[0].slot().clone()]);
    }
}
