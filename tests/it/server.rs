//! The real server: a process of its own on a free port, with its data in a temporary folder.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

/// What stands before the address in the greeting on standard output.
const GREETING: &str = " listens on ";

/// Variables without the product's own prefix that the configuration reads.
const PLAIN_VARIABLES: [&str; 5] = ["DATABASE_URL", "REDIS_URL", "ACCESS_TOKEN", "PROJECT_ID", "OPENAI_API_KEY"];

/// A server process. It is killed when this is dropped.
pub(crate) struct Server {
    /// "http://127.0.0.1:PORT"
    pub(crate) base: String,
    /// The process; its standard output is drained by a thread, its log goes where the test's goes.
    pub(crate) child: Child,
    /// Goes after the process, if it is this server's own.
    _folder: Option<TempDir>,
}

impl Server {
    /// Starts a server with a fresh data folder of its own.
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) fn start(envs: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::start_in(folder.path(), envs);
        server._folder = Some(folder);
        server
    }

    /// Starts a server on the data in a folder, which must not be another server's at the time.
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) fn start_in(folder: &Path, envs: &[(&str, &str)]) -> Self {
        Self::spawn(Self::command(folder, envs))
    }

    /// The command that serves the data in a folder. The folder is also its working directory, so that no `.env` or
    /// `config.yaml` of the surroundings is read.
    pub(crate) fn command(folder: &Path, envs: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_powermemo"));
        for (name, _) in std::env::vars_os() {
            let read = name.to_str().is_some_and(|n| n.starts_with("POWERMEMO_") || PLAIN_VARIABLES.contains(&n));
            if read {
                command.env_remove(name);
            }
        }
        command.env("POWERMEMO_PORT", "0").env("POWERMEMO_DATA_DIR", folder).env("POWERMEMO_LOG", "warn");
        command.envs(envs.iter().copied()).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// Runs a [`Server::command`].
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let child = command.spawn().unwrap();
        // From here on a panic must not leave the process behind.
        let mut server = Self { base: String::new(), child, _folder: None };
        server.base = read_address(&mut server.child);
        server
    }

    /// Asks the server to stop (SIGTERM), and waits until it has.
    pub(crate) fn stop_gracefully(mut self) -> ExitStatus {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "the signal could not be sent");
        self.child.wait().unwrap()
    }

    /// Ends the server at once (SIGKILL), and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reads the greeting up to the address, and leaves the rest to a thread: a full pipe would stop the server.
fn read_address(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let greeting = lines.by_ref().map_while(Result::ok).find(|line| line.contains(GREETING));
    let greeting = greeting.expect("the server ended before it listened; its log tells why");
    std::thread::spawn(move || lines.for_each(drop));
    let (_, address) = greeting.split_once(GREETING).unwrap();
    address.trim().to_owned()
}

#[test]
fn a_server_starts_stops_and_starts_again_on_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let is_alive = |server: &Server| ureq::get(format!("{}/api/v1/healthcheck", server.base)).call().is_ok();
    let server = Server::start_in(folder.path(), &[]);
    assert!(is_alive(&server));
    assert!(server.stop_gracefully().success());
    let server = Server::start_in(folder.path(), &[]);
    assert!(is_alive(&server));
    server.kill();
    assert!(is_alive(&Server::start_in(folder.path(), &[])));
}
