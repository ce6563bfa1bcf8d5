use std::sync::Arc;

use memory::ports::Journal as _;

use super::Finding;
use crate::backends::{JournalPlace, Notes};
use crate::journal::redis::{RedisDatabase, RedisJournal};

const WHAT: &str = "journal";

/// Whether messages are where a server looks for them. `notes` is what the store says, if it was asked; `redis` the one
/// that is configured.
pub(super) async fn examine(notes: Option<&Notes>, redis: Option<Arc<RedisDatabase>>) -> Vec<Finding> {
    let Some(notes) = notes else {
        let text = "redis_url is not set: a server looks for it in the store";
        return if redis.is_none() { vec![Finding::good(WHAT, text)] } else { Vec::new() };
    };
    // Before it has ended, all else is as it should be, or not to be told yet.
    if let Some(unfinished) = unfinished(notes) {
        return vec![unfinished];
    }
    let mut findings = vec![match &redis {
        Some(redis) => in_redis(redis, notes).await,
        None => in_store(notes),
    }];
    if notes.place == Some(JournalPlace::Redis) && notes.holds_messages {
        findings.push(Finding::bad(
            WHAT,
            "messages wait in the store's own journal, and the journal is in Redis: a server would refuse to start",
            "stop all servers and run `powermemo journal move redis`, which adds them to those in Redis",
        ));
    }
    if let Some(redis) = redis
        && notes.place == Some(JournalPlace::Store)
        && redis.journal_id().await.is_ok_and(|name| name.as_ref() == Some(&notes.name))
        && RedisJournal::new(redis).owners(None, 1).await.is_ok_and(|owners| !owners.is_empty())
    {
        findings.push(Finding::bad(
            WHAT,
            "messages of this store wait in Redis, and the journal is in the store",
            "stop all servers and run `powermemo journal move store`, which adds them to those in the store",
        ));
    }
    findings
}

/// A move that was begun and has not come to its end.
pub(super) fn unfinished(notes: &Notes) -> Option<Finding> {
    let to = notes.moving?;
    let name = to.as_str();
    Some(Finding::bad(
        WHAT,
        format!("a move to {to} was begun and has not come to its end: a server would refuse to start"),
        format!("stop all servers and run `powermemo journal move {name}` to its end, with redis_url as it was then"),
    ))
}

fn in_store(notes: &Notes) -> Finding {
    if notes.place == Some(JournalPlace::Redis) {
        return Finding::bad(
            WHAT,
            "the journal of this store is in Redis; redis_url is not set",
            "set redis_url to that Redis; `powermemo journal move store` brings the journal back",
        );
    }
    Finding::good(WHAT, "in the store; redis_url is not set")
}

async fn in_redis(redis: &RedisDatabase, notes: &Notes) -> Finding {
    match (redis.journal_id().await, notes.place) {
        (Err(error), _) => Finding::bad(WHAT, error.to_string(), "look into the log of Redis"),
        (Ok(Some(theirs)), _) if theirs != notes.name => Finding::bad(
            WHAT,
            "this Redis holds the journal of another store",
            "check redis_url and database_url, or set another redis_key_prefix",
        ),
        (Ok(None), Some(JournalPlace::Redis)) => Finding::bad(
            WHAT,
            "the journal was in Redis, and this Redis is empty",
            "check redis_url; what waited in a Redis that is lost is lost with it, and the next start goes on without",
        ),
        (Ok(_), Some(JournalPlace::Store)) => Finding::bad(
            WHAT,
            "the journal is in the store, and redis_url is set: a server would refuse to start",
            "stop all servers and run `powermemo journal move redis`, or unset redis_url",
        ),
        (Ok(_), _) => Finding::good(WHAT, "store and Redis belong together"),
    }
}
