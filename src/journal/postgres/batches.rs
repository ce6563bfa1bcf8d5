//! Sealing, claiming and discarding batches.

use std::time::Duration;

use memory::blob::BlobType;
use memory::ids::{ClaimToken, FlushId, Owner};
use memory::ports::{Batch, Entry, Level, Release, Reseal, Take, Taken};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row, query, query_as, query_scalar};
use uuid::Uuid;

use super::entries::{EntryRow, level, lock, lower};
use super::length;
use crate::store::postgres::DatabaseError;
use crate::store::postgres::rows::{About, blob_type, number, uuids};

/// The present instant, `$1` microseconds ahead of the server's clock.
const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $1";

/// The longest prefix of a buffer within `$5` tokens and `$6` blobs, its first blob in any case: the last number, how
/// many, and their tokens.
const PREFIX: &str = "SELECT max(seq) AS last, count(*) AS blobs, coalesce(sum(tokens), 0)::bigint AS tokens
    FROM (
        SELECT seq, tokens, sum(tokens) OVER (ORDER BY seq) AS up_to, row_number() OVER (ORDER BY seq) AS place
        FROM (
            SELECT seq, tokens FROM journal_entries
            WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND blob_type = $4 AND flush_id IS NULL
            ORDER BY seq LIMIT $6
        ) AS first
    ) AS waiting
    WHERE place = 1 OR up_to <= $5";

/// The open batch of an owner.
pub(super) struct Open {
    pub(super) flush_id: FlushId,
    pub(super) blob_type: BlobType,
    token: Option<Uuid>,
    ready_at: i64,
    attempts: u32,
    tries: u32,
    retried: bool,
}

impl<'r> FromRow<'r, PgRow> for Open {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            flush_id: FlushId(row.try_get("flush_id")?),
            blob_type: blob_type(row.try_get("blob_type")?)?,
            token: row.try_get("token")?,
            ready_at: row.try_get("ready_at")?,
            attempts: number(row, "attempts")?,
            tries: number(row, "tries")?,
            retried: row.try_get("retried")?,
        })
    }
}

impl Open {
    pub(super) fn with(self, entries: Vec<Entry>) -> Batch {
        let Self { flush_id, blob_type, attempts, tries, retried, .. } = self;
        Batch { flush_id, blob_type, attempts, tries, retried, entries }
    }
}

/// Microseconds since 1970 on the journal's clock.
pub(super) async fn now(conn: &mut PgConnection, ahead: i64) -> Result<i64, DatabaseError> {
    Ok(query_scalar(NOW).bind(ahead).fetch_one(conn).await?)
}

pub(super) async fn open(conn: &mut PgConnection, owner: &Owner) -> Result<Option<Open>, DatabaseError> {
    let sql = "SELECT flush_id, blob_type, token, ready_at, attempts, tries, retried FROM journal_batches
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3";
    Ok(query_as(sql).owner(owner).fetch_optional(conn).await?)
}

/// The blobs of a batch.
pub(super) async fn sealed(
    conn: &mut PgConnection,
    owner: &Owner,
    flush_id: FlushId,
) -> Result<Vec<Entry>, DatabaseError> {
    let sql = "SELECT seq, appended_at, blob_id, blob_type, tokens, payload FROM journal_entries
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND flush_id = $4 ORDER BY seq";
    let rows: Vec<EntryRow> = query_as(sql).owner(owner).bind(flush_id.0).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

pub(super) async fn take(
    conn: &mut PgConnection,
    owner: &Owner,
    take: &Take,
    ahead: i64,
) -> Result<Taken, DatabaseError> {
    if !lock(conn, owner).await? {
        return Ok(Taken::Empty(Level::default()));
    }
    let now = now(conn, ahead).await?;
    let ready_at = now.saturating_add(length(take.lease));
    if let Some(open) = open(conn, owner).await? {
        return claim(conn, owner, take, open, now, ready_at).await;
    }
    let Some(level) = seal(conn, owner, take).await? else {
        return Ok(Taken::Empty(level(conn, owner, take.blob_type).await?));
    };
    let sql = "INSERT INTO journal_batches (project_id, user_id, incarnation, flush_id, blob_type, token, ready_at,
            attempts, tries, retried)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, FALSE)";
    let insert = query(sql).owner(owner).bind(take.flush_id.0).bind(take.blob_type.as_str()).bind(take.token.0);
    insert.bind(ready_at).execute(&mut *conn).await?;
    let entries = sealed(conn, owner, take.flush_id).await?;
    let Take { flush_id, blob_type, .. } = *take;
    Ok(Taken::Batch(Batch { flush_id, blob_type, attempts: 0, tries: 0, retried: false, entries }, level))
}

/// Claims the open batch, unless somebody else holds it or it waits. A claim that is made again goes on.
///
/// A renewal does not wait for the lock of the owner, so the claim is compared once more as it is taken over.
async fn claim(
    conn: &mut PgConnection,
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
    let sql = "UPDATE journal_batches SET token = $4, ready_at = $5
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3
            AND token IS NOT DISTINCT FROM $6 AND ready_at = $7";
    let update = query(sql).owner(owner).bind(take.token.0).bind(ready_at).bind(open.token).bind(open.ready_at);
    if update.execute(&mut *conn).await?.rows_affected() == 0 {
        return Err(DatabaseError::Contended);
    }
    let entries = sealed(conn, owner, open.flush_id).await?;
    let level = level(conn, owner, open.blob_type).await?;
    Ok(Taken::Batch(open.with(entries), level))
}

/// Seals the longest prefix of the buffer within the limits, the first blob in any case. None when it is empty.
async fn seal(conn: &mut PgConnection, owner: &Owner, take: &Take) -> Result<Option<Level>, DatabaseError> {
    let max_tokens = i64::try_from(take.max_tokens).unwrap_or(i64::MAX);
    let prefix = query_as(PREFIX).owner(owner).bind(take.blob_type.as_str()).bind(max_tokens);
    let prefix = prefix.bind(i64::from(take.max_blobs.max(1)));
    let (last, blobs, tokens): (Option<i64>, i64, i64) = prefix.fetch_one(&mut *conn).await?;
    let Some(last) = last else { return Ok(None) };
    let sql = "UPDATE journal_entries SET flush_id = $6
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND blob_type = $4 AND flush_id IS NULL
            AND seq <= $5";
    let update = query(sql).owner(owner).bind(take.blob_type.as_str()).bind(last).bind(take.flush_id.0);
    update.execute(&mut *conn).await?;
    Ok(Some(lower(conn, owner, take.blob_type, blobs, tokens).await?))
}

/// One statement, which compares the claim when it has locked the row.
pub(super) async fn renew(
    conn: &mut PgConnection,
    owner: &Owner,
    flush_id: FlushId,
    token: ClaimToken,
    lease: Duration,
    ahead: i64,
) -> Result<bool, DatabaseError> {
    let sql = "UPDATE journal_batches
        SET ready_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $6 + $7
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND flush_id = $4 AND token = $5";
    let update = query(sql).owner(owner).bind(flush_id.0).bind(token.0).bind(ahead).bind(length(lease));
    Ok(update.execute(conn).await?.rows_affected() == 1)
}

/// As [`renew`].
pub(super) async fn release(
    conn: &mut PgConnection,
    owner: &Owner,
    flush_id: FlushId,
    token: ClaimToken,
    release: Release,
    ahead: i64,
) -> Result<bool, DatabaseError> {
    let sql = "UPDATE journal_batches
        SET token = NULL, tries = tries + $9, attempts = attempts + $8,
            ready_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $6 + $7
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND flush_id = $4 AND token = $5";
    let update = query(sql).owner(owner).bind(flush_id.0).bind(token.0).bind(ahead).bind(length(release.retry_in));
    let update = update.bind(i64::from(release.setback.attempts())).bind(i64::from(release.setback.tries()));
    Ok(update.execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn reseal(
    conn: &mut PgConnection,
    owner: &Owner,
    reseal: &Reseal,
    ahead: i64,
) -> Result<bool, DatabaseError> {
    if !lock(conn, owner).await? {
        return Ok(false);
    }
    // No renewal nor release comes between.
    let sql = "SELECT flush_id, blob_type, token, ready_at, attempts, tries, retried FROM journal_batches
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND flush_id = $4 FOR UPDATE";
    let open: Option<Open> = query_as(sql).owner(owner).bind(reseal.flush_id.0).fetch_optional(&mut *conn).await?;
    let Some(open) = open else { return Ok(false) };
    if reseal.token.is_some_and(|token| open.token != Some(token.0)) {
        return Ok(false);
    }
    let sql = "DELETE FROM journal_entries
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND flush_id = $4 AND blob_id = ANY($5::uuid[])";
    query(sql).owner(owner).bind(open.flush_id.0).bind(uuids(&reseal.drop)).execute(&mut *conn).await?;
    let sql = "UPDATE journal_entries SET flush_id = $5
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND flush_id = $4";
    let update = query(sql).owner(owner).bind(open.flush_id.0).bind(reseal.new_flush_id.0);
    if update.execute(&mut *conn).await?.rows_affected() == 0 {
        forget(conn, owner, open.flush_id).await?;
        return Ok(true);
    }
    // Who held the claim loses it, unless it is the one that reseals; a wait for the next attempt goes on.
    let is_broken = reseal.token.is_none() && open.token.is_some();
    let ready_at = if is_broken { now(conn, ahead).await? } else { open.ready_at };
    let sql = "UPDATE journal_batches SET flush_id = $4, token = $5, ready_at = $6
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3";
    let update = query(sql).owner(owner).bind(reseal.new_flush_id.0).bind(reseal.token.map(|token| token.0));
    update.bind(ready_at).execute(conn).await?;
    Ok(true)
}

pub(super) async fn discard(conn: &mut PgConnection, owner: &Owner, flush_id: FlushId) -> Result<(), DatabaseError> {
    if lock(conn, owner).await? { forget(conn, owner, flush_id).await } else { Ok(()) }
}

/// The owner is locked.
async fn forget(conn: &mut PgConnection, owner: &Owner, flush_id: FlushId) -> Result<(), DatabaseError> {
    let sql = "WITH entries AS (
            DELETE FROM journal_entries
            WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND flush_id = $4
        )
        DELETE FROM journal_batches
            WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND flush_id = $4";
    query(sql).owner(owner).bind(flush_id.0).execute(conn).await?;
    Ok(())
}
