//! The flush pool: runs a bounded number of flushes at a time, the projects taking turns.
//!
//! Each user has at most one flush here, so the queue is bounded by the number of active users.

use actix::prelude::*;
use memory::blob::BlobType;
use memory::buffer::FlushEnd;
use memory::ids::Owner;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::fair_queue::FairQueue;
use crate::flush_run::FlushRunner;
use crate::user_actor::FlushEnded;

/// Asks for a flush. The answer goes to `reply`.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Submit {
    pub(crate) owner: Owner,
    pub(crate) blob_type: BlobType,
    pub(crate) ignore_backoff: bool,
    pub(crate) reply: Recipient<FlushEnded>,
}

/// Starts nothing more; the answer comes when the flushes under way have ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Drain;

/// Asks for [`PoolState`].
#[derive(Message)]
#[rtype(result = "PoolState")]
pub(crate) struct Observe;

/// What the pool is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, MessageResponse)]
pub struct PoolState {
    /// Flushes that wait for a place.
    pub queued: usize,
    /// Flushes under way.
    pub running: usize,
}

pub(crate) struct FlushPool {
    runner: FlushRunner,
    /// Where flushes run: they count tokens and match patterns for as long as it takes, which neither the threads of
    /// the actors nor those of the ports could bear.
    workers: Handle,
    limit: usize,
    queue: FairQueue<Submit>,
    running: usize,
    /// Those who wait until nothing runs any more; their presence stops new flushes.
    drains: Option<Vec<oneshot::Sender<()>>>,
}

impl FlushPool {
    pub(crate) fn new(runner: FlushRunner, workers: Handle, limit: usize) -> Self {
        Self { runner, workers, limit, queue: FairQueue::new(), running: 0, drains: None }
    }

    fn start_next(&mut self, ctx: &mut Context<Self>) {
        while self.drains.is_none() && self.running < self.limit {
            let Some(job) = self.queue.pop() else { return };
            self.running += 1;
            let runner = self.runner.clone();
            let run = async move { runner.run(job.owner, job.blob_type, job.ignore_backoff).await };
            let task = self.workers.spawn(run);
            let ended = task.into_actor(self).map(move |end, pool, ctx| {
                // A panic is a defect, but the batch is safe in the journal: its claim ends with the lease.
                let end = end.unwrap_or_else(|error| {
                    tracing::error!(%error, "a flush panicked");
                    FlushEnd::Failed { reason: "internal error".to_owned(), level: None }
                });
                job.reply.do_send(FlushEnded(end));
                pool.running -= 1;
                pool.start_next(ctx);
                pool.answer_drains();
            });
            ctx.spawn(ended);
        }
    }

    fn answer_drains(&mut self) {
        if self.running == 0
            && let Some(drains) = &mut self.drains
        {
            // Who hung up needs no answer.
            for drain in drains.drain(..) {
                let _ = drain.send(());
            }
        }
    }
}

impl Actor for FlushPool {
    type Context = Context<Self>;
}

impl Handler<Submit> for FlushPool {
    type Result = ();

    fn handle(&mut self, job: Submit, ctx: &mut Self::Context) {
        if self.drains.is_some() {
            job.reply.do_send(FlushEnded(stopping()));
            return;
        }
        let project = job.owner.key.project.clone();
        self.queue.push(&project, job);
        self.start_next(ctx);
    }
}

impl Handler<Drain> for FlushPool {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        for job in self.queue.drain() {
            job.reply.do_send(FlushEnded(stopping()));
        }
        let (done, wait) = oneshot::channel();
        self.drains.get_or_insert_default().push(done);
        self.answer_drains();
        // The sender lives as long as the pool.
        Box::pin(async move { wait.await.unwrap_or(()) })
    }
}

impl Handler<Observe> for FlushPool {
    type Result = PoolState;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> PoolState {
        PoolState { queued: self.queue.len(), running: self.running }
    }
}

fn stopping() -> FlushEnd {
    FlushEnd::Failed { reason: "the server is stopping".to_owned(), level: None }
}
