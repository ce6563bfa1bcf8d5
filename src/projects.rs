//! `powermemo project`: projects from the command line, on the database that servers work with.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use jiff::Timestamp;
use memory::ids::{ProjectId, UserKey};
use memory::ports::{Page, Project, ProjectStatus, Projects, Store};
use memory::quota::TokenQuota;
use tokio::runtime::Builder;

use crate::backends::Database;
use crate::config::Config;
use crate::token;
use crate::words::counted;

/// Projects that are read at a time.
const PAGE: u64 = 500;
/// Users that are read at a time, to be deleted one by one.
const USERS: u32 = 500;

/// What to do with projects. Servers need not be stopped; they notice within five seconds.
#[derive(Clone, PartialEq, Debug, Subcommand)]
pub enum ProjectCommand {
    /// Create a project and print its token, which is shown this once.
    Create {
        /// Its name: 1 to 64 letters, digits, '_' or '-'.
        name: String,
        /// Tokens of model calls that it may use in a month, or none; left out: project_token_quota_per_month.
        #[arg(long, value_name = "TOKENS", value_parser = read_quota)]
        token_quota: Option<TokenQuota>,
    },
    /// List all projects with their status and their quota of tokens.
    List,
    /// Set how many tokens of model calls a project may use in a month. What waits for tokens is then processed.
    SetQuota {
        /// Its name; the default project has a quota, too.
        name: String,
        /// Tokens, or none for no limit.
        #[arg(value_name = "TOKENS", value_parser = read_quota)]
        quota: TokenQuota,
    },
    /// Print a new token for a project; the old one opens nothing any more.
    RotateToken {
        /// Its name.
        name: String,
    },
    /// Refuse all requests for a project.
    Suspend {
        /// Its name.
        name: String,
    },
    /// Take requests for a suspended project again.
    Resume {
        /// Its name.
        name: String,
    },
    /// Delete a project with all its users.
    Delete {
        /// Its name.
        name: String,
    },
}

fn read_quota(text: &str) -> Result<TokenQuota, String> {
    if text == "none" {
        return Ok(TokenQuota::Unlimited);
    }
    let tokens = text.parse::<u64>().ok().filter(|tokens| *tokens <= TokenQuota::MOST);
    tokens.map(TokenQuota::Tokens).ok_or_else(|| format!("must be a number from 0 to {}, or none", TokenQuota::MOST))
}

/// Does it, and says what was done.
///
/// # Errors
/// When the database cannot be used, or there is no such project.
pub fn run(config: &Config, command: &ProjectCommand) -> anyhow::Result<()> {
    let io = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    io.block_on(async {
        let database = Database::open_beside(config).await?;
        let desk = Desk {
            default: &config.project_id,
            default_quota: config.token_quota(),
            projects: database.projects(),
            store: database.store(),
        };
        let told = desk.run(command).await;
        let closed = database.close().await;
        println!("{}", told?);
        closed
    })
}

/// A quota in words.
fn told(quota: Option<u64>) -> String {
    quota.map_or_else(|| "no limit of tokens".to_owned(), |tokens| format!("{tokens} tokens per month"))
}

/// A project in a list.
fn line(project: &Project) -> String {
    let Project { id, status, created_at, token_quota, .. } = project;
    format!("{id}\t{}\tcreated {created_at:.0}\t{}", status.as_str(), told(token_quota.tokens(None)))
}

struct Desk<'c> {
    default: &'c str,
    default_quota: Option<u64>,
    projects: Arc<dyn Projects>,
    store: Arc<dyn Store>,
}

impl Desk<'_> {
    async fn run(&self, command: &ProjectCommand) -> anyhow::Result<String> {
        match command {
            ProjectCommand::Create { name, token_quota } => self.create(name, token_quota.unwrap_or_default()).await,
            ProjectCommand::List => self.list().await,
            ProjectCommand::SetQuota { name, quota } => self.set_quota(name, *quota).await,
            ProjectCommand::RotateToken { name } => self.rotate(name).await,
            ProjectCommand::Suspend { name } => {
                self.set(name, ProjectStatus::Suspended).await?;
                Ok(format!("project {name} is suspended"))
            }
            ProjectCommand::Resume { name } => {
                self.set(name, ProjectStatus::Active).await?;
                Ok(format!("project {name} is active"))
            }
            ProjectCommand::Delete { name } => self.delete(name).await,
        }
    }

    /// The project of this name, which is not the default one.
    fn named(&self, name: &str) -> anyhow::Result<ProjectId> {
        let default = "is the default project: its token is ACCESS_TOKEN, and it can be neither suspended nor deleted";
        ensure!(name != self.default, "{name} {default}");
        Ok(ProjectId::checked(name)?)
    }

    async fn create(&self, name: &str, quota: TokenQuota) -> anyhow::Result<String> {
        let id = self.named(name)?;
        let (token, hash) = token::make(&id)?;
        let quota = TokenQuota::from(quota.tokens(self.default_quota));
        let created = self.projects.create_project(&id, &hash, quota, Timestamp::now()).await?;
        ensure!(created, "there is a project {name} already");
        Ok(token)
    }

    async fn set_quota(&self, name: &str, quota: TokenQuota) -> anyhow::Result<String> {
        let is_default = name == self.default;
        let id = if is_default { ProjectId::from(name) } else { ProjectId::checked(name)? };
        let done = self.projects.set_token_quota(&id, quota, is_default, Timestamp::now()).await?;
        ensure!(done, "there is no project {name}, or it is being deleted");
        Ok(format!("project {name}: {}", told(quota.tokens(None))))
    }

    async fn rotate(&self, name: &str) -> anyhow::Result<String> {
        let id = self.named(name)?;
        let (token, hash) = token::make(&id)?;
        ensure!(self.projects.set_token(&id, &hash, Timestamp::now()).await?, "there is no project {name}");
        Ok(token)
    }

    async fn set(&self, name: &str, status: ProjectStatus) -> anyhow::Result<()> {
        let done = self.projects.set_status(&self.named(name)?, status, Timestamp::now()).await?;
        ensure!(done, "there is no project {name}, or it is being deleted");
        Ok(())
    }

    async fn list(&self) -> anyhow::Result<String> {
        let default = self.projects.project(&ProjectId::from(self.default)).await?;
        let quota = default.map(|project| project.token_quota).unwrap_or_default().tokens(self.default_quota);
        let mut lines = vec![format!("{}\tactive\tdefault\t{}", self.default, told(quota))];
        for offset in (0..).step_by(usize::try_from(PAGE).unwrap_or(1)) {
            let page = Page { offset, limit: PAGE };
            let projects = self.projects.projects(page).await?;
            let others = projects.iter().filter(|project| project.id.as_str() != self.default);
            lines.extend(others.map(line));
            if (projects.len() as u64) < PAGE {
                break;
            }
        }
        Ok(lines.join("\n"))
    }

    async fn delete(&self, name: &str) -> anyhow::Result<String> {
        let id = self.named(name)?;
        // One whose deletion was broken off is gone on with.
        if !self.projects.set_status(&id, ProjectStatus::Deleting, Timestamp::now()).await? {
            let project = self.projects.project(&id).await?;
            project.with_context(|| format!("there is no project {name}"))?;
        }
        let mut deleted = 0;
        loop {
            let users = self.projects.user_ids(&id, USERS).await?;
            if users.is_empty() {
                break;
            }
            for user in users {
                let key = UserKey { project: id.clone(), user };
                deleted += usize::from(self.store.delete_user(&key, Timestamp::now()).await?.is_some());
            }
        }
        let users = counted(deleted, "user");
        Ok(format!(
            "project {name} is deleted with {users}; a server, at its next start if none runs now, removes what waited \
             for them and then lets the name be used again"
        ))
    }
}
