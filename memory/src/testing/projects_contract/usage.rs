//! What projects use.

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};

use super::kit::{Kit, none};
use crate::blob::{BlobType, NewBlob};
use crate::ids::{BlobId, FlushId, IdSource, Owner, SystemIds};
use crate::ports::{
    Commit, CommitReply, DeadLetter, FlushOutcome, FlushRecord, FlushResult, Project, ProjectAdoption, ProjectStatus,
    StoredBlob, Usage,
};
use crate::quota::TokenQuota;
use crate::usage::Used;

/// An hour of the tenth of a month.
fn hour(hour: i64) -> Timestamp {
    "2025-06-10T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour)
}

const TENTH: Date = date(2025, 6, 10);

fn record(outcome: FlushOutcome) -> FlushRecord {
    let usage = Usage { input: 100, cached: 50, output: 7 };
    FlushRecord { outcome, result: FlushResult::default(), reason: None, usage, refused: 0, version: "1".into() }
}

/// A commit of so many blobs that changes nothing else.
async fn plan(kit: &Kit, owner: &Owner, blobs: usize, now: Timestamp) -> Commit {
    let (_, base_revision) = kit.store.revision(&owner.key).await.unwrap().unwrap();
    Commit {
        owner: owner.clone(),
        flush_id: FlushId(SystemIds.ordered()),
        base_revision,
        blob_ids: (0..blobs).map(|_| BlobId(SystemIds.random())).collect(),
        retried: false,
        record: record(FlushOutcome::Committed),
        slots: Vec::new(),
        event: None,
        keep: Vec::new(),
        answer: None,
        now,
    }
}

async fn commit(kit: &Kit, owner: &Owner, blobs: usize, now: Timestamp) {
    let plan = plan(kit, owner, blobs, now).await;
    assert_eq!(kit.store.commit(&plan).await.unwrap(), CommitReply::Done);
}

async fn usage(kit: &Kit, project: &str, from: Date, to: Date) -> Vec<(Date, Used)> {
    kit.projects.usage(&project.into(), from, to).await.unwrap()
}

async fn of_tenth(kit: &Kit, project: &str) -> Used {
    usage(kit, project, TENTH, TENTH).await.first().map(|(_, used)| *used).unwrap_or_default()
}

fn used(inserts: usize, successes: usize, calls: u64) -> Used {
    Used { input_tokens: 100 * calls, output_tokens: 7 * calls, ..Used::new(inserts, successes, Usage::default()) }
}

pub async fn a_commit_is_counted_for_its_day(kit: Kit) {
    let (one, other) = (kit.user("p", 1, 1, none()).await, kit.user("other", 1, 1, none()).await);
    commit(&kit, &one, 2, hour(0)).await;
    commit(&kit, &one, 3, hour(23)).await;
    commit(&kit, &one, 1, hour(24)).await;
    commit(&kit, &other, 9, hour(1)).await;
    let eleventh = TENTH.tomorrow().unwrap();
    let days = [(TENTH, used(5, 5, 2)), (eleventh, used(1, 1, 1))];
    assert_eq!(usage(&kit, "p", TENTH, eleventh).await, days);
    assert_eq!(usage(&kit, "p", eleventh, eleventh).await, days[1..]);
    assert_eq!(usage(&kit, "p", TENTH.yesterday().unwrap(), TENTH).await, days[..1]);
    assert_eq!(of_tenth(&kit, "other").await, used(9, 9, 1));
    assert_eq!(of_tenth(&kit, "third").await, Used::default());
}

pub async fn what_takes_no_effect_is_not_counted(kit: Kit) {
    let owner = kit.user("p", 1, 1, none()).await;
    let first = plan(&kit, &owner, 2, hour(1)).await;
    assert_eq!(kit.store.commit(&first).await.unwrap(), CommitReply::Done);
    assert!(matches!(kit.store.commit(&first).await.unwrap(), CommitReply::Decided(_)));
    let again = Commit { flush_id: FlushId(SystemIds.ordered()), ..first };
    assert!(matches!(kit.store.commit(&again).await.unwrap(), CommitReply::AppliedBefore(_)));
    let mut stale = plan(&kit, &owner, 1, hour(1)).await;
    stale.base_revision += 1;
    assert_eq!(kit.store.commit(&stale).await.unwrap(), CommitReply::Stale);
    assert_eq!(of_tenth(&kit, "p").await, used(2, 2, 1));
}

pub async fn a_dead_letter_is_an_insert_without_success(kit: Kit) {
    let owner = kit.user("p", 1, 1, none()).await;
    let blob = |id| NewBlob { id, blob_type: BlobType::Chat, tokens: 1, payload: "x".into() };
    let ids = [BlobId(SystemIds.random()), BlobId(SystemIds.random())];
    let blobs = ids.map(|id| StoredBlob { blob: blob(id), created_at: hour(1) }).to_vec();
    let letter = DeadLetter { reason: "no".into(), blobs };
    let dead = record(FlushOutcome::Dead);
    for calls in [1, 2] {
        // The second time it is tried again, and dies again.
        let id = FlushId(SystemIds.ordered());
        assert_eq!(kit.store.end_flush(&owner, id, &dead, Some(&letter), hour(2)).await.unwrap(), None);
        assert_eq!(of_tenth(&kit, "p").await, used(2, 0, calls));
        assert!(kit.store.end_flush(&owner, id, &dead, Some(&letter), hour(2)).await.unwrap().is_some());
        assert_eq!(of_tenth(&kit, "p").await, used(2, 0, calls), "it has ended before");
    }
    let retried = Commit { blob_ids: ids.to_vec(), retried: true, ..plan(&kit, &owner, 0, hour(3)).await };
    assert_eq!(kit.store.commit(&retried).await.unwrap(), CommitReply::Done);
    assert_eq!(of_tenth(&kit, "p").await, used(2, 2, 3));
}

pub async fn usage_outlives_its_users(kit: Kit) {
    let owner = kit.user("p", 1, 1, none()).await;
    commit(&kit, &owner, 1, hour(1)).await;
    let late = plan(&kit, &owner, 2, hour(2)).await;
    kit.store.delete_user(&owner.key, hour(2)).await.unwrap();
    assert_eq!(kit.store.commit(&late).await.unwrap(), CommitReply::UserGone);
    assert_eq!(of_tenth(&kit, "p").await, used(3, 1, 2), "its model calls were paid for");
}

pub async fn folding_changes_no_total(kit: Kit) {
    let owner = kit.user("p", 1, 1, none()).await;
    for blobs in 1..=4 {
        commit(&kit, &owner, blobs, hour(1)).await;
        // Some at a time, and beside totals that are there.
        while kit.projects.fold_usage(1).await.unwrap() > 0 {}
        commit(&kit, &owner, blobs, hour(25)).await;
    }
    kit.projects.fold_usage(3).await.unwrap();
    let eleventh = TENTH.tomorrow().unwrap();
    let both = used(10, 10, 4);
    assert_eq!(usage(&kit, "p", TENTH, eleventh).await, [(TENTH, both), (eleventh, both)]);
}

pub async fn the_usage_of_a_project_goes_with_it(kit: Kit) {
    let id = kit.project("p").await;
    let (owner, other) = (kit.user("p", 1, 1, none()).await, kit.user("other", 1, 1, none()).await);
    commit(&kit, &owner, 1, hour(1)).await;
    kit.projects.fold_usage(9).await.unwrap();
    commit(&kit, &owner, 1, hour(1)).await;
    commit(&kit, &other, 1, hour(1)).await;
    kit.projects.set_status(&id, ProjectStatus::Deleting, hour(2)).await.unwrap();
    kit.store.delete_user(&owner.key, hour(2)).await.unwrap();
    assert_eq!(of_tenth(&kit, "p").await, used(2, 2, 2));
    assert!(kit.projects.remove_project(&id).await.unwrap());
    assert_eq!(of_tenth(&kit, "p").await, Used::default());
    assert_eq!(of_tenth(&kit, "other").await, used(1, 1, 1));
}

pub async fn a_new_project_has_used_nothing(kit: Kit) {
    let owner = kit.user("p", 1, 1, none()).await;
    commit(&kit, &owner, 1, hour(1)).await;
    kit.projects.fold_usage(9).await.unwrap();
    let late = plan(&kit, &owner, 2, hour(2)).await;
    kit.store.delete_user(&owner.key, hour(2)).await.unwrap();
    // A flush that outlives its project.
    assert_eq!(kit.store.commit(&late).await.unwrap(), CommitReply::UserGone);
    assert_eq!(of_tenth(&kit, "p").await, used(3, 1, 2));
    kit.project("p").await;
    assert_eq!(of_tenth(&kit, "p").await, Used::default());
}

pub async fn an_adopted_project_has_used_nothing(kit: Kit) {
    let project = |name: &str| Project {
        id: name.into(),
        status: ProjectStatus::Active,
        token: None,
        profile_config: None,
        token_quota: TokenQuota::Unset,
        created_at: hour(0),
        updated_at: hour(0),
    };
    for (name, implicit) in [("p", false), ("default", true)] {
        let owner = kit.user(name, 1, 1, none()).await;
        commit(&kit, &owner, 1, hour(1)).await;
        kit.projects.fold_usage(9).await.unwrap();
        commit(&kit, &owner, 1, hour(1)).await;
        kit.store.delete_user(&owner.key, hour(2)).await.unwrap();
        let adoption = kit.projects.adopt_project(&project(name), "s", implicit).await.unwrap();
        assert_eq!(adoption, ProjectAdoption::New);
    }
    assert_eq!(of_tenth(&kit, "p").await, Used::default());
    assert_eq!(of_tenth(&kit, "default").await, used(2, 2, 2), "it is the project that used it");
}
