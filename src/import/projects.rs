//! Where the projects arrive.

use jiff::Timestamp;
use memory::ids::ProjectId;
use memory::ports::{Change, Project, ProjectAdoption, ProjectStatus};
use memory::profile_config::ProfileConfig;
use memory::quota::TokenQuota;

use super::convert::{self, Reason};
use super::desk::{Desk, Destination};
use super::report::Kind;
use super::source::ProjectRow;

/// The default project of Memobase.
const DEFAULT: &str = "__root__";

const BAD_NAME: Reason = "the name has other characters than letters, digits, '_' and '-', or is too long";
const DEFAULT_HERE: Reason = "it is the name of the default project here (project_id), which __root__ becomes";
const TAKEN: Reason = "a project of this name is or was here, with users of its own or from elsewhere; it is filled if you create it anew";
const BAD_CONFIG: Reason = "profile_config cannot be used, and was left out";
const BAD_STATUS: Reason = "the status is not known: the project is suspended here";
const NO_SUSPENSION: Reason = "the default project is not active there, and cannot be suspended here";

/// What is wrong with the settings of a project.
#[derive(Default)]
struct Flaws {
    status: Option<Reason>,
    /// Why `profile_config` cannot be used.
    config: Option<String>,
    /// Keys in it that have no effect here.
    idle_keys: usize,
}

impl Desk<'_> {
    /// Where the users of a project go. A project that is here stays as it is.
    pub(super) async fn project(&mut self, name: &str, row: Option<ProjectRow>) -> anyhow::Result<Destination> {
        let id = match self.id_of(name) {
            Ok(id) => id,
            Err(reason) => {
                self.report.left(Kind::Project, reason, name);
                return Ok(Destination::Refused);
            }
        };
        let row = row.unwrap_or_default();
        // The name alone would be that of every __root__.
        let source = row.id.map_or_else(|| name.to_owned(), |id| format!("{name} {id}"));
        let (project, flaws) = self.settings(id.clone(), row);
        match self.adopt_project(&project, &source).await? {
            ProjectAdoption::New => {
                self.report.moved(Kind::Project, 1);
                self.tell_of_token(&project);
            }
            ProjectAdoption::Here => {
                self.report.here(Kind::Project, 1);
                self.compare(&project).await?;
            }
            ProjectAdoption::Deleted => {
                self.report.deleted(Kind::Project, 1);
                return Ok(Destination::Deleted);
            }
            ProjectAdoption::Taken => {
                self.report.left(Kind::Project, TAKEN, name);
                return Ok(Destination::Refused);
            }
        }
        self.tell_of_flaws(name, &flaws);
        Ok(Destination::Project(id))
    }

    fn is_default(&self, id: &ProjectId) -> bool {
        id.as_str() == self.config.project_id
    }

    /// The name that a project has here.
    fn id_of(&mut self, name: &str) -> Result<ProjectId, Reason> {
        let default = self.config.project_id.as_str();
        match name {
            DEFAULT => {
                if default != DEFAULT {
                    self.report.renamed(DEFAULT, default);
                }
                Ok(default.into())
            }
            name if name == default => Err(DEFAULT_HERE),
            name => ProjectId::checked(name).map_err(|_| BAD_NAME),
        }
    }

    /// The project with its settings, as far as they can be taken, and what is wrong with them.
    fn settings(&self, id: ProjectId, row: ProjectRow) -> (Project, Flaws) {
        let mut flaws = Flaws::default();
        let (status, flaw) = match row.status.as_deref() {
            Some("ultra" | "pro" | "active") | None => (ProjectStatus::Active, None),
            Some(_) if self.is_default(&id) => (ProjectStatus::Active, Some(NO_SUSPENSION)),
            Some("suspended") => (ProjectStatus::Suspended, None),
            Some(_) => (ProjectStatus::Suspended, Some(BAD_STATUS)),
        };
        flaws.status = flaw;
        let mut profile_config = row.profile_config.filter(|text| !text.trim().is_empty());
        match profile_config.as_deref().map(ProfileConfig::parse) {
            Some(Ok(config)) => flaws.idle_keys = config.ignored.len(),
            Some(Err(error)) => {
                flaws.config = Some(error.to_string());
                profile_config = None;
            }
            None => {}
        }
        let now = Timestamp::now();
        // Nothing hangs on the times of a project.
        let [created_at, updated_at] = [row.created, row.updated].map(|at| convert::instant(at).unwrap_or(now));
        // As for one that is created here. What was left of an account there is no quota of a month.
        let token_quota = match self.is_default(&id) {
            true => TokenQuota::Unset,
            false => TokenQuota::from(self.config.token_quota()),
        };
        (Project { id, status, token: None, profile_config, token_quota, created_at, updated_at }, flaws)
    }

    /// Tells what is wrong with the settings of a project that is here: of one that came before, too, since what could not
    /// be taken then has not come since.
    fn tell_of_flaws(&mut self, name: &str, flaws: &Flaws) {
        if let Some(flaw) = flaws.status {
            self.report.left(Kind::Setting, flaw, name);
        }
        if let Some(error) = &flaws.config {
            self.report.left(Kind::Setting, BAD_CONFIG, format_args!("{name}: {error}"));
        }
        self.report.idle_keys(flaws.idle_keys);
    }

    async fn adopt_project(&self, project: &Project, source: &str) -> anyhow::Result<ProjectAdoption> {
        let Some(target) = self.target else { return Ok(ProjectAdoption::New) };
        let adoption = target.projects.adopt_project(project, source, self.is_default(&project.id)).await?;
        if adoption == ProjectAdoption::New {
            target.changes.announce(&Change::Project(project.id.clone())).await;
        }
        Ok(adoption)
    }

    /// Tells what is to be told of a project that stays as it is here.
    async fn compare(&mut self, there: &Project) -> anyhow::Result<()> {
        let Some(target) = self.target else { return Ok(()) };
        // Deleted this very moment: its users will tell.
        let Some(here) = target.projects.project(&there.id).await? else { return Ok(()) };
        if (here.status, &here.profile_config) != (there.status, &there.profile_config) {
            self.report.differs(here.id.as_str());
        }
        self.tell_of_token(&here);
        Ok(())
    }

    /// A project without a token opens to nobody.
    fn tell_of_token(&mut self, project: &Project) {
        if project.token.is_none() && !self.is_default(&project.id) {
            self.report.locked(project.id.as_str());
        }
    }
}
