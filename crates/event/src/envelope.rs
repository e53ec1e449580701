//! An event with everything around it: before it is appended and after it was recorded.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{DecodeError, DomainEvent, Metadata, Position, Seq, StreamName};

/// An event that is about to be appended at a stated place.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub stream: StreamName,
    pub seq: Seq,
    pub id: Uuid,
    pub event_type: Cow<'static, str>,
    pub version: i16,
    pub data: Box<RawValue>,
    pub correlation_id: Uuid,
    pub causation_id: Uuid,
    pub metadata: Metadata,
}

/// An event as the store holds it. `data` stays the JSON text that came out of the database.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedEvent {
    pub stream: StreamName,
    pub seq: Seq,
    pub id: Uuid,
    #[serde(rename = "type")]
    pub event_type: String,
    pub version: i16,
    pub data: Box<RawValue>,
    pub correlation_id: Uuid,
    pub causation_id: Uuid,
    pub metadata: Metadata,
    pub recorded_at: Timestamp,
    pub position: Position,
}

impl RecordedEvent {
    pub fn decode<E: DomainEvent>(&self) -> Result<E, DecodeError> {
        E::decode(&self.event_type, self.version, self.data.get())
            .map_err(|error| error.at(&self.stream, self.seq))
    }
}
