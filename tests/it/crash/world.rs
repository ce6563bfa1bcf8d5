//! A data folder, the servers that come and go on it, and what must be in it in the end.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use sqlx::{Connection as _, SqliteConnection, query_scalar};
use tempfile::TempDir;

use super::client::{Client, PATIENCE};
use super::ledger::{Fate, Ledger};
use crate::server::Server;

/// What the program writes when it stands still.
const REACHED: &str = "crash point reached: ";

/// What the sweeper leaves to do when it has caught up. A flush that was superseded has an outcome and is no work.
const LEFTOVERS: [&str; 4] = [
    "SELECT count(*) FROM journal_entries",
    "SELECT count(*) FROM journal_batches",
    "SELECT count(*) FROM journal_buffers WHERE blobs > 0 OR tokens > 0 OR oldest_at IS NOT NULL",
    "SELECT count(*) FROM dead_letters",
];

/// A folder, its users, and what was sent.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) users: Vec<String>,
    has_users: OnceLock<()>,
    pub(crate) ledger: Ledger,
    /// What all its servers are configured with.
    envs: Vec<(&'static str, String)>,
}

/// A server on the folder of a world.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) client: Client,
    reached: Receiver<String>,
}

impl Running {
    /// Waits until a task stands still at this crash point.
    pub(crate) fn wait_for(&self, point: &str) {
        let began = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let reached = self.reached.recv_timeout(left);
            if reached.unwrap_or_else(|error| panic!("{point} was not reached: {error}")) == point {
                return;
            }
        }
    }
}

impl World {
    /// A fresh folder; its first server will make the users.
    pub(crate) fn new(users: usize) -> Self {
        Self::with(users, Vec::new())
    }

    /// As [`World::new`], and all its servers are configured like this.
    pub(crate) fn with(users: usize, envs: Vec<(&'static str, String)>) -> Self {
        let users = (0..users).map(|_| uuid::Uuid::new_v4().to_string()).collect();
        let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
        Self { folder, users, has_users: OnceLock::new(), ledger, envs }
    }

    /// Starts a server. Its sweeper looks often, so that what it has to do is done soon.
    pub(crate) fn start(&self, envs: &[(&str, &str)]) -> Running {
        let mut command = Server::command(self.folder.path(), &[("POWERMEMO_SWEEP_INTERVAL_MS", "20")]);
        command.envs(self.envs.iter().map(|(name, value)| (name, value.as_str())));
        command.envs(envs.iter().copied()).stderr(Stdio::piped());
        let mut server = Server::spawn(command);
        let lines = BufReader::new(server.child.stderr.take().unwrap()).lines();
        let (tell, reached) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                match line.strip_prefix(REACHED) {
                    // Nobody may be listening any more.
                    Some(point) => drop(tell.send(point.to_owned())),
                    None => eprintln!("{line}"),
                }
            }
        });
        let client = Client::new(&server.base);
        self.has_users.get_or_init(|| {
            for id in &self.users {
                client.call("POST", "/users", Some(&serde_json::json!({"id": id}))).unwrap();
            }
        });
        Running { server, client, reached }
    }

    /// Sends the next message of a lane; its place in the ledger and its blob's id when that was acknowledged.
    pub(crate) fn say(&self, client: &Client, user: usize, lane: usize) -> Option<(usize, String)> {
        let (place, text) = self.ledger.note(user, lane);
        let id = client.insert(&self.users[user], &text).ok()?;
        self.ledger.set(place, Fate::Acknowledged);
        Some((place, id))
    }

    /// As [`World::say`], and it must be acknowledged.
    pub(crate) fn must_say(&self, client: &Client, user: usize) -> (usize, String) {
        self.say(client, user, 0).expect("an insert was not acknowledged")
    }

    /// A server without crash points catches up; then everything must be where it belongs.
    ///
    /// # Panics
    /// When it is not.
    pub(crate) fn check(&self) {
        let running = self.start(&[]);
        for user in &self.users {
            running.client.flush(user).unwrap();
            for status in ["idle", "processing", "failed"] {
                assert_eq!(running.client.capacity(user, status), serde_json::json!([]), "{status}");
            }
        }
        let seen = |id: &String| (running.client.event_lines(id), running.client.profile(id));
        let seen: Vec<_> = self.users.iter().map(seen).collect();
        assert!(running.server.stop_gracefully().success());
        for (user, (lines, profile)) in seen.into_iter().enumerate() {
            let gists = self.gists(user);
            assert_eq!(lines.len(), gists.len());
            assert!(lines.iter().all(|line| gists.contains(line)), "events and gists differ");
            let city = self.ledger.check(user, &gists);
            let wanted = city.map(|city| ["basic_info", "location", city].map(str::to_owned));
            assert_eq!(profile, Vec::from_iter(wanted), "the profile follows the last message");
        }
        for sql in LEFTOVERS {
            assert_eq!(self.count(sql), 0, "{sql}");
        }
    }

    /// The gists of a user in the order in which they were stored.
    fn gists(&self, user: usize) -> Vec<String> {
        let id = uuid::Uuid::parse_str(&self.users[user]).unwrap();
        let sql = "SELECT g.text FROM gists AS g JOIN events AS e USING (project_id, user_id, event_id)
            WHERE g.user_id = ?1 ORDER BY e.rowid, g.position";
        self.query(async move |conn| query_scalar(sql).bind(id).fetch_all(conn).await.unwrap())
    }

    /// Asks the database for a number, be a server there or not.
    pub(crate) fn count(&self, sql: &'static str) -> i64 {
        self.query(async move |conn| query_scalar(sql).fetch_one(conn).await.unwrap())
    }

    /// Asks the database, be a server there or not.
    pub(crate) fn query<T>(&self, ask: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
        let file = self.folder.path().join("powermemo.db");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut conn = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
            let answer = ask(&mut conn).await;
            conn.close().await.unwrap();
            answer
        })
    }
}
