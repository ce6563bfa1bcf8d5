use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::{Finding, clock};
use crate::backends::{Database, JournalPlace};
use crate::config::Config;
use crate::store::postgres::{PostgresDatabase, PostgresOptions, Tables};

const WHAT: &str = "database";
/// Connections of a server besides those of its pool.
const SPARE_CONNECTIONS: u32 = 3;
/// Servers that a Postgres should have room for.
const SERVERS: u32 = 2;

/// What is known of the store's journal: the name it bears, and where it is.
pub(super) type Place = Option<(String, Option<JournalPlace>)>;

pub(super) async fn examine(config: &Config, findings: &mut Vec<Finding>) -> Place {
    match &config.database_url {
        Some(url) => postgres(config, url.expose_secret(), findings).await,
        None => {
            findings.push(sqlite(&config.data_dir));
            None
        }
    }
}

/// The file itself is left alone: a server may be working with it.
fn sqlite(folder: &Path) -> Finding {
    let shown = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    match folder.metadata() {
        Ok(found) if !found.is_dir() => {
            Finding::bad(WHAT, format!("{} is no folder", shown.display()), "set data_dir to a folder")
        }
        Ok(_) if is_writable(folder) => Finding::good(WHAT, format!("SQLite in {}", shown.display())),
        Ok(_) => Finding::bad(
            WHAT,
            format!("{} cannot be written by this user", shown.display()),
            "give the folder to the user that runs the server, or set data_dir to another",
        ),
        Err(_) => Finding::good(WHAT, format!("SQLite; {} will be made at the first start", shown.display())),
    }
}

fn is_writable(folder: &Path) -> bool {
    let probe = folder.join(format!(".powermemo-doctor-{}", std::process::id()));
    let written = std::fs::File::create(&probe).is_ok();
    // It is there only if it was written.
    let _ = std::fs::remove_file(probe);
    written
}

async fn postgres(config: &Config, url: &str, findings: &mut Vec<Finding>) -> Place {
    let start_timeout = Duration::from_secs(2);
    let options = PostgresOptions { max_connections: 2, start_timeout, ..PostgresOptions::default() };
    let database = match PostgresDatabase::look(url, &options).await {
        Ok(database) => database,
        Err(error) => {
            let advice = "start Postgres, or mend database_url; the user needs the right to create tables";
            findings.push(Finding::bad(WHAT, error.to_string(), advice));
            return None;
        }
    };
    let asked = Timestamp::now();
    match (database.facts().await, database.now().await) {
        (Ok(facts), Ok(now)) => {
            findings.push(clock("clock", "Postgres", asked, now, Timestamp::now()));
            findings.push(if facts.is_writable {
                Finding::good(WHAT, format!("Postgres {} at {}", facts.version, database.target()))
            } else {
                Finding::bad(WHAT, "this Postgres is a read-only standby", "point database_url at the primary")
            });
            if !facts.is_durable {
                let advice = "set fsync = on, and synchronous_commit to anything but off";
                findings.push(Finding::bad(WHAT, "a crash of Postgres may lose what it has committed", advice));
            }
            let wanted = SERVERS * (config.database_max_connections + SPARE_CONNECTIONS);
            if facts.max_connections < wanted {
                let text = format!("Postgres takes {} connections in all", facts.max_connections);
                let advice =
                    format!("raise its max_connections, or lower database_max_connections: two servers take {wanted}");
                findings.push(Finding::advice(WHAT, text, advice));
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            findings.push(Finding::bad(WHAT, error.to_string(), "look into the log of Postgres"));
            return None;
        }
    }
    tables(&database, findings).await;
    let database = Database::Postgres(database);
    Some((database.journal_id().await.ok()?, database.journal_place().await.ok()?))
}

async fn tables(database: &PostgresDatabase, findings: &mut Vec<Finding>) {
    let what = "migrations";
    findings.push(match database.tables().await {
        Ok(Tables::Current) => Finding::good(what, "the tables are up to date"),
        Ok(Tables::Missing) => Finding::good(what, "no tables yet; the first start makes them"),
        Ok(Tables::Behind(steps)) => {
            let advice = "back up, then start the new version, or run `powermemo migrate`";
            Finding::advice(what, format!("the tables are {steps} steps behind this version"), advice)
        }
        Ok(Tables::Ahead) => {
            let advice = "run that version, or restore a backup from before it";
            Finding::bad(what, "a newer version of Powermemo has changed the tables", advice)
        }
        Err(error) => Finding::bad(what, error.to_string(), "look into the log of Postgres"),
    });
}
