//! `lunaria dev`: the whole platform on this machine, on servers of its own, with a transfer that moves.

mod demo;
mod state;
mod timeline;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use access::Role;
use anyhow::{Context, bail};
use event_store::{Passwords, provision};
use local_servers::{KafkaBroker, KafkaOptions, PostgresCluster, PostgresOptions};
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::cli::{DevOptions, ServiceName};
use crate::config::{ApiKey, Config, Transport};
use crate::ops::Ops;
use crate::process::complain;
use crate::roles::Doors;
use crate::{roles, services};

const FIRST_PORT: u16 = 8080;
const FIRST_OPS_PORT: u16 = 9464;
const PORTS_TRIED: u16 = 100;

pub(crate) async fn run(
    config: Config,
    options: DevOptions,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let directory = state::directory(options.state_dir.as_deref())?;
    let servers = Servers::start(&directory, &options).await?;
    let outcome = run_platform(config, &options, &directory, &servers, shutdown).await;
    servers.stop().await?;
    outcome
}

async fn run_platform(
    mut config: Config,
    options: &DevOptions,
    directory: &Path,
    servers: &Servers,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    // All that there is.
    config.card.enabled = true;
    let passwords = state::passwords(directory)?;
    let keys = state::keys(directory)?;
    provision_services(&mut config, servers, &passwords).await?;
    config.transport = options.transport;
    if let Some(kafka) = &servers.kafka {
        config.kafka.brokers = kafka.bootstrap();
    }
    add_keys(&mut config, &keys);
    trust_this_machine(&mut config, state::webhook_key(directory)?);
    let api = bind_api(options.port).await?;
    let ops = Ops::new(bind_from(FIRST_OPS_PORT).await?, &config.ops)?;
    let instant = TcpListener::bind("127.0.0.1:0").await?;
    config.instant.listen = instant.local_addr()?;
    let card = TcpListener::bind("127.0.0.1:0").await?;
    config.card.listen = card.local_addr()?;
    let network_url = format!("http://{}/iso8583", config.card.listen);
    let journal = directory.join("clearing-house.jsonl");
    let (mut house, house_url) = start_outside_world(&journal, &network_url).await?;
    config.instant.clearing_house_url.clone_from(&house_url);
    let api_url = format!("http://{}", api.local_addr()?);
    config.core.external_url.clone_from(&api_url);

    let (ready, is_ready) = oneshot::channel();
    let demo = demo::Demo {
        api_url,
        keys,
        house_url,
        ops_url: format!("http://{}", ops.address()?),
        own_name: config.instant.own_name.clone(),
        inbox_url: format!("http://{}/iso20022", config.instant.listen),
        network_url,
        stores: (
            services::connect(ServiceName::Core, &config).await?,
            services::connect(ServiceName::AdapterInstant, &config).await?,
        ),
        with_transfer: !options.no_demo,
    };
    let show = async {
        if is_ready.await.is_ok()
            && let Err(error) = demo.show(&shutdown).await
        {
            complain(&format!("the demo did not go through: {error:#}"));
        }
    };
    let serve = roles::serve_all(
        config,
        Doors { api, instant, card: Some(card), ops },
        shutdown.clone(),
        move || {
            // Nobody listens any more when the demo was stopped.
            let _ = ready.send(());
            Ok(())
        },
    );
    let stdin = house.stdin.take();
    let watch = async {
        tokio::select! {
            _ = house.wait() => {
                complain("the simulated clearing house has ended; start again");
                shutdown.cancel();
            }
            () = shutdown.cancelled() => {}
        }
    };
    let (outcome, (), ()) = tokio::join!(Box::pin(serve), show, watch);
    drop(stdin);
    let _ = house.wait().await;
    outcome
}

/// All that this run speaks to is here.
fn trust_this_machine(config: &mut Config, webhook_key: String) {
    // The house shows nothing and asks for nothing.
    config.instant.house_token.clear();
    config.card.network_token.clear();
    config.webhooks.signing_key = webhook_key;
    config.webhooks.allow_private_addresses = true;
    config.core.search_events = true;
}

fn add_keys(config: &mut Config, keys: &BTreeMap<Role, String>) {
    config.core.external_token.clone_from(&keys[&Role::Service]);
    // A customer's key is issued once there is one.
    for (role, secret) in keys.iter().filter(|(role, _)| **role != Role::Customer) {
        let key =
            ApiKey { secret: secret.clone(), roles: vec![role.to_string()], principal: None, customer: None };
        config.api.keys.insert(format!("dev-{role}"), key);
    }
}

/// The servers that this run has started.
struct Servers {
    postgres: PostgresCluster,
    kafka: Option<KafkaBroker>,
}

impl Servers {
    async fn start(directory: &Path, options: &DevOptions) -> anyhow::Result<Self> {
        let postgres =
            PostgresOptions { directory: directory.join("postgres"), port: None, settings: Vec::new() };
        let kafka = match (options.transport, &options.kafka_libs) {
            (Transport::Embedded, _) => None,
            (Transport::Kafka, Some(libs)) => Some(KafkaOptions::new(directory.join("kafka"), libs.clone())),
            (Transport::Kafka, None) => {
                bail!("--transport kafka needs Kafka's jars: add --kafka-libs \"$(scripts/kafka.sh)\"")
            }
        };
        tokio::task::spawn_blocking(move || {
            Ok(Self {
                postgres: PostgresCluster::start(postgres)?,
                kafka: kafka.map(KafkaBroker::start).transpose()?,
            })
        })
        .await?
    }

    async fn stop(self) -> anyhow::Result<()> {
        tokio::task::spawn_blocking(move || {
            if let Some(kafka) = self.kafka {
                kafka.stop()?;
            }
            Ok(self.postgres.stop()?)
        })
        .await?
    }
}

/// Makes all services' databases, as often as it takes, and points the configuration at them.
async fn provision_services(
    config: &mut Config,
    servers: &Servers,
    passwords: &Passwords,
) -> anyhow::Result<()> {
    let superuser: PgConnectOptions = servers.postgres.superuser_url("postgres").parse()?;
    let port = servers.postgres.port();
    for service in ServiceName::enabled(config) {
        let database = format!("lunaria_{}", service.as_str().replace('-', "_"));
        provision(&superuser, &database, service.as_str(), passwords)
            .await
            .with_context(|| format!("cannot make the database {database}"))?;
        let url =
            |role: &str, password: &str| format!("postgres://{role}:{password}@127.0.0.1:{port}/{database}");
        let settings = service.database_mut(config);
        settings.database_url = url(event_store::APPLICATION_ROLE, &passwords.application).into();
        settings.relay_url = url(event_store::RELAY_ROLE, &passwords.relay).into();
    }
    Ok(())
}

/// Another process, as in the world; it ends when this one does, however that happens.
async fn start_outside_world(journal: &Path, card_bank: &str) -> anyhow::Result<(Child, String)> {
    let mut house = Command::new(std::env::current_exe()?)
        .args(["--log", "error", "simulator", "--exit-with-parent", "--listen", "127.0.0.1:0", "--card-bank"])
        .args([card_bank, "--journal"])
        .arg(journal)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("cannot start the simulated clearing house")?;
    let output = house.stdout.take().context("the clearing house has no output")?;
    let line = BufReader::new(output).lines().next_line().await?;
    let url = line.as_deref().and_then(|line| line.strip_prefix("listening clearing-house "));
    let url = url.context("the simulated clearing house did not start")?.to_owned();
    Ok((house, url))
}

async fn bind_api(chosen: Option<u16>) -> anyhow::Result<TcpListener> {
    match chosen {
        Some(port) => {
            TcpListener::bind(("127.0.0.1", port)).await.with_context(|| format!("port {port} is taken"))
        }
        None => bind_from(FIRST_PORT).await.context("choose a port with --port"),
    }
}

async fn bind_from(first: u16) -> anyhow::Result<TcpListener> {
    for port in first..first + PORTS_TRIED {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return Ok(listener);
        }
    }
    bail!("no free port from {first} on")
}
