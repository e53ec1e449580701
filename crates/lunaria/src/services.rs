//! What each service is made of: its handlers, what they read, its deadlines, its doors.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::IssuedKey;
use anyhow::{Context, bail, ensure};
use authorisation::{Authorisation, AuthorisationView, Card, CardMessages, VerdictStream};
use axum::Router;
use card::{CardStream, Verdicts};
use cases::{Case, CaseView, OpenCases};
use correction::{Bulk, BulkRunner, BulkView, Correction, CorrectionView};
use customer::{Customer, CustomerView};
use delivery::{Deriving, Elsewhere, ExternalStreams, Handler, History, HttpHistory, Retry, Verify};
use event::{Aggregate, DecodeError, RecordedEvent};
use event_store::Store;
use event_words::EventWords;
use incoming::{AcceptanceStream, Arrivals, Incoming, IncomingView};
use instant::{Acceptances, ClearingStream, ClearingStreamV1, IncomingStream, Submissions};
use ledger::{Account, AccountEvent, BalanceStream, LedgerView, Posting};
use order::{Credit, Order, OrderView};
use projection::{InMemory, Keeper, Projecting, Projection, Rebuild, RebuildDesk};
use tokio_util::sync::CancellationToken;
use transfer::{
    Clearing, PaymentStream, PaymentStreamV1, Reservations, StatusStream, Transfer, TransferView,
};
use webhook::{Courier as WebhookCourier, Endpoint, EndpointView, FanOut, WebhookDesk};

use crate::cli::{Rail, ServiceName};
use crate::config::{Config, Database};
use crate::deadlines::scheduler;
use crate::process::Parts;

pub(crate) const CORE: &str = "core";
const SLOT_POLL: Duration = Duration::from_millis(200);

impl ServiceName {
    pub(crate) const ALL: [Self; 3] = [Self::Core, Self::AdapterInstant, Self::AdapterCard];

    /// Those that there are, core first.
    pub(crate) fn enabled(config: &Config) -> Vec<Self> {
        Self::ALL.into_iter().filter(|service| *service != Self::AdapterCard || config.card.enabled).collect()
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Core => CORE,
            Self::AdapterInstant => instant::SERVICE,
            Self::AdapterCard => card::SERVICE,
        }
    }

    pub(crate) fn database(self, config: &Config) -> &Database {
        match self {
            Self::Core => &config.core.database,
            Self::AdapterInstant => &config.instant.database,
            Self::AdapterCard => &config.card.database,
        }
    }

    pub(crate) fn database_mut(self, config: &mut Config) -> &mut Database {
        match self {
            Self::Core => &mut config.core.database,
            Self::AdapterInstant => &mut config.instant.database,
            Self::AdapterCard => &mut config.card.database,
        }
    }

    /// The categories of its streams, and so its topics.
    pub(crate) fn categories(self) -> &'static [&'static str] {
        match self {
            Self::Core => &[
                Account::CATEGORY,
                Transfer::CATEGORY,
                Incoming::CATEGORY,
                Card::CATEGORY,
                Authorisation::CATEGORY,
                Credit::CATEGORY,
                Order::CATEGORY,
                Customer::CATEGORY,
                IssuedKey::CATEGORY,
                Endpoint::CATEGORY,
                contract::transfer::CATEGORY,
                Case::CATEGORY,
                Correction::CATEGORY,
                Bulk::CATEGORY,
                Retry::CATEGORY,
                Rebuild::CATEGORY,
                contract::payment::CATEGORY,
                contract::payment::v1::CATEGORY,
                contract::acceptance::CATEGORY,
                contract::verdict::CATEGORY,
                contract::account::CATEGORY,
            ],
            Self::AdapterInstant => &[
                instant::Submission::CATEGORY,
                instant::Inbound::CATEGORY,
                adapter::Unmatched::CATEGORY,
                adapter::RailHealth::CATEGORY,
                contract::incoming::CATEGORY,
                contract::clearing::CATEGORY,
                contract::clearing::v1::CATEGORY,
            ],
            Self::AdapterCard => {
                &[card::Exchange::CATEGORY, adapter::Unmatched::CATEGORY, contract::card::CATEGORY]
            }
        }
    }

    pub(crate) fn handlers(self, config: &Config) -> Vec<Arc<dyn Handler>> {
        let mut handlers: Vec<Arc<dyn Handler>> = match self {
            Self::Core => vec![
                Arc::new(Reservations { limits: config.limits(), approvals: config.approvals() }),
                Arc::new(Deriving::<PaymentStream>::new()),
                Arc::new(Clearing { adapter: instant::SERVICE }),
                Arc::new(Deriving::<BalanceStream>::new()),
                Arc::new(Arrivals { adapter: instant::SERVICE, limits: config.incoming_limits() }),
                Arc::new(Deriving::<AcceptanceStream>::new()),
                Arc::new(Deriving::<VerdictStream>::new()),
                Arc::new(RebuildDesk),
            ],
            Self::AdapterInstant => vec![
                Arc::new(Submissions),
                Arc::new(Deriving::<ClearingStream>::new()),
                Arc::new(Acceptances),
                Arc::new(Deriving::<IncomingStream>::new()),
            ],
            Self::AdapterCard => vec![Arc::new(Verdicts), Arc::new(Deriving::<CardStream>::new())],
        };
        if self == Self::Core && config.card.enabled {
            handlers.push(Arc::new(CardMessages { adapter: card::SERVICE, hold_for: config.card_hold() }));
        }
        if self == Self::Core && config.webhooks.is_on() {
            handlers.push(Arc::new(Deriving::<StatusStream>::new()));
            handlers.push(Arc::new(FanOut { contracts: WEBHOOK_CONTRACTS }));
            handlers.push(Arc::new(WebhookDesk));
        }
        for projection in self.projections(config) {
            handlers.push(Arc::new(Projecting(projection)));
        }
        match self {
            Self::Core if config.contracts.publishes(contract::payment::v1::CATEGORY) => {
                handlers.push(Arc::new(Deriving::<PaymentStreamV1>::new()));
            }
            Self::AdapterInstant if config.contracts.publishes(contract::clearing::v1::CATEGORY) => {
                handlers.push(Arc::new(Deriving::<ClearingStreamV1>::new()));
            }
            _ => {}
        }
        handlers
    }

    /// Its read models, as migrations name them too.
    pub(crate) fn projections(self, config: &Config) -> Vec<Arc<dyn Projection>> {
        let mut projections: Vec<Arc<dyn Projection>> = match self {
            Self::Core => vec![
                Arc::new(LedgerView { categories: &MOVES_MONEY, postings }),
                Arc::new(TransferView::default()),
                Arc::new(IncomingView::default()),
                Arc::new(AuthorisationView::default()),
                Arc::new(OrderView::default()),
                Arc::new(CustomerView::default()),
                Arc::new(EndpointView::default()),
                Arc::new(CaseView::default()),
                Arc::new(CorrectionView::default()),
                Arc::new(BulkView::default()),
            ],
            Self::AdapterInstant | Self::AdapterCard => vec![],
        };
        if self == Self::Core && config.core.search_events {
            projections.push(Arc::new(EventWords));
        }
        projections
    }
}

/// What core's API keeps in memory.
#[derive(Clone, Default)]
pub(crate) struct Views {
    pub(crate) open_cases: Arc<InMemory<OpenCases>>,
}

impl Views {
    pub(crate) fn all(&self) -> [Arc<dyn Elsewhere>; 1] {
        [Arc::clone(&self.open_cases) as Arc<dyn Elsewhere>]
    }
}

/// What endpoints may be told.
pub(crate) const WEBHOOK_CONTRACTS: &[&str] = &[contract::transfer::CATEGORY, contract::account::CATEGORY];

/// Core's streams whose events carry postings.
const MOVES_MONEY: [&str; 3] = [Account::CATEGORY, Incoming::CATEGORY, Authorisation::CATEGORY];

fn postings(event: &RecordedEvent) -> Result<Vec<Posting>, DecodeError> {
    Ok(match event.stream.category() {
        Incoming::CATEGORY => incoming::postings_of(&event.decode()?).to_vec(),
        Authorisation::CATEGORY => authorisation::postings_of(&event.decode()?).to_vec(),
        _ => event.decode::<AccountEvent>()?.postings().to_vec(),
    })
}

/// What can be derived once more and compared, by service. A deprecated version only where it is published.
pub(crate) fn derivations(service: ServiceName, config: &Config) -> Vec<Box<dyn Verify>> {
    let mut derivations: Vec<Box<dyn Verify>> = match service {
        ServiceName::Core => {
            vec![
                Box::new(Deriving::<PaymentStream>::new()),
                Box::new(Deriving::<AcceptanceStream>::new()),
                Box::new(Deriving::<VerdictStream>::new()),
                Box::new(Deriving::<BalanceStream>::new()),
            ]
        }
        ServiceName::AdapterInstant => {
            vec![Box::new(Deriving::<ClearingStream>::new()), Box::new(Deriving::<IncomingStream>::new())]
        }
        ServiceName::AdapterCard => vec![Box::new(Deriving::<CardStream>::new())],
    };
    match service {
        ServiceName::Core if config.webhooks.is_on() => {
            derivations.push(Box::new(Deriving::<StatusStream>::new()));
        }
        _ => {}
    }
    match service {
        ServiceName::Core if config.contracts.publishes(contract::payment::v1::CATEGORY) => {
            derivations.push(Box::new(Deriving::<PaymentStreamV1>::new()));
        }
        ServiceName::AdapterInstant if config.contracts.publishes(contract::clearing::v1::CATEGORY) => {
            derivations.push(Box::new(Deriving::<ClearingStreamV1>::new()));
        }
        _ => {}
    }
    derivations
}

pub(crate) async fn connect(service: ServiceName, config: &Config) -> anyhow::Result<Store> {
    let database = service.database(config);
    let options = database.database_url.application()?;
    Store::connect(service.as_str(), options, database.connections_max).await.with_context(|| {
        let url = &database.database_url;
        format!("cannot connect to {url}: `lunaria doctor` says what is missing")
    })
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
    let (url, token) = match source {
        CORE => {
            let token = config.core.external_token.as_str();
            ensure!(
                !token.is_empty(),
                "core shows its external streams to a key with the role service: set core.external_token"
            );
            (config.core.external_url.clone(), token)
        }
        instant::SERVICE => (instant_url(config), config.instant.house_token.as_str()),
        card::SERVICE => {
            (url_or(&config.card.public_url, config.card.listen), config.card.network_token.as_str())
        }
        _ => bail!("{source} is not a service"),
    };
    Ok(Arc::new(HttpHistory::new(&url, token)))
}

/// The adapter as the clearing house and core reach it.
pub(crate) fn instant_url(config: &Config) -> String {
    url_or(&config.instant.public_url, config.instant.listen)
}

fn url_or(public: &str, listen: SocketAddr) -> String {
    if public.is_empty() { format!("http://{listen}") } else { public.to_owned() }
}

impl Rail {
    pub(crate) fn service(self) -> ServiceName {
        match self {
            Self::Instant => ServiceName::AdapterInstant,
            Self::Card => ServiceName::AdapterCard,
        }
    }
}

/// Where an adapter listens, and the setting that says so. None: core is no adapter.
pub(crate) fn adapter_address(service: ServiceName, config: &Config) -> Option<(SocketAddr, &'static str)> {
    match service {
        ServiceName::Core => None,
        ServiceName::AdapterInstant => Some((config.instant.listen, "instant.listen")),
        ServiceName::AdapterCard => Some((config.card.listen, "card.listen")),
    }
}

/// What has to be shown at an adapter's door.
pub(crate) fn door_token(service: ServiceName, config: &Config) -> anyhow::Result<Option<&str>> {
    match service {
        ServiceName::Core => Ok(None),
        ServiceName::AdapterInstant => config.instant.inbox_token(),
        ServiceName::AdapterCard => config.card.door_token(),
    }
}

/// Where the outside world speaks to an adapter. Fails where that would let in whoever gets there.
pub(crate) fn adapter_door(service: ServiceName, store: &Store, config: &Config) -> anyhow::Result<Router> {
    let store = store.clone();
    Ok(match service {
        ServiceName::Core => Router::new(),
        ServiceName::AdapterInstant => {
            instant::router(store, config.instant.rail()?, door_token(service, config)?)
        }
        ServiceName::AdapterCard => {
            card::router(store, config.card.answer_within(), door_token(service, config)?)
        }
    })
}

/// Whether there is a slot that sees what is appended. One that is still being made shows itself already, and would not.
pub(crate) async fn is_slot_made(store: &Store, slot: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from pg_replication_slots where slot_name = $1 and confirmed_flush_lsn is not null)",
    )
    .bind(slot)
    .fetch_one(store.pool())
    .await
}

/// False: shutdown came first.
pub(crate) async fn until_slot_is_made(store: &Store, slot: &str, shutdown: &CancellationToken) -> bool {
    while !shutdown.is_cancelled() {
        if is_slot_made(store, slot).await.is_ok_and(|is_made| is_made) {
            return true;
        }
        tokio::select! {
            () = tokio::time::sleep(SLOT_POLL) => {}
            () = shutdown.cancelled() => {}
        }
    }
    false
}

/// Starts what a service does by itself: its deadlines, the rebuilds of its projections, and in core the count of what needs a person.
pub(crate) fn start_own(
    parts: &mut Parts,
    service: ServiceName,
    store: &Store,
    config: &Config,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let (deadlines, token) = (scheduler(service, store.clone(), config)?, shutdown.clone());
    parts.start("deadlines", async move { Ok(deadlines.run(token).await?) });
    let projections = service.projections(config);
    if !projections.is_empty() {
        let (keeper, token) = (Keeper::new(store.clone(), projections), shutdown.clone());
        let (store, slot) = (store.clone(), service.database(config).slot.clone());
        parts.start("projections", async move {
            // It may ask for a rebuild, which is an event.
            if until_slot_is_made(&store, &slot, &token).await {
                keeper.run(token).await;
            }
            Ok(())
        });
    }
    if service == ServiceName::Core
        && let Some(key) = config.webhooks.key()?
    {
        let (courier, token) =
            (WebhookCourier::new(store.clone(), key, config.webhooks.policy())?, shutdown.clone());
        parts.start("webhooks", async move {
            courier.run(token).await;
            Ok(())
        });
    }
    if service == ServiceName::Core {
        let (handlers, policy) = (service.handlers(config), config.core.corrections.policy());
        let (runner, token) =
            (BulkRunner::new(store.clone(), handlers, policy, config.previews_at_once()), shutdown.clone());
        parts.start("bulk corrections", async move {
            runner.run(token).await;
            Ok(())
        });
        let (store, token) = (store.clone(), shutdown.clone());
        parts.start("cases", async move {
            cases::keep_gauge(&store, &token).await;
            Ok(())
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Whether a committed sample of an event of this category holds a word that is searched.
    fn has_words(category: &str) -> bool {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let crates = ["crates", "sagas"].map(|folder| fs::read_dir(root.join(folder)).unwrap());
        let folders =
            crates.into_iter().flatten().map(|entry| entry.unwrap().path().join("samples").join(category));
        let samples = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let mut texts = samples.map(|sample| fs::read_to_string(sample.unwrap().path()).unwrap());
        texts.any(|text| event_words::words_in(&text).unwrap().is_some())
    }

    #[test]
    fn events_of_core_that_hold_words_are_found_by_them() {
        for category in ServiceName::Core.categories() {
            let is_external = category.parse::<event::Category>().unwrap().is_external();
            // Accounts have many events for the few words in them, keys are named as their holders are, and what fails a rebuild stands in its
            // operation.
            let left_out = [Account::CATEGORY, IssuedKey::CATEGORY, Rebuild::CATEGORY];
            let is_left_out = is_external || left_out.contains(category);
            let is_searched = event_words::CATEGORIES.contains(category);
            assert_eq!(is_searched, !is_left_out && has_words(category), "{category}");
        }
    }
}
