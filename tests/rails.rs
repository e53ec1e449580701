//! A rail that answers nobody, or is closed: payments wait within their limit, and are refused beyond it.

use serde_json::{Value, json};
use sqlx::PgConnection;
use testbed::eventually;
use uuid::Uuid;

use crate::harness::{LUNARIA, Platform, Transport, settle_down};

/// The circuit opens after a few calls, and for long enough that each payment meets it.
const IMPATIENT: &[&str] = &["instant.circuit_failures=3", "instant.circuit_pause_ms=6000"];
const CLOSED_FOR_EVER: &[&str] =
    &["instant.closed[0].from=2020-01-01T00:00:00Z", "instant.closed[0].to=2999-01-01T00:00:00Z"];

/// The data of the events of one type.
async fn events(adapter: &mut PgConnection, stream_like: &str, kind: &str) -> Vec<Value> {
    sqlx::query_scalar("select data from event where stream like $1 and type = $2 order by stream, seq")
        .bind(stream_like)
        .bind(kind)
        .fetch_all(adapter)
        .await
        .unwrap()
}

async fn a_rail_that_answers_nobody_is_left_alone_until_it_does(transport: Transport) {
    let platform = Platform::with(transport, LUNARIA, "", IMPATIENT).await;
    let client = platform.client();
    let account = client.account(10_000).await;
    // Three calls are refused; what comes after them would be taken, if it were sent at once.
    client.order_fault(json!({ "kind": "down", "count": 3 })).await;
    let mut transfers: Vec<Uuid> = Vec::new();
    for _ in 0..3 {
        transfers.push(client.pay(account, 100).await);
    }
    let mut adapter = platform.instant.superuser_connection().await;
    let last =
        async |kind| events(&mut platform.instant.superuser_connection().await, "rail-%", kind).await.pop();
    let opened = eventually("the circuit opens", async || last("CircuitOpened").await).await;
    assert_eq!(opened["failures"], 3);
    assert!(opened["reason"].as_str().unwrap().contains("503"), "{opened}");

    transfers.push(client.pay(account, 100).await);
    for transfer in &transfers {
        client.until(*transfer, "succeeded").await;
    }
    let deferred = events(&mut adapter, "submission-%", "AttemptDeferred").await;
    assert!(deferred.len() >= 4, "all of them met the open circuit: {deferred:?}");
    assert!(deferred.iter().all(|deferred| deferred["reason"] == "no_answer"), "{deferred:?}");
    eventually("the circuit is closed again", async || last("CircuitClosed").await).await;
    let role = if transport == Transport::Embedded { "serve" } else { "adapter" };
    let metrics = client.http.get(format!("{}/metrics", platform.ops_urls[role])).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("lunaria_rail_circuit_open{service=\"adapter-instant\"} 0"), "{metrics}");
    settle_down(&platform, &transfers).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rail_that_answers_nobody_is_left_alone_until_it_does_embedded() {
    a_rail_that_answers_nobody_is_left_alone_until_it_does(Transport::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rail_that_answers_nobody_is_left_alone_until_it_does_through_kafka() {
    a_rail_that_answers_nobody_is_left_alone_until_it_does(Transport::Kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_wait_for_a_closed_rail_beyond_its_limit_is_refused_and_released() {
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", CLOSED_FOR_EVER).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    let transfer = client.pay(account, 400).await;
    let failed = client.until(transfer, "failed").await;
    assert_eq!(failed["status_reason"], "rejected_by_clearing");
    assert_eq!(client.balances(account).await, ("1000".into(), "0".into(), "1000".into()));
    let mut adapter = platform.instant.superuser_connection().await;
    let rejected = events(&mut adapter, "submission-%", "SubmissionRejected").await;
    assert_eq!(rejected[0]["reason_code"], "TM01");
    assert!(client.journal().await.is_empty(), "nothing was sent");
    settle_down(&platform, &[transfer]).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_about_another_amount_is_kept_and_the_house_is_asked_again() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    client.order_fault(json!({ "kind": "wrong_amount", "count": 1 })).await;
    let transfer = client.pay(account, 400).await;
    client.until(transfer, "succeeded").await;
    assert_eq!(client.balances(account).await.0, "600");
    let mut adapter = platform.instant.superuser_connection().await;
    let kept = events(&mut adapter, "message-%", "MessageUnmatched").await;
    assert_eq!(kept.len(), 1);
    assert!(kept[0]["message"].as_str().unwrap().contains(">4.01<"), "{kept:?}");
    assert_eq!(events(&mut adapter, "submission-%", "EnquiryAnswered").await.len(), 1);
    settle_down(&platform, &[transfer]).await;
    platform.stop().await;
}
