//! What becomes of transfers on a rail that misbehaves, and how long a good one takes.
//!
//! ```text
//! half load, no fault                    rail.end_to_end_p50, _p99    from the request to Succeeded
//! one answer in five is lost             rail.lost_answers            10,000 transfers; paid twice, lost, stuck: none
//! answers after the deadline's release   rail.late_settlements        1,000 transfers; each one explained
//!                                        rail.release_lateness        from the deadline to the payer's money
//! ```
//!
//! What is counted is read from the raw events and from the clearing house's own journal.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use event_store::APPLICATION_ROLE;
use futures::future::try_join_all;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::append::{self, rate};
use super::figure::Figure;
use super::platform::{ACCOUNTS, Platform, WITHOUT_CARDS, open_accounts};
use super::transfers::until_at_rest;
use super::{Bed, age_log};
use crate::cli::BenchOptions;

/// Half of what `transfers.external` has to reach.
const HALF_LOAD_PER_SECOND: u32 = 150;
const CLIENTS: u32 = 32;
const WITH_LOST_ANSWERS: u32 = 10_000;
const LOST_PERCENT: u32 = 20;
const LATE: u32 = 1_000;
/// Requested over some seconds, as payments are; each costs the adapter several calls.
const LATE_PER_SECOND: u32 = 100;
const LATE_BY_MS: u32 = 8_000;
const LIMIT: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(200);
const RELEASE_LIMIT_MS: f64 = 500.0;
/// Longer than a measurement.
const FAULT_FOR_MS: u32 = 3_600_000;

const ENDED: &str = "select count(distinct stream) from event where stream like 'transfer-%'
    and type in ('Succeeded', 'Failed', 'OperatorAttentionRequired')";
const END_TO_END: &str = "select percentile_cont($1) within group (order by
        extract(epoch from ended.recorded_at - requested.recorded_at)::float8 * 1000)
    from event requested join event ended on ended.stream = requested.stream and ended.type = 'Succeeded'
    where requested.type = 'Requested' and requested.stream like 'transfer-%'
      and requested.recorded_at > (select min(recorded_at) from event where type = 'Requested') + interval '2 seconds'";
/// By end-to-end id, which all payments of a transfer would share: how often the payer was debited, and whether the transfer has succeeded.
const OUTCOMES: &str = "select requested.data->>'end_to_end_id',
        (select count(*) from event paid where paid.stream = 'account-' || (requested.data->>'from_account')
            and paid.type in ('FundsCaptured', 'LateCaptured', 'ReceivableBooked')
            and paid.data->>'reservation_id' = requested.data->>'transfer_id'),
        exists (select from event ended where ended.stream = requested.stream and ended.type = 'Succeeded')
    from event requested where requested.type = 'Requested' and requested.stream like 'transfer-%'";
const LATE_SETTLED: &str = "select count(*) from event where type = 'LateSettlementDetected'";
const UNEXPLAINED: &str =
    "select count(*) from event late where late.type = 'LateSettlementDetected' and not exists (
        select from event explained where explained.stream = late.stream and explained.seq > late.seq
            and explained.type in ('LateCaptured', 'ReceivableBooked'))";
const RELEASE_LATENESS: &str = "select percentile_cont($1) within group (order by
        extract(epoch from released.recorded_at - (initiated.data->'deadline'->>'due_at')::timestamptz)::float8 * 1000)
    from event released join event initiated on initiated.stream = released.stream and initiated.type = 'SubmissionInitiated'
    where released.type = 'Released' and released.data->>'provisional' = 'true'";

pub(super) async fn measure(bed: &Bed, options: &BenchOptions) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let figure = |measure, value, unit, floor| Figure { bench: "rail", measure, value, unit, floor };

    let (superuser, passwords) = bed.provision().await?;
    let mut connection = PgConnection::connect_with(&superuser).await?;
    age_log(&mut connection).await?;
    let application = superuser.clone().username(APPLICATION_ROLE).password(&passwords.application);
    let platform = Platform::start(bed, &superuser, &passwords, &[WITHOUT_CARDS]).await?;
    let accounts = open_accounts(&append::store(&application, &passwords).await?).await?;
    until_at_rest(&mut connection).await?;
    let requests = HALF_LOAD_PER_SECOND * options.seconds;
    paced(&platform, &accounts, requests, HALF_LOAD_PER_SECOND).await?;
    until_ended(&mut connection, requests).await?;
    for (measure, share) in [("rail.end_to_end_p50", 0.5), ("rail.end_to_end_p99", 0.99)] {
        figures.push(figure(measure, quantile(&mut connection, END_TO_END, share).await?, "ms", None));
    }

    fault(&platform, json!({ "kind": "lose_answer", "for_ms": FAULT_FOR_MS, "percent": LOST_PERCENT }))
        .await?;
    let start = Instant::now();
    at_once(&platform, &accounts, WITH_LOST_ANSWERS).await?;
    until_ended(&mut connection, requests + WITH_LOST_ANSWERS).await?;
    figures.push(figure(
        "rail.lost_answers",
        rate(WITH_LOST_ANSWERS.into(), start.elapsed()),
        "transfers/s",
        None,
    ));
    let wrong = Wrong::count(&platform, &mut connection).await?;
    for (measure, count) in [
        ("rail.lost_answers.paid_twice", wrong.paid_twice),
        ("rail.lost_answers.lost", wrong.lost),
        ("rail.lost_answers.stuck", wrong.stuck),
    ] {
        figures.push(figure(measure, count, "transfers", None));
    }
    platform.stop().await?;

    // The adapter asks in vain until the answer comes by itself.
    let settings = [
        WITHOUT_CARDS,
        "core.on_timeout=release_at_deadline",
        "core.submission_limit_ms=2000",
        "instant.enquiries_max=60",
        // All are to be sent into the silence.
        "instant.circuit_failures=1000000",
    ];
    let platform = Platform::start(bed, &superuser, &passwords, &settings).await?;
    // What has been started has to have joined: else its first seconds fall due in one moment.
    platform.customer.pay(accounts[0]).await?;
    until_at_rest(&mut connection).await?;
    fault(&platform, json!({ "kind": "answer_late", "for_ms": FAULT_FOR_MS, "delay_ms": LATE_BY_MS }))
        .await?;
    fault(&platform, json!({ "kind": "lose_enquiry", "for_ms": FAULT_FOR_MS })).await?;
    paced(&platform, &accounts, LATE, LATE_PER_SECOND).await?;
    until_ended(&mut connection, requests + WITH_LOST_ANSWERS + 1 + LATE).await?;
    figures.push(figure(
        "rail.late_settlements",
        scalar(&mut connection, LATE_SETTLED).await?,
        "transfers",
        None,
    ));
    let unexplained = scalar(&mut connection, UNEXPLAINED).await?;
    figures.push(figure("rail.late_settlements.unexplained", unexplained, "transfers", None));
    for (measure, share) in [("rail.release_lateness_p99", 0.99), ("rail.release_lateness_max", 1.0)] {
        let late = quantile(&mut connection, RELEASE_LATENESS, share).await?;
        figures.push(figure(measure, late, "ms", Some(RELEASE_LIMIT_MS)));
    }
    platform.stop().await?;
    Ok(figures)
}

async fn fault(platform: &Platform, order: Value) -> anyhow::Result<()> {
    let response =
        platform.customer.client.post(format!("{}/faults", platform.house.url)).json(&order).send().await?;
    ensure!(response.status().is_success(), "the clearing house answers {}", response.text().await?);
    Ok(())
}

/// So many a second, whoever has not been answered yet.
async fn paced(platform: &Platform, accounts: &[Uuid], requests: u32, per_second: u32) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = Vec::new();
    for n in 0..requests {
        ticks.tick().await;
        let (customer, from) = (platform.customer.clone(), accounts[n as usize % ACCOUNTS]);
        under_way.push(tokio::spawn(async move { customer.pay(from).await }));
    }
    for request in under_way {
        request.await??;
    }
    Ok(())
}

async fn at_once(platform: &Platform, accounts: &[Uuid], requests: u32) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    let clients = (0..CLIENTS).map(|_| async {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= requests as usize {
                return anyhow::Ok(());
            }
            platform.customer.pay(accounts[n % ACCOUNTS]).await?;
        }
    });
    try_join_all(clients).await.map(drop)
}

async fn until_ended(connection: &mut PgConnection, transfers: u32) -> anyhow::Result<()> {
    let start = Instant::now();
    while sqlx::query_scalar::<_, i64>(ENDED).fetch_one(&mut *connection).await? < i64::from(transfers) {
        // Those that are missing are stuck, and are counted.
        if start.elapsed() > LIMIT {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// What must not be.
struct Wrong {
    paid_twice: f64,
    lost: f64,
    stuck: f64,
}

impl Wrong {
    async fn count(platform: &Platform, connection: &mut PgConnection) -> anyhow::Result<Self> {
        let outcomes: Vec<(String, i64, bool)> = sqlx::query_as(OUTCOMES).fetch_all(&mut *connection).await?;
        let mut paid = paid_by_the_house(platform).await?;
        let ended: i64 = sqlx::query_scalar(ENDED).fetch_one(connection).await?;
        let (mut paid_twice, mut lost) = (0_u32, 0_u32);
        for (id, debits, succeeded) in &outcomes {
            let payments = paid.remove(id).unwrap_or_default();
            paid_twice += u32::from(payments > 1 || *debits > 1);
            // Money left one side and not the other.
            lost += u32::from((payments > 0) != (*debits > 0) || *succeeded != (payments > 0));
        }
        // Paid for nobody.
        lost += u32::try_from(paid.len())?;
        let stuck = u32::try_from(outcomes.len())?.saturating_sub(u32::try_from(ended)?);
        Ok(Self { paid_twice: paid_twice.into(), lost: lost.into(), stuck: stuck.into() })
    }
}

/// How often the payment of each end-to-end id was, under whatever UETR.
async fn paid_by_the_house(platform: &Platform) -> anyhow::Result<HashMap<String, u32>> {
    let (mut paid, mut after) = (HashMap::new(), 0);
    loop {
        let url = format!("{}/journal?after={after}", platform.house.url);
        let page: Value = platform.customer.client.get(url).send().await?.json().await?;
        let lines = page["lines"].as_array().context("the journal has no lines")?;
        let Some(last) = lines.last() else { return Ok(paid) };
        after = last["n"].as_u64().context("a line has no number")?;
        for line in lines.iter().filter(|line| line["status"] == "ACSC") {
            *paid.entry(line["end_to_end_id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
}

async fn quantile(connection: &mut PgConnection, query: &'static str, share: f64) -> anyhow::Result<f64> {
    let found: Option<f64> = sqlx::query_scalar(query).bind(share).fetch_one(connection).await?;
    found.context("nothing was measured")
}

async fn scalar(connection: &mut PgConnection, query: &'static str) -> anyhow::Result<f64> {
    let count: i64 = sqlx::query_scalar(query).fetch_one(connection).await?;
    Ok(u32::try_from(count)?.into())
}
