//! Reaching a Postgres server, and bringing its tables up to date.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, query_scalar};
use tokio::time::{Instant, sleep, timeout};

/// What a URL begins with.
pub const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// The oldest version that will do, as the server numbers it.
const OLDEST_VERSION: i32 = 140_000;
/// How long an attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// The pause between attempts to connect.
const PAUSE: Duration = Duration::from_millis(200);
/// How long it may take to bring the tables up to date, the wait for another process that does so included.
const MIGRATION: Duration = Duration::from_secs(600);
/// Statements kept prepared per connection: more than there are in this crate.
const PREPARED_STATEMENTS: usize = 200;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Limits of a [`super::PostgresDatabase`].
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Connections at most, besides the few that listen or hold a lock.
    pub max_connections: u32,
    /// How long a call waits for a connection.
    pub acquire_timeout: Duration,
    /// How long Postgres works on a statement.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
    /// How long Postgres keeps a transaction open of which it hears nothing.
    pub idle_in_transaction_timeout: Duration,
    /// How long a call takes as a whole. To be longer than the others: it is for networks that fall silent.
    pub call_timeout: Duration,
    /// How long start-up waits for a server that is not there yet.
    pub start_timeout: Duration,
    /// What the server calls these connections in its views.
    pub application_name: String,
}

impl Default for PostgresOptions {
    /// Ten connections; 5 s for a connection, 10 s a statement, 5 s for a lock, 5 s idle in a transaction, 20 s a
    /// call, 15 s for the server to start; `powermemo`.
    fn default() -> Self {
        Self {
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(20),
            start_timeout: Duration::from_secs(15),
            application_name: "powermemo".into(),
        }
    }
}

/// Why the database could not be opened. No text holds the password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL cannot be read.
    #[error("the URL of the database cannot be read: {0}")]
    Url(String),
    /// The server did not let us in, or is not there.
    #[error("cannot connect to Postgres at {target}: {reason}")]
    Unreachable {
        /// Host, port, database and user.
        target: String,
        /// What went wrong.
        reason: String,
        /// The same, for whoever has to mend it.
        refusal: Refusal,
    },
    /// The server is too old.
    #[error("Postgres at {target} is of version {version}: 14 or newer is needed")]
    TooOld {
        /// Host, port, database and user.
        target: String,
        /// What it says it is.
        version: String,
    },
    /// It is the database of a Memobase.
    #[error("Postgres at {target} holds the tables of a Memobase: use a database of its own")]
    Foreign {
        /// Host, port, database and user.
        target: String,
    },
    /// The tables cannot be brought up to date; a newer version may have written them.
    #[error("the tables in Postgres at {target} cannot be brought up to date")]
    Migrate {
        /// Host, port, database and user.
        target: String,
        /// What went wrong.
        source: MigrateError,
    },
}

/// Why a server did not let us in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The password is wrong, or missing.
    Password,
    /// There is no such user, or its rules let it in from nowhere, from elsewhere, or with TLS only.
    User,
    /// There is no such database.
    Database,
    /// The machine is there, and nobody listens.
    NobodyListens,
    /// No answer, or none that could be understood.
    Network,
    /// Anything else.
    Other,
}

impl Refusal {
    fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(e) => Self::of_state(&e.code().unwrap_or_default()),
            sqlx::Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => Self::NobodyListens,
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => Self::Network,
            _ => Self::Other,
        }
    }

    /// Reads an SQLSTATE.
    fn of_state(state: &str) -> Self {
        match state {
            "28P01" => Self::Password,
            "28000" => Self::User,
            "3D000" => Self::Database,
            _ => Self::Other,
        }
    }
}

/// How to connect, as it stands in a URL, with nothing of ours.
pub(super) fn parse(url: &str) -> Result<PgConnectOptions, ConnectError> {
    // The library takes any scheme.
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(ConnectError::Url(format!("it does not begin with {} or {}", SCHEMES[0], SCHEMES[1])));
    }
    let options = PgConnectOptions::from_str(url).map_err(|error| ConnectError::Url(error.to_string()))?;
    Ok(options.disable_statement_logging().statement_cache_capacity(PREPARED_STATEMENTS))
}

/// Host, port, database and user: what to call a server in messages.
pub(super) fn target(url: &PgConnectOptions) -> String {
    let socket = url.get_socket().map(|path| path.display().to_string());
    let host = socket.unwrap_or_else(|| url.get_host().to_owned());
    let database = url.get_database().unwrap_or_else(|| url.get_username());
    format!("{host}:{}, database {database}, as user {}", url.get_port(), url.get_username())
}

/// With limits in force on the server, for connections of the pool.
pub(super) fn limited(url: &PgConnectOptions, options: &PostgresOptions) -> PgConnectOptions {
    let millis = |limit: Duration| limit.as_millis().max(1).to_string();
    url.clone().application_name(&options.application_name).options([
        ("statement_timeout", millis(options.statement_timeout)),
        ("lock_timeout", millis(options.lock_timeout)),
        ("idle_in_transaction_session_timeout", millis(options.idle_in_transaction_timeout)),
        // A plan is made for all parameters, and kept, maybe from when the tables were small. All statements find what
        // they need by an index, but for that which folds usage; a table that is read whole all the same must not count
        // as worth compiling a statement.
        ("plan_cache_mode", "force_generic_plan".to_owned()),
        ("enable_seqscan", "off".to_owned()),
        ("jit", "off".to_owned()),
    ])
}

/// Waits for the server to be there, and makes sure that it is new enough.
pub(super) async fn reach(url: &PgConnectOptions, options: &PostgresOptions) -> Result<PgConnection, ConnectError> {
    let target = target(url);
    // No limits on the server: a migration may take its time, or wait for that of another process.
    let mut conn =
        first(&url.clone().application_name(&options.application_name), options.start_timeout, &target).await?;
    let refused = |error: sqlx::Error| unreachable(&target, &error);
    let version = async {
        let number: i32 =
            query_scalar("SELECT current_setting('server_version_num')::int").fetch_one(&mut conn).await?;
        let name: String = query_scalar("SELECT current_setting('server_version')").fetch_one(&mut conn).await?;
        Ok((number, name))
    };
    let (number, version) = within(ATTEMPT, version).await.map_err(refused)?;
    if number < OLDEST_VERSION {
        return Err(ConnectError::TooOld { target, version });
    }
    Ok(conn)
}

/// Connects to a database that is not ours, and touches nothing in it: the connection, and what to call the server.
///
/// # Errors
/// See [`ConnectError`]. A server that is not there is not waited for.
pub(crate) async fn visit(url: &str, application_name: &str) -> Result<(PgConnection, String), ConnectError> {
    let url = parse(url)?;
    let (application_name, start_timeout) = (application_name.to_owned(), Duration::ZERO);
    let options = PostgresOptions { application_name, start_timeout, ..PostgresOptions::default() };
    Ok((reach(&url, &options).await?, target(&url)))
}

/// Whether the tables of a Memobase are where ours would be: both have `users`, and only theirs has such a column. The
/// catalogue shows them to whoever may not read them, too.
const IS_FOREIGN: &str = "SELECT EXISTS (
    SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE n.nspname = current_schema()
        AND (c.relname = 'general_blobs' OR c.relname = 'users' AND a.attname = 'additional_fields'))";

/// Brings the tables up to date. Other processes may do the same. The database of a Memobase is left as it is.
pub(super) async fn migrate(url: &PgConnectOptions, mut conn: PgConnection) -> Result<(), ConnectError> {
    let target = target(url);
    let is_foreign = within(ATTEMPT, query_scalar(IS_FOREIGN).fetch_one(&mut conn)).await;
    if is_foreign.map_err(|error| unreachable(&target, &error))? {
        return Err(ConnectError::Foreign { target });
    }
    let failed = |source| ConnectError::Migrate { target: target.clone(), source };
    match timeout(MIGRATION, MIGRATIONS.run_direct(None, &mut conn, false)).await {
        Ok(migrated) => migrated.map_err(failed)?,
        Err(_) => return Err(failed(MigrateError::Execute(sqlx::Error::PoolTimedOut))),
    }
    timeout(ATTEMPT, conn.close()).await.ok();
    Ok(())
}

/// The first connection, waited for.
async fn first(url: &PgConnectOptions, patience: Duration, target: &str) -> Result<PgConnection, ConnectError> {
    let deadline = Instant::now() + patience;
    let mut waited = false;
    loop {
        let error = match within(ATTEMPT, url.connect()).await {
            Ok(conn) => return Ok(conn),
            Err(error) => error,
        };
        if !may_pass(&error) || Instant::now() + PAUSE > deadline {
            return Err(unreachable(target, &error));
        }
        if !std::mem::replace(&mut waited, true) {
            tracing::warn!("waiting for Postgres at {target}: {}", reason(&error));
        }
        sleep(PAUSE).await;
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

fn unreachable(target: &str, error: &sqlx::Error) -> ConnectError {
    let (reason, refusal) = (reason(error), Refusal::of(error));
    ConnectError::Unreachable { target: target.to_owned(), reason, refusal }
}

fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(e) => e.message().to_owned(),
        sqlx::Error::Io(e) => e.to_string(),
        other => other.to_string(),
    }
}

/// Whether a server that answers so, or not at all, may be there in a moment.
pub(super) fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(e) => {
            let code = e.code().unwrap_or_default();
            code.starts_with("57P0") || code.starts_with("08") || code.starts_with("53")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_mended_is_told_by_the_state() {
        let states = ["28P01", "28000", "3D000", "53300"].map(Refusal::of_state);
        assert_eq!(states, [Refusal::Password, Refusal::User, Refusal::Database, Refusal::Other]);
        let io = |kind| Refusal::of(&std::io::Error::from(kind).into());
        assert_eq!(io(std::io::ErrorKind::ConnectionRefused), Refusal::NobodyListens);
        assert_eq!(io(std::io::ErrorKind::TimedOut), Refusal::Network);
    }

    #[test]
    fn the_password_is_in_no_message() {
        let url = parse("postgres://me:secret@db.example:6543/memory?sslmode=require").unwrap();
        assert_eq!(target(&url), "db.example:6543, database memory, as user me");
        for wrong in ["postgres://me:secret@host:port/x", "http://me:secret@host", "me:secret@host"] {
            let error = parse(wrong).map(drop).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
