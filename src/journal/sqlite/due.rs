//! What is to be done, and since when.

use jiff::Timestamp;
use memory::ids::{Incarnation, Owner, ProjectId, UserId, UserKey};
use memory::ports::Due;
use sqlx::{SqliteConnection, query_as};
use uuid::Uuid;

use crate::store::sqlite::DatabaseError;
use crate::store::sqlite::rows::{blob_type, timestamp};

/// `?1` is now, `?2` the age, `?3` the limit, `?4` from when on. What has been due for longest comes first.
pub(super) const DUE: &str = "SELECT project_id, user_id, incarnation, blob_type, due_at FROM (
        SELECT * FROM (
            SELECT b.project_id, b.user_id, b.incarnation, b.blob_type, b.oldest_at + ?2 AS due_at
            FROM journal_buffers AS b
            WHERE b.oldest_at <= ?1 - ?2 AND b.oldest_at >= max(?4, ?2 - 9223372036854775807) - ?2
                AND NOT EXISTS (SELECT 1 FROM journal_batches AS open
                    WHERE open.project_id = b.project_id AND open.user_id = b.user_id
                        AND open.incarnation = b.incarnation)
            ORDER BY b.oldest_at LIMIT ?3)
        UNION ALL
        SELECT * FROM (
            SELECT project_id, user_id, incarnation, blob_type, ready_at AS due_at
            FROM journal_batches WHERE ready_at <= ?1 AND ready_at >= ?4 ORDER BY ready_at LIMIT ?3)
    ) ORDER BY due_at LIMIT ?3";

type Found = (String, Uuid, Uuid, String, i64);

pub(super) async fn due(
    conn: &mut SqliteConnection,
    now: i64,
    age: i64,
    from: i64,
    limit: u32,
) -> Result<Vec<(Timestamp, Due)>, DatabaseError> {
    let mut limit = limit;
    loop {
        let found: Vec<Found> = query_as(DUE).bind(now).bind(age).bind(limit).bind(from).fetch_all(&mut *conn).await?;
        let full = found.len() >= limit as usize;
        // A page of one instant, the one where it begins, would be read again and again.
        if full && limit < u32::MAX && found.iter().all(|row| row.4 == from) {
            limit = limit.saturating_mul(2).max(2);
            continue;
        }
        return Ok(found.into_iter().map(read).collect::<sqlx::Result<_>>()?);
    }
}

fn read((project, user, incarnation, kind, due_at): Found) -> sqlx::Result<(Timestamp, Due)> {
    let key = UserKey { project: ProjectId::from(project.as_str()), user: UserId(user) };
    let owner = Owner { key, incarnation: Incarnation(incarnation) };
    Ok((timestamp(due_at)?, Due { owner, blob_type: blob_type(&kind)? }))
}
