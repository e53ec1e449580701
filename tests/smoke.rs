//! `lunaria smoke` finds a deployment well, or says what is not.

use std::process::Command;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::json;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::harness::{KEY, LUNARIA, Platform, Transport};

async fn smoke(url: &str, limit_s: &str) -> (i32, String) {
    let arguments = ["smoke", url, "--limit-s", limit_s].map(str::to_owned);
    let asked = tokio::task::spawn_blocking(move || {
        Command::new(LUNARIA).args(arguments).env("LUNARIA_TOKEN", KEY).output().unwrap()
    });
    let output = asked.await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap_or(-1), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_works_passes_as_often_as_it_is_asked() {
    let platform = Platform::start(Transport::Embedded).await;
    for _ in 0..2 {
        let (code, text) = smoke(&platform.client().api, "30").await;
        assert!(code == 0 && !text.contains("FAIL"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("ok ")).count(), 12, "{text}");
    }
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rail_that_refuses_or_does_not_answer_fails_the_payment() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    client.order_fault(json!({ "kind": "reject", "count": 1 })).await;
    let (code, text) = smoke(&client.api, "30").await;
    assert_eq!(code, 1, "{text}");
    let fault = text.lines().last().unwrap();
    assert!(
        fault.starts_with("FAIL  a transfer through the rail succeeds")
            && fault.contains("rejected_by_clearing"),
        "{text}"
    );
    client.order_fault(json!({ "kind": "down", "for_ms": 600_000 })).await;
    let (code, text) = smoke(&client.api, "2").await;
    assert_eq!(code, 1, "{text}");
    let fault = text.lines().last().unwrap();
    assert!(
        fault.starts_with("FAIL  a transfer through the rail succeeds") && fault.contains("not within 2 s"),
        "{text}"
    );
    client.heal().await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_not_there_fails_within_the_limit() {
    let (code, text) = smoke("http://127.0.0.1:1", "1").await;
    assert_eq!(code, 1);
    assert!(text.starts_with("FAIL  the API and what it stands on are ready"), "{text}");
}

/// Between the customer and the API, something that gives each request a key of its own: two deposits become of one.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_forgets_keys_fails() {
    let platform = Platform::start(Transport::Embedded).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(forget_the_key).with_state(platform.client().api);
    let forgetful = tokio::spawn(async move { axum::serve(listener, router).await });
    let (code, text) = smoke(&url, "30").await;
    assert_eq!(code, 1, "{text}");
    let fault = text.lines().last().unwrap();
    assert!(fault.starts_with("FAIL  the same request gets the same answer and has one effect"), "{text}");
    forgetful.abort();
    platform.stop().await;
}

async fn forget_the_key(
    State(api): State<String>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Bytes) {
    headers.insert("idempotency-key", Uuid::now_v7().to_string().parse().unwrap());
    headers.remove("host");
    let request = reqwest::Client::new().request(method, format!("{api}{uri}")).headers(headers).body(body);
    let answer = request.send().await.unwrap();
    (answer.status(), answer.bytes().await.unwrap())
}
