//! A committed event as it came out of the WAL: slices of the read buffer, nothing decoded that is not needed.

use std::fmt;

use bytes::Bytes;
use event::{Position, RecordedEvent, Seq};
use jiff::Timestamp;
use pgoutput::Lsn;
use uuid::Uuid;

use crate::Error;

/// Postgres counts time from 2000-01-01, in microseconds.
const POSTGRES_EPOCH_UNIX_MICROS: i64 = 946_684_800_000_000;

/// A place in commit order: the transaction, by the LSN of its commit record, and the event in it.
///
/// The commit record's own LSN rather than its end: only that one is known when a transaction begins to arrive,
/// so that one of any size passes through without being held. Both order transactions alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitPosition {
    pub commit_lsn: Lsn,
    pub ordinal: u64,
}

impl fmt::Display for CommitPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.commit_lsn, self.ordinal)
    }
}

/// One row of the event table. The text columns are UTF-8, checked.
#[derive(Debug, Clone)]
pub struct Row {
    pub position: i64,
    pub stream: Bytes,
    pub seq: i64,
    pub id: Uuid,
    pub event_type: Bytes,
    pub version: i16,
    /// JSON text.
    pub data: Bytes,
    pub correlation_id: Uuid,
    pub causation_id: Uuid,
    /// JSON text.
    pub metadata: Bytes,
    pub recorded_at_postgres_micros: i64,
}

impl Row {
    pub fn stream(&self) -> &str {
        text(&self.stream)
    }

    pub fn category(&self) -> &str {
        self.stream().split_once('-').map_or(self.stream(), |(category, _)| category)
    }

    pub fn event_type(&self) -> &str {
        text(&self.event_type)
    }

    pub fn metadata(&self) -> &str {
        text(&self.metadata)
    }

    pub fn recorded_at(&self) -> Timestamp {
        timestamp(self.recorded_at_postgres_micros)
    }

    /// The event as handlers know it.
    pub fn to_event(&self) -> Result<RecordedEvent, Error> {
        let unreadable = |what: &str, error: &dyn fmt::Display| {
            Error::halted(
                format!("event {}@{} has an unreadable {what}: {error}", self.stream(), self.seq),
                "it was not written by append_events; find out who wrote it",
            )
        };
        Ok(RecordedEvent {
            stream: self.stream().parse().map_err(|error| unreadable("stream", &error))?,
            seq: Seq::new(self.seq),
            id: self.id,
            event_type: self.event_type().to_owned(),
            version: self.version,
            data: serde_json::from_slice(&self.data).map_err(|error| unreadable("data", &error))?,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            metadata: serde_json::from_slice(&self.metadata)
                .map_err(|error| unreadable("metadata", &error))?,
            recorded_at: self.recorded_at(),
            position: Position(self.position),
        })
    }
}

pub(crate) fn timestamp(postgres_micros: i64) -> Timestamp {
    let unix_micros = postgres_micros.saturating_add(POSTGRES_EPOCH_UNIX_MICROS);
    Timestamp::from_microsecond(unix_micros).unwrap_or(Timestamp::MAX)
}

/// Checked when the row was cut out.
fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
