//! Flushes: their outcomes, the blobs they applied, and recorded answers.

use jiff::Timestamp;
use memory::ids::{BlobId, FlushId, Owner, UserKey};
use memory::ports::{Answer, Commit, CommitReply, DeadLetter, FlushOutcome, FlushRecord, FlushResult};
use memory::usage::Used;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::error::DatabaseError;
use super::rows::{bump, from_json, hex, json_column, life, micros, to_json};
use super::{blobs, events, letters, slots, usage};

/// Blobs that have taken effect: `?3` lists ids.
pub(super) const APPLIED: &str = "SELECT blob_id FROM applied_blobs
    WHERE project_id = ?1 AND user_id = ?2 AND blob_id IN (SELECT unhex(value) FROM json_each(?3))";
/// Those that are in a dead letter.
pub(super) const DEAD: &str = "SELECT blob_id FROM dead_letter_blobs
    WHERE project_id = ?1 AND user_id = ?2 AND blob_id IN (SELECT unhex(value) FROM json_each(?3))";

struct RecordRow(FlushRecord);

impl<'r> FromRow<'r, SqliteRow> for RecordRow {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        let name: &str = row.try_get("outcome")?;
        let outcome = FlushOutcome::ALL.into_iter().find(|o| o.as_str() == name);
        Ok(Self(FlushRecord {
            outcome: outcome.ok_or_else(|| sqlx::Error::Decode("an unknown outcome of a flush".into()))?,
            result: json_column(row, "result")?,
            reason: row.try_get("reason")?,
            usage: json_column(row, "usage")?,
            refused: row.try_get("refused")?,
            version: row.try_get("version")?,
        }))
    }
}

/// The checks come before the first write: there is one writer, so nothing can come between.
pub(super) async fn commit(conn: &mut SqliteConnection, commit: &Commit) -> Result<CommitReply, DatabaseError> {
    let key = &commit.owner.key;
    if let Some(record) = read(conn, key, commit.flush_id).await? {
        return Ok(CommitReply::Decided(record));
    }
    let life = life(conn, key).await?.filter(|(incarnation, _)| *incarnation == commit.owner.incarnation.0);
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
    let mut before = found(conn, key, APPLIED, &commit.blob_ids).await?;
    if !commit.retried {
        before.extend(found(conn, key, DEAD, &commit.blob_ids).await?);
    }
    if !before.is_empty() {
        return Ok(CommitReply::AppliedBefore(before));
    }
    if revision != commit.base_revision {
        return Ok(CommitReply::Stale);
    }
    if let Some((part, _)) = &commit.answer
        && answer(conn, key, commit.flush_id, *part).await?.is_some()
    {
        return Ok(CommitReply::Stale);
    }
    apply(conn, commit).await?;
    Ok(CommitReply::Done)
}

async fn apply(conn: &mut SqliteConnection, commit: &Commit) -> Result<(), DatabaseError> {
    let key = &commit.owner.key;
    insert(conn, key, commit.flush_id, &commit.record, commit.now).await?;
    usage::add(conn, &key.project, commit.used(true), commit.now).await?;
    let sql = "INSERT INTO applied_blobs (project_id, user_id, blob_id, flush_id, applied_at)
        SELECT ?1, ?2, unhex(value), ?3, ?4 FROM json_each(?5)";
    let insert = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(commit.flush_id.0);
    insert.bind(micros(commit.now)).bind(ids_json(&commit.blob_ids)?).execute(&mut *conn).await?;
    if commit.retried {
        letters::exhume(conn, key, &commit.blob_ids).await?;
    }
    for write in &commit.slots {
        slots::write(conn, key, commit.flush_id, write, commit.now).await?;
    }
    if let Some((event, gists)) = &commit.event {
        events::insert(conn, key, event, gists).await?;
    }
    blobs::insert(conn, key, &commit.keep).await?;
    if let Some((part, answer)) = &commit.answer {
        insert_answer(conn, key, (commit.flush_id, *part), answer, commit.now).await?;
    }
    if commit.changes_memory() {
        bump(conn, key).await?;
    }
    Ok(())
}

pub(super) async fn is_settled(conn: &mut SqliteConnection, key: &UserKey, id: BlobId) -> Result<bool, DatabaseError> {
    Ok(!found(conn, key, APPLIED, &[id]).await?.is_empty() || !found(conn, key, DEAD, &[id]).await?.is_empty())
}

/// Those of the blobs that `sql` finds, in the order given.
pub(super) async fn found(
    conn: &mut SqliteConnection,
    key: &UserKey,
    sql: &'static str,
    ids: &[BlobId],
) -> Result<Vec<BlobId>, DatabaseError> {
    let select = query_scalar(sql).bind(key.project.as_str().to_owned()).bind(key.user.0);
    let found: Vec<Uuid> = select.bind(ids_json(ids)?).fetch_all(conn).await?;
    Ok(ids.iter().filter(|id| found.contains(&id.0)).copied().collect())
}

/// Ids as a list for a statement.
pub(super) fn ids_json(ids: &[BlobId]) -> Result<String, DatabaseError> {
    to_json(&ids.iter().map(|id| hex(id.0)).collect::<Value>())
}

async fn insert(
    conn: &mut SqliteConnection,
    key: &UserKey,
    flush_id: FlushId,
    record: &FlushRecord,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO flushes (project_id, user_id, flush_id, outcome, result, reason, usage, refused, version,
            created_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    query(sql)
        .bind(key.project.as_str().to_owned())
        .bind(key.user.0)
        .bind(flush_id.0)
        .bind(record.outcome.as_str())
        .bind(to_json(&record.result)?)
        .bind(record.reason.clone())
        .bind(to_json(&record.usage)?)
        .bind(record.refused)
        .bind(record.version.clone())
        .bind(micros(now))
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn read(
    conn: &mut SqliteConnection,
    key: &UserKey,
    flush_id: FlushId,
) -> Result<Option<FlushRecord>, DatabaseError> {
    let sql = "SELECT outcome, result, reason, usage, refused, version FROM flushes
        WHERE project_id = ?1 AND user_id = ?2 AND flush_id = ?3";
    let select = query_as(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(flush_id.0);
    let row: Option<RecordRow> = select.fetch_optional(conn).await?;
    Ok(row.map(|row| row.0))
}

/// Whether this life of the user is the present one.
async fn lives(conn: &mut SqliteConnection, owner: &Owner) -> Result<bool, DatabaseError> {
    Ok(life(conn, &owner.key).await?.is_some_and(|(incarnation, _)| incarnation == owner.incarnation.0))
}

pub(super) async fn end(
    conn: &mut SqliteConnection,
    owner: &Owner,
    flush_id: FlushId,
    record: &FlushRecord,
    dead: Option<&DeadLetter>,
    now: Timestamp,
) -> Result<Option<FlushRecord>, DatabaseError> {
    if !lives(conn, owner).await? {
        return Ok(None);
    }
    if let Some(decided) = read(conn, &owner.key, flush_id).await? {
        return Ok(Some(decided));
    }
    insert(conn, &owner.key, flush_id, record, now).await?;
    let mut inserts = 0;
    if let Some(letter) = dead {
        // One that died before was counted then.
        for stored in &letter.blobs {
            inserts += usize::from(!is_settled(conn, &owner.key, stored.blob.id).await?);
        }
        letters::bury(conn, &owner.key, flush_id, letter, now).await?;
    }
    usage::add(conn, &owner.key.project, Used::new(inserts, 0, record.usage), now).await?;
    Ok(None)
}

pub(super) async fn record_answer(
    conn: &mut SqliteConnection,
    owner: &Owner,
    flush_id: FlushId,
    part: u32,
    offered: &Answer,
    now: Timestamp,
) -> Result<Answer, DatabaseError> {
    if !lives(conn, owner).await? {
        return Ok(offered.clone());
    }
    insert_answer(conn, &owner.key, (flush_id, part), offered, now).await?;
    let first = answer(conn, &owner.key, flush_id, part).await?;
    first.ok_or(DatabaseError::Damaged("a recorded answer is not there"))
}

/// Inserts an answer unless there is one.
async fn insert_answer(
    conn: &mut SqliteConnection,
    key: &UserKey,
    (flush_id, part): (FlushId, u32),
    answer: &Answer,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO recorded_answers (project_id, user_id, flush_id, part, answer, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    let insert = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(flush_id.0);
    insert.bind(part).bind(to_json(answer)?).bind(micros(now)).execute(conn).await?;
    Ok(())
}

pub(super) async fn answer(
    conn: &mut SqliteConnection,
    key: &UserKey,
    flush_id: FlushId,
    part: u32,
) -> Result<Option<Answer>, DatabaseError> {
    let sql = "SELECT answer FROM recorded_answers
        WHERE project_id = ?1 AND user_id = ?2 AND flush_id = ?3 AND part = ?4";
    let select = query_scalar(sql).bind(key.project.as_str().to_owned()).bind(key.user.0);
    let text: Option<String> = select.bind(flush_id.0).bind(part).fetch_optional(conn).await?;
    Ok(text.as_deref().map(from_json).transpose()?)
}
