//! Which user has which actor.
//!
//! Actors come and go; callers never notice. A call takes a lease that travels inside its message. An idle actor
//! removes itself from the registry only while nobody holds a lease on it, and only then stops: so no message is
//! lost with it. An actor that died all the same (a panic) is replaced, and the message sent again: what it asks for
//! is idempotent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::prelude::*;
use dashmap::DashMap;
use memory::ids::{Incarnation, Owner, UserKey};
use memory::ports::StoreError;
use tokio::time::Instant;

use crate::error::{EngineError, RETRY_AFTER};
use crate::settings::Ports;
use crate::user_actor::{Caches, Deleted, Passivate, Snapshot, Uprooted, UserActor, UserContext};

/// How often a message is sent again because its actor died before it answered.
const MAX_SENDS: u32 = 4;

/// A message with a lease on the actor that it goes to.
pub(crate) struct Leased<M> {
    pub(crate) message: M,
    _lease: Lease,
}

impl<M: Message> Message for Leased<M> {
    type Result = M::Result;
}

/// Keeps an actor from passivating for as long as it lives.
struct Lease(Arc<AtomicU32>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

struct Entry {
    addr: Addr<UserActor>,
    /// Tells this actor from an earlier one of the same user.
    generation: u64,
    /// The life of the user that the actor is for.
    incarnation: Incarnation,
    leases: Arc<AtomicU32>,
    /// Milliseconds after the registry's start.
    last_used: AtomicU64,
    /// When the store was last asked for the life of the user, in the same.
    known_at: AtomicU64,
    /// What the actor has cached.
    caches: Caches,
}

pub(crate) struct Registry {
    actors: DashMap<UserKey, Entry>,
    /// The number of entries: counting a `DashMap` would lock all of it.
    active: AtomicUsize,
    next_generation: AtomicU64,
    /// Counts the lives that have ended.
    burials: AtomicU64,
    limit: usize,
    arbiters: Vec<ArbiterHandle>,
    started: Instant,
    ports: Ports,
}

impl Registry {
    /// Actors are spread over `arbiters`, or all live on the present one.
    pub(crate) fn new(ports: Ports, limit: usize, mut arbiters: Vec<ArbiterHandle>) -> Self {
        if arbiters.is_empty() {
            arbiters.push(Arbiter::current());
        }
        Self {
            actors: DashMap::new(),
            active: AtomicUsize::new(0),
            next_generation: AtomicU64::new(0),
            burials: AtomicU64::new(0),
            limit,
            arbiters,
            started: Instant::now(),
            ports,
        }
    }

    /// The number of users with an actor.
    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Sends a message to a user's actor, which is started if there is none.
    ///
    /// # Errors
    /// When the user does not exist, or as many actors live as may.
    pub(crate) async fn call<M>(
        &self,
        context: &Arc<UserContext>,
        key: &UserKey,
        message: M,
    ) -> Result<M::Result, EngineError>
    where
        M: Message + Clone + Send + 'static,
        M::Result: Send,
        UserActor: Handler<Leased<M>>,
        Context<UserActor>: ToEnvelope<UserActor, Leased<M>>,
    {
        for _ in 0..MAX_SENDS {
            let (addr, generation, lease) = match self.lease(key) {
                Some(leased) if self.is_of_present_life(key, leased.1).await? => leased,
                Some((_, generation, _)) => {
                    self.remove(key, generation);
                    self.activate(context, key).await?
                }
                None => self.activate(context, key).await?,
            };
            match addr.send(Leased { message: message.clone(), _lease: lease }).await {
                Ok(result) => return Ok(result),
                // The actor died with the message, or before it.
                Err(_) => self.remove(key, generation),
            }
        }
        tracing::error!(user = %key.user, "an actor died {MAX_SENDS} times over one message");
        Err(EngineError::Internal)
    }

    /// What a user's actor has cached, if it may be used as it is. Counts as use of the user.
    pub(crate) fn cached<T: Snapshot>(&self, context: &UserContext, key: &UserKey) -> Option<Arc<T>> {
        let entry = self.actors.get(key)?;
        if self.is_doubted(&entry) {
            return None;
        }
        let cached = entry.caches.trusted(context)?;
        entry.last_used.store(self.millis(), Ordering::Relaxed);
        Some(cached)
    }

    /// Tells a user's actor something, if there is one. Returns when it has taken note.
    pub(crate) async fn tell<M>(&self, key: &UserKey, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        UserActor: Handler<Leased<M>>,
        Context<UserActor>: ToEnvelope<UserActor, Leased<M>>,
    {
        // This is no use of the user.
        let held = self.actors.get(key).map(|entry| (self.hold(&entry), entry.generation));
        if let Some(((addr, lease), generation)) = held
            && addr.send(Leased { message, _lease: lease }).await.is_err()
        {
            // It died, and takes note of nothing any more.
            self.remove(key, generation);
        }
    }

    /// Drops what is cached of a user's memory: it has changed. The actor need not be asked, nor be alive.
    pub(crate) fn changed(&self, key: &UserKey) {
        if let Some(entry) = self.actors.get(key) {
            entry.caches.invalidate();
        }
    }

    /// Whether gists of a user are cached.
    pub(crate) fn keeps_gists(&self, key: &UserKey) -> bool {
        self.actors.get(key).is_some_and(|entry| entry.caches.keeps_gists())
    }

    /// Drops what is cached of a user's memory, but hands out its gists of a revision, for them to grow; none of another life
    /// of the user.
    pub(crate) fn uproot(&self, owner: &Owner, base: i64) -> Option<Uprooted> {
        // The map is shared by all users: it is not held while what is large is dropped.
        let entry = self.actors.get(&owner.key).map(|entry| (entry.caches.clone(), entry.incarnation));
        let (caches, incarnation) = entry?;
        caches.uproot(base).filter(|_| incarnation == owner.incarnation)
    }

    /// Ends the actor of a life that has ended, if there is one. Returns when it has taken note.
    pub(crate) async fn bury(&self, owner: &Owner) {
        self.burials.fetch_add(1, Ordering::AcqRel);
        self.tell(&owner.key, Deleted(owner.incarnation)).await;
    }

    /// The present life of a user, if it has an actor.
    pub(crate) fn living(&self, key: &UserKey) -> Option<Owner> {
        self.actors.get(key).map(|entry| Owner { key: key.clone(), incarnation: entry.incarnation })
    }

    /// Forgets an actor that is no more.
    pub(crate) fn remove(&self, key: &UserKey, generation: u64) {
        if self.actors.remove_if(key, |_, entry| entry.generation == generation).is_some() {
            self.active.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Forgets an idle actor, unless somebody has taken a lease on it. True when it may stop.
    pub(crate) fn retire(&self, key: &UserKey, generation: u64) -> bool {
        let idle = |entry: &Entry| entry.generation == generation && entry.leases.load(Ordering::Acquire) == 0;
        let retired = self.actors.remove_if(key, |_, entry| idle(entry)).is_some();
        if retired {
            self.active.fetch_sub(1, Ordering::Relaxed);
        }
        retired
    }

    /// Asks every actor that nobody has used for a while to stop, and forgets those that died.
    pub(crate) fn passivate_idle(&self, idle: Duration) {
        let now = self.millis();
        let idle = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        let mut dead = Vec::new();
        for entry in &self.actors {
            if !entry.addr.connected() {
                dead.push((entry.key().clone(), entry.generation));
            } else if now.saturating_sub(entry.last_used.load(Ordering::Relaxed)) >= idle {
                entry.addr.do_send(Passivate);
            }
        }
        for (key, generation) in dead {
            self.remove(&key, generation);
        }
    }

    /// The addresses of all actors.
    pub(crate) fn addresses(&self) -> Vec<Addr<UserActor>> {
        self.actors.iter().map(|entry| entry.addr.clone()).collect()
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lease(&self, key: &UserKey) -> Option<(Addr<UserActor>, u64, Lease)> {
        self.actors.get(key).map(|entry| self.lease_on(&entry))
    }

    /// Takes a lease that does not count as use.
    fn hold(&self, entry: &Entry) -> (Addr<UserActor>, Lease) {
        entry.leases.fetch_add(1, Ordering::AcqRel);
        (entry.addr.clone(), Lease(entry.leases.clone()))
    }

    /// Takes a lease. The caller holds the entry's lock, so the actor cannot retire meanwhile.
    fn lease_on(&self, entry: &Entry) -> (Addr<UserActor>, u64, Lease) {
        entry.last_used.store(self.millis(), Ordering::Relaxed);
        let (addr, lease) = self.hold(entry);
        (addr, entry.generation, lease)
    }

    /// Whether the end of a user's life may have been missed.
    fn is_doubted(&self, entry: &Entry) -> bool {
        let known_at = self.started + Duration::from_millis(entry.known_at.load(Ordering::Acquire));
        !self.ports.changes.is_live() || self.ports.doubt.covers(known_at)
    }

    /// Whether an actor is for the present life of its user. Asks the store where the end of that life may have been
    /// missed; while the store is away, the actor goes on.
    async fn is_of_present_life(&self, key: &UserKey, generation: u64) -> Result<bool, EngineError> {
        let doubted =
            |entry: &Entry| (entry.generation == generation && self.is_doubted(entry)).then_some(entry.incarnation);
        let Some(life) = self.actors.get(key).and_then(|entry| doubted(&entry)) else { return Ok(true) };
        let asked_at = self.millis();
        match self.ports.store.revision(key).await {
            Ok(Some((present, _))) if present == life => {}
            Ok(_) => return Ok(false),
            Err(StoreError::Unavailable(_)) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        if let Some(entry) = self.actors.get(key).filter(|entry| entry.generation == generation) {
            entry.known_at.fetch_max(asked_at, Ordering::AcqRel);
        }
        Ok(true)
    }

    async fn activate(
        &self,
        context: &Arc<UserContext>,
        key: &UserKey,
    ) -> Result<(Addr<UserActor>, u64, Lease), EngineError> {
        let (asked_at, burials) = (self.millis(), self.burials.load(Ordering::Acquire));
        let (incarnation, _) = self.ports.store.revision(key).await?.ok_or(EngineError::UnknownUser(key.user))?;
        if self.active() >= self.limit {
            let limit = u64::try_from(self.limit).unwrap_or(u64::MAX);
            let (what, parameter) = ("active users", "max_active_users");
            return Err(EngineError::Busy { what, parameter, limit, retry_after: RETRY_AFTER });
        }
        let owner = Owner { key: key.clone(), incarnation };
        let entry = self.actors.entry(key.clone()).or_insert_with(|| {
            self.active.fetch_add(1, Ordering::Relaxed);
            self.start(context, owner, asked_at)
        });
        let leased = self.lease_on(&entry);
        drop(entry);
        // A life may have ended while its actor was not there to be told.
        if self.burials.load(Ordering::Acquire) == burials {
            return Ok(leased);
        }
        let (present, _) = self.ports.store.revision(key).await?.ok_or(EngineError::UnknownUser(key.user))?;
        if present != incarnation {
            self.remove(key, leased.1);
            return Err(EngineError::unavailable("this user is made anew just now; it"));
        }
        Ok(leased)
    }

    fn start(&self, context: &Arc<UserContext>, owner: Owner, asked_at: u64) -> Entry {
        let generation = self.next_generation.fetch_add(1, Ordering::Relaxed);
        let (context, incarnation) = (context.clone(), owner.incarnation);
        let caches = Caches::default();
        let kept = caches.clone();
        let make = move |_: &mut Context<UserActor>| UserActor::new(owner, generation, context, kept);
        let turn = usize::try_from(generation).unwrap_or(0) % self.arbiters.len();
        let addr = UserActor::start_in_arbiter(&self.arbiters[turn], make);
        Entry {
            addr,
            generation,
            incarnation,
            leases: Arc::default(),
            last_used: AtomicU64::new(self.millis()),
            known_at: AtomicU64::new(asked_at),
            caches,
        }
    }
}
