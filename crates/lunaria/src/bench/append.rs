//! Appends of one event by 16 writers: bare insert (the floor), `append_event` in SQL, and through the crate; and by 64 whose
//! units of work share their appends; and a command on a long stream.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use event::{Actor, CausationKind, Context, Metadata, NewEvent, Seq, StreamName};
use event_store::{APPLICATION_ROLE, Ahead, Group, Passwords, Store};
use futures::future::try_join_all;
use serde_json::value::RawValue;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::figure::Figure;
use super::pgbench::pgbench;
use super::{Bed, DATABASE, append_long, long_stream};
use crate::cli::BenchOptions;

const WRITERS: u32 = 16;
const GROUPED_WRITERS: u32 = 64;
/// About 300 bytes, as a payment's event has.
pub(super) const DATA: &str = r#"{"reservation_id":"0198c1f2-0000-7000-8000-000000000002","amount":{"amount":"12500","currency":"DKK"},"postings":[{"account":"available","amount":{"amount":"-12500","currency":"DKK"}},{"account":"reserved","amount":{"amount":"12500","currency":"DKK"}}]}"#;
pub(super) const METADATA: &str =
    r#"{"actor":"customer:0198c1f2-0000-7000-8000-000000000002","causation_kind":"request"}"#;

/// As the event table, without its rules.
pub(super) const BARE_TABLE: &str = "create table bench_event (position bigint not null generated always as identity,
        stream text collate \"C\" not null, seq bigint not null, id uuid not null unique, type text not null,
        version smallint not null, data jsonb not null, correlation_id uuid not null, causation_id uuid not null,
        metadata jsonb not null, recorded_at timestamptz not null, primary key (stream, seq));
    grant select, insert on bench_event to lunaria_app";
const BARE_INSERT: &str = "insert into bench_event (stream, seq, id, type, version, data, correlation_id, causation_id, metadata, recorded_at)
values ('account-' || gen_random_uuid(), 1, gen_random_uuid(), 'FundsReserved', 1, '{DATA}', gen_random_uuid(), gen_random_uuid(), '{METADATA}', clock_timestamp());";
const APPEND_EVENT: &str = "select append_event('account-' || gen_random_uuid(), 1, gen_random_uuid(), 'FundsReserved', 1::smallint, '{DATA}', gen_random_uuid(), gen_random_uuid(), '{METADATA}');";
const ROUNDS: u32 = 3;

pub(super) async fn measure(bed: &Bed, options: &BenchOptions) -> anyhow::Result<Vec<Figure>> {
    let (superuser, passwords) = bed.provision().await?;
    let mut connection = PgConnection::connect_with(&superuser).await?;
    sqlx::raw_sql(BARE_TABLE).execute(&mut connection).await?;
    let application = superuser.clone().username(APPLICATION_ROLE).password(&passwords.application);
    let seconds = options.seconds;
    // In turn, so that a noisy minute does not fall on one of them alone; the best of each.
    let (mut floor, mut in_sql, mut in_crate, mut in_groups) = (0.0, 0.0, 0.0, 0.0);
    let by_pgbench = async |script| {
        pgbench(bed, &application, &passwords.application, &filled(script), WRITERS, seconds).await
    };
    for _ in 0..ROUNDS {
        floor = f64::max(floor, by_pgbench(BARE_INSERT).await?);
        in_sql = f64::max(in_sql, by_pgbench(APPEND_EVENT).await?);
        in_crate = f64::max(in_crate, through_crate(&store(&application, &passwords).await?, seconds).await?);
        in_groups = f64::max(in_groups, grouped(&store(&application, &passwords).await?, seconds).await?);
    }
    let figure =
        |measure, value| Figure { bench: "append", measure, value, unit: "appends/s", floor: Some(floor) };
    let mut figures = vec![
        figure("append.sql", in_sql),
        figure("append.crate", in_crate),
        figure("append.grouped", in_groups),
        long_stream::measure(&superuser, &store(&application, &passwords).await?).await?,
    ];
    if options.long {
        figures.push(append_long::measure(bed, options).await?);
    }
    Ok(figures)
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
    let rate = counted(WRITERS, seconds, || async { Ok(store.append(vec![event()?]).await?) }).await?;
    store.pool().close().await;
    Ok(rate)
}

/// Units of work of one event that share their appends.
async fn grouped(store: &Store, seconds: u32) -> anyhow::Result<f64> {
    let group = Group::new(store.clone());
    let append = || async {
        let event = event()?;
        let done = group.try_run(
            || Context::at_rest("bench"),
            Ahead::default(),
            move |unit| {
                unit.append(vec![event.clone()]);
                Box::pin(async { Ok::<_, event_store::Error>(()) })
            },
        );
        Ok(done.await.context("a group was not committed")??)
    };
    let rate = counted(GROUPED_WRITERS, seconds, append).await?;
    store.pool().close().await;
    Ok(rate)
}

/// How often a second so many writers get it done.
pub(super) async fn counted<T, F: Future<Output = anyhow::Result<T>>>(
    writers: u32,
    seconds: u32,
    once: impl Fn() -> F,
) -> anyhow::Result<f64> {
    let (start, limit) = (Instant::now(), Duration::from_secs(seconds.into()));
    let writer = || async {
        let mut done = 0_u64;
        while start.elapsed() < limit {
            once().await?;
            done += 1;
        }
        anyhow::Ok(done)
    };
    let done = try_join_all((0..writers).map(|_| writer())).await?;
    Ok(rate(done.into_iter().sum(), start.elapsed()))
}

fn filled(script: &str) -> String {
    script.replace("{DATA}", DATA).replace("{METADATA}", METADATA)
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
