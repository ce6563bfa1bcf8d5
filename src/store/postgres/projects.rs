//! Projects.

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use memory::ids::{ProjectId, UserId};
use memory::ports::{
    ListedUser, Page, Project, ProjectAdoption, ProjectStatus, Projects, StoreError, TokenHash, UserOrder, UserQuery,
};
use memory::quota::TokenQuota;
use memory::usage::Used;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row, query, query_as, query_scalar};
use uuid::Uuid;

use super::PostgresStore;
use super::adoption;
use super::blobs::limits;
use super::error::DatabaseError;
use super::rows::{from_json, micros, number, text, time_column};
use super::usage;

const PROJECT: &str = "SELECT project_id, status, token_hash, profile_config, token_quota, created_at, updated_at
    FROM projects WHERE project_id = $1";
const PROJECTS: &str = "SELECT project_id, status, token_hash, profile_config, token_quota, created_at, updated_at
    FROM projects ORDER BY project_id LIMIT $1 OFFSET $2";
const DELETING: &str = "SELECT project_id, status, token_hash, profile_config, token_quota, created_at, updated_at
    FROM projects WHERE status = 'deleting' ORDER BY project_id LIMIT $1 OFFSET $2";
/// A name that has users is taken. What an earlier project of the name has used may have been counted after its end.
const CREATE: &str = "WITH made AS (
        INSERT INTO projects (project_id, status, token_hash, token_quota, created_at, updated_at)
        SELECT $1, 'active', $2, $3, $4, $4 WHERE NOT EXISTS (SELECT FROM users WHERE users.project_id = $1)
        ON CONFLICT DO NOTHING RETURNING project_id
    ), entries AS (DELETE FROM usage_entries USING made WHERE usage_entries.project_id = made.project_id
    ), days AS (DELETE FROM usage_days USING made WHERE usage_days.project_id = made.project_id
    ), sources AS (DELETE FROM adopted_projects USING made WHERE adopted_projects.project_id = made.project_id)
    SELECT count(*) FROM made";
const SET_TOKEN: &str = "UPDATE projects SET token_hash = $2, updated_at = $3
    WHERE project_id = $1 AND status <> 'deleting'";
const SET_STATUS: &str = "UPDATE projects SET status = $2, updated_at = $3
    WHERE project_id = $1 AND status <> 'deleting'";
const SET_CONFIG: &str = "UPDATE projects SET profile_config = $2, updated_at = $3
    WHERE project_id = $1 AND status <> 'deleting'";
const MAKE_AND_SET_CONFIG: &str = "INSERT INTO projects (project_id, status, profile_config, created_at, updated_at)
    VALUES ($1, 'active', $2, $3, $3)
    ON CONFLICT (project_id) DO UPDATE SET profile_config = excluded.profile_config, updated_at = excluded.updated_at
    WHERE projects.status <> 'deleting'";
const SET_QUOTA: &str = "UPDATE projects SET token_quota = $2, updated_at = $3
    WHERE project_id = $1 AND status <> 'deleting'";
const MAKE_AND_SET_QUOTA: &str = "INSERT INTO projects (project_id, status, token_quota, created_at, updated_at)
    VALUES ($1, 'active', $2, $3, $3)
    ON CONFLICT (project_id) DO UPDATE SET token_quota = excluded.token_quota, updated_at = excluded.updated_at
    WHERE projects.status <> 'deleting'";
const REMOVE: &str = "WITH gone AS (
        DELETE FROM projects WHERE project_id = $1 AND status = 'deleting'
            AND NOT EXISTS (SELECT FROM users WHERE users.project_id = $1)
        RETURNING project_id
    ), entries AS (DELETE FROM usage_entries USING gone WHERE usage_entries.project_id = gone.project_id
    ), days AS (DELETE FROM usage_days USING gone WHERE usage_days.project_id = gone.project_id)
    SELECT count(*) FROM gone";
const USER_IDS: &str = "SELECT user_id FROM users WHERE project_id = $1 LIMIT $2";

/// The counts of those who are on the page are taken when the page is known; the row without a user has the count of
/// all. `$3` names the order, `$4` is -1 for the greatest first. `lower` may know more letters than the contract asks.
const USERS: &str = "WITH found AS MATERIALIZED (
        SELECT u.user_id, $4 * CASE $3
            WHEN 'profile_count' THEN
                (SELECT count(*) FROM profile_slots AS s WHERE s.project_id = $1 AND s.user_id = u.user_id)
            WHEN 'event_count' THEN
                (SELECT count(*) FROM events AS e WHERE e.project_id = $1 AND e.user_id = u.user_id)
            ELSE u.updated_at END AS rank
        FROM users AS u WHERE u.project_id = $1
            AND ($2 = '' OR strpos(lower(u.data), lower($2)) > 0 OR strpos(u.user_id::text, lower($2)) > 0)
    ), page AS (SELECT user_id, rank FROM found ORDER BY rank, user_id LIMIT $5 OFFSET $6)
    SELECT u.user_id, u.data, u.created_at, u.updated_at, page.rank,
        (SELECT count(*) FROM profile_slots AS s WHERE s.project_id = $1 AND s.user_id = u.user_id) AS profile_count,
        (SELECT count(*) FROM events AS e WHERE e.project_id = $1 AND e.user_id = u.user_id) AS event_count,
        NULL::bigint AS found
    FROM page JOIN users AS u ON u.project_id = $1 AND u.user_id = page.user_id
    UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, (SELECT count(*) FROM found)
    ORDER BY rank NULLS LAST, user_id";

struct ProjectRow(Project);

impl<'r> FromRow<'r, PgRow> for ProjectRow {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let unreadable = || sqlx::Error::Decode("a project cannot be read".into());
        let token: Option<&[u8]> = row.try_get("token_hash")?;
        let token = token.map(|hash| hash.try_into().map(TokenHash).map_err(|_| unreadable())).transpose()?;
        Ok(Self(Project {
            id: ProjectId::from(row.try_get::<&str, _>("project_id")?),
            status: ProjectStatus::named(row.try_get("status")?).ok_or_else(unreadable)?,
            token,
            profile_config: row.try_get("profile_config")?,
            token_quota: TokenQuota::from_stored(row.try_get("token_quota")?),
            created_at: time_column(row, "created_at")?,
            updated_at: time_column(row, "updated_at")?,
        }))
    }
}

/// A user of a page, or the number of all.
enum ListedRow {
    User(ListedUser),
    Found(u64),
}

impl<'r> FromRow<'r, PgRow> for ListedRow {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let Some(id) = row.try_get("user_id")? else { return Ok(Self::Found(number(row, "found")?)) };
        let data: Option<&str> = row.try_get("data")?;
        Ok(Self::User(ListedUser {
            id: UserId(id),
            data: data.map(from_json).transpose()?,
            created_at: time_column(row, "created_at")?,
            updated_at: time_column(row, "updated_at")?,
            profile_count: number(row, "profile_count")?,
            event_count: number(row, "event_count")?,
        }))
    }
}

async fn read(conn: &mut PgConnection, id: &ProjectId) -> Result<Option<Project>, DatabaseError> {
    let row: Option<ProjectRow> = query_as(PROJECT).bind(id.as_str().to_owned()).fetch_optional(conn).await?;
    Ok(row.map(|row| row.0))
}

async fn list(conn: &mut PgConnection, sql: &'static str, page: Page) -> Result<Vec<Project>, DatabaseError> {
    let [limit, offset] = limits(page);
    let rows: Vec<ProjectRow> = query_as(sql).bind(limit).bind(offset).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Sets a value of a project. False when it changed nothing.
async fn set(
    conn: &mut PgConnection,
    sql: &'static str,
    id: &ProjectId,
    value: Option<&str>,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let update = query(sql).bind(id.as_str().to_owned()).bind(value.map(text)).bind(micros(now));
    Ok(update.execute(conn).await?.rows_affected() == 1)
}

async fn create(
    conn: &mut PgConnection,
    id: &ProjectId,
    token: TokenHash,
    quota: TokenQuota,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let create = query_scalar::<_, i64>(CREATE).bind(id.as_str().to_owned()).bind(token.0.to_vec());
    Ok(create.bind(quota.to_stored()).bind(micros(now)).fetch_one(conn).await? == 1)
}

/// The same of its quota.
async fn set_quota(
    conn: &mut PgConnection,
    sql: &'static str,
    id: &ProjectId,
    quota: TokenQuota,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let update = query(sql).bind(id.as_str().to_owned()).bind(quota.to_stored()).bind(micros(now));
    Ok(update.execute(conn).await?.rows_affected() == 1)
}

/// The same of its token.
async fn set_hash(
    conn: &mut PgConnection,
    sql: &'static str,
    id: &ProjectId,
    token: TokenHash,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let update = query(sql).bind(id.as_str().to_owned()).bind(token.0.to_vec()).bind(micros(now));
    Ok(update.execute(conn).await?.rows_affected() == 1)
}

async fn remove(conn: &mut PgConnection, id: &ProjectId) -> Result<bool, DatabaseError> {
    Ok(query_scalar::<_, i64>(REMOVE).bind(id.as_str().to_owned()).fetch_one(conn).await? == 1)
}

async fn user_ids(conn: &mut PgConnection, id: &ProjectId, limit: u32) -> Result<Vec<UserId>, DatabaseError> {
    let select = query_scalar(USER_IDS).bind(id.as_str().to_owned()).bind(i64::from(limit));
    let ids: Vec<Uuid> = select.fetch_all(conn).await?;
    Ok(ids.into_iter().map(UserId).collect())
}

async fn users(
    conn: &mut PgConnection,
    id: &ProjectId,
    wanted: &UserQuery,
) -> Result<(Vec<ListedUser>, u64), DatabaseError> {
    let order = match wanted.order {
        UserOrder::UpdatedAt => "updated_at",
        UserOrder::ProfileCount => "profile_count",
        UserOrder::EventCount => "event_count",
    };
    let (sign, [limit, offset]) = (if wanted.descending { -1_i64 } else { 1 }, limits(wanted.page));
    let select = query_as(USERS).bind(id.as_str().to_owned()).bind(text(&wanted.search)).bind(order);
    let rows: Vec<ListedRow> = select.bind(sign).bind(limit).bind(offset).fetch_all(conn).await?;
    let (mut users, mut found) = (Vec::new(), 0);
    for row in rows {
        match row {
            ListedRow::User(user) => users.push(user),
            ListedRow::Found(count) => found = count,
        }
    }
    Ok((users, found))
}

#[async_trait]
impl Projects for PostgresStore {
    async fn create_project(
        &self,
        id: &ProjectId,
        token: &TokenHash,
        quota: TokenQuota,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let args = (id.clone(), *token);
        let work = self.database.single(args, move |conn, (id, token)| Box::pin(create(conn, id, *token, quota, now)));
        Ok(work.await?)
    }

    async fn adopt_project(
        &self,
        project: &Project,
        source: &str,
        implicit: bool,
    ) -> Result<ProjectAdoption, StoreError> {
        let args = (project.clone(), source.to_owned());
        let work = self.database.write(args, move |conn, (project, source)| {
            Box::pin(adoption::adopt_project(conn, project, source, implicit))
        });
        Ok(work.await?)
    }

    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, StoreError> {
        Ok(self.database.single(id.clone(), |conn, id| Box::pin(read(conn, id))).await?)
    }

    async fn projects(&self, page: Page) -> Result<Vec<Project>, StoreError> {
        Ok(self.database.single((), move |conn, ()| Box::pin(list(conn, PROJECTS, page))).await?)
    }

    async fn set_token(&self, id: &ProjectId, token: &TokenHash, now: Timestamp) -> Result<bool, StoreError> {
        let args = (id.clone(), *token);
        let work =
            self.database.single(args, move |conn, (id, token)| Box::pin(set_hash(conn, SET_TOKEN, id, *token, now)));
        Ok(work.await?)
    }

    async fn set_status(&self, id: &ProjectId, status: ProjectStatus, now: Timestamp) -> Result<bool, StoreError> {
        let status = Some(status.as_str());
        let work = self.database.single(id.clone(), move |conn, id| Box::pin(set(conn, SET_STATUS, id, status, now)));
        Ok(work.await?)
    }

    async fn set_profile_config(
        &self,
        id: &ProjectId,
        config: Option<&str>,
        implicit: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let args = (id.clone(), config.map(str::to_owned));
        let sql = if implicit { MAKE_AND_SET_CONFIG } else { SET_CONFIG };
        let work =
            self.database.single(args, move |conn, (id, config)| Box::pin(set(conn, sql, id, config.as_deref(), now)));
        Ok(work.await?)
    }

    async fn set_token_quota(
        &self,
        id: &ProjectId,
        quota: TokenQuota,
        implicit: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = if implicit { MAKE_AND_SET_QUOTA } else { SET_QUOTA };
        let work = self.database.single(id.clone(), move |conn, id| Box::pin(set_quota(conn, sql, id, quota, now)));
        Ok(work.await?)
    }

    async fn deleting_projects(&self, limit: u32) -> Result<Vec<Project>, StoreError> {
        let page = Page { offset: 0, limit: limit.into() };
        Ok(self.database.single((), move |conn, ()| Box::pin(list(conn, DELETING, page))).await?)
    }

    async fn remove_project(&self, id: &ProjectId) -> Result<bool, StoreError> {
        Ok(self.database.single(id.clone(), |conn, id| Box::pin(remove(conn, id))).await?)
    }

    async fn user_ids(&self, id: &ProjectId, limit: u32) -> Result<Vec<UserId>, StoreError> {
        Ok(self.database.single(id.clone(), move |conn, id| Box::pin(user_ids(conn, id, limit))).await?)
    }

    async fn usage(&self, id: &ProjectId, from: Date, to: Date) -> Result<Vec<(Date, Used)>, StoreError> {
        Ok(self.database.single(id.clone(), move |conn, id| Box::pin(usage::read(conn, id, from, to))).await?)
    }

    async fn fold_usage(&self, limit: u32) -> Result<u64, StoreError> {
        Ok(self.database.single((), move |conn, ()| Box::pin(usage::fold(conn, limit))).await?)
    }

    async fn users(&self, id: &ProjectId, query: &UserQuery) -> Result<(Vec<ListedUser>, u64), StoreError> {
        let args = (id.clone(), query.clone());
        Ok(self.database.single(args, |conn, (id, query)| Box::pin(users(conn, id, query))).await?)
    }
}
