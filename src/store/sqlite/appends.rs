//! Appends to the journal, a group at a time.
//!
//! A call to SQLite costs as much as the work of an append, so the writer takes those that wait together as data:
//! three statements do for all of them. There is one writer, so nothing comes between these.

use std::collections::HashMap;

use memory::blob::{BlobType, NewBlob};
use memory::ids::{BlobId, Owner};
use memory::ports::{Append, Level};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection, query, query_as};

use super::error::DatabaseError;
use super::rows::{blob_type, hex, to_json};

/// What is known of each append in the list `?1`, in its order: whether its owner is gone, the entry if it is not
/// new, and the level of its buffer.
pub(super) const KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM tombstones AS t
            WHERE t.project_id = a.value ->> '$.p' AND t.user_id = unhex(a.value ->> '$.u')
                AND t.incarnation = unhex(a.value ->> '$.i')) AS gone,
        e.seq, e.blob_type, b.last_seq, b.blobs, b.tokens
    FROM json_each(?1) AS a
    LEFT JOIN journal_entries AS e
        ON e.project_id = a.value ->> '$.p' AND e.user_id = unhex(a.value ->> '$.u')
            AND e.incarnation = unhex(a.value ->> '$.i') AND e.blob_id = unhex(a.value ->> '$.id')
    LEFT JOIN journal_buffers AS b
        ON b.project_id = a.value ->> '$.p' AND b.user_id = unhex(a.value ->> '$.u')
            AND b.incarnation = unhex(a.value ->> '$.i') AND b.blob_type = coalesce(e.blob_type, a.value ->> '$.type')
    ORDER BY a.key";

const ENTRIES: &str = "INSERT INTO journal_entries (project_id, user_id, incarnation, blob_id, blob_type, seq, tokens,
        appended_at, payload)
    SELECT value ->> '$.p', unhex(value ->> '$.u'), unhex(value ->> '$.i'), unhex(value ->> '$.id'),
        value ->> '$.type', value ->> '$.seq', value ->> '$.tokens', value ->> '$.at', value ->> '$.payload'
    FROM json_each(?1)";

const BUFFERS: &str =
    "INSERT INTO journal_buffers (project_id, user_id, incarnation, blob_type, last_seq, blobs, tokens,
        oldest_at)
    SELECT value ->> '$.p', unhex(value ->> '$.u'), unhex(value ->> '$.i'), value ->> '$.type', value ->> '$.last_seq',
        value ->> '$.blobs', value ->> '$.tokens', value ->> '$.at'
    FROM json_each(?1) WHERE TRUE
    ON CONFLICT DO UPDATE SET last_seq = excluded.last_seq, blobs = excluded.blobs, tokens = excluded.tokens,
        oldest_at = coalesce(oldest_at, excluded.oldest_at)";

/// An append that is asked for. `at` is in microseconds since 1970.
pub(crate) struct NewAppend {
    pub(crate) owner: Owner,
    pub(crate) blob: NewBlob,
    pub(crate) at: i64,
}

struct Known {
    gone: bool,
    entry: Option<(u64, BlobType)>,
    level: Level,
}

impl<'r> FromRow<'r, SqliteRow> for Known {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        let number = |name| Ok::<_, sqlx::Error>(count(row.try_get::<Option<i64>, _>(name)?.unwrap_or_default()));
        let entry = match row.try_get::<Option<i64>, _>("seq")? {
            Some(seq) => Some((count(seq), blob_type(row.try_get("blob_type")?)?)),
            None => None,
        };
        let level = Level { last_seq: number("last_seq")?, blobs: number("blobs")?, tokens: number("tokens")? };
        Ok(Self { gone: row.try_get("gone")?, entry, level })
    }
}

/// The checks of the tables keep these from being negative.
fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// A buffer that a group adds to.
struct Buffer {
    level: Level,
    /// When the first blob was added, if any was.
    at: Option<i64>,
}

/// What a group does, worked out blob by blob.
#[derive(Default)]
struct Plan<'a> {
    buffers: HashMap<(&'a Owner, BlobType), Buffer>,
    /// Blobs that were seen: a group may hold a repeated append.
    seen: HashMap<(&'a Owner, BlobId), (u64, BlobType)>,
    entries: Vec<Value>,
}

impl<'a> Plan<'a> {
    fn add(&mut self, append: &'a NewAppend, known: Known) -> Option<Append> {
        if known.gone {
            return None;
        }
        let NewAppend { owner, blob, at } = append;
        let entry = known.entry.or_else(|| self.seen.get(&(owner, blob.id)).copied());
        let kind = entry.map_or(blob.blob_type, |(_, kind)| kind);
        let buffer = self.buffers.entry((owner, kind)).or_insert(Buffer { level: known.level, at: None });
        if let Some((seq, _)) = entry {
            return Some(Append { seq, level: buffer.level });
        }
        buffer.at.get_or_insert(*at);
        buffer.level.last_seq += 1;
        buffer.level.blobs += 1;
        buffer.level.tokens += u64::from(blob.tokens);
        let seq = buffer.level.last_seq;
        self.seen.insert((owner, blob.id), (seq, kind));
        self.entries.push(json!({
            "p": owner.key.project, "u": hex(owner.key.user.0), "i": hex(owner.incarnation.0),
            "id": hex(blob.id.0), "type": kind.as_str(), "seq": seq, "tokens": blob.tokens, "at": at,
            "payload": blob.payload,
        }));
        Some(Append { seq, level: buffer.level })
    }

    /// The buffers that were added to.
    fn changed(&self) -> Vec<Value> {
        let changed = self.buffers.iter().filter_map(|(of, buffer)| Some((of, buffer.level, buffer.at?)));
        let row = |((owner, kind), level, at): (&(&Owner, BlobType), Level, i64)| {
            json!({
                "p": owner.key.project, "u": hex(owner.key.user.0), "i": hex(owner.incarnation.0),
                "type": kind.as_str(), "last_seq": level.last_seq, "blobs": level.blobs, "tokens": level.tokens,
                "at": at,
            })
        };
        changed.map(row).collect()
    }
}

/// Appends in order, and answers each; with none when its owner is gone.
pub(super) async fn run(
    conn: &mut SqliteConnection,
    appends: &[&NewAppend],
) -> Result<Vec<Option<Append>>, DatabaseError> {
    let asked = |append: &&NewAppend| {
        let NewAppend { owner, blob, .. } = append;
        json!({
            "p": owner.key.project, "u": hex(owner.key.user.0), "i": hex(owner.incarnation.0),
            "id": hex(blob.id.0), "type": blob.blob_type.as_str(),
        })
    };
    let asked = to_json(&appends.iter().map(asked).collect::<Value>())?;
    let known: Vec<Known> = query_as(KNOWN).bind(asked).fetch_all(&mut *conn).await?;
    if known.len() != appends.len() {
        return Err(DatabaseError::Damaged("an append is known twice"));
    }
    let mut plan = Plan::default();
    let answers = appends.iter().zip(known).map(|(append, known)| plan.add(append, known)).collect();
    if !plan.entries.is_empty() {
        query(ENTRIES).bind(to_json(&plan.entries)?).execute(&mut *conn).await?;
        query(BUFFERS).bind(to_json(&plan.changed())?).execute(conn).await?;
    }
    Ok(answers)
}
