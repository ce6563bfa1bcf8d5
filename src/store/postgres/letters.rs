//! Dead letters: flushes that failed for good, with their blobs.

use jiff::Timestamp;
use memory::blob::BlobType;
use memory::ids::{BlobId, FlushId, ProjectId, UserId, UserKey};
use memory::ports::{DeadLetter, DeadLetterHead, Page, StoredBlob};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row, query, query_as, query_scalar};
use uuid::Uuid;

use super::blobs::limits;
use super::error::DatabaseError;
use super::rows::{About, BlobColumns, BlobRow, blob_type, lock, micros, number, text, time_column, timestamp, uuids};

/// The newest letters of a project.
const OF_PROJECT: &str = "SELECT l.user_id, l.flush_id, l.reason, l.created_at, b.*
    FROM (SELECT * FROM dead_letters WHERE project_id = $1
        ORDER BY created_at DESC, flush_id DESC LIMIT $2 OFFSET $3) AS l
    CROSS JOIN LATERAL (SELECT count(*) AS blobs, coalesce(sum(b.tokens), 0)::bigint AS tokens,
            (array_agg(b.blob_type ORDER BY b.position))[1] AS blob_type
        FROM dead_letter_blobs AS b
        WHERE b.project_id = l.project_id AND b.user_id = l.user_id AND b.flush_id = l.flush_id) AS b
    ORDER BY l.created_at DESC, l.flush_id DESC";

/// The newest letters of a user.
const OF_USER: &str = "SELECT l.user_id, l.flush_id, l.reason, l.created_at, b.*
    FROM (SELECT * FROM dead_letters WHERE project_id = $1 AND user_id = $4
        ORDER BY created_at DESC, flush_id DESC LIMIT $2 OFFSET $3) AS l
    CROSS JOIN LATERAL (SELECT count(*) AS blobs, coalesce(sum(b.tokens), 0)::bigint AS tokens,
            (array_agg(b.blob_type ORDER BY b.position))[1] AS blob_type
        FROM dead_letter_blobs AS b
        WHERE b.project_id = l.project_id AND b.user_id = l.user_id AND b.flush_id = l.flush_id) AS b
    ORDER BY l.created_at DESC, l.flush_id DESC";

struct HeadRow(DeadLetterHead);

impl<'r> FromRow<'r, PgRow> for HeadRow {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self(DeadLetterHead {
            user: UserId(row.try_get("user_id")?),
            flush_id: FlushId(row.try_get("flush_id")?),
            blob_type: blob_type(row.try_get("blob_type")?)?,
            reason: row.try_get("reason")?,
            blobs: number(row, "blobs")?,
            tokens: number(row, "tokens")?,
            created_at: time_column(row, "created_at")?,
        }))
    }
}

pub(super) async fn list(
    conn: &mut PgConnection,
    project: &ProjectId,
    user: Option<UserId>,
    page: Page,
) -> Result<Vec<DeadLetterHead>, DatabaseError> {
    let [limit, offset] = limits(page);
    let select = query_as(if user.is_some() { OF_USER } else { OF_PROJECT });
    let select = select.bind(project.as_str()).bind(limit).bind(offset);
    let select = match user {
        Some(user) => select.bind(user.0),
        None => select,
    };
    let rows: Vec<HeadRow> = select.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// One statement, so that the letter is as it was at one instant. A letter is never without blobs.
pub(super) async fn read(
    conn: &mut PgConnection,
    key: &UserKey,
    flush_id: FlushId,
) -> Result<Option<(Timestamp, DeadLetter)>, DatabaseError> {
    let sql = "SELECT l.reason, l.created_at AS died_at, b.blob_id, b.blob_type, b.tokens, b.payload, b.created_at
        FROM dead_letters AS l JOIN dead_letter_blobs AS b
            ON b.project_id = l.project_id AND b.user_id = l.user_id AND b.flush_id = l.flush_id
        WHERE l.project_id = $1 AND l.user_id = $2 AND l.flush_id = $3 ORDER BY b.position";
    let rows = query(sql).user(key).bind(flush_id.0).fetch_all(conn).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let reason = first.try_get("reason")?;
    let blobs = rows.iter().map(|row| Ok(BlobRow::from_row(row)?.0)).collect::<sqlx::Result<_>>()?;
    Ok(Some((timestamp(first.try_get("died_at")?)?, DeadLetter { reason, blobs })))
}

/// Stores a letter with those of its blobs that have not taken effect; nothing if that is none. They leave the letters
/// that they were in. The user is locked.
pub(super) async fn bury(
    conn: &mut PgConnection,
    key: &UserKey,
    flush_id: FlushId,
    letter: &DeadLetter,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let ids: Vec<BlobId> = letter.blobs.iter().map(|stored| stored.blob.id).collect();
    let sql = "SELECT blob_id FROM applied_blobs
        WHERE project_id = $1 AND user_id = $2 AND blob_id = ANY($3::uuid[])";
    let applied: Vec<Uuid> = query_scalar(sql).user(key).bind(uuids(&ids)).fetch_all(&mut *conn).await?;
    let blobs: Vec<&StoredBlob> = letter.blobs.iter().filter(|s| !applied.contains(&s.blob.id.0)).collect();
    if blobs.is_empty() {
        return Ok(());
    }
    exhume(conn, key, &ids).await?;
    let sql = "WITH letter AS (
            INSERT INTO dead_letters (project_id, user_id, flush_id, reason, created_at) VALUES ($1, $2, $3, $4, $5)
        )
        INSERT INTO dead_letter_blobs (project_id, user_id, flush_id, position, blob_id, blob_type, tokens, payload,
            created_at)
        SELECT $1, $2, $3, b.number - 1, b.blob_id, b.blob_type, b.tokens, b.payload, b.created_at
        FROM unnest($6::uuid[], $7::text[], $8::bigint[], $9::text[], $10::bigint[])
            WITH ORDINALITY AS b (blob_id, blob_type, tokens, payload, created_at, number)";
    let insert = query(sql).user(key).bind(flush_id.0).bind(text(&letter.reason)).bind(micros(now));
    let BlobColumns { ids, types, tokens, payloads, times } = BlobColumns::of(blobs);
    insert.bind(ids).bind(types).bind(tokens).bind(payloads).bind(times).execute(&mut *conn).await?;
    // Nothing changes in it, but a commit of these blobs that has begun already finds that the row was written.
    let sql = "UPDATE users SET revision = revision WHERE project_id = $1 AND user_id = $2";
    query(sql).user(key).execute(conn).await?;
    Ok(())
}

/// Takes blobs out of their letters; letters that are left without any go. The user is locked.
pub(super) async fn exhume(conn: &mut PgConnection, key: &UserKey, ids: &[BlobId]) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM dead_letter_blobs
        WHERE project_id = $1 AND user_id = $2 AND blob_id = ANY($3::uuid[]) RETURNING flush_id";
    let letters: Vec<Uuid> = query_scalar(sql).user(key).bind(uuids(ids)).fetch_all(&mut *conn).await?;
    drop_empty(conn, key, &letters).await
}

async fn drop_empty(conn: &mut PgConnection, key: &UserKey, letters: &[Uuid]) -> Result<(), DatabaseError> {
    if letters.is_empty() {
        return Ok(());
    }
    let sql = "DELETE FROM dead_letters AS l
        WHERE l.project_id = $1 AND l.user_id = $2 AND l.flush_id = ANY($3::uuid[])
            AND NOT EXISTS (SELECT FROM dead_letter_blobs AS b
                WHERE b.project_id = $1 AND b.user_id = $2 AND b.flush_id = l.flush_id)";
    query(sql).user(key).bind(letters).execute(conn).await?;
    Ok(())
}

/// Takes a blob out of its letter for good. False when it is in none. The user is locked.
pub(super) async fn drop_blob(
    conn: &mut PgConnection,
    key: &UserKey,
    id: BlobId,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "WITH dropped AS (
            DELETE FROM dead_letter_blobs WHERE project_id = $1 AND user_id = $2 AND blob_id = $3
            RETURNING blob_id, flush_id
        ), applied AS (
            INSERT INTO applied_blobs (project_id, user_id, blob_id, flush_id, applied_at)
            SELECT $1, $2, blob_id, flush_id, $4 FROM dropped ON CONFLICT DO NOTHING
        )
        SELECT flush_id FROM dropped";
    let letters: Vec<Uuid> = query_scalar(sql).user(key).bind(id.0).bind(micros(now)).fetch_all(&mut *conn).await?;
    drop_empty(conn, key, &letters).await?;
    Ok(!letters.is_empty())
}

/// Drops a letter with its blobs for good.
pub(super) async fn drop_letter(
    conn: &mut PgConnection,
    key: &UserKey,
    flush_id: FlushId,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    if lock(conn, key).await?.is_none() {
        return Ok(false);
    }
    let sql = "INSERT INTO applied_blobs (project_id, user_id, blob_id, flush_id, applied_at)
        SELECT project_id, user_id, blob_id, flush_id, $4 FROM dead_letter_blobs
        WHERE project_id = $1 AND user_id = $2 AND flush_id = $3 ON CONFLICT DO NOTHING";
    query(sql).user(key).bind(flush_id.0).bind(micros(now)).execute(&mut *conn).await?;
    let sql = "DELETE FROM dead_letters WHERE project_id = $1 AND user_id = $2 AND flush_id = $3";
    Ok(query(sql).user(key).bind(flush_id.0).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn blob_ids(
    conn: &mut PgConnection,
    key: &UserKey,
    blob_type: BlobType,
) -> Result<Vec<BlobId>, DatabaseError> {
    let sql = "SELECT blob_id FROM dead_letter_blobs WHERE project_id = $1 AND user_id = $2 AND blob_type = $3
        ORDER BY flush_id, position";
    let ids: Vec<Uuid> = query_scalar(sql).user(key).bind(blob_type.as_str()).fetch_all(conn).await?;
    Ok(ids.into_iter().map(BlobId).collect())
}
