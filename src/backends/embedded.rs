//! Memory that was made before Postgres was set, and that nobody would miss in silence.

use super::Database;
use crate::config::Config;
use crate::store::postgres::PostgresDatabase;
use crate::store::sqlite::Glance;

/// Says so when a server begins with an empty Postgres beside an embedded database that has users.
pub(super) async fn warn(config: &Config, database: &Database) {
    let Database::Postgres(postgres) = database else { return };
    match left_behind(config, Some(postgres)).await {
        Ok(Some(found)) => {
            tracing::warn!("{found}: nothing of it is used here; to go on with it, unset database_url (DATABASE_URL)");
        }
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, "the embedded database in data_dir cannot be looked at"),
    }
}

/// Says that an embedded database with users lies in `data_dir`, and that there are none in Postgres, whose tables are
/// missing when it is none. None when it is otherwise.
///
/// # Errors
/// When one of the two cannot be read.
pub(crate) async fn left_behind(
    config: &Config,
    postgres: Option<&PostgresDatabase>,
) -> anyhow::Result<Option<String>> {
    let Some(mut glance) = Glance::at(&config.data_dir).await? else { return Ok(None) };
    let embedded = glance.has_users().await;
    glance.close().await;
    let used = match postgres {
        Some(postgres) => postgres.has_users().await?,
        None => false,
    };
    if used || !embedded? {
        return Ok(None);
    }
    let folder = std::fs::canonicalize(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
    Ok(Some(format!(
        "this Postgres has no users yet, and the embedded database in {} has some: it was used before database_url was set",
        folder.display()
    )))
}
