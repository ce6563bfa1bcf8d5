//! Moving all that waits from one journal to another.

use memory::ids::Owner;
use memory::ports::{Holding, Journal, JournalError};

/// Owners that are asked for at once.
const PAGE: u32 = 500;

/// What was moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// Users with something in their buffers.
    pub owners: usize,
    /// Blobs that wait.
    pub waiting: usize,
    /// Blobs of open batches.
    pub sealed: usize,
}

/// Copies all that `from` holds into `to`. What `to` holds of an owner stays, and the rest comes behind it. Nothing may
/// use either meanwhile. What is cut short may be repeated; `from` keeps everything until [`clear`].
///
/// # Errors
/// When a journal is away.
pub async fn copy(from: &dyn Journal, to: &dyn Journal) -> Result<Moved, JournalError> {
    let mut moved = Moved::default();
    let mut last: Option<Owner> = None;
    loop {
        let owners = from.owners(last.as_ref(), PAGE).await?;
        let Some(end) = owners.last().cloned() else { return Ok(moved) };
        for owner in &owners {
            let holding = from.holding(owner).await?;
            copy_one(to, owner, &holding).await?;
            moved.owners += 1;
            moved.waiting += holding.waiting.len();
            moved.sealed += holding.open.map_or(0, |batch| batch.entries.len());
        }
        last = Some(end);
    }
}

async fn copy_one(to: &dyn Journal, owner: &Owner, holding: &Holding) -> Result<(), JournalError> {
    let held = to.holding(owner).await?;
    if held.waiting.is_empty() && held.open.is_none() {
        return to.adopt(owner, holding).await;
    }
    let sealed = holding.open.iter().flat_map(|batch| &batch.entries);
    for entry in sealed.chain(&holding.waiting) {
        match to.append(owner, &entry.blob).await {
            Ok(_) => {}
            // That life of the user has ended.
            Err(JournalError::OwnerGone) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes all that a journal holds, without a trace: another has taken it over.
///
/// # Errors
/// When the journal is away.
pub async fn clear(journal: &dyn Journal) -> Result<(), JournalError> {
    loop {
        let owners = journal.owners(None, PAGE).await?;
        if owners.is_empty() {
            return Ok(());
        }
        for owner in &owners {
            journal.hand_over(owner).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use memory::blob::{BlobType, NewBlob};
    use memory::ids::{BlobId, ClaimToken, FlushId, IdSource, Incarnation, ProjectId, SystemIds, UserId, UserKey};
    use memory::ports::Take;
    use memory::testing::{ManualClock, MemoryJournal};

    use super::*;

    fn owner() -> Owner {
        let key = UserKey { project: ProjectId::from("p"), user: UserId(SystemIds.random()) };
        Owner { key, incarnation: Incarnation(SystemIds.random()) }
    }

    async fn append(journal: &dyn Journal, owner: &Owner) {
        let id = BlobId(SystemIds.random());
        let blob = NewBlob { id, blob_type: BlobType::Chat, tokens: 1, payload: "{}".into() };
        journal.append(owner, &blob).await.unwrap();
    }

    /// Everything in a journal.
    async fn all(journal: &dyn Journal) -> Vec<(Owner, memory::ports::Holding)> {
        let mut all = Vec::new();
        for owner in journal.owners(None, 10_000).await.unwrap() {
            all.push((owner.clone(), journal.holding(&owner).await.unwrap()));
        }
        all
    }

    #[tokio::test]
    async fn everything_moves_and_nothing_stays() {
        let clock = Arc::new(ManualClock::new());
        let (from, to) = (MemoryJournal::new(clock.clone()), MemoryJournal::new(clock));
        for number in 0..1_203 {
            let owner = owner();
            append(&from, &owner).await;
            append(&from, &owner).await;
            if number % 3 == 0 {
                let (flush_id, token) = (FlushId(SystemIds.ordered()), ClaimToken(SystemIds.random()));
                let lease = std::time::Duration::from_secs(60);
                let (blob_type, max_tokens, max_blobs, ignore_backoff) = (BlobType::Chat, 1, 1, false);
                let take = Take { blob_type, flush_id, token, lease, max_tokens, max_blobs, ignore_backoff };
                from.take(&owner, &take).await.unwrap();
            }
        }
        let before = all(&from).await;
        let moved = copy(&from, &to).await.unwrap();
        assert_eq!(moved, Moved { owners: 1_203, waiting: 2 * 1_203 - 401, sealed: 401 });
        assert!(all(&to).await == before && all(&from).await == before);
        assert_eq!(copy(&from, &to).await.unwrap(), moved, "it may be repeated");
        clear(&from).await.unwrap();
        assert!(all(&from).await.is_empty() && all(&to).await == before);
    }

    #[tokio::test]
    async fn what_is_there_already_stays_and_comes_first() {
        let clock = Arc::new(ManualClock::new());
        let (from, to) = (MemoryJournal::new(clock.clone()), MemoryJournal::new(clock));
        let both = owner();
        append(&to, &both).await;
        append(&from, &both).await;
        append(&to, &owner()).await;
        let ids = async |journal: &MemoryJournal| {
            let held = journal.holding(&both).await.unwrap();
            held.waiting.iter().map(|entry| entry.blob.id).collect::<Vec<_>>()
        };
        let wanted = [ids(&to).await, ids(&from).await].concat();
        for _ in 0..2 {
            copy(&from, &to).await.unwrap();
            assert_eq!(ids(&to).await, wanted);
        }
        assert_eq!(all(&to).await.len(), 2, "what only the target had, and what both had");
    }
}
