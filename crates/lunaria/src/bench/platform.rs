//! The platform that a bench loads: `lunaria serve` with the embedded transport, a clearing house, and accounts with money.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use event::Context;
use event_store::{APPLICATION_ROLE, Passwords, RELAY_ROLE, Store, provision};
use ledger::{Account, AccountCommand};
use local_servers::free_port;
use money::{Currency, Money};
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use super::program::Program;
use super::{Bed, DATABASE};

pub(super) const ACCOUNTS: usize = 10_000;
/// Opened in one unit of work.
const ACCOUNTS_AT_ONCE: usize = 100;
const FUNDS: i64 = 1_000_000_000;
/// Of a server that listens on this machine for as long as the bench runs.
const KEY: &str = "the-key-of-the-bench";
const OTHER_BANK: &str = "DE89370400440532013000";
/// Each service's relay reads the whole server's log: one that is not measured is left out.
pub(super) const WITHOUT_CARDS: &str = "card.enabled=false";
const ADAPTER_DATABASE: &str = "lunaria_bench_adapter";
const CARD_DATABASE: &str = "lunaria_bench_card";

/// The whole platform in one process, and the clearing house in another.
pub(super) struct Platform {
    serve: Program,
    pub(super) house: Program,
    pub(super) customer: Customer,
    /// Where the card network speaks.
    pub(super) network_url: String,
}

/// Whoever asks for transfers.
#[derive(Clone)]
pub(super) struct Customer {
    pub(super) client: reqwest::Client,
    transfers_url: String,
}

impl Platform {
    /// With further settings.
    pub(super) async fn start(
        bed: &Bed,
        superuser: &PgConnectOptions,
        passwords: &Passwords,
        further: &[&str],
    ) -> anyhow::Result<Self> {
        for (database, service) in [(ADAPTER_DATABASE, instant::SERVICE), (CARD_DATABASE, card::SERVICE)] {
            provision(&superuser.clone().database("postgres"), database, service, passwords).await?;
        }
        let journal = bed.directory.join("journal.jsonl");
        let journal = journal.to_str().context("the journal's path is no text")?;
        let role = ["simulator", "--listen", "127.0.0.1:0", "--answer-time-ms", "0", "--journal", journal];
        let house = Program::spawn(&[], &role, "clearing-house").await?;
        let url = |role: &str, password: &str, database: &str| {
            format!("postgres://{role}:{password}@127.0.0.1:{}/{database}", superuser.get_port())
        };
        let network = format!("127.0.0.1:{}", free_port()?);
        let mut settings = vec![
            "transport=embedded".to_owned(),
            "api.keys.bench.roles=service".to_owned(),
            format!("api.keys.bench.secret={KEY}"),
            "api.listen=127.0.0.1:0".to_owned(),
            "ops.listen=127.0.0.1:0".to_owned(),
            "instant.listen=127.0.0.1:0".to_owned(),
            format!("card.listen={network}"),
            format!("instant.clearing_house_url={}", house.url),
        ];
        for (section, database) in
            [("core", DATABASE), ("instant", ADAPTER_DATABASE), ("card", CARD_DATABASE)]
        {
            settings.push(format!(
                "{section}.database.database_url={}",
                url(APPLICATION_ROLE, &passwords.application, database)
            ));
            settings.push(format!(
                "{section}.database.relay_url={}",
                url(RELAY_ROLE, &passwords.relay, database)
            ));
        }
        settings.extend(further.iter().map(|setting| (*setting).to_owned()));
        let serve = Program::spawn(&settings, &["serve"], "api").await?;
        let transfers_url = format!("{}/v1/transfers", serve.url);
        let customer = Customer { client: reqwest::Client::new(), transfers_url };
        Ok(Self { serve, house, customer, network_url: format!("http://{network}/iso8583") })
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.serve.stop().await.context("the platform")?;
        self.house.stop().await.context("the clearing house")
    }
}

impl Customer {
    pub(super) async fn book(&self, from: Uuid, to: Uuid) -> anyhow::Result<()> {
        self.request(from, json!({ "account_id": to })).await.map(drop)
    }

    /// How long after the answer the list of transfers shows what it says.
    pub(super) async fn book_and_look(&self, from: Uuid, to: Uuid) -> anyhow::Result<Duration> {
        let token = self.request(from, json!({ "account_id": to })).await?;
        let (answered, list) = (Instant::now(), format!("{}?account={from}&limit=1", self.transfers_url));
        let look = self.client.get(list).bearer_auth(KEY).header("Consistency-Token", token);
        look.send().await?.error_for_status()?.bytes().await?;
        Ok(answered.elapsed())
    }

    /// To another bank.
    pub(super) async fn pay(&self, from: Uuid) -> anyhow::Result<()> {
        self.request(from, json!({ "iban": OTHER_BANK, "name": "Muster GmbH" })).await.map(drop)
    }

    /// Returns what it has appended.
    async fn request(&self, from: Uuid, to: Value) -> anyhow::Result<HeaderValue> {
        let body = json!({ "from_account": from, "to": to, "amount": { "amount": "1", "currency": "DKK" } });
        let key = Uuid::now_v7().to_string();
        let request = self.client.post(&self.transfers_url).bearer_auth(KEY).header("Idempotency-Key", key);
        let response = request.json(&body).send().await?;
        let status = response.status();
        let token = response.headers().get("consistency-token").cloned();
        let answer = response.text().await?;
        ensure!(status == 201, "the platform answers {status}: {answer}");
        token.context("the answer has no Consistency-Token")
    }
}

pub(super) async fn open_accounts(store: &Store) -> anyhow::Result<Vec<Uuid>> {
    let ids: Vec<Uuid> = (0..ACCOUNTS).map(|_| Uuid::now_v7()).collect();
    for some in ids.chunks(ACCOUNTS_AT_ONCE) {
        let mut unit = store.begin(Context::at_rest("bench")).await?;
        for id in some {
            unit.expect_new::<Account>(*id);
            let owner_name = "Ada Lund".to_owned().into();
            let open =
                AccountCommand::Open { id: *id, customer_id: None, owner_name, currency: Currency::DKK };
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
