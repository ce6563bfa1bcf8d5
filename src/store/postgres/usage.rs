//! What projects use.

use jiff::Timestamp;
use jiff::civil::Date;
use memory::ids::ProjectId;
use memory::usage::{Used, day_of};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row, query};

use super::error::DatabaseError;
use super::rows::{decode, number};

const ADD: &str = "INSERT INTO usage_entries (project_id, day, inserts, successes, input_tokens, output_tokens,
        embedding_tokens)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
/// Both tables as they are at one instant: what is being folded is in one of them.
const READ: &str = "SELECT day, sum(inserts)::bigint AS inserts, sum(successes)::bigint AS successes,
        sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens,
        sum(embedding_tokens)::bigint AS embedding_tokens
    FROM (
        SELECT * FROM usage_entries WHERE project_id = $1 AND day BETWEEN $2 AND $3
        UNION ALL SELECT * FROM usage_days WHERE project_id = $1 AND day BETWEEN $2 AND $3
    ) AS used GROUP BY day ORDER BY day";
/// Totals are written in one order, so that no two processes wait for each other.
const FOLD: &str = "WITH folded AS (
        DELETE FROM usage_entries WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM usage_entries LIMIT $1 FOR UPDATE SKIP LOCKED
        )) RETURNING *
    ), total AS (
        INSERT INTO usage_days AS d (project_id, day, inserts, successes, input_tokens, output_tokens,
            embedding_tokens)
        SELECT project_id, day, sum(inserts)::bigint, sum(successes)::bigint, sum(input_tokens)::bigint,
            sum(output_tokens)::bigint, sum(embedding_tokens)::bigint
        FROM folded GROUP BY project_id, day ORDER BY project_id, day
        ON CONFLICT (project_id, day) DO UPDATE SET inserts = d.inserts + excluded.inserts,
            successes = d.successes + excluded.successes, input_tokens = d.input_tokens + excluded.input_tokens,
            output_tokens = d.output_tokens + excluded.output_tokens,
            embedding_tokens = d.embedding_tokens + excluded.embedding_tokens
    )
    SELECT count(*) FROM folded";

/// The columns of a row: the day, inserts, successes, prompt, completion and embedding tokens.
pub(super) fn columns(used: Used, now: Timestamp) -> (String, [i64; 5]) {
    let Used { inserts, successes, input_tokens, output_tokens, embedding_tokens } = used;
    let numbers = [inserts, successes, input_tokens, output_tokens, embedding_tokens];
    (day_of(now).to_string(), numbers.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
}

/// Counts for a project, within the transaction that uses it.
pub(super) async fn add(
    conn: &mut PgConnection,
    project: &ProjectId,
    used: Used,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    if used.is_nothing() {
        return Ok(());
    }
    let (day, numbers) = columns(used, now);
    let add = query(ADD).bind(project.as_str()).bind(day);
    numbers.into_iter().fold(add, |add, number| add.bind(number)).execute(conn).await?;
    Ok(())
}

pub(super) async fn read(
    conn: &mut PgConnection,
    project: &ProjectId,
    from: Date,
    to: Date,
) -> Result<Vec<(Date, Used)>, DatabaseError> {
    let select = query(READ).bind(project.as_str()).bind(from.to_string()).bind(to.to_string());
    Ok(select.fetch_all(conn).await?.iter().map(day).collect::<sqlx::Result<_>>()?)
}

fn day(row: &PgRow) -> sqlx::Result<(Date, Used)> {
    let used = Used {
        inserts: number(row, "inserts")?,
        successes: number(row, "successes")?,
        input_tokens: number(row, "input_tokens")?,
        output_tokens: number(row, "output_tokens")?,
        embedding_tokens: number(row, "embedding_tokens")?,
    };
    Ok((row.try_get::<&str, _>("day")?.parse().map_err(decode)?, used))
}

/// Folds some rows into totals.
pub(super) async fn fold(conn: &mut PgConnection, limit: u32) -> Result<u64, DatabaseError> {
    let folded: i64 = sqlx::query_scalar(FOLD).bind(i64::from(limit)).fetch_one(conn).await?;
    Ok(u64::try_from(folded).unwrap_or(0))
}
