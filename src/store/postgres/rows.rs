//! How values stand in the tables: times as microseconds, JSON as text, small numbers as BIGINT.

use std::borrow::Cow;

use jiff::Timestamp;
use memory::blob::{BlobType, NewBlob};
use memory::ids::{BlobId, Owner, UserKey};
use memory::ports::StoredBlob;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::{FromRow, PgConnection, Postgres, Row, query_as};
use uuid::Uuid;

use super::error::DatabaseError;

/// Microseconds since 1970.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// Reads what [`micros`] wrote.
pub(crate) fn timestamp(micros: i64) -> sqlx::Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(decode)
}

/// JSON as text.
pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String, DatabaseError> {
    serde_json::to_string(value).map_err(|_| DatabaseError::Damaged("a value cannot be written as JSON"))
}

/// Reads what [`to_json`] wrote.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> sqlx::Result<T> {
    serde_json::from_str(text).map_err(decode)
}

/// A column that holds JSON.
pub(crate) fn json_column<T: DeserializeOwned>(row: &PgRow, name: &str) -> sqlx::Result<T> {
    from_json(row.try_get(name)?)
}

/// A column that holds a time.
pub(crate) fn time_column(row: &PgRow, name: &str) -> sqlx::Result<Timestamp> {
    timestamp(row.try_get(name)?)
}

/// A column that holds a number that is never negative.
pub(crate) fn number<T: TryFrom<i64>>(row: &PgRow, name: &str) -> sqlx::Result<T> {
    let number: i64 = row.try_get(name)?;
    T::try_from(number).map_err(|_| sqlx::Error::Decode("a number is out of range".into()))
}

/// A value that a row should not hold.
pub(crate) fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

/// Text as Postgres can hold it: all but NUL, which becomes U+FFFD.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}").into() } else { text.into() }
}

/// A blob from the columns `blob_id`, `blob_type`, `tokens` and `payload`.
pub(crate) fn new_blob(row: &PgRow) -> sqlx::Result<NewBlob> {
    Ok(NewBlob {
        id: BlobId(row.try_get("blob_id")?),
        blob_type: blob_type(row.try_get("blob_type")?)?,
        tokens: number(row, "tokens")?,
        payload: row.try_get("payload")?,
    })
}

/// Reads the name of a blob type.
pub(crate) fn blob_type(name: &str) -> sqlx::Result<BlobType> {
    name.parse().map_err(decode)
}

/// A [`StoredBlob`] as a row of its table.
pub(super) struct BlobRow(pub(super) StoredBlob);

impl<'r> FromRow<'r, PgRow> for BlobRow {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self(StoredBlob { blob: new_blob(row)?, created_at: time_column(row, "created_at")? }))
    }
}

/// Blobs as columns, for a statement that inserts all of them.
#[derive(Default)]
pub(crate) struct BlobColumns<'a> {
    pub(crate) ids: Vec<Uuid>,
    pub(crate) types: Vec<&'static str>,
    pub(crate) tokens: Vec<i64>,
    pub(crate) payloads: Vec<Cow<'a, str>>,
    /// Microseconds since 1970.
    pub(crate) times: Vec<i64>,
}

impl<'a> BlobColumns<'a> {
    pub(crate) fn push(&mut self, blob: &'a NewBlob, at: Timestamp) {
        self.ids.push(blob.id.0);
        self.types.push(blob.blob_type.as_str());
        self.tokens.push(blob.tokens.into());
        self.payloads.push(text(&blob.payload));
        self.times.push(micros(at));
    }

    pub(super) fn of(blobs: impl IntoIterator<Item = &'a StoredBlob>) -> Self {
        let mut columns = Self::default();
        blobs.into_iter().for_each(|stored| columns.push(&stored.blob, stored.created_at));
        columns
    }
}

/// Ids of blobs as they are bound.
pub(crate) fn uuids(ids: &[BlobId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}

/// A statement whose first parameters say whose rows it is about.
pub(crate) trait About: Sized {
    /// Binds project and user.
    fn user(self, key: &UserKey) -> Self;

    /// Binds project, user and incarnation.
    fn owner(self, owner: &Owner) -> Self;
}

impl About for Query<'_, Postgres, PgArguments> {
    fn user(self, key: &UserKey) -> Self {
        self.bind(key.project.as_str().to_owned()).bind(key.user.0)
    }

    fn owner(self, owner: &Owner) -> Self {
        self.user(&owner.key).bind(owner.incarnation.0)
    }
}

impl<T> About for QueryAs<'_, Postgres, T, PgArguments> {
    fn user(self, key: &UserKey) -> Self {
        self.bind(key.project.as_str().to_owned()).bind(key.user.0)
    }

    fn owner(self, owner: &Owner) -> Self {
        self.user(&owner.key).bind(owner.incarnation.0)
    }
}

impl<T> About for QueryScalar<'_, Postgres, T, PgArguments> {
    fn user(self, key: &UserKey) -> Self {
        self.bind(key.project.as_str().to_owned()).bind(key.user.0)
    }

    fn owner(self, owner: &Owner) -> Self {
        self.user(&owner.key).bind(owner.incarnation.0)
    }
}

/// Locks a user's row until the end of the transaction, and tells its life and revision; none when there is no such
/// user. Whoever writes a user's memory does this first: writers of one user come one after the other, and what they
/// read afterwards is the present state.
pub(super) async fn lock(conn: &mut PgConnection, key: &UserKey) -> Result<Option<(Uuid, i64)>, DatabaseError> {
    let sql = "SELECT incarnation, revision FROM users WHERE project_id = $1 AND user_id = $2 FOR NO KEY UPDATE";
    Ok(query_as(sql).user(key).fetch_optional(conn).await?)
}
