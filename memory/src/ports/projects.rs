use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::ids::{ProjectId, UserId};
use crate::ports::{Page, ProjectAdoption, StoreError};
use crate::quota::TokenQuota;
use crate::usage::Used;

/// Whether a project may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProjectStatus {
    /// It may.
    Active,
    /// It may not, until it is resumed. What is buffered is processed all the same.
    Suspended,
    /// It may not, and its users are being deleted. There is no way back.
    Deleting,
}

impl ProjectStatus {
    /// The name in the store and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleting => "deleting",
        }
    }

    /// The status of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Deleting].into_iter().find(|status| status.as_str() == name)
    }
}

/// The SHA-256 of the secret in a project's token. The secret itself is kept nowhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// A project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Project {
    /// Its name.
    pub id: ProjectId,
    /// Whether it may be used.
    pub status: ProjectStatus,
    /// What its token is known by. None: there is no such token, as for the default project of a server.
    pub token: Option<TokenHash>,
    /// How it wants its memory made: YAML, as its owner wrote it. None: as the server does.
    pub profile_config: Option<String>,
    /// How many tokens it may use in a month.
    pub token_quota: TokenQuota,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What users of a project are sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserOrder {
    /// When their data was last changed.
    UpdatedAt,
    /// How many slots they have.
    ProfileCount,
    /// How many events they have.
    EventCount,
}

/// Which users of a project to list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserQuery {
    /// Only users whose id, with dashes, or whose data, as JSON, contains this. Upper and lower case of A to Z are the
    /// same. Empty: all.
    pub search: String,
    /// What they are sorted by; those that are equal, by id.
    pub order: UserOrder,
    /// The greatest first.
    pub descending: bool,
    /// Which of them.
    pub page: Page,
}

/// A user in a list.
#[derive(Clone, PartialEq, Debug)]
pub struct ListedUser {
    /// Its id.
    pub id: UserId,
    /// What the client stored with it.
    pub data: Option<Map<String, Value>>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its data was last changed.
    pub updated_at: Timestamp,
    /// Its slots.
    pub profile_count: u64,
    /// Its events.
    pub event_count: u64,
}

/// The projects of a store, which holds their users as well.
///
/// A project needs no row here to have users: the default project of a server has none until something is set for it.
/// Each method is one transaction. Methods that change a project say with false that there is none, or that it is being
/// deleted; nothing has changed then. Errors are those of [`StoreError`].
#[async_trait]
pub trait Projects: Send + Sync + 'static {
    /// Creates an active project that has used nothing and comes from nowhere else. False when the name is taken, or has
    /// users.
    async fn create_project(
        &self,
        id: &ProjectId,
        token: &TokenHash,
        quota: TokenQuota,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Stores a project of another service as it is, unless one of its name is here, and remembers for good that this
    /// name is that of `source`, which tells projects of all such services apart. A project that is here stays as it is.
    /// [`ProjectAdoption::Taken`] when the name is that of another source, is being deleted, or has users of unknown
    /// source; `implicit` allows such users, for a project that may have had no row. What came before and is not here any
    /// more is not brought back ([`ProjectAdoption::Deleted`]). A new project has used nothing, unless it is implicit.
    async fn adopt_project(
        &self,
        project: &Project,
        source: &str,
        implicit: bool,
    ) -> Result<ProjectAdoption, StoreError>;

    /// Reads a project.
    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, StoreError>;

    /// Lists projects in order of their names, byte by byte.
    async fn projects(&self, page: Page) -> Result<Vec<Project>, StoreError>;

    /// Replaces a project's token.
    async fn set_token(&self, id: &ProjectId, token: &TokenHash, now: Timestamp) -> Result<bool, StoreError>;

    /// Sets the status. [`ProjectStatus::Deleting`] is final: `updated_at` tells from then on since when.
    async fn set_status(&self, id: &ProjectId, status: ProjectStatus, now: Timestamp) -> Result<bool, StoreError>;

    /// Sets or removes the profile configuration. `implicit` makes a row, without a token, for a project that has none.
    async fn set_profile_config(
        &self,
        id: &ProjectId,
        config: Option<&str>,
        implicit: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Sets how many tokens a project may use in a month. `implicit` as above.
    async fn set_token_quota(
        &self,
        id: &ProjectId,
        quota: TokenQuota,
        implicit: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Projects that are being deleted, in order of their names.
    async fn deleting_projects(&self, limit: u32) -> Result<Vec<Project>, StoreError>;

    /// Removes a project that is being deleted and has no users left, and what it has used.
    async fn remove_project(&self, id: &ProjectId) -> Result<bool, StoreError>;

    /// Some users of a project, in no particular order.
    async fn user_ids(&self, id: &ProjectId, limit: u32) -> Result<Vec<UserId>, StoreError>;

    /// What a project has used on the days from `from` to `to` that it used something, the earliest first. It is counted
    /// by [`crate::ports::Store::commit`] and [`crate::ports::Store::end_flush`], in their transactions.
    async fn usage(&self, id: &ProjectId, from: Date, to: Date) -> Result<Vec<(Date, Used)>, StoreError>;

    /// Tidies up what was counted; no total changes. Returns the number of rows that are gone, `limit` at most.
    async fn fold_usage(&self, limit: u32) -> Result<u64, StoreError>;

    /// Lists users, and counts all that the search finds.
    async fn users(&self, id: &ProjectId, query: &UserQuery) -> Result<(Vec<ListedUser>, u64), StoreError>;
}
