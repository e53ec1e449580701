//! A read model built anew: the list of transfers, out of transfers with six events each, beside a `copy` of the same events out of their table;
//! and what that does to appends, made at a fixed rate before and during it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use event::{Actor, Context};
use event_store::{APPLICATION_ROLE, Store};
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use hdrhistogram::Histogram;
use jiff::Timestamp;
use projection::{Keeper, Projection, Purpose, Rebuild, RebuildCommand, RebuildRequested, Status, progress};
use sqlx::{Connection, PgConnection};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use transfer::TransferView;
use uuid::Uuid;

use super::figure::{Figure, quantile_ms};
use super::{Bed, age_log, append};
use crate::cli::BenchOptions;

const POLL: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(600);
const FILL_TRANSFERS: u32 = 50_000;
const APPENDS_PER_SECOND: u32 = 100;
/// Each time; the best counts, of the floor too.
const ROUNDS: u32 = 3;

/// The committed sample of an event, which is what stands in the table of a real transfer.
macro_rules! sample {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../sagas/transfer/samples/transfer/", $name, ".v1.json")))
    };
}
const EVENTS: [(&str, &str); 6] = [
    sample!("Requested"),
    sample!("Reserved"),
    sample!("SubmissionInitiated"),
    sample!("ClearingSettled"),
    sample!("Captured"),
    sample!("Succeeded"),
];

/// Transfers `$1` to `$2`, of accounts of their own. Names and ids in the order of time, as UUIDv7 gives them.
const FILL: &str = r#"insert into event (stream, seq, id, type, version, data, correlation_id, causation_id, metadata, recorded_at)
    select 'transfer-' || id, seq, gen_random_uuid(), type, 1,
           case seq when 1 then jsonb_set(data, '{from_account}', to_jsonb(gen_random_uuid())) else data end,
           id, id, '{"actor": "api:bench", "causation_kind": "request"}', clock_timestamp()
    from (select overlay(md5(n::text) placing lpad(to_hex(1700000000000 + n), 12, '0') from 1 for 12)::uuid as id
          from generate_series($1::bigint, $2::bigint) as n) as transfer,
         unnest($3::text[], $4::text[]::jsonb[]) with ordinality as story (type, data, seq)"#;
/// As if the handler had handled all of it.
const HANDLED: &str = "insert into cursor (handler, source, stream, seq)
    select 'transfer.view', 'core', stream, max(seq) from event group by stream";

pub(super) async fn measure(bed: &Bed, options: &BenchOptions) -> anyhow::Result<Vec<Figure>> {
    let (superuser, passwords) = bed.provision().await?;
    let mut connection = PgConnection::connect_with(&superuser).await?;
    let application = superuser.clone().username(APPLICATION_ROLE).password(&passwords.application);
    let events = fill(&mut connection, options.events).await?;
    age_log(&mut connection).await?;
    let store = append::store(&application, &passwords).await?;
    let shutdown = CancellationToken::new();
    let keeper = Keeper::new(store.clone(), vec![Arc::new(TransferView::default())]);
    let keeper = tokio::spawn(keeper.run(shutdown.clone()));
    let (mut floor, mut rebuilt) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        floor = f64::max(floor, copied(&store, events).await?);
        let (rate, loaded) = Box::pin(rebuild(&store)).await?;
        ensure!(loaded == events, "{loaded} of {events} events were loaded");
        rebuilt = f64::max(rebuilt, rate);
    }
    let rows: i64 = sqlx::query_scalar("select count(*) from transfer_view where status = 'succeeded'")
        .fetch_one(&mut connection)
        .await?;
    ensure!(rows.unsigned_abs() * EVENTS.len() as u64 == events, "{rows} rows of {events} events");

    let pause = tokio::time::sleep(Duration::from_secs(options.seconds.into()));
    let alone = paced(&store, pause.map(Ok)).await?;
    let beside = paced(&store, Box::pin(rebuild(&store)).map_ok(drop)).await?;
    shutdown.cancel();
    keeper.await?;
    let figure = |measure, value, unit, floor| Figure { bench: "rebuild", measure, value, unit, floor };
    Ok(vec![
        figure("rebuild.simple", rebuilt, "events/s", Some(floor)),
        figure("rebuild.append_p50", quantile_ms(&beside, 0.5), "ms", Some(quantile_ms(&alone, 0.5))),
        figure("rebuild.append_p99", quantile_ms(&beside, 0.99), "ms", Some(quantile_ms(&alone, 0.99))),
    ])
}

async fn fill(connection: &mut PgConnection, events: u32) -> anyhow::Result<u64> {
    sqlx::query("set synchronous_commit = off").execute(&mut *connection).await?;
    let (types, data): (Vec<&str>, Vec<&str>) = EVENTS.into_iter().unzip();
    let transfers = events / u32::try_from(EVENTS.len())?;
    for first in (0..transfers).step_by(FILL_TRANSFERS as usize) {
        let last = transfers.min(first.saturating_add(FILL_TRANSFERS)) - 1;
        sqlx::query(FILL)
            .bind(i64::from(first))
            .bind(i64::from(last))
            .bind(&types)
            .bind(&data)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query(HANDLED).execute(&mut *connection).await?;
    for statement in ["vacuum analyze event", "vacuum analyze cursor", "checkpoint"] {
        sqlx::raw_sql(statement).execute(&mut *connection).await?;
    }
    Ok(u64::from(transfers) * EVENTS.len() as u64)
}

/// The floor: every event out of the table, in whatever order, and thrown away.
async fn copied(store: &Store, events: u64) -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut connection = store.pool().acquire().await?;
    let mut rows = connection.copy_out_raw("copy event to stdout (format binary)").await?;
    let mut bytes = 0_usize;
    while let Some(some) = rows.try_next().await? {
        bytes += some.len();
    }
    ensure!(bytes > 0, "nothing was copied");
    Ok(append::rate(events, start.elapsed()))
}

/// Events a second, and how many.
async fn rebuild(store: &Store) -> anyhow::Result<(f64, u64)> {
    let (id, view) = (Uuid::now_v7(), TransferView::default());
    let (projection, version) = (view.name().to_owned(), view.version());
    let requested = RebuildRequested { projection, purpose: Purpose::Replace, version };
    let context = Context::for_request(id, Actor("api:bench".to_owned()), Timestamp::now());
    store
        .execute::<Rebuild>(id, RebuildCommand::Request(requested), context)
        .await
        .map_err(|error| anyhow::anyhow!("not requested: {error:?}"))?;
    // As the desk takes it in.
    sqlx::query(
        "insert into projection_rebuild (projection, id, purpose, version) values ($1, $2, 'replace', $3)
         on conflict (projection) do update set id = excluded.id, state = 'requested', loaded_to = '', part_stream = null,
             part_seq = null, events_done = 0, started_at = null",
    )
    .bind(view.name())
    .bind(id)
    .bind(version)
    .execute(store.pool())
    .await?;
    let end = Instant::now() + LIMIT;
    loop {
        let status = store.load::<Rebuild>(id).await?.0.context("the rebuild is gone")?.status;
        match status {
            Status::UnderWay => ensure!(Instant::now() < end, "the rebuild has not ended within its limit"),
            Status::Completed { events, .. } => {
                let progress = progress(store, id).await?.context("the rebuild has no progress")?;
                let started_at = progress.started_at().context("the rebuild has not started")?;
                let took = progress.changed_at.duration_since(started_at).unsigned_abs();
                return Ok((append::rate(events.unsigned_abs(), took), events.unsigned_abs()));
            }
            other => anyhow::bail!("the rebuild is {other:?}"),
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Appends at a fixed rate until something else is done; how long each took, from when it was meant to begin.
async fn paced(
    store: &Store,
    meanwhile: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Histogram<u64>> {
    let mut times = Histogram::<u64>::new(3)?;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / APPENDS_PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    tokio::pin!(meanwhile);
    loop {
        tokio::select! {
            done = &mut meanwhile => return done.map(|()| times),
            meant = ticks.tick() => {
                store.append(vec![append::event()?]).await?;
                times.record(u64::try_from(meant.elapsed().as_micros())?)?;
            }
        }
    }
}
