//! Appends, a group at a time: one statement for all of them.

use std::borrow::Cow;
use std::sync::Arc;

use memory::blob::NewBlob;
use memory::ids::{BlobId, Owner};
use memory::ports::Append;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row, query};

use super::entries::LevelRow;
use crate::store::postgres::rows::{number, text};
use crate::store::postgres::{DatabaseError, Member, Work, place_of};

/// Appends the blobs of the lists `$1` to `$7` (project, user, incarnation, blob, type, tokens, payload), but those that
/// are known; the clock is `$8` microseconds ahead. Returns, by its place `n` in the lists, the number of each and the
/// level of its buffer after it; a row without them for one whose owner another transaction holds; and no row for one whose
/// owner is gone. No blob stands in the lists twice.
///
/// A statement sees the tables as they were when it began, except for the rows that it locks. So what others may change
/// meanwhile stands in those: `locked` (or `fresh`, for the first append of an owner) tells whether they were purged, and
/// `buffer` counts on from the present level. A blob that another append has brought meanwhile is not known, and breaks the
/// key of the entries: the statement is to be tried again then. It waits for no owner that another holds: the others of the
/// group would wait, too. Only over a first append may two groups wait for each other, and one of them is tried again.
const APPEND: &str = r#"WITH input AS MATERIALIZED (
        SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bigint[], $7::text[])
        WITH ORDINALITY AS i (project_id, user_id, incarnation, blob_id, blob_type, tokens, payload, n)
    ), asked AS MATERIALIZED (
        SELECT DISTINCT project_id COLLATE "C" AS project_id, user_id, incarnation FROM input
    ), known AS MATERIALIZED (
        SELECT a.* FROM asked AS a CROSS JOIN LATERAL (SELECT FROM journal_owners AS o
            WHERE o.project_id = a.project_id AND o.user_id = a.user_id AND o.incarnation = a.incarnation LIMIT 1) AS o
    ), locked AS MATERIALIZED (
        SELECT o.* FROM known AS k CROSS JOIN LATERAL (SELECT * FROM journal_owners AS o
            WHERE o.project_id = k.project_id AND o.user_id = k.user_id AND o.incarnation = k.incarnation
            FOR UPDATE SKIP LOCKED) AS o
    ), fresh AS (
        INSERT INTO journal_owners (project_id, user_id, incarnation)
        SELECT a.project_id, a.user_id, a.incarnation FROM asked AS a
        WHERE NOT EXISTS (SELECT FROM known AS k WHERE k.project_id = a.project_id AND k.user_id = a.user_id
                AND k.incarnation = a.incarnation)
            AND NOT EXISTS (SELECT FROM tombstones AS t WHERE t.project_id = a.project_id AND t.user_id = a.user_id
                AND t.incarnation = a.incarnation)
        ORDER BY a.project_id, a.user_id, a.incarnation
        ON CONFLICT (project_id, user_id, incarnation) DO UPDATE SET gone = journal_owners.gone
        RETURNING project_id, user_id, incarnation, gone
    ), living AS MATERIALIZED (
        SELECT o.project_id, o.user_id, o.incarnation
        FROM (SELECT * FROM locked UNION ALL SELECT * FROM fresh) AS o
        WHERE NOT o.gone AND NOT EXISTS (SELECT FROM tombstones AS t WHERE t.project_id = o.project_id
            AND t.user_id = o.user_id AND t.incarnation = o.incarnation)
    ), wanted AS MATERIALIZED (
        SELECT i.*, e.seq AS known_seq, e.blob_type AS known_type
        FROM input AS i JOIN living USING (project_id, user_id, incarnation)
        LEFT JOIN LATERAL (SELECT seq, blob_type FROM journal_entries AS e WHERE e.project_id = i.project_id
            AND e.user_id = i.user_id AND e.incarnation = i.incarnation AND e.blob_id = i.blob_id LIMIT 1) AS e ON TRUE
    ), clock AS MATERIALIZED (
        SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $8 AS now
    ), added AS MATERIALIZED (
        SELECT w.*, row_number() OVER up_to AS blobs, sum(tokens) OVER up_to AS sum,
            count(*) OVER whole AS all_blobs, sum(tokens) OVER whole AS all_tokens
        FROM wanted AS w WHERE known_seq IS NULL
        WINDOW whole AS (PARTITION BY project_id, user_id, incarnation, blob_type),
            up_to AS (PARTITION BY project_id, user_id, incarnation, blob_type ORDER BY n)
    ), buffer AS (
        INSERT INTO journal_buffers AS b (project_id, user_id, incarnation, blob_type, last_seq, blobs, tokens,
            oldest_at)
        SELECT project_id, user_id, incarnation, blob_type, all_blobs, all_blobs, all_tokens, clock.now
        FROM added, clock WHERE added.blobs = 1
        ORDER BY project_id, user_id, incarnation, blob_type
        ON CONFLICT (project_id, user_id, incarnation, blob_type) DO UPDATE
        SET last_seq = b.last_seq + excluded.last_seq, blobs = b.blobs + excluded.blobs,
            tokens = b.tokens + excluded.tokens, oldest_at = coalesce(b.oldest_at, excluded.oldest_at)
        RETURNING project_id, user_id, incarnation, blob_type, last_seq, blobs, tokens
    ), numbered AS MATERIALIZED (
        SELECT a.*, b.last_seq - a.all_blobs + a.blobs AS seq, b.blobs - a.all_blobs + a.blobs AS level_blobs,
            (b.tokens - a.all_tokens + a.sum)::bigint AS level_tokens
        FROM added AS a JOIN buffer AS b USING (project_id, user_id, incarnation, blob_type)
    ), entry AS (
        INSERT INTO journal_entries (project_id, user_id, incarnation, blob_id, blob_type, seq, tokens, appended_at,
            payload)
        SELECT project_id, user_id, incarnation, blob_id, blob_type, seq, tokens, clock.now, payload
        FROM numbered, clock
    )
    SELECT n, seq, seq AS last_seq, level_blobs AS blobs, level_tokens AS tokens FROM numbered
    UNION ALL
    SELECT w.n, w.known_seq, coalesce(b.last_seq, 0), coalesce(b.blobs, 0), coalesce(b.tokens, 0)
    FROM wanted AS w LEFT JOIN journal_buffers AS b ON b.project_id = w.project_id AND b.user_id = w.user_id
        AND b.incarnation = w.incarnation AND b.blob_type = w.known_type
    WHERE w.known_seq IS NOT NULL
    UNION ALL
    SELECT i.n, NULL, NULL, NULL, NULL FROM input AS i JOIN known USING (project_id, user_id, incarnation)
    WHERE NOT EXISTS (SELECT FROM locked AS l WHERE l.project_id = i.project_id AND l.user_id = i.user_id
        AND l.incarnation = i.incarnation)"#;

/// An append that is asked for. Cheap to clone.
#[derive(Clone)]
pub(super) struct NewAppend {
    pub(super) owner: Owner,
    pub(super) blob: Arc<NewBlob>,
    /// How far the clock is ahead of the server's, in microseconds: the same for all.
    pub(super) ahead: i64,
}

/// What became of one.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Appended(Append),
    OwnerGone,
    /// Another transaction holds the owner, and nothing was done.
    OwnerHeld,
}

impl Member for NewAppend {
    type Done = Outcome;
    /// A blob that is sent twice goes into two groups.
    type Key = (Owner, BlobId);

    fn key(&self) -> Self::Key {
        (self.owner.clone(), self.blob.id)
    }

    fn bytes(&self) -> usize {
        self.blob.payload.len()
    }

    fn work<'c>(conn: &'c mut PgConnection, group: &'c [Self]) -> Work<'c, Vec<Outcome>> {
        Box::pin(append(conn, group))
    }
}

/// What became of each, in order. No blob is in the list twice.
async fn append(conn: &mut PgConnection, appends: &[NewAppend]) -> Result<Vec<Outcome>, DatabaseError> {
    let ahead = appends.first().map_or(0, |append| append.ahead);
    let owners = || appends.iter().map(|append| &append.owner);
    let blobs = || appends.iter().map(|append| &append.blob);
    let append = query(APPEND)
        .bind(owners().map(|owner| owner.key.project.as_str()).collect::<Vec<_>>())
        .bind(owners().map(|owner| owner.key.user.0).collect::<Vec<_>>())
        .bind(owners().map(|owner| owner.incarnation.0).collect::<Vec<_>>())
        .bind(blobs().map(|blob| blob.id.0).collect::<Vec<_>>())
        .bind(blobs().map(|blob| blob.blob_type.as_str()).collect::<Vec<_>>())
        .bind(blobs().map(|blob| i64::from(blob.tokens)).collect::<Vec<_>>())
        .bind(blobs().map(|blob| text(&blob.payload)).collect::<Vec<Cow<'_, str>>>())
        .bind(ahead);
    let rows = match append.fetch_all(conn).await {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => return Err(DatabaseError::Contended),
        rows => rows?,
    };
    let mut done = vec![Outcome::OwnerGone; appends.len()];
    for row in &rows {
        *place_of(row, &mut done)? = read(row)?;
    }
    Ok(done)
}

fn read(row: &PgRow) -> sqlx::Result<Outcome> {
    if row.try_get::<Option<i64>, _>("seq")?.is_none() {
        return Ok(Outcome::OwnerHeld);
    }
    Ok(Outcome::Appended(Append { seq: number(row, "seq")?, level: LevelRow::from_row(row)?.0 }))
}
