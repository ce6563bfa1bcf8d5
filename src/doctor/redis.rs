use std::time::Duration;

use jiff::Timestamp;

use super::{Finding, clock, journal};
use crate::backends::{Notes, open_redis_within};
use crate::config::Config;
use crate::journal::redis::{Durability, Fsync, RedisDatabase};

const WHAT: &str = "redis";

pub(super) async fn examine(config: &Config, notes: Option<Notes>, findings: &mut Vec<Finding>) {
    // What is not there now is a finding: nobody waits for it.
    let redis = match open_redis_within(config, Duration::ZERO).await {
        Ok(redis) => redis,
        Err(error) => {
            findings.push(Finding::bad(WHAT, format!("{error:#}"), "start Redis, or mend redis_url"));
            findings.extend(notes.as_ref().and_then(journal::unfinished));
            return;
        }
    };
    if let Some(redis) = &redis {
        itself(config, redis, findings).await;
    }
    findings.extend(journal::examine(notes.as_ref(), redis).await);
}

async fn itself(config: &Config, redis: &RedisDatabase, findings: &mut Vec<Finding>) {
    let asked = Timestamp::now();
    match redis.now().await {
        Ok(now) => findings.push(clock("clock", "Redis", asked, now, Timestamp::now())),
        Err(error) => findings.push(Finding::bad(WHAT, error.to_string(), "look into the log of Redis")),
    }
    match redis.durability().await {
        Ok(durability) => persistence(config, &durability, findings),
        Err(error) => findings.push(Finding::bad(WHAT, error.to_string(), "look into the log of Redis")),
    }
}

fn persistence(config: &Config, durability: &Durability, findings: &mut Vec<Finding>) {
    let text = durability.to_string();
    let kept = durability.appends && durability.fsync != Some(Fsync::No);
    findings.push(if kept {
        Finding::good("persistence", text)
    } else {
        let advice = "set appendonly yes and appendfsync everysec, or always for nothing at all to be lost, in redis.conf; \
            or while it runs: redis-cli CONFIG SET appendonly yes, CONFIG SET appendfsync everysec, CONFIG REWRITE";
        let level = if config.buffer_require_persistence { Finding::bad } else { Finding::warning };
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
