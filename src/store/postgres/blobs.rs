//! Blobs that outlived their flush.

use jiff::Timestamp;
use memory::blob::BlobType;
use memory::ids::{BlobId, UserKey};
use memory::ports::{Page, StoredBlob};
use sqlx::{PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::error::DatabaseError;
use super::letters;
use super::rows::{About, BlobColumns, BlobRow, lock, micros};

/// Newest first; of equal age, the one that was stored last.
const BLOB_IDS: &str = "SELECT blob_id FROM blobs
    WHERE project_id = $1 AND user_id = $2 AND blob_type = $3
    ORDER BY created_at DESC, place DESC LIMIT $4 OFFSET $5";

/// A stored blob, or one of a dead letter.
const BLOB: &str = "SELECT blob_id, blob_type, tokens, payload, created_at FROM blobs
        WHERE project_id = $1 AND user_id = $2 AND blob_id = $3
    UNION ALL
    SELECT blob_id, blob_type, tokens, payload, created_at FROM dead_letter_blobs
        WHERE project_id = $1 AND user_id = $2 AND blob_id = $3
    LIMIT 1";

pub(super) async fn read(
    conn: &mut PgConnection,
    key: &UserKey,
    id: BlobId,
) -> Result<Option<StoredBlob>, DatabaseError> {
    let row: Option<BlobRow> = query_as(BLOB).user(key).bind(id.0).fetch_optional(conn).await?;
    Ok(row.map(|row| row.0))
}

/// Limit and offset as they are bound.
pub(super) fn limits(page: Page) -> [i64; 2] {
    [page.limit, page.offset].map(|n| i64::try_from(n).unwrap_or(i64::MAX))
}

pub(super) async fn ids(
    conn: &mut PgConnection,
    key: &UserKey,
    blob_type: BlobType,
    page: Page,
) -> Result<Vec<BlobId>, DatabaseError> {
    let [limit, offset] = limits(page);
    let select = query_scalar(BLOB_IDS).user(key).bind(blob_type.as_str()).bind(limit).bind(offset);
    let ids: Vec<Uuid> = select.fetch_all(conn).await?;
    Ok(ids.into_iter().map(BlobId).collect())
}

/// Of a blob of a user who lives.
pub(super) async fn withdraw(
    conn: &mut PgConnection,
    key: &UserKey,
    id: BlobId,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    if lock(conn, key).await?.is_none() {
        return Ok(());
    }
    let sql = "INSERT INTO applied_blobs (project_id, user_id, blob_id, flush_id, applied_at)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    query(sql).user(key).bind(id.0).bind(Uuid::nil()).bind(micros(now)).execute(conn).await?;
    Ok(())
}

pub(super) async fn delete(
    conn: &mut PgConnection,
    key: &UserKey,
    id: BlobId,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    if lock(conn, key).await?.is_none() {
        return Ok(false);
    }
    let sql = "DELETE FROM blobs WHERE project_id = $1 AND user_id = $2 AND blob_id = $3";
    let was_kept = query(sql).user(key).bind(id.0).execute(&mut *conn).await?.rows_affected() == 1;
    let was_dead = letters::drop_blob(conn, key, id, now).await?;
    Ok(was_kept || was_dead)
}

pub(super) async fn insert(conn: &mut PgConnection, key: &UserKey, blobs: &[StoredBlob]) -> Result<(), DatabaseError> {
    if blobs.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO blobs (project_id, user_id, blob_id, blob_type, tokens, payload, created_at)
        SELECT $1, $2, b.blob_id, b.blob_type, b.tokens, b.payload, b.created_at
        FROM unnest($3::uuid[], $4::text[], $5::bigint[], $6::text[], $7::bigint[])
            WITH ORDINALITY AS b (blob_id, blob_type, tokens, payload, created_at, number)
        ORDER BY b.number ON CONFLICT DO NOTHING";
    let BlobColumns { ids, types, tokens, payloads, times } = BlobColumns::of(blobs);
    query(sql).user(key).bind(ids).bind(types).bind(tokens).bind(payloads).bind(times).execute(conn).await?;
    Ok(())
}
