//! Why a relay stops for a while, or for good.

use crate::Cause;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Going on could lose or falsify an event. A person has to act, as `remedy` says.
    #[error("the relay halts: {reason}; {remedy}")]
    Halted { cause: Cause, reason: String, remedy: String },
    #[error("replication: {0}")]
    Replication(#[source] Box<replication::Error>),
    /// Another session has taken the slot over; what this one still sends can only be a duplicate.
    #[error("another session has taken over")]
    Superseded,
    /// Nothing is wrong, but the server cannot be read now.
    #[error("{0}")]
    Unavailable(String),
    /// The sink failed; what it had not acknowledged is read again from the slot.
    #[error("sink: {0}")]
    Sink(String),
    #[error("kafka: {0}")]
    Producer(#[from] kafka_producer::Error),
    #[error("kafka: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
}

impl Error {
    /// Of something that came out of the log.
    pub(crate) fn halted(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::halted_by(Cause::Unreadable, reason, remedy)
    }

    pub(crate) fn halted_by(cause: Cause, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Halted { cause, reason: reason.into(), remedy: remedy.into() }
    }

    /// Whether a new session may go better without anybody mending anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Halted { .. } => false,
            Self::Replication(error) => error.is_transient(),
            Self::Superseded | Self::Unavailable(_) | Self::Sink(_) | Self::Producer(_) | Self::Kafka(_) => {
                true
            }
        }
    }

    /// The server's SQLSTATE, when it was the server that refused.
    pub(crate) fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Replication(error) => error.sqlstate(),
            _ => None,
        }
    }
}

impl From<replication::Error> for Error {
    fn from(error: replication::Error) -> Self {
        Self::Replication(Box::new(error))
    }
}
