use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::{Finding, clock};
use crate::backends::{self, Database, Notes};
use crate::config::Config;
use crate::store::postgres::{ConnectError, DatabaseError, PostgresDatabase, PostgresOptions, Refusal, Tables};
use crate::words::counted;

const WHAT: &str = "database";
/// Connections of a server besides those of its pool.
const SPARE_CONNECTIONS: u32 = 3;
/// Servers that a Postgres should have room for.
const SERVERS: u32 = 2;

/// Returns what the store says of its journal, if it can be asked.
pub(super) async fn examine(config: &Config, findings: &mut Vec<Finding>) -> Option<Notes> {
    if let Some(url) = &config.database_url {
        return postgres(config, url.expose_secret(), findings).await;
    }
    findings.push(folder(&config.data_dir));
    // A server may be working with it: it is looked at, and not touched.
    match Notes::of_folder(&config.data_dir).await {
        Ok(notes) => notes,
        Err(error) => {
            let advice = "look whether this user may read it, and whether it is whole: a backup is the way back";
            findings.push(Finding::bad(WHAT, format!("the database in the folder cannot be read: {error:#}"), advice));
            None
        }
    }
}

fn folder(folder: &Path) -> Finding {
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

async fn postgres(config: &Config, url: &str, findings: &mut Vec<Finding>) -> Option<Notes> {
    // What is not there now is a finding: nobody waits for it.
    let start_timeout = Duration::ZERO;
    let options = PostgresOptions { max_connections: 2, start_timeout, ..PostgresOptions::default() };
    let database = match PostgresDatabase::look(url, &options).await {
        Ok(database) => database,
        Err(error) => {
            findings.push(Finding::bad(WHAT, error.to_string(), advice(&error)));
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
    let tables = database.tables().await;
    findings.push(migrations(&tables));
    let made = matches!(tables, Ok(Tables::Current | Tables::Behind(_)));
    findings.extend(left_behind(config, made.then_some(&*database)).await);
    if tables != Ok(Tables::Current) {
        return None;
    }
    match Notes::of(&Database::Postgres(database)).await {
        Ok(notes) => Some(notes),
        Err(error) => {
            findings.push(Finding::bad(WHAT, format!("{error:#}"), "look into the log of Postgres"));
            None
        }
    }
}

/// What to do about a Postgres that does not let us in.
fn advice(error: &ConnectError) -> &'static str {
    let refusal = match error {
        ConnectError::Url(_) => return "mend database_url: postgres://user:password@host:5432/database",
        ConnectError::Foreign { .. } => return "create a database for it alone, and name that one in database_url",
        ConnectError::TooOld { .. } => return "upgrade Postgres, or point database_url at a newer one",
        ConnectError::Unreachable { refusal, .. } => *refusal,
        ConnectError::Migrate { .. } => Refusal::Other,
    };
    match refusal {
        Refusal::Password => {
            "mend user and password in database_url; signs such as @ : / in a password are written as %40 %3A %2F"
        }
        Refusal::User => {
            "mend the user in database_url, or make it (CREATE ROLE … LOGIN); if it is there, let it in from this machine \
             in pg_hba.conf, or with TLS (?sslmode=require)"
        }
        Refusal::Database => {
            "make it (CREATE DATABASE … OWNER …, or createdb), or mend the name at the end of database_url"
        }
        Refusal::NobodyListens => "start Postgres, or mend host and port in database_url",
        Refusal::Network => "mend the host in database_url, or look at the network between: names, firewalls, TLS",
        Refusal::Other => "mend database_url; the user needs the right to connect and to create tables",
    }
}

fn migrations(tables: &Result<Tables, DatabaseError>) -> Finding {
    let what = "migrations";
    match tables {
        Ok(Tables::Current) => Finding::good(what, "the tables are up to date"),
        Ok(Tables::Missing) => {
            Finding::good(what, "no tables yet: the first start makes them, and so does `powermemo migrate`")
        }
        Ok(Tables::Behind(steps)) => {
            let advice = "back up, then start the new version, or run `powermemo migrate`";
            let steps = counted(*steps, "step");
            Finding::advice(what, format!("the tables are {steps} behind this version"), advice)
        }
        Ok(Tables::Ahead) => {
            let advice = "run that version, or restore a backup from before it";
            Finding::bad(what, "a newer version of Powermemo has changed the tables", advice)
        }
        Err(error) => Finding::bad(what, error.to_string(), "look into the log of Postgres"),
    }
}

/// Memory that nobody would look for any more.
async fn left_behind(config: &Config, postgres: Option<&PostgresDatabase>) -> Option<Finding> {
    let what = "data_dir";
    match backends::left_behind(config, postgres).await {
        Ok(found) => {
            let advice =
                "nothing of it is used with this Postgres; to go on with it, unset database_url (DATABASE_URL)";
            found.map(|text| Finding::warning(what, text, advice))
        }
        Err(error) => {
            let text = format!("the embedded database in data_dir cannot be looked at: {error:#}");
            Some(Finding::advice(what, text, "with database_url it is not used"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_advice_of_its_own() {
        let refusals = [
            Refusal::Password,
            Refusal::User,
            Refusal::Database,
            Refusal::NobodyListens,
            Refusal::Network,
            Refusal::Other,
        ];
        let told = refusals.map(|refusal| {
            advice(&ConnectError::Unreachable { target: String::new(), reason: String::new(), refusal })
        });
        let words = ["password", "pg_hba.conf", "CREATE DATABASE", "start Postgres", "firewalls", "to create tables"];
        for (advice, word) in told.iter().zip(words) {
            assert_eq!(told.iter().filter(|other| other.contains(word)).count(), 1, "{word}");
            assert!(advice.contains(word), "{advice}");
        }
    }
}
