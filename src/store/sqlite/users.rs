//! Users, tombstones and purge orders.

use jiff::Timestamp;
use memory::ids::{Incarnation, Owner, ProjectId, UserId, UserKey};
use memory::ports::User;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::error::DatabaseError;
use super::rows::{from_json, micros, time_column};

pub(super) const PURGE_ORDERS: &str = "SELECT project_id, user_id, incarnation FROM tombstones
    WHERE purged_at IS NULL ORDER BY deleted_at LIMIT ?1";

struct UserRow(User);

impl<'r> FromRow<'r, SqliteRow> for UserRow {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        let data: Option<&str> = row.try_get("data")?;
        Ok(Self(User {
            id: UserId(row.try_get("user_id")?),
            incarnation: Incarnation(row.try_get("incarnation")?),
            revision: row.try_get("revision")?,
            data: data.map(from_json).transpose()?,
            created_at: time_column(row, "created_at")?,
            updated_at: time_column(row, "updated_at")?,
        }))
    }
}

/// `data` is JSON.
pub(super) async fn create(
    conn: &mut SqliteConnection,
    key: &UserKey,
    incarnation: Incarnation,
    data: Option<String>,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO users (project_id, user_id, incarnation, revision, data, created_at, updated_at)
        VALUES (?1, ?2, ?3, 0, ?4, ?5, ?5) ON CONFLICT DO NOTHING";
    let insert = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(incarnation.0);
    let done = insert.bind(data).bind(micros(now)).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn read(conn: &mut SqliteConnection, key: &UserKey) -> Result<Option<User>, DatabaseError> {
    let sql = "SELECT user_id, incarnation, revision, data, created_at, updated_at FROM users
        WHERE project_id = ?1 AND user_id = ?2";
    let row: Option<UserRow> =
        query_as(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).fetch_optional(conn).await?;
    Ok(row.map(|row| row.0))
}

/// `data` is JSON.
pub(super) async fn update(
    conn: &mut SqliteConnection,
    key: &UserKey,
    data: String,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "UPDATE users SET data = ?3, updated_at = ?4 WHERE project_id = ?1 AND user_id = ?2";
    let update = query(sql).bind(key.project.as_str().to_owned()).bind(key.user.0).bind(data).bind(micros(now));
    Ok(update.execute(conn).await?.rows_affected() == 1)
}

/// The rows of most tables go with the user's, by their references; those of flushes have none.
pub(super) async fn delete(
    conn: &mut SqliteConnection,
    key: &UserKey,
    now: Timestamp,
) -> Result<Option<Incarnation>, DatabaseError> {
    let (project, user) = (key.project.as_str(), key.user.0);
    let sql = "DELETE FROM users WHERE project_id = ?1 AND user_id = ?2 RETURNING incarnation";
    let life: Option<(Uuid,)> = query_as(sql).bind(project.to_owned()).bind(user).fetch_optional(&mut *conn).await?;
    let Some((incarnation,)) = life else { return Ok(None) };
    let sql = "DELETE FROM flushes WHERE project_id = ?1 AND user_id = ?2";
    query(sql).bind(project.to_owned()).bind(user).execute(&mut *conn).await?;
    // A purge of the journal may have come first, and left a tombstone: the order stands all the same.
    let sql = "INSERT INTO tombstones (project_id, user_id, incarnation, deleted_at) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT DO UPDATE SET deleted_at = excluded.deleted_at, purged_at = NULL";
    let insert = query(sql).bind(project.to_owned()).bind(user).bind(incarnation).bind(micros(now));
    insert.execute(conn).await?;
    Ok(Some(Incarnation(incarnation)))
}

pub(super) async fn purge_orders(conn: &mut SqliteConnection, limit: u32) -> Result<Vec<Owner>, DatabaseError> {
    let rows: Vec<(String, Uuid, Uuid)> = query_as(PURGE_ORDERS).bind(limit).fetch_all(conn).await?;
    let owner = |(project, user, incarnation): (String, Uuid, Uuid)| Owner {
        key: UserKey { project: ProjectId::from(project.as_str()), user: UserId(user) },
        incarnation: Incarnation(incarnation),
    };
    Ok(rows.into_iter().map(owner).collect())
}

pub(super) async fn purge_orders_of(conn: &mut SqliteConnection, key: &UserKey) -> Result<Vec<Owner>, DatabaseError> {
    let sql = "SELECT incarnation FROM tombstones
        WHERE project_id = ?1 AND user_id = ?2 AND purged_at IS NULL ORDER BY deleted_at";
    let select = query_scalar(sql).bind(key.project.as_str().to_owned()).bind(key.user.0);
    let lives: Vec<Uuid> = select.fetch_all(conn).await?;
    Ok(lives.into_iter().map(|life| Owner { key: key.clone(), incarnation: Incarnation(life) }).collect())
}

pub(super) async fn is_buried(conn: &mut SqliteConnection, owner: &Owner) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM tombstones WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3)";
    let select = query_scalar(sql).bind(owner.key.project.as_str().to_owned()).bind(owner.key.user.0);
    Ok(select.bind(owner.incarnation.0).fetch_one(conn).await?)
}

pub(super) async fn purge_done(
    conn: &mut SqliteConnection,
    owner: &Owner,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let sql = "UPDATE tombstones SET purged_at = ?4
        WHERE project_id = ?1 AND user_id = ?2 AND incarnation = ?3 AND purged_at IS NULL";
    let update = query(sql).bind(owner.key.project.as_str().to_owned()).bind(owner.key.user.0);
    update.bind(owner.incarnation.0).bind(micros(now)).execute(conn).await?;
    Ok(())
}
