//! Reads what the scripts return.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use memory::blob::{BlobType, NewBlob};
use memory::ids::{BlobId, FlushId};
use memory::ports::{Batch, Entry, Holding, JournalError, Level, Taken};
use redis::{FromRedisValue, Value};
use uuid::Uuid;

/// The values of an answer, in turn.
pub(super) struct Values(std::vec::IntoIter<Value>);

/// What cannot be read. Its value is not told: it may be a payload.
pub(super) fn damaged(what: &str) -> JournalError {
    tracing::error!(what, "Redis holds something unreadable");
    JournalError::Damaged(format!("{what} in Redis cannot be read"))
}

impl Values {
    /// The values of a list.
    pub(super) fn of(value: Value) -> Result<Self, JournalError> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            _ => Err(damaged("a list")),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// The next value. `what` names it in the error.
    pub(super) fn next<T: FromRedisValue>(&mut self, what: &str) -> Result<T, JournalError> {
        let value = self.0.next().ok_or_else(|| damaged(what))?;
        redis::from_redis_value(value).map_err(|_| damaged(what))
    }

    pub(super) fn list(&mut self) -> Result<Self, JournalError> {
        Self::of(self.0.next().ok_or_else(|| damaged("a list"))?)
    }

    pub(super) fn kind(&mut self) -> Result<BlobType, JournalError> {
        self.next::<String>("a blob type")?.parse().map_err(|_| damaged("a blob type"))
    }

    pub(super) fn uuid(&mut self) -> Result<Uuid, JournalError> {
        read_uuid(&self.next::<String>("an id")?)
    }

    /// Last sequence number, blobs, tokens.
    pub(super) fn level(&mut self) -> Result<Level, JournalError> {
        let mut number = || self.next("a level");
        Ok(Level { last_seq: number()?, blobs: number()?, tokens: number()? })
    }

    /// Flush, type, attempts, tries, retried. The entries are yet to be read.
    pub(super) fn batch(&mut self) -> Result<Batch, JournalError> {
        Ok(Batch {
            flush_id: FlushId(self.uuid()?),
            blob_type: self.kind()?,
            attempts: self.next("the attempts of a batch")?,
            tries: self.next("the tries of a batch")?,
            retried: self.next::<u8>("the origin of a batch")? == 1,
            entries: Vec::new(),
        })
    }

    /// All that is left: id, meta and payload of each entry.
    pub(super) fn entries(mut self) -> Result<Vec<Entry>, JournalError> {
        let mut entries = Vec::with_capacity(self.0.len() / 3);
        while !self.is_empty() {
            let id = BlobId(self.uuid()?);
            let meta: String = self.next("an entry")?;
            entries.push(entry(id, &meta, self.next("a payload")?)?);
        }
        Ok(entries)
    }
}

/// An entry from what `meta` and `data` hold of it.
pub(super) fn entry(id: BlobId, meta: &str, payload: String) -> Result<Entry, JournalError> {
    read_entry(id, meta, payload).ok_or_else(|| damaged("an entry"))
}

/// `meta` is `<type>:<seq>:<appended at>:<tokens>`.
fn read_entry(id: BlobId, meta: &str, payload: String) -> Option<Entry> {
    let mut parts = meta.split(':');
    let blob_type = parts.next()?.parse().ok()?;
    let seq = parts.next()?.parse().ok()?;
    let appended_at = Timestamp::from_microsecond(parts.next()?.parse().ok()?).ok()?;
    let tokens = parts.next()?.parse().ok()?;
    Some(Entry { seq, appended_at, blob: NewBlob { id, blob_type, tokens, payload } })
}

pub(super) fn read_uuid(text: &str) -> Result<Uuid, JournalError> {
    Uuid::try_parse(text).map_err(|_| damaged("an id"))
}

/// The id at the end of a member of `waiting` or `sealed`: `<type>:<seq>:<id>`.
pub(super) fn id_of(member: &str) -> Result<BlobId, JournalError> {
    let id = member.rsplit(':').next().unwrap_or_default();
    Ok(BlobId(read_uuid(id)?))
}

pub(super) fn read_taken(reply: Value) -> Result<Taken, JournalError> {
    let mut values = Values::of(reply)?;
    match values.next::<String>("an answer")?.as_str() {
        "busy" => Ok(Taken::Busy { ready_in: Duration::from_micros(values.next("a wait")?) }),
        "empty" => Ok(Taken::Empty(values.level()?)),
        _ => {
            let mut batch = values.batch()?;
            let level = values.level()?;
            batch.entries = values.entries()?;
            Ok(Taken::Batch(batch, level))
        }
    }
}

pub(super) fn read_levels(fields: Vec<(String, String)>) -> Result<Vec<(BlobType, Level)>, JournalError> {
    let mut levels: BTreeMap<BlobType, Level> = BTreeMap::new();
    for (field, value) in fields {
        // The other fields are those of the open batch.
        let Some((what, kind)) = field.split_once(':') else { continue };
        let level = levels.entry(kind.parse().map_err(|_| damaged("a blob type"))?).or_default();
        let number = value.parse().map_err(|_| damaged("a level"))?;
        match what {
            "last" => level.last_seq = number,
            "blobs" => level.blobs = number,
            "tokens" => level.tokens = number,
            _ => return Err(damaged("a level")),
        }
    }
    Ok(levels.into_iter().collect())
}

pub(super) fn read_holding(reply: Value) -> Result<Holding, JournalError> {
    let mut parts = Values::of(reply)?;
    let state: Vec<(String, String)> = parts.next("the state of an owner")?;
    let (mut waiting, sealed) = (parts.list()?.entries()?, parts.list()?.entries()?);
    waiting.sort_by_key(|entry| (entry.blob.blob_type, entry.seq));
    let field = |name| state.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    let open = match field("flush") {
        Some(_) => {
            let fields = ["flush", "kind", "attempts", "tries", "retried"].map(|name| field(name).unwrap_or_default());
            let fields = fields.map(|value| Value::BulkString(value.into_bytes()));
            Some(Batch { entries: sealed, ..Values(Vec::from(fields).into_iter()).batch()? })
        }
        None => None,
    };
    let last_seqs = read_levels(state)?.into_iter().map(|(kind, level)| (kind, level.last_seq)).collect();
    Ok(Holding { last_seqs, waiting, open })
}
