//! What is read of a user's memory: from the cache, or from the store through the cache.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::prelude::*;
use memory::ids::{Incarnation, Owner, UserKey};
use memory::ports::StoreError;
use memory::recall::{KnownGists, KnownProfile};
use tokio::time::Instant;

use super::{UserActor, UserContext, UserError};
use crate::cache::{CacheBudget, CacheShare};
use crate::error::EngineError;
use crate::offload::{LINE_BYTES, offload};
use crate::registry::Leased;

/// Something that is read from the store whole, and kept until the user's memory changes.
pub(crate) trait Snapshot: Sized + Send + Sync + 'static {
    /// Reads it. None when the user is unknown.
    fn read(
        context: Arc<UserContext>,
        key: UserKey,
    ) -> impl Future<Output = Result<Option<Self>, EngineError>> + Send + 'static;

    /// False when it is known to be of another life of the user.
    fn may_be_of(&self, incarnation: Incarnation) -> bool;

    /// The revision of the user's memory that it shows.
    fn revision(&self) -> i64;

    /// About how many bytes it takes in memory.
    fn bytes(&self) -> usize;

    /// What all of its kind may take together.
    fn budget(context: &UserContext) -> &CacheBudget;

    /// Its place in the cache.
    fn cached(kept: &mut Kept) -> &mut Option<Cached<Self>>;
}

/// A snapshot, and its share of the cache budget.
pub(crate) struct Cached<T> {
    value: Arc<T>,
    /// When it was read, or last found to be the store's present state.
    checked_at: Instant,
    _share: CacheShare,
}

/// What is kept of a user's memory. The actor fills and empties it; whoever finds the actor may read it.
#[derive(Clone, Default)]
pub(crate) struct Caches(Arc<Mutex<Kept>>);

/// See [`Caches`].
#[derive(Default)]
pub(crate) struct Kept {
    profile: Option<Cached<KnownProfile>>,
    gists: Option<Cached<KnownGists>>,
    /// Counts invalidations: what was read before the last one is not kept.
    epoch: u64,
}

impl Caches {
    /// Drops all.
    pub(crate) fn invalidate(&self) {
        let mut kept = self.lock();
        let epoch = kept.epoch + 1;
        let old = std::mem::replace(&mut *kept, Kept { epoch, ..Kept::default() });
        // A snapshot is large: nobody is to wait for its end.
        drop(kept);
        drop(old);
    }

    /// Whether gists are kept.
    pub(crate) fn keeps_gists(&self) -> bool {
        self.lock().gists.is_some()
    }

    /// Drops all, as [`Caches::invalidate`] does, but hands out the gists of revision `base`, for them to grow.
    pub(crate) fn uproot(&self, base: i64) -> Option<Uprooted> {
        let mut kept = self.lock();
        let epoch = kept.epoch + 1;
        let old = std::mem::replace(&mut *kept, Kept { epoch, ..Kept::default() });
        drop(kept);
        let Cached { value, _share: share, .. } = old.gists.filter(|cached| cached.value.revision == base)?;
        Some(Uprooted { caches: self.clone(), value, share, epoch })
    }

    /// What may be used without a look at the store.
    pub(crate) fn trusted<T: Snapshot>(&self, context: &UserContext) -> Option<Arc<T>> {
        let mut kept = self.lock();
        let cached = T::cached(&mut kept).as_ref()?;
        let trusted = cached.checked_at.elapsed() < context.trust() && !context.ports.doubt.covers(cached.checked_at);
        trusted.then(|| cached.value.clone())
    }

    /// What is there, trusted or not, and the epoch that it is of.
    fn known<T: Snapshot>(&self) -> (Option<Arc<T>>, u64) {
        let mut kept = self.lock();
        (T::cached(&mut kept).as_ref().map(|cached| cached.value.clone()), kept.epoch)
    }

    /// Keeps what was found to be the store's state no earlier than `checked_at`, unless an epoch has begun since.
    fn keep<T: Snapshot>(&self, budget: &CacheBudget, value: Arc<T>, checked_at: Instant, epoch: u64) {
        let mut kept = self.lock();
        if kept.epoch != epoch {
            return;
        }
        let place = T::cached(&mut kept);
        match place {
            Some(cached) if Arc::ptr_eq(&cached.value, &value) => cached.checked_at = checked_at,
            _ => {
                // The old one gives its share back first.
                *place = None;
                let share = budget.take(value.bytes());
                *place = share.map(|share| Cached { value, checked_at, _share: share });
            }
        }
    }

    /// No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gists that were cached, and are about to grow.
pub(crate) struct Uprooted {
    caches: Caches,
    value: Arc<KnownGists>,
    share: CacheShare,
    epoch: u64,
}

impl Uprooted {
    /// How many gists there are.
    pub(crate) fn len(&self) -> usize {
        self.value.len()
    }

    /// Lets them grow, and keeps them again, unless something has changed since or somebody was faster. `began`: when what they
    /// grow by had not been stored yet.
    pub(crate) fn grow(self, began: Instant, grow: impl FnOnce(KnownGists) -> Option<KnownGists>) {
        let Self { caches, value, share, epoch } = self;
        let known = Arc::try_unwrap(value).unwrap_or_else(|shared| (*shared).clone());
        let Some(value) = grow(known) else { return };
        let Some(share) = share.resized(value.bytes()) else { return };
        let grown = Cached { value: Arc::new(value), checked_at: began, _share: share };
        let mut kept = caches.lock();
        // Whoever read meanwhile has what is at least as new.
        if kept.epoch == epoch && kept.gists.is_none() {
            kept.gists = Some(grown);
        } else {
            drop(kept);
            drop(grown);
        }
    }
}

impl Snapshot for KnownProfile {
    async fn read(context: Arc<UserContext>, key: UserKey) -> Result<Option<Self>, EngineError> {
        let Some(profile) = context.ports.store.profile(&key).await? else { return Ok(None) };
        let bytes: usize = profile.slots.iter().map(|slot| slot.content.len()).sum();
        let lines = profile.slots.len() + bytes / LINE_BYTES;
        offload(lines, move || Some(Self::new(profile, &*context.ports.counter))).await
    }

    fn may_be_of(&self, incarnation: Incarnation) -> bool {
        self.profile.incarnation == incarnation
    }

    fn revision(&self) -> i64 {
        self.profile.revision
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }

    fn budget(context: &UserContext) -> &CacheBudget {
        &context.cache
    }

    fn cached(kept: &mut Kept) -> &mut Option<Cached<Self>> {
        &mut kept.profile
    }
}

impl Snapshot for KnownGists {
    async fn read(context: Arc<UserContext>, key: UserKey) -> Result<Option<Self>, EngineError> {
        let limit = context.search_max_gists;
        let Some((revision, gists)) = context.ports.store.gists(&key, limit).await? else { return Ok(None) };
        let vectors = match &context.ports.embeddings {
            Some(embeddings) => embeddings.vectors_of(&key, limit).await?,
            None => Vec::new(),
        };
        let some_are_older = gists.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let count = if some_are_older { context.ports.store.gist_count(&key).await? } else { 0 };
        let older = count.saturating_sub(u64::from(limit));
        let bytes: usize = gists.iter().map(|gist| gist.text.len()).sum();
        let lines = gists.len() + bytes / LINE_BYTES;
        offload(lines, move || {
            let known = Self::new(revision, gists, &*context.ports.counter).with_vectors(vectors);
            Some(known.with_older(older))
        })
        .await
    }

    // Gists do not say of which life they are.
    fn may_be_of(&self, _: Incarnation) -> bool {
        true
    }

    fn revision(&self) -> i64 {
        self.revision
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }

    fn budget(context: &UserContext) -> &CacheBudget {
        &context.search_cache
    }

    fn cached(kept: &mut Kept) -> &mut Option<Cached<Self>> {
        &mut kept.gists
    }
}

/// Asks for a snapshot.
pub(crate) struct Get<T>(PhantomData<fn() -> T>);

impl<T> Get<T> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Clone for Get<T> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T: Snapshot> Message for Get<T> {
    type Result = Result<Arc<T>, UserError>;
}

impl<T: Snapshot> Handler<Leased<Get<T>>> for UserActor {
    type Result = ActorResponse<Self, Result<Arc<T>, UserError>>;

    fn handle(&mut self, leased: Leased<Get<T>>, _: &mut Self::Context) -> Self::Result {
        // Another may have asked for the same meanwhile.
        if let Some(value) = self.caches.trusted(&self.context) {
            return ActorResponse::reply(Ok(value));
        }
        self.in_flight += 1;
        let ((known, epoch), began) = (self.caches.known::<T>(), Instant::now());
        let read = read(self.context.clone(), self.owner.clone(), known);
        ActorResponse::r#async(read.into_actor(self).map(move |read, actor, _| {
            drop(leased);
            actor.in_flight -= 1;
            let (known, checked) = read.map_err(UserError::Refused)?;
            let Some(value) = known.filter(|known| known.may_be_of(actor.owner.incarnation)) else {
                actor.retire_for_good();
                return Err(UserError::Gone);
            };
            if checked {
                actor.caches.keep(T::budget(&actor.context), value.clone(), began, epoch);
            }
            Ok(value)
        }))
    }
}

/// Looks whether what is cached is the store's present state, and reads it otherwise. While the store is away, what is
/// cached has to do, unless every read is to be checked. The second value tells whether the store was asked.
async fn read<T: Snapshot>(
    context: Arc<UserContext>,
    owner: Owner,
    cached: Option<Arc<T>>,
) -> Result<(Option<Arc<T>>, bool), EngineError> {
    if let Some(cached) = cached {
        match context.ports.store.revision(&owner.key).await {
            Ok(Some(present)) if present == (owner.incarnation, cached.revision()) => {
                return Ok((Some(cached), true));
            }
            Ok(Some((incarnation, _))) if incarnation == owner.incarnation => {}
            Ok(_) => return Ok((None, true)),
            Err(StoreError::Unavailable(reason)) if !context.cache_trust.is_zero() => {
                tracing::debug!(reason, "the store is away; a read is answered from the cache");
                return Ok((Some(cached), false));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((T::read(context, owner.key).await?.map(Arc::new), true))
}
