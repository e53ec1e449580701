//! The Kafka sink against a real broker, read by a plain consumer.

use std::collections::HashMap;
use std::time::Duration;

use kafka_client::{Access, TopicNames};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use relay::{KafkaConfig, OpenKafka};
use testbed::{eventually, kafka, unique};

use crate::source::{Source, append_in};

const PARTITIONS: i32 = 3;

pub(crate) struct Record {
    partition: i32,
    pub(crate) key: String,
    value: String,
    pub(crate) headers: HashMap<String, String>,
}

fn sink(prefix: &str) -> OpenKafka {
    let (prefix, service) = (prefix.to_owned(), "core".to_owned());
    let config = KafkaConfig::new(Access::plaintext(kafka()), TopicNames::by_category(prefix), service);
    OpenKafka { config: KafkaConfig { partitions: PARTITIONS, ..config } }
}

/// The records of a topic, once there are `count` of them.
pub(crate) async fn records(topic: &str, count: usize) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka())
        .set("group.id", unique("reader"))
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let mut records = Vec::new();
    let records = std::sync::Mutex::new(&mut records);
    eventually("the records are in the topic", async || {
        let mut records = records.lock().unwrap();
        while let Some(message) = consumer.poll(Duration::ZERO) {
            // An idle connection that was closed says so, and the next one goes on; what lasts meets the limit.
            let Ok(message) = message else { continue };
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();
            records.push(Record {
                partition: message.partition(),
                key: text(message.key().unwrap()),
                value: text(message.payload().unwrap()),
                headers: (message.headers().unwrap().iter())
                    .map(|header| (header.key.to_owned(), text(header.value.unwrap())))
                    .collect(),
            });
        }
        (records.len() >= count).then_some(())
    })
    .await;
    std::mem::take(records.into_inner().unwrap())
}

fn commit_position(record: &Record) -> (u64, u64) {
    let (lsn, ordinal) = record.headers["lunaria_lsn"].rsplit_once('/').unwrap();
    (lsn.parse::<replication::Lsn>().unwrap().as_u64(), ordinal.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_one_record_under_its_streams_key_in_commit_order_within_its_partition() {
    let source = Source::create().await;
    let prefix = unique("relay.");
    let relay = source.relay(sink(&prefix)).await;
    for seq in 1..=20 {
        let mut transaction = source.store.pool().begin().await.unwrap();
        for stream in 1..=8 {
            append_in(&mut transaction, &format!("note-{stream}"), seq..=seq).await;
        }
        transaction.commit().await.unwrap();
    }
    source.until_confirmed(source.wal_end().await).await;
    let records = records(&format!("{prefix}core.note"), 160).await;
    assert_eq!(records.len(), 160);

    let mut last_of_partition: HashMap<i32, (u64, u64)> = HashMap::new();
    let mut last_of_stream: HashMap<&str, (i32, i64)> = HashMap::new();
    for record in &records {
        let at = commit_position(record);
        let before = last_of_partition.insert(record.partition, at).unwrap_or_default();
        assert!(before < at, "{before:?} before {at:?}");
        let seq: i64 = record.headers["ce_sequence"].parse().unwrap();
        let before = last_of_stream.insert(&record.key, (record.partition, seq));
        assert_eq!(before.unwrap_or((record.partition, 0)), (record.partition, seq - 1));
        assert_eq!(record.headers["ce_subject"], record.key);
        assert_eq!(record.value, format!(r#"{{"n": {seq}}}"#), "as it came out of the log");
    }
    assert_eq!((last_of_stream.len(), last_of_partition.len()), (8, 3));
    relay.stop().await;
    source.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_restarted_leaves_no_gap_in_the_topic() {
    let source = Source::create().await;
    let prefix = unique("relay.");
    for round in 0..3 {
        let relay = source.relay(sink(&prefix)).await;
        append_in(
            &mut source.store.pool().acquire().await.unwrap(),
            "note-1",
            round * 50 + 1..=round * 50 + 50,
        )
        .await;
        relay.stop().await;
    }
    let relay = source.relay(sink(&prefix)).await;
    source.until_confirmed(source.wal_end().await).await;
    let mut reached = 0;
    for record in records(&format!("{prefix}core.note"), 150).await {
        let seq: i64 = record.headers["ce_sequence"].parse().unwrap();
        assert!(seq <= reached + 1, "{seq} comes after {reached}");
        reached = reached.max(seq);
    }
    assert_eq!(reached, 150);
    relay.stop().await;
    source.drop().await;
}

/// No larger than `append_events` takes, so that it needs a topic that takes less than Kafka's default.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_for_its_topic_halts_the_relay() {
    let source = Source::create().await;
    let prefix = unique("relay.");
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka()).create().unwrap();
    let name = format!("{prefix}core.note");
    let topic =
        NewTopic::new(&name, PARTITIONS, TopicReplication::Fixed(1)).set("max.message.bytes", "65536");
    admin.create_topics([&topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let relay = source.relay(sink(&prefix)).await;
    // What repeats itself would be compressed to less than the limit.
    source
        .superuser(
            "select append_events('{note-1}', '{1}', array[gen_random_uuid()], '{Entered}', '{1}',
                array[(select jsonb_agg(md5(n::text)) from generate_series(1, 10000) n)],
                array[gen_random_uuid()], array[gen_random_uuid()], array['{}'::jsonb])",
        )
        .await;
    let (reason, remedy) = relay.halted().await;
    assert!(reason.contains("note-1@1"), "{reason}");
    assert!(remedy.contains("max.message.bytes"));
    source.drop().await;
}
