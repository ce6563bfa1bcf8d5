//! Sealing, claiming and discarding batches.

use std::time::Duration;

use memory::blob::BlobType;
use memory::ids::{ClaimToken, FlushId, Owner};
use memory::ports::{Batch, Entry, Level, Reseal, Setback, Take, Taken};
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection, query, query_as};
use uuid::Uuid;

use super::entries::{EntryRow, OfOwner, level, lower};
use super::length;
use crate::store::sqlite::DatabaseError;
use crate::store::sqlite::rows::{blob_type, hex, to_json};

/// The open batch of an owner.
pub(super) struct Open {
    pub(super) flush_id: FlushId,
    pub(super) blob_type: BlobType,
    token: Option<Uuid>,
    ready_at: i64,
    pub(super) attempts: u32,
    pub(super) tries: u32,
    pub(super) retried: bool,
}

impl<'r> FromRow<'r, SqliteRow> for Open {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            flush_id: FlushId(row.try_get("flush_id")?),
            blob_type: blob_type(row.try_get("blob_type")?)?,
            token: row.try_get("token")?,
            ready_at: row.try_get("ready_at")?,
            attempts: row.try_get("attempts")?,
            tries: row.try_get("tries")?,
            retried: row.try_get("retried")?,
        })
    }
}

pub(super) async fn open(conn: &mut SqliteConnection, owner: &Owner) -> Result<Option<Open>, DatabaseError> {
    let sql = "SELECT flush_id, blob_type, token, ready_at, attempts, tries, retried FROM journal_batches
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3";
    Ok(query_as(sql).of(owner).fetch_optional(conn).await?)
}

/// The blobs of a batch.
pub(super) async fn sealed(
    conn: &mut SqliteConnection,
    owner: &Owner,
    flush_id: FlushId,
) -> Result<Vec<Entry>, DatabaseError> {
    let sql = "SELECT seq, appended_at, blob_id, blob_type, tokens, payload FROM journal_entries
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND flush_id = ?4 ORDER BY seq";
    let rows: Vec<EntryRow> = query_as(sql).of(owner).bind(flush_id.0).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

pub(super) async fn take(
    conn: &mut SqliteConnection,
    owner: &Owner,
    take: &Take,
    now: i64,
) -> Result<Taken, DatabaseError> {
    let ready_at = now.saturating_add(length(take.lease));
    if let Some(open) = open(conn, owner).await? {
        return claim(conn, owner, take, open, now, ready_at).await;
    }
    let Some(level) = seal(conn, owner, take).await? else {
        return Ok(Taken::Empty(level(conn, owner, take.blob_type).await?));
    };
    let sql = "INSERT INTO journal_batches (project_id, user_id, incarnation, flush_id, blob_type, token, ready_at,
            attempts, tries)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0)";
    let insert = query(sql).of(owner).bind(take.flush_id.0).bind(take.blob_type.as_str()).bind(take.token.0);
    insert.bind(ready_at).execute(&mut *conn).await?;
    let entries = sealed(conn, owner, take.flush_id).await?;
    let Take { flush_id, blob_type, .. } = *take;
    let batch = Batch { flush_id, blob_type, attempts: 0, tries: 0, retried: false, entries };
    Ok(Taken::Batch(batch, level))
}

/// Claims the open batch, unless somebody else holds it or it waits. A claim that is made again goes on.
async fn claim(
    conn: &mut SqliteConnection,
    owner: &Owner,
    take: &Take,
    open: Open,
    now: i64,
    ready_at: i64,
) -> Result<Taken, DatabaseError> {
    let mine = open.token == Some(take.token.0);
    let waived = open.token.is_none() && take.ignore_backoff;
    if open.ready_at > now && !mine && !waived {
        return Ok(Taken::Busy { ready_in: Duration::from_micros(open.ready_at.abs_diff(now)) });
    }
    let sql = "UPDATE journal_batches SET token = ?4, ready_at = ?5
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3";
    query(sql).of(owner).bind(take.token.0).bind(ready_at).execute(&mut *conn).await?;
    let entries = sealed(conn, owner, open.flush_id).await?;
    let level = level(conn, owner, open.blob_type).await?;
    let Open { flush_id, blob_type, attempts, tries, retried, .. } = open;
    Ok(Taken::Batch(Batch { flush_id, blob_type, attempts, tries, retried, entries }, level))
}

/// Seals the longest prefix of the buffer within the limits, the first blob in any case. None when it is empty.
async fn seal(conn: &mut SqliteConnection, owner: &Owner, take: &Take) -> Result<Option<Level>, DatabaseError> {
    let sql = "SELECT seq, tokens FROM journal_entries
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND blob_type = ?4 AND flush_id IS NULL
        ORDER BY seq LIMIT ?5";
    let select = query_as(sql).of(owner).bind(take.blob_type.as_str()).bind(take.max_blobs.max(1));
    let waiting: Vec<(i64, i64)> = select.fetch_all(&mut *conn).await?;
    let max_tokens = i64::try_from(take.max_tokens).unwrap_or(i64::MAX);
    let (mut last, mut blobs, mut tokens) = (0, 0_i64, 0_i64);
    for (seq, more) in waiting {
        if blobs > 0 && tokens.saturating_add(more) > max_tokens {
            break;
        }
        (last, blobs, tokens) = (seq, blobs + 1, tokens + more);
    }
    if blobs == 0 {
        return Ok(None);
    }
    let sql = "UPDATE journal_entries SET flush_id = ?6
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND blob_type = ?4 AND flush_id IS NULL
            AND seq <= ?5";
    let update = query(sql).of(owner).bind(take.blob_type.as_str()).bind(last).bind(take.flush_id.0);
    update.execute(&mut *conn).await?;
    Ok(Some(lower(conn, owner, take.blob_type, blobs, tokens).await?))
}

pub(super) async fn renew(
    conn: &mut SqliteConnection,
    owner: &Owner,
    flush_id: FlushId,
    token: ClaimToken,
    ready_at: i64,
) -> Result<bool, DatabaseError> {
    let sql = "UPDATE journal_batches SET ready_at = ?6
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND flush_id = ?4 AND token = ?5";
    let update = query(sql).of(owner).bind(flush_id.0).bind(token.0).bind(ready_at);
    Ok(update.execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn release(
    conn: &mut SqliteConnection,
    owner: &Owner,
    flush_id: FlushId,
    token: ClaimToken,
    setback: Setback,
    ready_at: i64,
) -> Result<bool, DatabaseError> {
    let sql = "UPDATE journal_batches
        SET token = NULL, ready_at = ?6, tries = tries + ?8, attempts = attempts + ?7
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND flush_id = ?4 AND token = ?5";
    let update = query(sql).of(owner).bind(flush_id.0).bind(token.0).bind(ready_at);
    let update = update.bind(setback.attempts()).bind(setback.tries());
    Ok(update.execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn reseal(
    conn: &mut SqliteConnection,
    owner: &Owner,
    reseal: &Reseal,
    now: i64,
) -> Result<bool, DatabaseError> {
    let open = open(conn, owner).await?.filter(|open| open.flush_id == reseal.flush_id);
    let Some(open) = open else { return Ok(false) };
    if reseal.token.is_some_and(|token| open.token != Some(token.0)) {
        return Ok(false);
    }
    let sql = "DELETE FROM journal_entries
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND flush_id = ?4
            AND blob_id IN (SELECT unhex(value) FROM json_each(?5))";
    let dropped = to_json(&reseal.drop.iter().map(|id| hex(id.0)).collect::<Value>())?;
    query(sql).of(owner).bind(open.flush_id.0).bind(dropped).execute(&mut *conn).await?;
    let sql = "UPDATE journal_entries SET flush_id = ?5
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND flush_id = ?4";
    let update = query(sql).of(owner).bind(open.flush_id.0).bind(reseal.new_flush_id.0);
    if update.execute(&mut *conn).await?.rows_affected() == 0 {
        discard(conn, owner, open.flush_id).await?;
        return Ok(true);
    }
    // Who held the claim loses it, unless it is the one that reseals; a wait for the next attempt goes on.
    let ready_at = if reseal.token.is_none() && open.token.is_some() { now } else { open.ready_at };
    let sql = "UPDATE journal_batches SET flush_id = ?4, token = ?5, ready_at = ?6
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3";
    let update = query(sql).of(owner).bind(reseal.new_flush_id.0).bind(reseal.token.map(|token| token.0));
    update.bind(ready_at).execute(conn).await?;
    Ok(true)
}

pub(super) async fn discard(
    conn: &mut SqliteConnection,
    owner: &Owner,
    flush_id: FlushId,
) -> Result<(), DatabaseError> {
    for sql in [
        "DELETE FROM journal_entries
            WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND flush_id = ?4",
        "DELETE FROM journal_batches
            WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND flush_id = ?4",
    ] {
        query(sql).of(owner).bind(flush_id.0).execute(&mut *conn).await?;
    }
    Ok(())
}
