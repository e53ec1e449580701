//! Why a producer ends.

use std::time::Duration;

use kafka_protocol::error::ResponseError;

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("no connection to {broker}: {reason}")]
    Connect { broker: String, reason: String },
    #[error("{broker} closed the connection: {reason}")]
    Closed { broker: String, reason: String },
    #[error("{broker} has not answered within {limit:?}")]
    TimedOut { broker: String, limit: Duration },
    /// The broker's own code, by Kafka's name for it.
    #[error("{what}: {code}{}", .detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default())]
    Refused { what: String, code: ResponseError, detail: Option<String> },
    #[error("partition {partition} of {topic} has no leader")]
    NoLeader { topic: String, partition: i32 },
    #[error("{broker} speaks another protocol: {reason}")]
    Protocol { broker: String, reason: String },
}

impl Error {
    pub(crate) fn refused(what: impl Into<String>, code: ResponseError) -> Self {
        Self::Refused { what: what.into(), code, detail: None }
    }

    /// The broker takes no batch of this size; when it was the batch of one record, none will ever do.
    pub fn is_too_large(&self) -> bool {
        self.code() == Some(ResponseError::MessageTooLarge)
    }

    pub fn is_unknown_topic(&self) -> bool {
        self.code() == Some(ResponseError::UnknownTopicOrPartition)
    }

    /// A topic that was made a moment ago, or one whose leader has gone: the brokers have yet to agree.
    pub fn is_not_settled(&self) -> bool {
        self.is_unknown_topic() || matches!(self, Self::NoLeader { .. })
    }

    /// Kafka's code, when it was a broker that refused.
    pub fn code(&self) -> Option<ResponseError> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}
