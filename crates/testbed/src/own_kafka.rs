//! A Kafka cluster of one test, which the test may hurt.

use std::sync::{Arc, Mutex, PoisonError};

use local_servers::{Error, KafkaCluster, KafkaClusterOptions, ReservedPort};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Proxy;

/// Three brokers take a GiB and, for some ten seconds, two cores: one cluster at a time.
static TURN: Semaphore = Semaphore::const_new(1);

/// A cluster that ends with the value, at once. Brokers are counted from 0.
pub struct OwnKafkaCluster {
    cluster: Arc<Mutex<KafkaCluster>>,
    bootstrap: String,
    proxied_bootstrap: String,
    // Removed after the last broker has ended.
    _directory: TempDir,
    _turn: SemaphorePermit<'static>,
}

/// One broker for faults of the network alone, three to lose one of. The test waits for its turn if it has to.
pub async fn own_kafka_cluster(brokers: usize) -> OwnKafkaCluster {
    let turn = TURN.acquire().await.unwrap();
    let libs = std::env::var_os("LUNARIA_KAFKA_LIBS")
        .expect("LUNARIA_KAFKA_LIBS is not set: export LUNARIA_KAFKA_LIBS=\"$(scripts/kafka.sh)\"");
    let directory = tempfile::Builder::new().prefix("lunaria-own-").tempdir_in("/tmp").unwrap();
    let options =
        KafkaClusterOptions { directory: directory.path().join("kafka"), brokers, libs: libs.into() };
    let start = move || KafkaCluster::start(&options);
    let cluster = tokio::task::spawn_blocking(start).await.unwrap().unwrap();
    OwnKafkaCluster {
        bootstrap: cluster.bootstrap(),
        proxied_bootstrap: cluster.proxied_bootstrap(),
        cluster: Arc::new(Mutex::new(cluster)),
        _directory: directory,
        _turn: turn,
    }
}

impl OwnKafkaCluster {
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// For clients whose every byte goes through [`OwnKafkaCluster::proxies`].
    pub fn proxied_bootstrap(&self) -> &str {
        &self.proxied_bootstrap
    }

    /// One in front of each broker, for the clients that start at the proxied address.
    pub async fn proxies(&self) -> Vec<Proxy> {
        let ports: Vec<_> = {
            let cluster = self.cluster.lock().unwrap();
            cluster.proxied().iter().map(|proxied| (proxied.advertised.number(), proxied.target)).collect()
        };
        let mut proxies = Vec::new();
        for (advertised, target) in ports {
            proxies.push(Proxy::on(ReservedPort::of(advertised).unwrap(), target).await);
        }
        proxies
    }

    pub async fn kill(&self, broker: usize) {
        self.with(move |cluster| cluster.kill(broker)).await;
    }

    /// On the same ports and data; in order, if it still runs.
    pub async fn restart(&self, broker: usize) {
        self.with(move |cluster| cluster.restart(broker)).await;
    }

    /// Connections stay open and get no answer.
    pub async fn pause(&self, broker: usize) {
        self.with(move |cluster| cluster.pause(broker)).await;
    }

    pub async fn resume(&self, broker: usize) {
        self.with(move |cluster| cluster.resume(broker)).await;
    }

    /// Until every replica has caught up, so that the next broker may fail.
    pub async fn wait_in_sync(&self) {
        self.with(|cluster| cluster.wait_in_sync()).await;
    }

    /// Off the runtime's threads, as the verbs take up to seconds, and what is tested goes on meanwhile.
    async fn with(&self, verb: impl FnOnce(&mut KafkaCluster) -> Result<(), Error> + Send + 'static) {
        let cluster = Arc::clone(&self.cluster);
        tokio::task::spawn_blocking(move || verb(&mut cluster.lock().unwrap())).await.unwrap().unwrap();
    }
}

impl Drop for OwnKafkaCluster {
    fn drop(&mut self) {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner).kill_all();
    }
}
