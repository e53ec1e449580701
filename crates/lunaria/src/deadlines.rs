//! The deadlines of each service: fired, and set once more after a restore of its events alone.

use std::io::Write;
use std::time::Duration;

use correction::{Bulk, Correction};
use event_store::{Scheduler, Store};
use instant::{ClearingHouse, Courier};

use crate::cli::ServiceName;
use crate::config::Config;
use crate::services::{connect, instant_url};

/// An adapter's calls to the clearing house are deadlines of its submissions.
pub(crate) fn scheduler(service: ServiceName, store: Store, config: &Config) -> anyhow::Result<Scheduler> {
    let scheduler = Scheduler::new(store);
    Ok(match service {
        ServiceName::Core => {
            let scheduler = authorisation::install(incoming::install(transfer::install(scheduler)));
            order::install(scheduler, config.order_payments()).with::<Correction>().with::<Bulk>()
        }
        ServiceName::AdapterCard => card::install(scheduler),
        ServiceName::AdapterInstant => {
            let (rail, url) = (config.instant.rail()?, &config.instant.clearing_house_url);
            let timeout = Duration::from_millis(config.instant.answer_timeout_ms.unsigned_abs());
            let token = &config.instant.house_token;
            let house = ClearingHouse::new(url, &instant_url(config), token, timeout)?;
            Courier::new(house, rail, config.instant.circuit()).install(scheduler)
        }
    })
}

/// `lunaria restore-deadlines`.
pub(crate) async fn restore(service: ServiceName, config: &Config) -> anyhow::Result<()> {
    let store = connect(service, config).await?;
    let restored = scheduler(service, store.clone(), config)?.restore().await?;
    writeln!(std::io::stdout(), "{}: {restored} deadlines were missing and are set", service.as_str())?;
    store.pool().close().await;
    Ok(())
}
