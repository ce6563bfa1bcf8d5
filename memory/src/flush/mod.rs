//! One run of a flush: from the claim of a batch to its outcome.
//!
//! A pure state machine. [`Flush::start`] and [`Flush::next`] say what to do next ([`Step`]); whoever drives it does
//! that and hands back the [`Reply`]. At any step the process may die: everything that must survive is in the store
//! and the journal by then, and another run goes on from there.
//!
//! Exactly-once rests on two unique keys of the store: the flush id, whose row makes outcomes exclusive, and the
//! blob id among the applied. No lock is held while the model thinks.

mod run;
mod seen;
mod step;

pub use run::Flush;
pub use step::{Reply, Step};

use std::sync::Arc;
use std::time::Duration;

use crate::extraction::Policy;

/// How flushes are run.
#[derive(Clone, Debug)]
pub struct FlushSettings {
    /// How long a claim lasts unless it is renewed.
    pub lease: Duration,
    /// Tokens of a batch, and of one model call, at most (`max_chat_blob_buffer_process_token_size`).
    pub max_tokens: u32,
    /// Blobs of a batch at most.
    pub max_blobs: u32,
    /// Failures that count, after which a batch is a dead letter (`flush_max_attempts`).
    pub max_attempts: u32,
    /// The pause after the first failure; it doubles with each further one.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// Keep chat blobs after their flush (`persistent_chat_blobs`). All other blobs are kept anyway.
    pub keep_chats: bool,
    /// Record answers before they are used: for models whose answers cost something.
    pub record_answers: bool,
    /// Tokens of present memos that are shown to a model at most; slots beyond are named only.
    pub quote_tokens: u32,
    /// How memory is made.
    pub policy: Arc<Policy>,
}

impl FlushSettings {
    /// The pause before the next try: doubling from the least to the most, of which `luck` (0 to 1) takes up to half
    /// away, so that many batches that failed together do not come back together.
    pub fn backoff(&self, tries: u32, luck: f64) -> Duration {
        let doubled = self.backoff_min.saturating_mul(2_u32.saturating_pow(tries.min(30)));
        doubled.min(self.backoff_max).mul_f64(1.0 - luck.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::{BlobType, NewBlob};
    use crate::buffer::FlushEnd;
    use crate::ids::{BlobId, FlushId, Incarnation, Owner, SlotId, UserId, UserKey};
    use crate::ports::{
        Answer, Batch, CommitReply, Entry, FlushOutcome, FlushRecord, FlushResult, Level, Release, Setback, Taken,
        Usage,
    };
    use crate::profile::{Profile, Slot, SlotWrite};
    use crate::testing::{ManualClock, SeededIds, WordCounter, policy};
    use jiff::Timestamp;

    fn settings() -> FlushSettings {
        FlushSettings {
            lease: Duration::from_secs(60),
            max_tokens: 20,
            max_blobs: 4,
            max_attempts: 3,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            keep_chats: false,
            record_answers: true,
            quote_tokens: u32::MAX,
            policy: Arc::new(policy()),
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let settings = settings();
        let pauses: Vec<u64> = (0..8).map(|tries| settings.backoff(tries, 0.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(settings.backoff(99, 1.0), Duration::from_secs(30));
    }

    fn sealed(payloads: &[&str]) -> (Taken, FlushId) {
        let flush_id = FlushId(uuid::Uuid::from_u128(7));
        let entry = |(n, payload): (u64, &&str)| Entry {
            seq: n,
            appended_at: Timestamp::UNIX_EPOCH,
            blob: NewBlob {
                id: BlobId(uuid::Uuid::from_u128(n.into())),
                blob_type: BlobType::Chat,
                tokens: 1,
                payload: (*payload).to_owned(),
            },
        };
        let entries = (1..).zip(payloads).map(entry).collect();
        let batch = Batch { flush_id, blob_type: BlobType::Chat, attempts: 0, tries: 0, retried: false, entries };
        (Taken::Batch(batch, Level::default()), flush_id)
    }

    fn flush() -> Flush {
        flush_with(settings())
    }

    fn flush_with(settings: FlushSettings) -> Flush {
        let key = UserKey { project: "p".into(), user: UserId(uuid::Uuid::nil()) };
        let owner = Owner { key, incarnation: Incarnation(uuid::Uuid::nil()) };
        let (clock, ids) = (Arc::new(ManualClock::new()), Arc::new(SeededIds::new(1)));
        Flush::new(owner, BlobType::Chat, false, Arc::new(settings), clock, ids, Arc::new(WordCounter))
    }

    #[test]
    fn a_batch_is_sealed_anew_before_it_is_buried() {
        let (taken, old) = sealed(&["garbage"]);
        let mut flush = flush();
        assert!(matches!(flush.next(Reply::Taken(taken)), Step::End(id, ..) if id == old));
        let superseded = FlushRecord {
            outcome: FlushOutcome::Superseded,
            result: FlushResult::default(),
            reason: None,
            usage: Usage::default(),
            refused: 0,
            version: String::new(),
        };
        // A letter under an id that the journal does not know would leave the batch there, to be buried again.
        let Step::Reseal(reseal) = flush.next(Reply::Ended(Some(superseded))) else { panic!("no reseal") };
        assert_eq!(reseal.flush_id, old);
        let end = flush.next(Reply::Resealed(true));
        assert!(matches!(end, Step::End(id, ..) if id == reseal.new_flush_id));
    }

    const CHAT: &str = r#"{"data":{"messages":[{"role":"user","content":"hi"}]},"created_at":"2025-06-01T00:00:00Z"}"#;

    /// A profile of one slot, work/title.
    fn profile(revision: i64) -> Profile {
        let slot = Slot {
            id: SlotId(uuid::Uuid::from_u128(1)),
            topic: "Work".into(),
            sub_topic: "title".into(),
            content: "nurse".into(),
            attributes: serde_json::Map::new(),
            sources: Vec::new(),
            revision,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        Profile { incarnation: Incarnation(uuid::Uuid::nil()), revision, slots: vec![slot] }
    }

    fn title(memo: &str) -> Reply {
        let text = format!(r#"{{"profile":[{{"action":"set","topic":"work","sub_topic":"title","memo":"{memo}"}}]}}"#);
        Reply::Asked(Ok(Answer { text, usage: Usage::default(), version: String::new() }))
    }

    /// The answer to a part, as it is recorded with the commit.
    fn committed(run: &mut Flush, part: u32, answer: Reply) -> Answer {
        let Step::Commit(commit) = run.next(answer) else { panic!("no commit") };
        let (of, answer) = commit.answer.expect("it is recorded with the commit");
        assert_eq!(of, part);
        answer
    }

    /// The commit of an answer that was recorded for `shown`, found by a run that reads `present`.
    fn commit_of_recorded(shown: i64, present: i64) -> Vec<&'static str> {
        let (mut first, mut second) = (flush(), flush());
        first.next(Reply::Taken(sealed(&[CHAT]).0));
        first.next(Reply::Profile(Some(profile(shown))));
        first.next(Reply::Answer(None));
        let recorded = committed(&mut first, 0, title("vet"));
        second.next(Reply::Taken(sealed(&[CHAT]).0));
        second.next(Reply::Profile(Some(profile(present))));
        let Step::Commit(commit) = second.next(Reply::Answer(Some(recorded))) else { panic!("no commit") };
        commit.slots.iter().map(SlotWrite::action).collect()
    }

    /// What two runs commit of two parts, the first of which was asked by a run that died. `quote_tokens`: no slot is
    /// shown with 0, all with 4.
    fn commit_of_two_parts(quote_tokens: u32) -> (Vec<String>, String) {
        let settings = || FlushSettings { max_tokens: 1, quote_tokens, ..settings() };
        let (mut first, mut second) = (flush_with(settings()), flush_with(settings()));
        let mut shown = Vec::new();
        let mut ask = |run: &mut Flush| {
            let Step::Ask(request) = run.next(Reply::Answer(None)) else { panic!("not asked") };
            assert_eq!(request.profile.len() + request.named.len(), 1);
            shown.extend(request.profile.into_iter().map(|slot| slot.content));
        };
        first.next(Reply::Taken(sealed(&[CHAT, CHAT]).0));
        first.next(Reply::Profile(Some(profile(1))));
        ask(&mut first);
        let Step::RecordAnswer(_, 0, recorded) = first.next(title("vet")) else { panic!("not recorded") };
        second.next(Reply::Taken(sealed(&[CHAT, CHAT]).0));
        second.next(Reply::Profile(Some(profile(1))));
        second.next(Reply::Answer(Some(recorded)));
        ask(&mut second);
        let Step::Commit(commit) = second.next(title("vet; tailor")) else { panic!("no commit") };
        assert_eq!(commit.answer.as_ref().map(|(part, _)| *part), Some(1));
        let [SlotWrite::Update(slot)] = commit.slots.as_slice() else { panic!("{:?}", commit.slots) };
        (shown, slot.content.clone())
    }

    #[test]
    fn a_recorded_answer_of_other_lines_is_not_used() {
        // The limit of a part was another when the answer was recorded.
        let with = |max_tokens| flush_with(FlushSettings { max_tokens, ..settings() });
        let (mut first, mut same, mut other) = (with(1), with(1), with(20));
        for run in [&mut first, &mut same, &mut other] {
            run.next(Reply::Taken(sealed(&[CHAT, CHAT]).0));
            run.next(Reply::Profile(Some(profile(1))));
        }
        first.next(Reply::Answer(None));
        let Step::RecordAnswer(_, 0, recorded) = first.next(title("vet")) else { panic!("not recorded") };
        assert!(matches!(same.next(Reply::Answer(Some(recorded.clone()))), Step::ReadAnswer(_, 1)));
        assert!(matches!(other.next(Reply::Answer(Some(recorded))), Step::Reseal(_)));
    }

    /// A run whose commit of a new answer is answered so, and the answer that it records then.
    fn after_commit(reply: Reply) -> (Flush, Answer) {
        let mut run = flush();
        run.next(Reply::Taken(sealed(&[CHAT]).0));
        run.next(Reply::Profile(Some(profile(1))));
        run.next(Reply::Answer(None));
        let answer = committed(&mut run, 0, title("vet"));
        let Step::RecordAnswer(_, 0, late) = run.next(reply) else { panic!("the answer would be paid for again") };
        assert_eq!(late.text, answer.text);
        (run, late)
    }

    #[test]
    fn an_answer_whose_commit_fails_is_recorded_before_anything_else() {
        let (mut run, answer) = after_commit(Reply::Down("the store"));
        assert!(matches!(
            run.next(Reply::Recorded(answer)),
            Step::Release(.., Release { setback: Setback::Outage, .. })
        ));
        let (mut run, _) = after_commit(Reply::Down("the store"));
        assert!(matches!(
            run.next(Reply::Down("the store")),
            Step::Release(.., Release { setback: Setback::Outage, .. })
        ));
        let (mut run, answer) = after_commit(Reply::Broken("a defect"));
        assert!(matches!(
            run.next(Reply::Recorded(answer)),
            Step::Release(.., Release { setback: Setback::Failure, .. })
        ));

        let (mut run, answer) = after_commit(Reply::Committed(CommitReply::Stale));
        assert!(matches!(run.next(Reply::Recorded(answer)), Step::ReadProfile));
        let Step::Commit(commit) = run.next(Reply::Profile(Some(profile(2)))) else { panic!("no commit") };
        assert_eq!(commit.answer, None, "it is recorded");
    }

    #[test]
    fn a_batch_whose_project_has_no_tokens_is_due_again_without_a_failure() {
        let mut run = flush();
        run.next(Reply::Taken(sealed(&[CHAT]).0));
        run.next(Reply::Profile(Some(profile(1))));
        let Step::Ask(_) = run.next(Reply::Answer(None)) else { panic!("not asked") };
        assert!(!run.is_held());
        let Step::Release(_, _, release) = run.next(Reply::Held("no tokens".into())) else { panic!("not released") };
        assert_eq!((release.retry_in, release.setback), (Duration::ZERO, Setback::Hold));
        assert!(run.is_held());
        let Step::Done(FlushEnd::Failed { reason, level: Some(_) }) = run.next(Reply::Released(true)) else {
            panic!("whoever waits is told nothing")
        };
        assert_eq!(reason, "no tokens");
    }

    #[test]
    fn parts_that_were_paid_for_before_the_tokens_ended_are_not_asked_again() {
        let settings = || FlushSettings { max_tokens: 1, ..settings() };
        let (mut first, mut second) = (flush_with(settings()), flush_with(settings()));
        first.next(Reply::Taken(sealed(&[CHAT, CHAT]).0));
        first.next(Reply::Profile(Some(profile(1))));
        first.next(Reply::Answer(None));
        let Step::RecordAnswer(_, 0, recorded) = first.next(title("vet")) else { panic!("not recorded") };
        assert!(matches!(first.next(Reply::Recorded(recorded.clone())), Step::ReadAnswer(_, 1)));
        assert!(matches!(first.next(Reply::Answer(None)), Step::Ask(_)));
        assert!(matches!(first.next(Reply::Held("no tokens".into())), Step::Release(..)));
        second.next(Reply::Taken(sealed(&[CHAT, CHAT]).0));
        second.next(Reply::Profile(Some(profile(1))));
        assert!(matches!(second.next(Reply::Answer(Some(recorded))), Step::ReadAnswer(_, 1)));
        assert!(matches!(second.next(Reply::Answer(None)), Step::Ask(_)));
    }

    #[test]
    fn an_answer_is_not_recorded_for_what_is_sealed_anew() {
        let mut run = flush();
        run.next(Reply::Taken(sealed(&[CHAT, CHAT]).0));
        run.next(Reply::Profile(Some(profile(1))));
        run.next(Reply::Answer(None));
        committed(&mut run, 0, title("vet"));
        let applied = CommitReply::AppliedBefore(vec![BlobId(uuid::Uuid::from_u128(1))]);
        assert!(matches!(run.next(Reply::Committed(applied)), Step::Reseal(_)));
        assert!(matches!(run.next(Reply::Down("the journal")), Step::Release(..)));
    }

    #[test]
    fn of_two_answers_the_first_one_recorded_counts() {
        let (mut run, answer) = after_commit(Reply::Committed(CommitReply::Stale));
        let other = Answer { text: "of another run".into(), ..answer };
        assert!(matches!(
            run.next(Reply::Recorded(other)),
            Step::Release(.., Release { setback: Setback::Outage, .. })
        ));
    }

    #[test]
    fn a_memo_that_the_model_was_not_shown_is_added_to() {
        assert_eq!(commit_of_two_parts(0), (vec![], "nurse; vet; tailor".into()));
        let shown = vec!["nurse".to_owned(), "vet".to_owned()];
        assert_eq!(commit_of_two_parts(4), (shown, "vet; tailor".into()));
    }

    #[test]
    fn a_recorded_answer_is_compared_with_what_the_model_was_shown() {
        assert_eq!(commit_of_recorded(1, 1), ["update"]);
        // A client changed the slot after the model had answered, and before the run that commits began.
        assert_eq!(commit_of_recorded(1, 2), ["overruled"]);
    }
}
