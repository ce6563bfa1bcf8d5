//! Forgetting what is kept for a time only.

use jiff::Timestamp;
use sqlx::{SqliteConnection, query};

use super::error::DatabaseError;
use super::rows::micros;

/// What may go, a table each: `?1` is the instant, `?2` the number of rows.
pub(super) const FORGET: [&str; 3] = [
    "DELETE FROM applied_blobs WHERE (project_id, user_id, blob_id) IN
        (SELECT project_id, user_id, blob_id FROM applied_blobs WHERE applied_at < ?1 ORDER BY applied_at LIMIT ?2)",
    "DELETE FROM recorded_answers WHERE rowid IN
        (SELECT a.rowid FROM recorded_answers AS a
        WHERE a.created_at < ?1 AND EXISTS (SELECT 1 FROM flushes AS f
            WHERE f.project_id = a.project_id AND f.user_id = a.user_id AND f.flush_id = a.flush_id)
        ORDER BY a.created_at LIMIT ?2)",
    "DELETE FROM tombstones WHERE (project_id, user_id, incarnation) IN
        (SELECT project_id, user_id, incarnation FROM tombstones WHERE purged_at < ?1 ORDER BY purged_at LIMIT ?2)",
];

pub(super) async fn forget_before(
    conn: &mut SqliteConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, DatabaseError> {
    let mut forgotten = 0;
    for sql in FORGET {
        let left = i64::from(limit) - i64::try_from(forgotten).unwrap_or(i64::MAX);
        forgotten += query(sql).bind(micros(before)).bind(left).execute(&mut *conn).await?.rows_affected();
    }
    Ok(forgotten)
}
