//! What stands in a service's topic, read from its first record to its last.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_client::{Access, TopicNames};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use relay::{KafkaConfig, OpenKafka};
use testbed::{kafka, patience, unique};
use uuid::Uuid;

use crate::source::Source;

const PARTITIONS: i32 = 3;

/// The topic of the category `note`, of an installation of the test's own.
pub(crate) struct Topic {
    prefix: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) stream: String,
    pub(crate) seq: i64,
    pub(crate) id: Uuid,
}

impl Topic {
    pub(crate) fn new() -> Self {
        Self { prefix: unique("refill.") }
    }

    pub(crate) fn sink(&self) -> OpenKafka {
        let (prefix, service) = (self.prefix.clone(), "core".to_owned());
        let config = KafkaConfig::new(Access::plaintext(kafka()), TopicNames::by_category(prefix), service);
        OpenKafka { config: KafkaConfig { partitions: PARTITIONS, ..config } }
    }

    fn name(&self) -> String {
        format!("{}core.note", self.prefix)
    }

    /// All that it holds now, partition by partition.
    pub(crate) fn events(&self) -> Vec<Event> {
        let consumer = consumer();
        (0..PARTITIONS).flat_map(|partition| self.partition(&consumer, partition)).collect()
    }

    fn partition(&self, consumer: &BaseConsumer, partition: i32) -> Vec<Event> {
        let (low, high) = consumer.fetch_watermarks(&self.name(), partition, patience()).unwrap();
        let mut events = Vec::new();
        if low == high {
            return events;
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&self.name(), partition, Offset::Offset(low)).unwrap();
        consumer.assign(&assignment).unwrap();
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < patience(), "the partition ends early");
            // Something that is no record can end the wait, too.
            let Some(record) = consumer.poll(Duration::from_millis(100)) else { continue };
            // An idle connection that was closed says so, and the next one goes on; what lasts meets the limit.
            let Ok(record) = record else { continue };
            events.push(event(&record));
            if record.offset() + 1 == high {
                return events;
            }
        }
    }

    /// As retention does: the first records of each partition are gone.
    pub(crate) async fn shorten(&self, records: i64) {
        let mut before = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let (_, high) =
                consumer().fetch_watermarks(&self.name(), partition, Duration::from_secs(10)).unwrap();
            let offset = Offset::Offset(records.min(high));
            before.add_partition_offset(&self.name(), partition, offset).unwrap();
        }
        let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", kafka()).create().unwrap();
        let removed = admin.delete_records(&before, &AdminOptions::new()).await.unwrap();
        removed.elements().iter().for_each(|one| one.error().unwrap());
    }

    /// What a consumer has that takes each stream's next event and skips every other.
    pub(crate) fn taken(&self) -> BTreeMap<String, i64> {
        let mut taken = BTreeMap::<String, i64>::new();
        for Event { stream, seq, .. } in self.events() {
            let reached = taken.entry(stream).or_default();
            *reached += i64::from(seq == *reached + 1);
        }
        taken
    }

    /// A consumer misses nothing of what the table has.
    pub(crate) async fn assert_complete(&self, source: &Source) {
        let newest: serde_json::Value = source
            .ask("select jsonb_object_agg(stream, seq) from (select stream, max(seq) as seq from event group by 1) as newest")
            .await;
        assert_eq!(serde_json::to_value(self.taken()).unwrap(), newest);
    }

    /// And it has never seen an event before its predecessor.
    pub(crate) fn assert_without_holes(&self) {
        let mut reached = BTreeMap::<String, i64>::new();
        for Event { stream, seq, .. } in self.events() {
            let before = reached.entry(stream.clone()).or_default();
            assert!(seq <= *before + 1, "{stream}@{seq} comes after {before}");
            *before = seq.max(*before);
        }
    }
}

fn consumer() -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka()).set("group.id", unique("reader"));
    config.create().unwrap()
}

fn event(record: &impl Message) -> Event {
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_owned()).unwrap();
    let headers = record.headers().unwrap();
    let header = |key: &str| text(headers.iter().find(|header| header.key == key).unwrap().value);
    Event {
        stream: text(record.key()),
        seq: header("ce_sequence").parse().unwrap(),
        id: header("ce_id").parse().unwrap(),
    }
}
