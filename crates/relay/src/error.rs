//! Why a relay stops for a while, or for good.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Going on could lose or falsify an event. A person has to act, as `remedy` says.
    #[error("the relay halts: {reason}; {remedy}")]
    Halted { reason: String, remedy: String },
    #[error("replication: {0}")]
    Replication(#[source] Box<replication::Error>),
    /// The sink failed; what it had not acknowledged is read again from the slot.
    #[error("sink: {0}")]
    Sink(String),
    #[error("kafka: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
}

impl Error {
    pub(crate) fn halted(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Halted { reason: reason.into(), remedy: remedy.into() }
    }

    /// Whether a new session may go better without anybody mending anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Halted { .. } => false,
            Self::Replication(error) => error.is_transient(),
            Self::Sink(_) | Self::Kafka(_) => true,
        }
    }
}

impl From<replication::Error> for Error {
    fn from(error: replication::Error) -> Self {
        Self::Replication(Box::new(error))
    }
}
