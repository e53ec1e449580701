//! What each service is made of: its handlers, what they read, its deadlines, its relay.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, bail};
use delivery::{ExternalStreams, Handler, History, HttpHistory};
use event::Aggregate;
use event_store::{Scheduler, Store};
use instant::{ClearingHouse, ClearingStream, Courier, Submissions};
use ledger::{Account, BalanceStream, LedgerView};
use replication::{Host, SlotName};
use transfer::{Clearing, PaymentStream, Reservations, Transfer, TransferView};

use crate::cli::ServiceName;
use crate::config::{Config, Database};

pub(crate) const CORE: &str = "core";
pub(crate) const PUBLICATION: &str = "lunaria";

impl ServiceName {
    pub(crate) const ALL: [Self; 2] = [Self::Core, Self::AdapterInstant];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Core => CORE,
            Self::AdapterInstant => instant::SERVICE,
        }
    }

    pub(crate) fn database(self, config: &Config) -> &Database {
        match self {
            Self::Core => &config.core.database,
            Self::AdapterInstant => &config.instant.database,
        }
    }

    /// The categories of its streams, and so its topics.
    pub(crate) fn categories(self) -> &'static [&'static str] {
        match self {
            Self::Core => &[
                Account::CATEGORY,
                Transfer::CATEGORY,
                contract::payment::CATEGORY,
                contract::account::CATEGORY,
            ],
            Self::AdapterInstant => &[instant::Submission::CATEGORY, contract::clearing::CATEGORY],
        }
    }

    pub(crate) fn handlers(self, config: &Config) -> Vec<Arc<dyn Handler>> {
        match self {
            Self::Core => vec![
                Arc::new(Reservations { limits: config.limits() }),
                Arc::new(PaymentStream),
                Arc::new(Clearing { adapter: instant::SERVICE }),
                Arc::new(TransferView),
                Arc::new(LedgerView),
                Arc::new(BalanceStream),
            ],
            Self::AdapterInstant => vec![Arc::new(Submissions), Arc::new(ClearingStream)],
        }
    }
}

pub(crate) async fn connect(service: ServiceName, config: &Config) -> anyhow::Result<Store> {
    let database = service.database(config);
    Store::connect(service.as_str(), &database.database_url, database.connections_max).await.with_context(
        || {
            format!(
                "cannot connect to {}: `lunaria doctor` says what is missing",
                crate::config::without_password(&database.database_url)
            )
        },
    )
}

/// What a handler of `own` refills its gaps from, when other services are in this process too.
pub(crate) fn history_nearby(
    own: &Store,
    source: &str,
    stores: &[Store],
) -> anyhow::Result<Arc<dyn History>> {
    if source == own.service() {
        return Ok(Arc::new(own.clone()));
    }
    let store = stores.iter().find(|store| store.service() == source);
    let store = store.with_context(|| format!("{source} is not a service of this process"))?;
    Ok(Arc::new(ExternalStreams(store.clone())))
}

/// The same when each service is a process of its own.
pub(crate) fn history_afar(own: &Store, source: &str, config: &Config) -> anyhow::Result<Arc<dyn History>> {
    if source == own.service() {
        return Ok(Arc::new(own.clone()));
    }
    let url = match source {
        CORE => config.core.external_url.clone(),
        instant::SERVICE => instant_url(config),
        _ => bail!("{source} is not a service"),
    };
    Ok(Arc::new(HttpHistory::new(&url)))
}

/// The adapter as the clearing house and core reach it.
pub(crate) fn instant_url(config: &Config) -> String {
    match config.instant.public_url.as_str() {
        "" => format!("http://{}", config.instant.listen),
        url => url.to_owned(),
    }
}

/// The scheduler of a service's deadlines. The adapter's calls to the clearing house are deadlines of its submissions.
pub(crate) fn scheduler(service: ServiceName, store: Store, config: &Config) -> anyhow::Result<Scheduler> {
    let scheduler = Scheduler::new(store);
    Ok(match service {
        ServiceName::Core => scheduler.with::<Transfer>(),
        ServiceName::AdapterInstant => {
            let timeout = Duration::from_millis(config.instant.answer_timeout_ms.unsigned_abs());
            let house =
                ClearingHouse::new(&config.instant.clearing_house_url, &instant_url(config), timeout)?;
            Courier::new(house, config.retry_policy()).install(scheduler)
        }
    })
}

pub(crate) fn relay_config(
    service: ServiceName,
    config: &Config,
    relaying: Arc<AtomicBool>,
) -> anyhow::Result<relay::Config> {
    let database = service.database(config);
    Ok(relay::Config {
        replication: replication_config(&database.relay_url)?,
        slot: SlotName::new(database.slot.clone())?,
        publication: PUBLICATION.to_owned(),
        relaying,
    })
}

/// `postgres://user:password@host:port/database`, or a socket directory as `?host=/directory`.
pub(crate) fn replication_config(url: &str) -> anyhow::Result<replication::Config> {
    let shown = crate::config::without_password(url);
    let url = url::Url::parse(url).with_context(|| format!("{shown} is not a URL"))?;
    let port = url.port().unwrap_or(5432);
    let socket = url.query_pairs().find(|(key, _)| key == "host").map(|(_, value)| value.into_owned());
    let host = match (socket, url.host_str()) {
        (Some(directory), _) => Host::Unix { directory: directory.into(), port },
        (None, Some(host)) => Host::Tcp { host: host.to_owned(), port },
        (None, None) => bail!("{shown} names no host"),
    };
    let database = url.path().trim_start_matches('/').to_owned();
    let mut config = replication::Config::new(host, url.username(), database);
    config.password = url.password().map(replication::Secret::from);
    config.application_name = "lunaria-relay".to_owned();
    Ok(config)
}

pub(crate) fn kafka_config(service: ServiceName, config: &Config) -> relay::KafkaConfig {
    relay::KafkaConfig {
        brokers: config.kafka.brokers.clone(),
        prefix: config.kafka.prefix.clone(),
        service: service.as_str().to_owned(),
        partitions: config.kafka.partitions,
        replication: config.kafka.replication,
    }
}

/// Makes the topics of all services, so that consumers find them from the start.
pub(crate) async fn ensure_topics(config: &Config) -> anyhow::Result<()> {
    for service in ServiceName::ALL {
        let kafka = kafka_config(service, config);
        let topics: Vec<String> = service
            .categories()
            .iter()
            .map(|category| relay::topic_name(&kafka.prefix, service.as_str(), category))
            .collect();
        relay::ensure_topics(&kafka, &topics)
            .await
            .with_context(|| format!("cannot make topics at {}", config.kafka.brokers))?;
    }
    Ok(())
}
