//! A Memobase database, read as it was at one instant. Nothing is written to it.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::{Connection as _, Executor as _, FromRow, PgConnection, query_as, query_scalar};
use tokio::time::timeout;
use uuid::Uuid;

use super::statements::{
    BLOBS, COLUMNS, COUNTS, EVENTS, NO_LIMITS, PROJECT, PROJECTS, SLOTS, TABLES, UNMOVED, USER, USER_IDS,
};
use crate::store::postgres::{ConnectError, visit};

/// What the source calls this connection in its views.
const NAME: &str = "powermemo import";
/// How long the source may take for its next answer: it counts and sorts whole tables.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a courtesy may take.
const FAREWELL: Duration = Duration::from_secs(5);
/// Ids of users that are read at a time.
const PAGE: i64 = 1_000;

/// Why the source cannot be read. No text holds the password.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// It cannot be reached.
    #[error("the source cannot be read")]
    Connect(#[from] ConnectError),
    /// It is something else.
    #[error(
        "{target} is not a Memobase database as of 0.0.42: there is no column {column} in a table {table} that this \
         user may read"
    )]
    Stranger {
        /// Host, port, database and user.
        target: String,
        /// What is missing.
        table: &'static str,
        /// What is missing of it.
        column: &'static str,
    },
    /// It has no such project.
    #[error("there is no project {0:?} in the source")]
    NoProject(String),
    /// A statement failed, or the connection was lost.
    #[error("the source could not be read to its end: {0}")]
    Read(String),
    /// It fell silent.
    #[error("the source did not answer within {} s", PATIENCE.as_secs())]
    Late,
}

impl From<sqlx::Error> for SourceError {
    fn from(error: sqlx::Error) -> Self {
        Self::Read(match error {
            sqlx::Error::Database(error) => error.message().to_owned(),
            other => other.to_string(),
        })
    }
}

/// How many rows of a kind there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromRow)]
pub(super) struct Counts {
    pub(super) users: i64,
    pub(super) slots: i64,
    pub(super) events: i64,
    pub(super) gists: i64,
    pub(super) blobs: i64,
    /// Rows of the buffer whose blob is not there.
    pub(super) missing: i64,
}

/// What there is and does not move.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Unmoved {
    pub(super) embeddings: i64,
    pub(super) statuses: i64,
    pub(super) billings: i64,
}

/// A project. Times are microseconds since 1970, here and below.
#[derive(FromRow, Debug, Default)]
pub(super) struct ProjectRow {
    /// What tells it from projects of the same name in other databases.
    pub(super) id: Option<Uuid>,
    pub(super) profile_config: Option<String>,
    pub(super) status: Option<String>,
    pub(super) created: Option<i64>,
    pub(super) updated: Option<i64>,
}

/// A user; its data is JSON. `bytes` is how much the texts of a row are, here and below; none of them is there when that
/// is beyond the limit.
#[derive(FromRow, Debug)]
pub(super) struct UserRow {
    pub(super) id: Uuid,
    pub(super) bytes: i64,
    pub(super) data: Option<String>,
    pub(super) created: Option<i64>,
    pub(super) updated: Option<i64>,
}

/// A slot; its attributes are JSON.
#[derive(FromRow, Debug)]
pub(super) struct SlotRow {
    pub(super) id: Uuid,
    pub(super) bytes: i64,
    pub(super) content: Option<String>,
    pub(super) attributes: Option<String>,
    pub(super) created: Option<i64>,
    pub(super) updated: Option<i64>,
}

/// An event and its gists, as JSON.
#[derive(FromRow, Debug)]
pub(super) struct EventRow {
    pub(super) id: Uuid,
    pub(super) bytes: i64,
    pub(super) gist_count: i64,
    pub(super) data: Option<String>,
    pub(super) created: Option<i64>,
    pub(super) updated: Option<i64>,
    pub(super) gists: Option<String>,
}

/// A blob; data and fields are JSON.
#[derive(FromRow, Debug)]
pub(super) struct BlobRow {
    pub(super) id: Uuid,
    pub(super) bytes: i64,
    pub(super) blob_type: Option<String>,
    pub(super) data: Option<String>,
    pub(super) fields: Option<String>,
    pub(super) created: Option<i64>,
    /// It is still to be processed.
    pub(super) waits: bool,
}

/// Rows that come one by one, however many there are.
pub(super) struct Rows<'s, T>(BoxStream<'s, sqlx::Result<T>>);

impl<T> Rows<'_, T> {
    /// The next one.
    pub(super) async fn next(&mut self) -> Result<Option<T>, SourceError> {
        within(self.0.try_next()).await
    }
}

/// Waits for an answer of the source.
async fn within<T>(answer: impl Future<Output = sqlx::Result<T>>) -> Result<T, SourceError> {
    Ok(timeout(PATIENCE, answer).await.map_err(|_| SourceError::Late)??)
}

/// The source, in a transaction that reads alone.
pub(super) struct Source {
    conn: PgConnection,
    target: String,
    columns: HashSet<(String, String)>,
    /// The only project that is asked for, if it is one.
    project: Option<String>,
    /// How much the texts of a row may be.
    max_bytes: i64,
}

impl Source {
    /// Connects, and makes sure that it is what it should be.
    pub(super) async fn open(url: &str, project: Option<&str>, max_bytes: usize) -> Result<Self, SourceError> {
        let (mut conn, target) = visit(url, NAME).await?;
        within(conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")).await?;
        within(conn.execute(NO_LIMITS)).await?;
        let columns: Vec<(String, String)> = within(query_as(COLUMNS).fetch_all(&mut conn)).await?;
        let columns: HashSet<(String, String)> = columns.into_iter().collect();
        let (project_name, max_bytes) = (project.map(str::to_owned), i64::try_from(max_bytes).unwrap_or(i64::MAX));
        let mut source = Self { conn, target, columns, project: project_name, max_bytes };
        let needed = TABLES.iter().flat_map(|(table, columns)| columns.iter().map(move |column| (*table, *column)));
        if let Some((table, column)) = needed.into_iter().find(|(table, column)| !source.has(table, column)) {
            return Err(SourceError::Stranger { target: source.target, table, column });
        }
        if let Some(name) = project
            && source.projects().await?.is_empty()
        {
            return Err(SourceError::NoProject(name.to_owned()));
        }
        Ok(source)
    }

    /// What to call it: host, port, database and user.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    fn has(&self, table: &str, column: &str) -> bool {
        self.columns.contains(&(table.to_owned(), column.to_owned()))
    }

    /// Lets go of it.
    pub(super) async fn close(self) {
        timeout(FAREWELL, self.conn.close()).await.ok();
    }

    /// How much there is.
    pub(super) async fn counts(&mut self) -> Result<Counts, SourceError> {
        within(query_as(COUNTS).bind(self.project.clone()).fetch_one(&mut self.conn)).await
    }

    /// How much there is of what does not move. Tables that are not there hold nothing.
    pub(super) async fn unmoved(&mut self) -> Result<Unmoved, SourceError> {
        let mut counts = [0; UNMOVED.len()];
        for ((table, column, sql), count) in UNMOVED.into_iter().zip(&mut counts) {
            if self.has(table, column) {
                *count = within(query_scalar(sql).bind(self.project.clone()).fetch_one(&mut self.conn)).await?;
            }
        }
        let [events, gists, statuses, billings] = counts;
        Ok(Unmoved { embeddings: events + gists, statuses, billings })
    }

    /// The names of all projects that are asked for.
    pub(super) async fn projects(&mut self) -> Result<Vec<String>, SourceError> {
        within(query_scalar(PROJECTS).bind(self.project.clone()).fetch_all(&mut self.conn)).await
    }

    /// A project; none when it has users and no row.
    pub(super) async fn project(&mut self, name: &str) -> Result<Option<ProjectRow>, SourceError> {
        within(query_as(PROJECT).bind(name.to_owned()).fetch_optional(&mut self.conn)).await
    }

    /// The next ids of users behind one.
    pub(super) async fn user_ids(&mut self, project: &str, after: Option<Uuid>) -> Result<Vec<Uuid>, SourceError> {
        let select = query_scalar(USER_IDS).bind(project.to_owned()).bind(after).bind(PAGE);
        within(select.fetch_all(&mut self.conn)).await
    }

    /// A user.
    pub(super) async fn user(&mut self, project: &str, id: Uuid) -> Result<UserRow, SourceError> {
        let select = query_as(USER).bind(project.to_owned()).bind(id).bind(self.max_bytes);
        within(select.fetch_one(&mut self.conn)).await
    }

    /// Its slots, oldest change first.
    pub(super) fn slots(&mut self, project: &str, user: Uuid) -> Rows<'_, SlotRow> {
        Rows(query_as(SLOTS).bind(project.to_owned()).bind(user).bind(self.max_bytes).fetch(&mut self.conn))
    }

    /// Its events, oldest first.
    pub(super) fn events(&mut self, project: &str, user: Uuid) -> Rows<'_, EventRow> {
        Rows(query_as(EVENTS).bind(project.to_owned()).bind(user).bind(self.max_bytes).fetch(&mut self.conn))
    }

    /// Its blobs, oldest first.
    pub(super) fn blobs(&mut self, project: &str, user: Uuid) -> Rows<'_, BlobRow> {
        Rows(query_as(BLOBS).bind(project.to_owned()).bind(user).bind(self.max_bytes).fetch(&mut self.conn))
    }
}
