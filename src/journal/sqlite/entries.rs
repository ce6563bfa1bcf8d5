//! Blobs that wait or are sealed, and the levels of their buffers.

use memory::blob::BlobType;
use memory::ids::{BlobId, FlushId, Owner};
use memory::ports::{Entry, Level, Removed, Standing};
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{FromRow, Row, Sqlite, SqliteConnection, query, query_as, query_scalar};
use uuid::Uuid;

use crate::store::sqlite::DatabaseError;
use crate::store::sqlite::rows::{blob_type, new_blob, time_column};

const LEVEL: &str = "SELECT last_seq, blobs, tokens FROM journal_buffers
    WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND blob_type = ?4";

/// Takes blobs out of a level: `?5` of them with `?6` tokens. To be called when their entries wait no more.
const LOWER: &str = "UPDATE journal_buffers SET blobs = blobs - ?5, tokens = tokens - ?6, oldest_at = (
        SELECT appended_at FROM journal_entries AS e
        WHERE e.project_id = ?1 AND e.user_id = ?2 AND e.incarnation = ?3 AND e.blob_type = ?4 AND e.flush_id IS NULL
        ORDER BY seq LIMIT 1)
    WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND blob_type = ?4
    RETURNING last_seq, blobs, tokens";

/// A statement whose first three parameters are the owner's.
pub(super) trait OfOwner {
    /// Binds project, user and incarnation.
    fn of(self, owner: &Owner) -> Self;
}

impl OfOwner for Query<'_, Sqlite, SqliteArguments> {
    fn of(self, owner: &Owner) -> Self {
        self.bind(owner.key.project.as_str().to_owned()).bind(owner.key.user.0).bind(owner.incarnation.0)
    }
}

impl<T> OfOwner for QueryAs<'_, Sqlite, T, SqliteArguments> {
    fn of(self, owner: &Owner) -> Self {
        self.bind(owner.key.project.as_str().to_owned()).bind(owner.key.user.0).bind(owner.incarnation.0)
    }
}

impl<T> OfOwner for QueryScalar<'_, Sqlite, T, SqliteArguments> {
    fn of(self, owner: &Owner) -> Self {
        self.bind(owner.key.project.as_str().to_owned()).bind(owner.key.user.0).bind(owner.incarnation.0)
    }
}

/// A [`Level`] from the columns of its row. The checks of the table keep them from being negative.
struct LevelRow(Level);

impl<'r> FromRow<'r, SqliteRow> for LevelRow {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        let [last_seq, blobs, tokens] = ["last_seq", "blobs", "tokens"].map(|name| row.try_get::<i64, _>(name));
        Ok(Self(Level { last_seq: count(last_seq?), blobs: count(blobs?), tokens: count(tokens?) }))
    }
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// An [`Entry`] as a row of its table.
pub(super) struct EntryRow(pub(super) Entry);

impl<'r> FromRow<'r, SqliteRow> for EntryRow {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        let seq = count(row.try_get("seq")?);
        Ok(Self(Entry { seq, appended_at: time_column(row, "appended_at")?, blob: new_blob(row)? }))
    }
}

pub(super) async fn levels(
    conn: &mut SqliteConnection,
    owner: &Owner,
) -> Result<Vec<(BlobType, Level)>, DatabaseError> {
    let sql = "SELECT blob_type, last_seq, blobs, tokens FROM journal_buffers
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3";
    let rows = query(sql).of(owner).fetch_all(conn).await?;
    let level = |row: &SqliteRow| Ok((blob_type(row.try_get("blob_type")?)?, LevelRow::from_row(row)?.0));
    Ok(rows.iter().map(level).collect::<sqlx::Result<_>>()?)
}

pub(super) async fn level(
    conn: &mut SqliteConnection,
    owner: &Owner,
    blob_type: BlobType,
) -> Result<Level, DatabaseError> {
    let row: Option<LevelRow> = query_as(LEVEL).of(owner).bind(blob_type.as_str()).fetch_optional(conn).await?;
    Ok(row.map(|row| row.0).unwrap_or_default())
}

/// See [`LOWER`].
pub(super) async fn lower(
    conn: &mut SqliteConnection,
    owner: &Owner,
    blob_type: BlobType,
    blobs: i64,
    tokens: i64,
) -> Result<Level, DatabaseError> {
    let lower = query_as(LOWER).of(owner).bind(blob_type.as_str()).bind(blobs).bind(tokens);
    let row: LevelRow = lower.fetch_one(conn).await?;
    Ok(row.0)
}

pub(super) async fn ids(
    conn: &mut SqliteConnection,
    owner: &Owner,
    blob_type: BlobType,
    standing: Standing,
) -> Result<Vec<BlobId>, DatabaseError> {
    let sql = match standing {
        Standing::Waiting => {
            "SELECT blob_id FROM journal_entries
            WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND blob_type = ?4 AND flush_id IS NULL
            ORDER BY seq"
        }
        Standing::Sealed => {
            "SELECT blob_id FROM journal_entries
            WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND blob_type = ?4 AND flush_id IS NOT NULL
            ORDER BY seq"
        }
    };
    let ids: Vec<Uuid> = query_scalar(sql).of(owner).bind(blob_type.as_str()).fetch_all(conn).await?;
    Ok(ids.into_iter().map(BlobId).collect())
}

pub(super) async fn read(
    conn: &mut SqliteConnection,
    owner: &Owner,
    blob_id: BlobId,
) -> Result<Option<Entry>, DatabaseError> {
    let sql = "SELECT seq, appended_at, blob_id, blob_type, tokens, payload FROM journal_entries
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND blob_id = ?4";
    let row: Option<EntryRow> = query_as(sql).of(owner).bind(blob_id.0).fetch_optional(conn).await?;
    Ok(row.map(|row| row.0))
}

pub(super) async fn remove(
    conn: &mut SqliteConnection,
    owner: &Owner,
    blob_id: BlobId,
) -> Result<Removed, DatabaseError> {
    let sql = "SELECT blob_type, tokens, flush_id FROM journal_entries
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND blob_id = ?4";
    let select = query_as(sql).of(owner).bind(blob_id.0);
    let row: Option<(String, i64, Option<Uuid>)> = select.fetch_optional(&mut *conn).await?;
    let Some((kind, tokens, flush_id)) = row else { return Ok(Removed::Unknown) };
    if let Some(flush_id) = flush_id {
        return Ok(Removed::Sealed(FlushId(flush_id)));
    }
    let sql = "DELETE FROM journal_entries
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND blob_id = ?4";
    query(sql).of(owner).bind(blob_id.0).execute(&mut *conn).await?;
    let kind = blob_type(&kind)?;
    Ok(Removed::Waiting(kind, lower(conn, owner, kind, 1, tokens).await?))
}

/// Removes all that is held of an owner.
pub(super) async fn clear(conn: &mut SqliteConnection, owner: &Owner) -> Result<(), DatabaseError> {
    for sql in [
        "DELETE FROM journal_entries WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3",
        "DELETE FROM journal_batches WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3",
        "DELETE FROM journal_buffers WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3",
    ] {
        query(sql).of(owner).execute(&mut *conn).await?;
    }
    Ok(())
}

/// A tombstone that is not there yet is made without a purge order: this is the purge.
pub(super) async fn purge(conn: &mut SqliteConnection, owner: &Owner, now: i64) -> Result<(), DatabaseError> {
    clear(conn, owner).await?;
    let sql = "INSERT INTO tombstones (project_id, user_id, incarnation, deleted_at, purged_at)
        VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT DO NOTHING";
    query(sql).of(owner).bind(now).execute(conn).await?;
    Ok(())
}
