//! Forgetting what is kept for a time only.

use jiff::Timestamp;
use sqlx::{PgConnection, query};

use super::error::DatabaseError;
use super::rows::micros;

/// What may go, a table each: `$1` is the instant, `$2` the number of rows. Rows that somebody else works with are left
/// for the next time: these statements know no users, so they must not wait for any. Those that are locked stay where
/// they are, so they are found again by their place.
const FORGET: [&str; 3] = [
    "DELETE FROM applied_blobs WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM applied_blobs WHERE applied_at < $1
        ORDER BY applied_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM recorded_answers WHERE ctid = ANY(ARRAY(
        SELECT a.ctid FROM recorded_answers AS a
        WHERE a.created_at < $1 AND EXISTS (SELECT FROM flushes AS f
            WHERE f.project_id = a.project_id AND f.user_id = a.user_id AND f.flush_id = a.flush_id)
        ORDER BY a.created_at LIMIT $2 FOR UPDATE OF a SKIP LOCKED))",
    // The mark that the journal keeps of a purged owner goes with its tombstone.
    "WITH old AS (
        DELETE FROM tombstones WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM tombstones WHERE purged_at < $1
            ORDER BY purged_at LIMIT $2 FOR UPDATE SKIP LOCKED))
        RETURNING project_id, user_id, incarnation
    ), marks AS (
        DELETE FROM journal_owners AS o USING old
        WHERE o.project_id = old.project_id AND o.user_id = old.user_id AND o.incarnation = old.incarnation AND o.gone
    )
    SELECT FROM old",
];

pub(super) async fn forget_before(
    conn: &mut PgConnection,
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
