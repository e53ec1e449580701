//! What each relay reads, and where it sends to.

use std::time::Duration;

use anyhow::Context;
use kafka_client::TopicNames;
use relay::{HeaderFormat, OpenCapture, Reads, RefillMode};
use replication::SlotName;
use tokio_util::sync::CancellationToken;

use crate::cli::ServiceName;
use crate::config::{Capture, Compression, Config, Headers, PostgresUrl, Snapshot};

pub(crate) const PUBLICATION: &str = "lunaria";
/// As long as not all brokers are up, they refuse topics with more replicas.
const TOPICS_POLL: Duration = Duration::from_secs(2);

pub(crate) fn relay_config(service: ServiceName, config: &Config) -> anyhow::Result<relay::Config> {
    let database = service.database(config);
    let (login, slot) = (replication_config(&database.relay_url)?, SlotName::new(database.slot.clone())?);
    let standby = Some(database.standby.clone()).filter(|standby| !standby.is_empty());
    let relay = relay::Config::new(service.as_str(), login, slot, PUBLICATION);
    Ok(relay::Config { standby, ..config.relay.apply(relay) })
}

/// Completes a relay's URL.
pub(crate) fn replication_config(url: &PostgresUrl) -> anyhow::Result<replication::Config> {
    let mut config = url.replication()?;
    config.application_name = "lunaria-relay".to_owned();
    Ok(config)
}

pub(crate) fn kafka_config(service: ServiceName, config: &Config) -> anyhow::Result<relay::KafkaConfig> {
    kafka_config_of(service.as_str(), config.kafka.names()?, config)
}

/// A capture's relay, and where it sends to.
pub(crate) fn capture_config(name: &str, config: &Config) -> anyhow::Result<(relay::Config, OpenCapture)> {
    let capture = find_capture(name, config)?;
    let login = replication_config(&capture.relay_url)?;
    let relay = relay::Config::new(name, login, capture.slot()?, capture.publication());
    let relay = relay::Config {
        reads: Reads::Tables { is_snapshot_first: capture.snapshot != Snapshot::Never },
        refill: match capture.snapshot {
            Snapshot::WhenNeeded => RefillMode::Automatic,
            Snapshot::Initial | Snapshot::Never => RefillMode::Manual,
        },
        // A backlog is changes, and those a snapshot does not have.
        catch_up_bytes: None,
        ..config.relay.apply(relay)
    };
    // Its tables stand where an event's category does, whatever the events' topics are called.
    let names = TopicNames::by_category(&config.kafka.prefix);
    let open = OpenCapture { config: kafka_config_of(name, names, config)?, tombstones: capture.tombstones };
    Ok((relay, open))
}

pub(crate) fn find_capture<'a>(name: &str, config: &'a Config) -> anyhow::Result<&'a Capture> {
    config.capture.iter().find(|capture| capture.name == name).with_context(|| {
        let known: Vec<&str> = config.capture.iter().map(|capture| capture.name.as_str()).collect();
        format!("the configuration has no [[capture]] of the name {name}; it has: {}", known.join(", "))
    })
}

fn kafka_config_of(name: &str, names: TopicNames, config: &Config) -> anyhow::Result<relay::KafkaConfig> {
    let kafka = &config.kafka;
    Ok(relay::KafkaConfig {
        headers: match kafka.headers {
            Headers::CloudEvents => HeaderFormat::CloudEvents,
            Headers::Debezium => HeaderFormat::Debezium,
        },
        compression: match kafka.compression {
            Compression::None => relay::Compression::None,
            Compression::Lz4 => relay::Compression::Lz4,
        },
        partitions: kafka.partitions,
        replication: kafka.replication,
        topics: kafka.topics(),
        ..relay::KafkaConfig::new(kafka.access()?, names, name)
    })
}

/// Makes the topics of all services, so that consumers find them from the start. Tries again until Kafka is there and takes
/// them; false: `shutdown` came first. Only what refuses us is an error.
pub(crate) async fn ensure_topics(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<bool> {
    let access = config.kafka.access()?;
    let made = async {
        loop {
            match access.check().await {
                Ok(()) => {}
                Err(error @ kafka_client::Error::Unreachable { .. }) => {
                    tracing::warn!(%error, "waiting for Kafka");
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let Err(error) = make_topics(config).await else { return Ok(true) };
            tracing::warn!(error = format!("{error:#}"), "waiting for Kafka to make the topics");
            tokio::time::sleep(TOPICS_POLL).await;
        }
    };
    tokio::select! {
        made = made => made,
        () = shutdown.cancelled() => Ok(false),
    }
}

async fn make_topics(config: &Config) -> anyhow::Result<()> {
    for service in ServiceName::enabled(config) {
        let kafka = kafka_config(service, config)?;
        relay::ensure_topics(&kafka, service.categories())
            .await
            .with_context(|| format!("cannot make topics at {}", config.kafka.brokers))?;
    }
    Ok(())
}
