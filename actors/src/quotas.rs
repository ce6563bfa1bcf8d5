//! What projects may use in a month, and what they have used of it.

use std::sync::Arc;

use memory::ids::ProjectId;
use memory::ports::{Clock, Project, Projects, StoreError};
use memory::quota::{Balance, Month};

/// Which quotas there are, and when they hold. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Quotas {
    /// The project that may have no row.
    pub(crate) default_project: ProjectId,
    /// Its tokens per month, unless it has been given a quota of its own; none: no limit.
    pub(crate) default_quota: Option<u64>,
    /// Whether flushes cost tokens: with the rules no quota holds.
    pub(crate) hold: bool,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Quotas {
    /// The quota of a project: tokens per month. None: no limit.
    pub(crate) fn of(&self, id: &ProjectId, project: Option<&Project>) -> Option<u64> {
        let default = self.default_quota.filter(|_| *id == self.default_project);
        project.map_or(default, |project| project.token_quota.tokens(default))
    }

    /// What a project with this quota has used in this month: one statement.
    pub(crate) async fn balance(
        &self,
        projects: &dyn Projects,
        id: &ProjectId,
        quota: Option<u64>,
    ) -> Result<Balance, StoreError> {
        let month = Month::of(self.clock.now());
        let (first, last) = month.days();
        let days = projects.usage(id, first, last).await?;
        let used = days.iter().map(|(_, used)| used.tokens()).fold(0, u64::saturating_add);
        Ok(Balance { quota, used, month })
    }

    /// Whether nothing is left now.
    pub(crate) fn is_used_up(&self, balance: &Balance) -> bool {
        self.hold && balance.is_used_up(self.clock.now())
    }
}
