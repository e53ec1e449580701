//! Remembers what a producer has acknowledged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_producer::{Acknowledge, Compression, Config, DialPlain, Error, Producer};
use kafka_protocol::error::ResponseError;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use testbed::{eventually, kafka};

#[derive(Default)]
pub(crate) struct Acknowledged(Mutex<State>);

#[derive(Default)]
struct State {
    counts: HashMap<u64, u32>,
    error: Option<Error>,
}

impl Acknowledge for Acknowledged {
    fn acknowledged(&self, runs: &[(u64, u32)]) {
        let mut state = self.0.lock().unwrap();
        for (tag, count) in runs {
            *state.counts.entry(*tag).or_default() += count;
        }
    }

    fn failed(&self, error: Error) {
        self.0.lock().unwrap().error = Some(error);
    }
}

impl Acknowledged {
    pub(crate) async fn until(&self, tag: u64, count: u32) {
        eventually("the records are acknowledged", async || {
            let state = self.0.lock().unwrap();
            assert!(state.error.is_none(), "{:?}", state.error);
            (state.counts.get(&tag) == Some(&count)).then_some(())
        })
        .await;
    }

    pub(crate) async fn until_failed(&self) -> Error {
        eventually("the producer fails", async || self.failure()).await
    }

    pub(crate) fn failure(&self) -> Option<Error> {
        self.0.lock().unwrap().error.clone()
    }

    pub(crate) fn count(&self, tag: u64) -> u32 {
        self.0.lock().unwrap().counts.get(&tag).copied().unwrap_or_default()
    }
}

pub(crate) fn config(compression: Compression) -> Config {
    Config {
        bootstrap: kafka(),
        dial: Arc::new(DialPlain),
        client_id: "test".to_owned(),
        compression,
        request_timeout: Duration::from_secs(15),
        buffered_bytes_max: 4 << 20,
    }
}

pub(crate) async fn open(compression: Compression) -> (Producer, Arc<Acknowledged>) {
    try_open(config(compression)).await.unwrap()
}

pub(crate) async fn try_open(config: Config) -> Result<(Producer, Arc<Acknowledged>), Error> {
    eventually("the broker has started wholly", async || {
        let acknowledged = Arc::new(Acknowledged::default());
        match Producer::open(config.clone(), Arc::clone(&acknowledged) as _).await {
            // A new broker answers before it can give out producer ids.
            Err(error) if error.code() == Some(ResponseError::CoordinatorLoadInProgress) => None,
            opened => Some(opened.map(|producer| (producer, acknowledged))),
        }
    })
    .await
}

fn admin_at(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap()
}

pub(crate) async fn create(topic: &str, partitions: i32) {
    create_at(&kafka(), topic, partitions).await;
}

pub(crate) async fn create_at(bootstrap: &str, topic: &str, partitions: i32) {
    let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for created in admin_at(bootstrap).create_topics(&[topic], &AdminOptions::new()).await.unwrap() {
        created.unwrap();
    }
}
