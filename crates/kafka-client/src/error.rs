//! Why Kafka cannot be reached as configured.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The setting could lose, reorder or skip events, or has a place of its own.
    #[error("the Kafka setting {name} is refused: {reason}")]
    Setting { name: String, reason: String },
    #[error("{what} is refused: {reason}")]
    Security { what: &'static str, reason: &'static str },
    /// librdkafka does not take a value, or cannot read one of the files.
    #[error("the Kafka client cannot be made: {0}")]
    Client(#[from] rdkafka::error::KafkaError),
    /// TLS or the login failed: a broker did not prove who it is, or refuses us.
    #[error("Kafka at {brokers}: {reason}; {remedy}")]
    Refused { brokers: String, reason: String, remedy: &'static str },
    /// Nobody is there, or something else than Kafka; the next attempt may go better.
    #[error("Kafka at {brokers} does not answer: {reason}")]
    Unreachable { brokers: String, reason: String },
}

impl Error {
    /// For a report that names the broker itself.
    pub fn cause(&self) -> String {
        match self {
            Self::Refused { reason, remedy, .. } => format!("{reason}; {remedy}"),
            Self::Unreachable { reason, .. } => reason.clone(),
            other => other.to_string(),
        }
    }
}
