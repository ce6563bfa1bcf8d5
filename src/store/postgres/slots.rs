//! The profile and the history of its slots.

use std::borrow::Cow;
use std::collections::HashSet;

use jiff::Timestamp;
use memory::ids::{Incarnation, SlotId, UserKey};
use memory::ports::{NewSlot, SlotChange};
use memory::profile::{Author, Profile, Slot, SlotWrite};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row, query, query_as, query_scalar};
use uuid::Uuid;

use super::database::Work;
use super::error::DatabaseError;
use super::groups::{Member, place_of};
use super::rows::{About, json_column, lock, micros, text, time_column, to_json};

/// The profiles of the users of the lists `$1` and `$2`, by their places `n`. One statement, so that the revision belongs to
/// the slots. A user without slots is one row without a slot; an unknown one has no row.
const PROFILES: &str = "SELECT a.n, u.incarnation, u.revision AS memory_revision, s.*
    FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS a (project_id, user_id, n)
    CROSS JOIN LATERAL (SELECT incarnation, revision FROM users AS x
        WHERE x.project_id = a.project_id AND x.user_id = a.user_id LIMIT 1) AS u
    LEFT JOIN LATERAL (SELECT slot_id, topic, sub_topic, content, attributes, sources, revision, created_at, updated_at
        FROM profile_slots AS x WHERE x.project_id = a.project_id AND x.user_id = a.user_id OFFSET 0) AS s ON TRUE
    ORDER BY a.n, s.updated_at DESC, s.slot_id DESC";

/// Changes slots and adds to their history; returns the number of slots that were changed. Each slot is in the list
/// once: all parts of a statement see the tables as they were before it.
const WRITE: &str = "WITH writes AS MATERIALIZED (
        SELECT * FROM unnest($5::text[], $6::uuid[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
            $12::bigint[], $13::bigint[], $14::bigint[])
        WITH ORDINALITY AS w (action, slot_id, topic, sub_topic, content, attributes, sources, revision, created_at,
            updated_at, number)
    ), inserted AS (
        INSERT INTO profile_slots (project_id, user_id, slot_id, topic, sub_topic, content, attributes, sources,
            revision, created_at, updated_at)
        SELECT $1, $2, slot_id, topic, sub_topic, content, attributes, sources, revision, created_at, updated_at
        FROM writes WHERE action = 'insert' RETURNING slot_id
    ), updated AS (
        UPDATE profile_slots AS s SET topic = w.topic, sub_topic = w.sub_topic, content = w.content,
            attributes = w.attributes, sources = w.sources, revision = w.revision, updated_at = w.updated_at
        FROM writes AS w
        WHERE s.project_id = $1 AND s.user_id = $2 AND s.slot_id = w.slot_id AND w.action = 'update'
        RETURNING s.slot_id
    ), deleted AS (
        DELETE FROM profile_slots AS s USING writes AS w
        WHERE s.project_id = $1 AND s.user_id = $2 AND s.slot_id = w.slot_id AND w.action = 'delete'
        RETURNING s.slot_id
    ), logged AS (
        INSERT INTO slot_revisions (project_id, user_id, slot_id, entry, revision, action, author, flush_id, topic,
            sub_topic, content, attributes, sources, at)
        SELECT $1, $2, w.slot_id, 1 + coalesce((SELECT max(entry) FROM slot_revisions AS r
                WHERE r.project_id = $1 AND r.user_id = $2 AND r.slot_id = w.slot_id), 0),
            w.revision, w.action, CASE WHEN $3::uuid IS NULL THEN 'client' ELSE 'flush' END, $3, w.topic, w.sub_topic,
            w.content, w.attributes, w.sources, $4
        FROM writes AS w ORDER BY w.number
    )
    SELECT (SELECT count(*) FROM inserted) + (SELECT count(*) FROM updated) + (SELECT count(*) FROM deleted)";

/// Changes of slots as columns.
pub(super) struct SlotColumns<'a> {
    pub(super) actions: Vec<&'static str>,
    pub(super) ids: Vec<Uuid>,
    pub(super) topics: Vec<Cow<'a, str>>,
    pub(super) sub_topics: Vec<Cow<'a, str>>,
    pub(super) contents: Vec<Cow<'a, str>>,
    pub(super) attributes: Vec<String>,
    pub(super) sources: Vec<String>,
    pub(super) revisions: Vec<i64>,
    /// Microseconds since 1970.
    pub(super) created: Vec<i64>,
    pub(super) updated: Vec<i64>,
}

impl<'a> SlotColumns<'a> {
    pub(super) fn of(writes: impl Iterator<Item = &'a SlotWrite> + Clone) -> Result<Self, DatabaseError> {
        let slots = || writes.clone().map(SlotWrite::slot);
        let texts = |of: fn(&Slot) -> &str| slots().map(|slot| text(of(slot))).collect::<Vec<Cow<'_, str>>>();
        Ok(Self {
            actions: writes.clone().map(SlotWrite::action).collect(),
            ids: slots().map(|slot| slot.id.0).collect(),
            topics: texts(|slot| &slot.topic),
            sub_topics: texts(|slot| &slot.sub_topic),
            contents: texts(|slot| &slot.content),
            attributes: slots().map(|slot| to_json(&slot.attributes)).collect::<Result<_, _>>()?,
            sources: slots().map(|slot| to_json(&slot.sources)).collect::<Result<_, _>>()?,
            revisions: slots().map(|slot| slot.revision).collect(),
            created: slots().map(|slot| micros(slot.created_at)).collect(),
            updated: slots().map(|slot| micros(slot.updated_at)).collect(),
        })
    }
}

struct SlotRow(Slot);

impl<'r> FromRow<'r, PgRow> for SlotRow {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
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

/// A profile that is asked for.
#[derive(Clone)]
pub(super) struct WantedProfile(pub(super) UserKey);

impl Member for WantedProfile {
    /// None for an unknown user. What cannot be read of one is nothing to the others.
    type Done = Result<Option<Profile>, DatabaseError>;
    type Key = UserKey;

    fn key(&self) -> UserKey {
        self.0.clone()
    }

    /// Of the answer. Most are smaller.
    fn bytes(&self) -> usize {
        64 << 10
    }

    fn work<'c>(conn: &'c mut PgConnection, group: &'c [Self]) -> Work<'c, Vec<Self::Done>> {
        Box::pin(profiles(conn, group))
    }
}

async fn profiles(
    conn: &mut PgConnection,
    wanted: &[WantedProfile],
) -> Result<Vec<Result<Option<Profile>, DatabaseError>>, DatabaseError> {
    let projects: Vec<&str> = wanted.iter().map(|wanted| wanted.0.project.as_str()).collect();
    let users: Vec<Uuid> = wanted.iter().map(|wanted| wanted.0.user.0).collect();
    let rows = query(PROFILES).bind(projects).bind(users).fetch_all(conn).await?;
    let mut profiles = vec![Ok(None); wanted.len()];
    for row in &rows {
        let outcome = place_of(row, &mut profiles)?;
        let Ok(profile) = outcome else { continue };
        if let Err(error) = read_into(profile, row) {
            *outcome = Err(error.into());
        }
    }
    Ok(profiles)
}

fn read_into(profile: &mut Option<Profile>, row: &PgRow) -> sqlx::Result<()> {
    let (incarnation, revision) = (Incarnation(row.try_get("incarnation")?), row.try_get("memory_revision")?);
    let profile = profile.get_or_insert_with(|| Profile { incarnation, revision, slots: Vec::new() });
    if row.try_get::<Option<Uuid>, _>("slot_id")?.is_some() {
        profile.slots.push(SlotRow::from_row(row)?.0);
    }
    Ok(())
}

pub(super) async fn add(
    conn: &mut PgConnection,
    key: &UserKey,
    slot: &NewSlot,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    if lock(conn, key).await?.is_none() {
        return Ok(false);
    }
    if one(conn, key, slot.id).await?.is_some() {
        // What a repeated call finds after an outcome that was unknown.
        return Ok(true);
    }
    let NewSlot { id, topic, sub_topic, content, attributes } = slot.clone();
    let (sources, revision) = (Vec::new(), 1);
    let slot = Slot { id, topic, sub_topic, content, attributes, sources, revision, created_at: now, updated_at: now };
    change(conn, key, SlotWrite::Insert(slot), now).await?;
    Ok(true)
}

pub(super) async fn update(
    conn: &mut PgConnection,
    key: &UserKey,
    id: SlotId,
    asked: &SlotChange,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    if lock(conn, key).await?.is_none() {
        return Ok(false);
    }
    let Some(mut slot) = one(conn, key, id).await? else { return Ok(false) };
    slot.content.clone_from(&asked.content);
    slot.sources.clear();
    if let Some((topic, sub_topic, attributes)) = asked.address.clone() {
        (slot.topic, slot.sub_topic, slot.attributes) = (topic, sub_topic, attributes);
    }
    slot.revision += 1;
    slot.updated_at = now;
    change(conn, key, SlotWrite::Update(slot), now).await?;
    Ok(true)
}

pub(super) async fn delete(
    conn: &mut PgConnection,
    key: &UserKey,
    id: SlotId,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    if lock(conn, key).await?.is_none() {
        return Ok(false);
    }
    let Some(slot) = one(conn, key, id).await? else { return Ok(false) };
    change(conn, key, SlotWrite::Delete(slot), now).await?;
    Ok(true)
}

/// A client's change of one slot, which counts as a change of the memory.
async fn change(conn: &mut PgConnection, key: &UserKey, write: SlotWrite, now: Timestamp) -> Result<(), DatabaseError> {
    write_all(conn, key, Author::Client, &[write], now).await?;
    bump(conn, key).await?;
    Ok(())
}

/// Counts a change of what is remembered of a user, and returns its new revision; none when there is no such user.
pub(super) async fn bump(conn: &mut PgConnection, key: &UserKey) -> Result<Option<i64>, DatabaseError> {
    let sql = "UPDATE users SET revision = revision + 1 WHERE project_id = $1 AND user_id = $2 RETURNING revision";
    let row = query(sql).user(key).fetch_optional(conn).await?;
    Ok(row.map(|row| row.try_get("revision")).transpose()?)
}

async fn one(conn: &mut PgConnection, key: &UserKey, id: SlotId) -> Result<Option<Slot>, DatabaseError> {
    let sql = "SELECT slot_id, topic, sub_topic, content, attributes, sources, revision, created_at, updated_at
        FROM profile_slots WHERE project_id = $1 AND user_id = $2 AND slot_id = $3";
    let row: Option<SlotRow> = query_as(sql).user(key).bind(id.0).fetch_optional(conn).await?;
    Ok(row.map(|row| row.0))
}

/// Changes of slots, and the entries in their histories. Almost always one statement.
pub(super) async fn write_all(
    conn: &mut PgConnection,
    key: &UserKey,
    author: Author,
    writes: &[SlotWrite],
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let mut rest = writes;
    while !rest.is_empty() {
        let mut seen = HashSet::new();
        let distinct = rest.iter().take_while(|write| seen.insert(write.slot().id)).count();
        let (group, later) = rest.split_at(distinct);
        write_group(conn, key, author, group, now).await?;
        rest = later;
    }
    Ok(())
}

async fn write_group(
    conn: &mut PgConnection,
    key: &UserKey,
    author: Author,
    writes: &[SlotWrite],
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let flush_id = match author {
        Author::Client => None,
        Author::Flush(id) => Some(id.0),
    };
    let write = query_scalar(WRITE).user(key).bind(flush_id).bind(micros(now));
    let SlotColumns { actions, ids, topics, sub_topics, contents, attributes, sources, revisions, created, updated } =
        SlotColumns::of(writes.iter())?;
    let write = write.bind(actions).bind(ids).bind(topics).bind(sub_topics).bind(contents).bind(attributes);
    let changed: i64 = write.bind(sources).bind(revisions).bind(created).bind(updated).fetch_one(conn).await?;
    let asked = writes.iter().filter(|write| write.changes_slot()).count();
    if usize::try_from(changed) != Ok(asked) {
        return Err(DatabaseError::Damaged("a slot to change is not there"));
    }
    Ok(())
}
