use std::sync::Arc;
use std::time::Duration;

use super::seen::{Part, Recorded, Seen};
use super::{FlushSettings, Reply, Step};
use crate::blob::{Blob, BlobType};
use crate::buffer::FlushEnd;
use crate::extraction::{Draft, Extraction, Line, Plan, PlanIds, Quoted, Refusal, Request};
use crate::extraction::{check, lines_of, parts_of, plan, quote};
use crate::ids::{BlobId, ClaimToken, FlushId, IdSource, Owner};
use crate::ports::{
    Answer, Batch, Clock, Commit, CommitReply, DeadLetter, Entry, FlushOutcome, FlushRecord, FlushResult, Level,
    ModelError, Release, Reseal, Setback, StoredBlob, Take, Taken, TokenCounter, Usage,
};
use crate::profile::{Profile, Slot, SlotName};

/// How often a plan is made again because the profile moved on, before the flush steps back for a while.
const MAX_REPLANS: u32 = 50;

/// What a flush needs besides its ports.
#[derive(Clone)]
pub(super) struct Tools {
    settings: Arc<FlushSettings>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    counter: Arc<dyn TokenCounter>,
}

/// One run of a flush. See the module's text.
pub struct Flush {
    tools: Tools,
    owner: Owner,
    asked: BlobType,
    ignore_backoff: bool,
    token: ClaimToken,
    /// The id of the batch, should this run seal it.
    new_flush_id: FlushId,
    /// The level after the seal, when this run has sealed.
    level: Option<(BlobType, Level)>,
    batch: Option<Batch>,
    parts: Vec<Vec<Line>>,
    drafts: Vec<Draft>,
    /// The slots whose memos the model that thinks was not shown.
    unseen: Vec<SlotName>,
    seen: Seen,
    usage: Usage,
    version: String,
    base: Option<Profile>,
    checked: Option<(Extraction, PlanIds)>,
    /// The answer to the last part, until it is recorded: the commit does that.
    unrecorded: Option<(u32, Answer)>,
    /// The answer that is being recorded after a commit that took no effect, and the reply to that one.
    late: Option<(Answer, Box<Reply>)>,
    /// What the commit under way will have done.
    result: Option<FlushResult>,
    replans: u32,
    /// The model may not be asked now.
    held: bool,
    /// The run is over once the batch is out of the journal or the claim given back.
    end: Option<FlushEnd>,
}

impl Flush {
    /// A run for one owner. `asked` is the type to seal when no batch is open.
    pub fn new(
        owner: Owner,
        asked: BlobType,
        ignore_backoff: bool,
        settings: Arc<FlushSettings>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        counter: Arc<dyn TokenCounter>,
    ) -> Self {
        let (token, new_flush_id) = (ClaimToken(ids.random()), FlushId(ids.ordered()));
        Self {
            tools: Tools { settings, clock, ids, counter },
            owner,
            asked,
            ignore_backoff,
            token,
            new_flush_id,
            level: None,
            batch: None,
            parts: Vec::new(),
            drafts: Vec::new(),
            unseen: Vec::new(),
            seen: Seen::default(),
            usage: Usage::default(),
            version: String::new(),
            base: None,
            checked: None,
            unrecorded: None,
            late: None,
            result: None,
            replans: 0,
            held: false,
            end: None,
        }
    }

    /// Whose batch it is.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The claim that is to be renewed while the run goes on, once there is one.
    pub fn claim(&self) -> Option<(FlushId, ClaimToken)> {
        self.batch.as_ref().map(|b| (b.flush_id, self.token))
    }

    /// From now on, memory is made in this way: that of the project, once it is known. To be called before the profile
    /// is first read, if at all.
    pub fn adopt(&mut self, settings: Arc<FlushSettings>) {
        self.tools.settings = settings;
    }

    /// What of the model's answer was not used.
    pub fn refused(&self) -> &[Refusal] {
        self.checked.as_ref().map_or(&[], |(extraction, _)| &extraction.refused)
    }

    /// True when it ends because the project has used up its tokens.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// The first step.
    pub fn start(&self) -> Step {
        let settings = &self.tools.settings;
        Step::Take(Take {
            blob_type: self.asked,
            flush_id: self.new_flush_id,
            token: self.token,
            lease: settings.lease,
            max_tokens: u64::from(settings.max_tokens),
            max_blobs: settings.max_blobs,
            ignore_backoff: self.ignore_backoff,
        })
    }

    /// The step that follows a reply.
    pub fn next(&mut self, reply: Reply) -> Step {
        if let Some((answer, held_back)) = self.late.take() {
            return match reply {
                Reply::Recorded(first) if first.text != answer.text => {
                    self.release("another worker was faster".to_owned(), Duration::ZERO, Setback::Outage)
                }
                Reply::Recorded(_) => self.follow(*held_back),
                reply => self.follow(reply),
            };
        }
        // Whatever this reply is, it is that to the commit: what comes later is no concern of that answer.
        match self.unrecorded.take() {
            Some((part, answer)) if took_no_effect(&reply) => self.record_late(part, answer, reply),
            _ => self.follow(reply),
        }
    }

    /// Records an answer that was to be recorded with a commit, before anything else.
    fn record_late(&mut self, part: u32, answer: Answer, reply: Reply) -> Step {
        let Some((flush_id, _)) = self.claim() else { return Step::Done(FlushEnd::Moved) };
        self.late = Some((answer.clone(), Box::new(reply)));
        Step::RecordAnswer(flush_id, part, answer)
    }

    fn follow(&mut self, reply: Reply) -> Step {
        match reply {
            Reply::Taken(taken) => self.taken(taken),
            Reply::Profile(profile) => self.profile(profile),
            Reply::Answer(Some(answer)) | Reply::Recorded(answer) => {
                match Recorded::from_text(&answer.text).filter(|recorded| recorded.part == self.present_part()) {
                    Some(recorded) => self.use_answer(recorded, &answer),
                    // Recorded by another version, or of other lines. Under a new id the model is asked anew.
                    None => self.reseal(Vec::new()),
                }
            }
            Reply::Answer(None) => self.ask(),
            Reply::Asked(Ok(answer)) => self.answered(answer),
            Reply::Asked(Err(error)) => self.model_failed(error),
            Reply::Held(reason) => self.hold(reason),
            Reply::Committed(reply) => self.committed(reply),
            Reply::Ended(Some(record)) => self.decided(record),
            Reply::Ended(None) => self.discard(),
            Reply::Resealed(true) => self.read_batch(),
            Reply::Resealed(false) => Step::Done(FlushEnd::Moved),
            Reply::Released(_) | Reply::Discarded => self.done(),
            Reply::Down(what) => self.down(what),
            // What breaks this batch would break it again: it counts, so that the user's later messages get their turn.
            Reply::Broken(what) if self.end.is_none() && self.batch.is_some() => {
                self.model_failed(ModelError::Unusable(what.to_owned()))
            }
            Reply::Broken(what) => self.down(what),
        }
    }

    fn taken(&mut self, taken: Taken) -> Step {
        match taken {
            Taken::Empty(level) => Step::Done(FlushEnd::Empty(level)),
            Taken::Busy { ready_in } => Step::Done(FlushEnd::Busy { ready_in }),
            Taken::Batch(batch, level) => {
                self.level = Some((batch.blob_type, level));
                self.batch = Some(batch);
                self.read_batch()
            }
        }
    }

    /// Turns the blobs of the batch into the parts of the request.
    fn read_batch(&mut self) -> Step {
        let Some(batch) = &self.batch else { return Step::Done(FlushEnd::Moved) };
        let mut lines = Vec::new();
        for entry in &batch.entries {
            match Blob::from_payload(&entry.blob.payload) {
                Ok(blob) => {
                    let number = lines.last().map_or(1, |l: &Line| l.number.saturating_add(1));
                    let zone = &self.tools.settings.policy.time_zone;
                    lines.extend(lines_of(entry.blob.id.0, &blob, number, zone));
                }
                Err(_) => return self.bury("a blob of this batch cannot be read".to_owned()),
            }
        }
        self.parts = parts_of(lines, self.tools.settings.max_tokens, &*self.tools.counter);
        self.forget_answers();
        Step::ReadProfile
    }

    fn forget_answers(&mut self) {
        self.drafts.clear();
        self.seen = Seen::default();
        self.checked = None;
        self.base = None;
        self.usage = Usage::default();
    }

    fn profile(&mut self, profile: Option<Profile>) -> Step {
        match profile.filter(|p| p.incarnation == self.owner.incarnation) {
            None => self.finish(FlushOutcome::Cancelled, "the user was deleted".to_owned(), None),
            Some(profile) if self.checked.is_some() => self.commit(&profile),
            Some(profile) => {
                self.base = Some(profile);
                self.next_part()
            }
        }
    }

    /// Looks for the answer to the next part, or goes on to the commit.
    fn next_part(&mut self) -> Step {
        if self.drafts.len() >= self.parts.len() {
            return self.check();
        }
        match self.claim() {
            // Of a batch that this run has sealed nobody can have recorded an answer.
            Some((flush_id, _)) if self.tools.settings.record_answers && flush_id != self.new_flush_id => {
                Step::ReadAnswer(flush_id, self.part())
            }
            _ => self.ask(),
        }
    }

    fn part(&self) -> u32 {
        u32::try_from(self.drafts.len()).unwrap_or(u32::MAX)
    }

    fn present_part(&self) -> Part {
        self.parts.get(self.drafts.len()).map(|lines| Part::of(lines)).unwrap_or_default()
    }

    fn ask(&mut self) -> Step {
        let settings = &self.tools.settings;
        let lines = self.parts.get(self.drafts.len()).cloned().unwrap_or_default();
        let (slots, schema) = (self.present_slots(), &settings.policy.schema);
        let Quoted { profile, named } = quote(slots, &lines, schema, settings.quote_tokens, &*self.tools.counter);
        self.unseen.clone_from(&named);
        Step::Ask(Box::new(Request { lines, profile, named, policy: settings.policy.clone() }))
    }

    /// The profile as the parts so far have left it: a later part goes on from there.
    fn present_slots(&self) -> Vec<Slot> {
        let Tools { settings, counter, .. } = &self.tools;
        let mut slots = self.base.as_ref().map(|p| p.slots.clone()).unwrap_or_default();
        self.drafts.iter().for_each(|draft| draft.preview(&mut slots, &settings.policy, &**counter));
        slots
    }

    /// An answer is recorded only once it can be read: a recorded one is never asked for again. What the model could
    /// not see is merged before that, so that whoever finds the answer comes to the same memos. That to the last part is
    /// recorded in the transaction that uses it, which follows at once.
    fn answered(&mut self, answer: Answer) -> Step {
        let recorded = match Draft::read(&answer.text) {
            Ok(mut draft) => {
                let Tools { settings, counter, .. } = &self.tools;
                draft.merge_unseen(&self.unseen, &self.present_slots(), &settings.policy, &**counter);
                Recorded::new(draft, self.present_part(), self.base.as_ref())
            }
            Err(unreadable) => return self.model_failed(ModelError::Unusable(unreadable.to_string())),
        };
        let Some((flush_id, _)) = self.claim().filter(|_| self.tools.settings.record_answers) else {
            return self.use_answer(recorded, &answer);
        };
        let answer = Answer { text: recorded.to_text(), ..answer };
        if self.drafts.len() + 1 < self.parts.len() {
            return Step::RecordAnswer(flush_id, self.part(), answer);
        }
        self.unrecorded = Some((self.part(), answer.clone()));
        self.use_answer(recorded, &answer)
    }

    fn use_answer(&mut self, recorded: Recorded, answer: &Answer) -> Step {
        self.drafts.push(self.seen.add(recorded));
        self.usage += answer.usage;
        self.version.clone_from(&answer.version);
        self.next_part()
    }

    fn check(&mut self) -> Step {
        let lines = self.parts.concat();
        let extraction = check(&self.drafts, &lines, &self.tools.settings.policy, &*self.tools.counter);
        let ids = PlanIds::draw(&extraction, &*self.tools.ids);
        self.checked = Some((extraction, ids));
        match self.base.clone() {
            Some(profile) => self.commit(&profile),
            None => Step::ReadProfile,
        }
    }

    /// Plans against the present profile and commits.
    fn commit(&mut self, current: &Profile) -> Step {
        let (Some(batch), Some((extraction, ids))) = (&self.batch, &self.checked) else {
            return Step::Done(FlushEnd::Moved);
        };
        let now = self.tools.clock.now();
        let base = self.seen.profile(current);
        // What comes from a dead letter is old news: it must not replace newer.
        let known_until = batch.entries.last().filter(|_| batch.retried).map(|entry| entry.appended_at);
        let Plan { slots, event, result, overruled } =
            plan(extraction, ids, batch.flush_id, &base, current, known_until, &self.tools.settings.policy, now);
        let refused = u32::try_from(extraction.refused.len()).unwrap_or(u32::MAX).saturating_add(overruled);
        self.result = Some(result.clone());
        let keeps = batch.blob_type != BlobType::Chat || self.tools.settings.keep_chats;
        Step::Commit(Box::new(Commit {
            owner: self.owner.clone(),
            flush_id: batch.flush_id,
            base_revision: current.revision,
            blob_ids: batch.entries.iter().map(|e| e.blob.id).collect(),
            retried: batch.retried,
            record: FlushRecord { result, refused, ..self.record(FlushOutcome::Committed, None) },
            slots,
            event,
            keep: if keeps { stored(&batch.entries) } else { Vec::new() },
            answer: self.unrecorded.clone(),
            now,
        }))
    }

    fn record(&self, outcome: FlushOutcome, reason: Option<String>) -> FlushRecord {
        let result = FlushResult::default();
        FlushRecord { outcome, result, reason, usage: self.usage, refused: 0, version: self.version.clone() }
    }

    fn committed(&mut self, reply: CommitReply) -> Step {
        match reply {
            CommitReply::Done => {
                let result = self.result.take();
                self.end_committed(result)
            }
            CommitReply::Decided(record) => self.decided(record),
            CommitReply::UserGone => {
                self.end = Some(FlushEnd::Cancelled);
                self.discard()
            }
            CommitReply::AppliedBefore(blobs) => self.drop_applied(&blobs),
            CommitReply::Stale if self.replans >= MAX_REPLANS => self.release(
                "the profile changes faster than it can be written".to_owned(),
                Duration::ZERO,
                Setback::Outage,
            ),
            CommitReply::Stale => {
                self.replans += 1;
                Step::ReadProfile
            }
        }
    }

    fn end_committed(&mut self, result: Option<FlushResult>) -> Step {
        let Some(batch) = &self.batch else { return Step::Done(FlushEnd::Moved) };
        // The numbers of a batch that is tried again are not those of its buffer.
        let through_seq = batch.entries.last().filter(|_| !batch.retried).map_or(0, |e| e.seq);
        let level = self.level.map(|(_, level)| level);
        self.end = Some(FlushEnd::Committed { blob_type: batch.blob_type, through_seq, result, level });
        self.discard()
    }

    /// The flush has an outcome already: another worker was faster, or a blob was deleted from the batch.
    fn decided(&mut self, record: FlushRecord) -> Step {
        match record.outcome {
            FlushOutcome::Committed => self.end_committed(Some(record.result)),
            FlushOutcome::Dead => self.end_dead(record.reason.unwrap_or_default()),
            FlushOutcome::Cancelled => {
                self.end = Some(FlushEnd::Cancelled);
                self.discard()
            }
            FlushOutcome::Superseded => self.reseal(Vec::new()),
        }
    }

    /// The journal came back older than it was: what has taken effect leaves the batch, the rest is extracted anew.
    fn drop_applied(&mut self, applied: &[BlobId]) -> Step {
        let Some(batch) = &self.batch else { return Step::Done(FlushEnd::Moved) };
        if batch.entries.iter().all(|e| applied.contains(&e.blob.id)) {
            return self.end_committed(None);
        }
        self.reseal(applied.to_vec())
    }

    fn reseal(&mut self, drop: Vec<BlobId>) -> Step {
        let new_flush_id = FlushId(self.tools.ids.ordered());
        let Some(batch) = &mut self.batch else { return Step::Done(FlushEnd::Moved) };
        let flush_id = std::mem::replace(&mut batch.flush_id, new_flush_id);
        batch.entries.retain(|e| !drop.contains(&e.blob.id));
        // An outcome that was to be stored for the old id stands no more.
        self.end = None;
        Step::Reseal(Reseal { flush_id, new_flush_id, drop, token: Some(self.token) })
    }

    fn model_failed(&mut self, error: ModelError) -> Step {
        let attempts = self.batch.as_ref().map_or(0, |b| b.attempts);
        let reason = error.to_string();
        match error {
            ModelError::Unavailable { retry_after, .. } => {
                self.release(reason, retry_after.unwrap_or(Duration::ZERO), Setback::Outage)
            }
            ModelError::Refused(_) | ModelError::Unusable(_)
                if attempts.saturating_add(1) >= self.tools.settings.max_attempts =>
            {
                self.bury(reason)
            }
            ModelError::Refused(_) | ModelError::Unusable(_) => self.release(reason, Duration::ZERO, Setback::Failure),
        }
    }

    /// Ends the flush for good: its blobs become dead letters.
    fn bury(&mut self, reason: String) -> Step {
        let blobs = self.batch.as_ref().map(|b| stored(&b.entries)).unwrap_or_default();
        let letter = DeadLetter { reason: reason.clone(), blobs };
        self.finish(FlushOutcome::Dead, reason, Some(letter))
    }

    fn finish(&mut self, outcome: FlushOutcome, reason: String, letter: Option<DeadLetter>) -> Step {
        let Some((flush_id, _)) = self.claim() else { return Step::Done(FlushEnd::Moved) };
        let record = self.record(outcome, Some(reason.clone()));
        if outcome == FlushOutcome::Dead {
            let _ = self.end_dead(reason);
        } else {
            self.end = Some(FlushEnd::Cancelled);
        }
        Step::End(flush_id, Box::new(record), letter.map(Box::new))
    }

    fn end_dead(&mut self, reason: String) -> Step {
        let Some(batch) = &self.batch else { return Step::Done(FlushEnd::Moved) };
        let level = self.level.map(|(_, level)| level);
        self.end = Some(FlushEnd::Dead { blob_type: batch.blob_type, reason, level });
        self.discard()
    }

    fn release(&mut self, reason: String, at_least: Duration, setback: Setback) -> Step {
        let Some(batch) = &self.batch else { return Step::Done(FlushEnd::Failed { reason, level: self.level }) };
        #[expect(clippy::cast_precision_loss, reason = "luck needs no 64 bits")]
        let luck = (self.tools.ids.random().as_u128() >> 64) as u64 as f64 / u64::MAX as f64;
        let retry_in = self.tools.settings.backoff(batch.tries, luck).max(at_least);
        let flush_id = batch.flush_id;
        self.end = Some(FlushEnd::Failed { reason, level: self.level });
        Step::Release(flush_id, self.token, Release { retry_in, setback })
    }

    /// The project has used up its tokens. No failure, and nothing to wait for longer and longer: the batch is due at
    /// once, for whoever knows that there are tokens again.
    fn hold(&mut self, reason: String) -> Step {
        let Some((flush_id, token)) = self.claim() else { return Step::Done(FlushEnd::Moved) };
        self.held = true;
        self.end = Some(FlushEnd::Failed { reason, level: self.level });
        Step::Release(flush_id, token, Release { retry_in: Duration::ZERO, setback: Setback::Hold })
    }

    fn discard(&self) -> Step {
        match &self.batch {
            Some(batch) => Step::Discard(batch.flush_id),
            None => Step::Done(FlushEnd::Moved),
        }
    }

    fn done(&mut self) -> Step {
        Step::Done(self.end.take().unwrap_or(FlushEnd::Moved))
    }

    /// Store or journal are away. An outcome that is stored already stands; else the claim is given back.
    fn down(&mut self, what: &'static str) -> Step {
        match self.end.take() {
            // The step that failed was the last one: discard, release or end. The batch comes up again when its
            // claim ends, and whoever takes it finds the outcome, if there is one.
            Some(end @ (FlushEnd::Committed { .. } | FlushEnd::Failed { .. })) => Step::Done(end),
            Some(_) => Step::Done(FlushEnd::Failed { reason: format!("{what} is not available"), level: self.level }),
            None => self.release(format!("{what} is not available"), Duration::ZERO, Setback::Outage),
        }
    }
}

/// Whether a commit has not taken effect, as far as its reply tells, and may yet be made.
fn took_no_effect(reply: &Reply) -> bool {
    matches!(reply, Reply::Committed(CommitReply::Stale) | Reply::Down(_) | Reply::Broken(_))
}

fn stored(entries: &[Entry]) -> Vec<StoredBlob> {
    entries.iter().map(|e| StoredBlob { blob: e.blob.clone(), created_at: e.appended_at }).collect()
}
