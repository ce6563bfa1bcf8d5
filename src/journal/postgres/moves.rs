//! Batches that come back from dead letters, and what moves to another journal.

use memory::ids::{FlushId, Owner};
use memory::ports::{Batch, Entry, Holding, Requeue, Requeued};
use sqlx::{PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::batches;
use super::entries::{self, EntryRow, admit, clear, lock};
use crate::store::postgres::DatabaseError;
use crate::store::postgres::rows::{About, BlobColumns};
use crate::store::postgres::users::OwnerRow;

/// Owners of whom something is held, in order, behind the one that is named. A batch is never without entries.
const OWNERS: &str = "SELECT o.project_id, o.user_id, o.incarnation FROM journal_owners AS o
    WHERE (o.project_id, o.user_id, o.incarnation) > ($1, $2, $3) AND EXISTS (SELECT FROM journal_entries AS e
        WHERE e.project_id = o.project_id AND e.user_id = o.user_id AND e.incarnation = o.incarnation)
    ORDER BY o.project_id, o.user_id, o.incarnation LIMIT $4";

/// None when the owner is gone.
pub(super) async fn requeue(
    conn: &mut PgConnection,
    owner: &Owner,
    requeue: &Requeue,
    ahead: i64,
) -> Result<Option<Requeued>, DatabaseError> {
    if !admit(conn, owner).await? {
        return Ok(None);
    }
    let ids: Vec<Uuid> = requeue.blobs.iter().map(|(blob, _)| blob.id.0).collect();
    let sql = "SELECT EXISTS (SELECT FROM journal_entries
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND blob_id = ANY($4::uuid[]))";
    if query_scalar(sql).owner(owner).bind(ids).fetch_one(&mut *conn).await? {
        return Ok(Some(Requeued::Queued));
    }
    if batches::open(conn, owner).await?.is_some() {
        return Ok(Some(Requeued::Busy));
    }
    let Requeue { flush_id, blob_type, .. } = *requeue;
    let blobs = (1..).zip(&requeue.blobs);
    let entries = blobs.map(|(seq, (blob, at))| Entry { seq, appended_at: *at, blob: blob.clone() }).collect();
    let batch = Batch { flush_id, blob_type, attempts: 0, tries: 0, retried: true, entries };
    open(conn, owner, &batch, ahead).await?;
    Ok(Some(Requeued::Queued))
}

async fn insert(
    conn: &mut PgConnection,
    owner: &Owner,
    flush_id: Option<FlushId>,
    entries: &[Entry],
) -> Result<(), DatabaseError> {
    let sql =
        "INSERT INTO journal_entries (project_id, user_id, incarnation, flush_id, seq, blob_id, blob_type, tokens,
            payload, appended_at)
        SELECT $1, $2, $3, $4, e.*
        FROM unnest($5::bigint[], $6::uuid[], $7::text[], $8::bigint[], $9::text[], $10::bigint[]) AS e";
    let seqs: Vec<i64> = entries.iter().map(|entry| i64::try_from(entry.seq).unwrap_or(i64::MAX)).collect();
    let mut columns = BlobColumns::default();
    entries.iter().for_each(|entry| columns.push(&entry.blob, entry.appended_at));
    let BlobColumns { ids, types, tokens, payloads, times } = columns;
    let insert = query(sql).owner(owner).bind(flush_id.map(|id| id.0)).bind(seqs).bind(ids).bind(types);
    insert.bind(tokens).bind(payloads).bind(times).execute(conn).await?;
    Ok(())
}

/// Makes a batch the open one, claimed by nobody and due at once.
async fn open(conn: &mut PgConnection, owner: &Owner, batch: &Batch, ahead: i64) -> Result<(), DatabaseError> {
    insert(conn, owner, Some(batch.flush_id), &batch.entries).await?;
    let sql = "INSERT INTO journal_batches (project_id, user_id, incarnation, flush_id, blob_type, token, ready_at,
            attempts, tries, retried)
        VALUES ($1, $2, $3, $4, $5, NULL, $6, $7, $8, $9)";
    let now = batches::now(conn, ahead).await?;
    let insert = query(sql).owner(owner).bind(batch.flush_id.0).bind(batch.blob_type.as_str()).bind(now);
    let insert = insert.bind(i64::from(batch.attempts)).bind(i64::from(batch.tries)).bind(batch.retried);
    insert.execute(conn).await?;
    Ok(())
}

pub(super) async fn owners(
    conn: &mut PgConnection,
    after: Option<&Owner>,
    limit: u32,
) -> Result<Vec<Owner>, DatabaseError> {
    let select = match after {
        Some(owner) => query_as(OWNERS).owner(owner),
        None => query_as(OWNERS).bind("").bind(Uuid::nil()).bind(Uuid::nil()),
    };
    let rows: Vec<OwnerRow> = select.bind(i64::from(limit)).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// All of it sees the same instant.
pub(super) async fn holding(conn: &mut PgConnection, owner: &Owner) -> Result<Holding, DatabaseError> {
    let levels = entries::levels(conn, owner).await?;
    let sql = "SELECT seq, appended_at, blob_id, blob_type, tokens, payload FROM journal_entries
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND flush_id IS NULL";
    let rows: Vec<EntryRow> = query_as(sql).owner(owner).fetch_all(&mut *conn).await?;
    let mut waiting: Vec<Entry> = rows.into_iter().map(|row| row.0).collect();
    waiting.sort_by_key(|entry| (entry.blob.blob_type, entry.seq));
    let open = match batches::open(conn, owner).await? {
        Some(open) => {
            let entries = batches::sealed(conn, owner, open.flush_id).await?;
            Some(open.with(entries))
        }
        None => None,
    };
    Ok(Holding { last_seqs: levels.iter().map(|(kind, level)| (*kind, level.last_seq)).collect(), waiting, open })
}

pub(super) async fn adopt(
    conn: &mut PgConnection,
    owner: &Owner,
    holding: &Holding,
    ahead: i64,
) -> Result<(), DatabaseError> {
    admit(conn, owner).await?;
    clear(conn, owner).await?;
    insert(conn, owner, None, &holding.waiting).await?;
    if let Some(batch) = &holding.open {
        open(conn, owner, batch, ahead).await?;
    }
    for (blob_type, last_seq) in &holding.last_seqs {
        let sql = "INSERT INTO journal_buffers (project_id, user_id, incarnation, blob_type, last_seq, blobs, tokens,
                oldest_at)
            SELECT $1, $2, $3, $4, $5, count(*), coalesce(sum(tokens), 0), min(appended_at) FROM journal_entries
            WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND blob_type = $4 AND flush_id IS NULL";
        let last_seq = i64::try_from(*last_seq).unwrap_or(i64::MAX);
        query(sql).owner(owner).bind(blob_type.as_str()).bind(last_seq).execute(&mut *conn).await?;
    }
    Ok(())
}

/// The mark of an owner who is gone stays.
pub(super) async fn hand_over(conn: &mut PgConnection, owner: &Owner) -> Result<(), DatabaseError> {
    if !lock(conn, owner).await? {
        return Ok(());
    }
    clear(conn, owner).await?;
    let sql = "DELETE FROM journal_owners
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND NOT gone";
    query(sql).owner(owner).execute(conn).await?;
    Ok(())
}
