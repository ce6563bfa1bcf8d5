//! Batches that come back from dead letters, and what moves to another journal.

use jiff::Timestamp;
use memory::blob::NewBlob;
use memory::ids::{FlushId, Incarnation, Owner, ProjectId, UserId, UserKey};
use memory::ports::{Batch, Entry, Holding, Requeue, Requeued};
use serde_json::{Value, json};
use sqlx::{SqliteConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::batches::{self, Open};
use super::entries::{self, EntryRow, OfOwner};
use crate::store::sqlite::DatabaseError;
use crate::store::sqlite::rows::{hex, micros, to_json};

/// None when the owner is gone.
pub(super) async fn requeue(
    conn: &mut SqliteConnection,
    owner: &Owner,
    requeue: &Requeue,
    now: i64,
) -> Result<Option<Requeued>, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM tombstones WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3)";
    if query_scalar(sql).of(owner).fetch_one(&mut *conn).await? {
        return Ok(None);
    }
    let ids = to_json(&requeue.blobs.iter().map(|(blob, _)| hex(blob.id.0)).collect::<Value>())?;
    let sql = "SELECT EXISTS (SELECT 1 FROM journal_entries WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3
        AND blob_id IN (SELECT unhex(value) FROM json_each(?4)))";
    if query_scalar(sql).of(owner).bind(ids).fetch_one(&mut *conn).await? {
        return Ok(Some(Requeued::Queued));
    }
    if batches::open(conn, owner).await?.is_some() {
        return Ok(Some(Requeued::Busy));
    }
    let Requeue { flush_id, blob_type, .. } = *requeue;
    let entry = |(seq, (blob, appended_at)): (u64, &(NewBlob, Timestamp))| Entry {
        seq,
        appended_at: *appended_at,
        blob: blob.clone(),
    };
    let entries: Vec<Entry> = (1..).zip(&requeue.blobs).map(entry).collect();
    insert(conn, owner, Some(flush_id), &entries).await?;
    let batch = Batch { flush_id, blob_type, attempts: 0, tries: 0, retried: true, entries: Vec::new() };
    open(conn, owner, &batch, now).await?;
    Ok(Some(Requeued::Queued))
}

async fn insert(
    conn: &mut SqliteConnection,
    owner: &Owner,
    flush_id: Option<FlushId>,
    entries: &[Entry],
) -> Result<(), DatabaseError> {
    let sql =
        "INSERT INTO journal_entries (project_id, user_id, incarnation, blob_id, blob_type, seq, flush_id, tokens,
            appended_at, payload)
        SELECT ?1, ?2, ?3, unhex(value ->> '$.id'), value ->> '$.type', value ->> '$.seq', ?4, value ->> '$.tokens',
            value ->> '$.at', value ->> '$.payload'
        FROM json_each(?5)";
    let row = |entry: &Entry| {
        json!({
            "id": hex(entry.blob.id.0), "type": entry.blob.blob_type.as_str(), "seq": entry.seq,
            "tokens": entry.blob.tokens, "at": micros(entry.appended_at), "payload": entry.blob.payload,
        })
    };
    let rows = to_json(&entries.iter().map(row).collect::<Value>())?;
    query(sql).of(owner).bind(flush_id.map(|id| id.0)).bind(rows).execute(conn).await?;
    Ok(())
}

/// Makes a batch the open one, claimed by nobody and due at once. Its entries are there already.
async fn open(conn: &mut SqliteConnection, owner: &Owner, batch: &Batch, now: i64) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO journal_batches (project_id, user_id, incarnation, flush_id, blob_type, token, ready_at,
            attempts, tries, retried)
        VALUES (?1, ?2, ?3, ?4, ?5, NULL, ?6, ?7, ?8, ?9)";
    let insert = query(sql).of(owner).bind(batch.flush_id.0).bind(batch.blob_type.as_str()).bind(now);
    insert.bind(batch.attempts).bind(batch.tries).bind(batch.retried).execute(conn).await?;
    Ok(())
}

pub(super) async fn owners(
    conn: &mut SqliteConnection,
    after: Option<&Owner>,
    limit: u32,
) -> Result<Vec<Owner>, DatabaseError> {
    let sql = "SELECT DISTINCT project_id, user_id, incarnation FROM journal_entries
        WHERE (project_id, user_id, incarnation) > (?1, ?2, ?3) ORDER BY 1, 2, 3 LIMIT ?4";
    let select = match after {
        Some(owner) => query_as(sql).of(owner),
        None => query_as(sql).bind("").bind(Vec::new()).bind(Vec::new()),
    };
    let rows: Vec<(String, Uuid, Uuid)> = select.bind(limit).fetch_all(conn).await?;
    let owner = |(project, user, incarnation): (String, Uuid, Uuid)| Owner {
        key: UserKey { project: ProjectId::from(project.as_str()), user: UserId(user) },
        incarnation: Incarnation(incarnation),
    };
    Ok(rows.into_iter().map(owner).collect())
}

pub(super) async fn holding(conn: &mut SqliteConnection, owner: &Owner) -> Result<Holding, DatabaseError> {
    let levels = entries::levels(conn, owner).await?;
    let sql = "SELECT seq, appended_at, blob_id, blob_type, tokens, payload FROM journal_entries
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND flush_id IS NULL";
    let rows: Vec<EntryRow> = query_as(sql).of(owner).fetch_all(&mut *conn).await?;
    let mut waiting: Vec<Entry> = rows.into_iter().map(|row| row.0).collect();
    waiting.sort_by_key(|entry| (entry.blob.blob_type, entry.seq));
    let open = match batches::open(conn, owner).await? {
        Some(Open { flush_id, blob_type, attempts, tries, retried, .. }) => {
            let entries = batches::sealed(conn, owner, flush_id).await?;
            Some(Batch { flush_id, blob_type, attempts, tries, retried, entries })
        }
        None => None,
    };
    Ok(Holding { last_seqs: levels.iter().map(|(kind, level)| (*kind, level.last_seq)).collect(), waiting, open })
}

pub(super) async fn adopt(
    conn: &mut SqliteConnection,
    owner: &Owner,
    holding: &Holding,
    now: i64,
) -> Result<(), DatabaseError> {
    entries::clear(conn, owner).await?;
    insert(conn, owner, None, &holding.waiting).await?;
    if let Some(batch) = &holding.open {
        insert(conn, owner, Some(batch.flush_id), &batch.entries).await?;
        open(conn, owner, batch, now).await?;
    }
    for (blob_type, last_seq) in &holding.last_seqs {
        let sql = "INSERT INTO journal_buffers (project_id, user_id, incarnation, blob_type, last_seq, blobs, tokens,
                oldest_at)
            SELECT ?1, ?2, ?3, ?4, ?5, count(*), coalesce(sum(tokens), 0), min(appended_at) FROM journal_entries
            WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND blob_type = ?4 AND flush_id IS NULL";
        let last_seq = i64::try_from(*last_seq).unwrap_or(i64::MAX);
        query(sql).of(owner).bind(blob_type.as_str()).bind(last_seq).execute(&mut *conn).await?;
    }
    Ok(())
}
