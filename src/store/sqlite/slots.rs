//! The profile and the history of its slots.

use jiff::Timestamp;
use memory::ids::{FlushId, Incarnation, SlotId, UserKey};
use memory::ports::{NewSlot, SlotChange};
use memory::profile::{Author, Profile, Slot, SlotWrite};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection, query, query_as};

use super::error::DatabaseError;
use super::rows::{bump, json_column, life, micros, time_column, to_json};

pub(super) const SLOTS: &str = "SELECT slot_id, topic, sub_topic, content, attributes, sources, revision, created_at,
        updated_at
    FROM profile_slots WHERE project_id = ?1 AND user_id = ?2 ORDER BY updated_at DESC, slot_id DESC";

struct SlotRow(Slot);

impl<'r> FromRow<'r, SqliteRow> for SlotRow {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        Ok(Self(Slot {
            id: SlotId(row.try_get("slot_id")?),
            topic: row.try_get("topic")?,
            sub_topic: row.try_get("sub_topic")?,
            content: row.try_get("content")?,
            attributes: json_column(row, "attributes")?,
            sources: json_column(row, "sources")?,
            revision: row.try_get("revision")?,
            created_at: time_column(row, "created_at")?,
            updated_at: time_column(row, "updated_at")?,
        }))
    }
}

pub(super) async fn profile(conn: &mut SqliteConnection, key: &UserKey) -> Result<Option<Profile>, DatabaseError> {
    let Some((incarnation, revision)) = life(conn, key).await? else { return Ok(None) };
    let rows: Vec<SlotRow> =
        query_as(SLOTS).bind(key.project.as_str().to_owned()).bind(key.user.0).fetch_all(conn).await?;
    let slots = rows.into_iter().map(|row| row.0).collect();
    Ok(Some(Profile { incarnation: Incarnation(incarnation), revision, slots }))
}

pub(super) async fn add(
    conn: &mut SqliteConnection,
    key: &UserKey,
    slot: NewSlot,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    if life(conn, key).await?.is_none() {
        return Ok(false);
    }
    let slot = Slot {
        id: slot.id,
        topic: slot.topic,
        sub_topic: slot.sub_topic,
        content: slot.content,
        attributes: slot.attributes,
        sources: Vec::new(),
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    let is_new = insert(conn, key, &slot).await?;
    if is_new {
        log(conn, key, "insert", Author::Client, &slot, now).await?;
        bump(conn, key).await?;
    }
    // A slot that is there already is what a repeated call finds after an outcome that was unknown.
    Ok(true)
}

pub(super) async fn update(
    conn: &mut SqliteConnection,
    key: &UserKey,
    id: SlotId,
    change: SlotChange,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let Some(mut slot) = one(conn, key, id).await? else { return Ok(false) };
    slot.content = change.content;
    slot.sources.clear();
    if let Some((topic, sub_topic, attributes)) = change.address {
        (slot.topic, slot.sub_topic, slot.attributes) = (topic, sub_topic, attributes);
    }
    slot.revision += 1;
    slot.updated_at = now;
    replace(conn, key, &slot).await?;
    log(conn, key, "update", Author::Client, &slot, now).await?;
    bump(conn, key).await?;
    Ok(true)
}

pub(super) async fn delete(
    conn: &mut SqliteConnection,
    key: &UserKey,
    id: SlotId,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let Some(slot) = one(conn, key, id).await? else { return Ok(false) };
    remove(conn, key, id).await?;
    log(conn, key, "delete", Author::Client, &slot, now).await?;
    bump(conn, key).await?;
    Ok(true)
}

/// What a flush does to one slot, and the entry in its history.
pub(super) async fn write(
    conn: &mut SqliteConnection,
    key: &UserKey,
    flush_id: FlushId,
    write: &SlotWrite,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    match write {
        SlotWrite::Insert(slot) => {
            if !insert(conn, key, slot).await? {
                return Err(DatabaseError::Damaged("a new slot is there already"));
            }
        }
        SlotWrite::Update(slot) => replace(conn, key, slot).await?,
        SlotWrite::Delete(slot) => remove(conn, key, slot.id).await?,
        SlotWrite::Overruled(_) => {}
    }
    log(conn, key, write.action(), Author::Flush(flush_id), write.slot(), now).await
}

/// A slot that is not there yet, as it is, and the entry in its history.
pub(super) async fn adopt(
    conn: &mut SqliteConnection,
    key: &UserKey,
    slot: &Slot,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    if !insert(conn, key, slot).await? {
        return Err(DatabaseError::Damaged("a new slot is there already"));
    }
    log(conn, key, "insert", Author::Client, slot, now).await
}

async fn one(conn: &mut SqliteConnection, key: &UserKey, id: SlotId) -> Result<Option<Slot>, DatabaseError> {
    let sql = "SELECT slot_id, topic, sub_topic, content, attributes, sources, revision, created_at, updated_at
        FROM profile_slots WHERE project_id = ?1 AND user_id = ?2 AND slot_id = ?3";
    let select = query_as(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(id.0);
    let row: Option<SlotRow> = select.fetch_optional(conn).await?;
    Ok(row.map(|row| row.0))
}

/// False when there is a slot of this id.
async fn insert(conn: &mut SqliteConnection, key: &UserKey, slot: &Slot) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO profile_slots (project_id, user_id, slot_id, topic, sub_topic, content, attributes,
            sources, revision, created_at, updated_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING";
    let insert = query(sql)
        .bind(key.project.as_str().to_owned())
        .bind(key.user.0)
        .bind(slot.id.0)
        .bind(slot.topic.clone())
        .bind(slot.sub_topic.clone())
        .bind(slot.content.clone())
        .bind(to_json(&slot.attributes)?)
        .bind(to_json(&slot.sources)?)
        .bind(slot.revision)
        .bind(micros(slot.created_at))
        .bind(micros(slot.updated_at));
    Ok(insert.execute(conn).await?.rows_affected() == 1)
}

async fn replace(conn: &mut SqliteConnection, key: &UserKey, slot: &Slot) -> Result<(), DatabaseError> {
    let sql = "UPDATE profile_slots SET topic = ?4, sub_topic = ?5, content = ?6, attributes = ?7, sources = ?8,
            revision = ?9, updated_at = ?10
        WHERE project_id = ?1 AND user_id = ?2 AND slot_id = ?3";
    let update = query(sql)
        .bind(key.project.as_str().to_owned())
        .bind(key.user.0)
        .bind(slot.id.0)
        .bind(slot.topic.clone())
        .bind(slot.sub_topic.clone())
        .bind(slot.content.clone())
        .bind(to_json(&slot.attributes)?)
        .bind(to_json(&slot.sources)?)
        .bind(slot.revision)
        .bind(micros(slot.updated_at));
    match update.execute(conn).await?.rows_affected() {
        1 => Ok(()),
        _ => Err(DatabaseError::Damaged("a slot to change is not there")),
    }
}

async fn remove(conn: &mut SqliteConnection, key: &UserKey, id: SlotId) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM profile_slots WHERE project_id = ?1 AND user_id = ?2 AND slot_id = ?3";
    let delete = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(id.0);
    match delete.execute(conn).await?.rows_affected() {
        1 => Ok(()),
        _ => Err(DatabaseError::Damaged("a slot to delete is not there")),
    }
}

async fn log(
    conn: &mut SqliteConnection,
    key: &UserKey,
    action: &'static str,
    author: Author,
    slot: &Slot,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO slot_revisions (project_id, user_id, slot_id, entry, revision, action, author, flush_id,
            topic, sub_topic, content, attributes, sources, at)
        SELECT ?1, ?2, ?3, 1 + coalesce(max(entry), 0), ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
        FROM slot_revisions WHERE project_id = ?1 AND user_id = ?2 AND slot_id = ?3";
    let (author, flush_id) = match author {
        Author::Client => ("client", None),
        Author::Flush(id) => ("flush", Some(id.0)),
    };
    query(sql)
        .bind(key.project.as_str().to_owned())
        .bind(key.user.0)
        .bind(slot.id.0)
        .bind(slot.revision)
        .bind(action)
        .bind(author)
        .bind(flush_id)
        .bind(slot.topic.clone())
        .bind(slot.sub_topic.clone())
        .bind(slot.content.clone())
        .bind(to_json(&slot.attributes)?)
        .bind(to_json(&slot.sources)?)
        .bind(micros(now))
        .execute(conn)
        .await?;
    Ok(())
}
