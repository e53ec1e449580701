//! An existing system's database with a capture on it, and what stands in its topics.

use std::time::{Duration, Instant};

use kafka_client::{Access, TopicNames};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use relay::{Config, KafkaConfig, OpenCapture, Reads};
use serde_json::Value;
use testbed::{eventually, kafka, patience, unique};

use crate::source::{Relay, Source};

const PARTITIONS: i32 = 3;
pub(crate) const NAME: &str = "legacy";
const PUBLICATION: &str = "lunaria_capture_legacy";

pub(crate) struct Captured {
    pub(crate) source: Source,
    prefix: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) key: Value,
    /// None: a tombstone.
    pub(crate) value: Option<Value>,
    /// The commit's LSN, and the ordinal.
    pub(crate) at: (u64, u64),
}

impl Captured {
    /// Tables are made by `sql`, and published.
    pub(crate) async fn create(sql: &str, published: &str) -> Self {
        let captured = Self { source: Source::create().await, prefix: unique("capture.") };
        captured.run(sql).await;
        captured.run(&format!("create publication {PUBLICATION} for table {published}")).await;
        captured.run("grant select on all tables in schema public to lunaria_relay").await;
        captured
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.source.superuser(sql).await;
    }

    pub(crate) fn config(&self, is_snapshot_first: bool) -> Config {
        let config = self.source.config();
        Config {
            service: NAME.to_owned(),
            publication: PUBLICATION.to_owned(),
            reads: Reads::Tables { is_snapshot_first },
            ..config
        }
    }

    pub(crate) fn sink(&self) -> OpenCapture {
        let names = TopicNames::by_category(&self.prefix);
        let config = KafkaConfig::new(Access::plaintext(kafka()), names, NAME);
        let config = KafkaConfig { partitions: PARTITIONS, ..config };
        OpenCapture { config, tombstones: true }
    }

    /// A capture of what happens from now on, which reads its slot.
    pub(crate) async fn capture(&self) -> Relay {
        let relay = self.start();
        relay.until_relaying().await;
        relay
    }

    pub(crate) fn start(&self) -> Relay {
        Relay::start(self.config(false), self.sink())
    }

    /// All that the table's topic holds, once there are `count` records: in commit order.
    pub(crate) async fn records(&self, table: &str, count: usize) -> Vec<Record> {
        let topic = format!("{}{NAME}.public.{table}", self.prefix);
        eventually(&format!("{count} records are in {topic}"), async || {
            let records = read(&topic);
            (records.len() >= count).then_some(records)
        })
        .await
    }

    /// The values alone, without `source`; a tombstone is null.
    pub(crate) async fn values(&self, table: &str, count: usize) -> Vec<Value> {
        let without_source = |record: Record| {
            let mut value = record.value.unwrap_or_default();
            if let Some(value) = value.as_object_mut() {
                value.remove("source");
            }
            value
        };
        let records = self.records(table, count).await;
        assert_eq!(records.len(), count, "{records:#?}");
        records.into_iter().map(without_source).collect()
    }

    pub(crate) async fn drop(self) {
        self.source.drop().await;
    }
}

fn read(topic: &str) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka())
        .set("group.id", unique("reader"))
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut records = Vec::new();
    for partition in 0..PARTITIONS {
        // It does not exist yet.
        let Ok((low, high)) = consumer.fetch_watermarks(topic, partition, patience()) else { continue };
        if low < high {
            records.extend(read_partition(&consumer, topic, partition, (low, high)));
        }
    }
    records.sort_by_key(|record| record.at);
    records
}

fn read_partition(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    (low, high): (i64, i64),
) -> Vec<Record> {
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(low)).unwrap();
    consumer.assign(&assignment).unwrap();
    let (mut records, deadline) = (Vec::new(), Instant::now() + patience());
    loop {
        assert!(Instant::now() < deadline, "partition {partition} of {topic} is not read to its end");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        // An idle connection that was closed says so, and the next one goes on; what lasts meets the limit.
        let Ok(message) = message else { continue };
        let header = |name: &str| {
            let headers = message.headers().unwrap();
            let header = headers.iter().find(|header| header.key == name).unwrap();
            String::from_utf8(header.value.unwrap().to_owned()).unwrap()
        };
        assert_eq!(header("content-type"), "application/json");
        let at = header("lunaria_lsn");
        let (lsn, ordinal) = at.rsplit_once('/').unwrap();
        records.push(Record {
            partition,
            key: serde_json::from_slice(message.key().unwrap()).unwrap(),
            value: message.payload().map(|value| serde_json::from_slice(value).unwrap()),
            at: (lsn.parse::<replication::Lsn>().unwrap().as_u64(), ordinal.parse().unwrap()),
        });
        if message.offset() + 1 >= high {
            return records;
        }
    }
}
