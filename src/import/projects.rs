//! Where the projects arrive.

use jiff::Timestamp;
use memory::ids::ProjectId;
use memory::ports::{Change, Project, ProjectStatus};
use memory::profile_config::ProfileConfig;
use memory::quota::TokenQuota;

use super::convert::{self, Reason};
use super::desk::Desk;
use super::report::Kind;
use super::source::ProjectRow;

/// The default project of Memobase.
const DEFAULT: &str = "__root__";

const BAD_NAME: Reason = "the name has other characters than letters, digits, '_' and '-', or is too long";
const DELETING: Reason = "a project of this name is being deleted here";
const TAKEN: Reason = "it is the name of the default project here: set another project_id, or import it alone";
const BAD_CONFIG: Reason = "profile_config cannot be used, and was left out";
const BAD_STATUS: Reason = "the status is not known: the project is suspended here";
const NO_SUSPENSION: Reason = "the default project is not active there, and cannot be suspended here";

impl Desk<'_> {
    /// The project that one of `names` becomes; none when it cannot be here. One that is here stays as it is.
    pub(super) async fn project(
        &mut self,
        name: &str,
        row: Option<ProjectRow>,
        names: &[String],
    ) -> anyhow::Result<Option<ProjectId>> {
        let id = match self.id_of(name, names) {
            Ok(id) => id,
            Err(reason) => {
                self.report.left(Kind::Project, reason, name);
                return Ok(None);
            }
        };
        let present = match self.target {
            Some(target) => target.projects.project(&id).await?,
            None => None,
        };
        match present {
            Some(Project { status: ProjectStatus::Deleting, .. }) => {
                self.report.left(Kind::Project, DELETING, name);
                return Ok(None);
            }
            Some(project) => {
                self.report.here(Kind::Project, 1);
                self.tell_of_token(&project);
            }
            None => {
                let project = self.settings(id.clone(), name, row);
                self.adopt_project(&project).await?;
            }
        }
        Ok(Some(id))
    }

    fn is_default(&self, id: &ProjectId) -> bool {
        id.as_str() == self.config.project_id
    }

    /// The name that a project has here.
    fn id_of(&mut self, name: &str, names: &[String]) -> Result<ProjectId, Reason> {
        let default = self.config.project_id.as_str();
        match name {
            DEFAULT => {
                if default != DEFAULT {
                    self.report.renamed(DEFAULT, default);
                }
                Ok(default.into())
            }
            name if name == default && names.iter().any(|other| other == DEFAULT) => Err(TAKEN),
            name => ProjectId::checked(name).map_err(|_| BAD_NAME),
        }
    }

    /// The project with its settings, as far as they can be taken.
    fn settings(&mut self, id: ProjectId, name: &str, row: Option<ProjectRow>) -> Project {
        let row = row.unwrap_or_default();
        let (status, flaw) = match row.status.as_deref() {
            Some("ultra" | "pro" | "active") | None => (ProjectStatus::Active, None),
            Some(_) if self.is_default(&id) => (ProjectStatus::Active, Some(NO_SUSPENSION)),
            Some("suspended") => (ProjectStatus::Suspended, None),
            Some(_) => (ProjectStatus::Suspended, Some(BAD_STATUS)),
        };
        if let Some(flaw) = flaw {
            self.report.left(Kind::Setting, flaw, name);
        }
        let mut profile_config = row.profile_config.filter(|text| !text.trim().is_empty());
        match profile_config.as_deref().map(ProfileConfig::parse) {
            Some(Ok(config)) => self.report.idle_keys(config.ignored.len()),
            Some(Err(error)) => {
                self.report.left(Kind::Setting, BAD_CONFIG, format_args!("{name}: {error}"));
                profile_config = None;
            }
            None => {}
        }
        let now = Timestamp::now();
        // Nothing hangs on the times of a project.
        let [created_at, updated_at] = [row.created, row.updated].map(|at| convert::instant(at).unwrap_or(now));
        let token_quota = TokenQuota::Unset;
        Project { id, status, token: None, profile_config, token_quota, created_at, updated_at }
    }

    /// The default project is here in any case, and needs a row for its configuration alone.
    async fn adopt_project(&mut self, project: &Project) -> anyhow::Result<()> {
        let is_default = self.is_default(&project.id);
        let is_new = !is_default || project.profile_config.is_some();
        let is_new = is_new
            && match self.target {
                Some(target) => target.projects.adopt_project(project).await?,
                None => true,
            };
        if !is_new {
            self.report.here(Kind::Project, 1);
            return Ok(());
        }
        self.report.moved(Kind::Project, 1);
        self.tell_of_token(project);
        if let Some(target) = self.target {
            target.changes.announce(&Change::Project(project.id.clone())).await;
        }
        Ok(())
    }

    /// A project without a token opens to nobody.
    fn tell_of_token(&mut self, project: &Project) {
        if project.token.is_none() && !self.is_default(&project.id) {
            self.report.locked(project.id.as_str());
        }
    }
}
