//! The vectors of gists.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use memory::ids::{EventId, GistId, ProjectId, UserId, UserKey};
use memory::ports::{NewVector, StoreError, Unembedded, Vectors};
use memory::search::Vector;
use memory::usage::Used;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row, query};
use uuid::Uuid;

use super::error::DatabaseError;
use super::rows::{About as _, json_column, micros};
use super::slots::bump;
use super::{PostgresStore, usage};

/// The key in `meta` of the space that vectors are to be of.
const SPACE: &str = "embedding_space";

/// Of as many gists as the reading of gists gives, and as that does: event by event.
const VECTORS: &str = "SELECT gist_id, embedding FROM (
        SELECT e.created_at AS age, e.place, g.*
        FROM events AS e CROSS JOIN LATERAL (
            SELECT gist_id, position, embedding_space, embedding FROM gists
            WHERE project_id = $1 AND user_id = $2 AND event_id = e.event_id ORDER BY position
        ) AS g
        WHERE e.project_id = $1 AND e.user_id = $2
        ORDER BY e.created_at DESC, e.place DESC, g.position LIMIT $4
    ) AS g
    WHERE embedding_space = $3 AND embedding IS NOT NULL ORDER BY age DESC, place DESC, position";

/// Those without any, and those of spaces before and behind this one: each is a range of the index.
const UNEMBEDDED: [&str; 3] = [
    "SELECT project_id, user_id, event_id, gist_id, text, sources FROM gists
    WHERE embedding_space IS NULL AND $1 IS NOT NULL AND updated_at < $2 LIMIT $3",
    "SELECT project_id, user_id, event_id, gist_id, text, sources FROM gists
    WHERE embedding_space < $1 AND updated_at < $2 LIMIT $3",
    "SELECT project_id, user_id, event_id, gist_id, text, sources FROM gists
    WHERE embedding_space > $1 AND updated_at < $2 LIMIT $3",
];

/// The rows are found one by one: a join could become one that reads a whole table.
const PUT: &str = "WITH new AS MATERIALIZED (
        SELECT n.vector, (SELECT ctid FROM gists AS x WHERE x.project_id = $2 AND x.user_id = n.user_id
            AND x.event_id = n.event_id AND x.gist_id = n.gist_id LIMIT 1) AS place
        FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::bytea[]) AS n (user_id, event_id, gist_id, vector)
    )
    UPDATE gists AS g SET embedding_space = $1, embedding = new.vector FROM new WHERE g.ctid = new.place";

fn unembedded_of(row: &PgRow) -> sqlx::Result<Unembedded> {
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
    conn: &mut PgConnection,
    key: &UserKey,
    space: &str,
    limit: u32,
) -> Result<Vec<(GistId, Vector)>, DatabaseError> {
    let rows = query(VECTORS).user(key).bind(space).bind(i64::from(limit)).fetch_all(conn).await?;
    let pair = |row: &PgRow| Ok((GistId(row.try_get("gist_id")?), Vector::from_bytes(row.try_get("embedding")?)));
    let pairs = rows.iter().map(pair).collect::<sqlx::Result<Vec<_>>>()?;
    Ok(pairs.into_iter().filter_map(|(id, vector)| Some((id, vector?))).collect())
}

/// What the gists of an event have of vectors, for [`restore`].
#[derive(Default)]
pub(super) struct OfEvent {
    gists: Vec<Uuid>,
    vectors: Vec<Option<Vec<u8>>>,
    spaces: Vec<String>,
}

pub(super) async fn of_event(conn: &mut PgConnection, key: &UserKey, id: EventId) -> Result<OfEvent, DatabaseError> {
    let sql = "SELECT gist_id, embedding, embedding_space FROM gists
        WHERE project_id = $1 AND user_id = $2 AND event_id = $3 AND embedding_space IS NOT NULL";
    let mut found = OfEvent::default();
    for row in query(sql).user(key).bind(id.0).fetch_all(conn).await? {
        found.gists.push(row.try_get("gist_id")?);
        found.vectors.push(row.try_get("embedding")?);
        found.spaces.push(row.try_get("embedding_space")?);
    }
    Ok(found)
}

/// Gives those of an event's gists that are there again their vectors back.
pub(super) async fn restore(
    conn: &mut PgConnection,
    key: &UserKey,
    id: EventId,
    old: OfEvent,
) -> Result<(), DatabaseError> {
    if old.gists.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE gists AS g SET embedding_space = old.space, embedding = old.vector
        FROM unnest($4::uuid[], $5::bytea[], $6::text[]) AS old (gist_id, vector, space)
        WHERE g.project_id = $1 AND g.user_id = $2 AND g.event_id = $3 AND g.gist_id = old.gist_id";
    let update = query(sql).user(key).bind(id.0).bind(old.gists).bind(old.vectors).bind(old.spaces);
    update.execute(conn).await?;
    Ok(())
}

async fn unembedded(
    conn: &mut PgConnection,
    space: &str,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<Unembedded>, DatabaseError> {
    let mut found = Vec::new();
    for sql in UNEMBEDDED {
        let left = i64::from(limit) - i64::try_from(found.len()).unwrap_or(i64::MAX);
        if left <= 0 {
            break;
        }
        let rows = query(sql).bind(space).bind(micros(before)).bind(left).fetch_all(&mut *conn).await?;
        found.extend(rows.iter().map(unembedded_of).collect::<sqlx::Result<Vec<_>>>()?);
    }
    Ok(found)
}

async fn put(
    conn: &mut PgConnection,
    space: &str,
    project: &ProjectId,
    vectors: &[NewVector],
    tokens: u64,
    now: Timestamp,
) -> Result<Vec<(UserId, i64)>, DatabaseError> {
    let put = query(PUT).bind(space).bind(project.as_str());
    let put = put.bind(vectors.iter().map(|new| new.user.0).collect::<Vec<_>>());
    let put = put.bind(vectors.iter().map(|new| new.event_id.0).collect::<Vec<_>>());
    let put = put.bind(vectors.iter().map(|new| new.gist_id.0).collect::<Vec<_>>());
    let put = put.bind(vectors.iter().map(|new| new.vector.as_ref().map(Vector::to_bytes)).collect::<Vec<_>>());
    // Users first, and in one order: as every change of a memory locks them.
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
impl Vectors for PostgresStore {
    async fn vectors(&self, key: &UserKey, space: &str, limit: u32) -> Result<Vec<(GistId, Vector)>, StoreError> {
        let args = (key.clone(), space.to_owned());
        Ok(self.database.single(args, move |conn, (key, space)| Box::pin(vectors(conn, key, space, limit))).await?)
    }

    async fn unembedded(&self, space: &str, before: Timestamp, limit: u32) -> Result<Vec<Unembedded>, StoreError> {
        let read =
            self.database.single(space.to_owned(), move |conn, space| Box::pin(unembedded(conn, space, before, limit)));
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
        let args = (space.to_owned(), project.clone(), vectors.to_vec());
        let write = self.database.write(args, move |conn, (space, project, vectors)| {
            Box::pin(put(conn, space, project, vectors, tokens, now))
        });
        Ok(write.await?)
    }

    async fn space(&self) -> Result<Option<String>, StoreError> {
        Ok(self.database.meta(SPACE).await?)
    }

    async fn set_space(&self, space: &str) -> Result<(), StoreError> {
        Ok(self.database.set_meta(SPACE, space).await?)
    }
}
