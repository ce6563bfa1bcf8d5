//! A process that the bench has started, and ends.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child as Process, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// A server must listen within this time.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// A server that is asked to stop is killed after this time.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at whether it has ended.
const STOP_POLL: Duration = Duration::from_millis(20);
/// What stands before the address in the first line of a server's greeting.
const GREETING: &str = " listens on ";
/// Lines of a greeting that are kept.
const GREETING_LINES: usize = 5;

/// A server process. It is asked to stop when this is dropped, and waited for.
pub(crate) struct Child {
    process: Process,
    /// Where it listens.
    pub(crate) url: String,
    /// What it says of itself after that.
    pub(crate) greeting: Vec<String>,
}

impl Child {
    /// Starts a server and reads where it listens from its standard output.
    ///
    /// # Errors
    /// When it cannot be started, or ends or is silent instead.
    pub(crate) fn start(mut command: Command, what: &str) -> anyhow::Result<Self> {
        // A group of its own: Ctrl-C is for the bench alone, which ends its servers in order.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut process = command.spawn().with_context(|| format!("cannot start {what}"))?;
        let output = process.stdout.take();
        // From here on it is ended in any case.
        let mut child = Self { process, url: String::new(), greeting: Vec::new() };
        let (lines, heard) = mpsc::sync_channel(GREETING_LINES);
        // The thread goes on reading to the end: a full pipe would stop the server.
        thread::spawn(move || {
            let output = BufReader::new(output.into_iter().next()?);
            for line in output.lines().map_while(Result::ok) {
                let _ = lines.try_send(line);
            }
            Some(())
        });
        let deadline = Instant::now() + START_TIMEOUT;
        let hear = || heard.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let first = match hear() {
            Ok(line) => line,
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("{what} does not listen within {START_TIMEOUT:?}"),
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("{what} ended instead of listening"),
        };
        let address = first.split_once(GREETING).map(|(_, address)| address.trim().to_owned());
        child.url = address.with_context(|| format!("{what} does not tell where it listens"))?;
        ensure!(child.url.starts_with("http://"), "{what} tells a strange address: {}", child.url);
        // The rest comes in the same write; it is for the report alone.
        let rest = (1..GREETING_LINES).map_while(|_| heard.recv_timeout(Duration::from_millis(200)).ok());
        child.greeting = rest.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
        Ok(child)
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    fn end(&mut self) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        // A process that has ended by itself is a zombie until it is waited for: the number is still its own.
        let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let deadline = Instant::now() + STOP_TIMEOUT;
        while asked && Instant::now() < deadline {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(STOP_POLL);
        }
        // When this fails it is gone.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> anyhow::Result<Child> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Child::start(command, "the test's server")
    }

    #[test]
    fn a_child_tells_where_it_listens_and_ends() {
        let child = shell("echo It listens on http://127.0.0.1:7; echo '  data  here'; exec sleep 1000").unwrap();
        assert_eq!(
            (child.url.as_str(), child.greeting.as_slice()),
            ("http://127.0.0.1:7", &["data  here".to_owned()][..])
        );
        let pid = i32::try_from(child.pid()).ok().and_then(Pid::from_raw).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_ok());
        drop(child);
        assert!(rustix::process::test_kill_process(pid).is_err());
    }

    #[test]
    fn a_child_that_ends_is_an_error() {
        let error = shell("exit 3").map(|child| child.url.clone()).unwrap_err();
        assert_eq!(error.to_string(), "the test's server ended instead of listening");
        assert!(shell("echo hello; exec sleep 1000").map(|_| ()).unwrap_err().to_string().contains("does not tell"));
    }
}
