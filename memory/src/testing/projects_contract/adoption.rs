//! Projects of another service.

use super::kit::{Kit, at, hash, none};
use crate::ids::ProjectId;
use crate::ports::ProjectAdoption::{Deleted, Here, New, Taken};
use crate::ports::{Project, ProjectAdoption, ProjectStatus};
use crate::quota::TokenQuota;
use crate::testing::texts;

/// A project as it comes.
fn there(name: &str) -> Project {
    let (profile_config, token_quota) = (Some("x".into()), TokenQuota::Unset);
    let (id, status) = (name.into(), ProjectStatus::Active);
    Project { id, status, token: None, profile_config, token_quota, created_at: at(1), updated_at: at(2) }
}

impl Kit {
    async fn adopt(&self, name: &str, source: &str) -> ProjectAdoption {
        self.projects.adopt_project(&there(name), source, false).await.unwrap()
    }

    async fn here(&self, name: &str) -> Option<Project> {
        self.projects.project(&name.into()).await.unwrap()
    }

    /// Deletes a project without users.
    async fn delete(&self, name: &str) {
        let id = ProjectId::from(name);
        self.projects.set_status(&id, ProjectStatus::Deleting, at(5)).await.unwrap();
        assert!(self.projects.remove_project(&id).await.unwrap());
    }
}

pub async fn a_project_is_adopted_as_it_is(kit: Kit) {
    for (name, token, config) in [("a", None, Some(texts::odd())), ("b", Some(hash(3)), None)] {
        for status in [ProjectStatus::Suspended, ProjectStatus::Active] {
            let name = format!("{name}-{}", status.as_str());
            let token_quota = token.map_or(TokenQuota::Tokens(5), |_| TokenQuota::Unset);
            let project = Project { status, token, profile_config: config.clone(), token_quota, ..there(&name) };
            assert_eq!(kit.projects.adopt_project(&project, &texts::odd(), false).await.unwrap(), New);
            assert_eq!(kit.here(&name).await, Some(project));
        }
    }
}

pub async fn a_project_that_is_here_stays_as_it_is(kit: Kit) {
    let id = kit.project("p").await;
    let before = kit.here("p").await;
    assert_eq!((kit.adopt("p", "s").await, kit.adopt("p", "s").await), (Here, Here));
    assert_eq!(kit.here("p").await, before);
    assert_eq!(kit.adopt("q", "s").await, New);
    kit.projects.set_profile_config(&id, Some("y"), false, at(6)).await.unwrap();
    kit.user("p", 1, 1, none()).await;
    kit.user("q", 1, 1, none()).await;
    assert_eq!((kit.adopt("p", "s").await, kit.adopt("q", "s").await), (Here, Here), "it may be repeated");
    assert_eq!(kit.here("p").await.unwrap().profile_config.as_deref(), Some("y"));
}

pub async fn a_name_with_users_is_not_adopted(kit: Kit) {
    kit.project("q").await;
    for name in ["p", "q"] {
        let (before, owner) = (kit.here(name).await, kit.user(name, 1, 1, none()).await);
        assert_eq!((kit.adopt(name, "s").await, kit.here(name).await), (Taken, before));
        kit.store.delete_user(&owner.key, at(3)).await.unwrap();
    }
    assert_eq!((kit.adopt("p", "s").await, kit.adopt("q", "s").await), (New, Here));
    kit.user("implicit", 1, 1, none()).await;
    let implicit = async |source| kit.projects.adopt_project(&there("implicit"), source, true).await.unwrap();
    assert_eq!((implicit("s").await, implicit("s").await, implicit("t").await), (New, Here, Taken));
    assert_eq!(kit.here("implicit").await, Some(there("implicit")));
}

pub async fn a_name_has_one_source(kit: Kit) {
    assert_eq!((kit.adopt("p", "s").await, kit.adopt("p", "t").await, kit.adopt("p", "s").await), (New, Taken, Here));
    assert_eq!(kit.adopt("q", "s").await, New, "a source may have been moved to two names");
}

pub async fn a_deleted_project_is_not_brought_back(kit: Kit) {
    assert_eq!(kit.adopt("p", "s").await, New);
    kit.project("q").await;
    for name in ["p", "q"] {
        kit.projects.set_status(&name.into(), ProjectStatus::Deleting, at(5)).await.unwrap();
    }
    assert_eq!((kit.adopt("p", "s").await, kit.adopt("p", "t").await), (Deleted, Taken));
    assert_eq!(kit.adopt("q", "s").await, Taken, "it never came");
    kit.delete("p").await;
    assert_eq!((kit.adopt("p", "s").await, kit.adopt("p", "t").await), (Deleted, Taken));
    assert_eq!(kit.here("p").await, None);
    kit.delete("q").await;
    assert_eq!(kit.adopt("q", "s").await, New);
}

pub async fn a_project_made_anew_has_no_source(kit: Kit) {
    for name in ["p", "q"] {
        assert_eq!(kit.adopt(name, "s").await, New);
        kit.delete(name).await;
        kit.project(name).await;
    }
    kit.user("q", 1, 1, none()).await;
    assert_eq!((kit.adopt("p", "t").await, kit.adopt("q", "s").await), (Here, Taken));
}

pub async fn concurrent_adoptions_have_one_source(kit: Kit) {
    let adopt = |source: u8| {
        let projects = kit.projects.clone();
        let work = async move { projects.adopt_project(&there("p"), &source.to_string(), false).await.unwrap() };
        (source, tokio::spawn(work))
    };
    let mut ends = Vec::new();
    for (source, task) in [0, 1, 0, 1, 0, 1, 0, 1].map(adopt) {
        ends.push((source, task.await.unwrap()));
    }
    let (winner, _) = *ends.iter().find(|(_, end)| *end == New).unwrap();
    let wanted = |source| if source == winner { Here } else { Taken };
    assert_eq!(ends.iter().filter(|(source, end)| *end == wanted(*source)).count(), 7, "{ends:?}");
}
