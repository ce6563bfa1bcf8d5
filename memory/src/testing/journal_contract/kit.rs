use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::blob::{BlobType, NewBlob};
use crate::ids::{BlobId, ClaimToken, FlushId, IdSource, Incarnation, Owner, ProjectId, SystemIds, UserId, UserKey};
use crate::ports::{Append, Batch, Due, Journal, Level, Release, Reseal, Setback, Standing, Take, Taken};

/// How far a duration may be off: what a journal with a clock of its own may spend between two steps of a case.
pub const SLACK: Duration = Duration::from_secs(5);

/// The lease of a [`Kit`]'s claims.
pub(super) const LEASE: Duration = Duration::from_secs(60);

/// A fresh journal with a clock that the suite moves.
#[async_trait]
pub trait JournalHarness: Send + Sync + 'static {
    /// The journal.
    fn journal(&self) -> Arc<dyn Journal>;

    /// Moves the journal's clock on.
    async fn advance(&self, by: Duration);

    /// Makes an owner fit for appends. Called before the first append of each owner, except where a case is about
    /// owners that are not. Another life of the same user has been purged by then.
    async fn admit(&self, owner: &Owner);
}

/// What a case works with.
pub struct Kit {
    harness: Box<dyn JournalHarness>,
    pub(super) journal: Arc<dyn Journal>,
}

/// A batch that was taken.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) token: ClaimToken,
    pub(super) batch: Batch,
    pub(super) level: Level,
}

impl Claimed {
    pub(super) fn ids(&self) -> Vec<BlobId> {
        self.batch.entries.iter().map(|e| e.blob.id).collect()
    }
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Asserts that a duration is what was meant, give or take [`SLACK`].
#[track_caller]
pub(super) fn assert_about(is: Duration, meant: Duration) {
    assert!(is.abs_diff(meant) <= SLACK, "{is:?} instead of {meant:?}");
}

pub(super) fn owner_in(project: &str) -> Owner {
    let key = UserKey { project: ProjectId::from(project), user: UserId(SystemIds.random()) };
    Owner { key, incarnation: Incarnation(SystemIds.random()) }
}

/// Another life of the same user.
pub(super) fn next_life(owner: &Owner) -> Owner {
    Owner { key: owner.key.clone(), incarnation: Incarnation(SystemIds.random()) }
}

pub(super) fn blob(blob_type: BlobType, tokens: u32) -> NewBlob {
    NewBlob { id: BlobId(SystemIds.random()), blob_type, tokens, payload: format!("{{\"tokens\":{tokens}}}") }
}

/// A take under a token and for a flush of its own.
pub(super) fn take() -> Take {
    Take {
        blob_type: BlobType::Chat,
        flush_id: FlushId(SystemIds.ordered()),
        token: ClaimToken(SystemIds.random()),
        lease: LEASE,
        max_tokens: 1000,
        max_blobs: 100,
        ignore_backoff: false,
    }
}

pub(super) fn reseal(flush_id: FlushId, drop: &[BlobId], token: Option<ClaimToken>) -> Reseal {
    Reseal { flush_id, new_flush_id: FlushId(SystemIds.ordered()), drop: drop.to_vec(), token }
}

impl Kit {
    /// What a case works with, around a fresh journal.
    pub fn new(harness: impl JournalHarness) -> Self {
        Self { journal: harness.journal(), harness: Box::new(harness) }
    }

    pub(super) async fn advance(&self, by: Duration) {
        self.harness.advance(by).await;
    }

    pub(super) async fn admit(&self, owner: &Owner) {
        self.harness.admit(owner).await;
    }

    /// A new owner, fit for appends.
    pub(super) async fn owner(&self) -> Owner {
        let owner = owner_in("suite");
        self.admit(&owner).await;
        owner
    }

    pub(super) async fn put(&self, owner: &Owner, blob: &NewBlob) -> Append {
        self.journal.append(owner, blob).await.unwrap()
    }

    /// Appends a chat of so many tokens.
    pub(super) async fn chat(&self, owner: &Owner, tokens: u32) -> BlobId {
        let blob = blob(BlobType::Chat, tokens);
        self.put(owner, &blob).await;
        blob.id
    }

    pub(super) async fn take(&self, owner: &Owner, take: &Take) -> Taken {
        self.journal.take(owner, take).await.unwrap()
    }

    /// Takes and gets a batch.
    pub(super) async fn claim(&self, owner: &Owner, take: Take) -> Claimed {
        match self.take(owner, &take).await {
            Taken::Batch(batch, level) => Claimed { token: take.token, batch, level },
            other => panic!("no batch: {other:?}"),
        }
    }

    /// Takes and is told how long to wait.
    pub(super) async fn busy(&self, owner: &Owner, take: Take) -> Duration {
        match self.take(owner, &take).await {
            Taken::Busy { ready_in } => ready_in,
            other => panic!("not busy: {other:?}"),
        }
    }

    pub(super) async fn level(&self, owner: &Owner, blob_type: BlobType) -> Option<Level> {
        let levels = self.journal.levels(owner).await.unwrap();
        levels.into_iter().find(|(t, _)| *t == blob_type).map(|(_, level)| level)
    }

    pub(super) async fn ids(&self, owner: &Owner, standing: Standing) -> Vec<BlobId> {
        self.journal.blob_ids(owner, BlobType::Chat, standing).await.unwrap()
    }

    /// Chats that wait.
    pub(super) async fn waiting(&self, owner: &Owner) -> Vec<BlobId> {
        self.ids(owner, Standing::Waiting).await
    }

    /// Chats in the open batch.
    pub(super) async fn sealed(&self, owner: &Owner) -> Vec<BlobId> {
        self.ids(owner, Standing::Sealed).await
    }

    pub(super) async fn renew(&self, owner: &Owner, claimed: &Claimed) -> bool {
        self.journal.renew(owner, claimed.batch.flush_id, claimed.token, LEASE).await.unwrap()
    }

    pub(super) async fn release(&self, owner: &Owner, claimed: &Claimed, retry_in: Duration, setback: Setback) -> bool {
        let release = Release { retry_in, setback };
        self.journal.release(owner, claimed.batch.flush_id, claimed.token, release).await.unwrap()
    }

    pub(super) async fn discard(&self, owner: &Owner, flush_id: FlushId) {
        self.journal.discard(owner, flush_id).await.unwrap();
    }

    /// Owners with something that has waited for `age`, at most `limit`.
    pub(super) async fn due(&self, age: Duration, limit: u32) -> Vec<Due> {
        let due = self.journal.due(age, None, limit).await.unwrap();
        due.into_iter().map(|(_, due)| due).collect()
    }
}
