//! An endpoint as customers run one: it checks who speaks, keeps what it is told, and fails to order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How far a clock may be off, as Standard Webhooks advise.
const TOLERANCE_SECONDS: i64 = 300;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Ordered>>);

#[derive(Default)]
struct Ordered {
    /// `webhook-id` and body of what was taken, in order.
    taken: Vec<(String, Value)>,
    /// What was not signed by the secret.
    forged: usize,
    signatures: usize,
    secret: String,
    /// What a stream's event is answered with instead, so often.
    failures: HashMap<String, (StatusCode, usize)>,
    /// A stream's events are answered so much later.
    stalls: HashMap<String, Duration>,
    is_gone: bool,
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Shared,
    server: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let shared = Shared::default();
        let router = Router::new().route("/hooks", post(receive)).with_state(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, server }
    }

    /// From now on it trusts this one.
    pub(crate) fn trust(&self, secret: &str) {
        secret.clone_into(&mut self.ordered().secret);
    }

    pub(crate) fn fail(&self, stream: &str, status: StatusCode, times: usize) {
        self.ordered().failures.insert(stream.to_owned(), (status, times));
    }

    pub(crate) fn stall(&self, stream: &str, by: Duration) {
        self.ordered().stalls.insert(stream.to_owned(), by);
    }

    pub(crate) fn go_away(&self) {
        self.ordered().is_gone = true;
    }

    /// (id, seq) of what it has been told of a stream, in order.
    pub(crate) fn told(&self, stream: &str) -> Vec<(String, i64)> {
        let ordered = self.ordered();
        let of_stream = ordered.taken.iter().filter(|(_, body)| body["stream"] == stream);
        of_stream.map(|(id, body)| (id.clone(), body["seq"].as_i64().unwrap())).collect()
    }

    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.ordered().taken.iter().map(|(_, body)| body.clone()).collect()
    }

    pub(crate) fn forged(&self) -> usize {
        self.ordered().forged
    }

    /// Of the latest request.
    pub(crate) fn signatures(&self) -> usize {
        self.ordered().signatures
    }

    fn ordered(&self) -> MutexGuard<'_, Ordered> {
        self.shared.0.lock().unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(shared): State<Shared>, headers: HeaderMap, body: String) -> StatusCode {
    let said: Value = serde_json::from_str(&body).unwrap();
    let stall = shared.0.lock().unwrap().stalls.get(said["stream"].as_str().unwrap()).copied();
    tokio::time::sleep(stall.unwrap_or_default()).await;
    let mut ordered = shared.0.lock().unwrap();
    let header = |name: &str| headers[name].to_str().unwrap();
    let (id, sent_at, signatures) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    ordered.signatures = signatures.split(' ').count();
    let age = jiff::Timestamp::now().as_second() - sent_at.parse::<i64>().unwrap();
    let secret = BASE64_STANDARD.decode(ordered.secret.trim_start_matches("whsec_")).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let is_ours = signatures.split(' ').any(|signature| {
        let signature = BASE64_STANDARD.decode(signature.trim_start_matches("v1,")).unwrap();
        hmac::verify(&key, format!("{id}.{sent_at}.{body}").as_bytes(), &signature).is_ok()
    });
    if !is_ours || age.abs() > TOLERANCE_SECONDS {
        ordered.forged += 1;
        return StatusCode::UNAUTHORIZED;
    }
    if ordered.is_gone {
        return StatusCode::GONE;
    }
    if let Some((status, times)) = ordered.failures.get_mut(said["stream"].as_str().unwrap())
        && *times > 0
    {
        *times -= 1;
        return *status;
    }
    ordered.taken.push((id.to_owned(), said));
    StatusCode::NO_CONTENT
}
