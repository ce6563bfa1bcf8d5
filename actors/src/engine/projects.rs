use jiff::civil::Date;
use memory::ids::ProjectId;
use memory::ports::{Change, ListedUser, Page, Project, ProjectStatus, TokenHash, UserQuery};
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

    /// Creates a project.
    ///
    /// # Errors
    /// [`EngineError::ProjectExists`] when the name is taken.
    pub async fn create_project(&self, id: &ProjectId, token: &TokenHash) -> Result<Project, EngineError> {
        if self.is_default(id) || !self.ports().projects.create_project(id, token, self.now()).await? {
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
