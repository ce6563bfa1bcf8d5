//! Users, tombstones and purge orders.

use jiff::Timestamp;
use memory::ids::{Incarnation, Owner, ProjectId, UserId, UserKey};
use memory::ports::User;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row, query, query_as, query_scalar};
use uuid::Uuid;

use super::error::DatabaseError;
use super::rows::{About, from_json, micros, time_column};

const PURGE_ORDERS: &str = "SELECT project_id, user_id, incarnation FROM tombstones
    WHERE purged_at IS NULL ORDER BY deleted_at LIMIT $1";

struct UserRow(User);

impl<'r> FromRow<'r, PgRow> for UserRow {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
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

/// An owner from the columns of its key.
pub(crate) struct OwnerRow(pub(crate) Owner);

impl<'r> FromRow<'r, PgRow> for OwnerRow {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let key = UserKey {
            project: ProjectId::from(row.try_get::<&str, _>("project_id")?),
            user: UserId(row.try_get("user_id")?),
        };
        Ok(Self(Owner { key, incarnation: Incarnation(row.try_get("incarnation")?) }))
    }
}

/// `data` is JSON.
pub(super) async fn create(
    conn: &mut PgConnection,
    key: &UserKey,
    incarnation: Incarnation,
    data: Option<&str>,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO users (project_id, user_id, incarnation, revision, data, created_at, updated_at)
        VALUES ($1, $2, $3, 0, $4, $5, $5) ON CONFLICT DO NOTHING";
    let insert = query(sql).user(key).bind(incarnation.0).bind(data).bind(micros(now));
    Ok(insert.execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn read(conn: &mut PgConnection, key: &UserKey) -> Result<Option<User>, DatabaseError> {
    let sql = "SELECT user_id, incarnation, revision, data, created_at, updated_at FROM users
        WHERE project_id = $1 AND user_id = $2";
    let row: Option<UserRow> = query_as(sql).user(key).fetch_optional(conn).await?;
    Ok(row.map(|row| row.0))
}

pub(super) async fn revision(
    conn: &mut PgConnection,
    key: &UserKey,
) -> Result<Option<(Incarnation, i64)>, DatabaseError> {
    let sql = "SELECT incarnation, revision FROM users WHERE project_id = $1 AND user_id = $2";
    let row: Option<(Uuid, i64)> = query_as(sql).user(key).fetch_optional(conn).await?;
    Ok(row.map(|(incarnation, revision)| (Incarnation(incarnation), revision)))
}

/// `data` is JSON.
pub(super) async fn update(
    conn: &mut PgConnection,
    key: &UserKey,
    data: &str,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "UPDATE users SET data = $3, updated_at = $4 WHERE project_id = $1 AND user_id = $2";
    Ok(query(sql).user(key).bind(data).bind(micros(now)).execute(conn).await?.rows_affected() == 1)
}

/// The rows of most tables go with the user's, by their references; those of flushes have none.
pub(super) async fn delete(
    conn: &mut PgConnection,
    key: &UserKey,
    now: Timestamp,
) -> Result<Option<Incarnation>, DatabaseError> {
    let sql = "DELETE FROM users WHERE project_id = $1 AND user_id = $2 RETURNING incarnation";
    let life: Option<Uuid> = query_scalar(sql).user(key).fetch_optional(&mut *conn).await?;
    let Some(incarnation) = life else { return Ok(None) };
    let sql = "DELETE FROM flushes WHERE project_id = $1 AND user_id = $2";
    query(sql).user(key).execute(&mut *conn).await?;
    // A purge of the journal may have come first, and left a tombstone: the order stands all the same.
    let sql = "INSERT INTO tombstones (project_id, user_id, incarnation, deleted_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (project_id, user_id, incarnation)
        DO UPDATE SET deleted_at = excluded.deleted_at, purged_at = NULL";
    query(sql).user(key).bind(incarnation).bind(micros(now)).execute(conn).await?;
    Ok(Some(Incarnation(incarnation)))
}

pub(super) async fn purge_orders(conn: &mut PgConnection, limit: u32) -> Result<Vec<Owner>, DatabaseError> {
    let rows: Vec<OwnerRow> = query_as(PURGE_ORDERS).bind(i64::from(limit)).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

pub(super) async fn purge_orders_of(conn: &mut PgConnection, key: &UserKey) -> Result<Vec<Owner>, DatabaseError> {
    let sql = "SELECT project_id, user_id, incarnation FROM tombstones
        WHERE project_id = $1 AND user_id = $2 AND purged_at IS NULL ORDER BY deleted_at";
    let rows: Vec<OwnerRow> = query_as(sql).user(key).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

pub(super) async fn is_buried(conn: &mut PgConnection, owner: &Owner) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT FROM tombstones WHERE project_id = $1 AND user_id = $2 AND incarnation = $3)";
    Ok(query_scalar(sql).owner(owner).fetch_one(conn).await?)
}

pub(super) async fn purge_done(conn: &mut PgConnection, owner: &Owner, now: Timestamp) -> Result<(), DatabaseError> {
    let sql = "UPDATE tombstones SET purged_at = $4
        WHERE project_id = $1 AND user_id = $2 AND incarnation = $3 AND purged_at IS NULL";
    query(sql).owner(owner).bind(micros(now)).execute(conn).await?;
    Ok(())
}
