use std::time::Instant;

use memory::outage::Outage;
use memory::ports::{JournalError, StoreError};

/// What was said in the log of Postgres failing. A server has one; failures have no place of their own to keep it in.
pub(super) static OUTAGE: Outage = Outage::new();

/// Why the database did not do what it was asked. The texts are meant for clients; what Postgres said is in the log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It cannot be reached or cannot write now. The outcome of a write is unknown.
    #[error("the database is not available: {0}")]
    Unavailable(&'static str),
    /// It holds something that this version cannot read.
    #[error("the database is damaged: {0}")]
    Damaged(&'static str),
    /// Another transaction stood in the way, and nothing has changed: another try may do. The database tries again by
    /// itself a few times.
    #[error("the database is busy")]
    Contended,
}

/// Nothing was sent: all connections were at work for as long as a call waits for one.
pub(super) const NO_CONNECTION: DatabaseError = DatabaseError::Unavailable("no connection became free in time");

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Unavailable(reason) => Self::Unavailable(reason.into()),
            DatabaseError::Damaged(reason) => Self::Damaged(reason.into()),
            DatabaseError::Contended => Self::Unavailable(BUSY.into()),
        }
    }
}

impl From<DatabaseError> for JournalError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Unavailable(reason) => Self::Unavailable(reason.into()),
            DatabaseError::Damaged(reason) => Self::Damaged(reason.into()),
            DatabaseError::Contended => Self::Unavailable(BUSY.into()),
        }
    }
}

const BUSY: &str = "it is busy";

impl From<sqlx::Error> for DatabaseError {
    /// Logs what Postgres said, without values: its details may hold what users said.
    fn from(error: sqlx::Error) -> Self {
        let mapped = match &error {
            sqlx::Error::Database(e) => of_state(&e.code().unwrap_or_default()),
            sqlx::Error::PoolTimedOut => NO_CONNECTION,
            sqlx::Error::PoolClosed => Self::Unavailable("it is closed"),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) => Self::Unavailable("it cannot be reached"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Damaged("a value cannot be read"),
            sqlx::Error::ColumnNotFound(_) | sqlx::Error::ColumnIndexOutOfBounds { .. } | sqlx::Error::RowNotFound => {
                Self::Damaged("a row is not what it should be")
            }
            _ => Self::Unavailable("a statement failed"),
        };
        let state = error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(|code| code.into_owned());
        let detail = match &error {
            // The message of a wrong value (class 22) quotes it.
            sqlx::Error::Database(e) if !is_of_value(&e.code().unwrap_or_default()) => Some(e.message().to_owned()),
            sqlx::Error::Database(_) => None,
            sqlx::Error::ColumnDecode { index, .. } => Some(format!("column {index} cannot be decoded")),
            sqlx::Error::Decode(_) | sqlx::Error::Encode(_) => Some("a value cannot be decoded".to_owned()),
            other => Some(other.to_string()),
        };
        match mapped {
            Self::Contended => tracing::debug!(state, detail, "postgres asks for another try"),
            Self::Unavailable(reason) => tell_unavailable(reason, state, detail),
            Self::Damaged(_) => tracing::error!(state, detail, "postgres holds or was given something unreadable"),
        }
        mapped
    }
}

/// Logs that a call failed, and what Postgres said, if it did; not at each call while it fails for that reason.
pub(super) fn tell_unavailable(reason: &'static str, state: Option<String>, detail: Option<String>) {
    match OUTAGE.lost(reason, Instant::now()) {
        Some(line) => {
            let (held_back, for_s) = (line.held_back, line.seconds);
            tracing::warn!(state, detail, held_back, for_s, "postgres failed: {reason}");
        }
        None => tracing::debug!(state, detail, "postgres failed: {reason}"),
    }
}

fn is_of_value(state: &str) -> bool {
    state.starts_with("22")
}

/// Maps an SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn of_state(state: &str) -> DatabaseError {
    match (state.get(..2).unwrap_or_default(), state) {
        (_, "40001" | "40P01") => DatabaseError::Contended,
        (_, "25006") => DatabaseError::Unavailable("it is read-only"),
        (_, "53100") => DatabaseError::Unavailable("its disk is full"),
        (_, "53300") => DatabaseError::Unavailable("it has too many connections"),
        ("53", _) => DatabaseError::Unavailable("it is short of resources"),
        (_, "55P03") => DatabaseError::Unavailable(BUSY),
        (_, "57014") => DatabaseError::Unavailable("it took too long"),
        ("57", _) => DatabaseError::Unavailable("it is being shut down or started"),
        ("08", _) => DatabaseError::Unavailable("it cannot be reached"),
        ("28", _) => DatabaseError::Unavailable("it refuses this user"),
        ("22", _) => DatabaseError::Damaged("a value cannot be stored"),
        ("23", _) => DatabaseError::Damaged("a constraint was violated"),
        ("XX", _) => DatabaseError::Damaged("its files are not what they should be"),
        _ => DatabaseError::Unavailable("a statement failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_mapped_by_what_another_try_can_do() {
        for state in ["40001", "40P01"] {
            assert_eq!(of_state(state), DatabaseError::Contended);
        }
        for state in ["08006", "57P01", "57P03", "57014", "53100", "53300", "53200", "25006", "55P03", "42P01", ""] {
            assert!(matches!(of_state(state), DatabaseError::Unavailable(_)), "{state}");
        }
        for state in ["23505", "22021", "XX001"] {
            assert!(matches!(of_state(state), DatabaseError::Damaged(_)), "{state}");
        }
        assert!(matches!(DatabaseError::from(sqlx::Error::PoolTimedOut), DatabaseError::Unavailable(_)));
        assert!(matches!(DatabaseError::from(sqlx::Error::Decode("x".into())), DatabaseError::Damaged(_)));
    }
}
