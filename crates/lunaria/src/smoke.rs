//! `lunaria smoke URL`: proves a running deployment from outside, over its REST API alone.
//!
//! Two customers, demo money, a booking between them and a payment through the rail, as the first user of the deployment would
//! make them. Each run is a story of its own: it leaves two accounts and two transfers behind and can be repeated at any time.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::SmokeOptions;
use crate::client::{Answer, Client};
use crate::process::say;

/// A published example of an IBAN, so that nobody's account is meant.
const OTHER_BANK: &str = "DE89370400440532013000";
const CURRENCY: &str = "DKK";
const DEPOSITED: i64 = 100_000;
const BOOKED: i64 = 30_000;
const PAID: i64 = 12_500;

/// Exit code 0 when the deployment works, 1 at the first thing that does not.
pub(crate) async fn run(options: SmokeOptions) -> anyhow::Result<ExitCode> {
    let limit = Duration::from_secs(options.limit_s);
    let token = options.token.as_deref().filter(|token| !token.is_empty());
    let client = Client::new(&options.url, token, limit)?;
    let started = Instant::now();
    match prove(&Customers { client, run: Uuid::now_v7() }).await {
        Ok(()) => {
            say(&format!("{} works: {} ms", options.url, started.elapsed().as_millis()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            say(&format!("FAIL  {error:#}"))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn prove(customers: &Customers) -> anyhow::Result<()> {
    step("the API and what it stands on are ready", customers.client.ready()).await?;
    let ada = step("an account is opened", customers.open("ada", "Ada Lund")).await?;
    let bo = step("another account is opened", customers.open("bo", "Bo Berg")).await?;
    step("money is deposited", customers.deposit(ada)).await?;
    step("the same request gets the same answer and has one effect", customers.deposit_again(ada)).await?;
    step("another request with the same key is refused", customers.reuse_the_key(ada)).await?;
    let booking = step("a transfer between the accounts succeeds", customers.book(ada, bo)).await?;
    let payment = step("a transfer through the rail succeeds", customers.pay(ada)).await?;
    step("the balances add up", async {
        customers.balance(ada, DEPOSITED - BOOKED - PAID).await?;
        customers.balance(bo, BOOKED).await
    })
    .await?;
    step("each event of the payment can be traced", customers.trace(payment)).await?;
    step("the payment's request still gets its first answer", customers.pay_again(ada)).await?;
    step("the list of transfers has both", customers.listed(ada, [booking, payment])).await
}

/// Runs one step and reports it; an error carries the step's name.
async fn step<T>(what: &'static str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let started = Instant::now();
    let outcome = work.await.context(what)?;
    say(&format!("ok    {what}: {} ms", started.elapsed().as_millis()))?;
    Ok(outcome)
}

struct Customers {
    client: Client,
    /// In every idempotency key, so that two runs have nothing in common.
    run: Uuid,
}

impl Customers {
    async fn open(&self, name: &str, owner_name: &str) -> anyhow::Result<Uuid> {
        let body = json!({ "owner_name": owner_name, "currency": CURRENCY });
        created(self.post("/v1/accounts", &format!("open-{name}"), &body).await?)?.id("account_id")
    }

    async fn deposit(&self, account: Uuid) -> anyhow::Result<()> {
        let posted = self.send_deposit(account, DEPOSITED).await?;
        let posted = created(posted)?.document()?;
        ensure!(posted["posted"] == money(DEPOSITED), "the answer is {posted}");
        Ok(())
    }

    async fn deposit_again(&self, account: Uuid) -> anyhow::Result<()> {
        let (first, second) =
            (self.send_deposit(account, DEPOSITED).await?, self.send_deposit(account, DEPOSITED).await?);
        for answer in [&first, &second] {
            ensure!(answer.replayed, "the answer was made anew: {answer}");
        }
        same_bytes(&first, &second)?;
        self.balance(account, DEPOSITED).await
    }

    async fn reuse_the_key(&self, account: Uuid) -> anyhow::Result<()> {
        let answer = self.send_deposit(account, DEPOSITED + 1).await?;
        ensure!(answer.status == 422 && answer.code() == "idempotency-key-reused", "the answer is {answer}");
        self.balance(account, DEPOSITED).await
    }

    async fn send_deposit(&self, account: Uuid, minor: i64) -> anyhow::Result<Answer> {
        let path = format!("/v1/accounts/{account}/deposits");
        self.post(&path, "deposit", &json!({ "amount": money(minor) })).await
    }

    async fn book(&self, from: Uuid, to: Uuid) -> anyhow::Result<Uuid> {
        let body = transfer(from, &json!({ "account_id": to }), BOOKED);
        let booked = created(self.post("/v1/transfers", "book", &body).await?)?.id("transfer_id")?;
        self.succeeded(booked).await
    }

    async fn pay(&self, from: Uuid) -> anyhow::Result<Uuid> {
        let paid = created(self.send_payment(from).await?)?.id("transfer_id")?;
        self.succeeded(paid).await
    }

    /// The answer is that of the moment of the request, not of now.
    async fn pay_again(&self, from: Uuid) -> anyhow::Result<()> {
        let (first, second) = (self.send_payment(from).await?, self.send_payment(from).await?);
        for answer in [&first, &second] {
            ensure!(answer.replayed, "the answer was made anew: {answer}");
            ensure!(answer.document()?["status"] == "pending", "the answer is {answer}");
        }
        same_bytes(&first, &second)?;
        self.balance(from, DEPOSITED - BOOKED - PAID).await
    }

    async fn send_payment(&self, from: Uuid) -> anyhow::Result<Answer> {
        let body = transfer(from, &json!({ "iban": OTHER_BANK, "name": "Muster GmbH" }), PAID);
        self.post("/v1/transfers", "pay", &body).await
    }

    async fn succeeded(&self, transfer: Uuid) -> anyhow::Result<Uuid> {
        let path = format!("/v1/transfers/{transfer}");
        let ended = |document: &Value| document["status"] == "succeeded" || document["status"] == "failed";
        let document = self.client.until(&path, ended).await?;
        ensure!(document["status"] == "succeeded", "it has failed: {}", document["status_reason"]);
        Ok(transfer)
    }

    async fn balance(&self, account: Uuid, minor: i64) -> anyhow::Result<()> {
        let document = self.client.get(&format!("/v1/accounts/{account}")).await?.document()?;
        let balances = &document["balances"];
        for (name, minor) in [("posted", minor), ("available", minor), ("reserved", 0)] {
            ensure!(balances[name] == money(minor), "{name} of {account} is not {minor}: {balances}");
        }
        Ok(())
    }

    async fn trace(&self, transfer: Uuid) -> anyhow::Result<()> {
        let document = self.client.get(&format!("/v1/transfers/{transfer}/events")).await?.document()?;
        let events = document["events"].as_array().context("the answer has no events")?;
        for (event, seq) in events.iter().zip(1_i64..) {
            ensure!(event["seq"] == seq, "event {seq} is missing");
            ensure!(
                event["correlation_id"] == transfer.to_string()
                    && event["causation_id"].is_string()
                    && event["metadata"]["actor"].is_string(),
                "event {seq} does not say where it comes from: {event}"
            );
        }
        let story: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        ensure!(
            story.first() == Some(&"Requested")
                && story.last() == Some(&"Succeeded")
                && ["SubmissionInitiated", "ClearingSettled", "Captured"].iter().all(|it| story.contains(it)),
            "the story is {story:?}"
        );
        Ok(())
    }

    async fn listed(&self, account: Uuid, transfers: [Uuid; 2]) -> anyhow::Result<()> {
        let path = format!("/v1/transfers?account={account}&status=succeeded");
        let complete = |document: &Value| {
            let listed = document["transfers"].as_array().map_or(&[][..], Vec::as_slice);
            transfers.iter().all(|id| listed.iter().any(|listed| listed["transfer_id"] == id.to_string()))
        };
        self.client.until(&path, complete).await?;
        Ok(())
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Answer> {
        self.client.post(path, &format!("smoke-{}-{key}", self.run), body).await
    }
}

fn created(answer: Answer) -> anyhow::Result<Answer> {
    ensure!(answer.status == 201, "the answer is {answer}");
    Ok(answer)
}

fn same_bytes(first: &Answer, second: &Answer) -> anyhow::Result<()> {
    ensure!(
        first.status == second.status && first.body == second.body,
        "the answers differ: {first} and {second}"
    );
    Ok(())
}

fn transfer(from: Uuid, to: &Value, minor: i64) -> Value {
    json!({ "from_account": from, "to": to, "amount": money(minor), "remittance": "smoke test" })
}

fn money(minor: i64) -> Value {
    json!({ "amount": minor.to_string(), "currency": CURRENCY })
}
