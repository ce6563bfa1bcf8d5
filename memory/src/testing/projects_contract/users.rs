//! The users of a project.

use serde_json::json;

use super::kit::{Kit, all, at, none};
use crate::ids::ProjectId;
use crate::ports::{ListedUser, Page, UserOrder, UserQuery};

pub async fn users_are_listed_with_their_counts(kit: Kit) {
    let data = json!({"name": "Ada", "odd": ["ß", null]});
    let owner = kit.user("p", 1, 3, data.clone()).await;
    kit.slots(&owner, 2).await;
    kit.events(&owner, 3).await;
    let wanted = ListedUser {
        id: owner.key.user,
        data: data.as_object().cloned(),
        created_at: at(3),
        updated_at: at(3),
        profile_count: 2,
        event_count: 3,
    };
    assert_eq!(kit.projects.users(&"p".into(), &all()).await.unwrap(), (vec![wanted], 1));
    let bare = kit.user("p", 2, 1, none()).await;
    let (users, count) = kit.projects.users(&"p".into(), &all()).await.unwrap();
    assert_eq!((count, users[1].id, &users[1].data), (2, bare.key.user, &None));
    assert_eq!((users[1].profile_count, users[1].event_count), (0, 0));
}

pub async fn users_are_sorted(kit: Kit) {
    for (id, seconds, slots, events) in [(1, 5, 2, 0), (2, 7, 0, 1), (3, 6, 1, 2), (4, 6, 1, 0)] {
        let owner = kit.user("p", id, seconds, none()).await;
        kit.slots(&owner, slots).await;
        kit.events(&owner, events).await;
    }
    for (order, descending, wanted) in [
        (UserOrder::UpdatedAt, true, [2, 3, 4, 1]),
        (UserOrder::UpdatedAt, false, [1, 3, 4, 2]),
        (UserOrder::ProfileCount, true, [1, 3, 4, 2]),
        (UserOrder::ProfileCount, false, [2, 3, 4, 1]),
        (UserOrder::EventCount, true, [3, 2, 1, 4]),
        (UserOrder::EventCount, false, [1, 4, 2, 3]),
    ] {
        let query = UserQuery { order, descending, ..all() };
        assert_eq!(kit.found("p", &query).await, (wanted.to_vec(), 4), "{query:?}");
    }
}

pub async fn users_are_paged(kit: Kit) {
    for id in 1..=5 {
        kit.user("p", id, 10 - i64::try_from(id).unwrap(), none()).await;
    }
    for (offset, limit, wanted) in [(0, 2, &[1, 2][..]), (2, 2, &[3, 4]), (4, 9, &[5]), (5, 9, &[]), (0, 0, &[])] {
        let query = UserQuery { page: Page { offset, limit }, ..all() };
        assert_eq!(kit.found("p", &query).await, (wanted.to_vec(), 5), "{offset} {limit}");
    }
}

pub async fn users_are_searched(kit: Kit) {
    let named = |name: &str| json!({ "name": name });
    kit.user("p", 0xABCD, 4, named("Ada Lovelace")).await;
    kit.user("p", 2, 3, named("Grace")).await;
    kit.user("p", 3, 2, named("工作 LOVE")).await;
    kit.user("p", 4, 1, none()).await;
    for (search, wanted) in [
        ("love", &[0xABCD, 3][..]),
        ("LOVELACE", &[0xABCD]),
        ("工作", &[3]),
        ("00abcd", &[0xABCD]),
        ("00ABCD", &[0xABCD]),
        ("00000000-0000-0000-0000-00000000000", &[2, 3, 4]),
        ("name", &[0xABCD, 2, 3]),
        ("nobody", &[]),
    ] {
        let query = UserQuery { search: search.into(), ..all() };
        assert_eq!(kit.found("p", &query).await, (wanted.to_vec(), wanted.len() as u64), "{search}");
    }
    let query = UserQuery { search: "name".into(), page: Page { offset: 1, limit: 1 }, ..all() };
    assert_eq!(kit.found("p", &query).await, (vec![2], 3));
}

pub async fn what_is_searched_for_is_no_pattern(kit: Kit) {
    kit.user("p", 1, 2, json!({"a": "100% _x_ 'q"})).await;
    kit.user("p", 2, 1, json!({"a": "plain"})).await;
    for (search, wanted) in [("%", 1), ("_", 1), ("'", 1), ("p_ain", 0), ("p%n", 0), ("\\", 0), ("*", 0)] {
        let query = UserQuery { search: search.into(), ..all() };
        assert_eq!(kit.found("p", &query).await.1, wanted, "{search}");
    }
}

pub async fn no_project_lists_the_users_of_another(kit: Kit) {
    let here = kit.user("here", 1, 1, json!({"a": "secret"})).await;
    let there = kit.user("there", 1, 1, none()).await;
    kit.slots(&here, 2).await;
    kit.events(&here, 2).await;
    let (users, count) = kit.projects.users(&"there".into(), &all()).await.unwrap();
    assert_eq!((count, users.len(), users[0].id, &users[0].data), (1, 1, there.key.user, &None));
    assert_eq!((users[0].profile_count, users[0].event_count), (0, 0));
    let query = UserQuery { search: "secret".into(), ..all() };
    assert_eq!(kit.found("there", &query).await, (vec![], 0));
    assert_eq!(kit.projects.user_ids(&"there".into(), 9).await.unwrap(), [there.key.user]);
}

pub async fn user_ids_have_a_limit(kit: Kit) {
    let project = ProjectId::from("p");
    for id in 1..=3 {
        kit.user("p", id, 1, none()).await;
    }
    let mut ids = kit.projects.user_ids(&project, 9).await.unwrap();
    ids.sort_unstable();
    assert_eq!(ids.iter().map(|id| id.0.as_u128()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(kit.projects.user_ids(&project, 2).await.unwrap().len(), 2);
    assert_eq!(kit.projects.user_ids(&"other".into(), 9).await.unwrap(), []);
}
