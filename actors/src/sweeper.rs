//! The sweeper: finds what is due, finishes what a crash left, and lets idle actors go.
//!
//! It is the only timer of the engine. What is due is in the journal, so nothing that must happen depends on an
//! actor being there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use memory::ids::{Owner, ProjectId, UserKey};
use memory::outage::Outage;
use memory::ports::{Change, Due as DueEntry, JournalError, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::error::EngineError;
use crate::outages;
use crate::purge::PurgeError;
use crate::settings::{EngineSettings, Ports};
use crate::user_actor::{Due, Living, UserContext, UserError};

/// Rows that one look at the due index, the purge orders or old rows takes at most.
const BATCH: u32 = 500;
/// Rows of usage that are folded at once: one cheap statement, and more than are added in the meantime.
const FOLD_BATCH: u32 = 20_000;
/// Users of one project that one sweep wakes at most: more than the pool can flush in the meantime, and few enough not to
/// fill the memory of a server with one project's users.
const PER_PROJECT: usize = 1_000;
/// Users of projects that are being deleted that one sweep deletes at most.
const DELETIONS: u32 = 500;
/// How long after its end a project is looked at again for users that a request under way then may have made; its name
/// is free after that. Longer than what is known of projects is believed, and the body of a request may take.
const PROJECT_GRACE: SignedDuration = SignedDuration::from_secs(120);
/// The longest rest after a look at what is due that found much which cannot be flushed yet.
const MAX_REST: Duration = Duration::from_secs(30);
/// How often old rows are looked for.
const RETENTION_PAUSE: Duration = Duration::from_secs(60);

pub(crate) struct Sweeper {
    pub(crate) context: Arc<UserContext>,
    pub(crate) settings: Arc<EngineSettings>,
    /// Users could not be woken, or are not known.
    pub(crate) outage: Outage,
}

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Engine(EngineError),
}

impl From<PurgeError> for SweepError {
    fn from(error: PurgeError) -> Self {
        match error {
            PurgeError::Journal(error) => Self::Journal(error),
            PurgeError::Store(error) => Self::Store(error),
        }
    }
}

/// Where a walk through the due index is. A page begins at the instant at which the one before ended, and names again
/// what was due at that instant.
#[derive(Default)]
struct Page {
    from: Option<Timestamp>,
    seen: HashSet<DueEntry>,
}

impl Page {
    /// What is new on the next page.
    fn turn(&mut self, due: Vec<(Timestamp, DueEntry)>) -> Vec<DueEntry> {
        let last = due.last().map(|(since, _)| *since);
        let at_end = due.iter().filter(|(since, _)| Some(*since) == last).map(|(_, due)| due.clone()).collect();
        let new = due.into_iter().map(|(_, due)| due).filter(|due| !self.seen.contains(due)).collect();
        if last == self.from {
            self.seen.extend::<HashSet<DueEntry>>(at_end);
        } else {
            self.seen = at_end;
        }
        self.from = last.or(self.from);
        new
    }
}

/// What a walk through the due index has passed over, since it waits for tokens.
#[derive(Default)]
struct PassedOver {
    users: u32,
    /// How long the walk was busy with others.
    elsewhere: Duration,
}

impl Sweeper {
    /// Sweeps until it is told to stop.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut ticks = interval(self.settings.sweep_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut forgotten: Option<Instant> = None;
        let mut rests_until = Instant::now();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            if let Err(error) = self.delete_projects(&stop).await {
                self.failed("projects could not be deleted; they are tried again", error);
            }
            if let Err(error) = self.purge_deleted(&stop).await {
                self.failed("deleted users could not be purged from the journal; they are tried again", error);
            }
            if Instant::now() >= rests_until {
                rests_until = self.flush_due_and_rest(&stop).await;
            }
            self.passivate();
            if forgotten.is_none_or(|last| last.elapsed() >= RETENTION_PAUSE) {
                // One batch per tick: what is due does not wait for what is old.
                let more = self.forget_old().await.unwrap_or_else(|error| {
                    self.failed("old rows could not be removed; they are tried again", error);
                    false
                });
                forgotten = if more { None } else { Some(Instant::now()) };
            }
        }
    }

    /// Logs that a part of a sweep could not be done; not at each sweep while the reason lasts.
    fn failed(&self, what: &'static str, error: SweepError) {
        tracing::debug!(%error, "{what}");
        match error {
            SweepError::Store(error) => outages::store_failed(&error),
            SweepError::Journal(error) => outages::journal_failed(&error),
            // The failure behind it has its own line; this one says what it keeps from being done.
            SweepError::Engine(error) => {
                if let Some(line) = self.outage.lost(what, std::time::Instant::now()) {
                    tracing::warn!(%error, held_back = line.held_back, for_s = line.seconds, "{what}");
                }
            }
        }
    }

    /// Deletes some users of projects that are being deleted, one transaction each, as requests do it. The row of a
    /// project that has none goes after a while.
    async fn delete_projects(&self, stop: &watch::Receiver<bool>) -> Result<(), SweepError> {
        let Ports { projects, store, clock, changes, .. } = &self.context.ports;
        let mut left = DELETIONS;
        for project in projects.deleting_projects(BATCH).await? {
            let users = projects.user_ids(&project.id, left).await?;
            left = left.saturating_sub(u32::try_from(users.len()).unwrap_or(u32::MAX));
            for user in &users {
                if *stop.borrow() {
                    return Ok(());
                }
                let key = UserKey { project: project.id.clone(), user: *user };
                let Some(incarnation) = store.delete_user(&key, clock.now()).await? else { continue };
                self.context.registry.changed(&key);
                changes.announce(&Change::Memory(key.clone())).await;
                self.purge(&Owner { key, incarnation }).await?;
            }
            let is_old = clock.now().duration_since(project.updated_at) >= PROJECT_GRACE;
            if users.is_empty() && is_old && projects.remove_project(&project.id).await? {
                tracing::info!(project = %project.id, "a project was deleted");
                self.context.projects.changed(&project.id);
                changes.announce(&Change::Project(project.id.clone())).await;
            }
            if left == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn purge_deleted(&self, stop: &watch::Receiver<bool>) -> Result<(), SweepError> {
        let orders = self.context.ports.store.purge_orders(BATCH).await?;
        outages::store_worked();
        for owner in orders {
            if *stop.borrow() {
                break;
            }
            self.purge(&owner).await?;
        }
        Ok(())
    }

    /// Walks through all that is due, the longest due first, and wakes the users. A project with many users does not
    /// keep those of others waiting: its share of a sweep is limited, and the pool lets the projects take turns.
    ///
    /// One user that cannot be woken does not keep the others waiting, either. Users of projects that have used up their
    /// tokens are passed over: `held` counts them, and the time that waking the others took.
    async fn flush_due(&self, stop: &watch::Receiver<bool>, held: &mut PassedOver) -> Result<(), SweepError> {
        let mut shares = HashMap::<ProjectId, Option<usize>>::new();
        let mut page = Page::default();
        let mut failed = None;
        loop {
            let due = self.context.ports.journal.due(self.settings.flush_interval, page.from, BATCH).await?;
            outages::journal_worked();
            let full = due.len() >= BATCH as usize;
            let due = page.turn(due);
            let ends = !full || due.is_empty();
            for due in due {
                if *stop.borrow() {
                    return Ok(());
                }
                match self.share_of(&due.owner.key.project, &mut shares).await {
                    None => {
                        held.users += 1;
                        continue;
                    }
                    Some(0) => continue,
                    Some(left) => *left -= 1,
                }
                let began = Instant::now();
                let flushed = self.flush(due).await;
                held.elsewhere += began.elapsed();
                match flushed {
                    Ok(()) => {}
                    // What this user has cannot be read; the others' may.
                    Err(error @ SweepError::Engine(EngineError::Internal)) => failed = Some(error),
                    // The store is away for all, or all places are taken: the rest stays due.
                    Err(error) => return Err(error),
                }
            }
            if ends {
                if failed.is_none()
                    && let Some(line) = self.outage.worked(std::time::Instant::now())
                {
                    tracing::info!(
                        held_back = line.held_back,
                        after_s = line.seconds,
                        "the sweeper does all that is due again"
                    );
                }
                return failed.map_or(Ok(()), Err);
            }
        }
    }

    /// How many more users of a project this sweep may wake; none when the project has used up its tokens.
    async fn share_of<'s>(
        &self,
        id: &ProjectId,
        shares: &'s mut HashMap<ProjectId, Option<usize>>,
    ) -> Option<&'s mut usize> {
        if !shares.contains_key(id) {
            let held = self.context.projects.known_held(id).is_some();
            shares.insert(id.clone(), (!held).then_some(PER_PROJECT));
        }
        shares.get_mut(id).and_then(Option::as_mut)
    }

    /// Flushes what is due, and tells until when that need not be looked for. All that waits for tokens stays due, maybe
    /// for weeks, and each look passes over it: looks take a tenth of the time at most.
    async fn flush_due_and_rest(&self, stop: &watch::Receiver<bool>) -> Instant {
        let (began, mut passed_over) = (Instant::now(), PassedOver::default());
        if let Err(error) = self.flush_due(stop, &mut passed_over).await {
            self.failed("not all that is due could be flushed; it is tried again", error);
        }
        let looking = began.elapsed().saturating_sub(passed_over.elsewhere);
        let rest = if passed_over.users > BATCH { looking * 9 } else { Duration::ZERO };
        Instant::now() + rest.min(MAX_REST)
    }

    async fn purge(&self, owner: &Owner) -> Result<(), SweepError> {
        Ok(self.context.purge(owner).await?)
    }

    /// Activates the user, who flushes.
    async fn flush(&self, due: DueEntry) -> Result<(), SweepError> {
        let DueEntry { owner, blob_type } = due;
        let key = owner.key.clone();
        match self.context.registry.call(&self.context, &key, Due { owner: owner.clone(), blob_type }).await {
            Ok(Ok(())) => {}
            Ok(Err(UserError::Gone)) | Err(EngineError::UnknownUser(_)) => self.settle_life(&owner).await?,
            // It stays due.
            Ok(Err(UserError::Refused(error))) | Err(error) => return Err(SweepError::Engine(error)),
        }
        Ok(())
    }

    /// The actor and the due index disagree on which life of the user it is: the system of record decides.
    ///
    /// A buffer of a life that has a tombstone came back with an older journal: it is purged again. One of no known life
    /// is left alone: the store may be the one that has lost something.
    async fn settle_life(&self, owner: &Owner) -> Result<(), SweepError> {
        match self.context.ports.store.revision(&owner.key).await? {
            // An actor of an earlier life goes; the next sweep starts the right one.
            Some((incarnation, _)) if incarnation == owner.incarnation => {
                self.context.registry.tell(&owner.key, Living(incarnation)).await;
            }
            _ if self.context.ports.store.is_buried(owner).await? => {
                tracing::info!(user = %owner.key.user, "a buffer of a deleted user came back; it is purged again");
                self.purge(owner).await?;
            }
            // It stays, and is met again by each sweep.
            _ => {
                if let Some(line) = self.outage.lost("unknown user", std::time::Instant::now()) {
                    let user = owner.key.user;
                    tracing::warn!(%user, held_back = line.held_back, "a buffer belongs to a user that the store does not know");
                }
            }
        }
        Ok(())
    }

    fn passivate(&self) {
        let registry = &self.context.registry;
        let is_tight = self.context.cache.is_tight() || self.context.search_cache.is_tight();
        let crowded = registry.active() > self.settings.max_active_users / 10 * 9 || is_tight;
        let idle = if crowded { self.settings.sweep_interval } else { self.settings.actor_idle };
        registry.passivate_idle(idle);
    }

    /// Removes some old rows. True when there may be more.
    async fn forget_old(&self) -> Result<bool, SweepError> {
        let Ports { store, projects, clock, .. } = &self.context.ports;
        let before = clock.now().saturating_sub(self.settings.applied_blobs_retention).unwrap_or_default();
        let folded = projects.fold_usage(FOLD_BATCH).await?;
        Ok(store.forget_before(before, BATCH).await? >= u64::from(BATCH) || folded >= u64::from(FOLD_BATCH))
    }
}
