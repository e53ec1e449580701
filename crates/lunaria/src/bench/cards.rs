//! How long a card network waits for its answer, asked over HTTP as it asks.
//!
//! ```text
//! 100 a second     cards.authorisation_p50, _p99    from when it was due to be asked to the answer
//! 64 at a time     cards.authorisations             a second
//! ```
//!
//! Each answer is one of a saga across two services: the question and the verdict are committed in both, and go through both relays.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use authorisation::{Card, CardCommand};
use event::Context;
use event_store::{APPLICATION_ROLE, Store};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::append::{self, counted};
use super::figure::{Figure, quantile_ms};
use super::platform::{Platform, open_accounts};
use super::transfers::until_at_rest;
use super::{Bed, age_log};
use crate::cli::BenchOptions;

const CARDS: usize = 1_000;
const PER_SECOND: u32 = 100;
const MANY: u32 = 64;
const WARM_SECONDS: u32 = 2;
/// Networks wait two seconds; their customers less.
const LIMIT_MS: f64 = 100.0;

pub(super) async fn measure(bed: &Bed, options: &BenchOptions) -> anyhow::Result<Vec<Figure>> {
    let (superuser, passwords) = bed.provision().await?;
    let mut connection = PgConnection::connect_with(&superuser).await?;
    age_log(&mut connection).await?;
    let application = superuser.clone().username(APPLICATION_ROLE).password(&passwords.application);
    let platform = Platform::start(bed, &superuser, &passwords, &[]).await?;
    let accounts = open_accounts(&append::store(&application, &passwords).await?).await?;
    let cards = issue(&append::store(&application, &passwords).await?, &accounts).await?;
    until_at_rest(&mut connection).await?;
    let network = Network { client: platform.customer.client.clone(), url: platform.network_url.clone() };
    paced(&network, &cards, WARM_SECONDS * PER_SECOND).await?;
    let answered = paced(&network, &cards, options.seconds * PER_SECOND).await?;
    let turn = AtomicUsize::new(0);
    let ask = || {
        let card = cards[turn.fetch_add(1, Ordering::Relaxed) % CARDS];
        let network = network.clone();
        async move { network.ask(card).await }
    };
    let many = counted(MANY, options.seconds, ask).await?;
    platform.stop().await?;
    let figure = |measure, value, unit, floor| Figure { bench: "cards", measure, value, unit, floor };
    Ok(vec![
        figure("cards.authorisation_p50", quantile_ms(&answered, 0.5), "ms", None),
        figure("cards.authorisation_p99", quantile_ms(&answered, 0.99), "ms", Some(LIMIT_MS)),
        figure("cards.authorisations", many, "authorisations/s", None),
    ])
}

async fn issue(store: &Store, accounts: &[Uuid]) -> anyhow::Result<Vec<Uuid>> {
    let mut unit = store.begin(Context::at_rest("bench")).await?;
    let mut cards = Vec::new();
    for account_id in &accounts[..CARDS] {
        let card_id = Uuid::now_v7();
        unit.expect_new::<Card>(card_id);
        let issue = CardCommand::Issue { card_id, account_id: *account_id };
        let issued = unit.execute::<Card>(card_id, issue).await;
        issued.map_err(|error| anyhow::anyhow!("no card: {error:?}"))?;
        cards.push(card_id);
    }
    unit.commit().await?;
    store.pool().close().await;
    Ok(cards)
}

/// Whoever asks.
#[derive(Clone)]
struct Network {
    client: reqwest::Client,
    url: String,
}

impl Network {
    async fn ask(&self, card: Uuid) -> anyhow::Result<()> {
        let id = Uuid::now_v7();
        let message = json!({
            "mti": "0100", "message_id": "M1", "transaction_id": id.simple().to_string(), "card_id": card, "amount": "1", "currency": "DKK",
            "merchant": { "name": "Bakery Lund" },
        });
        let answer: Value = self.client.post(&self.url).json(&message).send().await?.json().await?;
        ensure!(answer["response_code"] == "00", "the adapter answers {answer}");
        Ok(())
    }
}

/// So many a second, whoever has not been answered yet; the time of each, in microseconds.
async fn paced(network: &Network, cards: &[Uuid], requests: u32) -> anyhow::Result<Histogram<u64>> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = Vec::new();
    for n in 0..requests {
        let due = ticks.tick().await.into_std();
        let (network, card) = (network.clone(), cards[n as usize % CARDS]);
        under_way.push(tokio::spawn(async move { network.ask(card).await.map(|()| elapsed(due)) }));
    }
    let mut answered = Histogram::new(3).context("no histogram")?;
    for request in under_way {
        answered.record(request.await??)?;
    }
    Ok(answered)
}

fn elapsed(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
