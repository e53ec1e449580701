//! The same backlog out of the event table instead of the log.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::child::RelayChild;
use super::drain::backlog;
use super::figure;
use super::ground::Ground;
use crate::bench::append::rate;
use crate::bench::figure::Figure;
use crate::cli::BenchOptions;

const SLOT: &str = "catch_up";
/// A backlog of more than this is not read out of the log.
const SETTING: &str = "relay.catch_up_bytes=1000000";
const FIRST_EVENTS: u32 = 1_600;
const POLL: Duration = Duration::from_millis(50);
const HORIZON_LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn measure(
    ground: &Ground,
    options: &BenchOptions,
    drain_events_per_second: f64,
) -> anyhow::Result<Figure> {
    ground.make_slots(&[SLOT]).await?;
    // What a relay that has run before knows: up to where everything is with Kafka.
    let relay = RelayChild::start(ground, SLOT, &["relay.watch_every_ms=200"]).await?;
    let began = Instant::now();
    while !has_horizon(ground).await? {
        ensure!(began.elapsed() < HORIZON_LIMIT, "the relay notes no horizon");
        backlog(ground, FIRST_EVENTS).await?;
        tokio::time::sleep(POLL).await;
    }
    ground.until_confirmed(SLOT, ground.log_end().await?, |_| {}).await?;
    relay.stop().await?;
    backlog(ground, options.events).await?;
    let end = ground.log_end().await?;
    let start = Instant::now();
    let relay = RelayChild::spawn(ground, SLOT, &[SETTING]).await?;
    ground.until_confirmed(SLOT, end, |_| {}).await?;
    let events_per_second = rate(options.events.into(), start.elapsed());
    let refilled = relay.counted("lunaria_relay_refilled_events_total").await?;
    relay.stop().await?;
    ground.drop_slot(SLOT).await?;
    ensure!(refilled >= f64::from(options.events), "only {refilled} events came out of the table");
    Ok(figure("relay.catch_up", events_per_second, "events/s", Some(drain_events_per_second)))
}

async fn has_horizon(ground: &Ground) -> anyhow::Result<bool> {
    let ask = "select horizon is not null from relay_state where slot = $1";
    Ok(sqlx::query_scalar(ask).bind(SLOT).fetch_one(&mut ground.connection().await?).await?)
}
