use memory::ports::{JournalError, StoreError};

/// Why the database did not do what it was asked. The texts are meant for clients; what SQLite said is in the log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It cannot be reached or cannot write now. The outcome of a write is unknown.
    #[error("the database is not available: {0}")]
    Unavailable(&'static str),
    /// It holds something that this version cannot read.
    #[error("the database is damaged: {0}")]
    Damaged(&'static str),
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Unavailable(reason) => Self::Unavailable(reason.into()),
            DatabaseError::Damaged(reason) => Self::Damaged(reason.into()),
        }
    }
}

impl From<DatabaseError> for JournalError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Unavailable(reason) => Self::Unavailable(reason.into()),
            DatabaseError::Damaged(reason) => Self::Damaged(reason.into()),
        }
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        let mapped = match &error {
            sqlx::Error::Database(e) => of_code(e.code().and_then(|code| code.parse().ok())),
            sqlx::Error::PoolTimedOut => Self::Unavailable("no connection became free in time"),
            sqlx::Error::PoolClosed => Self::Unavailable("it is closed"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Damaged("a value cannot be read"),
            sqlx::Error::ColumnNotFound(_) | sqlx::Error::ColumnIndexOutOfBounds { .. } | sqlx::Error::RowNotFound => {
                Self::Damaged("a row is not what it should be")
            }
            _ => Self::Unavailable("a statement failed"),
        };
        match mapped {
            Self::Unavailable(_) => tracing::warn!(%error, "sqlite did not answer"),
            Self::Damaged(_) => tracing::error!(%error, "sqlite holds something unreadable"),
        }
        mapped
    }
}

/// Maps a result code (<https://www.sqlite.org/rescode.html>); its low byte is the primary code.
fn of_code(code: Option<u32>) -> DatabaseError {
    match code.map(|code| code & 0xff) {
        Some(5 | 6) => DatabaseError::Unavailable("it is busy"),
        Some(8) => DatabaseError::Unavailable("it is read-only"),
        Some(10 | 14) => DatabaseError::Unavailable("its file cannot be read or written"),
        Some(13) => DatabaseError::Unavailable("the disk is full"),
        Some(11 | 26) => DatabaseError::Damaged("its file is malformed"),
        Some(19) => DatabaseError::Damaged("a constraint was violated"),
        _ => DatabaseError::Unavailable("a statement failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_codes_are_mapped_by_their_primary_code() {
        // SQLITE_IOERR_FSYNC, SQLITE_BUSY_SNAPSHOT, SQLITE_FULL, SQLITE_CORRUPT
        assert_eq!(of_code(Some(1034)), DatabaseError::Unavailable("its file cannot be read or written"));
        assert_eq!(of_code(Some(517)), DatabaseError::Unavailable("it is busy"));
        assert_eq!(of_code(Some(13)), DatabaseError::Unavailable("the disk is full"));
        assert!(matches!(of_code(Some(11)), DatabaseError::Damaged(_)));
        assert!(matches!(DatabaseError::from(sqlx::Error::PoolTimedOut), DatabaseError::Unavailable(_)));
        assert!(matches!(DatabaseError::from(sqlx::Error::Decode("x".into())), DatabaseError::Damaged(_)));
    }
}
