//! The vectors of gists.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use memory::ids::{EventId, GistId, ProjectId, UserId, UserKey};
use memory::ports::{NewVector, StoreError, Unembedded, Vectors};
use memory::search::Vector;
use memory::usage::Used;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, query, query_scalar};
use uuid::Uuid;

use super::error::DatabaseError;
use super::rows::{bump, hex, json_column, micros, to_json};
use super::{SqliteStore, usage};

/// The key in `meta` of the space that vectors are to be of.
const SPACE: &str = "embedding_space";

/// Of as many gists as [`super::events::GISTS`] gives.
pub(super) const VECTORS: &str = "SELECT g.gist_id,
        CASE WHEN g.embedding_space = ?4 THEN g.embedding END AS embedding
    FROM events AS e CROSS JOIN gists AS g
        ON g.project_id = e.project_id AND g.user_id = e.user_id AND g.event_id = e.event_id
    WHERE e.project_id = ?1 AND e.user_id = ?2
    ORDER BY e.created_at DESC, e.place DESC, g.position LIMIT ?3";

/// Those without any, and those of spaces before and behind this one: each is a range of the index, which
/// SQLite would not use where most gists had none when it last looked.
pub(super) const UNEMBEDDED: [&str; 3] = [
    "SELECT project_id, user_id, event_id, gist_id, text, sources FROM gists INDEXED BY gists_by_space
    WHERE embedding_space IS NULL AND ?1 IS NOT NULL AND updated_at < ?2 LIMIT ?3",
    "SELECT project_id, user_id, event_id, gist_id, text, sources FROM gists INDEXED BY gists_by_space
    WHERE embedding_space < ?1 AND updated_at < ?2 LIMIT ?3",
    "SELECT project_id, user_id, event_id, gist_id, text, sources FROM gists INDEXED BY gists_by_space
    WHERE embedding_space > ?1 AND updated_at < ?2 LIMIT ?3",
];

pub(super) const PUT: &str = "UPDATE gists SET embedding_space = ?1, embedding = unhex(new.value ->> '$.vector')
    FROM json_each(?3) AS new
    WHERE project_id = ?2 AND user_id = unhex(new.value ->> '$.user') AND event_id = unhex(new.value ->> '$.event')
        AND gist_id = unhex(new.value ->> '$.gist')";

fn unembedded_of(row: &SqliteRow) -> sqlx::Result<Unembedded> {
    let project = ProjectId::from(row.try_get::<&str, _>("project_id")?);
    Ok(Unembedded {
        key: UserKey { project, user: UserId(row.try_get("user_id")?) },
        event_id: EventId(row.try_get("event_id")?),
        gist_id: GistId(row.try_get("gist_id")?),
        text: row.try_get("text")?,
        sources: json_column(row, "sources")?,
    })
}

async fn vectors(
    conn: &mut SqliteConnection,
    key: &UserKey,
    space: String,
    limit: u32,
) -> Result<Vec<(GistId, Vector)>, DatabaseError> {
    let select = query(VECTORS).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(limit).bind(space);
    let rows = select.fetch_all(conn).await?;
    let pair = |row: &SqliteRow| {
        let bytes: Option<&[u8]> = row.try_get("embedding")?;
        Ok((GistId(row.try_get("gist_id")?), bytes.and_then(Vector::from_bytes)))
    };
    let pairs = rows.iter().map(pair).collect::<sqlx::Result<Vec<_>>>()?;
    Ok(pairs.into_iter().filter_map(|(id, vector)| Some((id, vector?))).collect())
}

/// What the gists of an event have of vectors, for [`restore`].
pub(super) async fn of_event(conn: &mut SqliteConnection, key: &UserKey, id: EventId) -> Result<String, DatabaseError> {
    let sql = "SELECT json_group_array(json_object('gist', hex(gist_id), 'space', embedding_space,
            'vector', CASE WHEN embedding IS NOT NULL THEN hex(embedding) END))
        FROM gists WHERE project_id = ?1 AND user_id = ?2 AND event_id = ?3 AND embedding_space IS NOT NULL";
    let select = query_scalar(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(id.0);
    Ok(select.fetch_one(conn).await?)
}

/// Gives those of an event's gists that are there again their vectors back.
pub(super) async fn restore(
    conn: &mut SqliteConnection,
    key: &UserKey,
    id: EventId,
    vectors: String,
) -> Result<(), DatabaseError> {
    // Materialised, so that it is indexed: there may be thousands.
    let sql = "WITH old AS MATERIALIZED (
            SELECT unhex(value ->> '$.gist') AS gist, value ->> '$.space' AS space, unhex(value ->> '$.vector') AS vector
            FROM json_each(?4)
        )
        UPDATE gists SET embedding_space = old.space, embedding = old.vector FROM old
        WHERE project_id = ?1 AND user_id = ?2 AND event_id = ?3 AND gist_id = old.gist";
    let update = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(id.0);
    update.bind(vectors).execute(conn).await?;
    Ok(())
}

/// The hexadecimal digits of bytes.
fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn put(
    conn: &mut SqliteConnection,
    space: String,
    project: &ProjectId,
    vectors: &[NewVector],
    tokens: u64,
    now: Timestamp,
) -> Result<Vec<(UserId, i64)>, DatabaseError> {
    let row = |new: &NewVector| {
        let vector = new.vector.as_ref().map(|vector| digits(&vector.to_bytes()));
        json!({"user": hex(new.user.0), "event": hex(new.event_id.0), "gist": hex(new.gist_id.0), "vector": vector})
    };
    let rows: Vec<Value> = vectors.iter().map(row).collect();
    let put = query(PUT).bind(space).bind(project.as_str().to_owned()).bind(to_json(&rows)?);
    let users: BTreeSet<Uuid> = vectors.iter().map(|new| new.user.0).collect();
    let mut revisions = Vec::new();
    for user in users.into_iter().map(UserId) {
        let revision = bump(conn, &UserKey { project: project.clone(), user }).await?;
        revisions.extend(revision.map(|revision| (user, revision)));
    }
    put.execute(&mut *conn).await?;
    usage::add(conn, project, Used { embedding_tokens: tokens, ..Used::default() }, now).await?;
    Ok(revisions)
}

#[async_trait]
impl Vectors for SqliteStore {
    async fn vectors(&self, key: &UserKey, space: &str, limit: u32) -> Result<Vec<(GistId, Vector)>, StoreError> {
        let (key, space) = (key.clone(), space.to_owned());
        let read = self.database.read(move |conn| Box::pin(async move { vectors(conn, &key, space, limit).await }));
        Ok(read.await?)
    }

    async fn unembedded(&self, space: &str, before: Timestamp, limit: u32) -> Result<Vec<Unembedded>, StoreError> {
        let space = space.to_owned();
        let read = self.database.read(move |conn| {
            Box::pin(async move {
                let mut found = Vec::new();
                for sql in UNEMBEDDED {
                    let left = i64::from(limit) - i64::try_from(found.len()).unwrap_or(i64::MAX);
                    if left <= 0 {
                        break;
                    }
                    let rows = query(sql).bind(space.clone()).bind(micros(before)).bind(left).fetch_all(&mut *conn);
                    found.extend(rows.await?.iter().map(unembedded_of).collect::<sqlx::Result<Vec<_>>>()?);
                }
                Ok(found)
            })
        });
        Ok(read.await?)
    }

    async fn put_vectors(
        &self,
        space: &str,
        project: &ProjectId,
        vectors: &[NewVector],
        tokens: u64,
        now: Timestamp,
    ) -> Result<Vec<(UserId, i64)>, StoreError> {
        let (space, project, vectors) = (space.to_owned(), project.clone(), vectors.to_vec());
        let write = self
            .database
            .write(move |conn| Box::pin(async move { put(conn, space, &project, &vectors, tokens, now).await }));
        Ok(write.await?)
    }

    async fn space(&self) -> Result<Option<String>, StoreError> {
        Ok(self.database.meta(SPACE).await?)
    }

    async fn set_space(&self, space: &str) -> Result<(), StoreError> {
        Ok(self.database.set_meta(SPACE, space).await?)
    }
}
