use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;

use super::store::{MemoryStore, State};
use super::store_rows::UserRows;
use crate::ids::{ProjectId, UserId};
use crate::ports::{
    ListedUser, Page, Project, ProjectAdoption, ProjectStatus, Projects, StoreError, TokenHash, UserOrder, UserQuery,
};
use crate::quota::TokenQuota;
use crate::usage::Used;

impl State {
    /// A project that can be changed.
    fn changeable(&mut self, id: &ProjectId) -> Option<&mut Project> {
        self.projects.get_mut(id).filter(|project| project.status != ProjectStatus::Deleting)
    }

    fn change(&mut self, id: &ProjectId, now: Timestamp, change: impl FnOnce(&mut Project)) -> bool {
        let Some(project) = self.changeable(id) else { return false };
        change(project);
        project.updated_at = now;
        true
    }

    /// The users of a project who live.
    pub(super) fn users_of(&self, id: &ProjectId) -> impl Iterator<Item = &UserRows> {
        self.users.iter().filter(move |(key, rows)| key.project == *id && rows.user.is_some()).map(|(_, rows)| rows)
    }
}

fn fresh(id: &ProjectId, token: Option<TokenHash>, token_quota: TokenQuota, now: Timestamp) -> Project {
    let (id, status, profile_config) = (id.clone(), ProjectStatus::Active, None);
    Project { id, status, token, profile_config, token_quota, created_at: now, updated_at: now }
}

fn listed(rows: &UserRows) -> Option<ListedUser> {
    let user = rows.user.as_ref()?;
    Some(ListedUser {
        id: user.id,
        data: user.data.clone(),
        created_at: user.created_at,
        updated_at: user.updated_at,
        profile_count: rows.slots.len() as u64,
        event_count: rows.events.len() as u64,
    })
}

fn found(user: &ListedUser, search: &str) -> bool {
    let data = user.data.as_ref().and_then(|data| serde_json::to_string(data).ok()).unwrap_or_default();
    let search = search.to_ascii_lowercase();
    [user.id.to_string(), data].iter().any(|text| text.to_ascii_lowercase().contains(&search))
}

fn paged<T>(items: impl Iterator<Item = T>, page: Page) -> Vec<T> {
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    items.skip(size(page.offset)).take(size(page.limit)).collect()
}

#[async_trait]
impl Projects for MemoryStore {
    async fn create_project(
        &self,
        id: &ProjectId,
        token: &TokenHash,
        quota: TokenQuota,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.call(|state| {
            let is_new = !state.projects.contains_key(id) && state.users_of(id).next().is_none();
            if is_new {
                state.projects.insert(id.clone(), fresh(id, Some(*token), quota, now));
                state.usage.retain(|(project, _), _| project != id);
                state.sources.remove(id);
            }
            is_new
        })
    }

    async fn adopt_project(
        &self,
        project: &Project,
        source: &str,
        implicit: bool,
    ) -> Result<ProjectAdoption, StoreError> {
        self.call(|state| state.adopt_project(project, source, implicit))
    }

    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, StoreError> {
        self.call(|state| state.projects.get(id).cloned())
    }

    async fn projects(&self, page: Page) -> Result<Vec<Project>, StoreError> {
        self.call(|state| paged(state.projects.values().cloned(), page))
    }

    async fn set_token(&self, id: &ProjectId, token: &TokenHash, now: Timestamp) -> Result<bool, StoreError> {
        self.call(|state| state.change(id, now, |project| project.token = Some(*token)))
    }

    async fn set_status(&self, id: &ProjectId, status: ProjectStatus, now: Timestamp) -> Result<bool, StoreError> {
        self.call(|state| state.change(id, now, |project| project.status = status))
    }

    async fn set_profile_config(
        &self,
        id: &ProjectId,
        config: Option<&str>,
        implicit: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.call(|state| {
            if implicit {
                state.projects.entry(id.clone()).or_insert_with(|| fresh(id, None, TokenQuota::Unset, now));
            }
            state.change(id, now, |project| project.profile_config = config.map(str::to_owned))
        })
    }

    async fn set_token_quota(
        &self,
        id: &ProjectId,
        quota: TokenQuota,
        implicit: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.call(|state| {
            if implicit {
                state.projects.entry(id.clone()).or_insert_with(|| fresh(id, None, quota, now));
            }
            state.change(id, now, |project| project.token_quota = quota)
        })
    }

    async fn deleting_projects(&self, limit: u32) -> Result<Vec<Project>, StoreError> {
        self.call(|state| {
            let deleting = state.projects.values().filter(|project| project.status == ProjectStatus::Deleting);
            deleting.take(limit as usize).cloned().collect()
        })
    }

    async fn remove_project(&self, id: &ProjectId) -> Result<bool, StoreError> {
        self.call(|state| {
            let deleting = state.projects.get(id).is_some_and(|project| project.status == ProjectStatus::Deleting);
            let goes = deleting && state.users_of(id).next().is_none();
            if goes {
                state.projects.remove(id);
                state.usage.retain(|(project, _), _| project != id);
            }
            goes
        })
    }

    async fn user_ids(&self, id: &ProjectId, limit: u32) -> Result<Vec<UserId>, StoreError> {
        self.call(|state| {
            let ids = state.users_of(id).filter_map(|rows| rows.user.as_ref()).map(|user| user.id);
            ids.take(limit as usize).collect()
        })
    }

    async fn usage(&self, id: &ProjectId, from: Date, to: Date) -> Result<Vec<(Date, Used)>, StoreError> {
        self.call(|state| {
            let days = state.usage.range((id.clone(), from)..=(id.clone(), to));
            days.map(|((_, day), used)| (*day, *used)).collect()
        })
    }

    async fn fold_usage(&self, _: u32) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn users(&self, id: &ProjectId, query: &UserQuery) -> Result<(Vec<ListedUser>, u64), StoreError> {
        self.call(|state| {
            let mut users: Vec<ListedUser> = state.users_of(id).filter_map(listed).collect();
            users.retain(|user| found(user, &query.search));
            users.sort_by(|a, b| {
                let order = match query.order {
                    UserOrder::UpdatedAt => a.updated_at.cmp(&b.updated_at),
                    UserOrder::ProfileCount => a.profile_count.cmp(&b.profile_count),
                    UserOrder::EventCount => a.event_count.cmp(&b.event_count),
                };
                (if query.descending { order.reverse() } else { order }).then(a.id.cmp(&b.id))
            });
            let count = users.len() as u64;
            (paged(users.into_iter(), query.page), count)
        })
    }
}
