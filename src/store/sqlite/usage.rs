//! What projects use. There is one writer, so totals are kept at once.

use jiff::Timestamp;
use jiff::civil::Date;
use memory::ids::ProjectId;
use memory::usage::{Used, day_of};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection, query, query_as};

use super::error::DatabaseError;
use super::rows::decode;

const ADD: &str = "INSERT INTO usage_days AS d (project_id, day, inserts, successes, input_tokens, output_tokens,
        embedding_tokens)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT DO UPDATE SET inserts = d.inserts + excluded.inserts, successes = d.successes + excluded.successes,
        input_tokens = d.input_tokens + excluded.input_tokens, output_tokens = d.output_tokens + excluded.output_tokens,
        embedding_tokens = d.embedding_tokens + excluded.embedding_tokens";
const READ: &str = "SELECT day, inserts, successes, input_tokens, output_tokens, embedding_tokens FROM usage_days
    WHERE project_id = ?1 AND day BETWEEN ?2 AND ?3 ORDER BY day";

struct DayRow(Date, Used);

impl<'r> FromRow<'r, SqliteRow> for DayRow {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        let used = Used {
            inserts: row.try_get("inserts")?,
            successes: row.try_get("successes")?,
            input_tokens: row.try_get("input_tokens")?,
            output_tokens: row.try_get("output_tokens")?,
            embedding_tokens: row.try_get("embedding_tokens")?,
        };
        Ok(Self(row.try_get::<&str, _>("day")?.parse().map_err(decode)?, used))
    }
}

/// Counts for a project, within the transaction that uses it.
pub(super) async fn add(
    conn: &mut SqliteConnection,
    project: &ProjectId,
    used: Used,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    if used.is_nothing() {
        return Ok(());
    }
    let Used { inserts, successes, input_tokens, output_tokens, embedding_tokens } = used;
    let add = query(ADD).bind(project.as_str().to_owned()).bind(day_of(now).to_string());
    let numbers = [inserts, successes, input_tokens, output_tokens, embedding_tokens];
    let numbers = numbers.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    numbers.into_iter().fold(add, |add, number| add.bind(number)).execute(conn).await?;
    Ok(())
}

pub(super) async fn read(
    conn: &mut SqliteConnection,
    project: String,
    from: Date,
    to: Date,
) -> Result<Vec<(Date, Used)>, DatabaseError> {
    let select = query_as(READ).bind(project).bind(from.to_string()).bind(to.to_string());
    let rows: Vec<DayRow> = select.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|DayRow(day, used)| (day, used)).collect())
}
