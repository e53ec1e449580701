//! The same handler over Kafka, with records that the real relay has written.

use std::sync::Arc;

use delivery::{ConsumerConfig, Elsewhere, Engine, consume};
use kafka_client::{Access, TopicNames};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use relay::{KafkaConfig, OpenKafka, Phase, ensure_topics};
use replication::{Host, SlotName};
use testbed::{kafka, patience, unique};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;
use crate::stage::Stage;

/// A relay to topics of one partition, and consumers of them.
pub(crate) struct Topics {
    prefix: String,
    relay: JoinHandle<Result<(), relay::Error>>,
    shutdown: CancellationToken,
}

pub(crate) struct Consuming {
    task: JoinHandle<Result<(), event_store::Error>>,
    shutdown: CancellationToken,
}

impl Topics {
    pub(crate) async fn open(stage: &Stage) -> Self {
        let (prefix, service, access) = (unique("delivery."), "core".to_owned(), Access::plaintext(kafka()));
        let sink = KafkaConfig::new(access, TopicNames::by_category(&prefix), service);
        ensure_topics(&sink, &["note", "memo", "transfer"]).await.unwrap();
        let (user, password, host, port) = stage.database.relay_login();
        let login = replication::Config {
            password: Some(password.as_str().into()),
            ..replication::Config::new(Host::Tcp { host, port }, user, &stage.database.name)
        };
        let slot = SlotName::new(unique("delivery")).unwrap();
        let config = relay::Config::new("core", login, slot, "lunaria");
        let (mut status, shutdown) = (config.status.subscribe(), CancellationToken::new());
        let relay = tokio::spawn(relay::run(config, OpenKafka { config: sink }, shutdown.clone()));
        tokio::time::timeout(patience(), status.wait_for(|report| report.phase == Phase::Relaying))
            .await
            .unwrap()
            .unwrap();
        Self { prefix, relay, shutdown }
    }

    fn topic(&self, category: &str) -> String {
        format!("{}core.{category}", self.prefix)
    }

    pub(crate) fn consume(&self, stage: &Stage, journal: &Journal) -> Consuming {
        let shutdown = CancellationToken::new();
        let engine = stage.engine(journal.clone(), &shutdown);
        self.consume_by(engine, journal.name, shutdown)
    }

    pub(crate) fn consume_elsewhere(&self, stage: &Stage, view: Arc<dyn Elsewhere>) -> Consuming {
        let (name, shutdown) = (view.name(), CancellationToken::new());
        self.consume_by(stage.engine_elsewhere(view, &shutdown), name, shutdown)
    }

    fn consume_by(&self, engine: Engine, instance: &str, shutdown: CancellationToken) -> Consuming {
        let (access, prefix) = (Access::plaintext(kafka()), self.prefix.clone());
        let config =
            ConsumerConfig { access, names: TopicNames::by_category(prefix), instance: instance.to_owned() };
        Consuming { task: tokio::spawn(async move { consume(&config, engine).await }), shutdown }
    }

    /// What the handler's group has committed of a topic.
    fn committed(&self, journal: &Journal, category: &str) -> i64 {
        let group = format!("{}core.{}", self.prefix, journal.name);
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", kafka()).set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic(category), 0);
        let committed = consumer.committed_offsets(list, patience()).unwrap();
        match committed.elements()[0].offset() {
            Offset::Offset(offset) => offset,
            _ => 0,
        }
    }

    pub(crate) async fn close(self) {
        self.shutdown.cancel();
        self.relay.await.unwrap().unwrap();
    }
}

impl Consuming {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_has_the_same_effects_over_kafka_across_restarts() {
    let stage = Stage::create().await;
    let topics = Topics::open(&stage).await;
    let (journal, embedded) = (Journal::new("over-kafka"), Journal::new("embedded"));
    let fed = stage.joined_feed(embedded).await;
    let streams = ["note-1", "note-2", "note-3"];
    let mut count = 0;
    for _ in 0..3 {
        // Some while nobody consumes, some meanwhile.
        for stream in streams {
            fed.offer(&stage.append(stream, 10).await).await;
        }
        let consuming = topics.consume(&stage, &journal);
        for stream in streams {
            fed.offer(&stage.append(stream, 10).await).await;
        }
        count += 20;
        for stream in streams {
            stage.until_effects("over-kafka", stream, count).await;
        }
        consuming.stop().await;
    }
    for stream in streams {
        stage.until_effects("embedded", stream, count).await;
    }
    fed.stop().await;
    topics.close().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_fails_over_kafka_is_parked_while_its_partition_goes_on() {
    let stage = Stage::create().await;
    let topics = Topics::open(&stage).await;
    let journal = Journal::new("journal");
    journal.fail("note-1@2");
    let consuming = topics.consume(&stage, &journal);
    stage.append("note-1", 3).await;
    stage.append("note-2", 3).await;
    stage.until_effects("journal", "note-2", 3).await;
    stage.until_effects("journal", "note-1", 1).await;
    assert_eq!(stage.effects("journal", "note-1").await, [1]);
    journal.mend("note-1@2");
    stage.until_effects("journal", "note-1", 3).await;
    consuming.stop().await;
    topics.close().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_no_event_is_not_skipped_and_holds_up_its_partition_alone() {
    let stage = Stage::create().await;
    let topics = Topics::open(&stage).await;
    let mut journal = Journal::new("journal");
    journal.categories = &["note", "memo"];
    let consuming = topics.consume(&stage, &journal);
    stage.append("note-1", 1).await;
    stage.until_effects("journal", "note-1", 1).await;
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", kafka()).create().unwrap();
    let topic = topics.topic("note");
    producer.send(BaseRecord::<str, str>::to(&topic).key("note-2").payload("{}")).unwrap();
    producer.flush(patience()).unwrap();
    stage.append("note-2", 1).await;
    for count in 1..=5 {
        stage.append("memo-1", 1).await;
        stage.until_effects("journal", "memo-1", count).await;
    }
    consuming.stop().await;
    assert!(stage.effects("journal", "note-2").await.is_empty(), "it lies behind the bad record");
    assert!(topics.committed(&journal, "note") <= 1, "the bad record is not passed");
    topics.close().await;
    stage.drop().await;
}
