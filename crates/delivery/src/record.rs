//! A Kafka record as the relay writes it (CloudEvents in binary mode) → the event.

use std::collections::HashMap;

use event::{Metadata, Position, RecordedEvent, Seq};
use rdkafka::message::{Headers, Message};
use serde_json::value::RawValue;

/// What is wrong with a record that no relay of ours wrote.
#[derive(Debug, thiserror::Error)]
#[error("record {topic}[{partition}]@{offset} is not an event: {reason}")]
pub(crate) struct NotAnEvent {
    topic: String,
    partition: i32,
    offset: i64,
    reason: String,
}

pub(crate) fn read(record: &impl Message) -> Result<RecordedEvent, NotAnEvent> {
    event_of(record).map_err(|reason| NotAnEvent {
        topic: record.topic().to_owned(),
        partition: record.partition(),
        offset: record.offset(),
        reason,
    })
}

fn event_of(record: &impl Message) -> Result<RecordedEvent, String> {
    let headers = record.headers().ok_or("it has no headers")?;
    let fields: HashMap<&str, &str> = headers
        .iter()
        .filter_map(|header| Some((header.key, std::str::from_utf8(header.value?).ok()?)))
        .collect();
    let field = |name: &str| fields.get(name).copied().ok_or_else(|| format!("the header {name} is missing"));
    let number = |name: &str| field(name)?.parse::<i64>().map_err(|error| format!("{name}: {error}"));
    let uuid = |name: &str| field(name)?.parse().map_err(|error| format!("{name}: {error}"));
    let value = record.payload().ok_or("it has no value")?;
    let metadata: Metadata =
        serde_json::from_str(field("lunaria_metadata")?).map_err(|error| format!("metadata: {error}"))?;
    Ok(RecordedEvent {
        stream: field("ce_subject")?.parse().map_err(|error| format!("ce_subject: {error}"))?,
        seq: Seq::new(number("ce_sequence")?),
        id: uuid("ce_id")?,
        event_type: field("ce_type")?.to_owned(),
        version: i16::try_from(number("ce_dataversion")?)
            .map_err(|error| format!("ce_dataversion: {error}"))?,
        data: serde_json::from_slice::<Box<RawValue>>(value).map_err(|error| format!("value: {error}"))?,
        correlation_id: uuid("ce_correlationid")?,
        causation_id: uuid("ce_causationid")?,
        metadata,
        recorded_at: field("ce_time")?.parse().map_err(|error| format!("ce_time: {error}"))?,
        // The insertion number is no business of a consumer.
        position: Position(0),
    })
}
