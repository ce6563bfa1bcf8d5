//! What is known of projects: kept for a moment, so that neither a request with a project's token nor a flush asks the
//! store each time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memory::flush::FlushSettings;
use memory::ids::ProjectId;
use memory::ports::{Project, ProjectStatus, Projects, StoreError, TokenHash};
use memory::profile_config::ProfileConfig;
use memory::quota::Balance;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::error::{EngineError, RETRY_AFTER};
use crate::outages;
use crate::quotas::Quotas;

/// How long what was read is believed. The change feed tells of changes sooner; commands, and processes that died before
/// they told, do not.
const TRUST: Duration = Duration::from_secs(5);
/// How soon a token that does not fit makes the project be read again: it may just have been replaced.
const DISTRUST: Duration = Duration::from_secs(1);
/// How soon a store that was away is asked again, while what is known is used.
const RETRY: Duration = Duration::from_secs(1);
/// Projects that are kept at most.
const MAX_KEPT: usize = 10_000;
/// Projects that are looked up at the same time for the sake of a token.
const MAX_LOOKUPS: usize = 16;
/// How long such a look-up may wait for its turn.
const LOOKUP_WAIT: Duration = Duration::from_secs(2);
/// How long inserts believe that a project has tokens left, unless a change is told: its own flushes are counted, those of
/// other processes wait for it.
const QUOTA_TRUST: Duration = Duration::from_secs(60);
/// Tokens of unknown projects per second from which on no more projects are looked up for tokens, until it is over.
const MAX_UNKNOWN: u32 = 100;

/// What is known of a project.
pub(crate) struct KnownProject {
    /// Its row; none when it has none.
    pub(crate) project: Option<Project>,
    /// How its flushes are run. The same for as long as its profile configuration is.
    pub(crate) flush: Arc<FlushSettings>,
    /// What it had used of its quota when that was read; none when it has no quota, or none that holds.
    balance: Option<Balance>,
    /// Tokens that flushes of this process have used at all, and before that was read.
    spent: Arc<AtomicU64>,
    spent_before: u64,
}

impl KnownProject {
    fn balance(&self) -> Option<Balance> {
        let since = self.spent.load(Ordering::Relaxed).saturating_sub(self.spent_before);
        self.balance.map(|balance| Balance { used: balance.used.saturating_add(since), ..balance })
    }
}

/// What is read of a project.
struct Seen {
    project: Option<Project>,
    balance: Option<Balance>,
}

/// What was so before a project is read.
struct Before {
    changes: u64,
    spent: Arc<AtomicU64>,
    spent_before: u64,
}

/// Whether a token opens a project.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It does.
    Open,
    /// It is the project's token, but the project is suspended or being deleted.
    Closed(ProjectStatus),
    /// There is no such project, or it has another token.
    Refused,
}

struct Entry {
    known: Arc<KnownProject>,
    read_at: Instant,
    /// It has changed since.
    is_void: bool,
    /// When it was last read in the background, or is being read.
    renewed_at: Option<Instant>,
}

#[derive(Default)]
struct State {
    entries: HashMap<ProjectId, Entry>,
    /// Counts the changes that were told: what was read before one may be older.
    changes: u64,
    /// The second that is counted, and the tokens of unknown projects in it.
    unknown: Option<(Instant, u32)>,
}

pub(crate) struct ProjectCache {
    projects: Arc<dyn Projects>,
    /// Of projects without a profile configuration.
    settings: Arc<FlushSettings>,
    quotas: Quotas,
    /// For projects that nothing is known of.
    lookups: Semaphore,
    /// For those that were known a moment ago: strangers' tokens do not keep them waiting.
    renewals: Semaphore,
    state: Mutex<State>,
}

impl ProjectCache {
    pub(crate) fn new(projects: Arc<dyn Projects>, settings: Arc<FlushSettings>, quotas: Quotas) -> Self {
        Self {
            projects,
            settings,
            quotas,
            lookups: Semaphore::new(MAX_LOOKUPS),
            renewals: Semaphore::new(MAX_LOOKUPS),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half changed by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was read no longer than this ago.
    fn kept(&self, id: &ProjectId, trust: Duration) -> Option<Arc<KnownProject>> {
        let state = self.state();
        let entry = state.entries.get(id).filter(|entry| !entry.is_void && entry.read_at.elapsed() < trust)?;
        Some(entry.known.clone())
    }

    /// A project has changed.
    pub(crate) fn changed(&self, id: &ProjectId) {
        let mut state = self.state();
        state.changes += 1;
        if let Some(entry) = state.entries.get_mut(id) {
            entry.is_void = true;
        }
    }

    /// All projects may have changed: each is read again before it is used, unless the store is away.
    pub(crate) fn all_changed(&self) {
        let long_ago = Instant::now().checked_sub(QUOTA_TRUST);
        for entry in self.state().entries.values_mut() {
            entry.read_at = long_ago.unwrap_or(entry.read_at);
        }
    }

    /// A project as it is now, give or take five seconds. While the store is away, as it was when it was last read.
    pub(crate) async fn get(&self, id: &ProjectId) -> Result<Arc<KnownProject>, StoreError> {
        match self.kept(id, TRUST) {
            Some(kept) => Ok(kept),
            None => self.read(id, true).await,
        }
    }

    /// Reads a project. One without a row is kept if `keep_absent`.
    async fn read(&self, id: &ProjectId, keep_absent: bool) -> Result<Arc<KnownProject>, StoreError> {
        let before = self.before(id);
        match self.look(id).await {
            Ok(seen) => Ok(self.take_in(id, seen, before, keep_absent)),
            Err(error) => {
                let mut state = self.state();
                match state.entries.get_mut(id).filter(|entry| !entry.is_void) {
                    Some(entry) if matches!(error, StoreError::Unavailable(_)) => {
                        outages::store_failed(&error);
                        // No sooner again than in a moment: a store that is away may take its time to say so.
                        entry.read_at = Instant::now().checked_sub(TRUST - RETRY).unwrap_or(entry.read_at);
                        Ok(entry.known.clone())
                    }
                    _ => Err(error),
                }
            }
        }
    }

    fn before(&self, id: &ProjectId) -> Before {
        let state = self.state();
        let spent = state.entries.get(id).map(|entry| entry.known.spent.clone()).unwrap_or_default();
        // What is counted from here on may be in what is read as well: rather too much for a moment than too little.
        Before { changes: state.changes, spent_before: spent.load(Ordering::Relaxed), spent }
    }

    /// The row of a project and, if it has a quota that holds, what it has used of that: a second statement.
    async fn look(&self, id: &ProjectId) -> Result<Seen, StoreError> {
        let project = self.projects.project(id).await?;
        let balance = match self.quotas.of(id, project.as_ref()).filter(|_| self.quotas.hold) {
            Some(quota) => Some(self.quotas.balance(&*self.projects, id, Some(quota)).await?),
            None => None,
        };
        Ok(Seen { project, balance })
    }

    fn take_in(&self, id: &ProjectId, seen: Seen, before: Before, keep_absent: bool) -> Arc<KnownProject> {
        let (Seen { project, balance }, Before { changes, spent, spent_before }) = (seen, before);
        let mut state = self.state();
        let config = |project: &Option<Project>| project.as_ref().and_then(|p| p.profile_config.clone());
        let before = state.entries.get(id).filter(|entry| config(&entry.known.project) == config(&project));
        let flush = match before {
            Some(entry) => entry.known.flush.clone(),
            None => self.settings_of(id, config(&project).as_deref()),
        };
        let absent = project.is_none();
        let known = Arc::new(KnownProject { project, flush, balance, spent, spent_before });
        if absent && !keep_absent {
            state.entries.remove(id);
            return known;
        }
        if state.entries.len() >= MAX_KEPT && !state.entries.contains_key(id) {
            // What is known of the default project stays, since no token of it is looked up.
            let default = &self.quotas.default_project;
            state.entries.retain(|id, entry| id == default || (!entry.is_void && entry.read_at.elapsed() < TRUST));
            if state.entries.len() >= MAX_KEPT {
                return known;
            }
        }
        let is_void = state.changes != changes;
        state
            .entries
            .insert(id.clone(), Entry { known: known.clone(), read_at: Instant::now(), is_void, renewed_at: None });
        known
    }

    /// Counts what a flush of this process has used, until what the store has counted is read.
    pub(crate) fn spent(&self, id: &ProjectId, tokens: u64) {
        if let Some(entry) = self.state().entries.get(id) {
            entry.known.spent.fetch_add(tokens, Ordering::Relaxed);
        }
    }

    fn used_up(&self, known: &KnownProject) -> Option<Balance> {
        known.balance().filter(|balance| self.quotas.is_used_up(balance))
    }

    /// What a project has used, if that is all that it may use now, give or take five seconds. While the store is away
    /// and nothing is known, none.
    pub(crate) async fn held(&self, id: &ProjectId) -> Option<Balance> {
        if !self.quotas.hold {
            return None;
        }
        self.get(id).await.ok().and_then(|known| self.used_up(&known))
    }

    /// The same for whoever must neither wait nor cost a statement each time: by what is known already. Where that may
    /// have changed, it is read in the background, once a second at most.
    pub(crate) fn known_held(self: &Arc<Self>, id: &ProjectId) -> Option<Balance> {
        if !self.quotas.hold {
            return None;
        }
        let mut state = self.state();
        let entry = state.entries.get_mut(id)?;
        let used_up = self.used_up(&entry.known);
        let trust = if used_up.is_some() { TRUST } else { QUOTA_TRUST };
        let is_old = entry.is_void || entry.read_at.elapsed() >= trust;
        if is_old && entry.renewed_at.is_none_or(|at| at.elapsed() >= RETRY) {
            entry.renewed_at = Some(Instant::now());
            let (cache, id) = (self.clone(), id.clone());
            // A failure is logged where it is met, and this is done again.
            tokio::spawn(async move { cache.read(&id, true).await.map(drop) });
        }
        used_up
    }

    fn settings_of(&self, id: &ProjectId, config: Option<&str>) -> Arc<FlushSettings> {
        let Some(config) = config else { return self.settings.clone() };
        match ProfileConfig::parse(config) {
            Ok(config) if config == ProfileConfig::default() => self.settings.clone(),
            Ok(config) => {
                let policy = Arc::new(config.over(&self.settings.policy));
                Arc::new(FlushSettings { policy, ..FlushSettings::clone(&self.settings) })
            }
            Err(_) => {
                // It was checked when it was set, so another version has set it.
                tracing::error!(project = %id, "the profile configuration of a project cannot be read; it has no effect");
                self.settings.clone()
            }
        }
    }

    /// Whether a token opens a project; `fits` compares what is known of the project's token with it.
    ///
    /// # Errors
    /// When the store is away, or too many tokens of unknown projects come.
    pub(crate) async fn admit(
        &self,
        id: &ProjectId,
        fits: impl Fn(&TokenHash) -> bool,
    ) -> Result<Admission, EngineError> {
        let fitting = |known: &KnownProject| {
            let project = known.project.as_ref()?;
            project.token.as_ref().is_some_and(&fits).then_some(match project.status {
                ProjectStatus::Active => Admission::Open,
                closed => Admission::Closed(closed),
            })
        };
        if let Some(admission) = self.kept(id, TRUST).and_then(|known| fitting(&known)) {
            return Ok(admission);
        }
        // Whoever knows the name of a project can make it be read once a second.
        let known = match self.kept(id, DISTRUST) {
            Some(known) if known.project.is_some() => known,
            _ => self.look_up(id).await?,
        };
        Ok(fitting(&known).unwrap_or(Admission::Refused))
    }

    /// Reads a project for the sake of a token, as long as that is not overdone.
    async fn look_up(&self, id: &ProjectId) -> Result<Arc<KnownProject>, EngineError> {
        // Whoever sends tokens of unknown projects does not shut known ones out.
        let is_known = self.state().entries.get(id).is_some_and(|entry| entry.known.project.is_some());
        let turns = if is_known { &self.renewals } else { &self.lookups };
        let check = || if is_known { Ok(()) } else { self.check_unknown() };
        check()?;
        let permit = timeout(LOOKUP_WAIT, turns.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(too_many()) };
        // Somebody may have read it meanwhile.
        if let Some(known) = self.kept(id, DISTRUST).filter(|known| known.project.is_some()) {
            return Ok(known);
        }
        check()?;
        let known = self.read(id, false).await?;
        if known.project.is_none() {
            self.count_unknown();
        }
        Ok(known)
    }

    fn check_unknown(&self) -> Result<(), EngineError> {
        match self.state().unknown {
            Some((since, count)) if count >= MAX_UNKNOWN && since.elapsed() < RETRY_AFTER => Err(too_many()),
            _ => Ok(()),
        }
    }

    fn count_unknown(&self) {
        let mut state = self.state();
        state.unknown = Some(match state.unknown {
            Some((since, count)) if since.elapsed() < RETRY_AFTER => (since, count.saturating_add(1)),
            _ => (Instant::now(), 1),
        });
    }
}

fn too_many() -> EngineError {
    EngineError::Busy {
        what: "tokens of unknown projects per second",
        parameter: "fixed",
        limit: MAX_UNKNOWN.into(),
        retry_after: RETRY_AFTER,
    }
}

#[cfg(test)]
mod tests;
