//! Appends of one event by 16 writers: bare insert (the floor), `append_event` in SQL, and through the crate.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use event::{Actor, CausationKind, Metadata, NewEvent, Seq, StreamName};
use event_store::{APPLICATION_ROLE, Passwords, Store};
use serde_json::value::RawValue;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;
use uuid::Uuid;

use super::figure::Figure;
use super::{Bed, DATABASE, append_long};
use crate::cli::BenchOptions;

const WRITERS: u32 = 16;
/// About 300 bytes, as a payment's event has.
const DATA: &str = r#"{"reservation_id":"0198c1f2-0000-7000-8000-000000000002","amount":{"amount":"12500","currency":"DKK"},"postings":[{"account":"available","amount":{"amount":"-12500","currency":"DKK"}},{"account":"reserved","amount":{"amount":"12500","currency":"DKK"}}]}"#;
const METADATA: &str =
    r#"{"actor":"customer:0198c1f2-0000-7000-8000-000000000002","causation_kind":"request"}"#;

const BARE_INSERT: &str = "insert into bench_event (stream, seq, id, type, version, data, correlation_id, causation_id, metadata, recorded_at)
values ('account-' || gen_random_uuid(), 1, gen_random_uuid(), 'FundsReserved', 1, '{DATA}', gen_random_uuid(), gen_random_uuid(), '{METADATA}', clock_timestamp());";
const APPEND_EVENT: &str = "select append_event('account-' || gen_random_uuid(), 1, gen_random_uuid(), 'FundsReserved', 1::smallint, '{DATA}', gen_random_uuid(), gen_random_uuid(), '{METADATA}');";
const ROUNDS: u32 = 3;

pub(super) async fn measure(bed: &Bed, options: &BenchOptions) -> anyhow::Result<Vec<Figure>> {
    let (superuser, passwords) = bed.provision().await?;
    let mut connection = PgConnection::connect_with(&superuser).await?;
    sqlx::raw_sql(
        "create table bench_event (position bigint not null generated always as identity, stream text collate \"C\" not null,
             seq bigint not null, id uuid not null unique, type text not null, version smallint not null,
             data jsonb not null, correlation_id uuid not null, causation_id uuid not null,
             metadata jsonb not null, recorded_at timestamptz not null, primary key (stream, seq));
         grant insert on bench_event to lunaria_app",
    )
    .execute(&mut connection)
    .await?;
    let application = superuser.clone().username(APPLICATION_ROLE).password(&passwords.application);
    let seconds = options.seconds;
    // In turn, so that a noisy minute does not fall on one of them alone; the best of each.
    let (mut floor, mut in_sql, mut in_crate) = (0.0, 0.0, 0.0);
    for _ in 0..ROUNDS {
        floor =
            f64::max(floor, pgbench(bed, &application, &passwords.application, BARE_INSERT, seconds).await?);
        in_sql = f64::max(
            in_sql,
            pgbench(bed, &application, &passwords.application, APPEND_EVENT, seconds).await?,
        );
        in_crate = f64::max(in_crate, through_crate(&store(&application, &passwords).await?, seconds).await?);
    }
    let figure =
        |measure, value| Figure { bench: "append", measure, value, unit: "appends/s", floor: Some(floor) };
    let mut figures = vec![figure("append.sql", in_sql), figure("append.crate", in_crate)];
    if options.long {
        figures.push(append_long::measure(bed, options).await?);
    }
    Ok(figures)
}

async fn pgbench(
    bed: &Bed,
    application: &PgConnectOptions,
    password: &str,
    script: &str,
    seconds: u32,
) -> anyhow::Result<f64> {
    let file = bed.directory.join("bench.sql");
    tokio::fs::write(&file, script.replace("{DATA}", DATA).replace("{METADATA}", METADATA)).await?;
    let output = Command::new(pgbench_program()?)
        .args(["-n", "-M", "prepared", "-j", "2", "-h", "127.0.0.1", "-U", APPLICATION_ROLE])
        .args([
            "-c",
            &WRITERS.to_string(),
            "-T",
            &seconds.to_string(),
            "-p",
            &application.get_port().to_string(),
        ])
        .arg("-f")
        .arg(&file)
        .arg(DATABASE)
        .env("PGPASSWORD", password)
        .output()
        .await
        .context("pgbench did not start")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.with_context(|| format!("pgbench: {}{text}", String::from_utf8_lossy(&output.stderr)))
}

/// Beside the server's other programs, as Debian has it, or on the path.
fn pgbench_program() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut programs: Vec<PathBuf> = versions
        .map(|version| version.path().join("bin/pgbench"))
        .filter(|program| program.exists())
        .collect();
    programs.sort();
    Ok(programs.pop().unwrap_or_else(|| PathBuf::from("pgbench")))
}

/// As the roles connect.
pub(super) async fn store(application: &PgConnectOptions, passwords: &Passwords) -> anyhow::Result<Store> {
    let url = format!(
        "postgres://{APPLICATION_ROLE}:{}@127.0.0.1:{}/{}",
        passwords.application,
        application.get_port(),
        application.get_database().unwrap_or(DATABASE),
    );
    Ok(Store::connect("bench", url.parse()?, WRITERS).await?)
}

/// New streams with UUIDv7 in their names, as the API makes them.
pub(super) async fn through_crate(store: &Store, seconds: u32) -> anyhow::Result<f64> {
    let (done, appended) = (Arc::new(std::sync::atomic::AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (store, done, appended) = (store.clone(), Arc::clone(&done), Arc::clone(&appended));
        writers.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                store.append(vec![event()?]).await?;
                appended.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    let start = Instant::now();
    tokio::time::sleep(Duration::from_secs(seconds.into())).await;
    let rate = rate(appended.load(Ordering::Relaxed), start.elapsed());
    done.store(true, Ordering::Relaxed);
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    store.pool().close().await;
    Ok(rate)
}

pub(super) fn event() -> anyhow::Result<NewEvent> {
    Ok(NewEvent {
        stream: StreamName::of("account", Uuid::now_v7()),
        seq: Seq::FIRST,
        id: Uuid::now_v7(),
        event_type: Cow::Borrowed("FundsReserved"),
        version: 1,
        data: RawValue::from_string(DATA.to_owned())?,
        correlation_id: Uuid::now_v7(),
        causation_id: Uuid::now_v7(),
        metadata: Metadata {
            actor: Actor("customer:0198c1f2-0000-7000-8000-000000000002".to_owned()),
            causation_kind: CausationKind::Request,
            traceparent: None,
            source: None,
        },
    })
}

#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "a rate, far from any money")]
pub(super) fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
