//! The actor of one active user: owns its buffer's state, at most one flush under way, and caches what was read.
//!
//! What to do is decided by [`UserBuffer`]; this file carries messages to it and its effects to the ports. Handlers
//! that wait for a port do not hold up others: the journal orders what happens, and its replies may come in any order.

mod snapshot;

pub(crate) use snapshot::{Caches, Get, Snapshot, Uprooted};

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::future;
use memory::blob::{BlobType, NewBlob};
use memory::buffer::{BufferLimits, Effect, FlushEnd, UserBuffer, Waited, WaiterId};
use memory::ids::{Incarnation, Owner};
use memory::ports::{JournalError, Level, Standing};
use tokio::sync::oneshot;

use crate::cache::CacheBudget;
use crate::crash_point::crash_point;
use crate::error::{EngineError, RETRY_AFTER};
use crate::flush_pool::{FlushPool, Submit};
use crate::projects::ProjectCache;
use crate::registry::{Leased, Registry};
use crate::settings::Ports;

/// What all actors of a process share.
pub(crate) struct UserContext {
    pub(crate) ports: Ports,
    pub(crate) registry: Arc<Registry>,
    pub(crate) projects: Arc<ProjectCache>,
    pub(crate) pool: Addr<FlushPool>,
    pub(crate) limits: BufferLimits,
    pub(crate) search_max_gists: u32,
    /// For profiles.
    pub(crate) cache: CacheBudget,
    /// For gists and their index.
    pub(crate) search_cache: CacheBudget,
    /// See [`crate::EngineSettings::cache_trust`].
    pub(crate) cache_trust: Duration,
}

impl UserContext {
    /// How long what is cached may be used without a look at the store.
    fn trust(&self) -> Duration {
        if self.ports.changes.is_live() { self.cache_trust } else { Duration::ZERO }
    }
}

/// Why an actor did not do what it was asked.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum UserError {
    /// This life of the user has ended. Another may have begun: ask again.
    Gone,
    /// For the client.
    Refused(EngineError),
}

/// Where the end of a flush will be told.
pub(crate) type Wait = oneshot::Receiver<Waited>;

/// Appends a blob. The answer holds a wait when the append causes a flush and `wait` is set.
#[derive(Clone, Message)]
#[rtype(result = "Result<Option<Wait>, UserError>")]
pub(crate) struct Append {
    pub(crate) blob: Arc<NewBlob>,
    pub(crate) wait: bool,
}

/// The answer to a [`RequestFlush`].
#[derive(Debug)]
pub(crate) enum Requested {
    /// Nothing is buffered or under way.
    Empty,
    /// Under way; nobody waits.
    Started,
    /// Under way.
    Waiting(Wait),
}

/// Asks for a flush of all that is buffered now.
#[derive(Clone, Message)]
#[rtype(result = "Result<Requested, UserError>")]
pub(crate) struct RequestFlush {
    pub(crate) blob_type: BlobType,
    pub(crate) wait: bool,
}

/// Says that the due index names this user.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), UserError>")]
pub(crate) struct Due {
    pub(crate) owner: Owner,
    pub(crate) blob_type: BlobType,
}

/// Says that a blob left a buffer.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct BlobRemoved {
    pub(crate) blob_type: BlobType,
    pub(crate) level: Level,
}

/// Says that a life of the user has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Deleted(pub(crate) Incarnation);

/// Says which life of the user is the present one.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Living(pub(crate) Incarnation);

/// Says that a flush has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FlushEnded(pub(crate) FlushEnd);

/// Asks an actor to stop, if it has nothing to do.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Passivate;

/// Says that the process stops.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Close;

pub(crate) struct UserActor {
    owner: Owner,
    generation: u64,
    context: Arc<UserContext>,
    buffer: UserBuffer,
    waits: HashMap<WaiterId, oneshot::Sender<Waited>>,
    next_waiter: WaiterId,
    /// Steps on ports that are under way.
    in_flight: u32,
    caches: Caches,
}

impl UserActor {
    pub(crate) fn new(owner: Owner, generation: u64, context: Arc<UserContext>, caches: Caches) -> Self {
        let buffer = UserBuffer::new(context.limits);
        let (waits, next_waiter, in_flight) = (HashMap::new(), 0, 0);
        Self { owner, generation, context, buffer, waits, next_waiter, in_flight, caches }
    }

    fn perform(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        for effect in effects {
            match effect {
                Effect::Flush { blob_type, ignore_backoff } => self.context.pool.do_send(Submit {
                    owner: self.owner.clone(),
                    blob_type,
                    ignore_backoff,
                    reply: ctx.address().recipient(),
                }),
                Effect::Answer(id, waited) => {
                    if let Some(wait) = self.waits.remove(&id) {
                        // Who hung up needs no answer.
                        let _ = wait.send(waited);
                    }
                }
                Effect::RetryIn(pause) => {
                    ctx.run_later(pause, |actor, ctx| {
                        let effects = actor.buffer.retry();
                        actor.perform(effects, ctx);
                    });
                }
            }
        }
    }

    /// A new wait, known to nobody yet. Those whose requests are gone are forgotten first.
    fn new_wait(&mut self) -> (WaiterId, oneshot::Sender<Waited>, Wait) {
        let gone: Vec<WaiterId> = self.waits.iter().filter(|(_, w)| w.is_closed()).map(|(id, _)| *id).collect();
        for id in gone {
            self.waits.remove(&id);
            self.buffer.forget(id);
        }
        self.next_waiter += 1;
        let (tell, wait) = oneshot::channel();
        (self.next_waiter, tell, wait)
    }

    /// This life of the user has ended: nobody finds this actor any more. It stops by itself when nothing that is
    /// under way knows it.
    fn retire_for_good(&self) {
        self.context.registry.remove(&self.owner.key, self.generation);
    }

    fn journal_failed(&self, error: JournalError) -> UserError {
        match error {
            JournalError::OwnerGone => {
                self.retire_for_good();
                UserError::Gone
            }
            error => UserError::Refused(error.into()),
        }
    }

    /// Appends the effects of an append or a request that may have got a waiter.
    fn settle(
        &mut self,
        wait: Option<(WaiterId, oneshot::Sender<Waited>, Wait)>,
        effects: Vec<Effect>,
        ctx: &mut Context<Self>,
    ) -> Option<Wait> {
        let wait = wait.map(|(id, tell, wait)| {
            self.waits.insert(id, tell);
            wait
        });
        self.perform(effects, ctx);
        wait
    }

    fn request(&mut self, message: &RequestFlush, open: bool, ctx: &mut Context<Self>) -> Result<Requested, UserError> {
        let blob_type = message.blob_type;
        if self.buffer.level(blob_type).blobs == 0 && !self.buffer.is_flushing(blob_type) && !open {
            return Ok(Requested::Empty);
        }
        let wait = message.wait.then(|| self.new_wait());
        let effects = self.buffer.request(blob_type, wait.as_ref().map(|(id, ..)| *id)).map_err(|_| {
            let limit = u64::try_from(self.context.limits.max_waiters).unwrap_or(u64::MAX);
            let (what, parameter) = ("requests that wait for flushes of this user", "max_waiting_per_user");
            UserError::Refused(EngineError::Busy { what, parameter, limit, retry_after: RETRY_AFTER })
        })?;
        Ok(self.settle(wait, effects, ctx).map_or(Requested::Started, Requested::Waiting))
    }
}

impl Actor for UserActor {
    type Context = Context<Self>;
}

impl Handler<Leased<Append>> for UserActor {
    type Result = ResponseActFuture<Self, Result<Option<Wait>, UserError>>;

    fn handle(&mut self, leased: Leased<Append>, _: &mut Self::Context) -> Self::Result {
        let blob_type = leased.message.blob.blob_type;
        if let Ok(sent_at) = self.buffer.admit(blob_type) {
            return self.append(leased, sent_at);
        }
        // Another process may have made room.
        self.in_flight += 1;
        let (journal, owner) = (self.context.ports.journal.clone(), self.owner.clone());
        let look = async move { journal.levels(&owner).await };
        Box::pin(look.into_actor(self).then(move |levels, actor, ctx| {
            actor.in_flight -= 1;
            match levels {
                Ok(levels) => actor.buffer.loaded(levels),
                Err(error) => {
                    let failed = actor.journal_failed(error);
                    return Box::pin(fut::ready(Err(failed))) as Self::Result;
                }
            }
            match actor.buffer.admit(blob_type) {
                Ok(sent_at) => actor.append(leased, sent_at),
                Err(_) => Box::pin(fut::ready(Err(actor.full(blob_type, ctx)))),
            }
        }))
    }
}

impl UserActor {
    /// The buffer holds as many blobs as it may. Room is made at once.
    fn full(&mut self, blob_type: BlobType, ctx: &mut Context<Self>) -> UserError {
        let effects = self.buffer.sweep(blob_type);
        self.perform(effects, ctx);
        let limit = self.context.limits.max_blobs;
        let (what, parameter) = ("blobs that wait in this user's buffer", "max_buffered_blobs_per_user");
        UserError::Refused(EngineError::Busy { what, parameter, limit, retry_after: RETRY_AFTER })
    }

    fn append(
        &mut self,
        leased: Leased<Append>,
        sent_at: u64,
    ) -> ResponseActFuture<Self, Result<Option<Wait>, UserError>> {
        let Append { blob, wait } = leased.message.clone();
        self.in_flight += 1;
        let (journal, owner, appended) = (self.context.ports.journal.clone(), self.owner.clone(), blob.clone());
        let append = async move {
            let reply = journal.append(&owner, &appended).await;
            crash_point("after_append").await;
            reply
        };
        Box::pin(append.into_actor(self).map(move |reply, actor, ctx| {
            drop(leased);
            actor.in_flight -= 1;
            let reply = reply.map_err(|error| actor.journal_failed(error))?;
            // With as many waiting as may, nobody more does: the append itself is done.
            let waiter = (wait && actor.waits.len() < actor.context.limits.max_waiters).then(|| actor.new_wait());
            let id = waiter.as_ref().map(|(id, ..)| *id);
            let (flushes, effects) = actor.buffer.appended(blob.blob_type, sent_at, &reply, id);
            Ok(actor.settle(waiter.filter(|_| flushes), effects, ctx))
        }))
    }
}

impl Handler<Leased<RequestFlush>> for UserActor {
    type Result = ResponseActFuture<Self, Result<Requested, UserError>>;

    fn handle(&mut self, leased: Leased<RequestFlush>, _: &mut Self::Context) -> Self::Result {
        let blob_type = leased.message.blob_type;
        // The journal knows what other processes have appended or sealed.
        self.in_flight += 1;
        let (journal, owner) = (self.context.ports.journal.clone(), self.owner.clone());
        let look = async move {
            let sealed = journal.blob_ids(&owner, blob_type, Standing::Sealed);
            let (levels, sealed) = future::try_join(journal.levels(&owner), sealed).await?;
            Ok((levels, !sealed.is_empty()))
        };
        Box::pin(look.into_actor(self).map(move |seen: Result<_, JournalError>, actor, ctx| {
            actor.in_flight -= 1;
            let (levels, open) = seen.map_err(|error| actor.journal_failed(error))?;
            actor.buffer.loaded(levels);
            actor.request(&leased.message, open, ctx)
        }))
    }
}

impl Handler<Leased<Due>> for UserActor {
    type Result = Result<(), UserError>;

    fn handle(&mut self, leased: Leased<Due>, ctx: &mut Self::Context) -> Self::Result {
        let Due { owner, blob_type } = leased.message.clone();
        if owner != self.owner {
            return Err(UserError::Gone);
        }
        if self.buffer.is_idle() {
            let effects = self.buffer.sweep(blob_type);
            self.perform(effects, ctx);
        }
        Ok(())
    }
}

impl Handler<Leased<BlobRemoved>> for UserActor {
    type Result = ();

    fn handle(&mut self, leased: Leased<BlobRemoved>, _: &mut Self::Context) {
        self.buffer.removed(leased.message.blob_type, leased.message.level);
    }
}

impl Handler<Leased<Deleted>> for UserActor {
    type Result = ();

    fn handle(&mut self, leased: Leased<Deleted>, _: &mut Self::Context) {
        if self.owner.incarnation == leased.message.0 {
            self.caches.invalidate();
            self.retire_for_good();
        }
    }
}

impl Handler<Leased<Living>> for UserActor {
    type Result = ();

    fn handle(&mut self, leased: Leased<Living>, _: &mut Self::Context) {
        if self.owner.incarnation != leased.message.0 {
            self.caches.invalidate();
            self.retire_for_good();
        }
    }
}

impl Handler<FlushEnded> for UserActor {
    type Result = ();

    fn handle(&mut self, FlushEnded(end): FlushEnded, ctx: &mut Self::Context) {
        let gone = end == FlushEnd::Cancelled;
        let effects = self.buffer.ended(end);
        self.perform(effects, ctx);
        if gone {
            self.retire_for_good();
        }
    }
}

impl Handler<Passivate> for UserActor {
    type Result = ();

    fn handle(&mut self, _: Passivate, ctx: &mut Self::Context) {
        let idle = self.in_flight == 0 && self.buffer.is_idle();
        if idle && self.context.registry.retire(&self.owner.key, self.generation) {
            ctx.stop();
        }
    }
}

impl Handler<Close> for UserActor {
    type Result = ();

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        let effects = self.buffer.close("the server is stopping");
        self.perform(effects, ctx);
    }
}
