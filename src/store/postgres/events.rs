//! Events and their gists.

use std::borrow::Cow;

use memory::event::{Event, EventTag, Gist};
use memory::ids::{EventId, FlushId, GistId, UserKey};
use memory::ports::{EventFilter, Written};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row, query, query_as};
use uuid::Uuid;

use super::error::DatabaseError;
use super::rows::{About, json_column, lock, micros, number, text, time_column, to_json};
use super::slots::bump;
use super::vectors;

/// Newest first; of equal age, the one that was stored last.
const EVENTS: &str = "SELECT event_id, flush_id, data, created_at, updated_at FROM events
    WHERE project_id = $1 AND user_id = $2 AND created_at >= $3 AND tags @> $4
    ORDER BY created_at DESC, place DESC LIMIT $5";

/// An event with its gists and the revision of the memory, in one statement, so that they belong together. An event
/// without gists is one row without a gist.
const EVENT: &str = "SELECT u.revision, e.event_id, e.flush_id, e.data, e.created_at, e.updated_at,
        g.position, g.gist_id, g.text, g.occurred_at, g.said_at, g.sources, g.created_at AS gist_created_at,
        g.updated_at AS gist_updated_at
    FROM users AS u
    JOIN events AS e ON e.project_id = u.project_id AND e.user_id = u.user_id
    LEFT JOIN gists AS g ON g.project_id = e.project_id AND g.user_id = e.user_id AND g.event_id = e.event_id
    WHERE u.project_id = $1 AND u.user_id = $2 AND e.event_id = $3 ORDER BY g.position";

/// Newest event first, in order of position within an event; with the revision of the memory, in one statement, so
/// that they belong together. A user without gists is one row without a gist. The gists are looked up event by event,
/// whatever the planner knows of the tables: only as many events are read as it takes.
const GISTS: &str = "SELECT u.revision, g.*
    FROM users AS u LEFT JOIN LATERAL (
        SELECT e.created_at AS age, e.place, g.event_id, g.position, g.gist_id, g.text, g.occurred_at, g.said_at,
            g.sources, g.created_at AS gist_created_at, g.updated_at AS gist_updated_at
        FROM events AS e CROSS JOIN LATERAL (
            SELECT * FROM gists WHERE project_id = $1 AND user_id = $2 AND event_id = e.event_id ORDER BY position
        ) AS g
        WHERE e.project_id = $1 AND e.user_id = $2
        ORDER BY e.created_at DESC, e.place DESC, g.position LIMIT $3
    ) AS g ON TRUE
    WHERE u.project_id = $1 AND u.user_id = $2
    ORDER BY g.age DESC, g.place DESC, g.position";

const INSERT_GISTS: &str = "INSERT INTO gists (project_id, user_id, event_id, position, gist_id, text, occurred_at,
        said_at, sources, created_at, updated_at)
    SELECT $1, $2, $3, g.* FROM unnest($4::bigint[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::bigint[], $11::bigint[]) AS g";

struct EventRow(Event);

impl<'r> FromRow<'r, PgRow> for EventRow {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
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

/// The gist of a row; none when the row is without.
fn gist(row: &PgRow) -> sqlx::Result<Option<Gist>> {
    let Some(id) = row.try_get::<Option<Uuid>, _>("gist_id")? else { return Ok(None) };
    Ok(Some(Gist {
        id: GistId(id),
        event_id: EventId(row.try_get("event_id")?),
        position: number(row, "position")?,
        text: row.try_get("text")?,
        occurred_at: row.try_get("occurred_at")?,
        said_at: row.try_get("said_at")?,
        sources: json_column(row, "sources")?,
        created_at: time_column(row, "gist_created_at")?,
        updated_at: time_column(row, "gist_updated_at")?,
    }))
}

fn gists_of(rows: &[PgRow]) -> sqlx::Result<Vec<Gist>> {
    rows.iter().filter_map(|row| gist(row).transpose()).collect()
}

/// What a filter may ask of an event's tags: each name, and each name with its value.
pub(super) fn tags_of(tags: &[EventTag]) -> Result<Vec<String>, DatabaseError> {
    let names = tags.iter().map(|tag| to_json(&[&tag.tag]));
    let pairs = tags.iter().map(|tag| to_json(&[&tag.tag, &tag.value]));
    names.chain(pairs).collect()
}

pub(super) async fn list(
    conn: &mut PgConnection,
    key: &UserKey,
    filter: &EventFilter,
) -> Result<Vec<Event>, DatabaseError> {
    let names = filter.tags.iter().map(|tag| to_json(&[tag]));
    let pairs = filter.tag_values.iter().map(|tag| to_json(&[&tag.tag, &tag.value]));
    let wanted = names.chain(pairs).collect::<Result<Vec<String>, _>>()?;
    let select = query_as(EVENTS).user(key).bind(filter.since.map_or(i64::MIN, micros)).bind(wanted);
    let rows: Vec<EventRow> = select.bind(i64::from(filter.limit)).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

pub(super) async fn read(
    conn: &mut PgConnection,
    key: &UserKey,
    id: EventId,
) -> Result<Option<(Event, Vec<Gist>, i64)>, DatabaseError> {
    let rows = query(EVENT).user(key).bind(id.0).fetch_all(conn).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    Ok(Some((EventRow::from_row(first)?.0, gists_of(&rows)?, first.try_get("revision")?)))
}

pub(super) async fn gists(
    conn: &mut PgConnection,
    key: &UserKey,
    limit: u32,
) -> Result<Option<(i64, Vec<Gist>)>, DatabaseError> {
    let rows = query(GISTS).user(key).bind(i64::from(limit)).fetch_all(conn).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    Ok(Some((first.try_get("revision")?, gists_of(&rows)?)))
}

pub(super) async fn gist_count(conn: &mut PgConnection, key: &UserKey) -> Result<u64, DatabaseError> {
    let row = query("SELECT count(*) AS gists FROM gists WHERE project_id = $1 AND user_id = $2").user(key);
    let count: i64 = row.fetch_one(conn).await?.try_get("gists")?;
    Ok(count.unsigned_abs())
}

pub(super) async fn replace(
    conn: &mut PgConnection,
    key: &UserKey,
    event: &Event,
    gists: &[Gist],
    base_revision: i64,
) -> Result<Written, DatabaseError> {
    let Some((_, revision)) = lock(conn, key).await? else { return Ok(Written::Unknown) };
    let sql = "SELECT FROM events WHERE project_id = $1 AND user_id = $2 AND event_id = $3";
    if query(sql).user(key).bind(event.id.0).fetch_optional(&mut *conn).await?.is_none() {
        return Ok(Written::Unknown);
    }
    if revision != base_revision {
        return Ok(Written::Stale);
    }
    let vectors = vectors::of_event(conn, key, event.id).await?;
    let sql = "WITH gone AS (DELETE FROM gists WHERE project_id = $1 AND user_id = $2 AND event_id = $3)
        UPDATE events SET flush_id = $4, data = $5, tags = $6, created_at = $7, updated_at = $8
        WHERE project_id = $1 AND user_id = $2 AND event_id = $3";
    let update = query(sql).user(key).bind(event.id.0).bind(event.flush_id.map(|id| id.0));
    let update =
        update.bind(to_json(&event.data)?).bind(tags_of(event.data.event_tags.as_deref().unwrap_or_default())?);
    update.bind(micros(event.created_at)).bind(micros(event.updated_at)).execute(&mut *conn).await?;
    insert_gists(conn, key, event.id, gists).await?;
    vectors::restore(conn, key, event.id, vectors).await?;
    bump(conn, key).await?;
    Ok(Written::Done)
}

/// The gists go with the event.
pub(super) async fn delete(conn: &mut PgConnection, key: &UserKey, id: EventId) -> Result<bool, DatabaseError> {
    if lock(conn, key).await?.is_none() {
        return Ok(false);
    }
    let sql = "DELETE FROM events WHERE project_id = $1 AND user_id = $2 AND event_id = $3";
    let known = query(sql).user(key).bind(id.0).execute(&mut *conn).await?.rows_affected() == 1;
    if known {
        bump(conn, key).await?;
    }
    Ok(known)
}

pub(super) async fn insert(
    conn: &mut PgConnection,
    key: &UserKey,
    event: &Event,
    gists: &[Gist],
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO events (project_id, user_id, event_id, flush_id, data, tags, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let insert = query(sql).user(key).bind(event.id.0).bind(event.flush_id.map(|id| id.0));
    let insert =
        insert.bind(to_json(&event.data)?).bind(tags_of(event.data.event_tags.as_deref().unwrap_or_default())?);
    insert.bind(micros(event.created_at)).bind(micros(event.updated_at)).execute(&mut *conn).await?;
    insert_gists(conn, key, event.id, gists).await
}

async fn insert_gists(
    conn: &mut PgConnection,
    key: &UserKey,
    id: EventId,
    gists: &[Gist],
) -> Result<(), DatabaseError> {
    if gists.is_empty() {
        return Ok(());
    }
    let GistColumns { positions, ids, texts, occurred, said, sources, created, updated } =
        GistColumns::of(gists.iter())?;
    let insert = query(INSERT_GISTS).user(key).bind(id.0).bind(positions).bind(ids).bind(texts).bind(occurred);
    insert.bind(said).bind(sources).bind(created).bind(updated).execute(conn).await?;
    Ok(())
}

/// Gists as columns.
pub(super) struct GistColumns<'a> {
    pub(super) positions: Vec<i64>,
    pub(super) ids: Vec<Uuid>,
    pub(super) texts: Vec<Cow<'a, str>>,
    pub(super) occurred: Vec<Option<Cow<'a, str>>>,
    pub(super) said: Vec<Option<Cow<'a, str>>>,
    pub(super) sources: Vec<String>,
    /// Microseconds since 1970.
    pub(super) created: Vec<i64>,
    pub(super) updated: Vec<i64>,
}

impl<'a> GistColumns<'a> {
    pub(super) fn of(gists: impl Iterator<Item = &'a Gist> + Clone) -> Result<Self, DatabaseError> {
        Ok(Self {
            positions: gists.clone().map(|gist| i64::from(gist.position)).collect(),
            ids: gists.clone().map(|gist| gist.id.0).collect(),
            texts: gists.clone().map(|gist| text(&gist.text)).collect(),
            occurred: gists.clone().map(|gist| gist.occurred_at.as_deref().map(text)).collect(),
            said: gists.clone().map(|gist| gist.said_at.as_deref().map(text)).collect(),
            sources: gists.clone().map(|gist| to_json(&gist.sources)).collect::<Result<_, _>>()?,
            created: gists.clone().map(|gist| micros(gist.created_at)).collect(),
            updated: gists.clone().map(|gist| micros(gist.updated_at)).collect(),
        })
    }
}
