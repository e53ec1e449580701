//! The roles that a process can have.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use adapter::behind_token;
use anyhow::{Context, ensure};
use axum::Router;
use delivery::{ConsumerConfig, Engine, consume};
use event_store::{Group, Store};
use futures::future::join_all;
use relay::{OpenKafka, Phase};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::cli::{ServiceName, SimulatorOptions};
use crate::config::{Config, Transport, profile as instant_profile};
use crate::embedded;
use crate::identity;
use crate::ops::{Ops, Told};
use crate::process::Parts;
use crate::relays::{capture_config, ensure_topics, kafka_config, relay_config};
use crate::services::{
    Views, WEBHOOK_CONTRACTS, adapter_address, adapter_door, connect, door_token, history_afar, is_slot_made,
    start_own, until_slot_is_made,
};

/// Where a process is spoken to.
pub(crate) struct Doors {
    pub(crate) api: TcpListener,
    /// The adapters', where the outside world speaks to them.
    pub(crate) instant: TcpListener,
    /// None: there is no card network.
    pub(crate) card: Option<TcpListener>,
    pub(crate) ops: Ops,
}

/// The API, and with the embedded transport everything else too.
pub(crate) async fn serve(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let api = bind(config.api.listen, "api.listen").await?;
    let ops = bind_ops(&config).await?;
    match config.transport {
        Transport::Kafka => {
            let readiness = api::Readiness::default();
            let store = connect(ServiceName::Core, &config).await?;
            wait_for_slot(&store, ServiceName::Core, &config, &shutdown).await?;
            announce(&[("api", api.local_addr()?), ("ops", ops.address()?)])?;
            let mut parts = Parts::new(&shutdown);
            let told = Told { readiness: readiness.clone(), relays: Vec::new(), store: Some(store.clone()) };
            ops.start(&mut parts, told, &shutdown);
            let tokens = identity::start(&mut parts, &config.api.oidc, &shutdown)?;
            let views = start_views(&mut parts, &store, &config, &shutdown)?;
            parts.start("api", async move {
                let router = core_router(&store, &config, tokens, &readiness, &views, shutdown.clone())?;
                api::serve(api, router, shutdown).await;
                Ok(())
            });
            parts.run().await
        }
        Transport::Embedded => {
            let instant = bind(config.instant.listen, "instant.listen").await?;
            let card = match config.card.enabled {
                true => Some(bind(config.card.listen, "card.listen").await?),
                false => None,
            };
            let mut addresses = vec![("api", api.local_addr()?), (instant::SERVICE, instant.local_addr()?)];
            if let Some(card) = &card {
                addresses.push((card::SERVICE, card.local_addr()?));
            }
            addresses.push(("ops", ops.address()?));
            let doors = Doors { api, instant, card, ops };
            serve_all(config, doors, shutdown, move || announce(&addresses)).await
        }
    }
}

/// Every role in this process. `ready` is called when requests are taken.
pub(crate) async fn serve_all(
    mut config: Config,
    doors: Doors,
    shutdown: CancellationToken,
    ready: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    let services = ServiceName::enabled(&config);
    for service in &services {
        door_token(*service, &config)?;
    }
    let Doors { api, instant, card, ops } = doors;
    if config.instant.public_url.is_empty() {
        config.instant.listen = instant.local_addr()?;
    }
    if let (Some(card), "") = (&card, config.card.public_url.as_str()) {
        config.card.listen = card.local_addr()?;
    }
    let mut stores = Vec::new();
    for service in &services {
        stores.push(connect(*service, &config).await?);
    }
    let core = stores[0].clone();
    let readiness = api::Readiness::default();
    let mut parts = Parts::new(&shutdown);
    let started = start_services(&mut parts, &config, &stores, &shutdown).await?;
    let Some((relays, views)) = started else { return Ok(()) };
    let told = Told { readiness: readiness.clone(), relays: relays.clone(), store: Some(core.clone()) };
    ops.start(&mut parts, told, &shutdown);
    let tokens = identity::start(&mut parts, &config.api.oidc, &shutdown)?;
    let token = shutdown.clone();
    parts.start("api", async move {
        // The slots have to exist before the first append.
        wait_for(&relays, &token).await;
        ready()?;
        let stopping = readiness.clone();
        let beside = |service: ServiceName, store: &Store| {
            adapter_router(service, store, &config, &api::Readiness::default())
        };
        let store_of = |service: &str| stores.iter().find(|store| store.service() == service);
        let instant_store = store_of(instant::SERVICE).context("the instant rail has no database")?;
        let core_router = core_router(&core, &config, tokens, &readiness, &views, token.clone())?;
        let instant_router = beside(ServiceName::AdapterInstant, instant_store)?;
        let card = match card.zip(store_of(card::SERVICE)) {
            Some((listener, store)) => Some((listener, beside(ServiceName::AdapterCard, store)?)),
            None => None,
        };
        let serve_cards = async {
            if let Some((listener, router)) = card {
                api::serve(listener, router, token.clone()).await;
            }
        };
        tokio::join!(
            api::serve(api, core_router, token.clone()),
            api::serve(instant, instant_router, token.clone()),
            serve_cards,
            async {
                token.cancelled().await;
                stopping.stop();
            }
        );
        Ok(())
    });
    parts.run().await
}

/// Everything but the doors. None: shutdown came first.
async fn start_services(
    parts: &mut Parts,
    config: &Config,
    stores: &[Store],
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<(Vec<relay::Config>, Views)>> {
    match config.transport {
        Transport::Embedded => {
            let views = Views::default();
            let relays = embedded::start(parts, config, stores, &views, shutdown).await?;
            Ok(Some((relays, views)))
        }
        Transport::Kafka => {
            if !ensure_topics(config, shutdown).await? {
                return Ok(None);
            }
            let mut relays = Vec::new();
            for (service, store) in ServiceName::enabled(config).into_iter().zip(stores) {
                relays.push(start_relay(parts, service, config, shutdown)?);
                start_handlers(parts, service, store, config, shutdown)?;
            }
            let core = stores.first().context("core has no database")?;
            Ok(Some((relays, start_views(parts, core, config, shutdown)?)))
        }
    }
}

pub(crate) async fn relay(
    config: Config,
    service: ServiceName,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    several_processes(&config)?;
    is_enabled(service, &config)?;
    let ops = bind_ops(&config).await?;
    announce(&[("ops", ops.address()?)])?;
    let mut parts = Parts::new(&shutdown);
    let relay = relay_config(service, &config)?;
    let open = OpenKafka { config: kafka_config(service, &config)? };
    let (running, token) = (relay.clone(), shutdown.clone());
    parts.start("relay", async move {
        if ensure_topics(&config, &token).await? {
            relay::run(running, open, token).await?;
        }
        Ok(())
    });
    let told = Told { readiness: api::Readiness::default(), relays: vec![relay], store: None };
    ops.start(&mut parts, told, &shutdown);
    parts.run().await
}

pub(crate) async fn capture(config: Config, name: &str, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (relay, open) = capture_config(name, &config)?;
    let ops = bind_ops(&config).await?;
    announce(&[("ops", ops.address()?)])?;
    let mut parts = Parts::new(&shutdown);
    let (running, token) = (relay.clone(), shutdown.clone());
    parts.start("capture", async move { Ok(relay::run(running, open, token).await?) });
    let told = Told { readiness: api::Readiness::default(), relays: vec![relay], store: None };
    ops.start(&mut parts, told, &shutdown);
    parts.run().await
}

pub(crate) async fn handlers(
    config: Config,
    service: ServiceName,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    several_processes(&config)?;
    is_enabled(service, &config)?;
    let ops = bind_ops(&config).await?;
    let store = connect(service, &config).await?;
    announce(&[("ops", ops.address()?)])?;
    let mut parts = Parts::new(&shutdown);
    let told = Told { readiness: api::Readiness::default(), relays: Vec::new(), store: Some(store.clone()) };
    ops.start(&mut parts, told, &shutdown);
    if ensure_topics(&config, &shutdown).await? {
        wait_for_slot(&store, service, &config, &shutdown).await?;
        start_handlers(&mut parts, service, &store, &config, &shutdown)?;
    }
    parts.run().await
}

pub(crate) async fn adapter(
    config: Config,
    service: ServiceName,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    several_processes(&config)?;
    is_enabled(service, &config)?;
    door_token(service, &config)?;
    let (address, setting) = adapter_address(service, &config).context("core is no adapter")?;
    let listener = bind(address, setting).await?;
    let ops = bind_ops(&config).await?;
    let store = connect(service, &config).await?;
    announce(&[(service.as_str(), listener.local_addr()?), ("ops", ops.address()?)])?;
    let mut parts = Parts::new(&shutdown);
    let readiness = api::Readiness::default();
    let told = Told { readiness: readiness.clone(), relays: Vec::new(), store: Some(store.clone()) };
    ops.start(&mut parts, told, &shutdown);
    if ensure_topics(&config, &shutdown).await? {
        wait_for_slot(&store, service, &config, &shutdown).await?;
        start_handlers(&mut parts, service, &store, &config, &shutdown)?;
        let router = adapter_router(service, &store, &config, &readiness)?;
        parts.start("adapter", async move {
            api::serve(listener, router, shutdown).await;
            Ok(())
        });
    }
    parts.run().await
}

pub(crate) async fn simulator(options: SimulatorOptions, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listener = bind(options.listen, "--listen").await?;
    announce(&[("clearing-house", listener.local_addr()?)])?;
    if options.exit_with_parent {
        let token = shutdown.clone();
        tokio::spawn(async move {
            let mut input = Vec::new();
            let _ = tokio::io::stdin().read_to_end(&mut input).await;
            token.cancel();
        });
    }
    let answer_time = Duration::from_millis(options.answer_time_ms);
    let acceptance_limit = Duration::from_millis(options.acceptance_limit_ms);
    let token = token_in("--token-file", options.token_file.as_deref())?;
    let network_token = token_in("--network-token-file", options.network_token_file.as_deref())?;
    let profile = instant_profile(&options.profile).context("--profile")?;
    ensure!(profile.is_agent(&options.name), "--name is {}; {}", options.name, profile.agent_rule());
    let (journal, name) = (options.journal, options.name);
    let config = simulator::Config {
        listener,
        journal,
        answer_time,
        acceptance_limit,
        profile,
        name,
        token,
        network_token,
        card_bank: options.card_bank,
    };
    Ok(simulator::run(config, shutdown).await?)
}

fn token_in(option: &str, file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let token = text.trim_end().to_owned();
    ensure!(!token.is_empty(), "{option} is empty");
    Ok(Some(token))
}

pub(crate) async fn migrate(config: Config, service: ServiceName) -> anyhow::Result<()> {
    let store = connect(service, &config).await?;
    event_store::migrate(store.pool(), service.as_str()).await.context("connect as the tables' owner")?;
    Ok(())
}

fn start_relay(
    parts: &mut Parts,
    service: ServiceName,
    config: &Config,
    shutdown: &CancellationToken,
) -> anyhow::Result<relay::Config> {
    let relay = relay_config(service, config)?;
    let open = OpenKafka { config: kafka_config(service, config)? };
    let (running, token) = (relay.clone(), shutdown.clone());
    parts.start("relay", async move { Ok(relay::run(running, open, token).await?) });
    Ok(relay)
}

fn start_handlers(
    parts: &mut Parts,
    service: ServiceName,
    store: &Store,
    config: &Config,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let consumer = consumer_config(config)?;
    for handler in service.handlers(config) {
        let history = history_afar(store, handler.subscription().source, config)?;
        let engine = Engine::new(handler, store.clone(), history, shutdown.clone());
        let consumer = consumer.clone();
        parts.start("handler", async move { Ok(consume(&consumer, engine).await?) });
    }
    start_own(parts, service, store, config, shutdown)
}

/// What the API of this process keeps in memory.
fn start_views(
    parts: &mut Parts,
    store: &Store,
    config: &Config,
    shutdown: &CancellationToken,
) -> anyhow::Result<Views> {
    let (views, consumer) = (Views::default(), consumer_config(config)?);
    for view in views.all() {
        let engine = Engine::elsewhere(view, store.clone(), Arc::new(store.clone()), shutdown.clone());
        let consumer = consumer.clone();
        parts.start("view", async move { Ok(consume(&consumer, engine).await?) });
    }
    Ok(views)
}

fn consumer_config(config: &Config) -> anyhow::Result<ConsumerConfig> {
    let kafka = &config.kafka;
    Ok(ConsumerConfig { access: kafka.access()?, names: kafka.names()?, instance: kafka.instance.clone() })
}

fn core_router(
    store: &Store,
    config: &Config,
    tokens: Option<Arc<api::Tokens>>,
    readiness: &api::Readiness,
    views: &Views,
    shutdown: CancellationToken,
) -> anyhow::Result<Router> {
    let keys = config.api.keyring()?;
    if keys.is_empty() && tokens.is_none() {
        tracing::warn!("there are no [api.keys] and no [api.oidc]: nobody may ask the API anything");
    }
    let group = Group::new(store.clone());
    let (limits, payments) = (config.limits(), config.order_payments());
    let projections = ServiceName::Core.projections(config);
    let requests_per_second = config.api.requests_per_second;
    let corrections = api::Corrections {
        policy: config.core.corrections.policy(),
        handlers: ServiceName::Core.handlers(config),
        permits: Arc::new(Semaphore::new(config.previews_at_once())),
    };
    let webhooks = config.webhooks.key()?.map(|key| api::Webhooks {
        key,
        reach: config.webhooks.reach(),
        contracts: WEBHOOK_CONTRACTS,
    });
    let service = api::Service {
        store: store.clone(),
        group,
        running: api::Running::default(),
        limits,
        payments,
        projections,
        open_cases: Arc::clone(&views.open_cases),
        corrections,
        requests_per_second,
        shutdown,
        keys,
        webhooks,
        searches_events: config.core.search_events,
        tokens,
    };
    Ok(api::router(service, readiness.clone()))
}

fn adapter_router(
    service: ServiceName,
    store: &Store,
    config: &Config,
    readiness: &api::Readiness,
) -> anyhow::Result<Router> {
    // Beside its door an adapter shows its external streams, to whoever has the same token, and whether it is well.
    let external = behind_token(api::external_router(store.clone()), door_token(service, config)?);
    Ok(adapter_door(service, store, config)?
        .merge(external)
        .merge(api::health_router(Some(store.clone()), readiness.clone())))
}

/// Nothing may be appended before the relay's slot exists: it would not see it.
async fn wait_for(relays: &[relay::Config], shutdown: &CancellationToken) {
    let all = join_all(relays.iter().map(async |relay| {
        // It ends with the relay, and then the process does.
        let _ = relay.status.subscribe().wait_for(|report| report.phase == Phase::Relaying).await;
    }));
    tokio::select! {
        _ = all => {}
        () = shutdown.cancelled() => {}
    }
}

/// The same where the relay is another process.
async fn wait_for_slot(
    store: &Store,
    service: ServiceName,
    config: &Config,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let slot = &service.database(config).slot;
    if !is_slot_made(store, slot).await? {
        tracing::warn!(slot, "waiting for `lunaria relay run {}` to make its slot", service.as_str());
        ensure!(until_slot_is_made(store, slot, shutdown).await, "stopped while waiting for the slot {slot}");
    }
    Ok(())
}

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another address by {setting}"))
}

async fn bind_ops(config: &Config) -> anyhow::Result<Ops> {
    Ops::new(bind(config.ops.listen, "ops.listen").await?, &config.ops)
}

/// One line an address on standard output, for whoever started the process on port 0.
fn announce(listening: &[(&str, SocketAddr)]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for (name, address) in listening {
        writeln!(out, "listening {name} http://{address}")?;
    }
    Ok(out.flush()?)
}

fn is_enabled(service: ServiceName, config: &Config) -> anyhow::Result<()> {
    let is_enabled = ServiceName::enabled(config).contains(&service);
    ensure!(is_enabled, "{} is switched off: set card.enabled = true", service.as_str());
    Ok(())
}

fn several_processes(config: &Config) -> anyhow::Result<()> {
    ensure!(
        config.transport == Transport::Kafka,
        "the embedded transport has all roles in one process: `lunaria serve`, or --set transport=kafka"
    );
    Ok(())
}
