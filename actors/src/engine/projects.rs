use jiff::civil::Date;
use memory::ids::ProjectId;
use memory::ports::{Change, ListedUser, Page, Project, ProjectStatus, TokenHash, UserQuery};
use memory::quota::{Balance, TokenQuota};
use memory::usage::Used;

use super::Engine;
use crate::error::EngineError;
use crate::projects::Admission;

impl Engine {
    /// Whether a token opens a project; `fits` compares what is known of the project's token with it. What is known of
    /// a project is believed for five seconds.
    ///
    /// # Errors
    /// When the store is away, or too many tokens of unknown projects come.
    pub async fn admit(&self, id: &ProjectId, fits: impl Fn(&TokenHash) -> bool) -> Result<Admission, EngineError> {
        self.0.context.projects.admit(id, fits).await
    }

    /// Creates a project. Where the quota is not set, it gets the one that new projects get.
    ///
    /// # Errors
    /// [`EngineError::ProjectExists`] when the name is taken.
    pub async fn create_project(
        &self,
        id: &ProjectId,
        token: &TokenHash,
        quota: TokenQuota,
    ) -> Result<Project, EngineError> {
        let quota = TokenQuota::from(quota.tokens(self.0.settings.token_quota));
        if self.is_default(id) || !self.ports().projects.create_project(id, token, quota, self.now()).await? {
            return Err(EngineError::ProjectExists);
        }
        self.tell_changed(id).await;
        self.project(id).await?.ok_or_else(|| EngineError::UnknownProject(id.clone()))
    }

    /// The row of a project. The default project has none until something is set for it.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn project(&self, id: &ProjectId) -> Result<Option<Project>, EngineError> {
        Ok(self.ports().projects.project(id).await?)
    }

    /// Lists the rows of projects by name.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn projects(&self, page: Page) -> Result<Vec<Project>, EngineError> {
        Ok(self.ports().projects.projects(page).await?)
    }

    /// Replaces a project's token. The old one opens nothing any more, on other processes within five seconds.
    ///
    /// # Errors
    /// [`EngineError::UnknownProject`]; [`EngineError::DefaultProject`] for the default project.
    pub async fn rotate_token(&self, id: &ProjectId, token: &TokenHash) -> Result<(), EngineError> {
        self.check_own(id)?;
        let done = self.ports().projects.set_token(id, token, self.now()).await?;
        self.changed_project(id, done).await
    }

    /// Suspends or resumes a project, or begins to delete it: from then on it refuses requests, and its users are deleted
    /// one by one, by the sweeper. It is gone two minutes later at the earliest, when no request can be under way for it.
    ///
    /// # Errors
    /// [`EngineError::UnknownProject`]; [`EngineError::DefaultProject`] for the default project.
    pub async fn set_project_status(&self, id: &ProjectId, status: ProjectStatus) -> Result<(), EngineError> {
        self.check_own(id)?;
        let done = self.ports().projects.set_status(id, status, self.now()).await?;
        self.changed_project(id, done).await
    }

    /// Sets or removes the profile configuration of a project, which was checked.
    ///
    /// # Errors
    /// [`EngineError::UnknownProject`].
    pub async fn set_profile_config(&self, id: &ProjectId, config: Option<&str>) -> Result<(), EngineError> {
        let implicit = self.is_default(id);
        let done = self.ports().projects.set_profile_config(id, config, implicit, self.now()).await?;
        self.changed_project(id, done).await
    }

    /// Sets how many tokens a project may use in a month. What waits for tokens is flushed as soon as there are some.
    ///
    /// # Errors
    /// [`EngineError::UnknownProject`].
    pub async fn set_token_quota(&self, id: &ProjectId, quota: TokenQuota) -> Result<(), EngineError> {
        let implicit = self.is_default(id);
        let done = self.ports().projects.set_token_quota(id, quota, implicit, self.now()).await?;
        self.changed_project(id, done).await?;
        // It is set: when it cannot be read now, it is read later.
        let _ = self.0.context.projects.get(id).await;
        Ok(())
    }

    /// How many tokens a project may use in a month, by its row; none: as many as it likes.
    pub fn token_quota(&self, id: &ProjectId, project: Option<&Project>) -> Option<u64> {
        self.0.quotas.of(id, project)
    }

    /// What a project has used of its quota in this month, as the store has it.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn balance(&self, id: &ProjectId) -> Result<Balance, EngineError> {
        let projects = &self.ports().projects;
        let project = projects.project(id).await?;
        let quota = self.0.quotas.of(id, project.as_ref());
        Ok(self.0.quotas.balance(&**projects, id, quota).await?)
    }

    /// Reads what is to be known of the default project, so that its first requests need not wait for that.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn learn(&self) -> Result<(), EngineError> {
        if !self.0.quotas.hold {
            return Ok(());
        }
        self.0.context.projects.get(&self.0.settings.default_project).await?;
        Ok(())
    }

    /// Refuses what needs tokens later while the project has none.
    pub(super) fn check_quota(&self, id: &ProjectId) -> Result<(), EngineError> {
        let held = self.0.context.projects.known_held(id);
        held.map_or(Ok(()), |balance| Err(EngineError::QuotaUsedUp(balance)))
    }

    /// Lists users of a project, and counts all that the search finds.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn project_users(
        &self,
        id: &ProjectId,
        query: &UserQuery,
    ) -> Result<(Vec<ListedUser>, u64), EngineError> {
        Ok(self.ports().projects.users(id, query).await?)
    }

    /// What a project has used on the days from `from` to `to` that it used something, the earliest first.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn usage(&self, id: &ProjectId, from: Date, to: Date) -> Result<Vec<(Date, Used)>, EngineError> {
        Ok(self.ports().projects.usage(id, from, to).await?)
    }

    /// Makes sure that store and journal answer.
    ///
    /// # Errors
    /// When one of them is away.
    pub async fn check(&self) -> Result<(), EngineError> {
        self.check_running()?;
        self.ports().projects.deleting_projects(1).await?;
        self.ports().journal.due(self.0.settings.flush_interval, None, 1).await?;
        Ok(())
    }

    fn is_default(&self, id: &ProjectId) -> bool {
        *id == self.0.settings.default_project
    }

    fn check_own(&self, id: &ProjectId) -> Result<(), EngineError> {
        if self.is_default(id) { Err(EngineError::DefaultProject) } else { Ok(()) }
    }

    async fn changed_project(&self, id: &ProjectId, done: bool) -> Result<(), EngineError> {
        self.tell_changed(id).await;
        if done { Ok(()) } else { Err(EngineError::UnknownProject(id.clone())) }
    }

    /// Tells this process and the others that a project has changed.
    async fn tell_changed(&self, id: &ProjectId) {
        self.0.context.projects.changed(id);
        self.ports().changes.announce(&Change::Project(id.clone())).await;
    }
}
