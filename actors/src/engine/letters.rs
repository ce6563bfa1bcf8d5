use std::collections::{HashSet, VecDeque};

use jiff::Timestamp;
use memory::blob::{Blob, BlobType};
use memory::ids::{BlobId, FlushId, Owner, ProjectId, UserId, UserKey};
use memory::ports::{DeadLetter, DeadLetterHead, JournalError, Page, Requeue, Requeued, Standing, StoredBlob};

use super::Engine;
use crate::crash_point::crash_point;
use crate::error::{EngineError, RETRY_AFTER};
use crate::user_actor::Due;

/// Letters that one call retries or drops at most.
const LETTERS_PER_CALL: usize = 1_000;
/// Letters that are read at a time.
const PAGE: u64 = 500;
/// Letters that are passed over in search of the oldest, at most.
const LETTERS_SEEN: u64 = 100_000;

/// A blob of a dead letter.
#[derive(Clone, PartialEq, Debug)]
pub struct DeadBlob {
    /// Its id.
    pub id: BlobId,
    /// Its kind.
    pub blob_type: BlobType,
    /// When it was inserted.
    pub created_at: Timestamp,
    /// What is in it; none when it cannot be read, which may be what the letter died of.
    pub blob: Option<Blob>,
}

impl From<StoredBlob> for DeadBlob {
    fn from(StoredBlob { blob, created_at }: StoredBlob) -> Self {
        Self { id: blob.id, blob_type: blob.blob_type, created_at, blob: Blob::from_payload(&blob.payload).ok() }
    }
}

/// What became of letters that were to be tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RetriedLetters {
    /// Letters that are queued now, or were already.
    pub retried: u64,
    /// Letters that stay as they are, because another batch of their user is open.
    pub busy: u64,
    /// True when there are letters that were not looked at.
    pub more: bool,
}

/// What became of letters that were to be dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DroppedLetters {
    /// Letters that are gone.
    pub dropped: u64,
    /// True when there are letters left.
    pub more: bool,
}

impl Engine {
    /// The dead letters of a project, or of one of its users, newest first.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn dead_letters(
        &self,
        project: &ProjectId,
        user: Option<UserId>,
        page: Page,
    ) -> Result<Vec<DeadLetterHead>, EngineError> {
        Ok(self.ports().store.dead_letters(project, user, page).await?)
    }

    /// Reads a dead letter with its blobs, in order.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn dead_letter(
        &self,
        key: &UserKey,
        flush_id: FlushId,
    ) -> Result<Option<(DeadLetterHead, Vec<DeadBlob>)>, EngineError> {
        let Some((created_at, letter)) = self.ports().store.dead_letter(key, flush_id).await? else { return Ok(None) };
        let head = letter.head(key.user, flush_id, created_at);
        Ok(Some((head, letter.blobs.into_iter().map(DeadBlob::from).collect())))
    }

    /// Lets a dead letter be processed again, from now on. False when there is none.
    ///
    /// The letter stays where it is until the new flush has committed, which takes its blobs out, or has died too, which
    /// moves them to a letter of its own. So it may be retried as often as one likes.
    ///
    /// # Errors
    /// [`EngineError::BatchOpen`] when another batch of this user is open: nothing has changed then.
    pub async fn retry_dead_letter(&self, key: &UserKey, flush_id: FlushId) -> Result<bool, EngineError> {
        self.check_quota(&key.project)?;
        match self.requeue(key, flush_id).await? {
            None => Ok(false),
            Some(Requeued::Queued) => Ok(true),
            Some(Requeued::Busy) => Err(EngineError::BatchOpen { retry_after: RETRY_AFTER }),
        }
    }

    /// Retries the oldest dead letters of a project, or of one of its users: 1,000 at most, one for each user, since a
    /// user has one batch at a time. What dies again is the newest letter then, so that calls get to all of them in
    /// turn.
    ///
    /// # Errors
    /// [`EngineError::UnknownUser`]; when journal or store are away, though some letters may be queued by then.
    pub async fn retry_dead_letters(
        &self,
        project: &ProjectId,
        user: Option<UserId>,
    ) -> Result<RetriedLetters, EngineError> {
        self.check_known(project, user).await?;
        self.check_quota(project)?;
        let (heads, more) = self.oldest_letters(project, user).await?;
        let mut done = RetriedLetters { more, ..RetriedLetters::default() };
        let mut engaged = HashSet::new();
        for DeadLetterHead { user, flush_id, .. } in heads {
            let key = UserKey { project: project.clone(), user };
            let requeued =
                if engaged.contains(&user) { Some(Requeued::Busy) } else { self.requeue(&key, flush_id).await? };
            match requeued {
                Some(Requeued::Queued) => done.retried += 1,
                Some(Requeued::Busy) => done.busy += 1,
                // It went meanwhile.
                None => continue,
            }
            engaged.insert(user);
        }
        Ok(done)
    }

    /// Drops a dead letter with its blobs, for good: they never take effect, not even when they are being tried again
    /// right now. False when there is no such letter.
    ///
    /// # Errors
    /// When journal or store are away.
    pub async fn drop_dead_letter(&self, key: &UserKey, flush_id: FlushId) -> Result<bool, EngineError> {
        let (engine, owned) = (self.clone(), key.clone());
        self.write(key, async move { engine.withdraw_and_drop(&owned, flush_id).await }).await
    }

    /// Drops dead letters of a project, or of one of its users: the newest first, 1,000 at most.
    ///
    /// # Errors
    /// [`EngineError::UnknownUser`]; when journal or store are away, though some letters may be gone by then.
    pub async fn drop_dead_letters(
        &self,
        project: &ProjectId,
        user: Option<UserId>,
    ) -> Result<DroppedLetters, EngineError> {
        self.check_known(project, user).await?;
        let (mut dropped, mut seen) = (0, 0);
        while seen < LETTERS_PER_CALL {
            // Those of the page before are gone.
            let page = self.dead_letters(project, user, Page { offset: 0, limit: PAGE }).await?;
            if page.is_empty() {
                return Ok(DroppedLetters { dropped, more: false });
            }
            seen += page.len();
            for DeadLetterHead { user, flush_id, .. } in page {
                let key = UserKey { project: project.clone(), user };
                dropped += u64::from(self.drop_dead_letter(&key, flush_id).await?);
            }
        }
        let more = !self.dead_letters(project, user, Page { offset: 0, limit: 1 }).await?.is_empty();
        Ok(DroppedLetters { dropped, more })
    }

    async fn check_known(&self, project: &ProjectId, user: Option<UserId>) -> Result<(), EngineError> {
        if let Some(user) = user {
            self.user(&UserKey { project: project.clone(), user }).await?;
        }
        Ok(())
    }

    /// The oldest letters, oldest first, as many as one call takes; and whether there are others.
    async fn oldest_letters(
        &self,
        project: &ProjectId,
        user: Option<UserId>,
    ) -> Result<(Vec<DeadLetterHead>, bool), EngineError> {
        let (mut oldest, mut offset, mut more) = (VecDeque::new(), 0, false);
        loop {
            let page = self.dead_letters(project, user, Page { offset, limit: PAGE }).await?;
            offset += PAGE;
            let is_last = (page.len() as u64) < PAGE;
            for head in page {
                oldest.push_front(head);
                if oldest.len() > LETTERS_PER_CALL {
                    oldest.pop_back();
                    more = true;
                }
            }
            if is_last || offset >= LETTERS_SEEN {
                return Ok((oldest.into(), more || !is_last));
            }
        }
    }

    /// None when there is no such letter.
    async fn requeue(&self, key: &UserKey, flush_id: FlushId) -> Result<Option<Requeued>, EngineError> {
        self.check_running()?;
        let (engine, owned) = (self.clone(), key.clone());
        self.write(key, async move { engine.requeue_and_start(&owned, flush_id).await }).await
    }

    async fn requeue_and_start(&self, key: &UserKey, flush_id: FlushId) -> Result<Option<Requeued>, EngineError> {
        // First whose it is: should the user be made anew in between, what is read next is the new life's, and goes into
        // the buffer of a life that is over, which takes no effect. The other way round, the new life would inherit.
        let Some(owner) = self.owner(key).await? else { return Ok(None) };
        let Some((blob_type, letter)) = self.letter(key, flush_id).await? else { return Ok(None) };
        let journal = &self.ports().journal;
        // The batch that died may be in the journal still, when its worker was cut short. Its flush has an outcome, so it
        // may go; and it must, because the journal would take its blobs for queued already.
        journal.discard(&owner, flush_id).await?;
        let blobs = letter.blobs.into_iter().map(|stored| (stored.blob, stored.created_at)).collect();
        let requeue = Requeue { flush_id: FlushId(self.ports().ids.ordered()), blob_type, blobs };
        let requeued = match journal.requeue(&owner, &requeue).await {
            Err(JournalError::OwnerGone) => return Ok(None),
            requeued => requeued?,
        };
        crash_point("after_requeue").await;
        if requeued == Requeued::Queued {
            // Should this fail, because as many actors live as may: the batch is due, so the sweeper finds it.
            let _ = self.0.context.registry.call(&self.0.context, key, Due { owner, blob_type }).await;
        }
        Ok(Some(requeued))
    }

    /// A letter, and the kind of its blobs.
    async fn letter(&self, key: &UserKey, flush_id: FlushId) -> Result<Option<(BlobType, DeadLetter)>, EngineError> {
        let letter = self.ports().store.dead_letter(key, flush_id).await?;
        // A letter without blobs is none.
        Ok(letter.and_then(|(_, letter)| Some((letter.blobs.first()?.blob.blob_type, letter))))
    }

    /// Takes the blobs of a letter out of the journal, then drops the letter.
    ///
    /// The second step alone decides: from then on the blobs count as applied, and whatever batch holds them, by a retry
    /// that came in between or in a journal that is older than it was, is turned away at its commit. But such a batch
    /// may wait for its model for hours, ask it in vain, and show the blobs meanwhile; so they leave the journal. That
    /// comes first, so that after a crash in between the letter is still there: nothing is lost, the client has no
    /// answer, and a repetition does all of it.
    ///
    /// When the batch commits before its blobs are out, or dies, there is no such letter any more: false.
    async fn withdraw_and_drop(&self, key: &UserKey, flush_id: FlushId) -> Result<bool, EngineError> {
        let Some(owner) = self.owner(key).await? else { return Ok(false) };
        let Some((blob_type, letter)) = self.letter(key, flush_id).await? else { return Ok(false) };
        let held = self.held(&owner, blob_type, &letter).await?;
        self.withdraw(&owner, &held).await?;
        crash_point("after_withdraw").await;
        Ok(self.ports().store.drop_dead_letter(key, flush_id, self.now()).await?)
    }

    /// The blobs of a letter that are part of an open batch.
    async fn held(&self, owner: &Owner, blob_type: BlobType, letter: &DeadLetter) -> Result<Vec<BlobId>, EngineError> {
        let sealed = self.ports().journal.blob_ids(owner, blob_type, Standing::Sealed).await?;
        let sealed: HashSet<BlobId> = sealed.into_iter().collect();
        Ok(letter.blobs.iter().map(|stored| stored.blob.id).filter(|id| sealed.contains(id)).collect())
    }
}
