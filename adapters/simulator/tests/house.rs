//! A clearing house on a free port, the bank that talks to it, and the bank's end of its callbacks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use iso20022::{
    CancellationRequest, CreditTransfer, Document, Message, Original, Party, Profile, Reason, StatusReport,
    StatusRequest,
};
use jiff::Timestamp;
use money::{Currency, Money};
use reqwest::{Client, RequestBuilder, Response};
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

/// Beyond what a bank of these tests takes, but for the one that is silent.
const ACCEPTANCE_LIMIT: Duration = Duration::from_secs(2);

pub(crate) struct House {
    pub(crate) base: String,
    pub(crate) client: Client,
    stop: CancellationToken,
    running: JoinHandle<Result<(), Error>>,
    _stop_when_dropped: DropGuard,
}

pub(crate) fn config(listener: TcpListener, journal: &Path) -> Config {
    let (journal, profile) = (journal.to_owned(), Profile::named("nct-inst").unwrap());
    let (answer_time, acceptance_limit) = (Duration::ZERO, ACCEPTANCE_LIMIT);
    Config {
        listener,
        journal,
        answer_time,
        acceptance_limit,
        profile,
        name: "NCTIDKK1XXX".to_owned(),
        token: None,
        network_token: None,
        card_bank: None,
    }
}

impl House {
    pub(crate) async fn open(journal: &Path) -> Self {
        Self::open_with(journal, Duration::ZERO).await
    }

    pub(crate) async fn open_with(journal: &Path, answer_time: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let config = Config { answer_time, ..config(listener, journal) };
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

    pub(crate) fn request(&self, document: Document) -> RequestBuilder {
        self.client.post(format!("{}/iso20022", self.base)).body(xml(document))
    }

    pub(crate) async fn pay(&self, payment: &CreditTransfer) -> StatusReport {
        let request = self.request(Document::CreditTransfer(payment.clone()));
        report(request.send().await.unwrap()).await
    }

    /// Pays from a bank with an address.
    pub(crate) async fn pay_from(&self, mailbox: &Mailbox, payment: &CreditTransfer) -> StatusReport {
        let request = self.request(Document::CreditTransfer(payment.clone()));
        report(request.header("reply-to", &mailbox.url).send().await.unwrap()).await
    }

    pub(crate) async fn enquire(&self, payment: &CreditTransfer) -> StatusReport {
        let request = self.request(Document::StatusRequest(StatusRequest { original: original(payment) }));
        report(request.send().await.unwrap()).await
    }

    pub(crate) async fn recall(&self, payment: &CreditTransfer, case_id: &str) -> (StatusCode, String) {
        let request = self.request(Document::CancellationRequest(CancellationRequest {
            case_id: case_id.to_owned(),
            original: original(payment),
            amount: payment.amount,
            reason: Reason::code("DUPL"),
        }));
        let response = request.send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        read(self.client.post(format!("{}{path}", self.base)).json(&body).send().await.unwrap()).await
    }

    pub(crate) async fn order(&self, fault: Value) -> Value {
        let (status, fault) = self.post("/faults", fault).await;
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

pub(crate) async fn report(response: Response) -> StatusReport {
    let (status, bytes) = (response.status(), response.bytes().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{bytes:?}");
    match message(&bytes).document {
        Document::StatusReport(report) => report,
        other => panic!("no status report: {other:?}"),
    }
}

pub(crate) fn message(bytes: &[u8]) -> Message {
    Message::read(bytes, &Profile::named("nct-inst").unwrap()).unwrap()
}

pub(crate) fn xml(document: Document) -> String {
    let [from, to, id] = ["LUNADK22XXX", "NCTIDKK1XXX", "m1"].map(str::to_owned);
    let message = Message { from, to, id, created_at: Timestamp::UNIX_EPOCH, document };
    message.to_xml(&Profile::named("nct-inst").unwrap())
}

pub(crate) fn payment() -> CreditTransfer {
    let party =
        |account: &str, name: &str| Party { name: name.to_owned(), account: account.to_owned(), agent: None };
    CreditTransfer {
        end_to_end_id: "rent-2025-01".to_owned(),
        transaction_id: "t1".to_owned(),
        uetr: Uuid::now_v7(),
        amount: Money::new(1_250, Currency::DKK),
        settlement_date: "2026-11-22".parse().unwrap(),
        accepted_at: Timestamp::UNIX_EPOCH,
        debtor: party("DK5000400440116243", "Ada"),
        creditor: party("DK9520000123456789", "Bo"),
        remittance: None,
    }
}

pub(crate) fn to_a_closed_account() -> CreditTransfer {
    let mut payment = payment();
    payment.creditor.account = "DK9520000123450000".to_owned();
    payment
}

pub(crate) fn original(payment: &CreditTransfer) -> Original {
    Original {
        kind: iso20022::OriginalKind::CreditTransfer,
        message_id: "m1".to_owned(),
        end_to_end_id: payment.end_to_end_id.clone(),
        transaction_id: payment.transaction_id.clone(),
        uetr: payment.uetr,
    }
}

pub(crate) fn journal() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    (folder, path)
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("the deadline passed")
}

/// Takes messages, after it has refused the first `refusals`.
pub(crate) struct Mailbox {
    pub(crate) url: String,
    messages: mpsc::UnboundedReceiver<Message>,
}

impl Mailbox {
    pub(crate) async fn open(refusals: u32) -> Self {
        let (sender, messages) = mpsc::unbounded_channel();
        let refused = Arc::new(AtomicU32::new(0));
        let take = move |bytes: axum::body::Bytes| async move {
            if refused.fetch_add(1, Ordering::Relaxed) < refusals {
                return StatusCode::BAD_GATEWAY;
            }
            sender.send(message(&bytes)).unwrap();
            StatusCode::NO_CONTENT
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/iso20022", listener.local_addr().unwrap());
        let router = Router::new().route("/iso20022", axum::routing::post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, messages }
    }

    pub(crate) async fn next(&mut self) -> Document {
        within(self.messages.recv()).await.unwrap().document
    }

    pub(crate) async fn next_report(&mut self) -> StatusReport {
        match self.next().await {
            Document::StatusReport(report) => report,
            other => panic!("no status report: {other:?}"),
        }
    }
}
