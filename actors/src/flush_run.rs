//! Drives one run of a flush: does the steps of [`memory::flush::Flush`] on the ports, and keeps its claim alive.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt as _;
use memory::blob::BlobType;
use memory::buffer::FlushEnd;
use memory::extraction::Request;
use memory::flush::{Flush, FlushSettings, Reply, Step};
use memory::ids::Owner;
use memory::ports::{CommitReply, JournalError, ModelError, StoreError, Usage};
use tokio::time::Instant;

use crate::crash_point::crash_point;
use crate::outages;
use crate::projects::ProjectCache;
use crate::settings::Ports;
use crate::told::Teller;

/// What runs flushes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct FlushRunner {
    pub(crate) ports: Ports,
    pub(crate) teller: Teller,
    pub(crate) settings: Arc<FlushSettings>,
    pub(crate) projects: Arc<ProjectCache>,
}

impl FlushRunner {
    /// Runs one flush to its end.
    pub(crate) async fn run(&self, owner: Owner, asked: BlobType, ignore_backoff: bool) -> FlushEnd {
        let Ports { clock, ids, counter, .. } = self.ports.clone();
        let mut flush = Flush::new(owner, asked, ignore_backoff, self.settings.clone(), clock, ids, counter);
        let mut step = flush.start();
        // When the claim was made or last renewed.
        let mut renewed_at = Instant::now();
        // It ends for want of something that is away.
        let mut away = false;
        // It knows how the project wants its memory made: as it was when the profile was first read.
        let mut has_policy = false;
        // What it has told, to be embedded when all else is done.
        let mut told = None;
        loop {
            if let Step::Done(end) = step {
                if let Some(told) = told {
                    self.teller.embed(flush.owner(), told).await;
                }
                report(&flush, &end, away);
                return end;
            }
            if matches!(step, Step::Ask(_))
                && let Some(balance) = self.projects.held(&flush.owner().key.project).await
            {
                step = next(&mut flush, Reply::Held(balance.to_string()));
                continue;
            }
            let (name, cost) = (name_of(&step), cost_of(&step));
            let (commits, releases) = (matches!(step, Step::Commit(_)), matches!(step, Step::Release(..)));
            if matches!(step, Step::ReadProfile) && !has_policy {
                match self.projects.get(&flush.owner().key.project).await {
                    Ok(known) => flush.adopt(known.flush.clone()),
                    Err(error) => {
                        let reply = store_down(error);
                        away = is_away(&reply);
                        step = next(&mut flush, reply);
                        continue;
                    }
                }
                has_policy = true;
            }
            let telling = self.teller.of(flush.owner(), &step);
            let Some(reply) = self.perform_claimed(&flush, step, &mut renewed_at).await else {
                tracing::warn!(user = %flush.owner().key.user, "the claim on a batch was lost; another worker has it");
                return FlushEnd::Moved;
            };
            crash_point(name).await;
            if !releases {
                away = is_away(&reply);
            }
            if is_counted(&reply) {
                self.projects.spent(&flush.owner().key.project, cost);
            }
            if commits && may_have_changed(&reply) {
                // Before the batch is discarded: who finds it after a crash in between tells it again.
                told = telling.filter(|_| matches!(reply, Reply::Committed(CommitReply::Done)));
                match &told {
                    Some(told) => self.teller.committed(flush.owner(), told).await,
                    None => self.teller.changed(flush.owner()).await,
                }
            }
            step = next(&mut flush, reply);
        }
    }

    /// Does one step, renewing the claim meanwhile: a local model may think for minutes, and a store may hang. None when
    /// the claim was lost before or while the model is asked; the other steps look after themselves.
    async fn perform_claimed(&self, flush: &Flush, step: Step, renewed_at: &mut Instant) -> Option<Reply> {
        let asks = matches!(step, Step::Ask(_));
        let pause = self.settings.lease / 3;
        if asks && renewed_at.elapsed() >= pause {
            *renewed_at = Instant::now();
            if !self.renew(flush).await {
                return None;
            }
        }
        if matches!(step, Step::Take(_)) {
            *renewed_at = Instant::now();
        }
        let mut work = std::pin::pin!(self.perform(flush, step));
        loop {
            tokio::select! {
                biased;
                reply = &mut work => return reply,
                held = self.renew_at(flush, *renewed_at + pause) => {
                    *renewed_at = Instant::now();
                    if !held && asks {
                        return None;
                    }
                }
            }
        }
    }

    /// Does one step. None when there is nothing to do.
    async fn perform(&self, flush: &Flush, step: Step) -> Option<Reply> {
        let (store, journal, owner) = (&self.ports.store, &self.ports.journal, flush.owner());
        let now = self.ports.clock.now();
        let reply = match step {
            Step::Take(take) => journal.take(owner, &take).await.map_or_else(journal_down, Reply::Taken),
            Step::ReadProfile => store.profile(&owner.key).await.map_or_else(store_down, Reply::Profile),
            Step::ReadAnswer(id, part) => {
                store.answer(&owner.key, id, part).await.map_or_else(store_down, Reply::Answer)
            }
            Step::Ask(request) => self.ask(&request).await,
            Step::RecordAnswer(id, part, answer) => {
                store.record_answer(owner, id, part, &answer, now).await.map_or_else(store_down, Reply::Recorded)
            }
            Step::Commit(commit) => {
                crash_point("before_commit").await;
                store.commit(&commit).await.map_or_else(store_down, Reply::Committed)
            }
            Step::End(id, record, letter) => {
                let ended = store.end_flush(owner, id, &record, letter.as_deref(), now).await;
                ended.map_or_else(store_down, Reply::Ended)
            }
            Step::Reseal(reseal) => journal.reseal(owner, &reseal).await.map_or_else(journal_down, Reply::Resealed),
            Step::Release(id, token, release) => {
                journal.release(owner, id, token, release).await.map_or_else(journal_down, Reply::Released)
            }
            Step::Discard(id) => journal.discard(owner, id).await.map_or_else(journal_down, |()| Reply::Discarded),
            Step::Done(_) => return None,
        };
        Some(reply)
    }

    /// Asks the model.
    async fn ask(&self, request: &Request) -> Reply {
        let asked = AssertUnwindSafe(self.ports.model.extract(request)).catch_unwind().await;
        asked.map_or(Reply::Broken(PANICKED), Reply::Asked)
    }

    async fn renew_at(&self, flush: &Flush, at: Instant) -> bool {
        tokio::time::sleep_until(at).await;
        self.renew(flush).await
    }

    /// Renews the claim. False when it is not ours any more; a journal that is away proves nothing.
    async fn renew(&self, flush: &Flush) -> bool {
        let Some((flush_id, token)) = flush.claim() else { return true };
        self.ports.journal.renew(flush.owner(), flush_id, token, self.settings.lease).await.unwrap_or(true)
    }
}

/// Tokens that the store counts with a step.
fn cost_of(step: &Step) -> u64 {
    let Usage { input, output, .. } = match step {
        Step::Commit(commit) => commit.record.usage,
        Step::End(_, record, _) => record.usage,
        _ => return 0,
    };
    u64::from(input) + u64::from(output)
}

/// Whether the store has counted them now.
fn is_counted(reply: &Reply) -> bool {
    matches!(reply, Reply::Committed(CommitReply::Done | CommitReply::UserGone) | Reply::Ended(None))
}

/// Whether something that this flush needs is away.
fn is_away(reply: &Reply) -> bool {
    matches!(reply, Reply::Down(_) | Reply::Asked(Err(ModelError::Unavailable { .. })))
}

/// Whether a commit that was answered so may have taken effect. Whoever lost a race sees the winner's, too.
fn may_have_changed(reply: &Reply) -> bool {
    !matches!(reply, Reply::Committed(CommitReply::AppliedBefore(_) | CommitReply::Stale))
}

/// What a client is told of a defect.
const PANICKED: &str = "internal error; the server's log has the details";

/// The next step. A panic on the way is a defect, and must not block the user's memory for ever.
fn next(flush: &mut Flush, reply: Reply) -> Step {
    let step = catch_unwind(AssertUnwindSafe(|| flush.next(reply)));
    step.unwrap_or_else(|_| flush.next(Reply::Broken(PANICKED)))
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_or_else")]
fn store_down(error: StoreError) -> Reply {
    outages::store_failed(&error);
    match error {
        StoreError::Unavailable(_) => Reply::Down("the store"),
        StoreError::Damaged(_) => Reply::Broken("the store holds something that cannot be read"),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_or_else")]
fn journal_down(error: JournalError) -> Reply {
    outages::journal_failed(&error);
    match error {
        JournalError::Unavailable(_) | JournalError::OwnerGone => Reply::Down("the journal"),
        JournalError::Damaged(_) => Reply::Broken("the journal holds something that cannot be read"),
    }
}

/// The name of the crash point behind a step.
fn name_of(step: &Step) -> &'static str {
    match step {
        Step::Take(_) => "after_take",
        Step::ReadProfile => "after_read_profile",
        Step::ReadAnswer(..) => "after_read_answer",
        Step::Ask(_) => "after_answer",
        Step::RecordAnswer(..) => "after_record_answer",
        Step::Commit(_) => "after_commit",
        Step::End(..) => "after_end",
        Step::Reseal(_) => "after_reseal",
        Step::Release(..) => "after_release",
        Step::Discard(_) => "after_discard",
        Step::Done(_) => "done",
    }
}

/// Logs how a run ended. Never with content of messages.
fn report(flush: &Flush, end: &FlushEnd, away: bool) {
    let (project, user) = (&flush.owner().key.project, flush.owner().key.user);
    // One line for each reason: a model that has lost its way may err a thousand times.
    let mut reasons = BTreeMap::<&str, (usize, &str)>::new();
    for refusal in flush.refused() {
        reasons.entry(refusal.reason).or_insert((0, &refusal.item)).0 += 1;
    }
    for (reason, (items, first)) in reasons {
        tracing::warn!(%project, %user, reason, items, first, "refused parts of an extraction");
    }
    match end {
        FlushEnd::Committed { blob_type, through_seq, .. } => {
            outages::flush_committed();
            tracing::debug!(%project, %user, %blob_type, through_seq, refused = flush.refused().len(), "flush committed");
        }
        FlushEnd::Failed { .. } if flush.is_held() => outages::quota_used_up(project),
        FlushEnd::Failed { reason, .. } if away => outages::flush_waits(project, &user, reason),
        FlushEnd::Failed { reason, .. } => {
            tracing::warn!(%project, %user, reason, "flush failed; it will be tried again");
        }
        FlushEnd::Dead { blob_type, reason, .. } => {
            // The letter bears the id of its flush.
            let letter = flush.claim().map(|(flush_id, _)| tracing::field::display(flush_id));
            tracing::error!(
                %project, %user, letter, %blob_type, reason, "flush failed for good; its blobs are dead letters"
            );
        }
        FlushEnd::Cancelled => tracing::info!(%project, %user, "flush cancelled: the user is gone"),
        FlushEnd::Empty(_) | FlushEnd::Busy { .. } | FlushEnd::Moved => {}
    }
}
