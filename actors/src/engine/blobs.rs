use std::sync::Arc;

use memory::blob::{Blob, BlobData, BlobType, Message, NewBlob, Role};
use memory::buffer::Waited;
use memory::ids::{BlobId, FlushId, Owner, UserKey};
use memory::ports::{FlushOutcome, FlushRecord, FlushResult, Page, Removed, Reseal, Standing, StoreError, Usage};
use tokio::time::timeout;

use super::Engine;
use crate::crash_point::crash_point;
use crate::error::{EngineError, RETRY_AFTER};
use crate::offload::{LINE_BYTES, offload};
use crate::user_actor::{Append, BlobRemoved, RequestFlush, Requested, Wait};

/// How often a deletion looks again because the batch of its blob was sealed anew.
const MAX_TRIES: u32 = 50;

/// The answer to an insert.
#[derive(Clone, PartialEq, Debug)]
pub struct Inserted {
    /// The blob's id.
    pub id: BlobId,
    /// What the flushes did that were waited for.
    pub results: Vec<FlushResult>,
}

/// The answer to a flush request.
#[derive(Clone, PartialEq, Debug)]
pub enum Flushed {
    /// Nothing was buffered.
    Nothing,
    /// Under way, not waited for.
    Started,
    /// Waited for.
    Done(Vec<FlushResult>),
}

/// Which blobs of a buffer to list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BufferStatus {
    /// They wait.
    Idle,
    /// They are part of a flush.
    Processing,
    /// They are dead letters.
    Failed,
    /// They were processed: such rows are gone.
    Done,
}

impl Engine {
    /// Adds a blob to its buffer; acknowledged when it is in the journal. With `wait`, an insert that passes the size
    /// trigger waits for the flush.
    ///
    /// # Errors
    /// [`EngineError::UnknownUser`]; [`EngineError::Busy`] past a limit; [`EngineError::QuotaUsedUp`]; a failed flush
    /// only when it was waited for, and the blob is stored then all the same.
    pub async fn insert(&self, key: &UserKey, id: BlobId, blob: Blob, wait: bool) -> Result<Inserted, EngineError> {
        self.append(key, id, blob, wait, true).await
    }

    /// Inserts a blob. One that is new needs tokens later.
    async fn append(
        &self,
        key: &UserKey,
        id: BlobId,
        blob: Blob,
        wait: bool,
        is_new: bool,
    ) -> Result<Inserted, EngineError> {
        self.check_running()?;
        let permit = self.0.inserts.try_acquire().map_err(|_| self.too_many_inserts())?;
        if is_new {
            self.check_quota(&key.project)?;
        }
        let blob = Arc::new(self.weigh(id, blob).await?);
        self.0.rates.insert(&key.project, blob.tokens)?;
        // What answers at once is always waited for: a read after the insert sees its effect.
        let immediate = self.ports().model.is_immediate();
        let waiting = self.call(key, Append { blob, wait: wait || immediate }).await?;
        // What waits for a flush is no insert under way any more.
        drop(permit);
        let results = match waiting {
            None => Vec::new(),
            Some(waiting) if wait => self.outcome(key, waiting).await?,
            Some(waiting) => {
                // The insert itself is done, whatever became of the flush.
                let _ = self.outcome(key, waiting).await;
                Vec::new()
            }
        };
        Ok(Inserted { id, results })
    }

    /// As [`Engine::insert`], for a blob whose id the client has chosen and may have sent before: it is appended and
    /// takes effect once. The journal knows those that it holds; of the others the store remembers which are settled, for
    /// as long as `applied_blobs_retention`. One that is settled is not flushed again, so nothing is waited for.
    ///
    /// # Errors
    /// Those of [`Engine::insert`].
    pub async fn insert_once(
        &self,
        key: &UserKey,
        id: BlobId,
        blob: Blob,
        wait: bool,
    ) -> Result<Inserted, EngineError> {
        match self.ports().store.is_settled(key, id).await {
            Ok(true) => return Ok(Inserted { id, results: Vec::new() }),
            // Without the store, what is settled is appended again, and found to be so by its flush.
            Ok(false) | Err(StoreError::Unavailable(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let waiting = match self.owner(key).await? {
            Some(owner) => self.ports().journal.blob(&owner, id).await?,
            None => None,
        };
        match waiting {
            // As a blob of another type it waits in another buffer, of which this insert tells nothing.
            Some(entry) if entry.blob.blob_type != blob.blob_type() => Ok(Inserted { id, results: Vec::new() }),
            // It was acknowledged, and is so again whatever the project has used.
            Some(_) => self.append(key, id, blob, wait, false).await,
            None => match self.insert(key, id, blob, wait).await {
                // It was acknowledged, and flushed since it was looked for, maybe with the last tokens.
                Err(EngineError::QuotaUsedUp(_)) if self.ports().store.is_settled(key, id).await? => {
                    Ok(Inserted { id, results: Vec::new() })
                }
                done => done,
            },
        }
    }

    fn too_many_inserts(&self) -> EngineError {
        if self.0.inserts.is_closed() {
            return EngineError::unavailable("the server is stopping; it");
        }
        EngineError::Busy {
            what: "inserts under way",
            parameter: "max_inflight_inserts",
            limit: u64::try_from(self.0.settings.max_inflight_inserts).unwrap_or(u64::MAX),
            retry_after: RETRY_AFTER,
        }
    }

    /// Counts the tokens of a blob and brings it into the form that the journal keeps.
    async fn weigh(&self, id: BlobId, blob: Blob) -> Result<NewBlob, EngineError> {
        let counter = self.counter().clone();
        let lines = blob.texts().map(str::len).sum::<usize>() / LINE_BYTES;
        offload(lines, move || {
            let tokens = blob.texts().map(|text| counter.count(text)).fold(0, u32::saturating_add);
            NewBlob { id, blob_type: blob.blob_type(), tokens, payload: blob.to_payload() }
        })
        .await
    }

    async fn outcome(&self, key: &UserKey, wait: Wait) -> Result<Vec<FlushResult>, EngineError> {
        match timeout(self.0.settings.flush_wait_timeout, wait).await {
            Err(_) => Err(EngineError::FlushTimeout),
            Ok(Ok(Waited::Done(results))) => Ok(results),
            Ok(Ok(Waited::Failed(reason))) => Err(EngineError::FlushFailed { reason }),
            Ok(Ok(Waited::Gone)) => Err(EngineError::UnknownUser(key.user)),
            // The actor died while the flush went on.
            Ok(Err(_)) => Err(EngineError::FlushFailed { reason: "the flush was interrupted".to_owned() }),
        }
    }

    /// Flushes all that is buffered now.
    ///
    /// # Errors
    /// A failed flush, or one that takes too long, when it was waited for. Nothing is lost then.
    pub async fn flush(&self, key: &UserKey, blob_type: BlobType, wait: bool) -> Result<Flushed, EngineError> {
        self.check_running()?;
        let immediate = self.ports().model.is_immediate();
        let requested = match self.call(key, RequestFlush { blob_type, wait: wait || immediate }).await {
            Err(EngineError::UnknownUser(_)) => return Ok(Flushed::Nothing),
            requested => requested?,
        };
        match requested {
            Requested::Empty => Ok(Flushed::Nothing),
            Requested::Started => Ok(Flushed::Started),
            Requested::Waiting(waiting) if wait => Ok(Flushed::Done(self.outcome(key, waiting).await?)),
            Requested::Waiting(waiting) => {
                // Asked for in the background: its failure is in the log, and the batch comes up again.
                let _ = self.outcome(key, waiting).await;
                Ok(Flushed::Started)
            }
        }
    }

    /// Reads a text into the profile: as a message of the user, flushed at once.
    ///
    /// # Errors
    /// As those of [`Engine::insert`] and [`Engine::flush`].
    pub async fn import(&self, key: &UserKey, text: String) -> Result<(), EngineError> {
        let message = Message { role: Role::User, alias: None, content: text, created_at: None };
        let blob = Blob { data: BlobData::Chat { messages: vec![message] }, fields: None, created_at: self.now() };
        self.insert(key, BlobId(self.fresh_id()), blob, false).await?;
        self.flush(key, BlobType::Chat, true).await?;
        Ok(())
    }

    /// Reads a blob, buffered or kept.
    ///
    /// # Errors
    /// When journal or store are away.
    pub async fn blob(&self, key: &UserKey, id: BlobId) -> Result<Option<Blob>, EngineError> {
        let Some(owner) = self.owner(key).await? else { return Ok(None) };
        let payload = match self.ports().journal.blob(&owner, id).await? {
            Some(entry) => Some(entry.blob.payload),
            None => self.ports().store.blob(key, id).await?.map(|stored| stored.blob.payload),
        };
        payload.map(|payload| Blob::from_payload(&payload)).transpose().map_err(|error| {
            tracing::error!(%error, blob = %id, "a stored blob cannot be read");
            EngineError::Internal
        })
    }

    /// The ids of a user's blobs of one type, buffered and kept, newest first.
    ///
    /// # Errors
    /// When journal or store are away.
    pub async fn blob_ids(
        &self,
        key: &UserKey,
        blob_type: BlobType,
        page: u32,
        page_size: u32,
    ) -> Result<Vec<BlobId>, EngineError> {
        let Some(owner) = self.owner(key).await? else { return Ok(Vec::new()) };
        let (start, size) = (u64::from(page) * u64::from(page_size), u64::from(page_size));
        let journal = &self.ports().journal;
        // What is sealed is older than what waits. A seal in between shows a blob twice rather than not at all.
        let mut buffered = journal.blob_ids(&owner, blob_type, Standing::Waiting).await?;
        buffered.reverse();
        let sealed = journal.blob_ids(&owner, blob_type, Standing::Sealed).await?;
        let sealed: Vec<BlobId> = sealed.into_iter().rev().filter(|id| !buffered.contains(id)).collect();
        buffered.extend(sealed);
        let count = u64::try_from(buffered.len()).unwrap_or(u64::MAX);
        let skip = usize::try_from(start).unwrap_or(usize::MAX);
        let take = usize::try_from(size).unwrap_or(usize::MAX);
        let mut ids: Vec<BlobId> = buffered.iter().skip(skip).take(take).copied().collect();
        let missing = size - u64::try_from(ids.len()).unwrap_or(size);
        if missing > 0 {
            let page = Page { offset: start.saturating_sub(count), limit: missing };
            let kept = self.ports().store.blob_ids(key, blob_type, page).await?;
            ids.extend(kept.into_iter().filter(|id| !buffered.contains(id)));
        }
        Ok(ids)
    }

    /// Deletes a blob. One that waits leaves the buffer; one that is sealed leaves its batch, whose rest is sealed
    /// anew; of one that was kept only the blob goes, not what was made of it. An absent blob is no error.
    ///
    /// # Errors
    /// When journal or store are away.
    pub async fn delete_blob(&self, key: &UserKey, id: BlobId) -> Result<(), EngineError> {
        let (engine, owned) = (self.clone(), key.clone());
        self.write(key, async move { engine.take_out(&owned, id).await }).await
    }

    async fn take_out(&self, key: &UserKey, id: BlobId) -> Result<(), EngineError> {
        let Some(owner) = self.owner(key).await? else { return Ok(()) };
        // The store comes last: it takes the blob out of a dead letter, too, and from then on the blob counts as applied,
        // should somebody have queued the letter again meanwhile.
        if self.withdraw(&owner, &[id]).await? {
            self.ports().store.withdraw_blob(key, id, self.now()).await?;
        }
        self.ports().store.delete_blob(key, id, self.now()).await?;
        Ok(())
    }

    /// Takes blobs out of the journal, of a buffer or of the open batch. Those of a flush that has an outcome already
    /// have taken effect, or are dead letters. True when any was there.
    pub(super) async fn withdraw(&self, owner: &Owner, ids: &[BlobId]) -> Result<bool, EngineError> {
        let mut found = false;
        for _ in 0..MAX_TRIES {
            let mut are_out = true;
            for id in ids {
                let removed = self.ports().journal.remove(owner, *id).await?;
                found |= removed != Removed::Unknown;
                are_out &= match removed {
                    Removed::Waiting(blob_type, level) => {
                        self.0.context.registry.tell(&owner.key, BlobRemoved { blob_type, level }).await;
                        true
                    }
                    Removed::Sealed(flush_id) => self.unseal(owner, flush_id, ids).await?,
                    Removed::Unknown => true,
                };
            }
            if are_out {
                return Ok(found);
            }
        }
        Err(EngineError::unavailable("the batch of this blob is sealed anew again and again; it"))
    }

    /// Takes blobs out of their batch. The old flush must never commit, so it ends as superseded first. Should it have
    /// another outcome already, the batch has nothing left to do, and goes. False when the batch was sealed anew
    /// meanwhile, by another deletion or by its worker: look again.
    async fn unseal(&self, owner: &Owner, flush_id: FlushId, ids: &[BlobId]) -> Result<bool, EngineError> {
        let record = FlushRecord {
            outcome: FlushOutcome::Superseded,
            result: FlushResult::default(),
            reason: Some("a blob of the batch was deleted".to_owned()),
            usage: Usage::default(),
            refused: 0,
            version: String::new(),
        };
        let before = self.ports().store.end_flush(owner, flush_id, &record, None, self.now()).await?;
        if before.is_some_and(|record| record.outcome != FlushOutcome::Superseded) {
            self.ports().journal.discard(owner, flush_id).await?;
            return Ok(true);
        }
        crash_point("after_supersede").await;
        let new_flush_id = FlushId(self.ports().ids.ordered());
        let reseal = Reseal { flush_id, new_flush_id, drop: ids.to_vec(), token: None };
        Ok(self.ports().journal.reseal(owner, &reseal).await?)
    }

    /// The ids of a buffer's blobs.
    ///
    /// # Errors
    /// When journal or store are away.
    pub async fn capacity(
        &self,
        key: &UserKey,
        blob_type: BlobType,
        status: BufferStatus,
    ) -> Result<Vec<BlobId>, EngineError> {
        let Some(owner) = self.owner(key).await? else { return Ok(Vec::new()) };
        let standing = match status {
            BufferStatus::Idle => Standing::Waiting,
            BufferStatus::Processing => Standing::Sealed,
            BufferStatus::Failed => return Ok(self.ports().store.dead_blob_ids(key, blob_type).await?),
            BufferStatus::Done => return Ok(Vec::new()),
        };
        Ok(self.ports().journal.blob_ids(&owner, blob_type, standing).await?)
    }

    /// The present life of a user.
    pub(super) async fn owner(&self, key: &UserKey) -> Result<Option<Owner>, EngineError> {
        match (self.ports().store.revision(key).await, self.0.context.registry.living(key)) {
            (Ok(life), _) => Ok(life.map(|(incarnation, _)| Owner { key: key.clone(), incarnation })),
            // Whoever has an actor is known while the store is away.
            (Err(StoreError::Unavailable(_)), Some(owner)) => Ok(Some(owner)),
            (Err(error), _) => Err(error.into()),
        }
    }
}
