//! The drain of a backlog of single-event transactions, and what it costs whom.

use std::time::{Duration, Instant};

use pgoutput::Lsn;
use replication::{Client, SlotName, WalMessage};

use super::child::RelayChild;
use super::figure;
use super::ground::Ground;
use crate::bench::append::{event, rate};
use crate::bench::figure::Figure;
use crate::bench::usage::{cpu_seconds, peak_rss_megabytes};
use crate::cli::BenchOptions;
use crate::relays::PUBLICATION;

const WRITERS: u32 = 16;
/// What the server pays for sending depends on how it is read, so the floor is the best of these: as the relay reads, and
/// with so much time to gather more.
const NULL_PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(2), Duration::from_millis(5)];
/// For each round one to read and one to relay.
const SLOTS: [[&str; 2]; 3] = [["null_1", "relay_1"], ["null_2", "relay_2"], ["null_3", "relay_3"]];
const EVENTS_PER_CPU_SECOND: f64 = 300_000.0;
const MICROS_PER_EVENT: f64 = 22.0;
const RSS_MEGABYTES: f64 = 64.0;

/// One drain by the relay.
struct Drained {
    events_per_second: f64,
    relay_seconds: f64,
    walsender_seconds: f64,
    broker_seconds: f64,
    rss_megabytes: f64,
}

pub(super) async fn measure(ground: &Ground, options: &BenchOptions) -> anyhow::Result<Vec<Figure>> {
    ground.make_slots(SLOTS.as_flattened()).await?;
    backlog(ground, options.events).await?;
    let end = ground.log_end().await?;
    let (mut floor, mut rounds) = (0.0, Vec::new());
    // In turn, since the machine is shared; the best of each.
    for ([null, relay], pause) in SLOTS.into_iter().zip(NULL_PAUSES) {
        let took = null_reader(ground, null, end, pause).await?;
        floor = f64::max(floor, rate(options.events.into(), took));
        ground.drop_slot(null).await?;
        rounds.push(drain(ground, relay, end, options.events).await?);
        ground.drop_slot(relay).await?;
    }
    Ok(figures(&rounds, floor, options.events))
}

#[expect(clippy::float_arithmetic, reason = "CPU time, far from any money")]
fn figures(rounds: &[Drained], floor: f64, events: u32) -> Vec<Figure> {
    let best = |of: fn(&Drained) -> f64| rounds.iter().map(of).fold(f64::INFINITY, f64::min);
    let fastest = rounds.iter().map(|round| round.events_per_second).fold(0.0, f64::max);
    let micros = |seconds: f64| seconds * 1e6 / f64::from(events);
    let relay_seconds = best(|round| round.relay_seconds);
    let all_seconds = best(|round| round.relay_seconds + round.walsender_seconds + round.broker_seconds);
    let largest = rounds.iter().map(|round| round.rss_megabytes).fold(0.0, f64::max);
    let per_cpu_second = f64::from(events) / relay_seconds;
    vec![
        figure("relay.drain", fastest, "events/s", Some(floor)),
        figure("relay.events_per_cpu_second", per_cpu_second, "events", Some(EVENTS_PER_CPU_SECOND)),
        figure("relay.cpu_per_event", micros(all_seconds), "us", Some(MICROS_PER_EVENT)),
        figure("relay.cpu_per_event_relay", micros(relay_seconds), "us", None),
        figure("relay.cpu_per_event_walsender", micros(best(|round| round.walsender_seconds)), "us", None),
        figure("relay.cpu_per_event_broker", micros(best(|round| round.broker_seconds)), "us", None),
        figure("relay.rss", largest, "MB", Some(RSS_MEGABYTES)),
    ]
}

/// Single-event transactions; without waiting for the disk, which is not what is measured.
pub(super) async fn backlog(ground: &Ground, events: u32) -> anyhow::Result<()> {
    let store = ground.store(WRITERS, "off").await?;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            for _ in 0..events / WRITERS {
                store.append(vec![event()?]).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    store.pool().close().await;
    Ok(())
}

/// Reads as the relay reads, and drops what it gets.
async fn null_reader(ground: &Ground, slot: &str, end: Lsn, pause: Duration) -> anyhow::Result<Duration> {
    let client = Client::connect(&ground.replication()).await?;
    let start = Instant::now();
    let mut stream = client.start_replication(&SlotName::new(slot)?, Lsn::ZERO, PUBLICATION).await?;
    let mut batch = Vec::new();
    loop {
        stream.read(&mut batch).await?;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let reached = batch.drain(..).any(|message| match message {
            WalMessage::Data { wal_end, .. } | WalMessage::KeepAlive { wal_end, .. } => wal_end >= end,
        });
        if reached {
            let took = start.elapsed();
            stream.stop().await?;
            return Ok(took);
        }
    }
}

#[expect(clippy::float_arithmetic, reason = "CPU time, far from any money")]
async fn drain(ground: &Ground, slot: &str, end: Lsn, events: u32) -> anyhow::Result<Drained> {
    let relay = RelayChild::start(ground, slot, &[]).await?;
    // A start is no part of a drain.
    let (relay_before, broker_before) = (cpu_seconds(relay.pid)?, cpu_seconds(ground.broker_pid)?);
    let start = Instant::now();
    let mut walsender_seconds = 0.0;
    ground
        .until_confirmed(slot, end, |walsender| {
            let used = walsender.and_then(|pid| cpu_seconds(pid).ok());
            walsender_seconds = used.unwrap_or(walsender_seconds);
        })
        .await?;
    let drained = Drained {
        events_per_second: rate(events.into(), start.elapsed()),
        relay_seconds: cpu_seconds(relay.pid)? - relay_before,
        walsender_seconds,
        broker_seconds: cpu_seconds(ground.broker_pid)? - broker_before,
        rss_megabytes: peak_rss_megabytes(relay.pid)?,
    };
    relay.stop().await?;
    Ok(drained)
}
