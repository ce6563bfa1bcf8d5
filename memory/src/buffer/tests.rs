use super::*;
use BlobType::{Chat, Doc};

const LIMITS: BufferLimits = BufferLimits { flush_tokens: 100, max_blobs: 4, max_waiters: 2 };

fn level(last_seq: u64, blobs: u64, tokens: u64) -> Level {
    Level { last_seq, blobs, tokens }
}

fn append(seq: u64, blobs: u64, tokens: u64) -> Append {
    Append { seq, level: level(seq, blobs, tokens) }
}

fn committed(blob_type: BlobType, through_seq: u64, level: Level) -> FlushEnd {
    FlushEnd::Committed { blob_type, through_seq, result: Some(FlushResult::default()), level: Some(level) }
}

fn flush(blob_type: BlobType, ignore_backoff: bool) -> Effect {
    Effect::Flush { blob_type, ignore_backoff }
}

#[test]
fn a_full_buffer_is_flushed_once() {
    let mut buffer = UserBuffer::new(LIMITS);
    assert_eq!(buffer.appended(Chat, 0, &append(1, 1, 100), None), (false, vec![]));
    assert_eq!(buffer.appended(Chat, 1, &append(2, 2, 101), None), (true, vec![flush(Chat, false)]));
    assert_eq!(buffer.appended(Chat, 2, &append(3, 3, 150), None), (true, vec![]));
    // The batch left too much: on it goes, until the rest is below the limit.
    assert_eq!(buffer.ended(committed(Chat, 2, level(4, 2, 101))), [flush(Chat, false)]);
    assert_eq!(buffer.ended(committed(Chat, 3, level(4, 1, 51))), []);
    assert!(buffer.is_idle());
}

#[test]
fn a_waiter_gets_every_batch_up_to_its_blobs() {
    let mut buffer = UserBuffer::new(LIMITS);
    buffer.loaded([(Chat, level(4, 4, 50))]);
    assert_eq!(buffer.request(Chat, Some(1)), Ok(vec![flush(Chat, true)]));
    assert_eq!(buffer.ended(committed(Chat, 2, level(4, 2, 20))), [flush(Chat, true)]);
    let done = Effect::Answer(1, Waited::Done(vec![FlushResult::default(); 2]));
    assert_eq!(buffer.ended(committed(Chat, 4, level(4, 0, 0))), [done]);
    assert!(buffer.is_idle());
}

#[test]
fn a_batch_of_another_type_goes_first() {
    let mut buffer = UserBuffer::new(LIMITS);
    buffer.loaded([(Chat, level(1, 1, 1))]);
    assert_eq!(buffer.request(Chat, Some(1)), Ok(vec![flush(Chat, true)]));
    assert_eq!(buffer.ended(committed(Doc, 9, level(9, 0, 0))), [flush(Chat, true)]);
}

#[test]
fn a_failure_answers_all_and_leaves_the_rest_to_the_sweeper() {
    let mut buffer = UserBuffer::new(LIMITS);
    buffer.loaded([(Chat, level(1, 1, 1)), (Doc, level(1, 1, 1))]);
    assert_eq!(buffer.request(Chat, Some(1)), Ok(vec![flush(Chat, true)]));
    assert_eq!(buffer.request(Doc, Some(2)), Ok(vec![]));
    assert_eq!(buffer.request(Doc, Some(3)), Err(TooManyWaiters));
    let failed = |id| Effect::Answer(id, Waited::Failed("down".into()));
    assert_eq!(buffer.ended(FlushEnd::Failed { reason: "down".into(), level: None }), [failed(1), failed(2)]);
    assert!(buffer.is_idle());
}

#[test]
fn who_waits_for_another_process_looks_again() {
    let mut buffer = UserBuffer::new(LIMITS);
    buffer.loaded([(Chat, level(1, 1, 1))]);
    assert_eq!(buffer.request(Chat, Some(1)), Ok(vec![flush(Chat, true)]));
    let ready_in = Duration::from_secs(3);
    assert_eq!(buffer.ended(FlushEnd::Busy { ready_in }), [Effect::RetryIn(MAX_WAITED_PAUSE)]);
    // A second one does not come on top of the first.
    assert_eq!(buffer.request(Chat, Some(2)), Ok(vec![flush(Chat, true)]));
    assert_eq!(buffer.ended(FlushEnd::Busy { ready_in }), []);
    assert_eq!(buffer.retry(), [flush(Chat, true)]);
    buffer.forget(1);
    buffer.forget(2);
    assert_eq!(buffer.ended(FlushEnd::Busy { ready_in }), []);
    assert!(buffer.is_idle());
}

#[test]
fn a_full_buffer_behind_the_batch_of_another_process_is_flushed_when_that_is_done() {
    let mut buffer = UserBuffer::new(LIMITS);
    assert_eq!(buffer.appended(Chat, 0, &append(1, 1, 101), None), (true, vec![flush(Chat, false)]));
    let ready_in = Duration::from_secs(60);
    assert_eq!(buffer.ended(FlushEnd::Busy { ready_in }), [Effect::RetryIn(MAX_PAUSE)]);
    assert!(!buffer.is_idle());
    assert_eq!(buffer.appended(Chat, 1, &append(2, 2, 102), None), (true, vec![flush(Chat, false)]));
    assert_eq!(buffer.ended(FlushEnd::Busy { ready_in }), [], "one look is to come already");
    assert_eq!(buffer.retry(), [flush(Chat, false)]);
    assert_eq!(buffer.ended(committed(Chat, 2, level(2, 0, 0))), []);
    assert!(buffer.is_idle());
}

#[test]
fn what_was_asked_for_in_the_background_is_done_behind_the_batch_of_another_process() {
    let mut buffer = UserBuffer::new(LIMITS);
    buffer.loaded([(Chat, level(2, 1, 5))]);
    assert_eq!(buffer.request(Chat, None), Ok(vec![flush(Chat, true)]));
    let ready_in = Duration::from_secs(60);
    assert_eq!(buffer.ended(FlushEnd::Busy { ready_in }), [Effect::RetryIn(MAX_WAITED_PAUSE)]);
    assert_eq!(buffer.retry(), [flush(Chat, true)]);
    assert_eq!(buffer.ended(committed(Chat, 1, level(2, 1, 5))), [flush(Chat, true)], "the other's batch");
    assert_eq!(buffer.ended(committed(Chat, 2, level(2, 0, 0))), []);
    assert!(buffer.is_idle());
    // A sweep comes again by itself.
    assert_eq!(buffer.sweep(Chat), [flush(Chat, false)]);
    assert_eq!(buffer.ended(FlushEnd::Busy { ready_in }), []);
    assert!(buffer.is_idle());
}

#[test]
fn an_empty_buffer_is_no_answer_to_who_came_after_the_look() {
    let mut buffer = UserBuffer::new(LIMITS);
    assert_eq!(buffer.request(Chat, Some(1)), Ok(vec![flush(Chat, true)]));
    // While the flush looks, a blob is appended and waited for.
    buffer.appended(Chat, 0, &append(1, 1, 5), None);
    assert_eq!(buffer.request(Chat, Some(2)), Ok(vec![]));
    let answer = Effect::Answer(1, Waited::Done(vec![]));
    assert_eq!(buffer.ended(FlushEnd::Empty(Level::default())), [answer, flush(Chat, true)]);
    let done = Effect::Answer(2, Waited::Done(vec![FlushResult::default()]));
    assert_eq!(buffer.ended(committed(Chat, 1, level(1, 0, 0))), [done]);
    // A journal that lost its tail does not make anybody wait for ever.
    buffer.appended(Chat, 1, &append(2, 1, 5), None);
    assert_eq!(buffer.request(Chat, Some(3)), Ok(vec![flush(Chat, true)]));
    assert_eq!(buffer.ended(FlushEnd::Empty(level(1, 0, 0))), [Effect::Answer(3, Waited::Done(vec![]))]);
}

#[test]
fn late_replies_do_not_bring_back_what_was_sealed() {
    let mut buffer = UserBuffer::new(LIMITS);
    buffer.appended(Chat, 0, &append(2, 2, 120), None);
    buffer.appended(Chat, 0, &append(1, 1, 60), None);
    assert_eq!(buffer.level(Chat), level(2, 2, 120));
    buffer.ended(committed(Chat, 3, level(3, 0, 0)));
    buffer.appended(Chat, 2, &append(3, 3, 150), None);
    assert_eq!(buffer.level(Chat), level(3, 0, 0));
    // A journal that lost its tail is believed.
    buffer.appended(Chat, 3, &append(1, 1, 7), None);
    assert_eq!(buffer.level(Chat), level(1, 1, 7));
}

#[test]
fn a_flush_that_finds_a_shorter_journal_is_believed() {
    let mut buffer = UserBuffer::new(LIMITS);
    assert_eq!(buffer.appended(Chat, 0, &append(9, 2, 101), None).1, [flush(Chat, false)]);
    // The journal lost its tail: with the old level, the flush would start again for ever.
    assert_eq!(buffer.ended(FlushEnd::Empty(level(0, 0, 0))), []);
    assert_eq!(buffer.level(Chat), Level::default());
    // It gives the same numbers out again: a reply that is not above what was known is news too.
    buffer.loaded([(Chat, level(2, 2, 50))]);
    buffer.appended(Chat, 2, &append(2, 1, 7), None);
    assert_eq!(buffer.level(Chat), level(2, 1, 7));
}

#[test]
fn a_buffer_has_a_limit() {
    let mut buffer = UserBuffer::new(LIMITS);
    buffer.loaded([(Chat, level(4, 4, 1))]);
    assert_eq!((buffer.admit(Chat), buffer.admit(Doc)), (Err(BufferFull), Ok(0)));
}
