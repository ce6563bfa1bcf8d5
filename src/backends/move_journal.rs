use std::sync::Arc;

use anyhow::{Context, ensure};
use memory::ports::Journal;

use super::place::{JournalPlace, PlaceError, check_name, name};
use super::{Database, check_durability, open_redis};
use crate::config::Config;
use crate::journal::redis::{RedisDatabase, RedisJournal};
use crate::journal::transfer::{Moved, clear, copy};
use crate::store::postgres::Exclusive;
use crate::words::counted;

/// Moves the journal to another place, and tells what was moved. With `abandon`, a journal in a Redis that is lost for
/// good is given up.
///
/// # Errors
/// When a server runs, a part is away, or store and journal do not belong together. What was cut short may be repeated.
pub async fn move_journal(config: &Config, to: JournalPlace, abandon: bool) -> anyhow::Result<String> {
    let database = Database::open(config).await?;
    let done = moved(config, &database, to, abandon).await;
    let closed = database.close().await;
    done.and_then(|told| closed.map(|()| told))
}

async fn moved(config: &Config, database: &Database, to: JournalPlace, abandon: bool) -> anyhow::Result<String> {
    let mut alone = alone(database).await?;
    let redis = open_redis(config).await?.context("redis_url is not set: set it to the Redis that is meant")?;
    let ours = database.journal_id().await?;
    check_name(&redis, &ours).await?;
    let in_redis: Arc<dyn Journal> = Arc::new(RedisJournal::new(redis.clone()));
    let (from, target) = match to {
        JournalPlace::Redis => (database.journal(), in_redis),
        JournalPlace::Store => (in_redis, database.journal()),
    };
    let place = database.journal_place().await?.unwrap_or(JournalPlace::Store);
    let underway = database.journal_move().await?;
    if let Some(other) = underway.filter(|other| *other != to) {
        return Err(PlaceError::Moving(other.as_str().to_owned()).into());
    }
    let arrived = place == to;
    if place == JournalPlace::Redis {
        check_source(&redis, abandon).await?;
    }
    if arrived && underway.is_some() {
        // All was copied before; what is left there is what was copied.
        clear(&*from).await?;
        database.set_journal_move(None).await?;
        return Ok(format!("the journal is in {to} now: the move that was cut short has come to its end"));
    }
    if to == JournalPlace::Redis {
        let durability = redis.durability().await?;
        check_durability(config, &durability)?;
        ensure!(durability.problem().is_none(), "this Redis cannot hold a journal: {durability}");
    }
    database.set_journal_move(Some(to)).await?;
    let moved = copy(&*from, &*target).await?;
    if let Some(alone) = &mut alone {
        ensure!(alone.is_held().await, "the connection to Postgres was lost; run the command again");
    }
    if to == JournalPlace::Redis {
        name(&redis, &ours).await?;
    }
    database.set_journal_place(to).await?;
    clear(&*from).await?;
    database.set_journal_move(None).await?;
    if arrived && moved == Moved::default() {
        return Ok(format!("the journal is in {to} already; nothing was to be moved"));
    }
    Ok(told(to, &moved))
}

fn told(to: JournalPlace, moved: &Moved) -> String {
    let (waiting, users) = (counted(moved.waiting, "message"), counted(moved.owners, "user"));
    format!(
        "the journal is in {to} now: {waiting} that waited and {} of open batches were moved, of {users}",
        moved.sealed
    )
}

/// Keeps servers away. A folder of SQLite has one process anyway.
async fn alone(database: &Database) -> anyhow::Result<Option<Exclusive>> {
    let Database::Postgres(database) = database else { return Ok(None) };
    let exclusive = database.take_exclusively().await?;
    Ok(Some(exclusive.context("a server, or another such command, runs on this database: stop it first")?))
}

/// An empty Redis may be the wrong one.
async fn check_source(redis: &RedisDatabase, abandon: bool) -> anyhow::Result<()> {
    let known = redis.journal_id().await?.is_some();
    ensure!(
        known || abandon,
        "this Redis is empty, and the store's journal is in Redis: check redis_url. To go to another Redis, run `journal \
         move store` with the one that has it, then `journal move redis` with the other. If it is lost for good, with all \
         messages that waited in it, run `journal move store --abandon`"
    );
    Ok(())
}
