//! Kafka brokers that are killed and paused, alone and in a cluster. What clients lose and keep is tested where a client
//! is at hand: in `testbed`.

use std::process::Command;

use local_servers::{KafkaBroker, KafkaCluster, KafkaClusterOptions, KafkaOptions};

use crate::{kafka_libs, temporary, wait_until};

#[test]
fn killed_and_paused_broker_comes_back_on_its_port() {
    let directory = temporary();
    let options = KafkaOptions::new(directory.path().join("kafka"), kafka_libs());
    let mut broker = KafkaBroker::start(options).unwrap();
    let bootstrap = broker.bootstrap();
    broker.kill().unwrap();
    broker.kill().unwrap();
    assert_eq!(brokers(&bootstrap), 0);
    assert!(broker.pause().is_err());

    broker.restart().unwrap();
    assert_eq!(broker.bootstrap(), bootstrap);
    assert_eq!(brokers(&bootstrap), 1);
    broker.pause().unwrap();
    assert_eq!(brokers(&bootstrap), 0);
    broker.resume().unwrap();
    wait_until(|| brokers(&bootstrap) == 1);
    broker.pause().unwrap();
    broker.stop().unwrap();
}

#[test]
fn cluster_notices_a_lost_broker_and_takes_it_back() {
    let directory = temporary();
    let options =
        KafkaClusterOptions { directory: directory.path().join("kafka"), brokers: 3, libs: kafka_libs() };
    let mut cluster = KafkaCluster::start(&options).unwrap();
    let bootstrap = cluster.bootstrap();
    assert_eq!(brokers(&bootstrap), 3);
    cluster.kill(0).unwrap();
    wait_until(|| brokers(&bootstrap) == 2);
    cluster.restart(0).unwrap();
    cluster.wait_in_sync().unwrap();
    cluster.pause(1).unwrap();
    wait_until(|| brokers(&bootstrap) == 2);
    cluster.resume(1).unwrap();
    cluster.wait_in_sync().unwrap();
    cluster.stop().unwrap();

    let cluster = KafkaCluster::start(&options).unwrap();
    assert_eq!(cluster.bootstrap(), bootstrap);
    assert_eq!(brokers(&bootstrap), 3);
}

/// How many brokers serve, as the first one says that answers.
fn brokers(bootstrap: &str) -> usize {
    let arguments = ["-L", "-m", "2", "-X", "log_level=0", "-b", bootstrap];
    let output = Command::new("kcat").args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let count = text.lines().find_map(|line| line.trim().strip_suffix(" brokers:"));
    count.map_or(0, |count| count.parse().unwrap())
}
