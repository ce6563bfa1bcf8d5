use jiff::Timestamp;

use super::database::Place;
use super::{Finding, clock};
use crate::backends::{JournalPlace, open_redis};
use crate::config::Config;
use crate::journal::redis::{Durability, Fsync, RedisDatabase};

const WHAT: &str = "redis";

pub(super) async fn examine(config: &Config, place: Place, findings: &mut Vec<Finding>) {
    let redis = match open_redis(config).await {
        Ok(redis) => redis,
        Err(error) => {
            findings.push(Finding::bad(WHAT, format!("{error:#}"), "start Redis, or mend redis_url"));
            return;
        }
    };
    let Some(redis) = redis else {
        findings.push(match place {
            Some((_, Some(JournalPlace::Redis))) => Finding::bad(
                "journal",
                "the journal of this store is in Redis; redis_url is not set",
                "set redis_url to that Redis; `powermemo journal move store` brings the journal back",
            ),
            Some(_) => Finding::good("journal", "in the store; redis_url is not set"),
            // The store was not asked.
            None => Finding::good("journal", "redis_url is not set: a server looks for it in the store"),
        });
        return;
    };
    let asked = Timestamp::now();
    match redis.now().await {
        Ok(now) => findings.push(clock("clock", "Redis", asked, now, Timestamp::now())),
        Err(error) => findings.push(Finding::bad(WHAT, error.to_string(), "look into the log of Redis")),
    }
    match redis.durability().await {
        Ok(durability) => persistence(config, &durability, findings),
        Err(error) => findings.push(Finding::bad(WHAT, error.to_string(), "look into the log of Redis")),
    }
    if let Some((ours, place)) = place {
        findings.push(journal(&redis, &ours, place).await);
    }
}

fn persistence(config: &Config, durability: &Durability, findings: &mut Vec<Finding>) {
    let text = durability.to_string();
    let kept = durability.appends && durability.fsync != Some(Fsync::No);
    findings.push(if kept {
        Finding::good("persistence", text)
    } else {
        let advice = "set appendonly yes and appendfsync everysec, or always for nothing at all to be lost, in Redis";
        let level = if config.buffer_require_persistence { Finding::bad } else { Finding::advice };
        level("persistence", text, advice.to_owned())
    });
    findings.push(match durability.problem() {
        Some(problem) => Finding::bad("eviction", problem, "set maxmemory-policy noeviction in Redis"),
        None => Finding::good("eviction", "no key is thrown away"),
    });
    if durability.max_memory_bytes == 0 {
        let text = "Redis may use all memory of its machine";
        findings.push(Finding::advice(
            "memory",
            text,
            "set maxmemory: a full Redis answers inserts with 503 and recovers",
        ));
    }
}

async fn journal(redis: &RedisDatabase, ours: &str, place: Option<JournalPlace>) -> Finding {
    let what = "journal";
    match (redis.journal_id().await, place) {
        (Err(error), _) => Finding::bad(what, error.to_string(), "look into the log of Redis"),
        (Ok(Some(theirs)), _) if theirs != ours => Finding::bad(
            what,
            "this Redis holds the journal of another store",
            "check redis_url and database_url, or set another redis_key_prefix",
        ),
        (Ok(None), Some(JournalPlace::Redis)) => Finding::bad(
            what,
            "the journal was in Redis, and this Redis is empty",
            "check redis_url; what waited in a Redis that is lost is lost with it, and the next start goes on without",
        ),
        (Ok(_), Some(JournalPlace::Store)) => Finding::bad(
            what,
            "the journal is in the store, and redis_url is set: a server would refuse to start",
            "stop all servers and run `powermemo journal move redis`, or unset redis_url",
        ),
        (Ok(_), _) => Finding::good(what, "store and Redis belong together"),
    }
}
