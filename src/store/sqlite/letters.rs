//! Dead letters.

use jiff::Timestamp;
use memory::blob::BlobType;
use memory::ids::{BlobId, FlushId, ProjectId, UserId, UserKey};
use memory::ports::{DeadLetter, DeadLetterHead, Page, StoredBlob};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::error::DatabaseError;
use super::flushes::{APPLIED, found, ids_json};
use super::rows::{BlobRow, blob_type, blobs_json, micros, time_column, timestamp, to_json};

/// Letters of a project, newest first. The blobs of a letter are of one type.
pub(super) const OF_PROJECT: &str =
    "SELECT l.user_id, l.flush_id, l.reason, l.created_at, min(b.blob_type) AS blob_type,
        count(*) AS blobs, sum(b.tokens) AS tokens
    FROM (SELECT * FROM dead_letters WHERE project_id = ?1
        ORDER BY created_at DESC, flush_id DESC LIMIT ?2 OFFSET ?3) AS l
    JOIN dead_letter_blobs AS b USING (project_id, user_id, flush_id)
    GROUP BY l.user_id, l.flush_id ORDER BY l.created_at DESC, l.flush_id DESC";
/// As [`OF_PROJECT`], of one user.
pub(super) const OF_USER: &str = "SELECT l.user_id, l.flush_id, l.reason, l.created_at, min(b.blob_type) AS blob_type,
        count(*) AS blobs, sum(b.tokens) AS tokens
    FROM (SELECT * FROM dead_letters WHERE project_id = ?1 AND user_id = ?4
        ORDER BY created_at DESC, flush_id DESC LIMIT ?2 OFFSET ?3) AS l
    JOIN dead_letter_blobs AS b USING (project_id, user_id, flush_id)
    GROUP BY l.user_id, l.flush_id ORDER BY l.created_at DESC, l.flush_id DESC";
/// Letters of a user that have no blobs.
const EMPTY: &str = "DELETE FROM dead_letters WHERE project_id = ?1 AND user_id = ?2 AND NOT EXISTS (
        SELECT 1 FROM dead_letter_blobs AS b
        WHERE b.project_id = dead_letters.project_id AND b.user_id = dead_letters.user_id
            AND b.flush_id = dead_letters.flush_id)";

struct HeadRow(DeadLetterHead);

impl<'r> FromRow<'r, SqliteRow> for HeadRow {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        let count = |name| Ok::<_, sqlx::Error>(u64::try_from(row.try_get::<i64, _>(name)?).unwrap_or_default());
        Ok(Self(DeadLetterHead {
            user: UserId(row.try_get("user_id")?),
            flush_id: FlushId(row.try_get("flush_id")?),
            blob_type: blob_type(row.try_get("blob_type")?)?,
            reason: row.try_get("reason")?,
            blobs: count("blobs")?,
            tokens: count("tokens")?,
            created_at: time_column(row, "created_at")?,
        }))
    }
}

pub(super) async fn list(
    conn: &mut SqliteConnection,
    project: &ProjectId,
    user: Option<UserId>,
    page: Page,
) -> Result<Vec<DeadLetterHead>, DatabaseError> {
    let [limit, offset] = [page.limit, page.offset].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    let select = query_as(if user.is_some() { OF_USER } else { OF_PROJECT }).bind(project.as_str().to_owned());
    let select = select.bind(limit).bind(offset);
    let select = if let Some(user) = user { select.bind(user.0) } else { select };
    let rows: Vec<HeadRow> = select.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

pub(super) async fn read(
    conn: &mut SqliteConnection,
    key: &UserKey,
    flush_id: FlushId,
) -> Result<Option<(Timestamp, DeadLetter)>, DatabaseError> {
    let sql = "SELECT reason, created_at FROM dead_letters WHERE project_id = ?1 AND user_id = ?2 AND flush_id = ?3";
    let select = query_as(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(flush_id.0);
    let row: Option<(String, i64)> = select.fetch_optional(&mut *conn).await?;
    let Some((reason, created_at)) = row else { return Ok(None) };
    let sql = "SELECT blob_id, blob_type, tokens, payload, created_at FROM dead_letter_blobs
        WHERE project_id = ?1 AND user_id = ?2 AND flush_id = ?3 ORDER BY position";
    let select = query_as(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(flush_id.0);
    let rows: Vec<BlobRow> = select.fetch_all(conn).await?;
    let letter = DeadLetter { reason, blobs: rows.into_iter().map(|row| row.0).collect() };
    Ok(Some((timestamp(created_at)?, letter)))
}

/// A blob that is in a letter.
pub(super) async fn blob(
    conn: &mut SqliteConnection,
    key: &UserKey,
    id: BlobId,
) -> Result<Option<StoredBlob>, DatabaseError> {
    let sql = "SELECT blob_id, blob_type, tokens, payload, created_at FROM dead_letter_blobs
        WHERE project_id = ?1 AND user_id = ?2 AND blob_id = ?3";
    let select = query_as(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(id.0);
    let row: Option<BlobRow> = select.fetch_optional(conn).await?;
    Ok(row.map(|row| row.0))
}

/// The ids of all blobs of one type that are in letters.
pub(super) async fn blob_ids(
    conn: &mut SqliteConnection,
    key: &UserKey,
    blob_type: BlobType,
) -> Result<Vec<BlobId>, DatabaseError> {
    let sql = "SELECT blob_id FROM dead_letter_blobs WHERE project_id = ?1 AND user_id = ?2 AND blob_type = ?3
        ORDER BY flush_id, position";
    let select = query_scalar(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(blob_type.as_str());
    let ids: Vec<Uuid> = select.fetch_all(conn).await?;
    Ok(ids.into_iter().map(BlobId).collect())
}

/// Stores what of a letter has not taken effect; nothing if that is nothing.
pub(super) async fn bury(
    conn: &mut SqliteConnection,
    key: &UserKey,
    flush_id: FlushId,
    letter: &DeadLetter,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let ids: Vec<BlobId> = letter.blobs.iter().map(|stored| stored.blob.id).collect();
    let applied = found(conn, key, APPLIED, &ids).await?;
    let blobs: Vec<StoredBlob> = letter.blobs.iter().filter(|s| !applied.contains(&s.blob.id)).cloned().collect();
    if blobs.is_empty() {
        return Ok(());
    }
    exhume(conn, key, &ids).await?;
    let sql = "INSERT INTO dead_letters (project_id, user_id, flush_id, reason, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    let insert = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(flush_id.0);
    insert.bind(letter.reason.clone()).bind(micros(now)).execute(&mut *conn).await?;
    let sql = "INSERT INTO dead_letter_blobs (project_id, user_id, flush_id, position, blob_id, blob_type, tokens,
            payload, created_at)
        SELECT ?1, ?2, ?3, key, unhex(value ->> '$.id'), value ->> '$.type', value ->> '$.tokens',
            value ->> '$.payload', value ->> '$.at'
        FROM json_each(?4)";
    let insert = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(flush_id.0);
    insert.bind(to_json(&blobs_json(&blobs))?).execute(conn).await?;
    Ok(())
}

/// Takes blobs out of their letters; letters that are empty then go.
pub(super) async fn exhume(conn: &mut SqliteConnection, key: &UserKey, ids: &[BlobId]) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM dead_letter_blobs WHERE project_id = ?1 AND user_id = ?2
        AND blob_id IN (SELECT unhex(value) FROM json_each(?3))";
    let delete = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(ids_json(ids)?);
    if delete.execute(&mut *conn).await?.rows_affected() > 0 {
        query(EMPTY).bind(key.project.as_str().to_owned()).bind(key.user.0).execute(conn).await?;
    }
    Ok(())
}

/// Takes one blob out of its letter, for good. False when it is in none.
pub(super) async fn remove(
    conn: &mut SqliteConnection,
    key: &UserKey,
    id: BlobId,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO applied_blobs (project_id, user_id, blob_id, flush_id, applied_at)
        SELECT project_id, user_id, blob_id, flush_id, ?4 FROM dead_letter_blobs
        WHERE project_id = ?1 AND user_id = ?2 AND blob_id = ?3 ON CONFLICT DO NOTHING";
    let insert = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(id.0).bind(micros(now));
    let known = insert.execute(&mut *conn).await?.rows_affected() == 1;
    if known {
        exhume(conn, key, &[id]).await?;
    }
    Ok(known)
}

/// Drops a letter with its blobs, for good. False when there is none.
pub(super) async fn drop_letter(
    conn: &mut SqliteConnection,
    key: &UserKey,
    flush_id: FlushId,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO applied_blobs (project_id, user_id, blob_id, flush_id, applied_at)
        SELECT project_id, user_id, blob_id, flush_id, ?4 FROM dead_letter_blobs
        WHERE project_id = ?1 AND user_id = ?2 AND flush_id = ?3 ON CONFLICT DO NOTHING";
    let insert = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(flush_id.0);
    insert.bind(micros(now)).execute(&mut *conn).await?;
    let sql = "DELETE FROM dead_letters WHERE project_id = ?1 AND user_id = ?2 AND flush_id = ?3";
    let delete = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(flush_id.0);
    Ok(delete.execute(conn).await?.rows_affected() == 1)
}
