//! Identifiers. All are random UUIDs, apart from a project's, which is a name its owner chose.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )*};
}

uuid_ids! {
    /// A user of a project. Version 4 or 5, chosen by the client or by the server.
    UserId;
    /// One life of a user: drawn at random when the user is created, so that a user made anew under the same
    /// id inherits nothing from the one before.
    Incarnation;
    /// A blob: what a client posts in one insert.
    BlobId;
    /// A profile slot.
    SlotId;
    /// An event.
    EventId;
    /// A gist: one searchable line of an event.
    GistId;
    /// A flush: drawn at random when a batch is sealed. Its row in the store makes its outcome exclusive.
    FlushId;
    /// Proof of a claim on a batch: drawn at random by whoever takes it.
    ClaimToken;
}

/// The name of a project (a tenant). Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProjectId(Arc<str>);

impl ProjectId {
    /// The name as it stands in the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters of a project's name at most.
pub const MAX_PROJECT_CHARS: usize = 64;

/// A name that no new project can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the name of a project must be 1 to {MAX_PROJECT_CHARS} letters (A to Z, a to z), digits, '_' or '-'")]
pub struct BadProjectName;

impl ProjectId {
    /// The name of a new project, checked.
    ///
    /// # Errors
    /// See [`BadProjectName`].
    pub fn checked(name: &str) -> Result<Self, BadProjectName> {
        let fits = (1..=MAX_PROJECT_CHARS).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if fits { Ok(name.into()) } else { Err(BadProjectName) }
    }
}

impl From<&str> for ProjectId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user within its project: the address of everything that is remembered.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct UserKey {
    /// The project.
    pub project: ProjectId,
    /// The user.
    pub user: UserId,
}

/// One life of a user: whose buffer a blob is in. See [`Incarnation`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Owner {
    /// The user.
    pub key: UserKey,
    /// Its present life.
    pub incarnation: Incarnation,
}

/// Where fresh random ids come from. An argument everywhere, so that tests can repeat a run.
pub trait IdSource: Send + Sync + 'static {
    /// A fresh id that sorts by time of creation (UUID version 7): for flushes and other internal rows.
    fn ordered(&self) -> Uuid;
    /// A fresh id that tells nothing (UUID version 4): for what clients see, whose ids must be version 4.
    fn random(&self) -> Uuid;
}

/// The ids of the `uuid` crate, from the operating system's randomness and clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    fn ordered(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn random(&self) -> Uuid {
        Uuid::new_v4()
    }
}
