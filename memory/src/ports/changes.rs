use async_trait::async_trait;

use crate::ids::{Owner, ProjectId, UserKey};

/// What has changed in the store, for processes that keep some of it in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The memory of this user.
    Memory(UserKey),
    /// This life of a user has ended.
    Deleted(Owner),
    /// The settings of this project.
    Project(ProjectId),
    /// It is not known what: all that is kept may be old.
    Everything,
}

/// Tells the other processes on the same store what has changed.
///
/// A process hears of the others' changes through whatever its adapter was given to call, not of its own.
#[async_trait]
pub trait ChangeFeed: Send + Sync + 'static {
    /// Tells a change, to be called after it has happened and before it is answered. Returns when it is on its way, or
    /// soon after it turned out that it cannot be told now: then the adapter goes on trying by itself, and no change
    /// is forgotten.
    async fn announce(&self, change: &Change);

    /// False while this process may be missing changes of others: what is cached is to be checked before it is used.
    fn is_live(&self) -> bool;
}

/// The feed of a process that has the store for itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

#[async_trait]
impl ChangeFeed for Alone {
    async fn announce(&self, _: &Change) {}

    fn is_live(&self) -> bool {
        true
    }
}
