//! What an error of Redis means for a step.

use std::time::Instant;

use memory::outage::{Line, Outage};
use memory::ports::JournalError;
use redis::{ErrorKind, RedisError};

/// What was said in the log of Redis failing. A server has one; failures have no place of their own to keep it in.
pub(super) static OUTAGE: Outage = Outage::new();

/// What to do after an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The connection is of no use any more. Whether the step was done is unknown.
    Broken,
    /// The step was not done, and could be in a moment.
    NotYet,
    /// The step was not done, and trying again at once would not help.
    Refused,
}

/// The code that Redis begins its error with, such as `OOM`, and the rest; empty when the error is not from Redis.
fn answer(error: &RedisError) -> (String, String) {
    let first = error.clone().into_server_errors().and_then(|errors| errors.first().map(|(_, error)| error.clone()));
    first.map_or_else(Default::default, |error| {
        (error.code().to_owned(), error.details().unwrap_or_default().to_owned())
    })
}

/// What to do after this error.
pub(super) fn verdict(error: &RedisError) -> Verdict {
    match answer(error).0.as_str() {
        // After a failover the name may lead to another server, but only a new connection goes there.
        "READONLY" => Verdict::Broken,
        "LOADING" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "BUSY" => Verdict::NotYet,
        "" if error.kind() == ErrorKind::Io || error.is_unrecoverable_error() => Verdict::Broken,
        _ => Verdict::Refused,
    }
}

/// The error for the caller: short words that name no internals. The details go to the log.
pub(super) fn to_journal_error(error: &RedisError) -> JournalError {
    let (code, details) = answer(error);
    let reason = match code.as_str() {
        "" if error.is_timeout() => "Redis did not answer in time",
        "" if error.kind() == ErrorKind::UnexpectedReturnType => {
            return damaged(error, "an answer of Redis cannot be read");
        }
        "" => "Redis cannot be reached",
        "OOM" => "Redis is full: it has reached its maxmemory",
        "LOADING" => "Redis is still loading its data",
        "BUSY" => "Redis is busy",
        "READONLY" => "Redis is a read-only replica",
        "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" => "Redis is without a master",
        "MISCONF" => "Redis cannot write to its disk",
        "NOREPLICAS" => "Redis has too few replicas to accept writes",
        "NOAUTH" | "WRONGPASS" | "NOPERM" => "Redis refuses the credentials",
        "MOVED" | "ASK" | "CROSSSLOT" => "Redis keeps the data on another node",
        "WRONGTYPE" => return damaged(error, "a key in Redis holds another kind of value"),
        // A script stumbled over a value.
        "ERR" if details.contains("user_script") => return damaged(error, "a value in Redis cannot be read"),
        _ => "Redis refused a step",
    };
    // The keeper of the connection tells that it is lost.
    let line = if code.is_empty() { None } else { OUTAGE.lost(reason, Instant::now()) };
    match line {
        Some(line) => tracing::warn!(%error, held_back = line.held_back, for_s = line.seconds, "{reason}"),
        None => tracing::debug!(%error, "{reason}"),
    }
    JournalError::Unavailable(reason.to_owned())
}

fn damaged(error: &RedisError, what: &str) -> JournalError {
    tracing::error!(%error, "Redis holds something unreadable");
    JournalError::Damaged(what.to_owned())
}

/// Logs that Redis works again, if it was said that it does not.
pub(super) fn tell_back(line: Option<Line>) {
    if let Some(line) = line {
        tracing::info!(held_back = line.held_back, after_s = line.seconds, "Redis is back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error that Redis answers with.
    fn said(line: &str) -> RedisError {
        redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap().extract_error().unwrap_err()
    }

    #[test]
    fn what_redis_says_is_told_in_short_words() {
        for (line, words, verdict_is) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", "is full", Verdict::Refused),
            ("LOADING Redis is loading the dataset in memory", "loading", Verdict::NotYet),
            ("READONLY You can't write against a read only replica.", "read-only", Verdict::Broken),
            ("MASTERDOWN Link with MASTER is down", "without a master", Verdict::NotYet),
            ("MISCONF Errors writing to the AOF file: No space left on device", "its disk", Verdict::Refused),
            ("NOREPLICAS Not enough good replicas to write.", "too few replicas", Verdict::Refused),
            ("NOAUTH Authentication required.", "credentials", Verdict::Refused),
            ("NOPERM User x has no permissions", "credentials", Verdict::Refused),
            ("BUSY Redis is busy running a script.", "is busy", Verdict::NotYet),
            ("ERR unknown command 'EVALSHA'", "refused a step", Verdict::Refused),
        ] {
            assert_eq!(verdict(&said(line)), verdict_is, "{line}");
            match to_journal_error(&said(line)) {
                JournalError::Unavailable(reason) => assert!(reason.contains(words), "{line}: {reason}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_damage() {
        for line in [
            "WRONGTYPE Operation against a key holding the wrong kind of value script: 1f, on @user_script:9.",
            "ERR user_script:12: attempt to perform arithmetic on a nil value",
        ] {
            assert!(matches!(to_journal_error(&said(line)), JournalError::Damaged(_)), "{line}");
        }
    }

    #[test]
    fn a_lost_connection_is_broken() {
        let io = |kind| RedisError::from(std::io::Error::from(kind));
        for kind in [std::io::ErrorKind::TimedOut, std::io::ErrorKind::BrokenPipe, std::io::ErrorKind::ConnectionReset]
        {
            assert_eq!(verdict(&io(kind)), Verdict::Broken, "{kind}");
        }
        let timeout = to_journal_error(&io(std::io::ErrorKind::TimedOut));
        assert_eq!(timeout.to_string(), "the journal is not available: Redis did not answer in time");
    }
}
