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
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{FromRow, Row, Sqlite, query, query_as, query_scalar};
use uuid::Uuid;

use super::SqliteStore;
use super::adoption;
use super::error::DatabaseError;
use super::rows::{from_json, micros, time_column};
use super::usage;

const PROJECT: &str = "SELECT project_id, status, token_hash, profile_config, token_quota, created_at, updated_at
    FROM projects WHERE project_id = ?1";
const PROJECTS: &str = "SELECT project_id, status, token_hash, profile_config, token_quota, created_at, updated_at
    FROM projects ORDER BY project_id LIMIT ?1 OFFSET ?2";
const DELETING: &str = "SELECT project_id, status, token_hash, profile_config, token_quota, created_at, updated_at
    FROM projects WHERE status = 'deleting' ORDER BY project_id LIMIT ?1";
/// A name that has users is taken.
const CREATE: &str = "INSERT INTO projects (project_id, status, token_hash, token_quota, created_at, updated_at)
    SELECT ?1, 'active', ?2, ?3, ?4, ?4 WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.project_id = ?1)
    ON CONFLICT DO NOTHING";
const SET_TOKEN: &str = "UPDATE projects SET token_hash = ?2, updated_at = ?3
    WHERE project_id = ?1 AND status <> 'deleting'";
const SET_STATUS: &str = "UPDATE projects SET status = ?2, updated_at = ?3
    WHERE project_id = ?1 AND status <> 'deleting'";
const SET_CONFIG: &str = "UPDATE projects SET profile_config = ?2, updated_at = ?3
    WHERE project_id = ?1 AND status <> 'deleting'";
const MAKE_AND_SET_CONFIG: &str = "INSERT INTO projects (project_id, status, profile_config, created_at, updated_at)
    VALUES (?1, 'active', ?2, ?3, ?3)
    ON CONFLICT DO UPDATE SET profile_config = excluded.profile_config, updated_at = excluded.updated_at
    WHERE projects.status <> 'deleting'";
const SET_QUOTA: &str = "UPDATE projects SET token_quota = ?2, updated_at = ?3
    WHERE project_id = ?1 AND status <> 'deleting'";
const MAKE_AND_SET_QUOTA: &str = "INSERT INTO projects (project_id, status, token_quota, created_at, updated_at)
    VALUES (?1, 'active', ?2, ?3, ?3)
    ON CONFLICT DO UPDATE SET token_quota = excluded.token_quota, updated_at = excluded.updated_at
    WHERE projects.status <> 'deleting'";
pub(super) const REMOVE_USAGE: &str = "DELETE FROM usage_days WHERE project_id = ?1";
const REMOVE_SOURCE: &str = "DELETE FROM adopted_projects WHERE project_id = ?1";
const REMOVE: &str = "DELETE FROM projects WHERE project_id = ?1 AND status = 'deleting'
    AND NOT EXISTS (SELECT 1 FROM users WHERE users.project_id = ?1)";
const USER_IDS: &str = "SELECT user_id FROM users WHERE project_id = ?1 LIMIT ?2";

/// `?2` is what is searched for, without capital letters. `lower` knows A to Z alone, as the contract does.
const COUNT_USERS: &str = "SELECT count(*) FROM users AS u WHERE u.project_id = ?1 AND (?2 = ''
    OR instr(lower(u.data), ?2) > 0
    OR instr(lower(substr(hex(u.user_id), 1, 8) || '-' || substr(hex(u.user_id), 9, 4) || '-'
        || substr(hex(u.user_id), 13, 4) || '-' || substr(hex(u.user_id), 17, 4) || '-'
        || substr(hex(u.user_id), 21)), ?2) > 0)";
/// The counts of those who are on the page are taken when the page is known. `?3` names the order, `?4` is -1 for the
/// greatest first.
const USERS: &str = "SELECT p.user_id, p.data, p.created_at, p.updated_at,
        (SELECT count(*) FROM profile_slots AS s WHERE s.project_id = ?1 AND s.user_id = p.user_id) AS profile_count,
        (SELECT count(*) FROM events AS e WHERE e.project_id = ?1 AND e.user_id = p.user_id) AS event_count
    FROM (
        SELECT u.user_id, u.data, u.created_at, u.updated_at, ?4 * CASE ?3
            WHEN 'profile_count' THEN
                (SELECT count(*) FROM profile_slots AS s WHERE s.project_id = ?1 AND s.user_id = u.user_id)
            WHEN 'event_count' THEN
                (SELECT count(*) FROM events AS e WHERE e.project_id = ?1 AND e.user_id = u.user_id)
            ELSE u.updated_at END AS rank
        FROM users AS u WHERE u.project_id = ?1 AND (?2 = ''
            OR instr(lower(u.data), ?2) > 0
            OR instr(lower(substr(hex(u.user_id), 1, 8) || '-' || substr(hex(u.user_id), 9, 4) || '-'
                || substr(hex(u.user_id), 13, 4) || '-' || substr(hex(u.user_id), 17, 4) || '-'
                || substr(hex(u.user_id), 21)), ?2) > 0)
        ORDER BY rank, u.user_id LIMIT ?5 OFFSET ?6
    ) AS p ORDER BY p.rank, p.user_id";

struct ProjectRow(Project);

impl<'r> FromRow<'r, SqliteRow> for ProjectRow {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
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

struct ListedRow(ListedUser);

impl<'r> FromRow<'r, SqliteRow> for ListedRow {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        let data: Option<&str> = row.try_get("data")?;
        Ok(Self(ListedUser {
            id: UserId(row.try_get("user_id")?),
            data: data.map(from_json).transpose()?,
            created_at: time_column(row, "created_at")?,
            updated_at: time_column(row, "updated_at")?,
            profile_count: row.try_get("profile_count")?,
            event_count: row.try_get("event_count")?,
        }))
    }
}

type Statement = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

/// Limit and offset as they are bound.
fn limits(page: Page) -> [i64; 2] {
    [page.limit, page.offset].map(|n| i64::try_from(n).unwrap_or(i64::MAX))
}

impl SqliteStore {
    /// Does one write to a project. False when it changed nothing.
    async fn change(&self, statement: Statement) -> Result<bool, StoreError> {
        let write = self.database.write(move |conn| {
            Box::pin(async move { Ok::<_, DatabaseError>(statement.execute(conn).await?.rows_affected() == 1) })
        });
        Ok(write.await?)
    }

    /// Does one write to a project and, if it changes something, what is to be forgotten of its name.
    async fn change_and_forget(
        &self,
        statement: Statement,
        forget: &'static [&'static str],
        id: &ProjectId,
    ) -> Result<bool, StoreError> {
        let id = id.as_str().to_owned();
        let write = self.database.write(move |conn| {
            Box::pin(async move {
                if statement.execute(&mut *conn).await?.rows_affected() == 0 {
                    return Ok(false);
                }
                for sql in forget {
                    query(*sql).bind(id.clone()).execute(&mut *conn).await?;
                }
                Ok::<_, DatabaseError>(true)
            })
        });
        Ok(write.await?)
    }

    async fn read_projects(
        &self,
        sql: &'static str,
        limit: i64,
        offset: Option<i64>,
    ) -> Result<Vec<Project>, StoreError> {
        let read = self.database.read(move |conn| {
            Box::pin(async move {
                let select = query_as(sql).bind(limit);
                let select = if let Some(offset) = offset { select.bind(offset) } else { select };
                let rows: Vec<ProjectRow> = select.fetch_all(conn).await?;
                Ok(rows.into_iter().map(|row| row.0).collect())
            })
        });
        Ok(read.await?)
    }
}

#[async_trait]
impl Projects for SqliteStore {
    async fn create_project(
        &self,
        id: &ProjectId,
        token: &TokenHash,
        quota: TokenQuota,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let create = query(CREATE).bind(id.as_str().to_owned()).bind(token.0.to_vec()).bind(quota.to_stored());
        // What an earlier project of the name has used may have been counted after its end.
        self.change_and_forget(create.bind(micros(now)), &[REMOVE_USAGE, REMOVE_SOURCE], id).await
    }

    async fn adopt_project(
        &self,
        project: &Project,
        source: &str,
        implicit: bool,
    ) -> Result<ProjectAdoption, StoreError> {
        let (project, source) = (project.clone(), source.to_owned());
        let work = self
            .database
            .write(move |conn| Box::pin(async move { adoption::adopt_project(conn, project, source, implicit).await }));
        Ok(work.await?)
    }

    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, StoreError> {
        let id = id.as_str().to_owned();
        let read = self.database.read(move |conn| {
            Box::pin(async move {
                let row: Option<ProjectRow> = query_as(PROJECT).bind(id).fetch_optional(conn).await?;
                Ok(row.map(|row| row.0))
            })
        });
        Ok(read.await?)
    }

    async fn projects(&self, page: Page) -> Result<Vec<Project>, StoreError> {
        let [limit, offset] = limits(page);
        self.read_projects(PROJECTS, limit, Some(offset)).await
    }

    async fn set_token(&self, id: &ProjectId, token: &TokenHash, now: Timestamp) -> Result<bool, StoreError> {
        self.change(query(SET_TOKEN).bind(id.as_str().to_owned()).bind(token.0.to_vec()).bind(micros(now))).await
    }

    async fn set_status(&self, id: &ProjectId, status: ProjectStatus, now: Timestamp) -> Result<bool, StoreError> {
        self.change(query(SET_STATUS).bind(id.as_str().to_owned()).bind(status.as_str()).bind(micros(now))).await
    }

    async fn set_profile_config(
        &self,
        id: &ProjectId,
        config: Option<&str>,
        implicit: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = if implicit { MAKE_AND_SET_CONFIG } else { SET_CONFIG };
        self.change(query(sql).bind(id.as_str().to_owned()).bind(config.map(str::to_owned)).bind(micros(now))).await
    }

    async fn set_token_quota(
        &self,
        id: &ProjectId,
        quota: TokenQuota,
        implicit: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = if implicit { MAKE_AND_SET_QUOTA } else { SET_QUOTA };
        self.change(query(sql).bind(id.as_str().to_owned()).bind(quota.to_stored()).bind(micros(now))).await
    }

    async fn deleting_projects(&self, limit: u32) -> Result<Vec<Project>, StoreError> {
        self.read_projects(DELETING, limit.into(), None).await
    }

    async fn remove_project(&self, id: &ProjectId) -> Result<bool, StoreError> {
        self.change_and_forget(query(REMOVE).bind(id.as_str().to_owned()), &[REMOVE_USAGE], id).await
    }

    async fn user_ids(&self, id: &ProjectId, limit: u32) -> Result<Vec<UserId>, StoreError> {
        let id = id.as_str().to_owned();
        let read = self.database.read(move |conn| {
            Box::pin(async move {
                let ids: Vec<Uuid> = query_scalar(USER_IDS).bind(id).bind(limit).fetch_all(conn).await?;
                Ok(ids.into_iter().map(UserId).collect())
            })
        });
        Ok(read.await?)
    }

    async fn usage(&self, id: &ProjectId, from: Date, to: Date) -> Result<Vec<(Date, Used)>, StoreError> {
        let id = id.as_str().to_owned();
        let read = self.database.read(move |conn| Box::pin(async move { usage::read(conn, id, from, to).await }));
        Ok(read.await?)
    }

    /// There is nothing to fold.
    async fn fold_usage(&self, _: u32) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn users(&self, id: &ProjectId, wanted: &UserQuery) -> Result<(Vec<ListedUser>, u64), StoreError> {
        let (id, search) = (id.as_str().to_owned(), wanted.search.to_ascii_lowercase());
        let order = match wanted.order {
            UserOrder::UpdatedAt => "updated_at",
            UserOrder::ProfileCount => "profile_count",
            UserOrder::EventCount => "event_count",
        };
        let (sign, [limit, offset]) = (if wanted.descending { -1_i64 } else { 1 }, limits(wanted.page));
        let read = self.database.snapshot(move |conn| {
            Box::pin(async move {
                let select = query_scalar(COUNT_USERS).bind(id.clone()).bind(search.clone());
                let count: u64 = select.fetch_one(&mut *conn).await?;
                let select = query_as(USERS).bind(id).bind(search).bind(order).bind(sign).bind(limit).bind(offset);
                let rows: Vec<ListedRow> = select.fetch_all(conn).await?;
                Ok((rows.into_iter().map(|row| row.0).collect(), count))
            })
        });
        Ok(read.await?)
    }
}
