//! What a server asks of the database when it starts: where the journal is, who else runs, what Postgres promises.

use jiff::Timestamp;
use sqlx::{PgConnection, Row, query, query_scalar};

use super::database::PostgresDatabase;
use super::error::DatabaseError;
use super::rows::timestamp;

/// Microseconds since 1970 on the clock of the server.
pub(crate) const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// What a Postgres server says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerFacts {
    /// Its version, such as `15.14`.
    pub version: String,
    /// False when it may lose the last commits in a crash: `synchronous_commit` or `fsync` is off.
    pub is_durable: bool,
    /// How many connections it takes, from anybody.
    pub max_connections: u32,
    /// False on a standby.
    pub is_writable: bool,
}

impl PostgresDatabase {
    /// The random name that the journal in this database got when it was created.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn journal_id(&self) -> Result<String, DatabaseError> {
        let id = self.meta("journal_id").await?;
        id.ok_or(DatabaseError::Damaged("the journal has no name"))
    }

    /// A value that [`PostgresDatabase::set_meta`] wrote.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn meta(&self, key: &'static str) -> Result<Option<String>, DatabaseError> {
        self.single(key, |conn, key| Box::pin(get(conn, key))).await
    }

    /// Keeps a value that belongs to the whole database; `journal` says where the journal is, `store` or `redis`.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn set_meta(&self, key: &'static str, value: &str) -> Result<(), DatabaseError> {
        self.single((key, value.to_owned()), |conn, (key, value)| Box::pin(set(conn, key, value))).await
    }

    /// As [`PostgresDatabase::set_meta`], unless there is a value already.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn set_meta_once(&self, key: &'static str, value: &'static str) -> Result<(), DatabaseError> {
        self.single((key, value), |conn, (key, value)| Box::pin(set_once(conn, key, value))).await
    }

    /// The time on the clock of the server.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn now(&self) -> Result<Timestamp, DatabaseError> {
        self.single((), |conn, ()| Box::pin(async { Ok(timestamp(query_scalar(NOW).fetch_one(conn).await?)?) })).await
    }

    /// What the server says of itself.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn facts(&self) -> Result<ServerFacts, DatabaseError> {
        self.single((), |conn, ()| Box::pin(facts(conn))).await
    }
}

async fn get(conn: &mut PgConnection, key: &str) -> Result<Option<String>, DatabaseError> {
    Ok(query_scalar("SELECT value FROM meta WHERE key = $1").bind(key).fetch_optional(conn).await?)
}

async fn set(conn: &mut PgConnection, key: &str, value: &str) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO meta (key, value) VALUES ($1, $2)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    query(sql).bind(key).bind(value).execute(conn).await?;
    Ok(())
}

async fn set_once(conn: &mut PgConnection, key: &str, value: &str) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    query(sql).bind(key).bind(value).execute(conn).await?;
    Ok(())
}

async fn facts(conn: &mut PgConnection) -> Result<ServerFacts, DatabaseError> {
    let sql = "SELECT current_setting('server_version') AS version,
        current_setting('synchronous_commit') <> 'off' AND current_setting('fsync') = 'on' AS is_durable,
        current_setting('max_connections')::bigint AS max_connections, NOT pg_is_in_recovery() AS is_writable";
    let row = query(sql).fetch_one(conn).await?;
    Ok(ServerFacts {
        version: row.try_get("version")?,
        is_durable: row.try_get("is_durable")?,
        max_connections: super::rows::number(&row, "max_connections")?,
        is_writable: row.try_get("is_writable")?,
    })
}
