//! What is to be done, and since when.

use jiff::Timestamp;
use memory::ports::Due;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row, query_as, query_scalar};

use super::batches::now;
use crate::store::postgres::DatabaseError;
use crate::store::postgres::rows::{blob_type, micros, timestamp};
use crate::store::postgres::users::OwnerRow;

/// `$1` is now, `$2` the age, `$3` from when on, `$4` that less the age, `$5` the limit. What has been due for longest
/// comes first. The open batch is looked up buffer by buffer: as a join, the planner might read all of them.
const DUE: &str = "SELECT * FROM (
        (SELECT b.project_id, b.user_id, b.incarnation, b.blob_type, b.oldest_at + $2 AS due_at
            FROM journal_buffers AS b
            WHERE b.oldest_at <= $1 - $2 AND b.oldest_at >= $4 AND (
                SELECT open.flush_id FROM journal_batches AS open
                WHERE open.project_id = b.project_id AND open.user_id = b.user_id
                    AND open.incarnation = b.incarnation) IS NULL
            ORDER BY b.oldest_at LIMIT $5)
        UNION ALL
        (SELECT project_id, user_id, incarnation, blob_type, ready_at AS due_at
            FROM journal_batches WHERE ready_at <= $1 AND ready_at >= $3 ORDER BY ready_at LIMIT $5)
    ) AS due ORDER BY due_at LIMIT $5";

/// How much is due since one instant exactly: `$1` is the instant, `$2` that less the age.
const DUE_AT: &str = "SELECT (SELECT count(*) FROM journal_buffers AS b
            WHERE b.oldest_at = $2 AND (
                SELECT open.flush_id FROM journal_batches AS open
                WHERE open.project_id = b.project_id AND open.user_id = b.user_id
                    AND open.incarnation = b.incarnation) IS NULL)
        + (SELECT count(*) FROM journal_batches WHERE ready_at = $1)";

struct DueRow(Timestamp, Due);

impl<'r> FromRow<'r, PgRow> for DueRow {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let owner = OwnerRow::from_row(row)?.0;
        Ok(Self(timestamp(row.try_get("due_at")?)?, Due { owner, blob_type: blob_type(row.try_get("blob_type")?)? }))
    }
}

/// All of it sees the same instant.
pub(super) async fn due(
    conn: &mut PgConnection,
    age: i64,
    from: Option<Timestamp>,
    limit: u32,
    ahead: i64,
) -> Result<Vec<(Timestamp, Due)>, DatabaseError> {
    let now = now(conn, ahead).await?;
    let since = from.map_or(i64::MIN, micros);
    let appended_since = since.saturating_sub(age);
    let mut limit = i64::from(limit);
    if from.is_some() {
        // A page that does not get beyond the instant where it begins would be read again and again.
        let at_once: i64 = query_scalar(DUE_AT).bind(since).bind(appended_since).fetch_one(&mut *conn).await?;
        limit = limit.max(at_once + 1);
    }
    let select = query_as(DUE).bind(now).bind(age).bind(since).bind(appended_since).bind(limit);
    let rows: Vec<DueRow> = select.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|DueRow(since, due)| (since, due)).collect())
}
