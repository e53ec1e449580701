//! What the headers of an event's record are called: the producer writes them, and everybody else reads them.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md>,
//! <https://debezium.io/documentation/reference/stable/transformations/outbox-event-router.html>.

const SOURCE_PREFIX: &str = "/lunaria/";

/// The headers that are called otherwise in each format.
#[derive(Debug)]
pub struct HeaderNames {
    pub source: &'static str,
    pub event_type: &'static str,
    pub id: &'static str,
    pub correlation_id: &'static str,
    pub causation_id: &'static str,
    pub time: &'static str,
    pub sequence: &'static str,
    pub version: &'static str,
}

impl HeaderNames {
    /// CloudEvents 1.0 in binary mode.
    pub const CLOUD_EVENTS: Self = Self {
        source: "ce_source",
        event_type: "ce_type",
        id: "ce_id",
        correlation_id: "ce_correlationid",
        causation_id: "ce_causationid",
        time: "ce_time",
        sequence: "ce_sequence",
        version: "ce_dataversion",
    };

    /// Debezium's outbox; what it has no name for, under ours.
    pub const DEBEZIUM: Self = Self {
        source: "lunaria_source",
        event_type: "eventType",
        id: "id",
        correlation_id: "lunaria_correlationid",
        causation_id: "lunaria_causationid",
        time: "lunaria_time",
        sequence: "lunaria_sequence",
        version: "lunaria_dataversion",
    };

    pub const ALL: [&'static Self; 2] = [&Self::CLOUD_EVENTS, &Self::DEBEZIUM];
}

/// The value of the source header in all records of a service.
pub fn record_source(service: &str) -> String {
    format!("{SOURCE_PREFIX}{service}")
}

/// The inverse of [`record_source`].
pub fn service_of_source(source: &str) -> Option<&str> {
    source.strip_prefix(SOURCE_PREFIX)
}
