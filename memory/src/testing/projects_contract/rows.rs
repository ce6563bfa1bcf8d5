//! Projects as rows.

use super::kit::{Kit, all, at, hash, none};
use crate::ids::ProjectId;
use crate::ports::{Page, Project, ProjectStatus};
use crate::quota::TokenQuota;
use crate::testing::texts;

const FIRST: Page = Page { offset: 0, limit: 100 };

impl Kit {
    async fn read(&self, id: &ProjectId) -> Project {
        self.projects.project(id).await.unwrap().unwrap()
    }

    async fn names(&self, page: Page) -> Vec<String> {
        let projects = self.projects.projects(page).await.unwrap();
        projects.into_iter().map(|project| project.id.as_str().to_owned()).collect()
    }
}

pub async fn a_project_is_as_it_was_created(kit: Kit) {
    let id = kit.project("some-Project_1").await;
    let wanted = Project {
        id: id.clone(),
        status: ProjectStatus::Active,
        token: Some(hash(1)),
        profile_config: None,
        token_quota: TokenQuota::Unset,
        created_at: at(1),
        updated_at: at(1),
    };
    assert_eq!(kit.projects.project(&id).await.unwrap(), Some(wanted.clone()));
    assert_eq!(kit.projects.projects(FIRST).await.unwrap(), [wanted]);
    assert_eq!(kit.projects.project(&"Some-project_1".into()).await.unwrap(), None);
}

pub async fn a_name_is_taken_once(kit: Kit) {
    let id = kit.project("p").await;
    let before = kit.read(&id).await;
    assert!(!kit.projects.create_project(&id, &hash(2), TokenQuota::Unset, at(5)).await.unwrap());
    assert_eq!(kit.read(&id).await, before);
    kit.project("P").await;
}

pub async fn projects_are_listed_by_name(kit: Kit) {
    for name in ["b", "a_", "a-", "B", "a"] {
        kit.project(name).await;
    }
    assert_eq!(kit.names(FIRST).await, ["B", "a", "a-", "a_", "b"]);
    assert_eq!(kit.names(Page { offset: 1, limit: 2 }).await, ["a", "a-"]);
    assert_eq!(kit.names(Page { offset: 5, limit: 2 }).await, [""; 0]);
}

pub async fn a_token_is_replaced(kit: Kit) {
    let (id, other) = (kit.project("p").await, kit.project("other").await);
    assert!(kit.projects.set_token(&id, &hash(2), at(5)).await.unwrap());
    let project = kit.read(&id).await;
    assert_eq!((project.token, project.created_at, project.updated_at), (Some(hash(2)), at(1), at(5)));
    assert_eq!(kit.read(&other).await.token, Some(hash(1)));
}

pub async fn a_project_is_suspended_and_resumed(kit: Kit) {
    let (id, other) = (kit.project("p").await, kit.project("other").await);
    for (seconds, status) in [(5, ProjectStatus::Suspended), (6, ProjectStatus::Active)] {
        assert!(kit.projects.set_status(&id, status, at(seconds)).await.unwrap());
        assert_eq!((kit.read(&id).await.status, kit.read(&id).await.updated_at), (status, at(seconds)));
        assert_eq!(kit.read(&other).await.status, ProjectStatus::Active);
    }
}

pub async fn a_profile_config_is_set_and_removed(kit: Kit) {
    let (id, other) = (kit.project("p").await, kit.project("other").await);
    for config in [Some(texts::odd()), Some(String::new()), None] {
        assert!(kit.projects.set_profile_config(&id, config.as_deref(), false, at(5)).await.unwrap());
        assert_eq!(kit.read(&id).await.profile_config, config);
    }
    assert_eq!(kit.read(&id).await.token, Some(hash(1)));
    assert_eq!(kit.read(&other).await.profile_config, None);
}

pub async fn a_token_quota_is_set_and_removed(kit: Kit) {
    let (id, other) = (ProjectId::from("q"), kit.project("other").await);
    assert!(kit.projects.create_project(&id, &hash(1), TokenQuota::Tokens(7), at(1)).await.unwrap());
    assert_eq!(kit.read(&id).await.token_quota, TokenQuota::Tokens(7));
    let most = TokenQuota::Tokens(TokenQuota::MOST);
    for (seconds, quota) in (5..).zip([most, TokenQuota::Unlimited, TokenQuota::Tokens(0), TokenQuota::Unset]) {
        assert!(kit.projects.set_token_quota(&id, quota, false, at(seconds)).await.unwrap());
        let project = kit.read(&id).await;
        assert_eq!((project.token_quota, project.updated_at), (quota, at(seconds)));
        assert_eq!((project.token, project.status), (Some(hash(1)), ProjectStatus::Active));
    }
    assert_eq!(kit.read(&other).await.token_quota, TokenQuota::Unset);
}

pub async fn a_token_quota_stays_beside_a_profile_config(kit: Kit) {
    // The default project has no row at first, and gets one with either.
    for (id, quota_first) in [("first", true), ("last", false)] {
        let id = ProjectId::from(id);
        let quota = TokenQuota::Tokens(9);
        if quota_first {
            assert!(kit.projects.set_token_quota(&id, quota, true, at(4)).await.unwrap());
            assert_eq!((kit.read(&id).await.token, kit.read(&id).await.created_at), (None, at(4)));
        }
        assert!(kit.projects.set_profile_config(&id, Some("x"), true, at(5)).await.unwrap());
        if !quota_first {
            assert_eq!(kit.read(&id).await.token_quota, TokenQuota::Unset);
            assert!(kit.projects.set_token_quota(&id, quota, true, at(6)).await.unwrap());
        }
        let project = kit.read(&id).await;
        assert_eq!((project.token_quota, project.profile_config.as_deref()), (quota, Some("x")));
        assert_eq!(kit.projects.projects(FIRST).await.unwrap().iter().filter(|p| p.id == id).count(), 1);
    }
}

pub async fn an_implicit_project_gets_a_row(kit: Kit) {
    let id = ProjectId::from("__root__");
    for config in [Some("language: en"), None] {
        assert!(kit.projects.set_profile_config(&id, config, true, at(5)).await.unwrap());
        let project = kit.read(&id).await;
        assert_eq!((project.profile_config.as_deref(), project.token), (config, None));
        assert_eq!(project.status, ProjectStatus::Active);
    }
    let made = kit.project("p").await;
    assert!(kit.projects.set_profile_config(&made, Some("x"), true, at(5)).await.unwrap());
    assert_eq!(kit.read(&made).await.token, Some(hash(1)), "a row that is there stays");
}

pub async fn an_unknown_project_is_not_changed(kit: Kit) {
    let id = ProjectId::from("p");
    assert!(!kit.projects.set_token(&id, &hash(2), at(5)).await.unwrap());
    assert!(!kit.projects.set_status(&id, ProjectStatus::Deleting, at(5)).await.unwrap());
    assert!(!kit.projects.set_profile_config(&id, Some("x"), false, at(5)).await.unwrap());
    assert!(!kit.projects.set_token_quota(&id, TokenQuota::Tokens(1), false, at(5)).await.unwrap());
    assert!(!kit.projects.remove_project(&id).await.unwrap());
    assert_eq!(kit.projects.projects(FIRST).await.unwrap(), []);
    assert_eq!(kit.projects.users(&id, &all()).await.unwrap(), (vec![], 0));
}

pub async fn a_project_that_is_being_deleted_is_not_changed(kit: Kit) {
    let id = kit.project("p").await;
    assert_eq!(kit.projects.deleting_projects(9).await.unwrap(), []);
    assert!(kit.projects.set_status(&id, ProjectStatus::Deleting, at(5)).await.unwrap());
    let before = kit.read(&id).await;
    assert_eq!((before.status, before.updated_at), (ProjectStatus::Deleting, at(5)));
    assert!(!kit.projects.create_project(&id, &hash(2), TokenQuota::Unset, at(6)).await.unwrap());
    assert!(!kit.projects.set_token(&id, &hash(2), at(6)).await.unwrap());
    for status in [ProjectStatus::Active, ProjectStatus::Suspended, ProjectStatus::Deleting] {
        assert!(!kit.projects.set_status(&id, status, at(6)).await.unwrap());
    }
    for implicit in [true, false] {
        assert!(!kit.projects.set_profile_config(&id, Some("x"), implicit, at(6)).await.unwrap());
        assert!(!kit.projects.set_token_quota(&id, TokenQuota::Tokens(1), implicit, at(6)).await.unwrap());
    }
    assert_eq!(kit.read(&id).await, before);
    assert_eq!(kit.projects.deleting_projects(9).await.unwrap(), [before]);
    assert_eq!(kit.projects.deleting_projects(0).await.unwrap(), []);
}

pub async fn a_project_goes_after_its_users(kit: Kit) {
    let id = kit.project("p").await;
    let (user, other) = (kit.user("p", 1, 1, none()).await, kit.user("other", 1, 1, none()).await);
    assert!(!kit.projects.remove_project(&id).await.unwrap(), "it is in use");
    kit.projects.set_status(&id, ProjectStatus::Deleting, at(5)).await.unwrap();
    assert!(!kit.projects.remove_project(&id).await.unwrap(), "it has a user");
    assert!(kit.store.delete_user(&user.key, at(6)).await.unwrap().is_some());
    assert!(kit.projects.remove_project(&id).await.unwrap());
    assert_eq!(kit.projects.project(&id).await.unwrap(), None);
    assert!(kit.store.user(&other.key).await.unwrap().is_some());
    assert_eq!(kit.store.purge_orders(9).await.unwrap(), [user], "the journal is still to be purged");
}

pub async fn a_name_is_free_again(kit: Kit) {
    let id = kit.project("p").await;
    kit.projects.set_profile_config(&id, Some("x"), false, at(2)).await.unwrap();
    kit.projects.set_token_quota(&id, TokenQuota::Tokens(1), false, at(2)).await.unwrap();
    kit.projects.set_status(&id, ProjectStatus::Deleting, at(5)).await.unwrap();
    assert!(kit.projects.remove_project(&id).await.unwrap());
    assert!(kit.projects.create_project(&id, &hash(7), TokenQuota::Unset, at(9)).await.unwrap());
    let anew = kit.read(&id).await;
    assert_eq!((anew.status, anew.token, anew.profile_config), (ProjectStatus::Active, Some(hash(7)), None));
    assert_eq!(anew.token_quota, TokenQuota::Unset);
}

pub async fn a_name_with_users_is_taken(kit: Kit) {
    let owner = kit.user("p", 1, 1, none()).await;
    assert!(!kit.projects.create_project(&"p".into(), &hash(7), TokenQuota::Unset, at(2)).await.unwrap());
    assert_eq!(kit.projects.project(&"p".into()).await.unwrap(), None);
    assert!(kit.projects.create_project(&"other".into(), &hash(7), TokenQuota::Unset, at(2)).await.unwrap());
    kit.store.delete_user(&owner.key, at(3)).await.unwrap();
    assert!(kit.projects.create_project(&"p".into(), &hash(7), TokenQuota::Unset, at(4)).await.unwrap());
}

pub async fn concurrent_creations_have_one_winner(kit: Kit) {
    let create = |byte| {
        let projects = kit.projects.clone();
        let create = async move { projects.create_project(&"p".into(), &hash(byte), TokenQuota::Unset, at(1)).await };
        tokio::spawn(async move { create.await.unwrap() })
    };
    let mut winners = Vec::new();
    for (byte, task) in (0..8).map(|byte| (byte, create(byte))).collect::<Vec<_>>() {
        if task.await.unwrap() {
            winners.push(byte);
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(kit.read(&"p".into()).await.token, Some(hash(winners[0])));
}
