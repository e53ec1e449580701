//! The embedded transport: every role of every service in this process, without a broker.

use std::sync::Arc;

use async_trait::async_trait;
use delivery::{Engine, Feed, leave_out_others};
use event::RecordedEvent;
use event_store::Store;
use futures::future::join_all;
use relay::{OpenEmbedded, Outlet, Settle};
use tokio_util::sync::CancellationToken;

use crate::cli::ServiceName;
use crate::config::Config;
use crate::process::Parts;
use crate::relays::relay_config;
use crate::services::{Views, history_nearby, start_own};

/// Starts handlers, views, relays and deadlines of the services, and returns the relays. At shutdown the handlers go on until the relays have ended, so
/// that what is in flight is settled and need not be delivered again.
pub(crate) async fn start(
    parts: &mut Parts,
    config: &Config,
    stores: &[Store],
    views: &Views,
    shutdown: &CancellationToken,
) -> anyhow::Result<Vec<relay::Config>> {
    let handlers_shutdown = CancellationToken::new();
    let mut engines = Vec::new();
    for (service, store) in ServiceName::enabled(config).into_iter().zip(stores) {
        let handlers = service.handlers(config);
        let names: Vec<&str> = handlers.iter().map(|handler| handler.name()).collect();
        // Before anything is delivered: what was switched off reads the history when it is switched on again.
        leave_out_others(store.pool(), &names).await?;
        for handler in handlers {
            let history = history_nearby(store, handler.subscription().source, stores)?;
            engines.push(Engine::new(handler, store.clone(), history, handlers_shutdown.clone()));
        }
        if service == ServiceName::Core {
            for view in views.all() {
                let history = Arc::new(store.clone());
                engines.push(Engine::elsewhere(view, store.clone(), history, handlers_shutdown.clone()));
            }
        }
        start_own(parts, service, store, config, shutdown)?;
    }
    let mut feeds = Vec::new();
    for engine in engines {
        let (feed, worker) = Feed::open(engine).await?;
        feeds.push(feed);
        parts.start("handler", async move {
            Box::pin(worker.run()).await;
            Ok(())
        });
    }
    let mut relays = Vec::new();
    let mut running = Vec::new();
    for service in ServiceName::enabled(config) {
        let outlets: Vec<Box<dyn Outlet>> = feeds
            .iter()
            .map(|feed| {
                Box::new(FeedOutlet { feed: Arc::clone(feed), source: service.as_str() }) as Box<dyn Outlet>
            })
            .collect();
        let (relay, token) = (relay_config(service, config)?, shutdown.clone());
        relays.push(relay.clone());
        running.push(async move {
            let outcome = relay::run(relay, OpenEmbedded { outlets: outlets.into() }, token.clone()).await;
            // One that halts stops the others, and with them the process.
            token.cancel();
            outcome
        });
    }
    parts.start("relay", async move {
        let outcomes = join_all(running).await;
        handlers_shutdown.cancel();
        outcomes.into_iter().collect::<Result<(), _>>().map_err(Into::into)
    });
    Ok(relays)
}

/// A handler's feed as the relay of one service sees it.
struct FeedOutlet {
    feed: Arc<Feed>,
    source: &'static str,
}

#[async_trait]
impl Outlet for FeedOutlet {
    fn wants(&self, category: &str) -> bool {
        self.feed.wants(self.source, category)
    }

    async fn offer(&self, event: &Arc<RecordedEvent>, settle: Settle) -> Result<(), relay::Error> {
        self.feed.offer(event, settle).await.map_err(|stopped| relay::Error::Sink(stopped.to_string()))
    }
}
