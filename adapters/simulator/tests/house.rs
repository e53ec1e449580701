//! A clearing house on a free port, the bank that talks to it, and the bank's end of its callbacks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::{Json, Router};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use simulator::{Config, Error};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Far beyond anything healthy: a test that gets here has failed.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct House {
    pub(crate) base: String,
    pub(crate) client: Client,
    stop: CancellationToken,
    running: JoinHandle<Result<(), Error>>,
    _stop_when_dropped: DropGuard,
}

impl House {
    pub(crate) async fn open(journal: &Path) -> Self {
        Self::open_with(journal, Duration::ZERO).await
    }

    pub(crate) async fn open_with(journal: &Path, answer_time: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let config = Config { listener, journal: journal.to_owned(), answer_time };
        let running = tokio::spawn(simulator::run(config, stop.clone()));
        let client = Client::builder().no_proxy().timeout(DEADLINE).build().unwrap();
        let house = Self { base, client, _stop_when_dropped: stop.clone().drop_guard(), stop, running };
        assert_eq!(house.get("/livez").await, (StatusCode::OK, json!({ "status": "up" })));
        house
    }

    /// Asks it to stop, and returns how it ended.
    pub(crate) async fn close(self) -> Result<(), Error> {
        self.stop.cancel();
        within(self.running).await.unwrap()
    }

    pub(crate) async fn pay(&self, payment: &Value) -> (StatusCode, Value) {
        read(self.client.post(format!("{}/payments", self.base)).json(payment).send().await.unwrap()).await
    }

    pub(crate) async fn order(&self, fault: Value) -> Value {
        let sent = self.client.post(format!("{}/faults", self.base)).json(&fault).send().await.unwrap();
        let (status, fault) = read(sent).await;
        assert_eq!(status, StatusCode::CREATED, "{fault}");
        fault
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        read(self.client.get(format!("{}{path}", self.base)).send().await.unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> StatusCode {
        self.client.delete(format!("{}{path}", self.base)).send().await.unwrap().status()
    }

    pub(crate) async fn journal(&self) -> Vec<Value> {
        let (status, mut page) = self.get("/journal").await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_value(page["lines"].take()).unwrap()
    }
}

pub(crate) async fn read(response: Response) -> (StatusCode, Value) {
    let (status, text) = (response.status(), response.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}")))
}

pub(crate) fn payment() -> Value {
    json!({
        "uetr": Uuid::now_v7(),
        "end_to_end_id": "rent-2025-01",
        "amount": { "amount": "1250", "currency": "DKK" },
        "debtor": { "iban": "DK5000400440116243", "name": "Ada" },
        "creditor": { "iban": "DK9520000123456789", "name": "Bo" }
    })
}

pub(crate) fn journal() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    (folder, path)
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("the deadline passed")
}

/// Takes callbacks, after it has refused the first `refusals`.
pub(crate) struct Mailbox {
    pub(crate) url: String,
    answers: mpsc::UnboundedReceiver<Value>,
}

impl Mailbox {
    pub(crate) async fn open(refusals: u32) -> Self {
        let (sender, answers) = mpsc::unbounded_channel();
        let refused = Arc::new(AtomicU32::new(0));
        let take = move |Json(answer): Json<Value>| async move {
            if refused.fetch_add(1, Ordering::Relaxed) < refusals {
                return StatusCode::BAD_GATEWAY;
            }
            sender.send(answer).unwrap();
            StatusCode::NO_CONTENT
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/answers", listener.local_addr().unwrap());
        let router = Router::new().route("/answers", axum::routing::post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, answers }
    }

    pub(crate) async fn next(&mut self) -> Value {
        within(self.answers.recv()).await.unwrap()
    }
}
