//! Events out of a `copy … to stdout (format binary)`: what a row costs matters only to who reads millions of them.
//!
//! Each message is one row, `fields: i16, (length: i32, value) each`; before the first comes a header and after the last a trailer:
//! <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>.

use event::{Metadata, Position, RecordedEvent, Seq};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use uuid::Uuid;

use crate::Error;
use crate::read::stored_name;

/// As [`event`] takes them.
pub(crate) const COLUMNS: &str =
    "stream, seq, id, type, version, data, correlation_id, causation_id, metadata, recorded_at, position";
const FIELDS: i16 = 11;
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// The signature, flags, and the length of an extension that there is not.
const HEADER_BYTES: usize = 19;
const TRAILER: i16 = -1;
const JSONB_VERSION: u8 = 1;
/// 2000-01-01, from which the server counts.
const EPOCH: Timestamp = Timestamp::constant(946_684_800, 0);

/// The event of a message; none where it brings only the header or the trailer.
pub(crate) fn event(message: &[u8]) -> Result<Option<RecordedEvent>, Error> {
    let row = if message.starts_with(SIGNATURE) {
        message.get(HEADER_BYTES..).unwrap_or_default()
    } else {
        message
    };
    if row.is_empty() {
        return Ok(None);
    }
    let mut row = Row(row);
    match i16::from_be_bytes(row.take()?) {
        TRAILER => return Ok(None),
        FIELDS => {}
        fields => return Err(malformed(format!("a row of {fields} fields"))),
    }
    Ok(Some(RecordedEvent {
        stream: stored_name(row.text()?)?,
        seq: Seq::new(row.bigint()?),
        id: row.uuid()?,
        event_type: row.text()?.to_owned(),
        version: i16::from_be_bytes(row.exactly()?),
        data: row.json()?,
        correlation_id: row.uuid()?,
        causation_id: row.uuid()?,
        metadata: row.json::<Metadata>()?,
        recorded_at: row.timestamp()?,
        position: Position(row.bigint()?),
    }))
}

/// What is left of a row. None of its values is null.
struct Row<'a>(&'a [u8]);

impl<'a> Row<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, left) = self.0.split_first_chunk().ok_or_else(|| malformed("it ends too early"))?;
        self.0 = left;
        Ok(*taken)
    }

    fn value(&mut self) -> Result<&'a [u8], Error> {
        let length =
            usize::try_from(i32::from_be_bytes(self.take()?)).map_err(|_| malformed("a value is null"))?;
        let (value, left) = self.0.split_at_checked(length).ok_or_else(|| malformed("it ends too early"))?;
        self.0 = left;
        Ok(value)
    }

    fn exactly<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.value()?.try_into().map_err(|_| malformed(format!("a value is not of {N} bytes")))
    }

    fn bigint(&mut self) -> Result<i64, Error> {
        self.exactly().map(i64::from_be_bytes)
    }

    fn uuid(&mut self) -> Result<Uuid, Error> {
        self.exactly().map(Uuid::from_bytes)
    }

    fn text(&mut self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.value()?).map_err(malformed)
    }

    fn json<T: Deserialize<'a>>(&mut self) -> Result<T, Error> {
        match self.value()?.split_first() {
            Some((&JSONB_VERSION, json)) => serde_json::from_slice(json).map_err(malformed),
            _ => Err(malformed("a value is no jsonb of version 1")),
        }
    }

    fn timestamp(&mut self) -> Result<Timestamp, Error> {
        EPOCH.checked_add(SignedDuration::from_micros(self.bigint()?)).map_err(malformed)
    }
}

fn malformed(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Database(sqlx::Error::Decode(why.into()))
}
