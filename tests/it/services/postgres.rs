//! Postgres for tests: databases of a shared server, and servers of one's own.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

/// Where `scripts/test` says that its server is.
const VARIABLE: &str = "POWERMEMO_TEST_POSTGRES";
/// How long a server may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// A database of the server that `scripts/test` started. It is dropped with the last clone.
#[derive(Clone)]
pub(crate) struct TestDatabase(Arc<Place>);

struct Place {
    server: String,
    name: String,
}

impl TestDatabase {
    /// A new, empty database.
    pub(crate) async fn new() -> Self {
        let Ok(server) = std::env::var(VARIABLE) else {
            panic!("{VARIABLE} is not set: this test needs Postgres. Run scripts/test, which starts one for the tests")
        };
        let name = format!("test_{}", Uuid::new_v4().simple());
        let mut conn = PgConnection::connect(&server).await.expect("the server for tests must be reachable");
        conn.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        conn.close().await.unwrap();
        Self(Arc::new(Place { server, name }))
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        let options = PgConnectOptions::from_str(&self.0.server).unwrap();
        options.database(&self.0.name).to_url_lossy().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        // A runtime of its own: that of the test may be ending. What fails is left to the end of the server.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                if let Ok(mut conn) = PgConnection::connect(&server).await {
                    conn.execute(AssertSqlSafe(drop)).await.ok();
                }
            });
        });
        dropped.join().ok();
    }
}

/// A Postgres server of one test, which may stop and start it. It ends with this.
pub(crate) struct Cluster {
    folder: TempDir,
    user: Option<(u32, u32)>,
    port: u16,
    server: Option<Child>,
}

impl Cluster {
    /// A new server that runs.
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let user = unprivileged();
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let mut initdb = command("initdb", user);
        initdb.args(["--no-sync", "--auth=trust", "--username=tester", "--encoding=UTF8", "--no-locale", "-D"]);
        let made = initdb.arg(folder.path().join("data")).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut cluster = Self { folder, user, port: free_port(), server: None };
        cluster.run().await;
        cluster
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://tester@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts it again, where it was.
    pub(crate) async fn run(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.server = Some(self.spawn());
            if self.answers(deadline).await {
                return;
            }
            // Its predecessor may not be quite gone, or somebody took the port.
            assert!(Instant::now() < deadline, "the server does not start: {}", self.log());
        }
    }

    fn spawn(&self) -> Child {
        let data = self.folder.path().join("data");
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut server = command("postgres", self.user);
        server.arg("-D").arg(data).args(["-p", &self.port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=100"] {
            server.args(["-c", setting]);
        }
        server.current_dir(self.folder.path()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// Whether it lets us in before it ends or the time is up.
    async fn answers(&mut self, deadline: Instant) -> bool {
        while Instant::now() < deadline {
            if let Ok(conn) = PgConnection::connect(&self.url()).await {
                conn.close().await.ok();
                return true;
            }
            if self.server.as_mut().unwrap().try_wait().unwrap().is_some() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Stops it at once, as `pg_ctl stop -m immediate` does: as after a crash, it recovers when it starts again.
    pub(crate) fn stop_immediately(&mut self) {
        self.end("-QUIT");
    }

    /// Kills it with all its processes, without a chance to do anything.
    pub(crate) fn kill(&mut self) {
        self.end("-KILL");
    }

    fn end(&mut self, signal: &str) {
        let Some(mut server) = self.server.take() else { return };
        let processes = processes(server.id());
        send(signal, if signal == "-KILL" { &processes } else { &processes[..1] });
        server.wait().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while processes.iter().any(|pid| is_alive(*pid)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Makes all its processes stand still: connections stay open, and nobody answers.
    pub(crate) fn freeze(&self) {
        send("-STOP", &processes(self.server.as_ref().unwrap().id()));
    }

    /// Ends a [`Cluster::freeze`].
    pub(crate) fn thaw(&self) {
        send("-CONT", &processes(self.server.as_ref().unwrap().id()));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.kill();
        }
    }
}

fn send(signal: &str, processes: &[u32]) {
    let processes = processes.iter().map(u32::to_string);
    // One of them may have ended by itself meanwhile.
    Command::new("kill").arg(signal).args(processes).stderr(Stdio::null()).status().unwrap();
}

/// A server and its children.
fn processes(server: u32) -> Vec<u32> {
    let others = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    std::iter::once(server)
        .chain(others.filter(|pid| status(*pid).is_some_and(|(parent, _)| parent == server)))
        .collect()
}

fn is_alive(pid: u32) -> bool {
    status(pid).is_some_and(|(_, state)| state != 'Z')
}

/// The parent of a process and its state.
fn status(pid: u32) -> Option<(u32, char)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program of Postgres, which refuses to be run by root.
fn command(program: &str, user: Option<(u32, u32)>) -> Command {
    let mut command = super::command(&find(program));
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// User and group of somebody else, when we are root.
fn unprivileged() -> Option<(u32, u32)> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1)).unwrap();
    if uid != "0" {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(of("postgres").or_else(|| of("nobody")).expect("Postgres does not run as root, and there is no other user"))
}

/// Where a program of Postgres is: in the path, or where Debian puts the newest version.
fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    versions.sort_by_key(|path| std::cmp::Reverse(version(path)));
    folders.extend(versions.into_iter().map(|version| version.join("bin")));
    let found = folders.into_iter().map(|folder| folder.join(program)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("there is no {program}: run scripts/test, which installs Postgres"))
}

fn version(path: &Path) -> u32 {
    path.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or_default()
}
