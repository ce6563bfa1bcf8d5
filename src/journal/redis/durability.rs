//! What a crash of Redis could lose.

use std::collections::HashMap;
use std::fmt;

/// When Redis hands its append-only file to the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fsync {
    /// Before it answers.
    Always,
    /// About every second.
    EverySecond,
    /// When the operating system sees fit.
    No,
}

/// How durable a Redis is. Its `Display` is one line for the operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Durability {
    /// The version of Redis.
    pub version: String,
    /// Whether it writes an append-only file.
    pub appends: bool,
    /// When that file is on disk; `None` when Redis does not say.
    pub fsync: Option<Fsync>,
    /// When it takes snapshots, as in its configuration; empty when never, `None` when Redis does not say.
    pub snapshots: Option<String>,
    /// Bytes that it may use; 0 for all there are.
    pub max_memory_bytes: u64,
    /// What it does when they are used up; `None` when Redis does not say.
    pub eviction: Option<String>,
}

impl Durability {
    /// Reads the answers to `INFO` and `CONFIG GET`.
    pub(super) fn new(info: &str, config: Vec<(String, String)>) -> Self {
        let info: HashMap<&str, &str> = info.lines().filter_map(|line| line.split_once(':')).collect();
        let mut config: HashMap<String, String> = config.into_iter().collect();
        let fsync = match config.get("appendfsync").map(String::as_str) {
            Some("always") => Some(Fsync::Always),
            Some("everysec") => Some(Fsync::EverySecond),
            Some("no") => Some(Fsync::No),
            _ => None,
        };
        let policy = info.get("maxmemory_policy").map(|&policy| policy.to_owned());
        Self {
            version: info.get("redis_version").copied().unwrap_or("of unknown version").to_owned(),
            appends: info.get("aof_enabled") == Some(&"1"),
            fsync,
            snapshots: config.remove("save"),
            max_memory_bytes: info.get("maxmemory").and_then(|bytes| bytes.parse().ok()).unwrap_or_default(),
            eviction: config.remove("maxmemory-policy").or(policy),
        }
    }

    /// What must be changed before this Redis can hold a journal, if anything.
    pub fn problem(&self) -> Option<String> {
        let policy = self.eviction.as_deref().filter(|policy| *policy != "noeviction")?;
        Some(format!(
            "the maxmemory-policy of Redis is {policy}: it may throw away messages that were acknowledged; set it to \
             noeviction"
        ))
    }

    fn loses(&self) -> String {
        match (self.appends, self.fsync, self.snapshots.as_deref()) {
            (true, Some(Fsync::Always), _) => "nothing acknowledged (appendfsync always)".to_owned(),
            (true, Some(Fsync::EverySecond), _) => {
                "at most about the last second, 2 s at worst (appendfsync everysec)".to_owned()
            }
            (true, Some(Fsync::No), _) => {
                "what the operating system has not written yet, often 30 s (appendfsync no)".to_owned()
            }
            (true, None, _) => {
                "at most about the last second, unless appendfsync was changed (Redis does not show it)".to_owned()
            }
            (false, _, Some("")) => "everything (neither append-only file nor snapshots)".to_owned(),
            (false, _, Some(save)) => {
                format!("everything since the last snapshot (save {save}, no append-only file)")
            }
            (false, _, None) => {
                "everything since the last snapshot, if it takes any (Redis does not show it, no append-only file)"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis {}, whose crash could lose {}", self.version, self.loses())?;
        self.problem().map_or(Ok(()), |problem| write!(f, "; PROBLEM: {problem}"))
    }
}
