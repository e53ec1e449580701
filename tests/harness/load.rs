//! Customers who keep paying, whatever happens to the platform: each request is repeated, with its key, until it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::Rng;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Client, OTHER_BANK, transfer};

const CUSTOMERS: usize = 8;
/// Between two payments of a customer; it sets the load, and no assertion depends on it.
const PAUSE: Duration = Duration::from_millis(15);
const RETRY: Duration = Duration::from_millis(30);
/// The simulated house always refuses an account like this (AC04); its check digits are right.
const CLOSED_ACCOUNT: &str = "DE75500105175400000000";

pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    customers: JoinSet<Vec<Uuid>>,
}

impl Load {
    pub(crate) async fn start(client: &Client) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut accounts = Vec::new();
        for _ in 0..CUSTOMERS {
            accounts.push(client.account(1_000_000_000).await);
        }
        let mut customers = JoinSet::new();
        for _ in 0..CUSTOMERS {
            customers.spawn(customer(client.clone(), accounts.clone(), Arc::clone(&stop)));
        }
        Self { stop, customers }
    }

    /// The transfers that were accepted.
    pub(crate) async fn stop(self) -> Vec<Uuid> {
        self.stop.store(true, Ordering::Relaxed);
        self.customers.join_all().await.concat()
    }
}

async fn customer(client: Client, accounts: Vec<Uuid>, stop: Arc<AtomicBool>) -> Vec<Uuid> {
    let mut accepted = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (from, to, dice) = {
            let mut random = rand::rng();
            let mut one = || accounts[random.random_range(0..accounts.len())];
            (one(), one(), random.random_range(0..100))
        };
        let to = match dice {
            0..10 if from != to => json!({ "account_id": to }),
            10..15 => json!({ "iban": CLOSED_ACCOUNT, "name": "Closed" }),
            _ => json!({ "iban": OTHER_BANK, "name": "Muster GmbH" }),
        };
        let (key, body) = (Uuid::now_v7().to_string(), transfer(from, to, 100 + dice));
        let answer = loop {
            match client.send("/v1/transfers", &key, &body).await {
                Ok(response) if response.status().is_success() => match response.json().await {
                    Ok(answer) => break answer,
                    Err(_) => tokio::time::sleep(RETRY).await,
                },
                Ok(response) if !response.status().is_server_error() => {
                    panic!("{}", response.text().await.unwrap())
                }
                _ => tokio::time::sleep(RETRY).await,
            }
        };
        let answer: serde_json::Value = answer;
        accepted.push(answer["transfer_id"].as_str().unwrap().parse().unwrap());
        tokio::time::sleep(PAUSE).await;
    }
    accepted
}
