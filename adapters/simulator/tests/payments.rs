//! Payments without faults: decided once, journalled before the answer, refused with the field at fault.

use std::time::Duration;

use axum::http::StatusCode;
use iso20022::{Document, Reason, StatusReport, TransactionStatus};
use money::{Currency, Money};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::house::{House, journal, original, payment, read, report, to_a_closed_account, within, xml};

#[tokio::test]
async fn a_payment_settles_and_can_be_found_and_audited() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let payment = payment();
    let answer = house.pay(&payment).await;
    assert_eq!((answer.status, &answer.reason), (TransactionStatus::Settled, &None));
    assert_eq!(answer.original, original(&payment));
    assert_eq!(house.enquire(&payment).await, answer);

    let lines = house.journal().await;
    let mut line = lines[0].clone();
    assert!(line["content_hash"].take().is_string());
    assert_eq!(line["decided_at"], line["told_at"]);
    let told_at = line["told_at"].take();
    let settled_at = answer.settled_at.unwrap();
    assert_eq!(
        format!("{settled_at:.3}"),
        format!("{:.3}", told_at.as_str().unwrap().parse::<jiff::Timestamp>().unwrap())
    );
    line["decided_at"].take();
    let expected = json!({
        "n": 1, "uetr": payment.uetr, "end_to_end_id": "rent-2025-01", "transaction_id": "t1", "message_id": "m1",
        "sender": "LUNADK22XXX", "status": "ACSC", "reason_code": null, "amount": "1250", "currency": "DKK",
        "creditor_iban": "DK9520000123456789", "reply_to": null, "decided_at": null, "told_at": null,
        "content_hash": null
    });
    assert_eq!((lines.len(), line), (1, expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn identical_payments_at_once_are_one_payment() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let payment = payment();
    let mut senders = JoinSet::new();
    for _ in 0..64 {
        let request = house.request(Document::CreditTransfer(payment.clone()));
        senders.spawn(async move { report(request.send().await.unwrap()).await });
    }
    let answers = within(senders.join_all()).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(house.journal().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn different_payments_at_once_get_numbers_without_holes() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut senders = JoinSet::new();
    for _ in 0..200 {
        let request = house.request(Document::CreditTransfer(payment()));
        senders.spawn(async move { request.send().await.unwrap().status() });
    }
    assert!(within(senders.join_all()).await.iter().all(|status| *status == StatusCode::OK));
    let numbers: Vec<_> = house.journal().await.iter().map(|line| line["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    let (_, tail) = house.get("/journal?after=198").await;
    assert_eq!(tail["lines"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_uetr_with_other_content_is_a_conflict_and_pays_nothing() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut payment = payment();
    house.pay(&payment).await;
    payment.amount = Money::new(1_251, Currency::DKK);
    let (status, problem) =
        read(house.request(Document::CreditTransfer(payment)).send().await.unwrap()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("uetr-reused")));
    assert_eq!(house.journal().await.len(), 1);
}

#[tokio::test]
async fn a_closed_account_is_rejected_without_a_fault() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let payment = to_a_closed_account();
    let expected = StatusReport {
        original: original(&payment),
        status: TransactionStatus::Rejected,
        reason: Some(Reason::code("AC04")),
        settled_at: None,
        amount: Some(payment.amount),
    };
    assert_eq!(house.pay(&payment).await, expected);
    assert_eq!(house.journal().await[0]["status"], "RJCT");
}

#[tokio::test]
async fn what_was_never_taken_is_not_found() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let answer = house.enquire(&payment()).await;
    assert_eq!(answer.reason, Some(Reason::Proprietary("NOT_FOUND".to_owned())));
    assert_eq!(answer.status, TransactionStatus::Rejected);
}

#[tokio::test]
async fn bad_requests_are_problems_with_a_code_and_a_field() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let good = xml(Document::CreditTransfer(payment()));
    let cases = [
        (good.replace("12.50", "-12.50"), 422, "invalid-message"),
        (good.replace("<UETR>", "<UETR>x"), 422, "invalid-message"),
        ("<".to_owned(), 422, "invalid-message"),
        (String::new(), 422, "invalid-message"),
        ("x".repeat(64 * 1_024 + 1), 413, "body-too-large"),
    ];
    for (body, status, code) in cases {
        let response = house.client.post(format!("{}/iso20022", house.base)).body(body).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let (got, problem) = read(response).await;
        assert_eq!((got.as_u16(), &problem["code"]), (status, &json!(code)));
    }
    let wrong =
        house.client.post(format!("{}/iso20022", house.base)).body(good).header("reply-to", "file:///etc");
    assert_eq!(read(wrong.send().await.unwrap()).await.1["field"], "Reply-To");
    let answer = Document::StatusReport(house.enquire(&payment()).await);
    assert_eq!(read(house.request(answer).send().await.unwrap()).await.1["code"], "not-found");
    for (path, status, code) in [
        ("/iso20022", 405, "method-not-allowed"),
        ("/journal?after=-1", 400, "invalid-query"),
        ("/nowhere", 404, "not-found"),
    ] {
        let (got, problem) = house.get(path).await;
        assert_eq!((got.as_u16(), &problem["code"]), (status, &json!(code)), "{path}");
    }
    for (order, field) in
        [(json!({}), "uetr"), (json!({ "count": 0 }), "count"), (json!({ "uetr": "x" }), "uetr")]
    {
        assert_eq!(house.post("/returns", order).await.1["field"], field);
    }
    assert_eq!(house.post("/faults", json!([])).await.1, {
        let detail = "the body is not a JSON object";
        json!({ "type": "about:blank", "title": "Bad Request", "status": 400, "code": "malformed-json", "detail": detail })
    });
    assert!(house.journal().await.is_empty());
}

#[tokio::test]
async fn an_enquiry_waits_for_the_decision_and_shutdown_brings_it() {
    let (_folder, path) = journal();
    let house = House::open_with(&path, Duration::from_secs(3_600)).await;
    // The house strikes with a fault when it accepts a payment: its end tells that the payment has arrived.
    house.order(json!({ "kind": "answer_late", "count": 1, "delay_ms": 1 })).await;
    let payment = payment();
    let sent = tokio::spawn(house.request(Document::CreditTransfer(payment.clone())).send());
    within(async { while house.get("/faults").await.1 != json!({ "faults": [] }) {} }).await;
    let enquiry = iso20022::StatusRequest { original: original(&payment) };
    let enquiry = house.request(Document::StatusRequest(enquiry)).timeout(Duration::from_millis(200));
    assert!(enquiry.send().await.unwrap_err().is_timeout());
    house.close().await.unwrap();
    let answer = report(sent.await.unwrap().unwrap()).await;
    assert_eq!(answer.status, TransactionStatus::Settled);

    let house = House::open(&path).await;
    assert_eq!(house.pay(&payment).await, answer);
    assert_eq!(Value::from(house.journal().await.len()), json!(1));
}
