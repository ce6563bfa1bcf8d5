//! How values stand in the tables: times as microseconds, JSON as text, ids as bytes.

use jiff::Timestamp;
use memory::blob::{BlobType, NewBlob};
use memory::ids::{BlobId, UserKey};
use memory::ports::StoredBlob;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};
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
pub(crate) fn json_column<T: DeserializeOwned>(row: &SqliteRow, name: &str) -> sqlx::Result<T> {
    from_json(row.try_get(name)?)
}

/// A column that holds a time.
pub(crate) fn time_column(row: &SqliteRow, name: &str) -> sqlx::Result<Timestamp> {
    timestamp(row.try_get(name)?)
}

/// A value that a row should not hold.
pub(crate) fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

/// An id for `unhex` in SQL: for lists of ids, which travel as one JSON array.
pub(crate) fn hex(id: Uuid) -> Value {
    json!(id.simple().to_string())
}

/// A blob from the columns `blob_id`, `blob_type`, `tokens` and `payload`.
pub(crate) fn new_blob(row: &SqliteRow) -> sqlx::Result<NewBlob> {
    Ok(NewBlob {
        id: BlobId(row.try_get("blob_id")?),
        blob_type: blob_type(row.try_get("blob_type")?)?,
        tokens: row.try_get("tokens")?,
        payload: row.try_get("payload")?,
    })
}

/// Reads the name of a blob type.
pub(crate) fn blob_type(name: &str) -> sqlx::Result<BlobType> {
    name.parse().map_err(decode)
}

/// A [`StoredBlob`] as a row of its table.
pub(super) struct BlobRow(pub(super) StoredBlob);

impl<'r> FromRow<'r, SqliteRow> for BlobRow {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        Ok(Self(StoredBlob { blob: new_blob(row)?, created_at: time_column(row, "created_at")? }))
    }
}

/// Blobs as a JSON array, for a statement that inserts all of them.
pub(super) fn blobs_json(blobs: &[StoredBlob]) -> Value {
    let row = |stored: &StoredBlob| {
        json!({
            "id": hex(stored.blob.id.0),
            "type": stored.blob.blob_type.as_str(),
            "tokens": stored.blob.tokens,
            "payload": stored.blob.payload,
            "at": micros(stored.created_at),
        })
    };
    blobs.iter().map(row).collect()
}

/// Counts a change of what is remembered of a user, and returns its new revision; none when there is no such user.
pub(super) async fn bump(conn: &mut SqliteConnection, key: &UserKey) -> Result<Option<i64>, DatabaseError> {
    let sql = "UPDATE users SET revision = revision + 1 WHERE project_id = ?1 AND user_id = ?2 RETURNING revision";
    let update = sqlx::query_scalar(sql).bind(key.project.as_str().to_owned()).bind(key.user.0);
    Ok(update.fetch_optional(conn).await?)
}

/// The life and revision of a user who lives.
pub(super) async fn life(conn: &mut SqliteConnection, key: &UserKey) -> Result<Option<(Uuid, i64)>, DatabaseError> {
    let sql = "SELECT incarnation, revision FROM users WHERE project_id = ?1 AND user_id = ?2";
    let life = sqlx::query_as(sql).bind(key.project.as_str().to_owned()).bind(key.user.0);
    Ok(life.fetch_optional(conn).await?)
}
