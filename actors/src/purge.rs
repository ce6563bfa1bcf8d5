//! Carrying out the order that a deleted user leaves.

use memory::ids::Owner;
use memory::ports::{Change, JournalError, StoreError};

use crate::user_actor::UserContext;

/// Why a purge could not be carried out. Its order stands.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PurgeError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl UserContext {
    /// Ends a life that the store has ended: tells all actors of it, removes it from the journal, and notes that in
    /// the store.
    pub(crate) async fn purge(&self, owner: &Owner) -> Result<(), PurgeError> {
        self.registry.bury(owner).await;
        self.ports.changes.announce(&Change::Deleted(owner.clone())).await;
        self.ports.journal.purge(owner).await?;
        self.ports.store.purge_done(owner, self.ports.clock.now()).await?;
        Ok(())
    }
}
