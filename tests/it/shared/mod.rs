//! Servers on a Postgres and a Redis that they share, over HTTP.

mod commands;
mod freeze;
mod isolation;
mod outages;
mod processes;
mod statements;

use tempfile::TempDir;

use crate::crash::client::Client;
use crate::server::Server;
use crate::services::postgres::{Cluster, TestDatabase};
use crate::services::redis::{DURABLE, RedisServer};

/// A database and a Redis, both empty at first.
pub(crate) struct Site {
    database: String,
    pub(crate) redis: RedisServer,
    /// Where servers keep nothing: it only keeps files of the surroundings from being read.
    folder: TempDir,
    _owned: Option<TestDatabase>,
}

/// A server of a site.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) client: Client,
}

impl Site {
    /// A database of the server that all tests share, and a Redis of its own.
    pub(crate) fn new() -> Self {
        let database = block_on(TestDatabase::new());
        Self { _owned: Some(database.clone()), ..Self::on(database.url()) }
    }

    /// A site on a Postgres of its own, which can be stopped.
    pub(crate) fn on_cluster(cluster: &Cluster) -> Self {
        Self::on(cluster.url())
    }

    fn on(database: String) -> Self {
        let (redis, folder) = (RedisServer::start(&DURABLE), tempfile::tempdir().unwrap());
        Self { database, redis, folder, _owned: None }
    }

    /// What servers of this site are configured with.
    pub(crate) fn envs(&self) -> [(&'static str, String); 2] {
        [("DATABASE_URL", self.database.clone()), ("REDIS_URL", self.redis.url())]
    }

    /// The program on this site.
    pub(crate) fn command(&self, envs: &[(&str, &str)]) -> std::process::Command {
        let mut command = Server::command(self.folder.path(), &[]);
        command.envs(self.envs()).envs(envs.iter().copied());
        command
    }

    /// Starts a server.
    pub(crate) fn start(&self, envs: &[(&str, &str)]) -> Running {
        let server = Server::spawn(self.command(envs));
        let client = Client::new(&server.base);
        Running { server, client }
    }
}

/// Waits for something asynchronous in a test that is not.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Makes a user.
pub(crate) fn user(client: &Client) -> String {
    let data = client.call("POST", "/users", Some(&serde_json::json!({}))).unwrap();
    data["id"].as_str().unwrap().to_owned()
}
