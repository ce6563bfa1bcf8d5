//! Events and gists.

use super::kit::{Kit, at, commit, event, tag};
use crate::event::{EventData, Gist, ProfileDelta};
use crate::ids::{EventId, GistId, IdSource, Owner, SystemIds};
use crate::ports::{EventFilter, Written};
use crate::testing::texts;

fn filter() -> EventFilter {
    EventFilter { limit: 100, ..EventFilter::default() }
}

/// The tips of the events that pass.
async fn tips(kit: &Kit, owner: &Owner, filter: EventFilter) -> Vec<String> {
    let events = kit.store.events(&owner.key, &filter).await.unwrap();
    events.into_iter().map(|e| e.data.event_tip.unwrap()).collect()
}

pub async fn an_event_is_as_it_was_committed(kit: Kit) {
    let owner = kit.owner().await;
    let plan = kit.plan(&owner, at(5)).await;
    kit.done(&plan).await;
    let (event, gists) = plan.event.unwrap();
    let read = kit.store.event(&owner.key, event.id).await.unwrap().unwrap();
    assert_eq!(read, (event.clone(), gists.clone(), kit.revision(&owner).await));
    assert_eq!(kit.events(&owner).await, [event]);
    assert_eq!(kit.store.gists(&owner.key, 10).await.unwrap().unwrap(), (read.2, gists));
    assert_eq!(kit.store.event(&owner.key, EventId(SystemIds.random())).await.unwrap(), None);
}

pub async fn events_come_newest_first(kit: Kit) {
    let owner = kit.owner().await;
    for (seconds, name) in [(2, "b"), (1, "a"), (3, "c")] {
        kit.event(&owner, at(seconds), &[], &[name]).await;
    }
    assert_eq!(tips(&kit, &owner, filter()).await, ["c", "b", "a"]);
    assert_eq!(tips(&kit, &owner, EventFilter { limit: 2, ..filter() }).await, ["c", "b"]);
    assert_eq!(tips(&kit, &owner, EventFilter { limit: u32::MAX, ..filter() }).await.len(), 3);
}

/// Stores events of one instant, and returns their tips, last stored first.
async fn same_instant(kit: &Kit, owner: &Owner) -> Vec<String> {
    let mut names: Vec<String> = (0..8).map(|number| number.to_string()).collect();
    for name in &names {
        kit.event(owner, at(1), &[], &[name]).await;
    }
    names.reverse();
    names
}

pub async fn events_of_one_instant_come_last_stored_first(kit: Kit) {
    let owner = kit.owner().await;
    let names = same_instant(&kit, &owner).await;
    assert_eq!(tips(&kit, &owner, filter()).await, names);
    assert_eq!(tips(&kit, &owner, EventFilter { limit: 3, ..filter() }).await, names[..3]);
    let texts: Vec<String> = kit.gists(&owner, 5).await.into_iter().map(|g| g.text).collect();
    assert_eq!(texts, names[..5]);
}

pub async fn a_replaced_event_keeps_its_place_in_an_instant(kit: Kit) {
    let owner = kit.owner().await;
    let names = same_instant(&kit, &owner).await;
    for event in kit.events(&owner).await {
        let (event, gists, revision) = kit.store.event(&owner.key, event.id).await.unwrap().unwrap();
        let written = kit.store.replace_event(&owner.key, &event, &gists, revision).await.unwrap();
        assert_eq!(written, Written::Done);
    }
    assert_eq!(tips(&kit, &owner, filter()).await, names);
    kit.event(&owner, at(1), &[], &["last"]).await;
    assert_eq!(tips(&kit, &owner, EventFilter { limit: 1, ..filter() }).await, ["last"]);
}

pub async fn events_are_filtered_by_time(kit: Kit) {
    let owner = kit.owner().await;
    for (seconds, name) in [(1, "a"), (2, "b"), (3, "c")] {
        kit.event(&owner, at(seconds), &[], &[name]).await;
    }
    let since = |since| EventFilter { since: Some(since), ..filter() };
    assert_eq!(tips(&kit, &owner, since(at(2))).await, ["c", "b"], "the instant itself counts");
    let just_after = at(2) + std::time::Duration::from_micros(1);
    assert_eq!(tips(&kit, &owner, since(just_after)).await, ["c"]);
    assert_eq!(tips(&kit, &owner, since(at(4))).await, Vec::<String>::new());
}

/// Tags to ask for, tags with values to ask for, and the events that pass.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a [&'a str]);

pub async fn events_are_filtered_by_tags(kit: Kit) {
    let owner = kit.owner().await;
    let all: [(&str, &[(&str, &str)]); 4] = [
        ("sad at home", &[("mood", "sad"), ("place", "home")]),
        ("sad", &[("mood", "sad")]),
        ("glad at home", &[("mood", "glad"), ("place", "home")]),
        ("odd", &[("50%_off", "it's"), ("Mood", "sad")]),
    ];
    for (seconds, (name, tags)) in (0..).zip(all) {
        kit.event(&owner, at(seconds), tags, &[name]).await;
    }
    kit.done(&kit.plan(&owner, at(9)).await).await; // without tags
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let cases: [Case; 9] = [
        (&["mood"], &[], &["glad at home", "sad", "sad at home"]),
        (&["mood", "place"], &[], &["glad at home", "sad at home"]),
        (&[], &[("mood", "sad")], &["sad", "sad at home"]),
        (&[], &[("mood", "sad"), ("place", "home")], &["sad at home"]),
        (&["place"], &[("mood", "glad")], &["glad at home"]),
        (&[], &[("place", "sad")], &[]),
        (&[], &[("mood", "sad"), ("mood", "glad")], &[]),
        (&["50%_off"], &[("50%_off", "it's")], &["odd"]),
        (&["50xxoff"], &[], &[]),
    ];
    for (tags, values, expected) in cases {
        let tag_values = values.iter().map(|(t, v)| tag(t, v)).collect();
        let filter = EventFilter { tags: names(tags), tag_values, ..filter() };
        assert_eq!(tips(&kit, &owner, filter).await, names(expected), "{tags:?} {values:?}");
    }
    let limited = EventFilter { limit: 1, tags: names(&["place"]), ..filter() };
    assert_eq!(tips(&kit, &owner, limited).await, ["glad at home"], "the limit counts what passes");
}

pub async fn an_event_is_replaced(kit: Kit) {
    let owner = kit.owner().await;
    let mut event = kit.event(&owner, at(1), &[("mood", "sad")], &["one", "two", "three"]).await;
    let other = kit.event(&owner, at(2), &[], &["other"]).await;
    let (_, old, revision) = kit.store.event(&owner.key, event.id).await.unwrap().unwrap();
    event.data.event_tip = Some("new".into());
    event.data.event_tags = Some(vec![tag("mood", "glad")]);
    event.updated_at = at(9);
    let added = Gist { id: GistId(SystemIds.random()), position: 0, text: "new".into(), ..old[0].clone() };
    let gists = [added, Gist { position: 1, text: "kept".into(), updated_at: at(9), ..old[1].clone() }];
    let written = kit.store.replace_event(&owner.key, &event, &gists, revision).await.unwrap();
    assert_eq!(written, Written::Done);
    let read = kit.store.event(&owner.key, event.id).await.unwrap().unwrap();
    assert_eq!(read, (event.clone(), gists.to_vec(), revision + 1));
    assert_eq!(kit.events(&owner).await, [other, event]);
    let glad = EventFilter { tag_values: vec![tag("mood", "glad")], ..filter() };
    assert_eq!(tips(&kit, &owner, glad).await, ["new"], "filters see the new tags");
    let sad = EventFilter { tag_values: vec![tag("mood", "sad")], ..filter() };
    assert_eq!(tips(&kit, &owner, sad).await, Vec::<String>::new());
}

pub async fn replacing_needs_the_present_revision(kit: Kit) {
    let owner = kit.owner().await;
    let mut event = kit.event(&owner, at(1), &[], &["one"]).await;
    let before = kit.store.event(&owner.key, event.id).await.unwrap().unwrap();
    event.data.event_tip = Some("new".into());
    for base in [before.2 - 1, before.2 + 1] {
        let written = kit.store.replace_event(&owner.key, &event, &[], base).await.unwrap();
        assert_eq!(written, Written::Stale);
        assert_eq!(kit.store.event(&owner.key, event.id).await.unwrap().unwrap(), before);
    }
    kit.slot(&owner, "a", at(2)).await;
    let written = kit.store.replace_event(&owner.key, &event, &[], before.2).await.unwrap();
    assert_eq!(written, Written::Stale, "a slot moves the memory on too");
}

pub async fn replacing_an_unknown_event_does_nothing(kit: Kit) {
    let owner = kit.owner().await;
    let mut event = kit.event(&owner, at(1), &[], &["one"]).await;
    let revision = kit.revision(&owner).await;
    event.id = EventId(SystemIds.random());
    let written = kit.store.replace_event(&owner.key, &event, &[], revision).await.unwrap();
    assert_eq!(written, Written::Unknown);
    assert_eq!((kit.events(&owner).await.len(), kit.revision(&owner).await), (1, revision));
}

pub async fn an_unknown_event_is_unknown_before_it_is_stale(kit: Kit) {
    let owner = kit.owner().await;
    let event = kit.event(&owner, at(1), &[], &["one"]).await;
    assert!(kit.store.delete_event(&owner.key, event.id).await.unwrap());
    let stale = kit.revision(&owner).await - 1;
    let written = kit.store.replace_event(&owner.key, &event, &[], stale).await.unwrap();
    assert_eq!(written, Written::Unknown);
}

pub async fn an_event_is_deleted_with_its_gists(kit: Kit) {
    let owner = kit.owner().await;
    let gone = kit.event(&owner, at(1), &[("a", "b")], &["one", "two"]).await;
    let stays = kit.event(&owner, at(2), &[], &["three"]).await;
    let revision = kit.revision(&owner).await;
    let rows = kit.harness.rows_of(&owner.key).await;
    assert!(kit.store.delete_event(&owner.key, gone.id).await.unwrap());
    assert!(kit.harness.rows_of(&owner.key).await <= rows - 3);
    assert_eq!(kit.events(&owner).await, [stays]);
    assert_eq!(kit.gists(&owner, 10).await.len(), 1);
    assert_eq!(kit.store.event(&owner.key, gone.id).await.unwrap(), None);
    assert!(!kit.store.delete_event(&owner.key, gone.id).await.unwrap());
    assert_eq!(kit.revision(&owner).await, revision + 1);
}

pub async fn gists_come_newest_event_first(kit: Kit) {
    let owner = kit.owner().await;
    kit.event(&owner, at(2), &[], &["c", "d"]).await;
    kit.event(&owner, at(1), &[], &["e", "f", "g"]).await;
    kit.event(&owner, at(3), &[], &["a", "b"]).await;
    let all = ["a", "b", "c", "d", "e", "f", "g"];
    for limit in [0, 1, 3, 7, 100] {
        let gists = kit.gists(&owner, limit).await;
        let texts: Vec<&str> = gists.iter().map(|g| g.text.as_str()).collect();
        assert_eq!(texts, all[..all.len().min(limit as usize)]);
    }
    let (revision, _) = kit.store.gists(&owner.key, 0).await.unwrap().unwrap();
    assert_eq!(kit.store.gist_count(&owner.key).await.unwrap(), kit.gists(&owner, 100).await.len() as u64);
    assert_eq!(revision, kit.revision(&owner).await);
}

pub async fn a_replaced_event_keeps_its_place(kit: Kit) {
    let owner = kit.owner().await;
    let older = kit.event(&owner, at(1), &[], &["older"]).await;
    kit.event(&owner, at(2), &[], &["newer"]).await;
    let (_, mut gists, revision) = kit.store.event(&owner.key, older.id).await.unwrap().unwrap();
    (gists[0].text, gists[0].created_at, gists[0].updated_at) = ("changed".into(), at(9), at(9));
    kit.store.replace_event(&owner.key, &older, &gists, revision).await.unwrap();
    let texts: Vec<String> = kit.gists(&owner, 10).await.into_iter().map(|g| g.text).collect();
    assert_eq!(texts, ["newer", "changed"], "the age of its event places a gist");
}

pub async fn event_text_round_trips(kit: Kit) {
    let owner = kit.owner().await;
    let mut plan = commit(&owner, kit.revision(&owner).await, at(1));
    let (mut event, mut gists) = event(&plan, &[&texts::odd(), &texts::megabyte(), ""]);
    let delta = ProfileDelta { content: texts::odd(), attributes: Some(texts::object()) };
    event.data = EventData {
        profile_delta: Some(vec![delta, ProfileDelta { content: String::new(), attributes: None }]),
        event_tip: Some(texts::megabyte()),
        event_tags: Some(vec![tag(&texts::odd(), &texts::odd())]),
    };
    (gists[1].occurred_at, gists[1].said_at) = (None, None);
    gists[1].sources.clear();
    plan.event = Some((event.clone(), gists.clone()));
    kit.done(&plan).await;
    let (read, read_gists, _) = kit.store.event(&owner.key, event.id).await.unwrap().unwrap();
    assert!(read == event, "an event must come back as it went in");
    assert!(read_gists == gists, "gists must come back as they went in");
    let bare = kit.event(&owner, at(2), &[], &[]).await;
    assert_eq!(kit.events(&owner).await[0], bare, "an empty list of tags is not none");
}
