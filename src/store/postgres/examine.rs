//! A look at a database that changes nothing in it.

use std::sync::Arc;

use sqlx::{Connection, PgConnection, query_scalar};

use super::connect::{self, ConnectError, MIGRATIONS, PostgresOptions};
use super::database::PostgresDatabase;
use super::error::DatabaseError;

/// How the tables of a database stand to this version of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tables {
    /// They are what this version needs.
    Current,
    /// There are none yet.
    Missing,
    /// So many steps are to be done: the next start does them, and so does `powermemo migrate`.
    Behind(usize),
    /// A newer version of the program has changed them.
    Ahead,
}

impl PostgresDatabase {
    /// Connects as [`PostgresDatabase::connect`] does, and leaves the tables as they are.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn look(url: &str, options: &PostgresOptions) -> Result<Arc<Self>, ConnectError> {
        let database = Self::open(url, options).await?;
        let conn = connect::reach(&database.connect_options(), options).await?;
        // A courtesy: the server notices by itself as well.
        conn.close().await.ok();
        Ok(database)
    }

    /// How its tables stand to this version.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn tables(&self) -> Result<Tables, DatabaseError> {
        self.single((), |conn, ()| Box::pin(tables(conn))).await
    }

    /// Whether it holds any user. Its tables must be there.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn has_users(&self) -> Result<bool, DatabaseError> {
        let sql = "SELECT EXISTS (SELECT FROM users)";
        self.single((), move |conn, ()| Box::pin(async move { Ok(query_scalar(sql).fetch_one(conn).await?) })).await
    }
}

async fn tables(conn: &mut PgConnection) -> Result<Tables, DatabaseError> {
    let found: bool = query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut *conn).await?;
    if !found {
        return Ok(Tables::Missing);
    }
    let done: Vec<i64> = query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(conn).await?;
    let known: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    if done.iter().any(|version| !known.contains(version)) {
        return Ok(Tables::Ahead);
    }
    match known.len() - done.len() {
        0 => Ok(Tables::Current),
        steps => Ok(Tables::Behind(steps)),
    }
}
