//! A command on an account with half a million events against the same on one with ten: load, decide, append, each by a store that remembers
//! nothing. The first command on the long one folds all of it, and leaves its state for the others.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use event::{Actor, Aggregate, Context, Seq};
use event_store::Store;
use hdrhistogram::Histogram;
use jiff::Timestamp;
use ledger::{Account, AccountCommand};
use money::{Currency, Money};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::figure::{Figure, quantile_ms};

const LONG_EVENTS: i64 = 500_000;
const SHORT_EVENTS: i64 = 10;
/// Of each, in turn.
const COMMANDS: u32 = 1_000;
const KEPT_LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

/// Deposits of 0.01 as seqs `$2` to `$3`, with what the account's own event says.
const FILL: &str = "insert into event (stream, seq, id, type, version, data, correlation_id, causation_id, metadata, recorded_at)
    select $1, n, gen_random_uuid(), type, version, data, correlation_id, causation_id, metadata, recorded_at
    from event, generate_series($2::bigint, $3::bigint) as n where stream = $1 and seq = 2";

pub(super) async fn measure(superuser: &PgConnectOptions, store: &Store) -> anyhow::Result<Figure> {
    let mut connection = PgConnection::connect_with(superuser).await?;
    let long = account(store, &mut connection, LONG_EVENTS).await?;
    deposit(store, long).await?;
    let end = Instant::now() + KEPT_LIMIT;
    while sqlx::query_scalar::<_, i64>("select count(*) from snapshot").fetch_one(&mut connection).await? == 0
    {
        ensure!(Instant::now() < end, "no state is kept");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let short = account(store, &mut connection, SHORT_EVENTS).await?;
    let (mut at_long, mut at_short) = (Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?);
    let mut short = (short, SHORT_EVENTS);
    for _ in 0..COMMANDS {
        at_long.record(deposit(store, long).await?)?;
        at_short.record(deposit(store, short.0).await?)?;
        short.1 += 1;
        // So that it stays short.
        if short.1 >= 2 * SHORT_EVENTS {
            short = (account(store, &mut connection, SHORT_EVENTS).await?, SHORT_EVENTS);
        }
    }
    Ok(Figure {
        bench: "append",
        measure: "append.long_stream_p99",
        value: quantile_ms(&at_long, 0.99),
        unit: "ms",
        floor: Some(quantile_ms(&at_short, 0.99)),
    })
}

async fn account(store: &Store, connection: &mut PgConnection, events: i64) -> anyhow::Result<Uuid> {
    let id = Uuid::now_v7();
    let open = AccountCommand::Open {
        id,
        customer_id: None,
        owner_name: "Ada Lund".to_owned().into(),
        currency: Currency::DKK,
    };
    execute(store, id, open).await?;
    deposit(store, id).await?;
    sqlx::query(FILL).bind(Account::stream(id).as_str()).bind(3_i64).bind(events).execute(connection).await?;
    let last = store.last(&Account::stream(id)).await?.context("the account is gone")?.seq;
    ensure!(last == Seq::new(events), "{last} events instead of {events}");
    Ok(id)
}

/// Microseconds.
async fn deposit(store: &Store, id: Uuid) -> anyhow::Result<u64> {
    let start = Instant::now();
    let amount = Money::new(1, Currency::DKK);
    execute(store, id, AccountCommand::Deposit { deposit_id: Uuid::now_v7(), amount }).await?;
    Ok(u64::try_from(start.elapsed().as_micros())?)
}

async fn execute(store: &Store, id: Uuid, command: AccountCommand) -> anyhow::Result<()> {
    let context = Context::for_request(Uuid::now_v7(), Actor("api:bench".to_owned()), Timestamp::now());
    let done = store.execute::<Account>(id, command, context).await;
    done.map(drop).map_err(|error| anyhow::anyhow!("refused: {error:?}"))
}
