//! A Kafka record as a relay writes it, with headers of CloudEvents or of Debezium's outbox → the event.

use std::collections::HashMap;

use event::{Metadata, Position, RecordedEvent, Seq};
use kafka_client::{HeaderNames, service_of_source};
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

/// An event, and the service that it is of.
pub(crate) struct Record {
    pub(crate) source: String,
    pub(crate) event: RecordedEvent,
}

pub(crate) fn read(record: &impl Message) -> Result<Record, NotAnEvent> {
    event_of(record).map_err(|reason| NotAnEvent {
        topic: record.topic().to_owned(),
        partition: record.partition(),
        offset: record.offset(),
        reason,
    })
}

fn event_of(record: &impl Message) -> Result<Record, String> {
    let headers = record.headers().ok_or("it has no headers")?;
    let fields: HashMap<&str, &str> = headers
        .iter()
        .filter_map(|header| Some((header.key, std::str::from_utf8(header.value?).ok()?)))
        .collect();
    let names = HeaderNames::ALL.into_iter().find(|names| fields.contains_key(names.source));
    let names = names.ok_or("it does not say where it comes from")?;
    let field = |name: &str| fields.get(name).copied().ok_or_else(|| format!("the header {name} is missing"));
    let number = |name: &str| field(name)?.parse::<i64>().map_err(|error| format!("{name}: {error}"));
    let uuid = |name: &str| field(name)?.parse().map_err(|error| format!("{name}: {error}"));
    let source = field(names.source)?;
    let source = service_of_source(source).ok_or_else(|| format!("{source} is not a service"))?;
    let key = record.key().and_then(|key| std::str::from_utf8(key).ok()).ok_or("its key is no text")?;
    let value = record.payload().ok_or("it has no value")?;
    let metadata: Metadata =
        serde_json::from_str(field("lunaria_metadata")?).map_err(|error| format!("metadata: {error}"))?;
    let event = RecordedEvent {
        stream: key.parse().map_err(|error| format!("key: {error}"))?,
        seq: Seq::new(number(names.sequence)?),
        id: uuid(names.id)?,
        event_type: field(names.event_type)?.to_owned(),
        version: i16::try_from(number(names.version)?)
            .map_err(|error| format!("{}: {error}", names.version))?,
        data: serde_json::from_slice::<Box<RawValue>>(value).map_err(|error| format!("value: {error}"))?,
        correlation_id: uuid(names.correlation_id)?,
        causation_id: uuid(names.causation_id)?,
        metadata,
        recorded_at: field(names.time)?.parse().map_err(|error| format!("{}: {error}", names.time))?,
        // The insertion number is no business of a consumer.
        position: Position(0),
    };
    Ok(Record { source: source.to_owned(), event })
}
