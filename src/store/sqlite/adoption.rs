//! What is taken over from another service.

use std::collections::HashSet;

use jiff::Timestamp;
use memory::ids::{Incarnation, UserKey};
use memory::ports::{Adoption, Legacy, Project, ProjectAdoption};
use serde_json::Value;
use sqlx::{SqliteConnection, query, query_scalar};
use uuid::Uuid;

use super::error::DatabaseError;
use super::rows::{bump, hex, life, micros, to_json};
use super::{blobs, events, projects, slots};

const CREATE: &str = "INSERT INTO users (project_id, user_id, incarnation, revision, data, created_at, updated_at)
    VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6) ON CONFLICT DO NOTHING";

/// Marks the rows that are new, and returns them.
const MARK: &str = "INSERT INTO adopted_rows (project_id, user_id, row_id)
    SELECT ?1, ?2, unhex(value) FROM json_each(?3)
    WHERE NOT EXISTS (SELECT 1 FROM profile_slots AS x
            WHERE x.project_id = ?1 AND x.user_id = ?2 AND x.slot_id = unhex(value))
        AND NOT EXISTS (SELECT 1 FROM events AS x
            WHERE x.project_id = ?1 AND x.user_id = ?2 AND x.event_id = unhex(value))
        AND NOT EXISTS (SELECT 1 FROM blobs AS x
            WHERE x.project_id = ?1 AND x.user_id = ?2 AND x.blob_id = unhex(value))
    ON CONFLICT DO NOTHING RETURNING row_id";

/// `?3`: it may have had no row, and has users all the same.
const MARK_PROJECT: &str = "INSERT INTO adopted_projects (project_id, source) SELECT ?1, ?2
    WHERE NOT EXISTS (SELECT 1 FROM projects WHERE projects.project_id = ?1 AND status = 'deleting')
        AND (?3 OR NOT EXISTS (SELECT 1 FROM users WHERE users.project_id = ?1))
    ON CONFLICT DO NOTHING";
const SOURCE: &str = "SELECT source FROM adopted_projects WHERE project_id = ?1";
const CREATE_PROJECT: &str = "INSERT INTO projects (project_id, status, token_hash, profile_config, token_quota,
        created_at, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
const IS_KEPT: &str = "SELECT EXISTS (SELECT 1 FROM projects WHERE project_id = ?1 AND status <> 'deleting')";

async fn is_kept(conn: &mut SqliteConnection, project: &str) -> Result<bool, DatabaseError> {
    Ok(query_scalar(IS_KEPT).bind(project.to_owned()).fetch_one(conn).await?)
}

pub(super) async fn adopt_project(
    conn: &mut SqliteConnection,
    project: Project,
    source: String,
    implicit: bool,
) -> Result<ProjectAdoption, DatabaseError> {
    let id = project.id.as_str().to_owned();
    let mark = query(MARK_PROJECT).bind(id.clone()).bind(source.clone()).bind(implicit);
    let is_first = mark.execute(&mut *conn).await?.rows_affected() == 1;
    let present: Option<String> = query_scalar(SOURCE).bind(id.clone()).fetch_optional(&mut *conn).await?;
    if present != Some(source) {
        return Ok(ProjectAdoption::Taken);
    }
    if is_first {
        let create = query(CREATE_PROJECT).bind(id.clone()).bind(project.status.as_str());
        let create = create.bind(project.token.map(|token| token.0.to_vec())).bind(project.profile_config);
        let create = create.bind(project.token_quota.to_stored()).bind(micros(project.created_at));
        if create.bind(micros(project.updated_at)).execute(&mut *conn).await?.rows_affected() == 1 {
            if !implicit {
                query(projects::REMOVE_USAGE).bind(id).execute(conn).await?;
            }
            return Ok(ProjectAdoption::New);
        }
    }
    Ok(if is_kept(conn, &id).await? { ProjectAdoption::Here } else { ProjectAdoption::Deleted })
}

pub(super) async fn adopt(
    conn: &mut SqliteConnection,
    key: &UserKey,
    incarnation: Incarnation,
    legacy: Legacy,
    now: Timestamp,
) -> Result<Adoption, DatabaseError> {
    let (project, user) = (key.project.as_str(), key.user.0);
    if !is_kept(conn, project).await? {
        return Ok(Adoption::NoProject);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM tombstones WHERE project_id = ?1 AND user_id = ?2)";
    if query_scalar(sql).bind(project.to_owned()).bind(user).fetch_one(&mut *conn).await? {
        return Ok(Adoption::Deleted);
    }
    let create = query(CREATE).bind(project.to_owned()).bind(user).bind(incarnation.0);
    let create = create.bind(legacy.data.as_ref().map(to_json).transpose()?).bind(micros(legacy.created_at));
    let is_new = create.bind(micros(legacy.updated_at)).execute(&mut *conn).await?.rows_affected() == 1;
    let Some((incarnation, _)) = life(conn, key).await? else {
        return Err(DatabaseError::Damaged("a user that was made is not there"));
    };
    let ids = to_json(&legacy.ids().into_iter().map(hex).collect::<Value>())?;
    let mark = query_scalar::<_, Uuid>(MARK).bind(project.to_owned()).bind(user).bind(ids);
    let ids: HashSet<Uuid> = mark.fetch_all(&mut *conn).await?.into_iter().collect();
    let fresh = legacy.only(&ids);
    for slot in &fresh.slots {
        slots::adopt(conn, key, slot, now).await?;
    }
    for (event, gists) in &fresh.events {
        events::insert(conn, key, event, gists).await?;
    }
    blobs::insert(conn, key, &fresh.blobs).await?;
    if fresh.changes_memory() {
        bump(conn, key).await?;
    }
    Ok(Adoption::Done { incarnation: Incarnation(incarnation), is_new, ids })
}
