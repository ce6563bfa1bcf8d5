//! The sweeper: finds what is due, finishes what a crash left, and lets idle actors go.
//!
//! It is the only timer of the engine. What is due is in the journal, so nothing that must happen depends on an
//! actor being there.

use std::sync::Arc;
use std::time::Duration;

use memory::ids::Owner;
use memory::ports::{Due as DueEntry, JournalError, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::error::EngineError;
use crate::settings::{EngineSettings, Ports};
use crate::user_actor::{Deleted, Due, Living, UserContext, UserError};

/// Rows that one look at the due index, the purge orders or old rows takes at most.
const BATCH: u32 = 500;
/// How often old rows are looked for.
const RETENTION_PAUSE: Duration = Duration::from_secs(600);

pub(crate) struct Sweeper {
    pub(crate) context: Arc<UserContext>,
    pub(crate) settings: Arc<EngineSettings>,
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

impl Sweeper {
    /// Sweeps until it is told to stop.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut ticks = interval(self.settings.sweep_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut forgotten: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            if let Err(error) = self.purge_deleted(&stop).await {
                tracing::warn!(%error, "deleted users could not be purged from the journal; they are tried again");
            }
            if let Err(error) = self.flush_due(&stop).await {
                tracing::warn!(%error, "the sweeper could not look for what is due; it tries again");
            }
            self.passivate();
            if forgotten.is_none_or(|last| last.elapsed() >= RETENTION_PAUSE) {
                // One batch per tick: what is due does not wait for what is old.
                let more = self.forget_old().await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "old rows could not be removed; they are tried again");
                    false
                });
                forgotten = if more { None } else { Some(Instant::now()) };
            }
        }
    }

    async fn purge_deleted(&self, stop: &watch::Receiver<bool>) -> Result<(), SweepError> {
        for owner in self.context.ports.store.purge_orders(BATCH).await? {
            if *stop.borrow() {
                break;
            }
            self.purge(&owner).await?;
        }
        Ok(())
    }

    async fn flush_due(&self, stop: &watch::Receiver<bool>) -> Result<(), SweepError> {
        for due in self.context.ports.journal.due(self.settings.flush_interval, BATCH).await? {
            if *stop.borrow() {
                break;
            }
            self.flush(due).await?;
        }
        Ok(())
    }

    async fn purge(&self, owner: &Owner) -> Result<(), SweepError> {
        let Ports { store, journal, clock, .. } = &self.context.ports;
        self.context.registry.tell(&owner.key, Deleted(owner.incarnation)).await;
        journal.purge(owner).await?;
        store.purge_done(owner, clock.now()).await?;
        Ok(())
    }

    /// Activates the user, who flushes.
    async fn flush(&self, due: DueEntry) -> Result<(), SweepError> {
        let DueEntry { owner, blob_type } = due;
        let key = owner.key.clone();
        match self.context.registry.call(&self.context, &key, Due { owner: owner.clone(), blob_type }).await {
            Ok(Ok(())) => {}
            Ok(Err(UserError::Gone)) | Err(EngineError::UnknownUser(_)) => self.settle_life(&owner).await?,
            // The store is away for all, or all places are taken: the rest stays due.
            Ok(Err(UserError::Refused(error))) | Err(error) => return Err(SweepError::Engine(error)),
        }
        Ok(())
    }

    /// The actor and the due index disagree on which life of the user it is: the system of record decides.
    ///
    /// A buffer of no known life is left alone: only a purge order says that it may go, and without one the store may
    /// be the one that has lost something.
    async fn settle_life(&self, owner: &Owner) -> Result<(), SweepError> {
        match self.context.ports.store.user(&owner.key).await? {
            // An actor of an earlier life goes; the next sweep starts the right one.
            Some(user) if user.incarnation == owner.incarnation => {
                self.context.registry.tell(&owner.key, Living(user.incarnation)).await;
            }
            _ => tracing::warn!(user = %owner.key.user, "a buffer belongs to a user that the store does not know"),
        }
        Ok(())
    }

    fn passivate(&self) {
        let registry = &self.context.registry;
        let crowded = registry.active() > self.settings.max_active_users / 10 * 9 || self.context.cache.is_tight();
        let idle = if crowded { self.settings.sweep_interval } else { self.settings.actor_idle };
        registry.passivate_idle(idle);
    }

    /// Removes some old rows. True when there may be more.
    async fn forget_old(&self) -> Result<bool, SweepError> {
        let Ports { store, clock, .. } = &self.context.ports;
        let before = clock.now().saturating_sub(self.settings.applied_blobs_retention).unwrap_or_default();
        Ok(store.forget_before(before, BATCH).await? >= u64::from(BATCH))
    }
}
