//! What is taken over from another service.

use std::collections::HashSet;

use jiff::Timestamp;
use memory::ids::{Incarnation, UserKey};
use memory::ports::{Adoption, Legacy, Project, ProjectAdoption};
use memory::profile::{Author, SlotWrite};
use sqlx::{PgConnection, query, query_scalar};
use uuid::Uuid;

use super::error::DatabaseError;
use super::rows::{About, lock, micros, text, to_json};
use super::{blobs, events, slots};

const CREATE: &str = "INSERT INTO users (project_id, user_id, incarnation, revision, data, created_at, updated_at)
    VALUES ($1, $2, $3, 0, $4, $5, $6) ON CONFLICT DO NOTHING";

/// Marks the rows that are new, and returns them. Rows that are there are found one by one, in subqueries: a join could
/// become one that reads a whole table.
const MARK: &str = "INSERT INTO adopted_rows (project_id, user_id, row_id)
    SELECT $1, $2, a.row_id FROM unnest($3::uuid[]) AS a (row_id)
    WHERE 0 = (SELECT count(*) FROM profile_slots AS x
            WHERE x.project_id = $1 AND x.user_id = $2 AND x.slot_id = a.row_id)
        AND 0 = (SELECT count(*) FROM events AS x
            WHERE x.project_id = $1 AND x.user_id = $2 AND x.event_id = a.row_id)
        AND 0 = (SELECT count(*) FROM blobs AS x
            WHERE x.project_id = $1 AND x.user_id = $2 AND x.blob_id = a.row_id)
    ON CONFLICT DO NOTHING RETURNING row_id";

/// Others that come with this name meanwhile wait here. `$3`: it may have had no row, and has users all the same.
const MARK_PROJECT: &str = "INSERT INTO adopted_projects (project_id, source) SELECT $1, $2
    WHERE NOT EXISTS (SELECT FROM projects WHERE projects.project_id = $1 AND status = 'deleting')
        AND ($3 OR NOT EXISTS (SELECT FROM users WHERE users.project_id = $1))
    ON CONFLICT DO NOTHING";
const SOURCE: &str = "SELECT source FROM adopted_projects WHERE project_id = $1";
/// As for a project that is created, what an earlier one of the name has used is forgotten.
const CREATE_PROJECT: &str = "WITH made AS (
        INSERT INTO projects (project_id, status, token_hash, profile_config, token_quota, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING project_id
    ), entries AS (DELETE FROM usage_entries USING made WHERE usage_entries.project_id = made.project_id AND NOT $8
    ), days AS (DELETE FROM usage_days USING made WHERE usage_days.project_id = made.project_id AND NOT $8)
    SELECT count(*) FROM made";
const IS_KEPT: &str = "SELECT EXISTS (SELECT FROM projects WHERE project_id = $1 AND status <> 'deleting')";

pub(super) async fn adopt_project(
    conn: &mut PgConnection,
    project: &Project,
    source: &str,
    implicit: bool,
) -> Result<ProjectAdoption, DatabaseError> {
    let (id, source) = (project.id.as_str().to_owned(), text(source).into_owned());
    let mark = query(MARK_PROJECT).bind(id.clone()).bind(source.clone()).bind(implicit);
    let is_first = mark.execute(&mut *conn).await?.rows_affected() == 1;
    let present: Option<String> = query_scalar(SOURCE).bind(id.clone()).fetch_optional(&mut *conn).await?;
    if present != Some(source) {
        return Ok(ProjectAdoption::Taken);
    }
    if is_first {
        let create = query_scalar::<_, i64>(CREATE_PROJECT).bind(id.clone()).bind(project.status.as_str());
        let create = create.bind(project.token.map(|token| token.0.to_vec()));
        let create = create.bind(project.profile_config.as_deref().map(text)).bind(project.token_quota.to_stored());
        let create = create.bind(micros(project.created_at)).bind(micros(project.updated_at)).bind(implicit);
        if create.fetch_one(&mut *conn).await? == 1 {
            return Ok(ProjectAdoption::New);
        }
    }
    let is_kept = query_scalar(IS_KEPT).bind(id).fetch_one(conn).await?;
    Ok(if is_kept { ProjectAdoption::Here } else { ProjectAdoption::Deleted })
}

pub(super) async fn adopt(
    conn: &mut PgConnection,
    key: &UserKey,
    incarnation: Incarnation,
    legacy: &Legacy,
    now: Timestamp,
) -> Result<Adoption, DatabaseError> {
    // Whoever begins to delete the project waits until these users can be seen.
    let sql = "SELECT status <> 'deleting' FROM projects WHERE project_id = $1 FOR SHARE";
    let select = query_scalar::<_, bool>(sql).bind(key.project.as_str().to_owned());
    if select.fetch_optional(&mut *conn).await? != Some(true) {
        return Ok(Adoption::NoProject);
    }
    let data = legacy.data.as_ref().map(to_json).transpose()?;
    let create = query(CREATE).user(key).bind(incarnation.0).bind(data).bind(micros(legacy.created_at));
    let is_new = create.bind(micros(legacy.updated_at)).execute(&mut *conn).await?.rows_affected() == 1;
    let Some((incarnation, _)) = lock(conn, key).await? else { return Ok(Adoption::Deleted) };
    // Now, and not before: a deletion that came in between has left its tombstone.
    if is_buried(conn, key).await? {
        if is_new {
            let sql = "DELETE FROM users WHERE project_id = $1 AND user_id = $2";
            query(sql).user(key).execute(conn).await?;
        }
        return Ok(Adoption::Deleted);
    }
    let mark = query_scalar::<_, Uuid>(MARK).user(key).bind(legacy.ids());
    let ids: HashSet<Uuid> = mark.fetch_all(&mut *conn).await?.into_iter().collect();
    let fresh = legacy.clone().only(&ids);
    let changes_memory = fresh.changes_memory();
    let writes: Vec<SlotWrite> = fresh.slots.into_iter().map(SlotWrite::Insert).collect();
    slots::write_all(conn, key, Author::Client, &writes, now).await?;
    for (event, gists) in &fresh.events {
        events::insert(conn, key, event, gists).await?;
    }
    blobs::insert(conn, key, &fresh.blobs).await?;
    if changes_memory {
        slots::bump(conn, key).await?;
    }
    Ok(Adoption::Done { incarnation: Incarnation(incarnation), is_new, ids })
}

/// Whether any life of this user has ended.
async fn is_buried(conn: &mut PgConnection, key: &UserKey) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT FROM tombstones WHERE project_id = $1 AND user_id = $2)";
    Ok(query_scalar(sql).user(key).fetch_one(conn).await?)
}
