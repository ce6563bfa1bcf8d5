//! Flushes: their outcomes, the blobs they applied, and recorded answers.

use jiff::Timestamp;
use memory::ids::{BlobId, FlushId, Owner, UserKey};
use memory::ports::{Answer, Commit, CommitReply, DeadLetter, FlushOutcome, FlushRecord, FlushResult};
use memory::profile::Author;
use memory::usage::Used;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row, query, query_as, query_scalar};
use uuid::Uuid;

use super::error::DatabaseError;
use super::rows::{About, from_json, json_column, lock, micros, number, text, to_json, uuids};
use super::{blobs, events, letters, slots, usage};

/// Those of the blobs `$3` that have taken effect or, when `$4`, are in a dead letter.
const DONE: &str = "SELECT blob_id FROM applied_blobs
        WHERE project_id = $1 AND user_id = $2 AND blob_id = ANY($3::uuid[])
    UNION ALL
    SELECT blob_id FROM dead_letter_blobs
        WHERE project_id = $1 AND user_id = $2 AND blob_id = ANY($3::uuid[]) AND $4";

/// The outcome, the blobs that take effect, and the new revision of the memory.
const APPLY: &str = "WITH applied AS (
        INSERT INTO applied_blobs (project_id, user_id, blob_id, flush_id, applied_at)
        SELECT $1, $2, blob_id, $3, $4 FROM unnest($5::uuid[]) AS b (blob_id)
    )
    UPDATE users SET revision = revision + $6 WHERE project_id = $1 AND user_id = $2";

struct RecordRow(FlushRecord);

impl<'r> FromRow<'r, PgRow> for RecordRow {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let name: &str = row.try_get("outcome")?;
        let outcome = FlushOutcome::ALL.into_iter().find(|o| o.as_str() == name);
        Ok(Self(FlushRecord {
            outcome: outcome.ok_or_else(|| sqlx::Error::Decode("an unknown outcome of a flush".into()))?,
            result: json_column(row, "result")?,
            reason: row.try_get("reason")?,
            usage: json_column(row, "usage")?,
            refused: number(row, "refused")?,
            version: row.try_get("version")?,
        }))
    }
}

/// The checks come after the lock of the user's row: nothing can come between them and the writes.
pub(super) async fn commit(conn: &mut PgConnection, commit: &Commit) -> Result<CommitReply, DatabaseError> {
    let key = &commit.owner.key;
    let life = lock(conn, key).await?.filter(|(incarnation, _)| *incarnation == commit.owner.incarnation.0);
    if let Some(record) = read(conn, key, commit.flush_id).await? {
        return Ok(CommitReply::Decided(record));
    }
    let Some((_, revision)) = life else {
        let record = FlushRecord {
            outcome: FlushOutcome::Cancelled,
            result: FlushResult::default(),
            reason: Some("the user was deleted".into()),
            ..commit.record.clone()
        };
        insert(conn, key, commit.flush_id, &record, commit.now).await?;
        usage::add(conn, &key.project, commit.used(false), commit.now).await?;
        return Ok(CommitReply::UserGone);
    };
    let done = done(conn, key, &commit.blob_ids, !commit.retried).await?;
    if !done.is_empty() {
        let before = commit.blob_ids.iter().filter(|id| done.contains(&id.0)).copied().collect::<Vec<BlobId>>();
        return Ok(CommitReply::AppliedBefore(before));
    }
    if revision != commit.base_revision {
        return Ok(CommitReply::Stale);
    }
    // Recorded before the rest: whoever records another meanwhile does not lock the user's row.
    if let Some((part, answer)) = &commit.answer
        && !insert_answer(conn, &commit.owner, (commit.flush_id, *part), answer, commit.now).await?
    {
        return Ok(CommitReply::Stale);
    }
    apply(conn, commit).await?;
    Ok(CommitReply::Done)
}

/// Those of the blobs that have taken effect or, with `dead`, are in a dead letter.
async fn done(conn: &mut PgConnection, key: &UserKey, ids: &[BlobId], dead: bool) -> Result<Vec<Uuid>, DatabaseError> {
    Ok(query_scalar(DONE).user(key).bind(uuids(ids)).bind(dead).fetch_all(conn).await?)
}

pub(super) async fn is_settled(conn: &mut PgConnection, key: &UserKey, id: BlobId) -> Result<bool, DatabaseError> {
    Ok(!done(conn, key, &[id], true).await?.is_empty())
}

async fn apply(conn: &mut PgConnection, commit: &Commit) -> Result<(), DatabaseError> {
    let key = &commit.owner.key;
    insert(conn, key, commit.flush_id, &commit.record, commit.now).await?;
    usage::add(conn, &key.project, commit.used(true), commit.now).await?;
    let apply = query(APPLY).user(key).bind(commit.flush_id.0).bind(micros(commit.now));
    apply.bind(uuids(&commit.blob_ids)).bind(i64::from(commit.changes_memory())).execute(&mut *conn).await?;
    if commit.retried {
        letters::exhume(conn, key, &commit.blob_ids).await?;
    }
    slots::write_all(conn, key, Author::Flush(commit.flush_id), &commit.slots, commit.now).await?;
    if let Some((event, gists)) = &commit.event {
        events::insert(conn, key, event, gists).await?;
    }
    blobs::insert(conn, key, &commit.keep).await
}

/// Stores an outcome. If the flush has got one since it was looked for, the whole step is to be tried again.
async fn insert(
    conn: &mut PgConnection,
    key: &UserKey,
    flush_id: FlushId,
    record: &FlushRecord,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO flushes (project_id, user_id, flush_id, outcome, result, reason, usage, refused, version,
            created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
    let done = query(sql)
        .user(key)
        .bind(flush_id.0)
        .bind(record.outcome.as_str())
        .bind(to_json(&record.result)?)
        .bind(record.reason.as_deref().map(text))
        .bind(to_json(&record.usage)?)
        .bind(i64::from(record.refused))
        .bind(text(&record.version))
        .bind(micros(now))
        .execute(conn)
        .await?;
    if done.rows_affected() == 0 { Err(DatabaseError::Contended) } else { Ok(()) }
}

pub(super) async fn read(
    conn: &mut PgConnection,
    key: &UserKey,
    flush_id: FlushId,
) -> Result<Option<FlushRecord>, DatabaseError> {
    let sql = "SELECT outcome, result, reason, usage, refused, version FROM flushes
        WHERE project_id = $1 AND user_id = $2 AND flush_id = $3";
    let row: Option<RecordRow> = query_as(sql).user(key).bind(flush_id.0).fetch_optional(conn).await?;
    Ok(row.map(|row| row.0))
}

pub(super) async fn end(
    conn: &mut PgConnection,
    owner: &Owner,
    flush_id: FlushId,
    record: &FlushRecord,
    dead: Option<&DeadLetter>,
    now: Timestamp,
) -> Result<Option<FlushRecord>, DatabaseError> {
    let key = &owner.key;
    if lock(conn, key).await?.is_none_or(|(incarnation, _)| incarnation != owner.incarnation.0) {
        return Ok(None);
    }
    if let Some(decided) = read(conn, key, flush_id).await? {
        return Ok(Some(decided));
    }
    insert(conn, key, flush_id, record, now).await?;
    let mut inserts = 0;
    if let Some(letter) = dead {
        // One that died before was counted then.
        let ids: Vec<BlobId> = letter.blobs.iter().map(|stored| stored.blob.id).collect();
        inserts = ids.len() - done(conn, key, &ids, true).await?.len().min(ids.len());
        letters::bury(conn, key, flush_id, letter, now).await?;
    }
    usage::add(conn, &key.project, Used::new(inserts, 0, record.usage), now).await?;
    Ok(None)
}

/// Two statements that need no transaction: the first keeps the first answer, the second reads it.
pub(super) async fn record_answer(
    conn: &mut PgConnection,
    owner: &Owner,
    flush_id: FlushId,
    part: u32,
    offered: &Answer,
    now: Timestamp,
) -> Result<Answer, DatabaseError> {
    // The lock keeps the user from being deleted between the check and the insert.
    if insert_answer(conn, owner, (flush_id, part), offered, now).await? {
        return Ok(offered.clone());
    }
    let sql = "SELECT a.answer FROM recorded_answers AS a
        JOIN users AS u ON u.project_id = a.project_id AND u.user_id = a.user_id
        WHERE a.project_id = $1 AND a.user_id = $2 AND u.incarnation = $3 AND a.flush_id = $4 AND a.part = $5";
    let select = query_scalar(sql).owner(owner).bind(flush_id.0).bind(i64::from(part));
    let first: Option<String> = select.fetch_optional(conn).await?;
    // Without one the user is gone, and nothing is kept.
    Ok(first.as_deref().map(from_json).transpose()?.unwrap_or_else(|| offered.clone()))
}

/// Inserts an answer unless there is one, or the user is gone. Says whether it did.
async fn insert_answer(
    conn: &mut PgConnection,
    owner: &Owner,
    (flush_id, part): (FlushId, u32),
    answer: &Answer,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO recorded_answers (project_id, user_id, flush_id, part, answer, created_at)
        SELECT project_id, user_id, $4, $5, $6, $7 FROM users
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 FOR KEY SHARE
        ON CONFLICT DO NOTHING";
    let insert = query(sql).owner(owner).bind(flush_id.0).bind(i64::from(part)).bind(to_json(answer)?);
    Ok(insert.bind(micros(now)).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn answer(
    conn: &mut PgConnection,
    key: &UserKey,
    flush_id: FlushId,
    part: u32,
) -> Result<Option<Answer>, DatabaseError> {
    let sql = "SELECT answer FROM recorded_answers
        WHERE project_id = $1 AND user_id = $2 AND flush_id = $3 AND part = $4";
    let select = query_scalar(sql).user(key).bind(flush_id.0).bind(i64::from(part));
    let text: Option<String> = select.fetch_optional(conn).await?;
    Ok(text.as_deref().map(from_json).transpose()?)
}
