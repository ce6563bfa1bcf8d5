//! The journal in Redis 7 or newer.
//!
//! Every user, over all its lives, belongs to one of 256 shards (`keys::shard_of`, never to be changed). Each step of
//! the port is one script that runs as a whole, touches keys of one shard only and is handed them all, so that they can
//! be spread over a Redis Cluster. The clock is that of Redis. Instants are microseconds since 1970, ids 32 hexadecimal
//! digits; with the prefix `pm`, shard 17 and `<owner>` for `<user>:<incarnation>:<project>`, the keys are:
//!
//! | key | kind | what is in it |
//! |---|---|---|
//! | `{pm:017}:state:<owner>` | hash | `last:<type>`, `blobs:<type>`, `tokens:<type>`: the level of each buffer. While a batch is open: `flush`, `kind`, `ready` (when its claim or wait ends), `attempts`, `tries`, `retried`; while it is claimed: `token` |
//! | `{pm:017}:meta:<owner>` | hash | by blob: `<type>:<seq>:<appended at>:<tokens>` |
//! | `{pm:017}:data:<owner>` | hash | by blob: its payload |
//! | `{pm:017}:waiting:<owner>` | sorted by name | `<type>:<seq, 20 digits>:<blob>` of each blob that waits |
//! | `{pm:017}:sealed:<owner>` | sorted by name | the same of each blob of the open batch |
//! | `{pm:017}:gone:<owner>` | string | stands after a purge, and expires (`RedisOptions::tombstone_retention`) |
//! | `{pm:017}:due:waiting` | sorted | `<type>:<owner>` by the instant of the oldest blob that waits; not while the owner has an open batch |
//! | `{pm:017}:due:batches` | sorted | `<type>:<owner>` of each open batch by `ready` |
//! | `{pm:017}:owners` | sorted by name | each `<owner>` of whom something waits or is sealed |
//! | `pm:journal_id` | string | the name of the journal, which the store knows, too |
//!
//! The life of a batch: an append adds to `meta`, `data` and `waiting`. A take moves the longest prefix of one type from
//! `waiting` to `sealed`, opens the batch in `state`, takes the owner out of `due:waiting` and puts it into
//! `due:batches`. Renewals and releases move `ready` on. A discard forgets the sealed blobs and the batch, and puts what
//! waits back into `due:waiting`. What remains of an owner with empty buffers is `state`, so that sequence numbers are
//! not given out twice; it expires when nothing is appended for 90 days.
//!
//! An append is refused when Redis is full; taking, discarding and deleting go on, and make room.

mod args;
mod database;
mod due;
mod durability;
mod error;
mod keys;
mod link;
mod replies;
mod scripts;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use memory::blob::{BlobType, NewBlob};
use memory::ids::{BlobId, ClaimToken, FlushId, Owner};
use memory::ports::{
    Append, Due, Entry, Holding, Journal, JournalError, Level, Release, Removed, Requeue, Requeued, Reseal, Standing,
    Take, Taken,
};
use redis::{FromRedisValue, Script, Value, cmd};

pub use database::{OpenError, RedisDatabase, RedisOptions};
pub use durability::{Durability, Fsync};

use args::{Args, EXACT, length_us, micros};
use database::Repeat;
use due::{Listed, Merged, merge};
use replies::{Values, damaged, entry, id_of, read_holding, read_levels, read_taken};

/// How many entries more than its share each shard is asked for at first.
const SPARE: u32 = 16;
/// Keys that are asked for at once.
const OWNERS_STEP: usize = 32;

/// The journal in a Redis. See the module.
#[derive(Clone, Debug)]
pub struct RedisJournal {
    database: Arc<RedisDatabase>,
}

impl RedisJournal {
    /// The journal in an open Redis.
    pub fn new(database: Arc<RedisDatabase>) -> Self {
        Self { database }
    }

    /// Runs a script on the keys of an owner.
    async fn run<T: FromRedisValue>(
        &self,
        repeat: Repeat,
        script: &'static Script,
        owner: &Owner,
        args: &mut Args,
    ) -> Result<T, JournalError> {
        let mut all = Args::default();
        all.add(keys::owner_name(owner)).add(self.database.clock_shift_us());
        all.0.append(&mut args.0);
        self.database.script(repeat, script, &keys::of_owner(self.database.prefix(), owner), all.0).await
    }

    /// As [`RedisJournal::run`], for a script that says whether it did something.
    async fn did(
        &self,
        repeat: Repeat,
        script: &'static Script,
        owner: &Owner,
        args: &mut Args,
    ) -> Result<bool, JournalError> {
        Ok(self.run::<u8>(repeat, script, owner, args).await? == 1)
    }

    /// Asks all shards at once, each for `each` entries of either index at least.
    async fn due_lists(&self, age: Duration, from: Option<Timestamp>, each: u32) -> Result<Vec<Listed>, JournalError> {
        let from = from.map(|from| micros(from).to_string()).unwrap_or_default();
        let args = [self.database.clock_shift_us().to_string(), length_us(age).to_string(), from, each.to_string()];
        let run = |shard| (keys::due(self.database.prefix(), shard).to_vec(), args.to_vec());
        let answer: Vec<[List; 2]> =
            self.database.script_many(&scripts::DUE, (0..keys::SHARDS).map(run).collect()).await?;
        answer.into_iter().flatten().map(listed).collect()
    }
}

/// How many entries there are at most; and the members of a due index, with the instant since when each is due.
type List = (usize, Vec<(String, i64)>);

fn listed((most, list): List) -> Result<Listed, JournalError> {
    let truncated = list.len() >= most;
    let read = |(member, since): (String, i64)| {
        let (owner, blob_type) = keys::read_due(&member).ok_or_else(|| damaged("an owner"))?;
        let since = Timestamp::from_microsecond(since).map_err(|_| damaged("an instant"))?;
        Ok((since, Due { owner, blob_type }))
    };
    Ok(Listed { due: list.into_iter().map(read).collect::<Result<_, JournalError>>()?, truncated })
}

#[async_trait]
impl Journal for RedisJournal {
    async fn append(&self, owner: &Owner, blob: &NewBlob) -> Result<Append, JournalError> {
        let mut args = Args::default();
        args.id(blob.id.0).add(blob.blob_type).add(blob.tokens).add(&blob.payload);
        let reply: Option<Value> = self.run(Repeat::Harmless, &scripts::APPEND, owner, &mut args).await?;
        let mut values = Values::of(reply.ok_or(JournalError::OwnerGone)?)?;
        Ok(Append { seq: values.next("a number")?, level: values.level()? })
    }

    async fn levels(&self, owner: &Owner) -> Result<Vec<(BlobType, Level)>, JournalError> {
        let [state, ..] = keys::of_owner(self.database.prefix(), owner);
        read_levels(self.database.query(Repeat::Harmless, move || cmd("HGETALL").arg(&state).to_owned()).await?)
    }

    async fn take(&self, owner: &Owner, take: &Take) -> Result<Taken, JournalError> {
        let mut args = Args::default();
        args.add(take.blob_type).id(take.flush_id.0).id(take.token.0).length(take.lease);
        args.add(take.max_tokens.min(EXACT)).add(take.max_blobs).add(u8::from(take.ignore_backoff));
        read_taken(self.run(Repeat::Harmless, &scripts::TAKE, owner, &mut args).await?)
    }

    async fn renew(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        token: ClaimToken,
        lease: Duration,
    ) -> Result<bool, JournalError> {
        let mut args = Args::default();
        args.id(flush_id.0).id(token.0).length(lease);
        self.did(Repeat::Harmless, &scripts::RENEW, owner, &mut args).await
    }

    async fn reseal(&self, owner: &Owner, reseal: &Reseal) -> Result<bool, JournalError> {
        let mut args = Args::default();
        args.id(reseal.flush_id.0).id(reseal.new_flush_id.0);
        match reseal.token {
            Some(token) => args.id(token.0),
            None => args.add(""),
        };
        for id in &reseal.drop {
            args.id(id.0);
        }
        self.did(Repeat::Telling, &scripts::RESEAL, owner, &mut args).await
    }

    async fn release(
        &self,
        owner: &Owner,
        flush_id: FlushId,
        token: ClaimToken,
        release: Release,
    ) -> Result<bool, JournalError> {
        let mut args = Args::default();
        args.id(flush_id.0).id(token.0).length(release.retry_in);
        args.add(release.setback.attempts()).add(release.setback.tries());
        self.did(Repeat::Telling, &scripts::RELEASE, owner, &mut args).await
    }

    async fn discard(&self, owner: &Owner, flush_id: FlushId) -> Result<(), JournalError> {
        let mut args = Args::default();
        self.run(Repeat::Harmless, &scripts::DISCARD, owner, args.id(flush_id.0)).await
    }

    async fn blob_ids(
        &self,
        owner: &Owner,
        blob_type: BlobType,
        standing: Standing,
    ) -> Result<Vec<BlobId>, JournalError> {
        let [_, _, _, waiting, sealed, ..] = keys::of_owner(self.database.prefix(), owner);
        let key = match standing {
            Standing::Waiting => waiting,
            Standing::Sealed => sealed,
        };
        let range =
            move || cmd("ZRANGEBYLEX").arg(&key).arg(format!("[{blob_type}:")).arg(format!("({blob_type};")).to_owned();
        let members: Vec<String> = self.database.query(Repeat::Harmless, range).await?;
        members.iter().map(|member| id_of(member)).collect()
    }

    async fn blob(&self, owner: &Owner, blob_id: BlobId) -> Result<Option<Entry>, JournalError> {
        let mut args = Args::default();
        let found: (Option<String>, Option<String>) =
            self.run(Repeat::Harmless, &scripts::BLOB, owner, args.id(blob_id.0)).await?;
        match found {
            (Some(meta), Some(payload)) => entry(blob_id, &meta, payload).map(Some),
            (None, None) => Ok(None),
            _ => Err(damaged("an entry")),
        }
    }

    async fn remove(&self, owner: &Owner, blob_id: BlobId) -> Result<Removed, JournalError> {
        let mut args = Args::default();
        let mut values = Values::of(self.run(Repeat::Telling, &scripts::REMOVE, owner, args.id(blob_id.0)).await?)?;
        match values.next::<String>("an answer")?.as_str() {
            "waiting" => Ok(Removed::Waiting(values.kind()?, values.level()?)),
            "sealed" => Ok(Removed::Sealed(FlushId(values.uuid()?))),
            _ => Ok(Removed::Unknown),
        }
    }

    async fn requeue(&self, owner: &Owner, requeue: &Requeue) -> Result<Requeued, JournalError> {
        let mut args = Args::default();
        args.id(requeue.flush_id.0).add(requeue.blob_type);
        for (blob, at) in &requeue.blobs {
            args.id(blob.id.0).add(blob.tokens).add(micros(*at)).add(&blob.payload);
        }
        let answer: String = self.run(Repeat::Harmless, &scripts::REQUEUE, owner, &mut args).await?;
        match answer.as_str() {
            "gone" => Err(JournalError::OwnerGone),
            "busy" => Ok(Requeued::Busy),
            _ => Ok(Requeued::Queued),
        }
    }

    async fn due(
        &self,
        age: Duration,
        from: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<(Timestamp, Due)>, JournalError> {
        // Users are spread evenly, so a few more than its share of each shard are enough but for bad luck.
        let mut each = limit.min(limit / u32::from(keys::SHARDS) * 2 + SPARE);
        loop {
            let lists = self.due_lists(age, from, each).await?;
            let Merged { due, short } = merge(lists, from, limit as usize);
            if !short || each >= limit {
                return Ok(due);
            }
            each = each.saturating_mul(8).min(limit);
        }
    }

    async fn purge(&self, owner: &Owner) -> Result<(), JournalError> {
        let retention_ms = self.database.tombstone_retention().as_millis().clamp(1, u128::from(EXACT / 1000));
        let mut args = Args::default();
        self.run(Repeat::Harmless, &scripts::PURGE, owner, args.add(retention_ms)).await
    }

    /// By shard, then by name.
    async fn owners(&self, after: Option<&Owner>, limit: u32) -> Result<Vec<Owner>, JournalError> {
        let (first_shard, mut behind) = match after {
            Some(owner) => (keys::shard_of(&owner.key), format!("({}", keys::owner_name(owner))),
            None => (0, "-".to_owned()),
        };
        let (mut owners, limit) = (Vec::new(), limit as usize);
        for step in (first_shard..keys::SHARDS).collect::<Vec<_>>().chunks(OWNERS_STEP) {
            let left = limit - owners.len();
            if left == 0 {
                break;
            }
            let mut pipe = redis::pipe();
            for shard in step {
                let key = keys::owners(self.database.prefix(), *shard);
                pipe.cmd("ZRANGEBYLEX").arg(key).arg(&behind).arg("+").arg("LIMIT").arg(0).arg(left);
                "-".clone_into(&mut behind);
            }
            let found: Vec<Vec<String>> = self.database.pipeline(pipe).await?;
            for name in found.iter().flatten().take(left) {
                owners.push(keys::read_owner(name).ok_or_else(|| damaged("an owner"))?);
            }
        }
        Ok(owners)
    }

    async fn holding(&self, owner: &Owner) -> Result<Holding, JournalError> {
        read_holding(self.run(Repeat::Harmless, &scripts::HOLDING, owner, &mut Args::default()).await?)
    }

    async fn adopt(&self, owner: &Owner, holding: &Holding) -> Result<(), JournalError> {
        let mut args = Args::default();
        args.add(holding.last_seqs.len());
        for (kind, last_seq) in &holding.last_seqs {
            args.add(kind).add((*last_seq).min(EXACT));
        }
        args.add(holding.waiting.len());
        match &holding.open {
            Some(batch) => {
                args.id(batch.flush_id.0).add(batch.blob_type).add(batch.attempts).add(batch.tries);
                args.add(u8::from(batch.retried));
            }
            None => (0..5).for_each(|_| _ = args.add("")),
        }
        for entry in holding.waiting.iter().chain(holding.open.iter().flat_map(|batch| &batch.entries)) {
            args.entry(entry);
        }
        self.run(Repeat::Harmless, &scripts::ADOPT, owner, &mut args).await
    }

    async fn hand_over(&self, owner: &Owner) -> Result<(), JournalError> {
        self.run(Repeat::Harmless, &scripts::HAND_OVER, owner, &mut Args::default()).await
    }
}
