//! Appends, each in one round trip.

use memory::blob::NewBlob;
use memory::ids::Owner;
use memory::ports::Append;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, query_as};

use super::entries::LevelRow;
use crate::store::postgres::DatabaseError;
use crate::store::postgres::rows::{About, number, text};

/// Appends the blob `$4` of the type `$5` with `$6` tokens and the payload `$7`, unless it is known; the clock is `$8`
/// microseconds ahead. Returns a row with its number and the level of its buffer, or none when the owner is gone.
///
/// A statement sees the tables as they were when it began, except for the rows that it locks. So what others may change
/// meanwhile stands in those: `locked` (or `fresh`, for the first append of an owner) waits for steps of the same owner
/// and then tells whether it was purged, and `buffer` counts on from the present level. A blob that another append
/// has brought meanwhile is not `known`, and breaks the key of the entries: the statement is to be tried again then.
const APPEND: &str = "WITH locked AS MATERIALIZED (
        SELECT gone FROM journal_owners
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 FOR UPDATE
    ), fresh AS (
        INSERT INTO journal_owners (project_id, user_id, incarnation)
        SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM locked) AND NOT EXISTS (SELECT FROM tombstones
            WHERE project_id = $1 AND user_id = $2 AND incarnation = $3)
        ON CONFLICT (project_id, user_id, incarnation) DO UPDATE SET gone = journal_owners.gone
        RETURNING gone
    ), owner AS MATERIALIZED (
        SELECT FROM (SELECT gone FROM locked UNION ALL SELECT gone FROM fresh) AS o
        WHERE NOT gone AND NOT EXISTS (SELECT FROM tombstones
            WHERE project_id = $1 AND user_id = $2 AND incarnation = $3)
    ), known AS MATERIALIZED (
        SELECT seq, blob_type FROM journal_entries
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND blob_id = $4
    ), clock AS MATERIALIZED (
        SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $8 AS now
    ), buffer AS (
        INSERT INTO journal_buffers AS b (project_id, user_id, incarnation, blob_type, last_seq, blobs, tokens,
            oldest_at)
        SELECT $1, $2, $3, $5, 1, 1, $6, clock.now FROM owner, clock WHERE NOT EXISTS (SELECT FROM known)
        ON CONFLICT (project_id, user_id, incarnation, blob_type) DO UPDATE SET last_seq = b.last_seq + 1,
            blobs = b.blobs + 1, tokens = b.tokens + excluded.tokens,
            oldest_at = coalesce(b.oldest_at, excluded.oldest_at)
        RETURNING last_seq, blobs, tokens
    ), entry AS (
        INSERT INTO journal_entries (project_id, user_id, incarnation, blob_id, blob_type, seq, tokens, appended_at,
            payload)
        SELECT $1, $2, $3, $4, $5, buffer.last_seq, $6, clock.now, $7 FROM buffer, clock
    )
    SELECT last_seq AS seq, last_seq, blobs, tokens FROM buffer
    UNION ALL
    SELECT k.seq, coalesce(b.last_seq, 0), coalesce(b.blobs, 0), coalesce(b.tokens, 0)
    FROM owner CROSS JOIN known AS k LEFT JOIN journal_buffers AS b
        ON b.project_id = $1 AND b.user_id = $2 AND b.incarnation = $3 AND b.blob_type = k.blob_type";

struct AppendRow(Append);

impl<'r> FromRow<'r, PgRow> for AppendRow {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self(Append { seq: number(row, "seq")?, level: LevelRow::from_row(row)?.0 }))
    }
}

/// None when the owner is gone.
pub(super) async fn append(
    conn: &mut PgConnection,
    owner: &Owner,
    blob: &NewBlob,
    ahead: i64,
) -> Result<Option<Append>, DatabaseError> {
    let append = query_as(APPEND).owner(owner).bind(blob.id.0).bind(blob.blob_type.as_str());
    let append = append.bind(i64::from(blob.tokens)).bind(text(&blob.payload)).bind(ahead);
    let appended: sqlx::Result<Option<AppendRow>> = append.fetch_optional(conn).await;
    match appended {
        Ok(row) => Ok(row.map(|row| row.0)),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Err(DatabaseError::Contended),
        Err(error) => Err(error.into()),
    }
}
