//! All records of a topic, by a client that is not ours.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use testbed::{eventually, kafka, unique};

#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

pub(crate) async fn records(topic: &str, count: usize) -> Vec<Record> {
    records_at(&kafka(), topic, count).await
}

pub(crate) async fn records_at(bootstrap: &str, topic: &str, count: usize) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", unique("reader"))
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let records = std::sync::Mutex::new(Vec::new());
    eventually("the records are in the topic", async || {
        let mut records = records.lock().unwrap();
        while let Some(message) = consumer.poll(Duration::ZERO) {
            // An idle connection that was closed says so, and the next one goes on; what lasts meets the limit.
            let Ok(message) = message else { continue };
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            records.push(Record {
                partition: message.partition(),
                key: message.key().unwrap_or_default().to_vec(),
                value: message.payload().unwrap_or_default().to_vec(),
                headers: headers
                    .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
                    .collect(),
            });
        }
        (records.len() >= count).then_some(())
    })
    .await;
    records.into_inner().unwrap()
}

pub(crate) fn by_key(records: &[Record]) -> HashMap<&[u8], Vec<&Record>> {
    let mut by_key: HashMap<&[u8], Vec<&Record>> = HashMap::new();
    for record in records {
        by_key.entry(&record.key).or_default().push(record);
    }
    by_key
}
