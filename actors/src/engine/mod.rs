//! The face of the engine: what the service does, for whoever serves requests.

mod advice;
mod blobs;
mod letters;
mod projects;
mod reads;
mod said;
mod sources;
mod users;
mod writes;

pub use advice::Selected;
pub use blobs::{BufferStatus, Flushed, Inserted};
pub use letters::{DeadBlob, DroppedLetters, RetriedLetters};

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::prelude::*;
use memory::context::Packer;
use memory::ids::{ProjectId, UserKey};
use memory::outage::Outage;
use memory::ports::{Change, TokenCounter};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use crate::cache::CacheBudget;
use crate::embeddings::Filler;
use crate::error::EngineError;
use crate::flush_pool::{Drain, FlushPool, Observe, PoolState};
use crate::flush_run::FlushRunner;
use crate::projects::ProjectCache;
use crate::queries::Queries;
use crate::quotas::Quotas;
use crate::rates::Rates;
use crate::registry::{Leased, Registry};
use crate::settings::{EngineSettings, Ports};
use crate::sweeper::Sweeper;
use crate::told::Teller;
use crate::user_actor::{Close, UserActor, UserContext, UserError};

/// All that the service does, in one process. Cheap to clone.
///
/// Every method may be called from any runtime. Errors are those of [`EngineError`].
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    context: Arc<UserContext>,
    settings: Arc<EngineSettings>,
    packer: Packer,
    /// One permit per insert under way.
    inserts: Semaphore,
    rates: Rates,
    quotas: Quotas,
    queries: Queries,
    stop: watch::Sender<bool>,
    sweeper: std::sync::Mutex<Option<JoinHandle<()>>>,
    io: Handle,
}

impl Engine {
    /// Starts the pool and the sweeper. Must be called within an actix system.
    ///
    /// Writes and the sweeper run on `io`, flushes on `workers`, where they may keep a thread busy; user actors are
    /// spread over `arbiters` (the current one, when empty).
    pub fn start(
        ports: Ports,
        settings: EngineSettings,
        io: Handle,
        workers: Handle,
        arbiters: Vec<ArbiterHandle>,
    ) -> Self {
        let settings = Arc::new(settings);
        let registry = Arc::new(Registry::new(ports.clone(), settings.max_active_users, arbiters));
        let quotas = Quotas {
            default_project: settings.default_project.clone(),
            default_quota: settings.token_quota,
            hold: !ports.model.is_immediate(),
            clock: ports.clock.clone(),
        };
        let projects = ProjectCache::new(ports.projects.clone(), settings.flush.clone(), quotas.clone());
        let projects = Arc::new(projects);
        let search_max_gists = settings.search_max_gists;
        let teller = Teller { ports: ports.clone(), registry: registry.clone(), search_max_gists };
        let runner =
            FlushRunner { teller, ports: ports.clone(), settings: settings.flush.clone(), projects: projects.clone() };
        let pool = FlushPool::new(runner, workers, settings.flush_workers).start();
        let packer = Packer::new(ports.counter.clone());
        let context = Arc::new(UserContext {
            registry,
            projects,
            ports,
            pool,
            limits: settings.buffer,
            search_max_gists: settings.search_max_gists,
            cache: CacheBudget::new(settings.cache_bytes),
            search_cache: CacheBudget::new(settings.search_cache_bytes),
            cache_trust: settings.cache_trust,
        });
        let (stop, stopped) = watch::channel(false);
        if let Some(embeddings) = context.ports.embeddings.clone() {
            let (ports, registry) = (context.ports.clone(), context.registry.clone());
            let filler = Filler { embeddings, ports, registry, pause: settings.sweep_interval };
            io.spawn(filler.run(stopped.clone()));
        }
        let sweeper = Sweeper { context: context.clone(), settings: settings.clone(), outage: Outage::new() };
        let sweeper = io.spawn(sweeper.run(stopped));
        let inserts = Semaphore::new(settings.max_inflight_inserts);
        let rates = Rates::new(settings.rates);
        let sweeper = Some(sweeper).into();
        Self(Arc::new(Inner {
            context,
            settings,
            packer,
            inserts,
            rates,
            quotas,
            queries: Queries::default(),
            stop,
            sweeper,
            io,
        }))
    }

    /// Counts a request of a project that exists.
    ///
    /// # Errors
    /// [`EngineError::Busy`] past its limit per minute.
    pub fn count_request(&self, project: &ProjectId) -> Result<(), EngineError> {
        self.0.rates.request(project)
    }

    /// Stops in order: no new work, then the sweeper, then the flushes under way (as long as `shutdown_timeout`
    /// allows), then whoever still waits is told. Buffers stay in the journal; what was cut short goes on at the
    /// next start.
    pub async fn shutdown(&self) {
        // Somebody listens as long as the engine lives.
        self.0.stop.send_replace(true);
        self.0.inserts.close();
        let allowed = self.0.settings.shutdown_timeout;
        let sweeper = self.0.sweeper.lock().map_or(None, |mut s| s.take());
        if let Some(mut sweeper) = sweeper {
            match timeout(allowed, &mut sweeper).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the sweeper panicked"),
                // Each of its steps is one transaction: it can stop anywhere.
                Err(_) => sweeper.abort(),
            }
        }
        let drained = timeout(allowed, self.0.context.pool.send(Drain)).await;
        if drained.is_err() {
            tracing::warn!(
                "flushes were still under way at the end of shutdown_timeout_seconds; they go on at the next start"
            );
        }
        for actor in self.0.context.registry.addresses() {
            // One that is gone waits for nothing.
            let _ = actor.send(Close).await;
        }
    }

    /// Takes in what another process has changed. Returns when no read answers with what was cached before.
    pub async fn heard(&self, change: &Change) {
        let registry = &self.0.context.registry;
        match change {
            Change::Memory(key) => registry.changed(key),
            Change::Deleted(owner) => registry.bury(owner).await,
            Change::Project(id) => self.0.context.projects.changed(id),
            Change::Everything => {
                self.0.context.projects.all_changed();
                self.ports().doubt.raise();
            }
        }
    }

    /// The token counter.
    pub fn counter(&self) -> &Arc<dyn TokenCounter> {
        &self.ports().counter
    }

    /// The present time.
    pub fn now(&self) -> jiff::Timestamp {
        self.ports().clock.now()
    }

    /// A fresh id for what clients see (UUID version 4).
    pub fn fresh_id(&self) -> Uuid {
        self.ports().ids.random()
    }

    /// The number of users with an actor.
    pub fn active_users(&self) -> usize {
        self.0.context.registry.active()
    }

    /// Asks the actors that nobody has used for so long to stop. The sweeper does so by itself.
    pub fn passivate(&self, idle: Duration) {
        self.0.context.registry.passivate_idle(idle);
    }

    /// What the flush pool is doing.
    ///
    /// # Errors
    /// When the pool is gone.
    pub async fn pool_state(&self) -> Result<PoolState, EngineError> {
        self.0.context.pool.send(Observe).await.map_err(|_| EngineError::Internal)
    }

    fn ports(&self) -> &Ports {
        &self.0.context.ports
    }

    fn check_running(&self) -> Result<(), EngineError> {
        if *self.0.stop.borrow() { Err(EngineError::unavailable("the server is stopping; it")) } else { Ok(()) }
    }

    /// Calls a user's actor. An actor of an earlier life of the user is replaced, once.
    async fn call<M, T>(&self, key: &UserKey, message: M) -> Result<T, EngineError>
    where
        M: Message<Result = Result<T, UserError>> + Clone + Send + 'static,
        T: Send + 'static,
        UserActor: Handler<Leased<M>>,
        Context<UserActor>: ToEnvelope<UserActor, Leased<M>>,
    {
        let registry = &self.0.context.registry;
        for _ in 0..2 {
            match registry.call(&self.0.context, key, message.clone()).await? {
                Ok(answer) => return Ok(answer),
                Err(UserError::Refused(error)) => return Err(error),
                Err(UserError::Gone) => {}
            }
        }
        Err(EngineError::UnknownUser(key.user))
    }

    /// Does a write to its end, and then drops what is cached of the user, and tells the other processes to do so.
    ///
    /// All of it whatever becomes of the caller: a client that hangs up must not leave a write that the cache does
    /// not know of. A write that failed may have happened all the same.
    async fn write<T: Send + 'static>(
        &self,
        key: &UserKey,
        write: impl Future<Output = Result<T, EngineError>> + Send + 'static,
    ) -> Result<T, EngineError> {
        let (context, key) = (self.0.context.clone(), key.clone());
        let done = self.0.io.spawn(async move {
            let written = write.await;
            context.registry.changed(&key);
            context.ports.changes.announce(&Change::Memory(key)).await;
            written
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "a write panicked");
            EngineError::Internal
        })?
    }
}
