//! The Kafka sinks: one record per event or change, in commit order within each partition, on our own producer.
//!
//! ```text
//! topic  <service>.<category>     key  the stream     value  `data` as it came out of the WAL
//! headers: CloudEvents 1.0 in binary mode, then lunaria_metadata, lunaria_lsn, lunaria_epoch
//! ```

mod capture;
mod dial;
mod headers;
mod holdings;
mod records;
mod tails;

use std::sync::Arc;

use kafka_client::{Access, TopicNames};
pub use kafka_producer::Compression;
use tokio::sync::mpsc;

pub use crate::kafka::capture::{CaptureSink, OpenCapture};
pub use crate::kafka::headers::HeaderFormat;
use crate::kafka::headers::RecordHeaders;
use crate::kafka::records::Records;
use crate::topics::TopicSettings;
use crate::{
    CapturedTable, CommitPosition, Error, EventReader, Held, InFlight, OpenSink, Origin, Retained, Row, Sink,
    SinkAccount, Ticket,
};

#[derive(Debug, Clone)]
pub struct KafkaConfig {
    pub access: Access,
    pub names: TopicNames,
    /// Or the name of a capture.
    pub service: String,
    pub headers: HeaderFormat,
    pub compression: Compression,
    /// Of the topics that the relay creates. It must not change later: keys would change their partition.
    pub partitions: i32,
    pub replication: i32,
    /// What is different for some topics; the first that fits counts.
    pub topics: Vec<TopicSettings>,
}

impl KafkaConfig {
    /// With the defaults for all that is not named.
    pub fn new(access: Access, names: TopicNames, service: impl Into<String>) -> Self {
        Self {
            access,
            names,
            service: service.into(),
            headers: HeaderFormat::CloudEvents,
            compression: Compression::Lz4,
            partitions: 1,
            replication: 1,
            topics: Vec::new(),
        }
    }
}

/// Opens a producer for each session.
pub struct OpenKafka {
    pub config: KafkaConfig,
}

pub struct KafkaSink {
    records: Records,
    headers: RecordHeaders,
}

impl OpenSink for OpenKafka {
    type Sink = KafkaSink;
    type Reader = EventReader;

    fn reader(&self, _: &[CapturedTable]) -> EventReader {
        EventReader::default()
    }

    async fn open(
        &self,
        in_flight: Arc<InFlight>,
        origin: Origin,
        since_epoch: i64,
    ) -> Result<KafkaSink, Error> {
        Ok(KafkaSink {
            headers: RecordHeaders::new(self.config.headers, &self.config.service, &origin.to_string()),
            records: Records::open(&self.config, in_flight, origin, since_epoch).await?,
        })
    }

    async fn account(&self) -> Result<SinkAccount, Error> {
        records::account(&self.config).await
    }

    async fn holdings(&self, told: mpsc::Sender<Vec<Held>>) -> Result<Retained, Error> {
        let config = self.config.clone();
        let read = tokio::task::spawn_blocking(move || holdings::read(&config, &told));
        match read.await {
            Ok(read) => read,
            Err(error) => Err(Error::Sink(format!("reading what the topics hold: {error}"))),
        }
    }
}

impl Sink for KafkaSink {
    type Item = Row;

    async fn deliver(&mut self, row: Row, at: CommitPosition, ticket: Ticket) -> Result<(), Error> {
        let Some(place) = self.records.place(row.category(), &row.stream, at).await? else { return Ok(()) };
        let bytes = row.data.len() + row.metadata.len();
        self.records.note_size(&place, bytes, || format!("event {}@{}", row.stream(), row.seq));
        let headers = self.headers.of(&row, at);
        self.records.send(&place, &row.stream, Some(&row.data), headers, ticket);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.records.flush().await;
        Ok(())
    }
}
