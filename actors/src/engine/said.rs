//! What a user said and no flush has processed yet.

use std::collections::HashSet;
use std::future::ready;

use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use memory::blob::{Blob, BlobType};
use memory::context::{SAID_LINE_TOKENS, SaidLine, said_lines};
use memory::ids::{BlobId, Owner, UserKey};
use memory::ports::{Entry, JournalError, Standing};

use super::Engine;
use crate::error::EngineError;
use crate::offload::{LINE_BYTES, offload};

/// Blobs that are read for a context at most: the newest.
const MAX_BLOBS: usize = 1_000;

/// Lines that are made of them at most: the newest.
const MAX_LINES: usize = 1_000;

/// Bytes of their payloads after which no more are read.
const MAX_BYTES: usize = 1 << 20;

/// Blobs of one type that are read at a time.
const READ_AHEAD: usize = 8;

impl Engine {
    /// The lines of what waits or is sealed, newest first: about as many as may fit into `max_tokens`, within the limits
    /// above. A blob that cannot be read is left out, and logged. One that is flushed or deleted meanwhile is not there.
    ///
    /// # Errors
    /// When journal or store are away.
    pub(super) async fn said(&self, key: &UserKey, max_tokens: u32) -> Result<Vec<SaidLine>, EngineError> {
        let Some(owner) = self.owner(key).await? else { return Ok(Vec::new()) };
        let entries = self.newest(&owner, max_tokens).await?;
        let counter = self.counter().clone();
        let lines = entries.iter().map(|entry| entry.blob.payload.len()).sum::<usize>() / LINE_BYTES;
        offload(lines, move || {
            let blobs: Vec<(BlobId, Blob)> = entries.iter().filter_map(|e| Some((e.blob.id, readable(e)?))).collect();
            blobs.iter().flat_map(|(id, blob)| said_lines(*id, blob, counter.as_ref())).take(MAX_LINES).collect()
        })
        .await
    }

    /// The newest blobs over all types, newest first. They are read one by one: all that an owner has in the journal may be
    /// more than fits into memory.
    async fn newest(&self, owner: &Owner, max_tokens: u32) -> Result<Vec<Entry>, EngineError> {
        // Twice, since white space counts in a blob, and hardly in a line.
        let wanted = u64::from(max_tokens) * 2;
        let mut heads: Vec<(Entry, BoxStream<'_, Result<Entry, JournalError>>)> = Vec::new();
        for (blob_type, _) in self.ports().journal.levels(owner).await? {
            let ids = self.newest_ids(owner, blob_type).await?;
            let mut entries = self.entries(owner, ids);
            if let Some(first) = entries.try_next().await? {
                heads.push((first, entries));
            }
        }
        let (mut found, mut tokens, mut bytes) = (Vec::new(), 0, 0);
        while found.len() < MAX_BLOBS && tokens < wanted && bytes < MAX_BYTES {
            let newest = heads.iter().enumerate().max_by_key(|(_, (entry, _))| entry.appended_at);
            let Some(at) = newest.map(|(at, _)| at) else { break };
            let entry = match heads[at].1.try_next().await? {
                Some(next) => std::mem::replace(&mut heads[at].0, next),
                None => heads.swap_remove(at).0,
            };
            tokens += u64::from(entry.blob.tokens.min(SAID_LINE_TOKENS));
            bytes += entry.blob.payload.len();
            found.push(entry);
        }
        Ok(found)
    }

    /// The ids of the newest blobs of one type, newest first.
    async fn newest_ids(&self, owner: &Owner, blob_type: BlobType) -> Result<Vec<BlobId>, EngineError> {
        let journal = &self.ports().journal;
        // What is sealed is older than what waits. A seal in between shows a blob in both rather than in neither.
        let waiting = journal.blob_ids(owner, blob_type, Standing::Waiting).await?;
        let sealed = journal.blob_ids(owner, blob_type, Standing::Sealed).await?;
        let mut seen = HashSet::new();
        let newest_first = waiting.into_iter().rev().chain(sealed.into_iter().rev());
        Ok(newest_first.filter(|id| seen.insert(*id)).take(MAX_BLOBS).collect())
    }

    fn entries<'a>(&'a self, owner: &'a Owner, ids: Vec<BlobId>) -> BoxStream<'a, Result<Entry, JournalError>> {
        let reads = stream::iter(ids).map(move |id| self.ports().journal.blob(owner, id));
        reads.buffered(READ_AHEAD).try_filter_map(|entry| ready(Ok(entry))).boxed()
    }
}

fn readable(entry: &Entry) -> Option<Blob> {
    let read = Blob::from_payload(&entry.blob.payload);
    read.inspect_err(|error| tracing::error!(%error, blob = %entry.blob.id, "a buffered blob cannot be read")).ok()
}
