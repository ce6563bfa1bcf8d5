use memory::blob::BlobType;
use memory::ids::{IdSource as _, Incarnation, Owner, ProjectId, SystemIds, UserId, UserKey};
use memory::ports::Due;

use super::due::{Listed, Merged, merge};
use super::*;

fn owner_in(project: &str) -> Owner {
    let key = UserKey { project: ProjectId::from(project), user: UserId(SystemIds.random()) };
    Owner { key, incarnation: Incarnation(SystemIds.random()) }
}

#[test]
fn the_scripts_know_all_types() {
    let names: Vec<String> = BlobType::ALL.iter().map(|kind| format!("'{kind}'")).collect();
    let line = format!("local KINDS = {{{}}}\n", names.join(", "));
    assert!(scripts::COMMON.contains(&line), "{line}");
}

#[test]
fn owners_are_read_as_they_were_named() {
    for project in ["it", "a:b:", "{x}", "Ünï ☂", ""] {
        let owner = owner_in(project);
        assert_eq!(keys::read_owner(&keys::owner_name(&owner)), Some(owner.clone()));
        let member = format!("doc:{}", keys::owner_name(&owner));
        assert_eq!(keys::read_due(&member), Some((owner, BlobType::Doc)));
    }
    for odd in ["", "x", "chat:x:y:z", "wrong:00000000000000000000000000000000:00000000000000000000000000000000:p"] {
        assert_eq!(keys::read_due(odd), None);
    }
}

#[test]
fn a_user_stays_in_its_shard() {
    let mut owner = owner_in("it");
    owner.key.user = UserId(uuid::Uuid::from_u128(7));
    let shard = keys::shard_of(&owner.key);
    assert_eq!(shard, 106, "changing it would lose sight of what is in Redis");
    let next_life = Owner { incarnation: Incarnation(SystemIds.random()), ..owner.clone() };
    assert_eq!(keys::shard_of(&next_life.key), shard);
    // One hash tag over all keys of a step, whatever the project is called.
    for key in keys::of_owner("pm", &Owner { key: UserKey { project: "}{".into(), ..owner.key }, ..next_life }) {
        let tag = key.split_once('}').unwrap().0;
        assert!(tag.starts_with("{pm:") && tag.len() == 7, "{key}");
    }
    assert_eq!(keys::due("x", 7), ["{x:007}:due:waiting", "{x:007}:due:batches"]);
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A list of what is due since these instants.
fn list(seconds: &[i64], truncated: bool) -> Listed {
    let due = |second: &i64| (at(*second), Due { owner: owner_in("it"), blob_type: BlobType::Chat });
    Listed { due: seconds.iter().map(due).collect(), truncated }
}

fn merged(lists: Vec<Listed>, from: Option<i64>, limit: usize) -> (Vec<i64>, bool) {
    let Merged { due, short } = merge(lists, from.map(at), limit);
    (due.into_iter().map(|(since, _)| since.as_second()).collect(), short)
}

#[test]
fn nothing_later_than_what_is_known_of_every_shard() {
    let lists = || vec![list(&[1, 4], true), list(&[2, 3, 5, 6], false), list(&[9], true)];
    assert_eq!(merged(lists(), None, 3), (vec![1, 2, 3], false));
    assert_eq!(merged(lists(), None, 4), (vec![1, 2, 3, 4], false));
    assert_eq!(merged(lists(), None, 5), (vec![1, 2, 3, 4], true), "what is behind 4 may be due before 5");
    let whole = vec![list(&[1, 4], false), list(&[], false), list(&[2], false)];
    assert_eq!(merged(whole, None, 10), (vec![1, 2, 4], false));
    assert_eq!(merged(Vec::new(), Some(1), 10), (vec![], false));
}

#[test]
fn a_page_goes_beyond_the_instant_where_it_begins() {
    let lists = || vec![list(&[1, 1, 2, 5], false), list(&[1, 3], false)];
    assert_eq!(merged(lists(), Some(1), 2), (vec![1, 1, 1, 2], false));
    assert_eq!(merged(lists(), Some(1), 5), (vec![1, 1, 1, 2, 3], false));
    assert_eq!(merged(lists(), Some(0), 2), (vec![1, 1], false));
    let truncated = vec![list(&[1, 1, 2], true), list(&[1, 3], false)];
    assert_eq!(merged(truncated, Some(1), 1), (vec![1, 1, 1, 2], false));
}

#[test]
fn the_levels_of_a_state_are_read() {
    let fields = |fields: &[(&str, &str)]| {
        fields.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
    };
    let state = [("last:doc", "9007199254740993"), ("blobs:doc", "2"), ("tokens:doc", "7"), ("flush", "x")];
    let level = Level { last_seq: 9_007_199_254_740_993, blobs: 2, tokens: 7 };
    assert_eq!(read_levels(fields(&state)).unwrap(), [(BlobType::Doc, level)]);
    for odd in [("last:odd", "1"), ("last:doc", "x"), ("more:doc", "1")] {
        assert!(matches!(read_levels(fields(&[odd])), Err(JournalError::Damaged(_))), "{odd:?}");
    }
}
