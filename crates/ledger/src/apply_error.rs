//! Why a saga's decision, and what follows from it on an account, did not come about.

use std::fmt::{Debug, Display};

use delivery::HandleError;
use event_store::{ExecuteError, FireError};

use crate::AccountRefusal;

/// `R` is the saga's own refusal.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError<R> {
    #[error("{0}")]
    Refused(R),
    #[error("the account: {0}")]
    Account(AccountRefusal),
    /// Of something else that the saga stands on.
    #[error("{0}")]
    Other(String),
    #[error(transparent)]
    Store(#[from] event_store::Error),
}

impl<R: Debug> ApplyError<R> {
    pub fn of_saga(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => Self::Refused(refusal),
            ExecuteError::Store(error) => Self::Store(error),
        }
    }

    pub fn of_account(error: ExecuteError<AccountRefusal>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => Self::Account(refusal),
            ExecuteError::Store(error) => Self::Store(error),
        }
    }
}

impl<R: Display> From<ApplyError<R>> for HandleError {
    fn from(error: ApplyError<R>) -> Self {
        match error {
            ApplyError::Store(error) => Self::Store(error),
            refused => Self::Failed(format!("the command was refused: {refused}")),
        }
    }
}

impl<R: Display> From<ApplyError<R>> for FireError {
    fn from(error: ApplyError<R>) -> Self {
        match error {
            ApplyError::Store(error) => Self::Store(error),
            refused => Self::Refused(refused.to_string()),
        }
    }
}
