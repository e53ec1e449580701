//! Servers of a test's own, and what their clients keep through the faults.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use sqlx::{Connection, PgConnection};
use testbed::{
    OwnKafkaCluster, Proxy, TestDatabase, eventually, own_kafka_cluster, own_newer_postgres, own_postgres,
    patience,
};
use tokio::time::timeout;

#[tokio::test]
async fn acknowledged_records_survive_each_broker_in_turn() {
    let kafka = own_kafka_cluster(3).await;
    topic(&kafka).await;
    let producer = producer(kafka.bootstrap());
    let mut sent = 0;
    for broker in 0..3 {
        produce(&producer, &mut sent, 50).await.unwrap();
        kafka.kill(broker).await;
        produce(&producer, &mut sent, 50).await.unwrap();
        kafka.restart(broker).await;
        kafka.wait_in_sync().await;
    }
    kafka.pause(0).await;
    produce(&producer, &mut sent, 50).await.unwrap();
    kafka.resume(0).await;
    assert_eq!(consume(kafka.bootstrap(), sent).await, (0..sent).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_broker_of_three_acknowledges_nothing() {
    let kafka = own_kafka_cluster(3).await;
    topic(&kafka).await;
    let producer = producer(kafka.bootstrap());
    let mut sent = 0;
    produce(&producer, &mut sent, 10).await.unwrap();
    kafka.kill(1).await;
    kafka.kill(2).await;
    let impatient: FutureProducer =
        config(kafka.bootstrap()).set("message.timeout.ms", "5000").create().unwrap();
    let error = produce(&impatient, &mut sent, 1).await.unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::MessageTimedOut));
    kafka.restart(1).await;
    produce(&producer, &mut sent, 10).await.unwrap();
}

#[tokio::test]
async fn client_behind_the_proxies_stays_there() {
    let kafka = own_kafka_cluster(1).await;
    topic(&kafka).await;
    let proxies: Vec<Proxy> = kafka.proxies().await;
    let (direct, proxied) = (producer(kafka.bootstrap()), producer(kafka.proxied_bootstrap()));
    let mut sent = 0;
    produce(&proxied, &mut sent, 10).await.unwrap();
    assert!(proxies[0].accepted() > 0);

    proxies[0].hold().await;
    let mut unheard = sent;
    let held = produce(&proxied, &mut unheard, 1);
    assert!(timeout(Duration::from_millis(500), held).await.is_err(), "a record came past the proxy");
    produce(&direct, &mut sent, 1).await.unwrap();
    proxies[0].cut().await;
    proxies[0].heal().await;
    let mut again = sent;
    produce(&proxied, &mut again, 10).await.unwrap();
}

#[tokio::test]
async fn own_database_is_reached_through_a_proxy_and_on_the_standby() {
    let postgres = own_postgres(&[]).await;
    let database = TestDatabase::create_on(postgres.superuser(), "core").await;
    let proxy = Proxy::start(postgres.port()).await;
    let mut through = database.at_port(proxy.port()).superuser_connection().await;
    sqlx::query("create table seen as select 7 as n").execute(&mut through).await.unwrap();
    let standby = postgres.standby("standby", &[]).await;
    let on_standby = database.at_port(standby.port());
    assert_eq!(seen(&on_standby).await, 7);

    proxy.cut().await;
    assert!(sqlx::query("select 1").execute(&mut through).await.is_err());
    postgres.kill().await;
    assert!(PgConnection::connect_with(database.superuser()).await.is_err());
    standby.promote().await;
    let mut promoted = on_standby.superuser_connection().await;
    sqlx::query("update seen set n = 8").execute(&mut promoted).await.unwrap();
    postgres.restart().await;
    assert_eq!(seen(&database).await, 7);
    let copy = standby.copy_data().await;
    sqlx::query("update seen set n = 9").execute(&mut promoted).await.unwrap();
    standby.restore_data(&copy).await;
    assert_eq!(seen(&on_standby).await, 8);
    standby.pause().await;
    let connect = PgConnection::connect_with(on_standby.superuser());
    assert!(timeout(Duration::from_millis(500), connect).await.is_err());
    standby.resume().await;
    assert_eq!(seen(&on_standby).await, 8);
}

#[tokio::test]
async fn newer_server_takes_the_migrations() {
    let postgres = own_newer_postgres(&[("max_connections", "33")]).await;
    let database = TestDatabase::create_on(postgres.superuser(), "core").await;
    let mut connection = database.superuser_connection().await;
    let settings = "select current_setting('server_version_num')::int >= 170000 and current_setting('max_connections') = '33'";
    let is_newer: bool = sqlx::query_scalar(settings).fetch_one(&mut connection).await.unwrap();
    assert!(is_newer);
    let events: i64 =
        sqlx::query_scalar("select count(*) from event").fetch_one(&mut connection).await.unwrap();
    assert_eq!(events, 0);
}

async fn seen(database: &TestDatabase) -> i32 {
    eventually("the row is seen", async || {
        let mut connection = database.superuser_connection().await;
        sqlx::query_scalar("select n from seen").fetch_one(&mut connection).await.ok()
    })
    .await
}

const TOPIC: &str = "kept";

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("enable.idempotence", "true");
    // Short, as the tests wait for what fails.
    config.set("socket.timeout.ms", "3000").set("reconnect.backoff.max.ms", "500");
    config.set("log_level", "0");
    config
}

fn producer(bootstrap: &str) -> FutureProducer {
    config(bootstrap).create().unwrap()
}

/// A replica on each broker; how many of them have to be in sync is the cluster's rule.
async fn topic(kafka: &OwnKafkaCluster) {
    let admin = AdminClient::<DefaultClientContext>::from_config(&config(kafka.bootstrap())).unwrap();
    let brokers = kafka.bootstrap().split(',').count();
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(i32::try_from(brokers).unwrap()));
    let results = admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    for result in results {
        result.unwrap();
    }
    kafka.wait_in_sync().await;
}

/// One after another, each a number; returns with the first that is not acknowledged.
async fn produce(producer: &FutureProducer, sent: &mut u64, count: u64) -> Result<(), KafkaError> {
    for _ in 0..count {
        let payload = sent.to_string();
        let record = FutureRecord::<(), _>::to(TOPIC).partition(0).payload(&payload);
        let result = timeout(2 * patience(), producer.send(record, Duration::ZERO)).await.unwrap();
        result.map_err(|(error, _)| error)?;
        *sent += 1;
    }
    Ok(())
}

async fn consume(bootstrap: &str, count: u64) -> Vec<u64> {
    let config = {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("group.id", "reader").set("log_level", "0");
        config
    };
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create().unwrap();
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
        consumer.assign(&from).unwrap();
        let number = |record: &rdkafka::message::BorrowedMessage<'_>| {
            str::from_utf8(record.payload().unwrap()).unwrap().parse().unwrap()
        };
        (0..count).map(|_| number(&consumer.poll(patience()).unwrap().unwrap())).collect()
    })
    .await
    .unwrap()
}
