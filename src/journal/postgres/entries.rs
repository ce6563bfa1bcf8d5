//! Owners, blobs that wait or are sealed, and the levels of their buffers.

use memory::blob::BlobType;
use memory::ids::{BlobId, FlushId, Owner};
use memory::ports::{Entry, Level, Removed, Standing};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row, query, query_as, query_scalar};
use uuid::Uuid;

use crate::store::postgres::DatabaseError;
use crate::store::postgres::rows::{About, blob_type, new_blob, number, time_column};

/// Takes blobs out of a level: `$5` of them with `$6` tokens. To be called when their entries wait no more.
const LOWER: &str = "UPDATE journal_buffers SET blobs = blobs - $5, tokens = tokens - $6, oldest_at = (
        SELECT appended_at FROM journal_entries AS e
        WHERE e.project_id = $1 AND e.user_id = $2 AND e.incarnation = $3 AND e.blob_type = $4 AND e.flush_id IS NULL
        ORDER BY seq LIMIT 1)
    WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND blob_type = $4
    RETURNING last_seq, blobs, tokens";

const WAITING_IDS: &str = "SELECT blob_id FROM journal_entries
    WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND blob_type = $4 AND flush_id IS NULL
    ORDER BY seq";
const SEALED_IDS: &str = "SELECT blob_id FROM journal_entries
    WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND blob_type = $4 AND flush_id IS NOT NULL
    ORDER BY seq";

/// A [`Level`] from the columns of its row.
pub(super) struct LevelRow(pub(super) Level);

impl<'r> FromRow<'r, PgRow> for LevelRow {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let [last_seq, blobs, tokens] = ["last_seq", "blobs", "tokens"].map(|name| number(row, name));
        Ok(Self(Level { last_seq: last_seq?, blobs: blobs?, tokens: tokens? }))
    }
}

/// An [`Entry`] as a row of its table.
pub(super) struct EntryRow(pub(super) Entry);

impl<'r> FromRow<'r, PgRow> for EntryRow {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let (seq, appended_at) = (number(row, "seq")?, time_column(row, "appended_at")?);
        Ok(Self(Entry { seq, appended_at, blob: new_blob(row)? }))
    }
}

/// Locks an owner until the end of the transaction: steps of one owner come one after the other, and what they read
/// afterwards is the present state. False when nothing is held of it, nor ever was.
pub(super) async fn lock(conn: &mut PgConnection, owner: &Owner) -> Result<bool, DatabaseError> {
    let sql = "SELECT FROM journal_owners WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 FOR UPDATE";
    Ok(query(sql).owner(owner).fetch_optional(conn).await?.is_some())
}

/// Locks an owner that may be new. False when it is gone.
pub(super) async fn admit(conn: &mut PgConnection, owner: &Owner) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO journal_owners AS o (project_id, user_id, incarnation) VALUES ($1, $2, $3)
        ON CONFLICT (project_id, user_id, incarnation) DO UPDATE SET gone = o.gone RETURNING gone";
    let gone: bool = query_scalar(sql).owner(owner).fetch_one(&mut *conn).await?;
    let sql = "SELECT EXISTS (SELECT FROM tombstones WHERE project_id = $1 AND user_id = $2 AND incarnation = $3)";
    let buried: bool = query_scalar(sql).owner(owner).fetch_one(conn).await?;
    Ok(!gone && !buried)
}

pub(super) async fn levels(conn: &mut PgConnection, owner: &Owner) -> Result<Vec<(BlobType, Level)>, DatabaseError> {
    let sql = "SELECT blob_type, last_seq, blobs, tokens FROM journal_buffers
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3";
    let rows = query(sql).owner(owner).fetch_all(conn).await?;
    let level = |row: &PgRow| Ok((blob_type(row.try_get("blob_type")?)?, LevelRow::from_row(row)?.0));
    Ok(rows.iter().map(level).collect::<sqlx::Result<_>>()?)
}

pub(super) async fn level(conn: &mut PgConnection, owner: &Owner, blob_type: BlobType) -> Result<Level, DatabaseError> {
    let sql = "SELECT last_seq, blobs, tokens FROM journal_buffers
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND blob_type = $4";
    let row: Option<LevelRow> = query_as(sql).owner(owner).bind(blob_type.as_str()).fetch_optional(conn).await?;
    Ok(row.map(|row| row.0).unwrap_or_default())
}

/// See [`LOWER`].
pub(super) async fn lower(
    conn: &mut PgConnection,
    owner: &Owner,
    blob_type: BlobType,
    blobs: i64,
    tokens: i64,
) -> Result<Level, DatabaseError> {
    let lower = query_as(LOWER).owner(owner).bind(blob_type.as_str()).bind(blobs).bind(tokens);
    let row: LevelRow = lower.fetch_one(conn).await?;
    Ok(row.0)
}

pub(super) async fn ids(
    conn: &mut PgConnection,
    owner: &Owner,
    blob_type: BlobType,
    standing: Standing,
) -> Result<Vec<BlobId>, DatabaseError> {
    let sql = match standing {
        Standing::Waiting => WAITING_IDS,
        Standing::Sealed => SEALED_IDS,
    };
    let ids: Vec<Uuid> = query_scalar(sql).owner(owner).bind(blob_type.as_str()).fetch_all(conn).await?;
    Ok(ids.into_iter().map(BlobId).collect())
}

pub(super) async fn read(
    conn: &mut PgConnection,
    owner: &Owner,
    blob_id: BlobId,
) -> Result<Option<Entry>, DatabaseError> {
    let sql = "SELECT seq, appended_at, blob_id, blob_type, tokens, payload FROM journal_entries
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND blob_id = $4";
    let row: Option<EntryRow> = query_as(sql).owner(owner).bind(blob_id.0).fetch_optional(conn).await?;
    Ok(row.map(|row| row.0))
}

pub(super) async fn remove(conn: &mut PgConnection, owner: &Owner, blob_id: BlobId) -> Result<Removed, DatabaseError> {
    if !lock(conn, owner).await? {
        return Ok(Removed::Unknown);
    }
    let sql = "SELECT blob_type, tokens, flush_id FROM journal_entries
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND blob_id = $4";
    let select = query_as(sql).owner(owner).bind(blob_id.0);
    let row: Option<(String, i64, Option<Uuid>)> = select.fetch_optional(&mut *conn).await?;
    let Some((kind, tokens, flush_id)) = row else { return Ok(Removed::Unknown) };
    if let Some(flush_id) = flush_id {
        return Ok(Removed::Sealed(FlushId(flush_id)));
    }
    let sql = "DELETE FROM journal_entries
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND blob_id = $4";
    query(sql).owner(owner).bind(blob_id.0).execute(&mut *conn).await?;
    let kind = blob_type(&kind)?;
    Ok(Removed::Waiting(kind, lower(conn, owner, kind, 1, tokens).await?))
}

/// Removes all that is held of an owner. It is locked.
pub(super) async fn clear(conn: &mut PgConnection, owner: &Owner) -> Result<(), DatabaseError> {
    for sql in [
        "DELETE FROM journal_entries WHERE project_id = $1 AND user_id = $2 AND incarnation = $3",
        "DELETE FROM journal_batches WHERE project_id = $1 AND user_id = $2 AND incarnation = $3",
        "DELETE FROM journal_buffers WHERE project_id = $1 AND user_id = $2 AND incarnation = $3",
    ] {
        query(sql).owner(owner).execute(&mut *conn).await?;
    }
    Ok(())
}

/// A tombstone that is not there yet is made without a purge order: this is the purge.
pub(super) async fn purge(conn: &mut PgConnection, owner: &Owner, ahead: i64) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO tombstones (project_id, user_id, incarnation, deleted_at, purged_at)
        SELECT $1, $2, $3, clock.now, clock.now
        FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $4 AS now) AS clock
        ON CONFLICT DO NOTHING";
    query(sql).owner(owner).bind(ahead).execute(&mut *conn).await?;
    // An append that began before finds the mark when it gets the lock.
    let sql = "INSERT INTO journal_owners (project_id, user_id, incarnation, gone) VALUES ($1, $2, $3, TRUE)
        ON CONFLICT (project_id, user_id, incarnation) DO UPDATE SET gone = TRUE";
    query(sql).owner(owner).execute(&mut *conn).await?;
    clear(conn, owner).await
}
