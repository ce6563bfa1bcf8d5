//! `powermemo import memobase`, from a database made for it into both kinds of store.

#[cfg(feature = "crash-points")]
mod crash;
mod moves;
mod projects;
mod reference;
mod refusals;

use std::process::{Command, Output, Stdio};

use sqlx::{Connection as _, PgConnection, SqliteConnection, query_scalar};
use tempfile::TempDir;

use crate::crash::client::Client;
use crate::server::Server;
use crate::services::postgres::TestDatabase;
use crate::shared::{Site, block_on};

use reference::{Reference, id};

/// Where an import goes to.
enum Place {
    Sqlite(TempDir),
    Postgres(TestDatabase, TempDir),
    /// Postgres, and Redis for the journal.
    Shared(Site),
}

impl Place {
    fn sqlite() -> Self {
        Self::Sqlite(TempDir::new().unwrap())
    }

    fn postgres() -> Self {
        Self::Postgres(block_on(TestDatabase::new()), TempDir::new().unwrap())
    }

    /// The program on it.
    fn command(&self) -> Command {
        match self {
            Self::Sqlite(folder) => Server::command(folder.path(), &[]),
            Self::Shared(site) => site.command(&[]),
            Self::Postgres(database, folder) => Server::command(folder.path(), &[("DATABASE_URL", &database.url())]),
        }
    }

    /// The import.
    fn import(&self, url: &str, args: &[&str]) -> Command {
        let mut command = self.command();
        command.args(["import", "memobase", "--from", url]).args(args).stderr(Stdio::piped());
        command
    }

    /// Runs the import: whether it ended well, and all that it said.
    fn run(&self, source: &Reference, args: &[&str]) -> (bool, String) {
        told(&self.import(&source.url(), args).output().unwrap())
    }

    /// A server on it.
    fn serve(&self) -> (Server, Client) {
        let server = Server::spawn(self.command());
        let client = Client::new(&server.base);
        (server, client)
    }

    /// The URL of its Postgres.
    fn database(&self) -> String {
        match self {
            Self::Sqlite(_) => panic!("this one has none"),
            Self::Postgres(database, _) => database.url(),
            Self::Shared(site) => site.envs()[0].1.clone(),
        }
    }

    /// The number of rows of each table that an import writes.
    fn rows(&self) -> Vec<i64> {
        const COUNTS: [&str; 8] = [
            "SELECT count(*) FROM users",
            "SELECT count(*) FROM profile_slots",
            "SELECT count(*) FROM slot_revisions",
            "SELECT count(*) FROM events",
            "SELECT count(*) FROM gists",
            "SELECT count(*) FROM blobs",
            "SELECT count(*) FROM adopted_rows",
            "SELECT count(*) FROM journal_entries",
        ];
        block_on(async {
            let mut rows = Vec::new();
            match self {
                Self::Sqlite(folder) => {
                    let file = format!("sqlite://{}", folder.path().join("powermemo.db").display());
                    let mut conn = SqliteConnection::connect(&file).await.unwrap();
                    for sql in COUNTS {
                        rows.push(query_scalar(sql).fetch_one(&mut conn).await.unwrap());
                    }
                }
                Self::Postgres(..) | Self::Shared(_) => {
                    let mut conn = PgConnection::connect(&self.database()).await.unwrap();
                    for sql in COUNTS {
                        rows.push(query_scalar(sql).fetch_one(&mut conn).await.unwrap());
                    }
                }
            }
            rows
        })
    }
}

fn told(output: &Output) -> (bool, String) {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8(bytes.clone()).unwrap());
    (output.status.success(), out + &err)
}

/// Asserts that a report has a line about a kind that begins with these numbers.
fn assert_counted(report: &str, kind: &str, wanted: &str) {
    let line = report.lines().find_map(|line| line.trim().strip_prefix(kind));
    let line = line.unwrap_or_else(|| panic!("nothing is told of {kind}: {report}"));
    assert_eq!(line.trim(), wanted, "{kind}");
}
