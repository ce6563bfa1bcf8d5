use tempfile::TempDir;

use super::due;
use crate::store::sqlite::tests::plans;
use crate::store::sqlite::{SqliteDatabase, SqliteOptions};

/// Only the two short lists of what is due are sorted.
#[tokio::test]
async fn what_is_due_is_found_by_an_index() {
    let folder = TempDir::new().unwrap();
    let database = SqliteDatabase::open(folder.path(), &SqliteOptions::default()).await.unwrap();
    let plan = plans(folder.path(), due::DUE).await;
    for index in ["journal_buffers_by_age", "journal_batches_by_age"] {
        assert!(plan.iter().any(|step| step.starts_with("SEARCH") && step.contains(index)), "{plan:#?}");
    }
    drop(database);
}
