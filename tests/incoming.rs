//! Payments from other banks: offered, accepted or refused, settled or not, and sent back.

use reqwest::StatusCode;
use serde_json::{Value, json};
use testbed::eventually;
use uuid::Uuid;

use crate::harness::{Client, LUNARIA, Platform, Transport, Victim, settle_down};

/// A payment of another bank's customer, as the clearing house is told to offer it.
fn order(platform: &Platform, iban: &str, minor: i64) -> Value {
    let (amount, remittance) = (minor.to_string(), "invoice 7");
    json!({
        "to": "LUNADK22XXX", "deliver_to": format!("{}/iso20022", platform.adapter_url),
        "creditor_iban": iban, "creditor_name": "Ada Lund", "amount": amount, "currency": "DKK", "remittance": remittance
    })
}

async fn iban(client: &Client, account: Uuid) -> String {
    client.get(&format!("/v1/accounts/{account}")).await.1["iban"].as_str().unwrap().to_owned()
}

async fn read(client: &Client, listed: &Value) -> Value {
    client.get(&format!("/v1/incoming-payments/{}", listed["payment_id"].as_str().unwrap())).await.1
}

/// The types of the payment's events.
async fn story(client: &Client, listed: &Value) -> Vec<String> {
    let path = format!("/v1/incoming-payments/{}/events", listed["payment_id"].as_str().unwrap());
    let (_, answer) = client.get(&path).await;
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

async fn suspense(platform: &Platform) -> i64 {
    let mut connection = platform.core.superuser_connection().await;
    sqlx::query_scalar(
        "select coalesce(sum(amount), 0)::bigint from ledger_balance where ledger_account = 'suspense'",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap()
}

/// The same on both transports.
async fn who_can_be_credited_is(transport: Transport) {
    let platform = Platform::start(transport).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    let number = iban(&client, account).await;
    let paid = client.order_payment(order(&platform, &number, 500)).await;
    let credited = client.until_incoming("credited", 1).await.remove(0);
    assert_eq!(client.balances(account).await, ("1500".into(), "0".into(), "1500".into()));
    let document = read(&client, &credited).await;
    assert_eq!(document["uetr"], paid[0]["uetr"]);
    assert_eq!((&document["status"], &document["account_id"]), (&json!("credited"), &json!(account)));
    assert_eq!(
        (&document["remittance"], &document["amount"]["amount"]),
        (&json!("invoice 7"), &json!("500"))
    );
    let expected = ["Received", "CreditPending", "SettlementConfirmed", "CreditPosted"];
    assert_eq!(story(&client, &credited).await, expected);

    // Nobody has this number, and this account is not held in that currency.
    client.order_payment(order(&platform, "DK5000400440116243", 100)).await;
    let mut euro = order(&platform, &number, 100);
    euro["currency"] = json!("EUR");
    client.order_payment(euro).await;
    let mut codes = Vec::new();
    for refused in client.until_incoming("refused", 2).await {
        codes.push(read(&client, &refused).await["reason_code"].as_str().unwrap().to_owned());
    }
    codes.sort();
    assert_eq!(codes, ["AC01", "AM03"]);
    settle_down(&platform, &[]).await;
    assert_eq!(client.balances(account).await.0, "1500");
    for service in ["core", "adapter-instant"] {
        let (code, text) = platform.lunaria(&["streams", "verify-derived", service]);
        assert_eq!(code, 0, "{text}");
    }
    let (status, problem) = client.get(&format!("/v1/incoming-payments/{account}")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("incoming-payment-unknown")));
    assert_eq!(client.get("/v1/incoming-payments?status=lost").await.1["code"], "invalid-query");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_be_credited_is_embedded() {
    who_can_be_credited_is(Transport::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_be_credited_is_through_kafka() {
    who_can_be_credited_is(Transport::Kafka).await;
}

/// Whatever goes wrong between the banks, the customer has the money once.
#[tokio::test(flavor = "multi_thread")]
async fn each_fault_ends_in_one_credit() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(1).await;
    let number = iban(&client, account).await;
    let faults = [
        json!({ "kind": "lose_request", "count": 1 }),
        json!({ "kind": "lose_answer", "count": 1 }),
        json!({ "kind": "answer_late", "count": 1, "delay_ms": 1500 }),
        json!({ "kind": "duplicate", "count": 1 }),
        json!({ "kind": "malformed", "count": 1 }),
        json!({ "kind": "pending", "count": 1, "delay_ms": 700 }),
        json!({ "kind": "down", "count": 1 }),
    ];
    for (n, fault) in faults.into_iter().enumerate() {
        client.order_fault(fault).await;
        client.order_payment(order(&platform, &number, 100)).await;
        client.until_incoming("credited", n + 1).await;
        client.heal().await;
    }
    settle_down(&platform, &[]).await;
    assert_eq!(client.balances(account).await.0, "701");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_rail_cancels_is_not_credited() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(1).await;
    client.order_fault(json!({ "kind": "reject", "count": 1, "reason_code": "AM09" })).await;
    client.order_payment(order(&platform, &iban(&client, account).await, 100)).await;
    let cancelled = client.until_incoming("cancelled", 1).await.remove(0);
    assert_eq!(read(&client, &cancelled).await["reason_code"], "AM09");
    let expected = ["Received", "CreditPending", "SettlementCancelled", "CreditVoided"];
    assert_eq!(story(&client, &cancelled).await, expected);
    settle_down(&platform, &[]).await;
    assert_eq!(client.balances(account).await.0, "1");
    platform.stop().await;
}

/// The rail's time is up before core has decided: the adapter says no, and the account expects nothing any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_comes_too_late_is_a_refusal() {
    let settings = &["instant.decision_limit_ms=1"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let account = client.account(1).await;
    client.order_payment(order(&platform, &iban(&client, account).await, 100)).await;
    let late = eventually("it is decided", async || {
        let cancelled = client.incoming("cancelled").await;
        cancelled.into_iter().next()
    })
    .await;
    assert_eq!(read(&client, &late).await["reason_code"], "AB05");
    settle_down(&platform, &[]).await;
    assert_eq!(client.balances(account).await.0, "1");
    platform.stop().await;
}

/// The house settles what was refused: the money belongs to nobody here, and goes back.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_settled_against_our_word_goes_back() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    client.order_fault(json!({ "kind": "settle_anyway", "count": 2 })).await;
    client.order_payment(order(&platform, "DK5000400440116243", 100)).await;
    let returned = client.until_incoming("returned", 1).await.remove(0);
    assert_eq!(read(&client, &returned).await["reason_code"], "AC01");
    let expected =
        ["Received", "Refused", "SettlementConfirmed", "HeldInSuspense", "ReturnInitiated", "ReturnSettled"];
    assert_eq!(story(&client, &returned).await, expected);
    settle_down(&platform, &[]).await;
    assert_eq!(suspense(&platform).await, 0);

    // Its answer is lost, so it is sent again; then the house does not take it, and a person is asked.
    client.order_fault(json!({ "kind": "reject_return", "count": 1, "reason_code": "AC04" })).await;
    client.order_payment(order(&platform, "DK5000400440116243", 70)).await;
    let stuck = client.until_incoming("requires_attention", 1).await.remove(0);
    assert_eq!(stuck["status"], "returning");
    assert_eq!(story(&client, &stuck).await[5..], ["ReturnRejected", "OperatorAttentionRequired"]);
    eventually("it is apart", async || (suspense(&platform).await == 70).then_some(())).await;
    platform.stop().await;
}

/// A storm, and the power goes; nothing is credited twice, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_survives_kill_9() {
    let mut platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(1).await;
    let mut storm = order(&platform, &iban(&client, account).await, 10);
    storm["count"] = json!(60);
    client.order_fault(json!({ "kind": "lose_answer", "percent": 20, "for_ms": 60_000 })).await;
    client.order_payment(storm).await;
    platform.kill(Victim::Everything);
    platform.resume().await;
    eventually("all have ended", async || {
        let ended = [client.incoming("credited").await.len(), client.incoming("cancelled").await.len()];
        (ended.iter().sum::<usize>() == 60).then_some(())
    })
    .await;
    client.heal().await;
    settle_down(&platform, &[]).await;
    platform.stop().await;
}
