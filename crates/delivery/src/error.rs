//! How handling can fail.

use event::DecodeError;
use event_store::ExecuteError;

/// Why a handler could not handle an event.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// The store's errors decide for themselves whether they are a conflict, a hiccup or final.
    #[error(transparent)]
    Store(#[from] event_store::Error),
    /// The event makes no sense to the handler; it is parked with this reason.
    #[error("{0}")]
    Failed(String),
    /// What it is kept in cannot be reached, whose error this is; it is tried again.
    #[error("{0}")]
    Unavailable(String),
}

impl HandleError {
    /// Whether the same may succeed the next time, without anybody mending anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Store(error) => error.is_passing(),
            Self::Failed(_) => false,
            Self::Unavailable(_) => true,
        }
    }
}

impl<R: std::fmt::Debug> From<ExecuteError<R>> for HandleError {
    fn from(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => Self::Failed(format!("the command was refused: {refusal:?}")),
            ExecuteError::Store(error) => Self::Store(error),
        }
    }
}

impl From<DecodeError> for HandleError {
    fn from(error: DecodeError) -> Self {
        Self::Store(error.into())
    }
}

impl From<sqlx::Error> for HandleError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The history could not be read; it is tried again.
#[derive(Debug, thiserror::Error)]
#[error("the history of {what} cannot be read: {reason}")]
pub struct HistoryError {
    pub what: String,
    pub reason: String,
}

/// Work ended before it was done, since the process is shutting down. Nothing was confirmed that is not done.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;
