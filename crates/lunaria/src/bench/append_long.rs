//! Appends to a long table against the same to one of a million events, side by side in one server.
//!
//! The rows that fill the tables are made by `insert … select generate_series`, with constraints and triggers in place: ten events
//! a stream, names and ids in the order of time as UUIDv7 gives them, and no `data` to speak of. Both indexes have their true size; the
//! heap has not, of which an append touches the last page alone. What is measured is new streams through the crate.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::Bed;
use super::append::{store, through_crate};
use super::figure::Figure;
use crate::cli::BenchOptions;

const SHORT_EVENTS: u32 = 1_000_000;
/// DESIGN's figure; another size gets another name.
const LONG_EVENTS: u32 = 50_000_000;
const FILL_EVENTS: u32 = 1_000_000;
const ROUNDS: u32 = 4;

/// Events `$1` to `$2`: 48 bits of time, then what md5 gives.
const FILL: &str = "insert into event (stream, seq, id, type, version, data, correlation_id, causation_id, metadata, recorded_at)
    select 'account-' || overlay(md5((n / 10)::text) placing lpad(to_hex(1700000000000 + n / 10), 12, '0') from 1 for 12)::uuid,
           n % 10 + 1, id, 'Filled', 1, '{}', id, id, '{}', clock_timestamp()
    from (select n, overlay(md5(n::text) placing lpad(to_hex(1700000000000 + n / 10), 12, '0') from 1 for 12)::uuid as id
          from generate_series($1::bigint, $2::bigint) as n) as filled";

pub(super) async fn measure(bed: &Bed, options: &BenchOptions) -> anyhow::Result<Figure> {
    let (short, passwords) = bed.provision_database("lunaria_bench_short").await?;
    let (long, _) = bed.provision_database("lunaria_bench_long").await?;
    fill(&short, SHORT_EVENTS).await?;
    fill(&long, options.long_events).await?;
    let (mut at_short, mut at_long) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        at_short =
            f64::max(at_short, through_crate(&store(&short, &passwords).await?, options.seconds).await?);
        at_long = f64::max(at_long, through_crate(&store(&long, &passwords).await?, options.seconds).await?);
    }
    let measure = if options.long_events == LONG_EVENTS { "append.at_50m" } else { "append.at_long_events" };
    Ok(Figure { bench: "append", measure, value: at_long, unit: "appends/s", floor: Some(at_short) })
}

async fn fill(superuser: &PgConnectOptions, events: u32) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect_with(superuser).await?;
    sqlx::query("set synchronous_commit = off").execute(&mut connection).await?;
    for first in (0..events).step_by(FILL_EVENTS as usize) {
        let last = events.min(first.saturating_add(FILL_EVENTS)) - 1;
        sqlx::query(FILL).bind(i64::from(first)).bind(i64::from(last)).execute(&mut connection).await?;
        tracing::info!(events = last + 1, "filled");
    }
    // The statistics and the visibility map that autovacuum would have left, and no dirty page that a measured append waits for.
    for statement in ["vacuum analyze event", "checkpoint"] {
        sqlx::raw_sql(statement).execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(())
}
