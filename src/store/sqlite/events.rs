//! Events and their gists.

use memory::event::{Event, Gist};
use memory::ids::{EventId, FlushId, GistId, UserKey};
use memory::ports::{EventFilter, Written};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::error::DatabaseError;
use super::rows::{bump, hex, json_column, life, micros, time_column, to_json};
use super::vectors;

/// Newest first; of equal age, the one that was stored last. The tags are compared one by one: each that is asked for must be among the event's.
pub(super) const EVENTS: &str = "SELECT event_id, flush_id, data, created_at, updated_at FROM events AS e
    WHERE project_id = ?1 AND user_id = ?2 AND created_at >= ?3
        AND NOT EXISTS (
            SELECT 1 FROM json_each(?4) AS wanted
            WHERE NOT EXISTS (
                SELECT 1 FROM json_each(e.data, '$.event_tags') AS tag
                WHERE tag.value ->> '$.tag' = wanted.value ->> '$.tag'
                    AND coalesce(tag.value ->> '$.value' = wanted.value ->> '$.value', TRUE)
            )
        )
    ORDER BY created_at DESC, place DESC LIMIT ?5";

/// Newest event first, in order of position within an event.
pub(super) const GISTS: &str = "SELECT g.event_id, g.position, g.gist_id, g.text, g.occurred_at, g.said_at, g.sources,
        g.created_at, g.updated_at
    FROM events AS e CROSS JOIN gists AS g
        ON g.project_id = e.project_id AND g.user_id = e.user_id AND g.event_id = e.event_id
    WHERE e.project_id = ?1 AND e.user_id = ?2
    ORDER BY e.created_at DESC, e.place DESC, g.position LIMIT ?3";

struct EventRow(Event);

impl<'r> FromRow<'r, SqliteRow> for EventRow {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        let flush_id: Option<Uuid> = row.try_get("flush_id")?;
        Ok(Self(Event {
            id: EventId(row.try_get("event_id")?),
            flush_id: flush_id.map(FlushId),
            data: json_column(row, "data")?,
            created_at: time_column(row, "created_at")?,
            updated_at: time_column(row, "updated_at")?,
        }))
    }
}

struct GistRow(Gist);

impl<'r> FromRow<'r, SqliteRow> for GistRow {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        Ok(Self(Gist {
            id: GistId(row.try_get("gist_id")?),
            event_id: EventId(row.try_get("event_id")?),
            position: row.try_get("position")?,
            text: row.try_get("text")?,
            occurred_at: row.try_get("occurred_at")?,
            said_at: row.try_get("said_at")?,
            sources: json_column(row, "sources")?,
            created_at: time_column(row, "created_at")?,
            updated_at: time_column(row, "updated_at")?,
        }))
    }
}

pub(super) async fn list(
    conn: &mut SqliteConnection,
    key: &UserKey,
    filter: &EventFilter,
) -> Result<Vec<Event>, DatabaseError> {
    let names = filter.tags.iter().map(|tag| json!({ "tag": tag }));
    let pairs = filter.tag_values.iter().map(|tag| json!({ "tag": tag.tag, "value": tag.value }));
    let wanted: Value = names.chain(pairs).collect();
    let select = query_as(EVENTS).bind(key.project.as_str().to_owned()).bind(key.user.0);
    let select = select.bind(filter.since.map_or(i64::MIN, micros)).bind(to_json(&wanted)?).bind(filter.limit);
    let rows: Vec<EventRow> = select.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

pub(super) async fn read(
    conn: &mut SqliteConnection,
    key: &UserKey,
    id: EventId,
) -> Result<Option<(Event, Vec<Gist>, i64)>, DatabaseError> {
    let Some((_, revision)) = life(conn, key).await? else { return Ok(None) };
    let sql = "SELECT event_id, flush_id, data, created_at, updated_at FROM events
        WHERE project_id = ?1 AND user_id = ?2 AND event_id = ?3";
    let select = query_as(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(id.0);
    let row: Option<EventRow> = select.fetch_optional(&mut *conn).await?;
    let Some(EventRow(event)) = row else { return Ok(None) };
    let sql = "SELECT event_id, position, gist_id, text, occurred_at, said_at, sources, created_at, updated_at
        FROM gists WHERE project_id = ?1 AND user_id = ?2 AND event_id = ?3 ORDER BY position";
    let select = query_as(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(id.0);
    let rows: Vec<GistRow> = select.fetch_all(conn).await?;
    Ok(Some((event, rows.into_iter().map(|row| row.0).collect(), revision)))
}

pub(super) async fn gists(
    conn: &mut SqliteConnection,
    key: &UserKey,
    limit: u32,
) -> Result<Option<(i64, Vec<Gist>)>, DatabaseError> {
    let Some((_, revision)) = life(conn, key).await? else { return Ok(None) };
    let select = query_as(GISTS).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(limit);
    let rows: Vec<GistRow> = select.fetch_all(conn).await?;
    Ok(Some((revision, rows.into_iter().map(|row| row.0).collect())))
}

pub(super) async fn gist_count(conn: &mut SqliteConnection, key: &UserKey) -> Result<u64, DatabaseError> {
    let sql = "SELECT count(*) FROM gists WHERE project_id = ?1 AND user_id = ?2";
    let select = query_scalar(sql).bind(key.project.as_str().to_owned()).bind(key.user.0);
    let count: i64 = select.fetch_one(conn).await?;
    Ok(count.unsigned_abs())
}

pub(super) async fn replace(
    conn: &mut SqliteConnection,
    key: &UserKey,
    event: &Event,
    gists: &[Gist],
    base_revision: i64,
) -> Result<Written, DatabaseError> {
    let Some((_, revision)) = life(conn, key).await? else { return Ok(Written::Unknown) };
    let sql = "SELECT place FROM events WHERE project_id = ?1 AND user_id = ?2 AND event_id = ?3";
    let select = query_scalar(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(event.id.0);
    let place: Option<i64> = select.fetch_optional(&mut *conn).await?;
    let Some(place) = place else { return Ok(Written::Unknown) };
    if revision != base_revision {
        return Ok(Written::Stale);
    }
    let vectors = vectors::of_event(conn, key, event.id).await?;
    remove(conn, key, event.id).await?;
    store(conn, key, event, gists, Some(place)).await?;
    vectors::restore(conn, key, event.id, vectors).await?;
    bump(conn, key).await?;
    Ok(Written::Done)
}

pub(super) async fn delete(conn: &mut SqliteConnection, key: &UserKey, id: EventId) -> Result<bool, DatabaseError> {
    let known = remove(conn, key, id).await?;
    if known {
        bump(conn, key).await?;
    }
    Ok(known)
}

/// The gists go with the event.
async fn remove(conn: &mut SqliteConnection, key: &UserKey, id: EventId) -> Result<bool, DatabaseError> {
    let sql = "DELETE FROM events WHERE project_id = ?1 AND user_id = ?2 AND event_id = ?3";
    let delete = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(id.0);
    Ok(delete.execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn insert(
    conn: &mut SqliteConnection,
    key: &UserKey,
    event: &Event,
    gists: &[Gist],
) -> Result<(), DatabaseError> {
    store(conn, key, event, gists, None).await
}

/// Without a place the event gets the next one.
async fn store(
    conn: &mut SqliteConnection,
    key: &UserKey,
    event: &Event,
    gists: &[Gist],
    place: Option<i64>,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO events (project_id, user_id, event_id, flush_id, data, created_at, updated_at, place)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let insert = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(event.id.0);
    let insert = insert.bind(event.flush_id.map(|id| id.0)).bind(to_json(&event.data)?);
    insert.bind(micros(event.created_at)).bind(micros(event.updated_at)).bind(place).execute(&mut *conn).await?;
    // One statement for all: an event may have thousands of gists, and appends wait meanwhile.
    let sql = "INSERT INTO gists (project_id, user_id, event_id, position, gist_id, text, occurred_at, said_at,
            sources, created_at, updated_at)
        SELECT ?1, ?2, ?3, value ->> '$.position', unhex(value ->> '$.id'), value ->> '$.text',
            value ->> '$.occurred_at', value ->> '$.said_at', value ->> '$.sources',
            value ->> '$.created_at', value ->> '$.updated_at'
        FROM json_each(?4)";
    let rows = gists.iter().map(gist_json).collect::<Result<Vec<Value>, DatabaseError>>()?;
    let insert = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(event.id.0);
    insert.bind(to_json(&rows)?).execute(conn).await?;
    Ok(())
}

fn gist_json(gist: &Gist) -> Result<Value, DatabaseError> {
    Ok(json!({
        "id": hex(gist.id.0),
        "position": gist.position,
        "text": gist.text,
        "occurred_at": gist.occurred_at,
        "said_at": gist.said_at,
        "sources": to_json(&gist.sources)?,
        "created_at": micros(gist.created_at),
        "updated_at": micros(gist.updated_at),
    }))
}
