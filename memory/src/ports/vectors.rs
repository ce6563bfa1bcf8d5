use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::event::Source;
use crate::ids::{EventId, GistId, ProjectId, UserId, UserKey};
use crate::search::Vector;

/// A gist that has no vector in a space.
#[derive(Clone, PartialEq, Debug)]
pub struct Unembedded {
    /// Whose it is.
    pub key: UserKey,
    /// Its event.
    pub event_id: EventId,
    /// Its id.
    pub gist_id: GistId,
    /// Its text.
    pub text: String,
    /// The messages that it comes from.
    pub sources: Vec<Source>,
}

/// The vector of a gist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewVector {
    /// The user.
    pub user: UserId,
    /// The event.
    pub event_id: EventId,
    /// The gist.
    pub gist_id: GistId,
    /// None when the model has no direction for it: it is not asked for again.
    pub vector: Option<Vector>,
}

/// Keeps the vectors of gists: one for each, of one space ([`super::Embedder::space`]). They go with their gists, and
/// a gist whose text changes is a new one.
#[async_trait]
pub trait Vectors: Send + Sync + 'static {
    /// The vectors in a space of a user's newest gists.
    async fn vectors(&self, key: &UserKey, space: &str, limit: u32) -> Result<Vec<(GistId, Vector)>, StoreError>;

    /// Some gists that have nothing in this space and were last changed before an instant, in no particular order; those
    /// that have nothing in any space come first.
    async fn unembedded(&self, space: &str, before: Timestamp, limit: u32) -> Result<Vec<Unembedded>, StoreError>;

    /// Keeps the vectors of gists of one project, and counts the tokens that they cost, in one transaction. Gists that are
    /// gone are passed over. The memory of each user who is named gets a new revision, so that nobody goes on without the
    /// vectors. Returns the new revisions of those who are there.
    async fn put_vectors(
        &self,
        space: &str,
        project: &ProjectId,
        vectors: &[NewVector],
        tokens: u64,
        now: Timestamp,
    ) -> Result<Vec<(UserId, i64)>, StoreError>;

    /// The space that vectors are to be of: that of the process that was started last.
    async fn space(&self) -> Result<Option<String>, StoreError>;

    /// Says which space vectors are to be of.
    async fn set_space(&self, space: &str) -> Result<(), StoreError>;
}
