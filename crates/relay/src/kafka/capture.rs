//! The sink of a capture: one record per change, and a topic per table.
//!
//! ```text
//! topic  <capture>.<schema>.<table>     key  the row's, as JSON     value  the change, as JSON; none: a tombstone
//! headers: content-type, lunaria_source, lunaria_lsn, lunaria_epoch
//! ```

use std::sync::Arc;

use kafka_client::record_source;
use kafka_producer::Headers;

use crate::kafka::headers::put_text;
use crate::kafka::records::{self, Records};
use crate::{
    CapturedTable, Change, ChangeReader, CommitPosition, Error, InFlight, KafkaConfig, OpenSink, Origin,
    Sink, SinkAccount, Ticket,
};

/// Opens a producer for each session. The configuration's `service` is the capture's name.
pub struct OpenCapture {
    pub config: KafkaConfig,
    /// Whether a record without a value follows each delete, which compacted topics need.
    pub tombstones: bool,
}

pub struct CaptureSink {
    records: Records,
    name: String,
    /// Those that are the same for every record of a session.
    fixed: Headers,
    headers: Headers,
    value: Vec<u8>,
    text: Vec<u8>,
}

impl OpenSink for OpenCapture {
    type Sink = CaptureSink;
    type Reader = ChangeReader;

    fn reader(&self, captured: &[CapturedTable]) -> ChangeReader {
        ChangeReader::new(captured, self.tombstones)
    }

    async fn open(
        &self,
        in_flight: Arc<InFlight>,
        origin: Origin,
        since_epoch: i64,
    ) -> Result<CaptureSink, Error> {
        let mut fixed = Headers::default();
        fixed.put("lunaria_source", record_source(&self.config.service).as_bytes());
        fixed.put("content-type", b"application/json");
        fixed.put("lunaria_epoch", origin.to_string().as_bytes());
        Ok(CaptureSink {
            records: Records::open(&self.config, in_flight, origin, since_epoch).await?,
            name: self.config.service.clone(),
            fixed,
            headers: Headers::default(),
            value: Vec::new(),
            text: Vec::new(),
        })
    }

    async fn account(&self) -> Result<SinkAccount, Error> {
        records::account(&self.config).await
    }
}

impl Sink for CaptureSink {
    type Item = Change;

    async fn deliver(&mut self, change: Change, at: CommitPosition, ticket: Ticket) -> Result<(), Error> {
        let Some(place) = self.records.place(change.topic(), &change.key, at).await? else { return Ok(()) };
        self.value.clear();
        let has_value = change.write(&self.name, at, &mut self.value);
        let name = || format!("the change at {at} of {}.{}", change.schema(), change.table());
        self.records.note_size(&place, change.key.len() + self.value.len(), name);
        self.headers.clear();
        self.headers.put_all(&self.fixed);
        put_text(&mut self.headers, &mut self.text, "lunaria_lsn", at);
        let value = has_value.then_some(self.value.as_slice());
        self.records.send(&place, &change.key, value, &self.headers, ticket);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.records.flush().await;
        Ok(())
    }
}
