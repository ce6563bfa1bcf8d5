//! The buffer of one active user: how full it is, when it is flushed, and who waits for that.
//!
//! A pure state machine. It holds no blobs: those are in the journal, whose replies decide. What should happen comes
//! back as [`Effect`]s. One flush at a time is under way, over all blob types.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::blob::BlobType;
use crate::ports::{Append, FlushResult, Level};

/// The longest pause before looking again whether a batch that another process has is done, while somebody waits.
const MAX_WAITED_PAUSE: Duration = Duration::from_millis(500);
/// The same while nobody waits, but the buffer is over its limit.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// What one buffer may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BufferLimits {
    /// A buffer with more tokens than this is flushed.
    pub flush_tokens: u64,
    /// Blobs that may wait in one buffer.
    pub max_blobs: u64,
    /// Requests that may wait for flushes of one user.
    pub max_waiters: usize,
}

/// Names a request that waits for a flush.
pub type WaiterId = u64;

/// What should happen.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Start a flush: claim the open batch, or seal one of this type.
    Flush {
        /// The type to seal.
        blob_type: BlobType,
        /// Somebody waits: do not sit out the pause before the next attempt.
        ignore_backoff: bool,
    },
    /// Tell a request how its wait ended.
    Answer(WaiterId, Waited),
    /// Call [`UserBuffer::retry`] after this time: the batch before is not ours to flush now. There is never more than
    /// one such call to come.
    RetryIn(Duration),
}

/// How a wait for a flush ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Waited {
    /// All that was buffered has taken effect.
    Done(Vec<FlushResult>),
    /// An attempt failed. Nothing is lost.
    Failed(String),
    /// The user was deleted meanwhile.
    Gone,
}

/// How one run of a flush ended.
#[derive(Clone, PartialEq, Debug)]
pub enum FlushEnd {
    /// A batch took effect.
    Committed {
        /// The type of its blobs: not always the one asked for.
        blob_type: BlobType,
        /// The sequence number of its last blob.
        through_seq: u64,
        /// What it did; nothing, when all its blobs had taken effect before.
        result: Option<FlushResult>,
        /// The buffer after the seal, when the batch was sealed by this run.
        level: Option<Level>,
    },
    /// There was nothing to flush.
    Empty(Level),
    /// Somebody else has the batch, or it waits for its next attempt.
    Busy {
        /// When that ends, from now.
        ready_in: Duration,
    },
    /// The attempt failed; the batch is still queued.
    Failed {
        /// Why, in words for clients.
        reason: String,
        /// The buffer after the seal, when the batch was sealed by this run.
        level: Option<(BlobType, Level)>,
    },
    /// The batch failed for good: its blobs are dead letters.
    Dead {
        /// The type of its blobs.
        blob_type: BlobType,
        /// Why, in words for clients.
        reason: String,
        /// The buffer after the seal, when the batch was sealed by this run.
        level: Option<Level>,
    },
    /// The user is gone.
    Cancelled,
    /// The batch is sealed anew, or another worker has it: look again.
    Moved,
}

/// Too many blobs wait in a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the buffer holds as many blobs as it may")]
pub struct BufferFull;

/// Too many requests wait for flushes of one user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("as many requests as may wait for flushes of this user")]
pub struct TooManyWaiters;

#[derive(Debug)]
struct Waiter {
    /// None for requests that asked for a flush and did not wait: nobody is told, but what was asked for is done. There is
    /// one of a type at most.
    id: Option<WaiterId>,
    blob_type: BlobType,
    /// Waits until a batch with this sequence number, or a higher one, has ended.
    until_seq: u64,
    /// Came while a flush was under way, which may have looked into the buffer before.
    is_late: bool,
    results: Vec<FlushResult>,
}

/// The flush under way.
#[derive(Debug)]
struct Running {
    asked: BlobType,
    /// The highest sequence number of each type that was known when it started. Levels that it brings are judged by
    /// that: see [`UserBuffer::appended`].
    sent_at: BTreeMap<BlobType, u64>,
}

/// See the module's text.
#[derive(Debug)]
pub struct UserBuffer {
    limits: BufferLimits,
    levels: BTreeMap<BlobType, Level>,
    running: Option<Running>,
    /// Types to flush next, first come first served.
    wanted: Vec<BlobType>,
    waiters: Vec<Waiter>,
    /// An [`Effect::RetryIn`] is to come back.
    retry_pending: bool,
}

impl UserBuffer {
    /// A buffer of which nothing is known yet.
    pub fn new(limits: BufferLimits) -> Self {
        Self {
            limits,
            levels: BTreeMap::new(),
            running: None,
            wanted: Vec::new(),
            waiters: Vec::new(),
            retry_pending: false,
        }
    }

    /// What is known of one type.
    pub fn level(&self, blob_type: BlobType) -> Level {
        self.levels.get(&blob_type).copied().unwrap_or_default()
    }

    /// True when no flush is under way or wanted and nobody waits.
    pub fn is_idle(&self) -> bool {
        self.running.is_none() && self.wanted.is_empty() && self.waiters.is_empty()
    }

    /// True when the flush under way was asked for with this type.
    pub fn is_flushing(&self, blob_type: BlobType) -> bool {
        self.running.as_ref().is_some_and(|r| r.asked == blob_type)
    }

    /// Asks for a place in a buffer. Returns what the reply is to be judged by: see [`UserBuffer::appended`].
    ///
    /// # Errors
    /// When as many blobs wait as may.
    pub fn admit(&self, blob_type: BlobType) -> Result<u64, BufferFull> {
        let level = self.level(blob_type);
        if level.blobs >= self.limits.max_blobs { Err(BufferFull) } else { Ok(level.last_seq) }
    }

    /// Takes in levels that were read from the journal.
    pub fn loaded(&mut self, levels: impl IntoIterator<Item = (BlobType, Level)>) {
        for (blob_type, level) in levels {
            self.adopt(blob_type, level);
        }
    }

    /// Takes in the reply to an append. `sent_at` is what [`UserBuffer::admit`] returned before it was sent; the
    /// waiter, if any, waits should the append cause a flush. Returns whether it did.
    ///
    /// Replies of concurrent appends may come in any order: the one with the highest sequence number is the latest.
    /// One that is not above what was known when it was sent comes from a journal that lost its tail, or answers an
    /// append that was sent twice: it counts too, unless a later one came first.
    pub fn appended(
        &mut self,
        blob_type: BlobType,
        sent_at: u64,
        reply: &Append,
        waiter: Option<WaiterId>,
    ) -> (bool, Vec<Effect>) {
        let level = reply.level;
        let known = self.level(blob_type).last_seq;
        let is_same = level.last_seq == sent_at && level.last_seq == known;
        if level.last_seq > known || level.last_seq < sent_at || is_same {
            self.levels.insert(blob_type, level);
        }
        if !self.is_over(blob_type) {
            return (false, Vec::new());
        }
        if let Some(id) = waiter {
            self.wait(Some(id), blob_type, reply.seq);
        }
        // With a flush under way, its end looks at the levels again.
        if self.running.is_none() {
            self.want(blob_type);
        }
        (true, self.start_next())
    }

    /// Asks for a flush, because one is due: as far as that goes now. What cannot be flushed now is due later.
    pub fn sweep(&mut self, blob_type: BlobType) -> Vec<Effect> {
        self.want(blob_type);
        self.start_next()
    }

    /// Asks for a flush of all that is buffered now. Without a waiter nobody is told.
    ///
    /// # Errors
    /// When as many requests wait as may.
    pub fn request(&mut self, blob_type: BlobType, waiter: Option<WaiterId>) -> Result<Vec<Effect>, TooManyWaiters> {
        if waiter.is_some() && self.waiters.iter().filter(|w| w.id.is_some()).count() >= self.limits.max_waiters {
            return Err(TooManyWaiters);
        }
        let level = self.level(blob_type);
        // With nothing in the buffer, the batch under way is what is waited for.
        let until_seq = if level.blobs == 0 { 0 } else { level.last_seq };
        self.wait(waiter, blob_type, until_seq);
        if !self.is_flushing(blob_type) || self.level(blob_type).blobs > 0 {
            self.want(blob_type);
        }
        Ok(self.start_next())
    }

    /// A blob was removed from the buffer.
    pub fn removed(&mut self, blob_type: BlobType, level: Level) {
        self.adopt(blob_type, level);
    }

    fn wait(&mut self, id: Option<WaiterId>, blob_type: BlobType, until_seq: u64) {
        let is_late = self.running.is_some();
        if id.is_none() {
            self.waiters.retain(|w| w.id.is_some() || w.blob_type != blob_type);
        }
        self.waiters.push(Waiter { id, blob_type, until_seq, is_late, results: Vec::new() });
    }

    /// Takes up what [`Effect::RetryIn`] left.
    pub fn retry(&mut self) -> Vec<Effect> {
        self.retry_pending = false;
        self.start_next()
    }

    /// A request stopped waiting.
    pub fn forget(&mut self, waiter: WaiterId) {
        self.waiters.retain(|w| w.id != Some(waiter));
    }

    /// Takes in the end of the flush under way.
    pub fn ended(&mut self, end: FlushEnd) -> Vec<Effect> {
        let Some(Running { asked, sent_at }) = self.running.take() else { return Vec::new() };
        let mut effects = Vec::new();
        match end {
            FlushEnd::Committed { blob_type, through_seq, result, level } => {
                self.taken(blob_type, level, &sent_at);
                self.progress(blob_type, through_seq, result.as_ref(), &mut effects);
                if blob_type != asked || self.waiters.iter().any(|w| w.blob_type == asked) {
                    self.want(asked);
                }
            }
            FlushEnd::Empty(level) => {
                self.taken(asked, Some(level), &sent_at);
                // Whoever came after the look into the buffer waits for what that look may not have seen.
                let has_all = |w: &Waiter| w.blob_type == asked && (!w.is_late || w.until_seq <= level.last_seq);
                let done = |w: &mut Waiter| has_all(w).then(|| Waited::Done(std::mem::take(&mut w.results)));
                self.answer_some(done, &mut effects);
            }
            FlushEnd::Busy { ready_in } => return self.look_again_in(asked, ready_in),
            FlushEnd::Failed { reason, level } => {
                if let Some((blob_type, level)) = level {
                    self.taken(blob_type, Some(level), &sent_at);
                }
                // The batch stands before everything else of this user, until the sweeper finds it due again.
                self.wanted.clear();
                self.answer_all(&Waited::Failed(reason), &mut effects);
                return effects;
            }
            FlushEnd::Dead { blob_type, reason, level } => {
                self.taken(blob_type, level, &sent_at);
                let failed = Waited::Failed(reason);
                self.answer_some(|w| (w.blob_type == blob_type).then(|| failed.clone()), &mut effects);
                if blob_type != asked {
                    self.want(asked);
                }
            }
            FlushEnd::Cancelled => {
                self.wanted.clear();
                self.answer_all(&Waited::Gone, &mut effects);
                return effects;
            }
            FlushEnd::Moved => self.want(asked),
        }
        self.want_waited_and_full();
        effects.extend(self.start_next());
        effects
    }

    /// Answers everybody who waits, because the process stops.
    pub fn close(&mut self, reason: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.wanted.clear();
        self.answer_all(&Waited::Failed(reason.to_owned()), &mut effects);
        effects
    }

    /// Somebody else has the batch, or it waits for its next attempt. That is no end of what waits behind it.
    fn look_again_in(&mut self, asked: BlobType, ready_in: Duration) -> Vec<Effect> {
        self.wanted.clear();
        let longest = if self.waiters.is_empty() {
            MAX_PAUSE
        } else {
            self.want(asked);
            MAX_WAITED_PAUSE
        };
        self.want_waited_and_full();
        if self.wanted.is_empty() || self.retry_pending {
            return Vec::new();
        }
        self.retry_pending = true;
        vec![Effect::RetryIn(ready_in.min(longest))]
    }

    fn is_over(&self, blob_type: BlobType) -> bool {
        self.level(blob_type).tokens > self.limits.flush_tokens
    }

    fn adopt(&mut self, blob_type: BlobType, level: Level) {
        if level.last_seq >= self.level(blob_type).last_seq {
            self.levels.insert(blob_type, level);
        }
    }

    /// Takes in a level that a flush brought. One below what was known when the flush started comes from a journal
    /// that lost its tail: were it not believed, the flush of a buffer that is full no more would start for ever.
    fn taken(&mut self, blob_type: BlobType, level: Option<Level>, sent_at: &BTreeMap<BlobType, u64>) {
        let Some(level) = level else { return };
        if level.last_seq < sent_at.get(&blob_type).copied().unwrap_or_default() {
            self.levels.insert(blob_type, level);
        } else {
            self.adopt(blob_type, level);
        }
    }

    fn want(&mut self, blob_type: BlobType) {
        if !self.wanted.contains(&blob_type) {
            self.wanted.push(blob_type);
        }
    }

    fn want_waited_and_full(&mut self) {
        let waited: Vec<BlobType> = self.waiters.iter().map(|w| w.blob_type).collect();
        let full: Vec<BlobType> = self.levels.keys().copied().filter(|t| self.is_over(*t)).collect();
        for blob_type in waited.into_iter().chain(full) {
            self.want(blob_type);
        }
    }

    fn start_next(&mut self) -> Vec<Effect> {
        if self.running.is_some() || self.wanted.is_empty() {
            return Vec::new();
        }
        let blob_type = self.wanted.remove(0);
        let sent_at = self.levels.iter().map(|(blob_type, level)| (*blob_type, level.last_seq)).collect();
        self.running = Some(Running { asked: blob_type, sent_at });
        self.waiters.iter_mut().for_each(|waiter| waiter.is_late = false);
        vec![Effect::Flush { blob_type, ignore_backoff: !self.waiters.is_empty() }]
    }

    /// A batch has ended: adds its result for those who wait for its type, and answers those who have it all.
    fn progress(&mut self, blob_type: BlobType, through: u64, result: Option<&FlushResult>, effects: &mut Vec<Effect>) {
        for waiter in self.waiters.iter_mut().filter(|w| w.blob_type == blob_type) {
            waiter.results.extend(result.cloned());
        }
        let done = |w: &mut Waiter| {
            (w.blob_type == blob_type && w.until_seq <= through).then(|| Waited::Done(std::mem::take(&mut w.results)))
        };
        self.answer_some(done, effects);
    }

    fn answer_all(&mut self, how: &Waited, effects: &mut Vec<Effect>) {
        self.answer_some(|_| Some(how.clone()), effects);
    }

    fn answer_some(&mut self, mut how: impl FnMut(&mut Waiter) -> Option<Waited>, effects: &mut Vec<Effect>) {
        self.waiters.retain_mut(|waiter| match how(waiter) {
            Some(waited) => {
                effects.extend(waiter.id.map(|id| Effect::Answer(id, waited)));
                false
            }
            None => true,
        });
    }
}

#[cfg(test)]
mod tests;
