//! The vectors of gists.

use super::kit::{Kit, at, key_in};
use crate::event::{EventData, Gist};
use crate::ids::{GistId, Owner, ProjectId};
use crate::ports::{NewVector, Unembedded, Written};
use crate::search::Vector;
use crate::usage::day_of;

const SPACE: &str = "model/2";

fn vector(x: f32, y: f32) -> Vector {
    Vector::of(&[x, y]).unwrap()
}

fn new(owner: &Owner, gist: &Gist, vector: Option<Vector>) -> NewVector {
    NewVector { user: owner.key.user, event_id: gist.event_id, gist_id: gist.id, vector }
}

/// A user with gists, the newest event first.
async fn told(kit: &Kit, project: &str, gists: &[&str]) -> (Owner, Vec<Gist>) {
    let owner = kit.create(&key_in(project)).await;
    kit.event(&owner, at(1), &[], gists).await;
    let gists = kit.gists(&owner, 100).await;
    (owner, gists)
}

async fn missing(kit: &Kit, space: &str) -> Vec<Unembedded> {
    kit.vectors.unembedded(space, at(1_000), 100).await.unwrap()
}

async fn put(kit: &Kit, owner: &Owner, space: &str, vectors: &[NewVector]) {
    kit.vectors.put_vectors(space, &owner.key.project, vectors, 5, at(10)).await.unwrap();
}

async fn kept(kit: &Kit, owner: &Owner, space: &str) -> Vec<(GistId, Vector)> {
    kit.vectors.vectors(&owner.key, space, 100).await.unwrap()
}

pub async fn a_vector_is_kept_with_its_gist(kit: Kit) {
    let (owner, gists) = told(&kit, "suite", &["one", "two", "three"]).await;
    let revision = kit.revision(&owner).await;
    assert_eq!(kept(&kit, &owner, SPACE).await, []);
    let vectors = [vector(1.0, 0.0), vector(-0.5, 1.0)];
    let [one, two, three] = gists.as_slice() else { panic!("{gists:?}") };
    let news = [
        new(&owner, two, Some(vectors[1].clone())),
        new(&owner, one, Some(vectors[0].clone())),
        new(&owner, three, None),
    ];
    put(&kit, &owner, SPACE, &news).await;
    let both = [(one.id, vectors[0].clone()), (two.id, vectors[1].clone())];
    assert_eq!(kept(&kit, &owner, SPACE).await, both, "newest event first, in order of position");
    assert_eq!(kit.vectors.vectors(&owner.key, SPACE, 1).await.unwrap(), both[..1]);
    assert_eq!(kept(&kit, &owner, "model/3").await, [], "of another space");
    assert_eq!(missing(&kit, SPACE).await, [], "the model has no direction for the third");
    assert_ne!(kit.revision(&owner).await, revision, "who has read the gists without it reads them again");
    assert_eq!(kit.profile(&owner).await.slots, []);
    assert_eq!(kit.gists(&owner, 100).await, gists);
}

pub async fn gists_without_a_vector_are_found(kit: Kit) {
    let (owner, gists) = told(&kit, "suite", &["one", "two"]).await;
    let (other, others) = told(&kit, "other", &["three"]).await;
    let ids = |found: &[Unembedded]| {
        let mut ids: Vec<GistId> = found.iter().map(|gist| gist.gist_id).collect();
        ids.sort_unstable_by_key(|id| id.0);
        ids
    };
    let sorted = |mut ids: Vec<GistId>| {
        ids.sort_unstable_by_key(|id| id.0);
        ids
    };
    let found = missing(&kit, SPACE).await;
    assert_eq!(ids(&found), sorted(vec![gists[0].id, gists[1].id, others[0].id]));
    let third = found.iter().find(|gist| gist.gist_id == others[0].id).unwrap();
    assert_eq!((&third.key, third.event_id, &*third.text), (&other.key, others[0].event_id, "three"));
    assert_eq!(third.sources, others[0].sources);
    assert_eq!(kit.vectors.unembedded(SPACE, at(1_000), 2).await.unwrap().len(), 2);
    assert_eq!(kit.vectors.unembedded(SPACE, at(1), 9).await.unwrap(), [], "none is older than they are");
    // Another space: lower, and higher.
    put(&kit, &owner, SPACE, &[new(&owner, &gists[0], Some(vector(1.0, 1.0)))]).await;
    for space in ["a/2", "z/2"] {
        assert_eq!(missing(&kit, space).await.len(), 3, "{space}");
        let first = kit.vectors.unembedded(space, at(1_000), 2).await.unwrap();
        assert_eq!(ids(&first), sorted(vec![gists[1].id, others[0].id]), "those without any come first");
    }
    assert_eq!(ids(&missing(&kit, SPACE).await), sorted(vec![gists[1].id, others[0].id]));
}

pub async fn the_last_space_is_known(kit: Kit) {
    assert_eq!(kit.vectors.space().await.unwrap(), None);
    for space in ["a", "b"] {
        kit.vectors.set_space(space).await.unwrap();
        assert_eq!(kit.vectors.space().await.unwrap().as_deref(), Some(space));
    }
}

pub async fn a_new_space_replaces_the_old(kit: Kit) {
    let (owner, gists) = told(&kit, "suite", &["one"]).await;
    for (space, numbers) in [(SPACE, vector(1.0, 0.0)), ("model/3", vector(0.0, 1.0))] {
        put(&kit, &owner, space, &[new(&owner, &gists[0], Some(numbers.clone()))]).await;
        assert_eq!(kept(&kit, &owner, space).await, [(gists[0].id, numbers)]);
    }
    assert_eq!(kept(&kit, &owner, SPACE).await, []);
}

pub async fn vectors_stay_with_gists_that_stay(kit: Kit) {
    let (owner, gists) = told(&kit, "suite", &["one", "two", "three"]).await;
    let [one, two, three] = gists.as_slice() else { panic!("{gists:?}") };
    put(&kit, &owner, SPACE, &[new(&owner, one, Some(vector(1.0, 0.0))), new(&owner, three, None)]).await;
    put(&kit, &owner, "model/3", &[new(&owner, two, Some(vector(0.0, 1.0)))]).await;
    let (event, _, revision) = kit.store.event(&owner.key, one.event_id).await.unwrap().unwrap();
    // Another order, and one that is new.
    let at = |position, gist: &Gist| Gist { position, ..gist.clone() };
    let four = Gist { id: GistId(three.event_id.0), text: "four".into(), ..at(0, one) };
    let changed = [four.clone(), at(1, three), at(2, two), at(3, one)];
    assert_eq!(kit.store.replace_event(&owner.key, &event, &changed, revision).await.unwrap(), Written::Done);
    assert_eq!(kept(&kit, &owner, SPACE).await, [(one.id, vector(1.0, 0.0))]);
    assert_eq!(kept(&kit, &owner, "model/3").await, [(two.id, vector(0.0, 1.0))]);
    let missing: Vec<GistId> = missing(&kit, SPACE).await.into_iter().map(|gist| gist.gist_id).collect();
    assert_eq!(missing, [four.id, two.id], "the model still has no direction for the third");
}

pub async fn vectors_of_gists_that_are_gone_are_passed_over(kit: Kit) {
    let (owner, gists) = told(&kit, "suite", &["one", "two"]).await;
    let (stranger, theirs) = told(&kit, "other", &["three"]).await;
    let (event, _, revision) = kit.store.event(&owner.key, gists[0].event_id).await.unwrap().unwrap();
    let data = EventData { event_tip: Some("- two".into()), ..event.data.clone() };
    let event = crate::event::Event { data, ..event };
    let left = [Gist { position: 0, ..gists[1].clone() }];
    assert_eq!(kit.store.replace_event(&owner.key, &event, &left, revision).await.unwrap(), Written::Done);
    let direction = Some(vector(1.0, 0.0));
    let mut news: Vec<NewVector> = gists.iter().map(|gist| new(&owner, gist, direction.clone())).collect();
    // Named in a project that is not theirs.
    news.push(new(&stranger, &theirs[0], direction.clone()));
    put(&kit, &owner, SPACE, &news).await;
    assert_eq!(kept(&kit, &owner, SPACE).await.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [gists[1].id]);
    assert_eq!(kept(&kit, &stranger, SPACE).await, []);
    assert!(kit.store.delete_event(&owner.key, event.id).await.unwrap());
    assert_eq!(kept(&kit, &owner, SPACE).await, [], "they go with their gists");
}

pub async fn tokens_of_embeddings_are_counted_by_project(kit: Kit) {
    let (owner, gists) = told(&kit, "suite", &["one"]).await;
    for _ in 0..2 {
        put(&kit, &owner, SPACE, &[new(&owner, &gists[0], None)]).await;
    }
    let day = day_of(at(10));
    let counted = async |project: &str| {
        let days = kit.projects.usage(&ProjectId::from(project), day, day).await.unwrap();
        days.iter().map(|(_, used)| used.embedding_tokens).sum::<u64>()
    };
    assert_eq!((counted("suite").await, counted("other").await), (10, 0));
}
