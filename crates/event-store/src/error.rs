//! What can go wrong between a command and its events.

use event::{DecodeError, StreamName};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else appended first, or the expected seq was wrong. Load again and decide anew.
    #[error("the streams have moved on since they were read")]
    Conflict,
    #[error(transparent)]
    Undecodable(#[from] DecodeError),
    /// The caller changed one stream as two kinds of aggregate.
    #[error("{0} was loaded as another kind of aggregate")]
    WrongAggregate(StreamName),
    #[error("an event cannot be written as JSON: {0}")]
    Unencodable(#[from] serde_json::Error),
    /// The event, its stream's name or its type is beyond what Kafka takes with every other header. It will never be appended:
    /// whoever decided it has to keep it smaller.
    #[error("{0}")]
    TooLarge(String),
    #[error("migration failed: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("database: {0}")]
    Database(#[source] sqlx::Error),
}

/// Raised by `append_events` (migrations/0005_append.sql).
const APPEND_CONFLICT: &str = "LU001";
const EVENT_TOO_LARGE: &str = "LU004";

impl Error {
    /// Whether the same may succeed later, without anybody mending anything: the server is away, restarting,
    /// out of connections, or chose this transaction to break a deadlock.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) => true,
            Self::Database(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                matches!(
                    &*code,
                    "40001" | "40P01" | "55P03" | "57P01" | "57P02" | "57P03" | "53300" | "53100"
                ) || code.starts_with("08")
            }),
            _ => false,
        }
    }

    /// The same, or somebody else was first: what was read is out of date, and is to be read again.
    pub fn is_passing(&self) -> bool {
        self.is_transient() || matches!(self, Self::Conflict)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let Some(raised) = error.as_database_error() else { return Self::Database(error) };
        match raised.code().as_deref() {
            Some(APPEND_CONFLICT) => Self::Conflict,
            Some(EVENT_TOO_LARGE) => Self::TooLarge(raised.message().to_owned()),
            _ => Self::Database(error),
        }
    }
}

/// A command that did not go through: refused by the rules, or not decided at all.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R: std::fmt::Debug> {
    #[error("refused: {0:?}")]
    Refused(R),
    #[error(transparent)]
    Store(#[from] Error),
}

impl<R: std::fmt::Debug> From<sqlx::Error> for ExecuteError<R> {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
