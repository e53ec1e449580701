//! How late deadlines fire: a million wait, some hundreds fall due each second, two schedulers share them, and some that
//! will not be fired are always in the way.

use std::time::Duration;

use anyhow::ensure;
use event::{Aggregate, Context, Deadline, events};
use event_store::{APPLICATION_ROLE, Scheduler};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;

use super::figure::Figure;
use super::{Bed, age_log, append};
use crate::cli::BenchOptions;

const PENDING: i64 = 1_000_000;
const DUE_PER_SECOND: u32 = 500;
const STUBBORN: i64 = 500;
const SCHEDULERS: usize = 2;
/// Until the first falls due: the schedulers have started by then.
const LEAD: &str = "3 seconds";
const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
const LATENESS_LIMIT_MS: f64 = 250.0;

/// As if each had been set by an append. The first `$2` fall due at `$3` a second, the stubborn ones at once, the others tomorrow.
const FILL: &str = "with waiting as (
        select n, 'wait-' || gen_random_uuid() as stream, gen_random_uuid() as id,
               case when n <= $2 then now() + interval '{LEAD}' + make_interval(secs => n / $3::float8)
                    when n <= $2 + $4 then now() else now() + interval '1 day' end as due_at
        from generate_series(1, $1::bigint) as n
    ), started as (
        insert into event (stream, seq, id, type, version, data, correlation_id, causation_id, metadata, recorded_at)
        select stream, 1, gen_random_uuid(), 'WaitStarted', 1,
               jsonb_build_object('deadline', jsonb_build_object('id', id, 'due_at', due_at),
                                  'stubborn', n > $2 and n <= $2 + $4),
               gen_random_uuid(), gen_random_uuid(), '{\"actor\": \"bench\", \"causation_kind\": \"request\"}', now()
        from waiting
    )
    insert into deadline (stream, category, id, due_at, correlation_id, next_at)
    select stream, 'wait', id, due_at, gen_random_uuid(), due_at from waiting";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WaitStarted {
    deadline: Deadline,
    stubborn: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WaitEnded {
    due_at: jiff::Timestamp,
}

events! {
    pub enum WaitEvent { WaitStarted = 1, WaitEnded = 1 }
}

#[derive(Clone)]
struct Wait {
    deadline: Option<Deadline>,
    stubborn: bool,
}

impl Aggregate for Wait {
    const CATEGORY: &'static str = "wait";
    type Event = WaitEvent;
    type Command = Deadline;
    type Refusal = &'static str;

    fn evolve(state: Option<Self>, event: &WaitEvent) -> Option<Self> {
        match event {
            WaitEvent::WaitStarted(event) => {
                Some(Self { deadline: Some(event.deadline), stubborn: event.stubborn })
            }
            WaitEvent::WaitEnded(_) => state.map(|wait| Self { deadline: None, ..wait }),
        }
    }

    fn decide(state: Option<&Self>, fired: Deadline, _: &Context) -> Result<Vec<WaitEvent>, &'static str> {
        match state {
            Some(Self { stubborn: true, .. }) => Err("it will not hear of it"),
            Some(Self { deadline: Some(deadline), .. }) if deadline.id == fired.id => {
                Ok(vec![WaitEnded { due_at: fired.due_at }.into()])
            }
            _ => Ok(vec![]),
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    fn on_deadline(deadline: Deadline) -> Option<Deadline> {
        Some(deadline)
    }
}

pub(super) async fn measure(bed: &Bed, options: &BenchOptions) -> anyhow::Result<Vec<Figure>> {
    let (superuser, passwords) = bed.provision().await?;
    let mut connection = PgConnection::connect_with(&superuser).await?;
    let application = superuser.clone().username(APPLICATION_ROLE).password(&passwords.application);
    age_log(&mut connection).await?;
    let due = i64::from(DUE_PER_SECOND * options.seconds);
    let far_off = FILL.replace("{LEAD}", LEAD);
    // Those that are not due stand there first, so that filling the table does not make the others late.
    for (count, due, stubborn) in [(PENDING - due - STUBBORN, 0, 0), (due + STUBBORN, due, STUBBORN)] {
        sqlx::query(sqlx::AssertSqlSafe(far_off.clone()))
            .bind(count)
            .bind(due)
            .bind(i64::from(DUE_PER_SECOND))
            .bind(stubborn)
            .execute(&mut connection)
            .await?;
    }
    let shutdown = CancellationToken::new();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..SCHEDULERS {
        let store = append::store(&application, &passwords).await?;
        running.spawn(Scheduler::new(store).with::<Wait>().run(shutdown.clone()));
    }
    let end = std::time::Instant::now() + Duration::from_secs(options.seconds.into()) + LIMIT;
    // By the index: to count what has been fired would read a million events each time.
    let left =
        "select count(*) from deadline where category = 'wait' and next_at < now() + interval '12 hours'";
    while count(&mut connection, left).await? > STUBBORN {
        ensure!(std::time::Instant::now() < end, "not all that is due has been fired within a minute");
        tokio::time::sleep(POLL).await;
    }
    shutdown.cancel();
    while let Some(done) = running.join_next().await {
        done??;
    }
    let twice = "select count(*) from (select from event where type = 'WaitEnded' group by stream having count(*) > 1) as twice";
    ensure!(count(&mut connection, twice).await? == 0, "a deadline has fired twice");
    let fired = count(&mut connection, "select count(*) from event where type = 'WaitEnded'").await?;
    ensure!(fired == due, "{fired} of {due} deadlines have fired");
    let left = count(&mut connection, "select count(*) from deadline").await?;
    ensure!(left == PENDING - due, "{left} deadlines are left, and should be {}", PENDING - due);
    let lateness = "select percentile_disc(array[0.5, 0.99, 1]) within group (order by
             1000 * extract(epoch from recorded_at - (data ->> 'due_at')::timestamptz)::float8)
         from event where type = 'WaitEnded'";
    let [p50, p99, max]: [f64; 3] = sqlx::query_scalar::<_, Vec<f64>>(lateness)
        .fetch_one(&mut connection)
        .await?
        .try_into()
        .map_err(|_| anyhow::anyhow!("three quantiles were asked for"))?;
    let figure = |measure, value, floor| Figure { bench: "deadlines", measure, value, unit: "ms", floor };
    Ok(vec![
        figure("deadlines.lateness_p50", p50, None),
        figure("deadlines.lateness_p99", p99, Some(LATENESS_LIMIT_MS)),
        figure("deadlines.lateness_max", max, None),
    ])
}

async fn count(connection: &mut PgConnection, sql: &'static str) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar(sql).fetch_one(connection).await?)
}
