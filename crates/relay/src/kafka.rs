//! The Kafka sink: librdkafka's threaded, idempotent producer, acknowledged by its delivery callbacks.
//!
//! ```text
//! topic  <service>.<category>     key  the stream     value  `data` as it came out of the WAL
//! headers: CloudEvents 1.0 in binary mode, then lunaria_metadata, lunaria_lsn, lunaria_epoch
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};

use crate::topics::{ensure_topics, topic_name};
use crate::{CommitPosition, Error, InFlight, OpenSink, Row, Sink, Ticket};

/// While librdkafka's queue is full. It drains thousands of records in this time.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(1);

#[derive(Debug, Clone)]
pub struct KafkaConfig {
    pub brokers: String,
    /// Before every topic, so that several installations can share a cluster.
    pub prefix: String,
    pub service: String,
    /// Of the topics that the relay creates. It must not change later: keys would change their partition.
    pub partitions: i32,
    pub replication: i32,
}

/// Opens a producer for each session.
pub struct OpenKafka {
    pub config: KafkaConfig,
}

impl OpenSink for OpenKafka {
    type Sink = KafkaSink;

    async fn open(&self, in_flight: Arc<InFlight>) -> Result<KafkaSink, Error> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &self.config.brokers)
            .set("client.id", format!("lunaria-relay-{}", self.config.service))
            // Nothing is lost or reordered within a partition while this producer lives.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // As the Java client, so that both agree where a key lives.
            .set("partitioner", "murmur2_random")
            // A record that timed out here could be overtaken by the next of its stream; the session decides instead.
            .set("message.timeout.ms", "0")
            .set("compression.type", "lz4")
            // Batches form while earlier ones are under way; waiting longer only adds latency.
            .set("linger.ms", "1")
            .set("batch.size", "1048576")
            // A record costs some 1.5 KB beside its payload, mostly headers: this bounds the memory.
            .set("queue.buffering.max.messages", "20000")
            .set("queue.buffering.max.kbytes", "32768")
            .create_with_context(Acknowledging { in_flight: Arc::clone(&in_flight) })?;
        Ok(KafkaSink {
            source: format!("/lunaria/{}", self.config.service),
            epoch: Timestamp::now().as_millisecond().to_string(),
            config: self.config.clone(),
            topics: HashMap::new(),
            in_flight,
            producer,
        })
    }
}

pub struct KafkaSink {
    config: KafkaConfig,
    source: String,
    /// When this session began: tells the records of two relays apart.
    epoch: String,
    topics: HashMap<String, String>,
    in_flight: Arc<InFlight>,
    producer: ThreadedProducer<Acknowledging>,
}

struct Acknowledging {
    in_flight: Arc<InFlight>,
}

impl ClientContext for Acknowledging {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka client");
    }
}

impl ProducerContext for Acknowledging {
    type DeliveryOpaque = Ticket;

    /// Runs on the producer's own thread.
    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Ticket) {
        match result {
            Ok(_) => self.in_flight.acknowledge(ticket),
            // Later records of the stream may have been delivered: only a new session, from the slot, is safe.
            Err((error, _)) => self.in_flight.fail(format!("a record was not delivered: {error}")),
        }
    }
}

impl Sink for KafkaSink {
    async fn deliver(&mut self, row: Row, at: CommitPosition, ticket: Ticket) -> Result<(), Error> {
        if !self.topics.contains_key(row.category()) {
            let topic = topic_name(&self.config.prefix, &self.config.service, row.category());
            ensure_topics(&self.config, std::slice::from_ref(&topic)).await?;
            self.topics.insert(row.category().to_owned(), topic);
        }
        let topic = &self.topics[row.category()];
        self.in_flight.expect(ticket, 1);
        let mut record = BaseRecord::with_opaque_to(topic, ticket)
            .key(row.stream())
            .payload(row.data.as_ref())
            .headers(self.headers(&row, at));
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    tokio::time::sleep(QUEUE_FULL_PAUSE).await;
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
                    return Err(Error::halted(
                        format!("event {}@{} is larger than the broker takes", row.stream(), row.seq),
                        "raise max.message.bytes of the topic and the broker",
                    ));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
}

impl KafkaSink {
    fn headers(&self, row: &Row, at: CommitPosition) -> OwnedHeaders {
        let mut ids = [[0; 36]; 3];
        let [id, correlation_id, causation_id] = &mut ids;
        let id = row.id.hyphenated().encode_lower(id);
        let correlation_id = row.correlation_id.hyphenated().encode_lower(correlation_id);
        let causation_id = row.causation_id.hyphenated().encode_lower(causation_id);
        let fields: [(&str, &str); 14] = [
            ("ce_specversion", "1.0"),
            ("ce_id", id),
            ("ce_source", &self.source),
            ("ce_type", row.event_type()),
            ("ce_subject", row.stream()),
            ("ce_time", &row.recorded_at().to_string()),
            ("content-type", "application/json"),
            ("ce_sequence", &row.seq.to_string()),
            ("ce_dataversion", &row.version.to_string()),
            ("ce_correlationid", correlation_id),
            ("ce_causationid", causation_id),
            ("lunaria_metadata", row.metadata()),
            ("lunaria_lsn", &at.to_string()),
            ("lunaria_epoch", &self.epoch),
        ];
        fields.iter().fold(OwnedHeaders::new_with_capacity(fields.len()), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(*value) })
        })
    }
}
