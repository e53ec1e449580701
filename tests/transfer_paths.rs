//! The way of a transfer, on both transports, and every way in which it can end.

use serde_json::{Value, json};
use testbed::eventually;
use uuid::Uuid;

use crate::harness::{APPROVER_KEY, LUNARIA, Platform, Transport, settle_down};

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
    let case = client.until_cases(&format!("transfer-{transfer}"), &["open"]).await.remove(0);
    assert_eq!(case["amount"]["amount"], "400");
    assert!(case["reason"].as_str().unwrap().contains("exhausted its retries"), "{case}");
    eventually("the alarm can be raised", async || {
        let metrics =
            client.http.get(format!("{}/metrics", platform.ops_urls["serve"])).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        metrics.contains("lunaria_open_cases{service=\"core\"} 1").then_some(())
    })
    .await;
    let (_, all) = client.get("/v1/cases?status=open").await;
    assert_eq!(all["cases"], json!([case]));
    let group = eventually("the view in memory has it", async || {
        let (_, grouped) = client.get("/v1/cases/groups").await;
        grouped["groups"].as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!((&group["count"], &group["category"]), (&json!(1), &json!("transfer")), "{group}");
    assert_eq!(
        (&group["amounts"], &group["examples"]),
        (&json!([case["amount"]]), &json!([case["case_id"]]))
    );
    assert_eq!(client.get("/v1/cases?status=lost").await.1["code"], "invalid-query");
    assert_eq!(client.get(&format!("/v1/cases/{transfer}/events")).await.1["code"], "case-unknown");
    assert!(client.journal().await.is_empty());
    client.heal().await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_ends_a_transfer_that_had_asked_for_a_person() {
    let settings = &["core.submission_limit_ms=700", "instant.attempts_max=1", "instant.enquiries_max=1"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    client.order_fault(json!({ "kind": "answer_late", "count": 1, "delay_ms": 4_000 })).await;
    client.order_fault(json!({ "kind": "lose_enquiry", "for_ms": 600_000 })).await;
    let transfer = client.pay(account, 400).await;
    client.until(transfer, "requires_attention").await;
    assert_eq!(client.balances(account).await.1, "400");
    let subject = format!("transfer-{transfer}");
    client.until_cases(&subject, &["open"]).await;
    client.until(transfer, "succeeded").await;
    client.until_cases(&subject, &["withdrawn"]).await;
    let story = client.story(transfer).await;
    assert!(story.contains(&"SubmissionTimedOut".to_owned()), "{story:?}");
    assert_eq!(client.balances(account).await, ("600".into(), "0".into(), "600".into()));
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_answered_is_asked_about_and_sent_again_only_when_it_never_came() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    for (fault, attempts, knowledge) in [("lose_answer", 1, "ACSC"), ("lose_request", 2, "not_found")] {
        client.order_fault(json!({ "kind": fault, "count": 1 })).await;
        // And the first enquiry is not answered either.
        client.order_fault(json!({ "kind": "lose_enquiry", "count": 1 })).await;
        let transfer = client.pay(account, 100).await;
        client.until(transfer, "succeeded").await;
        let asked =
            ["AttemptTimedOut", "EnquiryStarted", "EnquiryTimedOut", "EnquiryScheduled", "EnquiryStarted"];
        let story = submission(&platform, transfer).await;
        let types: Vec<&str> = story.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(types[2..8], [&asked[..], &["EnquiryAnswered"]].concat(), "{types:?}");
        assert_eq!(story[7].1["status"], knowledge);
        assert_eq!(types.iter().filter(|kind| **kind == "AttemptStarted").count(), attempts);
    }
    assert_eq!(client.journal().await.len(), 2);
    assert_eq!(client.balances(account).await, ("800".into(), "0".into(), "800".into()));
    platform.stop().await;
}

/// The events of the adapter's own transfer.
async fn submission(platform: &Platform, transfer: Uuid) -> Vec<(String, Value)> {
    let mut connection = platform.instant.superuser_connection().await;
    sqlx::query_as("select type, data from event where stream = $1 order by seq")
        .bind(format!("submission-{transfer}"))
        .fetch_all(&mut connection)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_rules_demand_it_the_hold_is_given_back_and_a_late_settlement_is_explained() {
    let settings = &["core.submission_limit_ms=500", "core.on_timeout=release_at_deadline"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let (covered, spent) = (client.account(1_000).await, client.account(1_000).await);
    client.order_fault(json!({ "kind": "answer_late", "count": 2, "delay_ms": 5_000 })).await;
    client.order_fault(json!({ "kind": "lose_enquiry", "for_ms": 600_000 })).await;
    let (late, owed) = (client.pay(covered, 400).await, client.pay(spent, 400).await);
    for (account, transfer) in [(covered, late), (spent, owed)] {
        let released = client.until(transfer, "released").await;
        assert_eq!(released["status_reason"], "outcome_unknown");
        assert_eq!(client.balances(account).await, ("1000".into(), "0".into(), "1000".into()));
    }
    // The customer has the money back, and spends it.
    let payee = client.account(1).await;
    let book = client.pay_to(spent, json!({ "account_id": payee }), 900).await;

    let succeeded = client.until(late, "succeeded").await;
    assert_eq!(succeeded["status_reason"], Value::Null);
    assert_eq!(
        client.story(late).await[3..],
        [
            "SubmissionTimedOut",
            "Released",
            "ClearingSettled",
            "LateSettlementDetected",
            "LateCaptured",
            "Succeeded",
        ]
    );
    assert_eq!(client.balances(covered).await, ("600".into(), "0".into(), "600".into()));

    let succeeded = client.until(owed, "succeeded").await;
    assert!(succeeded["status_reason"].as_str().unwrap().contains("did not cover it"), "{succeeded}");
    let story = client.story(owed).await;
    assert_eq!(
        story[6..],
        ["LateSettlementDetected", "ReceivableBooked", "Succeeded", "OperatorAttentionRequired"]
    );
    assert_eq!(client.balances(spent).await, ("100".into(), "0".into(), "100".into()));

    // And one that the house refuses after the money was given back: nothing is left to do.
    client.heal().await;
    client.order_fault(json!({ "kind": "lose_request", "count": 1 })).await;
    client.order_fault(json!({ "kind": "reject", "count": 1, "reason_code": "AC06" })).await;
    let rejected = client.pay(covered, 100).await;
    client.until(rejected, "failed").await;
    let story = client.story(rejected).await;
    assert_eq!(story[3..], ["SubmissionTimedOut", "Released", "ClearingRejected", "Failed"]);

    settle_down(&platform, &[late, owed, book, rejected]).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_transfer_waits_for_an_approval_and_can_be_cancelled_until_then() {
    let settings = &["core.approval_above.DKK=500", "core.approval_limit_ms=60000"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let account = client.account(10_000).await;
    let others = client.clone().with_key(APPROVER_KEY);
    let post = async |transfer: Uuid, verb: &str, body: Value| {
        let asker = if verb == "cancel" { &client } else { &others };
        let (status, answer) = asker.post(&format!("/v1/transfers/{transfer}/{verb}"), body).await;
        (status.as_u16(), answer)
    };

    let small = client.pay(account, 500).await;
    client.until(small, "succeeded").await;
    let (approved, denied, cancelled) =
        (client.pay(account, 501).await, client.pay(account, 502).await, client.pay(account, 503).await);
    for transfer in [approved, denied, cancelled] {
        client.until(transfer, "awaiting_approval").await;
    }
    assert_eq!(client.balances(account).await.1, "1506");

    let (status, own) = client.post(&format!("/v1/transfers/{approved}/approve"), json!({})).await;
    assert_eq!((status.as_u16(), own["code"].as_str()), (403, Some("own-request")));
    assert_eq!(post(approved, "approve", json!({})).await.0, 200);
    client.until(approved, "succeeded").await;
    // What follows from the approval is part of its story.
    let (_, timeline) = client.get(&format!("/v1/transfers/{approved}/timeline")).await;
    let steps = timeline["steps"].as_array().unwrap();
    for (r#type, actor) in [
        ("Requested", "api:tests"),
        ("Approved", "api:approvals"),
        ("FundsCaptured", "service:core/transfer.clearing"),
    ] {
        let is_it = |step: &&Value| step["type"] == r#type;
        assert_eq!(steps.iter().find(is_it).map(|step| step["actor"].clone()), Some(json!(actor)), "{type}");
    }
    assert_eq!(post(denied, "deny", json!({ "reason": " " })).await.1["pointer"], "/reason");
    assert_eq!(post(denied, "deny", json!({ "reason": "not the usual payee" })).await.1["status"], "failed");
    assert_eq!(client.until(denied, "failed").await["status_reason"], "approval_denied");
    assert_eq!(post(cancelled, "cancel", json!({})).await.1["status"], "cancelled");
    assert_eq!(post(cancelled, "cancel", json!({})).await.0, 200);
    assert_eq!(client.story(cancelled).await[3..], ["Released", "Cancelled"]);

    for (transfer, verb, code) in [
        (approved, "cancel", "too-late-to-cancel"),
        (approved, "approve", "no-approval-awaited"),
        (cancelled, "approve", "no-approval-awaited"),
    ] {
        let (status, answer) = post(transfer, verb, json!({})).await;
        assert_eq!((status, answer["code"].as_str()), (409, Some(code)), "{verb}");
    }
    assert_eq!(post(Uuid::nil(), "cancel", json!({})).await.0, 404);
    assert_eq!(client.balances(account).await, ("8999".into(), "0".into(), "8999".into()));
    let (status, listed) = client.get("/v1/transfers?status=cancelled").await;
    assert!(status.is_success(), "{listed}");
    settle_down(&platform, &[small, approved, denied, cancelled]).await;
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
