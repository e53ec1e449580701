//! A record's headers: CloudEvents 1.0 in binary mode or Debezium's outbox, and what only we know.

use std::io::Write;

use kafka_client::{HeaderNames, record_source};
use kafka_producer::Headers;
use rdkafka::message::{BorrowedHeaders, Headers as _};
use uuid::Uuid;

use crate::{CommitPosition, Row};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderFormat {
    CloudEvents,
    /// `id`, and `eventType`, `aggregateType`, `aggregateId` as its users place them; for consumers that read it already.
    Debezium,
}

impl HeaderFormat {
    const fn names(self) -> &'static HeaderNames {
        match self {
            Self::CloudEvents => &HeaderNames::CLOUD_EVENTS,
            Self::Debezium => &HeaderNames::DEBEZIUM,
        }
    }
}

/// Encodes them in one buffer, which is used again for each record.
pub(crate) struct RecordHeaders {
    format: HeaderFormat,
    /// Those that are the same for every record of a session.
    fixed: Headers,
    headers: Headers,
    text: Vec<u8>,
}

impl RecordHeaders {
    pub(crate) fn new(format: HeaderFormat, service: &str, epoch: &str) -> Self {
        let mut fixed = Headers::default();
        if format == HeaderFormat::CloudEvents {
            fixed.put("ce_specversion", b"1.0");
        }
        fixed.put(format.names().source, record_source(service).as_bytes());
        fixed.put("content-type", b"application/json");
        fixed.put("lunaria_epoch", epoch.as_bytes());
        Self { format, fixed, headers: Headers::default(), text: Vec::new() }
    }

    pub(crate) fn of(&mut self, row: &Row, at: CommitPosition) -> &Headers {
        let names = self.format.names();
        self.headers.clear();
        self.headers.put_all(&self.fixed);
        self.headers.put(names.event_type, &row.event_type);
        match self.format {
            HeaderFormat::CloudEvents => self.headers.put("ce_subject", &row.stream),
            HeaderFormat::Debezium => {
                self.headers.put("aggregateType", row.category().as_bytes());
                let id = row.stream().get(row.category().len() + 1..).unwrap_or_default();
                self.headers.put("aggregateId", id.as_bytes());
            }
        }
        self.put_uuid(names.id, row.id);
        self.put_uuid(names.correlation_id, row.correlation_id);
        self.put_uuid(names.causation_id, row.causation_id);
        self.put_text(names.time, row.recorded_at());
        self.put_text(names.sequence, row.seq);
        self.put_text(names.version, row.version);
        self.headers.put("lunaria_metadata", &row.metadata);
        self.put_text("lunaria_lsn", at);
        &self.headers
    }

    fn put_uuid(&mut self, key: &str, id: Uuid) {
        let mut text = [0; 36];
        self.headers.put(key, id.hyphenated().encode_lower(&mut text).as_bytes());
    }

    fn put_text(&mut self, key: &str, value: impl std::fmt::Display) {
        put_text(&mut self.headers, &mut self.text, key, value);
    }
}

/// Puts a header whose value is made in `text`, a buffer that is used again.
pub(super) fn put_text(headers: &mut Headers, text: &mut Vec<u8>, key: &str, value: impl std::fmt::Display) {
    text.clear();
    // A `Vec` takes whatever is written to it.
    let _ = write!(text, "{value}");
    headers.put(key, text);
}

/// The headers of a record that was read, in whichever format a relay of this service wrote it.
pub(crate) struct ReadHeaders<'a> {
    headers: &'a BorrowedHeaders,
    names: &'static HeaderNames,
}

impl<'a> ReadHeaders<'a> {
    /// None when it is not one of the service's.
    pub(crate) fn of(headers: &'a BorrowedHeaders, service: &str) -> Option<Self> {
        let ours = record_source(service);
        HeaderNames::ALL
            .into_iter()
            .map(|names| Self { headers, names })
            .find(|read| read.text(read.names.source) == Some(&ours))
    }

    pub(crate) fn text(&self, key: &str) -> Option<&'a str> {
        let header = self.headers.iter().find(|header| header.key == key)?;
        std::str::from_utf8(header.value?).ok()
    }

    pub(crate) fn id(&self) -> Option<Uuid> {
        self.text(self.names.id)?.parse().ok()
    }

    pub(crate) fn sequence(&self) -> Option<i64> {
        self.text(self.names.sequence)?.parse().ok()
    }
}
