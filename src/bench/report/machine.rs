//! The machine that a run was made on.

use std::fs;

use serde::{Deserialize, Serialize};

/// The machine that a run was made on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Processors that this program may use.
    pub(crate) cores: usize,
    /// What kind of processor.
    pub(crate) processor: String,
    /// Bytes of memory; 0 when it is not known.
    pub(crate) memory_bytes: u64,
    /// The system and its version.
    pub(crate) system: String,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let release = read("/proc/sys/kernel/osrelease");
        Self {
            cores,
            processor: processor(&read("/proc/cpuinfo")),
            memory_bytes: memory(&read("/proc/meminfo")),
            system: format!("{} {} {}", std::env::consts::OS, release.trim(), std::env::consts::ARCH),
        }
    }
}

/// The kind of processor in /proc/cpuinfo.
fn processor(info: &str) -> String {
    let line = info.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, name)| name.trim());
    name.to_owned()
}

/// The memory in /proc/meminfo, in bytes.
fn memory(info: &str) -> u64 {
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_understood() {
        assert_eq!(processor("processor : 0\nmodel name\t: Fast CPU @ 3 GHz\n"), "Fast CPU @ 3 GHz");
        assert_eq!(processor(""), "unknown");
        assert_eq!(memory("MemTotal:       2 kB\nMemFree: 1 kB"), 2048);
        assert!(Machine::here().cores > 0);
    }
}
