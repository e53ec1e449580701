//! Orders on credit: a saga that is no transfer.

use reqwest::StatusCode;
use serde_json::{Value, json};
use testbed::eventually;
use uuid::Uuid;

use crate::harness::{Client, LUNARIA, Platform, Transport, settle_down};

fn dkk(minor: i64) -> Value {
    json!({ "amount": minor.to_string(), "currency": "DKK" })
}

async fn credit(client: &Client, limit: i64) -> Uuid {
    let (status, answer) = client.post("/v1/credit-lines", json!({ "limit": dkk(limit) })).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    answer["credit_id"].as_str().unwrap().parse().unwrap()
}

fn order(credit: Uuid, from: Uuid, to: Uuid, minor: i64) -> Value {
    json!({ "credit_id": credit, "from_account": from, "to_account": to, "amount": dkk(minor), "reference": "basket 7" })
}

async fn placed(client: &Client, order: Value) -> Uuid {
    let (status, answer) = client.post("/v1/orders", order).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    answer["order_id"].as_str().unwrap().parse().unwrap()
}

async fn until(client: &Client, order: Uuid, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || {
        let (_, answer) = client.get(&format!("/v1/orders/{order}")).await;
        is_so(&answer).then_some(answer)
    })
    .await
}

async fn reserved(client: &Client, credit: Uuid) -> Value {
    client.get(&format!("/v1/credit-lines/{credit}")).await.1["reserved"]["amount"].clone()
}

async fn story(client: &Client, order: Uuid) -> Vec<String> {
    let (_, answer) = client.get(&format!("/v1/orders/{order}/events")).await;
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

/// The same on both transports.
async fn an_order_is_paid_or_refused(transport: Transport) {
    let platform = Platform::start(transport).await;
    let client = platform.client();
    let (ada, shop) = (client.account(10_000).await, client.account(1).await);
    let line = credit(&client, 5_000).await;
    let first = placed(&client, order(line, ada, shop, 4_000)).await;
    until(&client, first, "the order is paid", |order| order["status"] == "confirmed").await;
    assert_eq!(
        story(&client, first).await,
        ["Placed", "CreditReserved", "PaymentScheduled", "PaymentTaken", "Confirmed"]
    );
    assert_eq!((client.balances(ada).await.0, client.balances(shop).await.0), ("6000".into(), "4001".into()));
    assert_eq!(reserved(&client, line).await, "0");
    let (status, problem) = client.post(&format!("/v1/orders/{first}/cancel"), json!({})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("too-late-to-cancel")));
    let (status, problem) = client.post("/v1/orders", order(line, ada, shop, 5_001)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("credit-exceeded")));
    for (order, code) in [
        (order(Uuid::now_v7(), ada, shop, 1), "credit-line-unknown"),
        (order(line, Uuid::now_v7(), shop, 1), "account-unknown"),
        (order(line, ada, ada, 1), "self-transfer"),
        (order(line, ada, shop, 0), "amount-not-positive"),
    ] {
        assert_eq!(client.post("/v1/orders", order).await.1["code"], code);
    }
    eventually("the list has both", async || {
        let (_, answer) = client.get(&format!("/v1/orders?credit={line}")).await;
        let statuses: Vec<&Value> =
            answer["orders"].as_array()?.iter().map(|order| &order["status"]).collect();
        (statuses == ["rejected", "confirmed"]).then_some(())
    })
    .await;
    settle_down(&platform, &[]).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_paid_or_refused_embedded() {
    an_order_is_paid_or_refused(Transport::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_paid_or_refused_through_kafka() {
    an_order_is_paid_or_refused(Transport::Kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_without_money_is_tried_again_cancelled_or_given_up() {
    let settings = &["core.order_retry_pause_ms=200", "core.order_payment_limit_ms=3000"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let (ada, shop) = (client.account(100).await, client.account(1).await);
    let line = credit(&client, 5_000).await;
    let refused = |order: &Value| order["payment_refusals"].as_u64().unwrap() > 0;
    // Money comes, and the next try takes it.
    let paid = placed(&client, order(line, ada, shop, 300)).await;
    let waiting = until(&client, paid, "payment was refused", refused).await;
    assert_eq!(
        (&waiting["status"], &waiting["payment_refusal"]),
        (&json!("awaiting_payment"), &json!("the account has not enough money"))
    );
    assert_eq!(reserved(&client, line).await, "300");
    client.post(&format!("/v1/accounts/{ada}/deposits"), json!({ "amount": dkk(200) })).await;
    until(&client, paid, "the order is paid", |order| order["status"] == "confirmed").await;
    // The customer does not want it any more.
    let cancelled = placed(&client, order(line, ada, shop, 500)).await;
    until(&client, cancelled, "payment was refused", refused).await;
    let (status, answer) = client.post(&format!("/v1/orders/{cancelled}/cancel"), json!({})).await;
    assert_eq!((status, &answer["cancel_reason"]), (StatusCode::OK, &json!("by_customer")));
    // Nobody pays.
    let given_up = placed(&client, order(line, ada, shop, 700)).await;
    let end = until(&client, given_up, "the order is given up", |order| order["status"] == "cancelled").await;
    assert_eq!(end["cancel_reason"], "not_paid_in_time");
    assert_eq!(reserved(&client, line).await, "0");
    assert_eq!((client.balances(ada).await.0, client.balances(shop).await.0), ("0".into(), "301".into()));
    settle_down(&platform, &[]).await;
    platform.stop().await;
}
