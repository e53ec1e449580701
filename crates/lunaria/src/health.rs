//! `lunaria health`: whether one part of a deployment works, for whoever starts, stops and restarts it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::groups::GroupInfo;
use replication::{Client, SlotName};

use crate::cli::{HealthOf, ServiceName};
use crate::config::{Config, PostgresUrl};
use crate::process::{complain, say};
use crate::relays::{find_capture, replication_config};

const TIMEOUT: Duration = Duration::from_secs(5);
/// What Kafka calls a consumer group whose members have their partitions.
const STABLE: &str = "Stable";

/// Exit code 0 for yes, 1 for no.
pub(crate) async fn run(config: Config, of: HealthOf) -> anyhow::Result<ExitCode> {
    let asked = async {
        match of {
            HealthOf::Http { url } => http(url.as_str()).await,
            HealthOf::Relay { service } => {
                let database = service.database(&config);
                relay(&database.relay_url, SlotName::new(database.slot.clone())?).await
            }
            HealthOf::Capture { name } => {
                let capture = find_capture(&name, &config)?;
                relay(&capture.relay_url, capture.slot()?).await
            }
            HealthOf::Handlers { service } => handlers(&config, service).await,
        }
    };
    match tokio::time::timeout(2 * TIMEOUT, asked).await.context("no answer").flatten() {
        Ok(()) => {
            say("healthy")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            complain(&format!("{error:#}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn http(url: &str) -> anyhow::Result<()> {
    let answer = reqwest::Client::new().get(url).timeout(TIMEOUT).send().await?;
    let status = answer.status();
    ensure!(
        status.is_success(),
        "{url} answers {status}: {}",
        answer.text().await.unwrap_or_default().trim()
    );
    Ok(())
}

/// Whether somebody reads the slot: of a relay and its standby both are well then.
async fn relay(url: &PostgresUrl, slot: SlotName) -> anyhow::Result<()> {
    // As the relay itself connects.
    let mut client = Client::connect(&replication_config(url)?)
        .await
        .with_context(|| format!("cannot connect to {url}"))?;
    match client.read_slot(&slot).await? {
        Some(slot) if slot.active => Ok(()),
        Some(_) => bail!("nobody reads the slot {slot}"),
        None => bail!("there is no slot {slot}"),
    }
}

/// Whether every handler of the service has its partitions. One that reads the history first has none yet.
async fn handlers(config: &Config, service: ServiceName) -> anyhow::Result<()> {
    let client: BaseConsumer = config.kafka.access()?.admin().create()?;
    let names: Vec<&str> = service.handlers(config).iter().map(|handler| handler.name()).collect();
    let groups: Vec<String> =
        names.iter().map(|name| format!("{}{}.{name}", config.kafka.prefix, service.as_str())).collect();
    ensure!(!groups.is_empty(), "{} has no handlers", service.as_str());
    tokio::task::spawn_blocking(move || {
        for group in groups {
            let listed = client.fetch_group_list(Some(&group), TIMEOUT)?;
            let found = listed.groups().iter().find(|found| found.name() == group);
            match found.map(GroupInfo::state) {
                Some(STABLE) => {}
                state => bail!("the consumer group {group} is {}", state.unwrap_or("not there")),
            }
        }
        Ok(())
    })
    .await?
}
