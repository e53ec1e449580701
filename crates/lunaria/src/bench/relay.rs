//! The drain of a backlog of single-event transactions to Kafka, beside a reader of the same WAL that does nothing
//! with it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use event_store::{APPLICATION_ROLE, Passwords, RELAY_ROLE, Store};
use local_servers::{KafkaBroker, KafkaOptions};
use pgoutput::Lsn;
use relay::{KafkaConfig, OpenKafka};
use replication::{Client, Host, SlotName, Snapshot, WalMessage};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;

use super::append::{event, rate};
use super::figure::Figure;
use super::{Bed, DATABASE};
use crate::cli::BenchOptions;
use crate::services::PUBLICATION;

const WRITERS: u32 = 16;
const POLL: Duration = Duration::from_millis(20);
/// `sysconf(_SC_CLK_TCK)` on Linux: the unit of the CPU times in /proc.
const TICKS_A_SECOND: f64 = 100.0;
/// What the server pays for sending depends on how it is read: a reader that always waits is woken for each message.
/// The floor is the best of these.
const NULL_PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(2)];
const SLOTS: [&str; 6] =
    ["bench_null_1", "bench_relay_1", "bench_null_2", "bench_relay_2", "bench_null_3", "bench_relay_3"];

pub(super) async fn measure(bed: &Bed, options: &BenchOptions) -> anyhow::Result<Vec<Figure>> {
    let libs = options.kafka_libs.clone();
    let libs = libs.context("bench relay needs Kafka's jars: --kafka-libs \"$(scripts/kafka.sh)\"")?;
    let directory = bed.directory.join("kafka");
    let start = move || KafkaBroker::start(KafkaOptions { directory, port: None, libs });
    let kafka = tokio::task::spawn_blocking(start).await??;
    let measured = drain(bed, options, &kafka.bootstrap()).await;
    tokio::task::spawn_blocking(move || kafka.stop()).await??;
    measured
}

async fn drain(bed: &Bed, options: &BenchOptions, brokers: &str) -> anyhow::Result<Vec<Figure>> {
    let (superuser, passwords) = bed.provision().await?;
    let replication = replication(&superuser, &passwords);
    for slot in SLOTS {
        let mut client = Client::connect(&replication).await?;
        client.create_slot(&SlotName::new(slot)?, Snapshot::Nothing, false).await?;
    }
    backlog(&superuser, &passwords, options.events).await?;
    let end = current_lsn(&superuser).await?;
    let (mut best_null, mut best_relay, mut per_cpu_second) = (0.0, 0.0, 0.0);
    // In turn, since the machine is shared; the best of each.
    for (turn, pair) in SLOTS.chunks(2).enumerate() {
        let took = null_reader(&replication, pair[0], end, NULL_PAUSES[turn]).await?;
        best_null = f64::max(best_null, rate(options.events.into(), took));
        let cpu_before = cpu_seconds()?;
        let took = relay_to_kafka(&superuser, &replication, pair[1], end, brokers).await?;
        best_relay = f64::max(best_relay, rate(options.events.into(), took));
        per_cpu_second = f64::max(per_cpu_second, rate(options.events.into(), cpu_since(cpu_before)?));
    }
    let figure = |measure, value, unit, floor| Figure { bench: "relay", measure, value, unit, floor };
    Ok(vec![
        figure("relay.drain", best_relay, "events/s", Some(best_null)),
        figure("relay.events_per_cpu_second", per_cpu_second, "events", Some(300_000.0)),
        figure("relay.rss", peak_rss_megabytes()?, "MB", Some(64.0)),
    ])
}

fn replication(superuser: &PgConnectOptions, passwords: &Passwords) -> replication::Config {
    let host = Host::Tcp { host: "127.0.0.1".to_owned(), port: superuser.get_port() };
    let mut config = replication::Config::new(host, RELAY_ROLE, DATABASE);
    config.password = Some(replication::Secret::from(passwords.relay.clone()));
    config
}

/// Single-event transactions; without waiting for the disk, which is not what is measured.
async fn backlog(superuser: &PgConnectOptions, passwords: &Passwords, events: u32) -> anyhow::Result<()> {
    let application = superuser
        .clone()
        .username(APPLICATION_ROLE)
        .password(&passwords.application)
        .options([("synchronous_commit", "off")]);
    let pool = PgPoolOptions::new().max_connections(WRITERS).connect_with(application).await?;
    let store = Store::new("bench", pool);
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

async fn current_lsn(superuser: &PgConnectOptions) -> anyhow::Result<Lsn> {
    let mut connection = PgConnection::connect_with(superuser).await?;
    sqlx::query("checkpoint").execute(&mut connection).await?;
    let lsn: String =
        sqlx::query_scalar("select pg_current_wal_flush_lsn()::text").fetch_one(&mut connection).await?;
    Ok(lsn.parse()?)
}

/// Reads as the relay reads, and drops what it gets.
async fn null_reader(
    replication: &replication::Config,
    slot: &str,
    end: Lsn,
    pause: Duration,
) -> anyhow::Result<Duration> {
    let client = Client::connect(replication).await?;
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

/// Until the slot is confirmed past the backlog: everything is in Kafka, acknowledged by all replicas.
async fn relay_to_kafka(
    superuser: &PgConnectOptions,
    replication: &replication::Config,
    slot: &str,
    end: Lsn,
    brokers: &str,
) -> anyhow::Result<Duration> {
    let kafka = KafkaConfig {
        brokers: brokers.to_owned(),
        prefix: format!("{slot}."),
        service: "bench".to_owned(),
        partitions: 8,
        replication: 1,
    };
    relay::ensure_topics(&kafka, &[relay::topic_name(&kafka.prefix, "bench", "account")]).await?;
    let config = relay::Config {
        replication: replication.clone(),
        slot: SlotName::new(slot)?,
        publication: PUBLICATION.to_owned(),
        relaying: Arc::new(AtomicBool::new(false)),
    };
    let (relaying, shutdown) = (Arc::clone(&config.relaying), CancellationToken::new());
    let running = tokio::spawn(relay::run(config, OpenKafka { config: kafka }, shutdown.clone()));
    while !relaying.load(Ordering::Acquire) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let start = Instant::now();
    let mut connection = PgConnection::connect_with(superuser).await?;
    loop {
        let done: bool = sqlx::query_scalar(
            "select confirmed_flush_lsn >= $1::pg_lsn from pg_replication_slots where slot_name = $2",
        )
        .bind(end.to_string())
        .bind(slot)
        .fetch_one(&mut connection)
        .await?;
        if done {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    let took = start.elapsed();
    shutdown.cancel();
    running.await??;
    Ok(took)
}

/// User and system time of this process.
#[expect(clippy::float_arithmetic, reason = "CPU time, far from any money")]
fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // After the program's name, which may hold anything: state is field 3, utime 14, stime 15.
    let (_, fields) = stat.rsplit_once(')').context("/proc/self/stat has changed")?;
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<f64>().unwrap_or_default())
        .sum();
    Ok(ticks / TICKS_A_SECOND)
}

#[expect(clippy::float_arithmetic, reason = "CPU time, far from any money")]
fn cpu_since(before: f64) -> anyhow::Result<Duration> {
    Ok(Duration::from_secs_f64(cpu_seconds()? - before))
}

#[expect(clippy::float_arithmetic, reason = "memory, far from any money")]
fn peak_rss_megabytes() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}
