//! A Redis of its own for a test, on a socket in a folder that goes with it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::Connection;
use tempfile::TempDir;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running `redis-server`. It is killed when it is dropped.
pub(crate) struct RedisServer {
    child: Child,
    folder: TempDir,
    args: Vec<String>,
    password: Option<String>,
}

/// Appends to a file that is on disk before each answer.
pub(crate) const DURABLE: [&str; 6] = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
/// Keeps nothing on disk: the fastest.
pub(crate) const VOLATILE: [&str; 4] = ["--appendonly", "no", "--save", ""];

impl RedisServer {
    /// Starts a server with these arguments and waits until it answers.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_with(args, None)
    }

    /// Starts a server that asks for a password.
    pub(crate) fn start_locked(args: &[&str], password: &str) -> Self {
        let args = [args, &["--requirepass", password]].concat();
        Self::start_with(&args, Some(password.to_owned()))
    }

    fn start_with(args: &[&str], password: Option<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let child = spawn(&folder, &args);
        let server = Self { child, folder, args, password };
        server.wait_until_it_answers();
        server
    }

    /// Where it is reached, with the password.
    pub(crate) fn url(&self) -> String {
        let password = self.password.as_ref().map(|password| format!("?pass={password}"));
        format!("redis+unix://{}{}", self.socket().display(), password.unwrap_or_default())
    }

    /// The socket that it listens on.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// The folder that it keeps its data in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it at once, as a power cut would: nothing is written any more.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on what is on disk.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&self.folder, &self.args);
        self.wait_until_it_answers();
    }

    /// Lets it hang: connections are accepted by the system, and nobody answers.
    pub(crate) fn hang(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    /// A connection of the test.
    pub(crate) fn connect(&self) -> Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// Sends a command.
    pub(crate) fn query<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        redis::cmd(command[0]).arg(&command[1..]).query(&mut self.connect()).unwrap()
    }

    /// Cuts all connections but those that are made later.
    pub(crate) fn cut_connections(&self) {
        for kind in ["normal", "pubsub"] {
            let _: u32 = self.query(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
        }
    }

    fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn wait_until_it_answers(&self) {
        let client = redis::Client::open(self.url()).unwrap();
        let answers = || redis::cmd("PING").query::<String>(&mut client.get_connection()?);
        let began = Instant::now();
        while let Err(error) = answers() {
            assert!(began.elapsed() < PATIENCE, "redis-server does not answer: {error}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &TempDir, args: &[String]) -> Child {
    let mut command = super::command(Path::new("redis-server"));
    command.current_dir(folder.path()).args(["--port", "0", "--unixsocket", "redis.sock", "--daemonize", "no"]);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("redis-server is not installed: run scripts/test, or install it (Debian: redis-server)")
        }
        Err(error) => panic!("redis-server does not start: {error}"),
    }
}
