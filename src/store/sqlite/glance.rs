//! A look at an embedded database that changes nothing in it, whether a server works with it or not.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::database::{DATABASE_FILE, SqliteOptions};

/// The embedded database of a folder, open for a look.
pub struct Glance {
    conn: SqliteConnection,
}

impl Glance {
    /// Opens the database in a folder. None when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn at(folder: &Path) -> Result<Option<Self>, sqlx::Error> {
        let file = folder.join(DATABASE_FILE);
        if !file.is_file() {
            return Ok(None);
        }
        let log = folder.join(format!("{DATABASE_FILE}-wal"));
        let options = SqliteConnectOptions::new()
            .filename(file)
            .read_only(true)
            // Without a log nobody works with it, and not even a lock need be taken.
            .immutable(!log.exists())
            .busy_timeout(SqliteOptions::default().busy_timeout)
            .disable_statement_logging();
        Ok(Some(Self { conn: options.connect().await? }))
    }

    /// Whether it holds any user.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn has_users(&mut self) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM users)").fetch_one(&mut self.conn).await
    }

    /// Whether messages wait in its own journal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn holds_messages(&mut self) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM journal_entries)").fetch_one(&mut self.conn).await
    }

    /// As [`super::SqliteDatabase::meta`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn meta(&mut self, key: &str) -> Result<Option<String>, sqlx::Error> {
        let sql = "SELECT value FROM meta WHERE key = ?1";
        sqlx::query_scalar(sql).bind(key).fetch_optional(&mut self.conn).await
    }

    /// Lets go of it.
    pub async fn close(self) {
        // A courtesy: nothing was changed.
        self.conn.close().await.ok();
    }
}
