//! What a process uses, as the system tells. Nothing is told where there is no /proc.

use std::fs;
use std::time::Duration;

/// What a process has used so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Usage {
    /// Processor time, user and system.
    pub(crate) cpu: Duration,
    /// Resident memory, in bytes.
    pub(crate) resident: u64,
}

impl Usage {
    /// What a process uses. None when it is gone, or cannot be looked at.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Self { cpu: cpu(&stat, rustix::param::clock_ticks_per_second())?, resident: resident(&status)? })
    }
}

/// Processor time in a line of /proc/PID/stat. The name of the program may hold blanks and brackets.
fn cpu(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse().unwrap_or(0)).sum();
    Some(Duration::from_secs_f64(ticks as f64 / ticks_per_second.max(1) as f64))
}

/// Resident memory in /proc/PID/status, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_understood() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        assert_eq!(cpu(stat, 100), Some(Duration::from_secs(2)));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\nVmSwap: 1 kB"), Some(2 << 20));
        assert_eq!(resident("Name:\tkthreadd"), None);
        if cfg!(target_os = "linux") {
            assert!(Usage::of(std::process::id()).unwrap().resident > 1 << 20);
        }
        assert_eq!(Usage::of(u32::MAX), None);
    }
}
