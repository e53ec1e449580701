//! Transfers over HTTP, against the whole platform in one process with the embedded transport.
//!
//! ```text
//! clients ── POST /v1/transfers ──► lunaria serve ──► Postgres      transfers.book, transfers.book_hot
//!                                        └──► rail ──► simulator    transfers.external: until all of them have succeeded
//! pgbench ─────────────────────────────────────────► Postgres      the floor: two guarded inserts and a request, statement by statement
//! ```
//!
//! The generator, the platform, its handlers and the server share the machine.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use event::Context;
use event_store::{APPLICATION_ROLE, Passwords, RELAY_ROLE, Store, provision};
use futures::future::try_join_all;
use ledger::{Account, AccountCommand};
use money::{Currency, Money};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::append::{self, counted, rate};
use super::figure::Figure;
use super::pgbench::pgbench;
use super::program::Program;
use super::{Bed, DATABASE, age_log};
use crate::cli::BenchOptions;

const ACCOUNTS: usize = 10_000;
/// Opened in one unit of work.
const ACCOUNTS_AT_ONCE: usize = 100;
const FUNDS: i64 = 1_000_000_000;
const FEW: u32 = 16;
const MANY: u32 = 64;
const WARM_SECONDS: u32 = 2;
const EXTERNAL_PER_CLIENT: u32 = 40;
const EXTERNAL_LIMIT: Duration = Duration::from_secs(120);
const REST_LIMIT: Duration = Duration::from_secs(120);
/// The count is work for the server too.
const POLL: Duration = Duration::from_millis(100);
const OTHER_BANK: &str = "DE89370400440532013000";
const ADAPTER_DATABASE: &str = "lunaria_bench_adapter";

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

    let platform = Platform::start(bed, &superuser, &passwords).await?;
    let accounts = open_accounts(&append::store(&application, &passwords).await?).await?;
    let (hot, turn) = (accounts[0], AtomicUsize::new(0));
    let cold = || {
        let n = turn.fetch_add(2, Ordering::Relaxed);
        // Far apart, and over all of them before the first comes again.
        let pick = |n: usize| accounts[n.wrapping_mul(7_919) % ACCOUNTS];
        platform.book(pick(n), pick(n + 1))
    };
    let to_hot = || {
        let n = turn.fetch_add(1, Ordering::Relaxed);
        platform.book(accounts[1 + n % (ACCOUNTS - 1)], hot)
    };
    until_at_rest(&mut connection).await?;
    counted(FEW, WARM_SECONDS, cold).await?;
    let few = counted(FEW, options.seconds, cold).await?;
    until_at_rest(&mut connection).await?;
    let many = counted(MANY, options.seconds, cold).await?;
    until_at_rest(&mut connection).await?;
    let over_one = counted(MANY, options.seconds, to_hot).await?;
    until_at_rest(&mut connection).await?;
    let external = platform.external(&mut connection, &accounts).await?;
    platform.stop().await?;
    let figure =
        |measure, value, floor| Figure { bench: "transfers", measure, value, unit: "transfers/s", floor };
    Ok(vec![
        figure("transfers.book", few, Some(floor)),
        figure("transfers.book.64", many, Some(floor)),
        figure("transfers.book_hot", over_one, Some(floor)),
        figure("transfers.external", external, None),
    ])
}

fn floor_script() -> String {
    let event = |n: &str| {
        FLOOR_EVENT.replace("{N}", n).replace("{METADATA}", append::METADATA).replace("{DATA}", append::DATA)
    };
    FLOOR.replace("{EVENT_A}", &event("a")).replace("{EVENT_B}", &event("b")).replace("{DATA}", append::DATA)
}

/// The whole platform in one process, and the clearing house in another.
struct Platform {
    serve: Program,
    house: Program,
    client: reqwest::Client,
    transfers_url: String,
}

impl Platform {
    async fn start(bed: &Bed, superuser: &PgConnectOptions, passwords: &Passwords) -> anyhow::Result<Self> {
        provision(&superuser.clone().database("postgres"), ADAPTER_DATABASE, "adapter-instant", passwords)
            .await?;
        let journal = bed.directory.join("journal.jsonl");
        let journal = journal.to_str().context("the journal's path is no text")?;
        let role = ["simulator", "--listen", "127.0.0.1:0", "--answer-time-ms", "0", "--journal", journal];
        let house = Program::spawn(&[], &role, "clearing-house").await?;
        let url = |role: &str, password: &str, database: &str| {
            format!("postgres://{role}:{password}@127.0.0.1:{}/{database}", superuser.get_port())
        };
        let mut settings = vec![
            "transport=embedded".to_owned(),
            "api.listen=127.0.0.1:0".to_owned(),
            "ops.listen=127.0.0.1:0".to_owned(),
            "instant.listen=127.0.0.1:0".to_owned(),
            format!("instant.clearing_house_url={}", house.url),
        ];
        for (section, database) in [("core", DATABASE), ("instant", ADAPTER_DATABASE)] {
            settings.push(format!(
                "{section}.database.database_url={}",
                url(APPLICATION_ROLE, &passwords.application, database)
            ));
            settings.push(format!(
                "{section}.database.relay_url={}",
                url(RELAY_ROLE, &passwords.relay, database)
            ));
        }
        let serve = Program::spawn(&settings, &["serve"], "api").await?;
        let transfers_url = format!("{}/v1/transfers", serve.url);
        Ok(Self { serve, house, client: reqwest::Client::new(), transfers_url })
    }

    async fn book(&self, from: Uuid, to: Uuid) -> anyhow::Result<()> {
        self.request(from, json!({ "account_id": to })).await
    }

    async fn request(&self, from: Uuid, to: Value) -> anyhow::Result<()> {
        let body = json!({ "from_account": from, "to": to, "amount": { "amount": "1", "currency": "DKK" } });
        let key = Uuid::now_v7().to_string();
        let request = self.client.post(&self.transfers_url).header("Idempotency-Key", key).json(&body);
        let response = request.send().await?;
        let status = response.status();
        let answer = response.text().await?;
        ensure!(status == 201, "the platform answers {status}: {answer}");
        Ok(())
    }

    /// Complete sagas a second: from the first request until all have succeeded.
    async fn external(&self, connection: &mut PgConnection, accounts: &[Uuid]) -> anyhow::Result<f64> {
        let done = "select count(*) from event where type = 'Succeeded' and stream in
            (select stream from event where type = 'SubmissionInitiated')";
        let start = Instant::now();
        let payments = (0..MANY).map(|client| async move {
            for n in 0..EXTERNAL_PER_CLIENT {
                let from = accounts[(client * EXTERNAL_PER_CLIENT + n) as usize % ACCOUNTS];
                self.request(from, json!({ "iban": OTHER_BANK, "name": "Muster GmbH" })).await?;
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

    async fn stop(self) -> anyhow::Result<()> {
        self.serve.stop().await.context("the platform")?;
        self.house.stop().await.context("the clearing house")
    }
}

/// The handlers have done what there was to do.
async fn until_at_rest(connection: &mut PgConnection) -> anyhow::Result<()> {
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

async fn open_accounts(store: &Store) -> anyhow::Result<Vec<Uuid>> {
    let ids: Vec<Uuid> = (0..ACCOUNTS).map(|_| Uuid::now_v7()).collect();
    for some in ids.chunks(ACCOUNTS_AT_ONCE) {
        let mut unit = store.begin(Context::at_rest("bench")).await?;
        for id in some {
            unit.expect_new::<Account>(*id);
            let owner_name = "Ada Lund".to_owned().into();
            let open = AccountCommand::Open { id: *id, owner_name, currency: Currency::DKK };
            let deposit = AccountCommand::Deposit {
                deposit_id: Uuid::now_v7(),
                amount: Money::new(FUNDS, Currency::DKK),
            };
            for command in [open, deposit] {
                let done = unit.execute::<Account>(*id, command).await;
                done.map_err(|error| anyhow::anyhow!("no account: {error:?}"))?;
            }
        }
        unit.commit().await?;
    }
    store.pool().close().await;
    Ok(ids)
}
