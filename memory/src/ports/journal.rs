use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::blob::{BlobType, NewBlob};
use crate::ids::{BlobId, ClaimToken, FlushId, Owner};

/// Why a journal did not do what it was asked. Nothing has changed then, unless the error says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The owner was deleted. A user of the same id may live, under another incarnation.
    #[error("the owner of this buffer was deleted")]
    OwnerGone,
    /// The journal cannot be reached or cannot write now. The outcome is unknown: every step may be repeated.
    #[error("the journal is not available: {0}")]
    Unavailable(String),
    /// The journal holds something that this version cannot read.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
}

/// What waits in one buffer (one owner, one blob type), batches not included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Level {
    /// The highest sequence number given out so far. Sequence numbers order, they never identify: a journal that
    /// lost its tail gives them out again.
    pub last_seq: u64,
    /// Blobs that wait.
    pub blobs: u64,
    /// Their tokens.
    pub tokens: u64,
}

/// The answer to an append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Append {
    /// The sequence number of the blob: the one it got first, when it was known already.
    pub seq: u64,
    /// The buffer after the append.
    pub level: Level,
}

/// A blob in the journal.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// Its place in the buffer.
    pub seq: u64,
    /// When it was appended, on the journal's clock.
    pub appended_at: Timestamp,
    /// The blob.
    pub blob: NewBlob,
}

/// Asks for the next batch of an owner.
#[derive(Clone, Debug)]
pub struct Take {
    /// What to seal when no batch is open.
    pub blob_type: BlobType,
    /// The id of the batch, if one is sealed now.
    pub flush_id: FlushId,
    /// The proof of the claim.
    pub token: ClaimToken,
    /// How long the claim lasts unless it is renewed.
    pub lease: Duration,
    /// Tokens of a batch at most; a first blob larger than that is a batch alone.
    pub max_tokens: u64,
    /// Blobs of a batch at most.
    pub max_blobs: u32,
    /// Take a batch that waits for its next attempt now rather than then.
    pub ignore_backoff: bool,
}

/// A batch: sealed blobs under one flush id.
#[derive(Clone, PartialEq, Debug)]
pub struct Batch {
    /// Its flush.
    pub flush_id: FlushId,
    /// The kind of its blobs.
    pub blob_type: BlobType,
    /// Failed attempts that counted.
    pub attempts: u32,
    /// Tries that ended in a [`Journal::release`], whether they counted or not.
    pub tries: u32,
    /// True when a [`Journal::requeue`] made it: its blobs come from a dead letter.
    pub retried: bool,
    /// The blobs, in order of sequence number. Never empty.
    pub entries: Vec<Entry>,
}

/// Asks for blobs of a dead letter to be processed again.
#[derive(Clone, Debug)]
pub struct Requeue {
    /// The id of the batch that they become.
    pub flush_id: FlushId,
    /// Their kind.
    pub blob_type: BlobType,
    /// The blobs in order, each with the instant at which it was first appended. Never empty.
    pub blobs: Vec<(NewBlob, Timestamp)>,
}

/// The answer to a [`Requeue`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Requeued {
    /// They are the open batch now, claimed by nobody and due at once; or some of them were in the journal already, and
    /// nothing has changed.
    Queued,
    /// Another batch is open: nothing has changed.
    Busy,
}

/// The answer to a [`Take`].
#[derive(Clone, PartialEq, Debug)]
pub enum Taken {
    /// The open batch, or one sealed now; it is claimed. The level is that of its buffer after the seal.
    Batch(Batch, Level),
    /// Somebody else holds the claim, or the batch waits for its next attempt.
    Busy {
        /// When the claim or the wait ends, from now.
        ready_in: Duration,
    },
    /// No batch is open and the buffer is empty.
    Empty(Level),
}

/// How a claim is given back.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// How long the batch waits before it is due again.
    pub retry_in: Duration,
    /// Why it is given back.
    pub setback: Setback,
}

/// Why a claim is given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setback {
    /// The batch itself may be the reason: an attempt and a try more.
    Failure,
    /// Something that it needs was away: a try more.
    Outage,
    /// Nothing was tried.
    Hold,
}

impl Setback {
    /// What it adds to the attempts of the batch.
    pub fn attempts(self) -> u8 {
        u8::from(self == Self::Failure)
    }

    /// What it adds to the tries of the batch.
    pub fn tries(self) -> u8 {
        u8::from(self != Self::Hold)
    }
}

/// Seals what remains of a batch under a new id.
#[derive(Clone, Debug)]
pub struct Reseal {
    /// The batch as it is known.
    pub flush_id: FlushId,
    /// Its new id.
    pub new_flush_id: FlushId,
    /// Blobs that leave it.
    pub drop: Vec<BlobId>,
    /// With a token: only under that claim, which goes on. Without: whoever holds a claim loses it.
    pub token: Option<ClaimToken>,
}

/// What became of a blob that was to be removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Removed {
    /// It waited in the buffer and is gone.
    Waiting(BlobType, Level),
    /// It is part of an open batch and was left there.
    Sealed(FlushId),
    /// It is not here.
    Unknown,
}

/// Which part of a buffer is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Not sealed yet.
    Waiting,
    /// Part of an open batch.
    Sealed,
}

/// All that a journal holds of one owner: what moves to another journal.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Holding {
    /// The last sequence number of each buffer that was ever used.
    pub last_seqs: Vec<(BlobType, u64)>,
    /// The blobs that wait, in order of type and sequence number.
    pub waiting: Vec<Entry>,
    /// The open batch. Claims and waits do not move with it.
    pub open: Option<Batch>,
}

/// An owner with something to do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Due {
    /// Whose.
    pub owner: Owner,
    /// In which buffer.
    pub blob_type: BlobType,
}

/// The durable mirror of all buffers.
///
/// Each method is one atomic step, and has happened durably when it returns `Ok`. Repeating a step whose outcome is
/// unknown is harmless. An owner has at most one open batch over all blob types; at most one claim on it is
/// unexpired, on the journal's own clock. A claim that expired is still the present one until another takes the batch
/// over: its holder, who was merely slow, may renew it, give it back or seal anew under it. A step that names a claim
/// does nothing when that claim is not the present one.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Appends a blob to the buffer of its type. A blob whose id waits here or is part of an open batch is not
    /// appended again.
    ///
    /// # Errors
    /// [`JournalError::OwnerGone`] after a [`Journal::purge`] of this owner.
    async fn append(&self, owner: &Owner, blob: &NewBlob) -> Result<Append, JournalError>;

    /// The level of each buffer that was ever used.
    ///
    /// # Errors
    /// When the journal is away.
    async fn levels(&self, owner: &Owner) -> Result<Vec<(BlobType, Level)>, JournalError>;

    /// Claims the open batch; if there is none, seals the longest prefix of the buffer within the limits of `take`
    /// and claims that.
    ///
    /// # Errors
    /// When the journal is away.
    async fn take(&self, owner: &Owner, take: &Take) -> Result<Taken, JournalError>;

    /// Makes a claim last `lease` from now. False when it is not the present claim.
    ///
    /// # Errors
    /// When the journal is away.
    async fn renew(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        token: ClaimToken,
        lease: Duration,
    ) -> Result<bool, JournalError>;

    /// Seals a batch anew. The blobs that leave it are gone from the journal; a batch that would be empty is
    /// discarded. False when there is no such batch, or not under that claim: nothing has changed then.
    ///
    /// # Errors
    /// When the journal is away.
    async fn reseal(&self, owner: &Owner, reseal: &Reseal) -> Result<bool, JournalError>;

    /// Gives a claim back. The batch is due again after the wait. False when it is not the present claim.
    ///
    /// # Errors
    /// When the journal is away.
    async fn release(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        token: ClaimToken,
        release: Release,
    ) -> Result<bool, JournalError>;

    /// Forgets a batch whose flush has an outcome in the store, whoever holds a claim on it. Does nothing when the
    /// batch is not there.
    ///
    /// # Errors
    /// When the journal is away.
    async fn discard(&self, owner: &Owner, flush_id: FlushId) -> Result<(), JournalError>;

    /// The ids of the blobs of one type and standing, in order of sequence number.
    ///
    /// # Errors
    /// When the journal is away.
    async fn blob_ids(
        &self,
        owner: &Owner,
        blob_type: BlobType,
        standing: Standing,
    ) -> Result<Vec<BlobId>, JournalError>;

    /// One blob, waiting or sealed.
    ///
    /// # Errors
    /// When the journal is away.
    async fn blob(&self, owner: &Owner, blob_id: BlobId) -> Result<Option<Entry>, JournalError>;

    /// Removes a blob that waits, and its tokens. One that is sealed stays: see [`Removed::Sealed`].
    ///
    /// # Errors
    /// When the journal is away.
    async fn remove(&self, owner: &Owner, blob_id: BlobId) -> Result<Removed, JournalError>;

    /// Makes blobs of a dead letter the open batch of their owner, before all that waits. They get the sequence
    /// numbers 1, 2, 3 …, which count in this batch alone: no level changes. The batch has [`Batch::retried`] set and
    /// keeps it when it is sealed anew.
    ///
    /// # Errors
    /// [`JournalError::OwnerGone`] after a [`Journal::purge`] of this owner.
    async fn requeue(&self, owner: &Owner, requeue: &Requeue) -> Result<Requeued, JournalError>;

    /// Buffers whose oldest blob has waited for `age`, and open batches that nobody holds and whose wait is over, each
    /// with the instant since when it is due, on the journal's clock: the longest due first, `limit` at most, each
    /// owner and type once. With `from`, only what is due since then or later: pages begin where the last one ended.
    /// More than `limit` are returned when that is what it takes to get beyond the instant `from`.
    ///
    /// # Errors
    /// When the journal is away.
    async fn due(
        &self,
        age: Duration,
        from: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<(Timestamp, Due)>, JournalError>;

    /// Removes everything of an owner, for good: later appends fail.
    ///
    /// # Errors
    /// When the journal is away.
    async fn purge(&self, owner: &Owner) -> Result<(), JournalError>;

    /// Owners of whom something waits or is sealed, in any fixed order; those that come behind `after`, `limit` at
    /// most.
    ///
    /// # Errors
    /// When the journal is away.
    async fn owners(&self, after: Option<&Owner>, limit: u32) -> Result<Vec<Owner>, JournalError>;

    /// Reads all that is held of an owner.
    ///
    /// # Errors
    /// When the journal is away.
    async fn holding(&self, owner: &Owner) -> Result<Holding, JournalError>;

    /// Takes over what another journal held of an owner, in place of all that this one holds. The batch is claimed by
    /// nobody and due at once.
    ///
    /// # Errors
    /// When the journal is away.
    async fn adopt(&self, owner: &Owner, holding: &Holding) -> Result<(), JournalError>;

    /// Removes everything of an owner that another journal has taken over. Unlike a purge it leaves no trace: later
    /// appends succeed.
    ///
    /// # Errors
    /// When the journal is away.
    async fn hand_over(&self, owner: &Owner) -> Result<(), JournalError>;
}
