//! Payments from other banks: offered, accepted or refused, settled or not, and sent back.

use reqwest::StatusCode;
use serde_json::{Value, json};
use testbed::eventually;
use uuid::Uuid;

use crate::harness::{Client, LUNARIA, Platform, Transport, Victim, settle_down};

fn order(platform: &Platform, iban: &str, minor: i64) -> Value {
    platform.client().incoming_order(&platform.adapter_url, iban, minor)
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
    let settings = &["instant.decision_limit_ms=200"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let account = client.account(1).await;
    let number = iban(&client, account).await;
    // Core cannot record anything for a while.
    let mut core = platform.core.superuser_connection().await;
    sqlx::raw_sql("begin; lock table event in share mode").execute(&mut core).await.unwrap();
    client.order_payment(order(&platform, &number, 100)).await;
    eventually("the adapter has waited long enough", async || {
        let mut adapter = platform.instant.superuser_connection().await;
        let late = "select count(*) from event where type = 'DecisionTimedOut'";
        let late: i64 = sqlx::query_scalar(late).fetch_one(&mut adapter).await.unwrap();
        (late == 1).then_some(())
    })
    .await;
    sqlx::raw_sql("rollback").execute(&mut core).await.unwrap();
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

const NOBODYS: &str = "DK5000400440116243";

/// The house settles what was refused: the money belongs to nobody here, and goes back, whatever the house makes of that.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_settled_against_our_word_goes_back() {
    let settings = &["instant.pending_pause_ms=500"];
    let mut platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    client.order_fault(json!({ "kind": "settle_anyway", "count": 1 })).await;
    client.order_payment(order(&platform, NOBODYS, 100)).await;
    let returned = client.until_incoming("returned", 1).await.remove(0);
    assert_eq!(read(&client, &returned).await["reason_code"], "AC01");
    let expected =
        ["Received", "Refused", "SettlementConfirmed", "HeldInSuspense", "ReturnInitiated", "ReturnSettled"];
    assert_eq!(story(&client, &returned).await, expected);

    // A return is lost on its way, its answer is, the house is closed, and we die: it goes back once.
    for (n, kind) in ["lose_request", "lose_answer", "down"].into_iter().enumerate() {
        // The first strikes our word, the second the return, until it is healed.
        client.order_fault(json!({ "kind": "settle_anyway", "count": 1 })).await;
        client.order_fault(json!({ "kind": kind, "for_ms": 600_000 })).await;
        client.order_payment(order(&platform, NOBODYS, 100)).await;
        client.until_incoming("returning", 1).await;
        if kind == "lose_answer" {
            platform.kill(Victim::Everything);
            platform.resume().await;
        }
        client.heal().await;
        client.until_incoming("returned", n + 2).await;
        eventually("nothing is apart", async || (suspense(&platform).await == 0).then_some(())).await;
    }
    settle_down(&platform, &[]).await;
    platform.stop().await;
}

/// The house does not take it back: a person is asked, and the money stays apart.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_house_does_not_take_back_asks_for_a_person() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    client.order_fault(json!({ "kind": "settle_anyway", "count": 1 })).await;
    client.order_fault(json!({ "kind": "reject_return", "count": 1, "reason_code": "AC04" })).await;
    client.order_payment(order(&platform, NOBODYS, 70)).await;
    let stuck = client.until_incoming("requires_attention", 1).await.remove(0);
    assert_eq!(stuck["status"], "returning");
    assert_eq!(story(&client, &stuck).await[5..], ["ReturnRejected", "OperatorAttentionRequired"]);
    eventually("it is apart", async || (suspense(&platform).await == 70).then_some(())).await;
    let subject = format!("incoming-{}", stuck["payment_id"].as_str().unwrap());
    client.until_cases(&subject, &["open"]).await;
    platform.stop().await;
}

/// A house that is away for longer than all quick tries is asked on: what it has settled is credited in the end.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_beyond_the_quick_tries_strands_nothing() {
    let settings = &["instant.enquiries_max=2", "instant.pending_pause_ms=700"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let account = client.account(1).await;
    let number = iban(&client, account).await;
    client.order_fault(json!({ "kind": "lose_answer", "count": 1 })).await;
    client.order_fault(json!({ "kind": "lose_enquiry", "for_ms": 600_000 })).await;
    client.order_payment(order(&platform, &number, 100)).await;
    let asked = client.until_incoming("requires_attention", 1).await.remove(0);
    client.heal().await;
    let credited = client.until_incoming("credited", 1).await.remove(0);
    assert_eq!(asked["payment_id"], credited["payment_id"]);
    assert!(credited["attention"].is_null(), "{credited}");
    client
        .until_cases(&format!("incoming-{}", credited["payment_id"].as_str().unwrap()), &["withdrawn"])
        .await;
    settle_down(&platform, &[]).await;
    assert_eq!(client.balances(account).await.0, "101");
    platform.stop().await;
}

/// What has come, and the account cannot hold any more, goes back.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_cannot_take_it_any_more_sends_it_back() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(1).await;
    client.order_fault(json!({ "kind": "answer_late", "count": 1, "delay_ms": 8_000 })).await;
    client.order_payment(order(&platform, &iban(&client, account).await, 100)).await;
    client.until_incoming("pending", 1).await;
    let full = json!({ "amount": { "amount": (i64::MAX - 1).to_string(), "currency": "DKK" } });
    let (status, answer) = client.post(&format!("/v1/accounts/{account}/deposits"), full).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let returned = client.until_incoming("returned", 1).await.remove(0);
    assert_eq!(read(&client, &returned).await["reason_code"], "AM02");
    settle_down(&platform, &[]).await;
    platform.stop().await;
}

/// Whoever does not show the token is not the house.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_houses_token_nothing_is_taken() {
    let settings = &["instant.house_token=0123456789abcdef"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    let transfer = client.pay(account, 100).await;
    client.until(transfer, "succeeded").await;
    client.order_payment(order(&platform, &iban(&client, account).await, 100)).await;
    client.until_incoming("credited", 1).await;
    let post = || client.http.post(format!("{}/iso20022", platform.adapter_url)).body("<forged/>");
    for request in [post(), post().bearer_auth("0123456789abcdee")] {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(post().bearer_auth("0123456789abcdef").send().await.unwrap().status(), StatusCode::NO_CONTENT);
    settle_down(&platform, &[transfer]).await;
    platform.stop().await;
}

/// A storm, and the power goes while it is on; nothing is credited twice, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_survives_kill_9() {
    let mut platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(1).await;
    let mut storm = order(&platform, &iban(&client, account).await, 10);
    storm["count"] = json!(200);
    client.order_fault(json!({ "kind": "lose_answer", "percent": 20, "for_ms": 60_000 })).await;
    client.order_payment(storm).await;
    eventually("some are on their way", async || {
        (!client.incoming("pending").await.is_empty()).then_some(())
    })
    .await;
    platform.kill(Victim::Everything);
    platform.resume().await;
    eventually("all that have come have ended", async || {
        let decided = client.lines().await.iter().filter(|line| line["outcome"].is_string()).count();
        let is_over = decided == 200 && client.incoming("pending").await.is_empty();
        is_over.then_some(())
    })
    .await;
    client.heal().await;
    assert!(!client.incoming("credited").await.is_empty(), "nothing was paid");
    settle_down(&platform, &[]).await;
    platform.stop().await;
}
