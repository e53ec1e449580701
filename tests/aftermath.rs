//! What comes after a transfer has ended, and before: recalls, returns, payments that the rail takes and does not decide.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde_json::{Value, json};
use testbed::eventually;
use uuid::Uuid;

use crate::harness::{Client, LUNARIA, Platform, Transport, settle_down};

async fn recall(client: &Client, transfer: Uuid, reason_code: &str) -> (StatusCode, Value) {
    client.post(&format!("/v1/transfers/{transfer}/recall"), json!({ "reason_code": reason_code })).await
}

async fn uetr(client: &Client, transfer: Uuid) -> Value {
    client.get(&format!("/v1/transfers/{transfer}")).await.1["uetr"].clone()
}

async fn until_recall_is(client: &Client, transfer: Uuid, status: &str) -> Value {
    eventually(&format!("the recall is {status}"), async || {
        let (_, answer) = client.get(&format!("/v1/transfers/{transfer}")).await;
        (answer["recall"]["status"] == status).then_some(answer)
    })
    .await
}

/// The same on both transports.
async fn what_comes_back_is_credited(transport: Transport) {
    let platform = Platform::start(transport).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    let (whole, part) = (client.pay(account, 400).await, client.pay(account, 100).await);
    for transfer in [whole, part] {
        client.until(transfer, "succeeded").await;
    }
    client.order_return(json!({ "uetr": uetr(&client, whole).await, "reason_code": "AC04" })).await;
    let order = json!({ "uetr": uetr(&client, part).await, "amount": "95", "currency": "DKK", "reason_code": "AC06" });
    client.order_return(order).await;
    let returned = client.until(whole, "returned").await["returned"].clone();
    assert_eq!((&returned["amount"]["amount"], &returned["reason_code"]), (&json!("400"), &json!("AC04")));
    assert_eq!(client.until(part, "returned").await["returned"]["amount"]["amount"], "95");
    assert_eq!(client.story(whole).await[5..], ["Succeeded", "ReturnReceived", "ReturnCredited", "Returned"]);
    assert_eq!(client.balances(account).await, ("995".into(), "0".into(), "995".into()));
    eventually("both are listed as returned", async || {
        let (_, listed) = client.get("/v1/transfers?status=returned").await;
        (listed["transfers"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;
    assert_eq!(recall(&client, whole, "DUPL").await.1["code"], "nothing-to-recall");
    settle_down(&platform, &[whole, part]).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_credited_embedded() {
    what_comes_back_is_credited(Transport::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_credited_through_kafka() {
    what_comes_back_is_credited(Transport::Kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recall_brings_the_money_a_refusal_or_a_person() {
    let settings = &["core.recall_limit_ms=1500"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    let (given, refused, silent) =
        (client.pay(account, 100).await, client.pay(account, 200).await, client.pay(account, 300).await);
    for transfer in [given, refused, silent] {
        client.until(transfer, "succeeded").await;
    }

    let (status, answer) = recall(&client, given, "DUPL").await;
    assert_eq!((status, &answer["recall"]["status"]), (StatusCode::OK, &json!("requested")), "{answer}");
    let returned = client.until(given, "returned").await;
    assert_eq!(
        (&returned["recall"]["status"], &returned["returned"]["reason_code"]),
        (&json!("accepted"), &json!("FOCR"))
    );
    assert_eq!(
        client.story(given).await[6..],
        ["RecallInitiated", "RecallAccepted", "ReturnReceived", "ReturnCredited", "Returned"]
    );

    client.order_fault(json!({ "kind": "reject_recall", "count": 1, "reason_code": "LEGL" })).await;
    recall(&client, refused, "CUST").await;
    let answer = until_recall_is(&client, refused, "rejected").await;
    assert_eq!((&answer["status"], &answer["recall"]["answer_code"]), (&json!("succeeded"), &json!("LEGL")));

    client.order_fault(json!({ "kind": "ignore_recall", "count": 1 })).await;
    recall(&client, silent, "FRAD").await;
    assert_eq!(recall(&client, silent, "FRAD").await.1["code"], "already-recalled");
    let answer = until_recall_is(&client, silent, "unanswered").await;
    assert!(answer["status_reason"].as_str().unwrap().contains("not been answered"), "{answer}");
    eventually("the list has it among those for a person", async || {
        let (_, listed) = client.get("/v1/transfers?status=requires_attention").await;
        (listed["transfers"][0]["transfer_id"] == json!(silent)).then_some(())
    })
    .await;
    client.until_cases(&format!("transfer-{silent}"), &["open"]).await;
    // The creditor's bank gives it back at last, and nobody has to look any more.
    client.order_return(json!({ "uetr": uetr(&client, silent).await })).await;
    assert_eq!(client.until(silent, "returned").await["status_reason"], Value::Null);
    eventually("the list has nobody for a person", async || {
        let (_, listed) = client.get("/v1/transfers?status=requires_attention").await;
        listed["transfers"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    let case = client.until_cases(&format!("transfer-{silent}"), &["withdrawn"]).await.remove(0);
    let (_, story) = client.get(&format!("/v1/cases/{}/events", case["case_id"].as_str().unwrap())).await;
    assert_eq!(story["events"].as_array().unwrap().len(), 2, "{story}");
    assert_eq!(client.balances(account).await.0, "800");
    settle_down(&platform, &[given, refused, silent]).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recalled_is_refused() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let (account, payee) = (client.account(1_000).await, client.account(1).await);
    let book = client.pay_to(account, json!({ "account_id": payee }), 100).await;
    client.order_fault(json!({ "kind": "answer_late", "count": 1, "delay_ms": 2_000 })).await;
    let under_way = client.pay(account, 100).await;
    for transfer in [book, under_way] {
        let (status, answer) = recall(&client, transfer, "DUPL").await;
        assert_eq!((status, answer["code"].as_str()), (StatusCode::CONFLICT, Some("nothing-to-recall")));
    }
    let (status, answer) = recall(&client, book, "WHY").await;
    assert_eq!(
        (status, answer["pointer"].as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Some("/reason_code"))
    );
    assert_eq!(recall(&client, Uuid::nil(), "DUPL").await.0, StatusCode::NOT_FOUND);
    client.until(under_way, "succeeded").await;
    settle_down(&platform, &[book, under_way]).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_the_rail_has_taken_is_given_its_time() {
    let settings =
        &["core.submission_limit_ms=1000", "core.pending_limit_ms=60000", "instant.pending_pause_ms=300"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    client.order_fault(json!({ "kind": "pending", "count": 1, "delay_ms": 3_000 })).await;
    let transfer = client.pay(account, 400).await;
    client.until(transfer, "succeeded").await;
    let story = client.story(transfer).await;
    // Long after the limit, and yet it has not run out.
    assert_eq!(story[3..], ["ClearingPending", "ClearingSettled", "Captured", "Succeeded"]);
    settle_down(&platform, &[transfer]).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_returns_is_credited_to_the_last_one() {
    const PAYMENTS: usize = 150;
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(100_000).await;
    let mut transfers = BTreeSet::new();
    for _ in 0..PAYMENTS {
        transfers.insert(client.pay(account, 100).await);
    }
    for transfer in &transfers {
        client.until(*transfer, "succeeded").await;
    }
    let given = client.order_return(json!({ "count": PAYMENTS })).await;
    assert_eq!(given["returned"].as_array().unwrap().len(), PAYMENTS);
    for transfer in &transfers {
        client.until(*transfer, "returned").await;
    }
    assert_eq!(client.balances(account).await.0, "100000");
    settle_down(&platform, &transfers.into_iter().collect::<Vec<_>>()).await;
    platform.stop().await;
}
