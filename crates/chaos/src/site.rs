//! The servers that runs happen on: one PostgreSQL, one Kafka cluster, and the network in front of the brokers.

use testbed::{OwnKafkaCluster, OwnPostgres, Proxy, own_kafka_cluster, own_postgres};

/// Shared by runs that follow one another: each has a database, a slot and topics of its own.
pub struct Site {
    pub(crate) postgres: OwnPostgres,
    pub(crate) kafka: OwnKafkaCluster,
    pub(crate) brokers: usize,
    /// In front of each broker, for the relays; the checkers go to the brokers themselves.
    pub(crate) broker_proxies: Vec<Proxy>,
}

impl Site {
    /// With three brokers a topic has three replicas and takes a record when two have it.
    pub async fn start(brokers: usize) -> Self {
        // The campaign writes more than the default between two checkpoints, and a crash should replay little.
        let settings = [("checkpoint_timeout", "30s"), ("max_wal_size", "256MB")];
        let (postgres, kafka) = tokio::join!(own_postgres(&settings), own_kafka_cluster(brokers));
        let broker_proxies = kafka.proxies().await;
        Self { postgres, kafka, brokers, broker_proxies }
    }
}
