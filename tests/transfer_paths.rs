//! The way of a transfer, on both transports, and every way in which it can end.

use serde_json::json;

use crate::harness::{LUNARIA, Platform, Transport, check};

const SETTLED: [&str; 6] =
    ["Requested", "Reserved", "SubmissionInitiated", "ClearingSettled", "Captured", "Succeeded"];

/// The same test on both transports: the code of a handler cannot tell which it runs on.
async fn a_transfer_travels_the_whole_way(transport: Transport, settings: &'static [&'static str]) {
    let platform = Platform::with(transport, LUNARIA, "", settings).await;
    let client = platform.client();
    let account = client.account(100_000).await;

    let settled = client.pay(account, 12_500).await;
    client.until(settled, "succeeded").await;
    assert_eq!(client.story(settled).await, SETTLED);
    assert_eq!(client.balances(account).await, ("87500".into(), "0".into(), "87500".into()));

    client.order_fault(json!({ "kind": "reject", "count": 1, "reason_code": "AC06" })).await;
    let rejected = client.pay(account, 500).await;
    let failed = client.until(rejected, "failed").await;
    assert_eq!(failed["status_reason"], "rejected_by_clearing");
    assert_eq!(client.story(rejected).await[3..], ["ClearingRejected", "Released", "Failed"]);

    client.order_fault(json!({ "kind": "lose_answer", "count": 1 })).await;
    let unanswered = client.pay(account, 700).await;
    client.until(unanswered, "succeeded").await;

    let payee = client.account(1).await;
    let book = client.pay_to(account, json!({ "account_id": payee }), 300).await;
    client.until(book, "succeeded").await;
    assert_eq!(client.balances(account).await.0, "86500");
    assert_eq!(client.balances(payee).await.0, "301");

    let accepted = [settled, rejected, unanswered, book];
    settle_down(&platform, &accepted).await;
    platform.stop().await;
}

/// Handlers may still be at work on what the customer no longer waits for.
async fn settle_down(platform: &Platform, accepted: &[uuid::Uuid]) {
    let mut last = Vec::new();
    let deadline = std::time::Instant::now() + testbed::patience();
    while std::time::Instant::now() < deadline {
        last = check(platform, accepted).await;
        if last.is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{last:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_travels_the_whole_way_embedded() {
    a_transfer_travels_the_whole_way(Transport::Embedded, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_travels_the_whole_way_through_kafka() {
    a_transfer_travels_the_whole_way(Transport::Kafka, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_with_one_topic_for_all_services_and_headers_of_another_outbox() {
    let settings = &["kafka.topic=everything", "kafka.headers=debezium"];
    a_transfer_travels_the_whole_way(Transport::Kafka, settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_that_is_down_leaves_the_hold_and_asks_for_a_person() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    client.order_fault(json!({ "kind": "down", "for_ms": 600_000 })).await;
    let transfer = client.pay(account, 400).await;
    client.until(transfer, "requires_attention").await;
    let story = client.story(transfer).await;
    assert_eq!(story[3..], ["ClearingUndetermined", "OperatorAttentionRequired"]);
    assert_eq!(client.balances(account).await, ("1000".into(), "400".into(), "600".into()));
    assert!(client.journal().await.is_empty());
    client.heal().await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_ends_a_transfer_that_had_timed_out() {
    let settings = &["core.submission_limit_ms=700", "instant.attempts_max=1"];
    let platform = Platform::with(Transport::Embedded, crate::harness::LUNARIA, "", settings).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    client.order_fault(json!({ "kind": "answer_late", "count": 1, "delay_ms": 2_500 })).await;
    let transfer = client.pay(account, 400).await;
    client.until(transfer, "requires_attention").await;
    assert_eq!(client.balances(account).await.1, "400");
    client.until(transfer, "succeeded").await;
    let story = client.story(transfer).await;
    assert!(story.contains(&"SubmissionTimedOut".to_owned()), "{story:?}");
    assert_eq!(client.balances(account).await, ("600".into(), "0".into(), "600".into()));
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicated_answer_is_recorded_and_has_no_second_effect() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    client.order_fault(json!({ "kind": "duplicate", "count": 1 })).await;
    let transfer = client.pay(account, 400).await;
    client.until(transfer, "succeeded").await;
    testbed::eventually("both duplicates are recorded", async || {
        let mut connection = platform.instant.superuser_connection().await;
        let count: i64 = sqlx::query_scalar("select count(*) from event where type = 'AnswerDuplicated'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        (count == 2).then_some(())
    })
    .await;
    settle_down(&platform, &[transfer]).await;
    assert_eq!(client.balances(account).await.0, "600");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_cannot_spend_what_is_held() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    let to = json!({ "iban": crate::harness::OTHER_BANK, "name": "Muster GmbH" });
    let (status, answer) =
        client.post("/v1/transfers", crate::harness::transfer(account, to.clone(), 1_001)).await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (422, Some("insufficient-funds")));
    let refused: uuid::Uuid = answer["transfer_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(client.story(refused).await, ["Requested", "ReservationRejected", "Failed"]);
    assert_eq!(client.balances(account).await, ("1000".into(), "0".into(), "1000".into()));
    let payee = client.account(1).await;
    let book = crate::harness::transfer(account, json!({ "account_id": payee }), 1_001);
    assert_eq!(client.post("/v1/transfers", book).await.1["code"], "insufficient-funds");
    platform.stop().await;
}
