//! Transfers over HTTP, against the whole platform in one process with the embedded transport.
//!
//! ```text
//! clients ── POST /v1/transfers ──► lunaria serve ──► Postgres      transfers.book, transfers.book_hot
//!                                        └──► rail ──► simulator    transfers.external: until all of them have succeeded
//!   one ── POST, GET with its token ──►                             transfers.visible: until the list shows it, at half of that load
//! pgbench ─────────────────────────────────────────► Postgres      the floor: two guarded inserts and a request, statement by statement
//! ```
//!
//! The generator, the platform, its handlers and the server share the machine.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use event_store::APPLICATION_ROLE;
use futures::future::{try_join, try_join_all};
use hdrhistogram::Histogram;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::append::{self, counted, rate};
use super::figure::{Figure, quantile_ms};
use super::pgbench::pgbench;
use super::platform::{ACCOUNTS, Platform, WITHOUT_CARDS, open_accounts};
use super::{Bed, age_log};
use crate::cli::BenchOptions;

const FEW: u32 = 16;
const MANY: u32 = 64;
const WARM_SECONDS: u32 = 2;
const EXTERNAL_PER_CLIENT: u32 = 40;
const EXTERNAL_LIMIT: Duration = Duration::from_secs(120);
const REST_LIMIT: Duration = Duration::from_secs(120);
/// The count is work for the server too.
const POLL: Duration = Duration::from_millis(100);

const FLOOR_TABLES: &str =
    "create table bench_request (key text primary key, id uuid not null, content jsonb not null,
        status smallint not null, answer text not null, accepted_at timestamptz not null);
    grant insert on bench_request to lunaria_app";
const FLOOR: &str = "\\set a random(1, 10000)
\\set b random(1, 10000)
begin;
insert into bench_request values (gen_random_uuid()::text, gen_random_uuid(), '{\"amount\":\"12500\"}', 201, '{DATA}', clock_timestamp());
{EVENT_A}
{EVENT_B}
commit;
";
const FLOOR_EVENT: &str = "insert into bench_event (stream, seq, id, type, version, data, correlation_id, causation_id, metadata, recorded_at) select 'account-' || :{N}, coalesce(max(seq), 0) + 1, gen_random_uuid(), 'Debited', 1, '{DATA}', gen_random_uuid(), gen_random_uuid(), '{METADATA}', clock_timestamp() from bench_event where stream = 'account-' || :{N} on conflict (stream, seq) do nothing;";

pub(super) async fn measure(bed: &Bed, options: &BenchOptions) -> anyhow::Result<Vec<Figure>> {
    let (superuser, passwords) = bed.provision().await?;
    let mut connection = PgConnection::connect_with(&superuser).await?;
    sqlx::raw_sql(append::BARE_TABLE).execute(&mut connection).await?;
    sqlx::raw_sql(FLOOR_TABLES).execute(&mut connection).await?;
    age_log(&mut connection).await?;
    let application = superuser.clone().username(APPLICATION_ROLE).password(&passwords.application);
    let floor =
        pgbench(bed, &application, &passwords.application, &floor_script(), FEW, options.seconds).await?;

    let platform = Platform::start(bed, &superuser, &passwords, &[WITHOUT_CARDS]).await?;
    let accounts = open_accounts(&append::store(&application, &passwords).await?).await?;
    let (hot, turn) = (accounts[0], AtomicUsize::new(0));
    let cold = || {
        let n = turn.fetch_add(2, Ordering::Relaxed);
        // Far apart, and over all of them before the first comes again.
        let pick = |n: usize| accounts[n.wrapping_mul(7_919) % ACCOUNTS];
        platform.customer.book(pick(n), pick(n + 1))
    };
    let to_hot = || {
        let n = turn.fetch_add(1, Ordering::Relaxed);
        platform.customer.book(accounts[1 + n % (ACCOUNTS - 1)], hot)
    };
    until_at_rest(&mut connection).await?;
    counted(FEW, WARM_SECONDS, cold).await?;
    let few = counted(FEW, options.seconds, cold).await?;
    until_at_rest(&mut connection).await?;
    let many = counted(MANY, options.seconds, cold).await?;
    until_at_rest(&mut connection).await?;
    let over_one = counted(MANY, options.seconds, to_hot).await?;
    until_at_rest(&mut connection).await?;
    let visible = visible(few, options.seconds, cold, || {
        let n = turn.fetch_add(2, Ordering::Relaxed);
        platform.customer.book_and_look(accounts[n % ACCOUNTS], accounts[(n + 1) % ACCOUNTS])
    });
    let visible = visible.await?;
    until_at_rest(&mut connection).await?;
    let external = external(&platform, &mut connection, &accounts).await?;
    platform.stop().await?;
    let figure =
        |measure, value, floor| Figure { bench: "transfers", measure, value, unit: "transfers/s", floor };
    let time = |measure, quantile| {
        let value = quantile_ms(&visible, quantile);
        Figure { bench: "transfers", measure, value, unit: "ms", floor: None }
    };
    Ok(vec![
        figure("transfers.book", few, Some(floor)),
        figure("transfers.book.64", many, Some(floor)),
        figure("transfers.book_hot", over_one, Some(floor)),
        figure("transfers.external", external, None),
        time("transfers.visible_p50", 0.5),
        time("transfers.visible_p99", 0.99),
    ])
}

fn floor_script() -> String {
    let event = |n: &str| {
        FLOOR_EVENT.replace("{N}", n).replace("{METADATA}", append::METADATA).replace("{DATA}", append::DATA)
    };
    FLOOR.replace("{EVENT_A}", &event("a")).replace("{EVENT_B}", &event("b")).replace("{DATA}", append::DATA)
}

/// How long after its answer a transfer is in the list, at half of the load that there was: a reader with the answer's token, one
/// transfer after the other, beside others that come at their time whatever becomes of those before.
async fn visible<L: Future<Output = anyhow::Result<()>>, P: Future<Output = anyhow::Result<Duration>>>(
    rate: f64,
    seconds: u32,
    load: impl Fn() -> L,
    look: impl Fn() -> P,
) -> anyhow::Result<Histogram<u64>> {
    let mut times = Histogram::new(3)?;
    let until = Instant::now() + Duration::from_secs(seconds.into());
    // Each of the few has its part of half of the rate.
    let pace = Duration::from_secs(2 * u64::from(FEW)).div_f64(rate);
    let others = (0..FEW).map(|n| {
        let load = &load;
        async move {
            tokio::time::sleep(pace / FEW * n).await;
            let mut ticks = tokio::time::interval(pace);
            while Instant::now() < until {
                ticks.tick().await;
                load().await?;
            }
            anyhow::Ok(())
        }
    });
    let reader = async {
        while Instant::now() < until {
            times.record(u64::try_from(look().await?.as_micros())?)?;
        }
        anyhow::Ok(())
    };
    try_join(try_join_all(others), reader).await?;
    Ok(times)
}

/// Complete sagas a second: from the first request until all have succeeded.
async fn external(
    platform: &Platform,
    connection: &mut PgConnection,
    accounts: &[Uuid],
) -> anyhow::Result<f64> {
    let done = "select count(*) from event where type = 'Succeeded' and stream in
        (select stream from event where type = 'SubmissionInitiated')";
    let start = Instant::now();
    let payments = (0..MANY).map(|client| async move {
        for n in 0..EXTERNAL_PER_CLIENT {
            let from = accounts[(client * EXTERNAL_PER_CLIENT + n) as usize % ACCOUNTS];
            platform.customer.pay(from).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(payments).await?;
    let all = i64::from(MANY * EXTERNAL_PER_CLIENT);
    while sqlx::query_scalar::<_, i64>(done).fetch_one(&mut *connection).await? < all {
        ensure!(start.elapsed() < EXTERNAL_LIMIT, "not all transfers have succeeded within two minutes");
        tokio::time::sleep(POLL).await;
    }
    Ok(rate(all.unsigned_abs(), start.elapsed()))
}

/// The handlers have done what there was to do.
pub(super) async fn until_at_rest(connection: &mut PgConnection) -> anyhow::Result<()> {
    let start = Instant::now();
    // What they do is read from the log once more.
    for _ in 0..2 {
        let end: String =
            sqlx::query_scalar("select pg_current_wal_lsn()::text").fetch_one(&mut *connection).await?;
        let is_done = "select (select bool_and(confirmed_flush_lsn >= $1::pg_lsn) from pg_replication_slots
                               where database = current_database())
                           and not exists (select from handler where behind)";
        while !sqlx::query_scalar::<_, bool>(is_done).bind(&end).fetch_one(&mut *connection).await? {
            ensure!(start.elapsed() < REST_LIMIT, "the handlers do not come to rest within two minutes");
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}
