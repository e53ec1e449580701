//! Why the clearing house stops or does not start.

use std::io;
use std::path::PathBuf;

/// None of these heals by itself, so there is no `is_transient`: the process ends and a person looks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} the journal {}", path.display())]
    Journal { path: PathBuf, action: &'static str, source: io::Error },
    #[error("another process has the journal {}", path.display())]
    JournalInUse { path: PathBuf },
    #[error("{}:{line}: malformed journal line: {reason}", path.display())]
    JournalMalformed { path: PathBuf, line: u64, reason: String },
    #[error("cannot make the client for callbacks")]
    CallbackClient(#[from] reqwest::Error),
    #[error("a task panicked")]
    TaskPanicked,
}
