//! One flush, step by step, with whatever goes wrong.

use jiff::SignedDuration;
use memory::buffer::FlushEnd;
use memory::extraction::{Draft, DraftAction, DraftGist, Request, Verb};
use memory::flush::{Flush, Reply, Step};
use memory::ids::{ClaimToken, FlushId, Owner};
use memory::ports::{Answer, Commit, CommitReply, FlushOutcome, Journal, ModelError, Store, Taken, Usage};
use memory::profile::Slot;

use crate::script::{Fault, Mood};
use crate::world::{World, by_id, now};

/// Steps of one run at most: those of a batch with many parts that is sealed anew several times.
const MAX_STEPS: u32 = 300;

/// A flush under way.
pub(crate) struct Run {
    pub(crate) owner: Owner,
    pub(crate) flush: Flush,
    step: Step,
    steps: u32,
    /// When the profile that the next request shows was read.
    read_at: u64,
    /// Its slots.
    read: Vec<Slot>,
    /// The answer that was looked for last, or cannot be there, and is not recorded.
    missing: Option<(FlushId, u32)>,
    /// The batch, if this run has sealed it.
    sealed: Option<FlushId>,
}

impl Run {
    pub(crate) fn new(owner: Owner, flush: Flush) -> Self {
        let (step, read) = (flush.start(), Vec::new());
        Self { step, owner, flush, steps: 0, read_at: 0, read, missing: None, sealed: None }
    }
}

impl World {
    /// Does one step. Returns the end, if that was it.
    pub(crate) fn advance(&mut self, run: &mut Run, fault: Fault, mood: Mood) -> Option<FlushEnd> {
        self.tick += 1;
        run.steps += 1;
        assert!(run.steps < MAX_STEPS, "a flush without end at {:?}", run.step);
        let step = run.step.clone();
        let reply = match step {
            Step::Done(end) => return Some(end),
            Step::Ask(_) if matches!(mood, Mood::Held) => Reply::Held("no tokens".to_owned()),
            Step::Ask(request) => Reply::Asked(self.ask(run, &request, mood)),
            _ if fault == Fault::Outage => Reply::Down("the port"),
            step => {
                let reply = self.carry_step(run, step);
                if fault == Fault::Lost { Reply::Down("the port") } else { reply }
            }
        };
        run.step = run.flush.next(reply);
        if let Step::Done(end) = &run.step {
            return Some(end.clone());
        }
        None
    }

    fn carry_step(&mut self, run: &mut Run, step: Step) -> Reply {
        let owner = run.owner.clone();
        let time = self.time();
        match step {
            Step::Take(take) => {
                let taken = now(self.journal.take(&owner, &take)).unwrap();
                if let Taken::Batch(batch, _) = &taken {
                    self.claimed(&owner, take.token);
                    // Nobody can have recorded an answer for what is sealed only now.
                    run.sealed = (batch.flush_id == take.flush_id).then_some(batch.flush_id);
                    run.missing = run.sealed.map(|flush_id| (flush_id, 0));
                }
                Reply::Taken(taken)
            }
            Step::ReadProfile => {
                run.read_at = self.tick;
                let profile = now(self.store.profile(&owner.key)).unwrap();
                run.read = profile.iter().flat_map(|p| p.slots.clone()).collect();
                Reply::Profile(profile)
            }
            Step::ReadAnswer(flush_id, part) => {
                let answer = now(self.store.answer(&owner.key, flush_id, part)).unwrap();
                run.missing = answer.is_none().then_some((flush_id, part));
                Reply::Answer(answer)
            }
            Step::RecordAnswer(flush_id, part, answer) => {
                assert_eq!(run.missing.take(), Some((flush_id, part)), "recorded for another part");
                run.missing = run.sealed.filter(|sealed| *sealed == flush_id).map(|_| (flush_id, part + 1));
                Reply::Recorded(now(self.store.record_answer(&owner, flush_id, part, &answer, time)).unwrap())
            }
            Step::Commit(commit) => Reply::Committed(self.commit(&owner, &commit)),
            Step::End(flush_id, record, letter) => {
                let decided = now(self.store.end_flush(&owner, flush_id, &record, letter.as_deref(), time)).unwrap();
                if decided.is_none() {
                    self.ledger.ended(&owner, flush_id, record.outcome);
                }
                Reply::Ended(decided)
            }
            Step::Reseal(reseal) => {
                let resealed = now(self.journal.reseal(&owner, &reseal)).unwrap();
                let holder = self.ledger.claims.get(&owner).map(|(token, _)| *token);
                assert!(!resealed || holder.is_none() || holder == reseal.token, "sealed anew under another's claim");
                Reply::Resealed(resealed)
            }
            Step::Release(flush_id, token, release) => {
                let released = now(self.journal.release(&owner, flush_id, token, release)).unwrap();
                if released {
                    self.ledger.claims.remove(&owner);
                }
                Reply::Released(released)
            }
            Step::Discard(flush_id) => {
                now(self.journal.discard(&owner, flush_id)).unwrap();
                if self.journal.held(&owner).1.is_none() {
                    self.ledger.claims.remove(&owner);
                }
                Reply::Discarded
            }
            Step::Ask(_) | Step::Done(_) => unreachable!("handled by the caller"),
        }
    }

    /// A claim was taken or renewed: nobody else may hold one.
    pub(crate) fn claimed(&mut self, owner: &Owner, token: ClaimToken) {
        let time = self.time();
        let until = time.checked_add(SignedDuration::try_from(self.settings.lease).unwrap()).unwrap();
        if let Some((other, other_until)) = self.ledger.claims.insert(owner.clone(), (token, until)) {
            assert!(other == token || other_until <= time, "two unexpired claims");
        }
    }

    /// Answers with one gist per line and one slot per fact, all marked with the number of the call.
    fn ask(&mut self, run: &Run, request: &Request, mood: Mood) -> Result<Answer, ModelError> {
        assert!(!self.settings.record_answers || run.missing.is_some(), "paid for an answer without looking for it");
        assert!(self.settings.quote_tokens > 0 || request.profile.is_empty(), "a memo was shown that has no room");
        let serial = self.ledger.shown(run.read_at, &run.read);
        let gist = |line: &memory::extraction::Line| DraftGist {
            text: format!("{} #{serial}", line.text),
            occurred_at: None,
            messages: vec![line.number],
        };
        let fact = |line: &memory::extraction::Line| {
            let (slot, memo) = line.text.strip_prefix("FACT about/")?.split(' ').next()?.split_once('=')?;
            let (topic, sub_topic, memo) = ("about".to_owned(), slot.to_owned(), format!("{memo} #{serial}"));
            Some(DraftAction { action: Verb::Set, topic, sub_topic, memo, messages: vec![line.number] })
        };
        let draft = Draft {
            gists: request.lines.iter().map(gist).collect(),
            profile: request.lines.iter().filter_map(fact).collect(),
            ..Draft::default()
        };
        let answer = |text| Answer { text, usage: Usage::default(), version: "1".into() };
        match mood {
            Mood::Good => Ok(answer(serde_json::to_string(&draft).unwrap())),
            Mood::Unusable => Ok(answer("I would rather not".into())),
            Mood::Refused => Err(ModelError::Refused("no".into())),
            Mood::Held => unreachable!("the model is not asked"),
            Mood::Unavailable => Err(ModelError::Unavailable { reason: "away".into(), retry_after: None }),
        }
    }

    fn commit(&mut self, owner: &Owner, commit: &Commit) -> CommitReply {
        let before = self.store.rows_of(&owner.key);
        let reply = now(self.store.commit(commit)).unwrap();
        match &reply {
            CommitReply::Done => {
                self.ledger.ended(owner, commit.flush_id, FlushOutcome::Committed);
                self.ledger.committed(owner, commit, &before, &self.settings);
                let rows = self.store.rows_of(&owner.key);
                self.ledger.check_slots(owner, commit, &by_id(&rows.slots));
            }
            CommitReply::UserGone => self.ledger.ended(owner, commit.flush_id, FlushOutcome::Cancelled),
            CommitReply::Decided(_) | CommitReply::AppliedBefore(_) | CommitReply::Stale => {}
        }
        reply
    }
}
