//! Blobs that outlived their flush.

use jiff::Timestamp;
use memory::blob::BlobType;
use memory::ids::{BlobId, UserKey};
use memory::ports::{Page, StoredBlob};
use sqlx::{SqliteConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::error::DatabaseError;
use super::letters;
use super::rows::{BlobRow, blobs_json, micros, to_json};

/// Newest first; of equal age, the one that was stored last.
pub(super) const BLOB_IDS: &str = "SELECT blob_id FROM blobs WHERE project_id = ?1 AND user_id = ?2 AND blob_type = ?3
    ORDER BY created_at DESC, place DESC LIMIT ?4 OFFSET ?5";

pub(super) async fn read(
    conn: &mut SqliteConnection,
    key: &UserKey,
    id: BlobId,
) -> Result<Option<StoredBlob>, DatabaseError> {
    let sql = "SELECT blob_id, blob_type, tokens, payload, created_at FROM blobs
        WHERE project_id = ?1 AND user_id = ?2 AND blob_id = ?3";
    let select = query_as(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(id.0);
    let row: Option<BlobRow> = select.fetch_optional(&mut *conn).await?;
    match row {
        Some(row) => Ok(Some(row.0)),
        None => letters::blob(conn, key, id).await,
    }
}

pub(super) async fn ids(
    conn: &mut SqliteConnection,
    key: &UserKey,
    blob_type: BlobType,
    page: Page,
) -> Result<Vec<BlobId>, DatabaseError> {
    let [limit, offset] = [page.limit, page.offset].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    let select = query_scalar(BLOB_IDS).bind(key.project.as_str().to_owned()).bind(key.user.0);
    let ids: Vec<Uuid> = select.bind(blob_type.as_str()).bind(limit).bind(offset).fetch_all(conn).await?;
    Ok(ids.into_iter().map(BlobId).collect())
}

pub(super) async fn delete(conn: &mut SqliteConnection, key: &UserKey, id: BlobId) -> Result<bool, DatabaseError> {
    let sql = "DELETE FROM blobs WHERE project_id = ?1 AND user_id = ?2 AND blob_id = ?3";
    let delete = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(id.0);
    Ok(delete.execute(conn).await?.rows_affected() == 1)
}

/// Of a blob of a user who lives.
pub(super) async fn withdraw(
    conn: &mut SqliteConnection,
    key: &UserKey,
    id: BlobId,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO applied_blobs (project_id, user_id, blob_id, flush_id, applied_at)
        SELECT project_id, user_id, ?3, ?4, ?5 FROM users WHERE project_id = ?1 AND user_id = ?2
        ON CONFLICT DO NOTHING";
    let insert = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(id.0);
    insert.bind(Uuid::nil()).bind(micros(now)).execute(conn).await?;
    Ok(())
}

pub(super) async fn insert(
    conn: &mut SqliteConnection,
    key: &UserKey,
    blobs: &[StoredBlob],
) -> Result<(), DatabaseError> {
    if blobs.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO blobs (project_id, user_id, blob_id, blob_type, tokens, payload, created_at)
        SELECT ?1, ?2, unhex(value ->> '$.id'), value ->> '$.type', value ->> '$.tokens', value ->> '$.payload',
            value ->> '$.at'
        FROM json_each(?3) WHERE TRUE ORDER BY key ON CONFLICT DO NOTHING";
    let insert = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0);
    insert.bind(to_json(&blobs_json(blobs))?).execute(conn).await?;
    Ok(())
}
