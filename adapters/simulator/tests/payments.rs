//! Payments without faults: decided once, journalled before the answer, refused with the field at fault.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::house::{House, journal, payment, read, within};

#[tokio::test]
async fn a_payment_settles_and_can_be_found_and_audited() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let payment = payment();
    let (status, decision) = house.pay(&payment).await;
    assert_eq!((status, &decision["status"]), (StatusCode::OK, &json!("ACSC")));
    assert_eq!((&decision["uetr"], &decision["reason_code"]), (&payment["uetr"], &Value::Null));

    let found = house.get(&format!("/payments/{}", payment["uetr"].as_str().unwrap())).await;
    assert_eq!(found, (StatusCode::OK, decision.clone()));

    let lines = house.journal().await;
    let mut line = lines[0].clone();
    assert!(line["content_hash"].take().is_string());
    let expected = json!({
        "n": 1, "uetr": payment["uetr"], "end_to_end_id": "rent-2025-01", "status": "ACSC",
        "reason_code": null, "amount": "1250", "currency": "DKK", "creditor_iban": "DK9520000123456789",
        "decided_at": decision["settled_at"], "content_hash": null
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
        let request = house.client.post(format!("{}/payments", house.base)).json(&payment);
        senders.spawn(async move { read(request.send().await.unwrap()).await });
    }
    let answers = within(senders.join_all()).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].0, StatusCode::OK);
    assert_eq!(house.journal().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn different_payments_at_once_get_numbers_without_holes() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut senders = JoinSet::new();
    for _ in 0..200 {
        let request = house.client.post(format!("{}/payments", house.base)).json(&payment());
        senders.spawn(async move { read(request.send().await.unwrap()).await.0 });
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
    payment["amount"]["amount"] = json!("1251");
    let (status, problem) = house.pay(&payment).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("uetr-reused")));
    assert_eq!(house.journal().await.len(), 1);
}

#[tokio::test]
async fn a_closed_account_is_rejected_without_a_fault() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut payment = payment();
    payment["creditor"]["iban"] = json!("DK9520000123450000");
    let (status, decision) = house.pay(&payment).await;
    let expected =
        json!({ "uetr": payment["uetr"], "status": "RJCT", "reason_code": "AC04", "settled_at": null });
    assert_eq!((status, decision), (StatusCode::OK, expected));
    assert_eq!(house.journal().await[0]["status"], "RJCT");
}

#[tokio::test]
async fn bad_requests_are_problems_with_a_code_and_a_field() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut bad_amount = payment();
    bad_amount["amount"]["amount"] = json!("12.50");
    let cases = [
        (bad_amount.to_string(), 422, "invalid-field", json!("amount.amount")),
        ("{".to_owned(), 400, "malformed-json", Value::Null),
        ("[]".to_owned(), 400, "malformed-json", Value::Null),
        ("x".repeat(64 * 1_024 + 1), 413, "body-too-large", Value::Null),
    ];
    for (body, status, code, field) in cases {
        let response = house.client.post(format!("{}/payments", house.base)).body(body).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let (got, problem) = read(response).await;
        assert_eq!((got.as_u16(), &problem["code"], &problem["field"]), (status, &json!(code), &field));
    }
    for (path, status, code) in [
        ("/payments/0b2c1f7e-3f0d-4c39-9d6e-4b8f3c1a2d5e", 404, "not-found"),
        ("/payments/mine", 422, "invalid-field"),
        ("/payments", 405, "method-not-allowed"),
        ("/journal?after=-1", 400, "invalid-query"),
        ("/nowhere", 404, "not-found"),
    ] {
        let (got, problem) = house.get(path).await;
        assert_eq!((got.as_u16(), &problem["code"]), (status, &json!(code)), "{path}");
    }
    assert!(house.journal().await.is_empty());
}

#[tokio::test]
async fn an_enquiry_waits_for_the_decision_and_shutdown_brings_it() {
    let (_folder, path) = journal();
    let house = House::open_with(&path, Duration::from_secs(3_600)).await;
    // The house strikes with a fault when it accepts a payment: its end tells that the payment has arrived.
    house.order(json!({ "kind": "answer_late", "count": 1, "delay_ms": 1 })).await;
    let payment = payment();
    let sent = tokio::spawn(house.client.post(format!("{}/payments", house.base)).json(&payment).send());
    within(async { while house.get("/faults").await.1 != json!({ "faults": [] }) {} }).await;
    let enquiry = house.client.get(format!("{}/payments/{}", house.base, payment["uetr"].as_str().unwrap()));
    assert!(enquiry.timeout(Duration::from_millis(200)).send().await.unwrap_err().is_timeout());
    house.close().await.unwrap();
    let (status, decision) = read(sent.await.unwrap().unwrap()).await;
    assert_eq!((status, &decision["status"]), (StatusCode::OK, &json!("ACSC")));

    let house = House::open(&path).await;
    assert_eq!(house.pay(&payment).await, (StatusCode::OK, decision));
}
