//! Each fault, seen from the bank's side of the wire and in the journal.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use iso20022::{CreditTransfer, Document, Message, Profile, Reason, TransactionStatus};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::{House, Mailbox, journal, payment, within, xml};

const SETTLED: TransactionStatus = TransactionStatus::Settled;

/// The reason for which it was rejected.
async fn rejection(house: &House, payment: &CreditTransfer) -> Option<Reason> {
    house.pay(payment).await.reason
}

#[tokio::test]
async fn reject_decides_once_and_for_all() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    house.order(json!({ "kind": "reject", "count": 2, "reason_code": "AM04" })).await;
    let first = payment();
    assert_eq!(rejection(&house, &first).await, Some(Reason::code("AM04")));
    house.delete("/faults").await;
    assert_eq!(rejection(&house, &first).await, Some(Reason::code("AM04")));
    house.order(json!({ "kind": "reject", "count": 1 })).await;
    assert_eq!(rejection(&house, &payment()).await, Some(Reason::code("AC06")));
    assert_eq!(house.pay(&payment()).await.status, SETTLED);
    let lines = house.journal().await;
    assert_eq!(lines.iter().map(|line| &line["status"]).collect::<Vec<_>>(), ["RJCT", "RJCT", "ACSC"]);
}

#[tokio::test]
async fn a_lost_answer_closes_the_connection_without_a_byte() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    house.order(json!({ "kind": "lose_answer", "count": 2 })).await;
    let payment = payment();

    let body = xml(Document::CreditTransfer(payment.clone()));
    let mut stream = TcpStream::connect(house.base.trim_start_matches("http://")).await.unwrap();
    let head = format!("POST /iso20022 HTTP/1.1\r\nhost: house\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _end_or_reset = within(stream.read_to_end(&mut answer)).await;
    assert_eq!(String::from_utf8(answer).unwrap(), "");
    assert_eq!(house.journal().await.len(), 1);

    // The bank's usual client sees an error that is neither a status nor a time-out.
    let lost = house.request(Document::CreditTransfer(payment.clone())).send().await.unwrap_err();
    assert!(lost.is_request() && !lost.is_timeout() && lost.status().is_none(), "{lost:?}");

    assert_eq!(house.pay(&payment).await.status, SETTLED);
    assert_eq!(house.journal().await.len(), 1);
}

#[tokio::test]
async fn a_late_answer_reaches_a_sender_who_waits_and_only_there() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut mailbox = Mailbox::open(0).await;
    house.order(json!({ "kind": "answer_late", "count": 1, "delay_ms": 200 })).await;
    let started = Instant::now();
    assert_eq!(house.pay_from(&mailbox, &payment()).await.status, SETTLED);
    assert!(started.elapsed() >= Duration::from_millis(200));

    // A callback for the late payment would have come first.
    house.order(json!({ "kind": "duplicate", "count": 1 })).await;
    let next = payment();
    house.pay_from(&mailbox, &next).await;
    assert_eq!(mailbox.next_report().await.original.uetr, next.uetr);
}

#[tokio::test]
async fn a_late_answer_goes_to_the_callback_when_the_sender_has_gone() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut mailbox = Mailbox::open(2).await;
    house.order(json!({ "kind": "answer_late", "count": 1, "delay_ms": 2_000 })).await;
    let payment = payment();
    let request = house.request(Document::CreditTransfer(payment.clone()));
    let sender = tokio::spawn(request.header("reply-to", &mailbox.url).send());
    within(async { while house.journal().await.is_empty() {} }).await;
    sender.abort();

    let answer = mailbox.next_report().await;
    assert_eq!(house.pay(&payment).await, answer);
    assert_eq!(house.journal().await.len(), 1);
}

#[tokio::test]
async fn duplicate_answers_and_calls_back_twice() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut mailbox = Mailbox::open(0).await;
    house.order(json!({ "kind": "duplicate", "count": 1 })).await;
    assert_eq!(house.pay(&payment()).await.status, SETTLED, "does not strike without an address");
    let answer = house.pay_from(&mailbox, &payment()).await;
    assert_eq!([mailbox.next_report().await, mailbox.next_report().await], [answer.clone(), answer]);
    assert_eq!(house.journal().await.len(), 2);
}

#[tokio::test]
async fn a_house_that_is_down_decides_nothing() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    house.order(json!({ "kind": "down", "count": 1 })).await;
    let payment = payment();
    let refused = house.request(Document::CreditTransfer(payment.clone())).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(house.enquire(&payment).await.reason, Some(Reason::Proprietary("NOT_FOUND".to_owned())));
    assert!(house.journal().await.is_empty());
    assert_eq!(house.pay(&payment).await.status, SETTLED);
}

#[tokio::test]
async fn faults_are_listed_healed_and_end_by_themselves() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let first = house.order(json!({ "kind": "down", "count": 3 })).await;
    let expected = json!({
        "id": 1, "kind": "down", "remaining": 3, "expires_at": null, "percent": 100,
        "delay_ms": null, "reason_code": null, "creditor_iban": null, "card_id": null
    });
    assert_eq!(first, expected);
    house.order(json!({ "kind": "reject", "count": 1, "percent": 50 })).await;
    let refused = house.request(Document::CreditTransfer(payment())).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let (_, listed) = house.get("/faults").await;
    assert_eq!((&listed["faults"][0]["remaining"], &listed["faults"][1]["percent"]), (&json!(2), &json!(50)));

    assert_eq!(house.delete("/faults/1").await, StatusCode::NO_CONTENT);
    assert_eq!(house.delete("/faults/1").await, StatusCode::NOT_FOUND);
    assert_eq!(house.delete("/faults").await, StatusCode::NO_CONTENT);
    assert_eq!(house.pay(&payment()).await.status, SETTLED);

    let timed = house.order(json!({ "kind": "down", "for_ms": 100 })).await;
    assert!(timed["expires_at"].is_string() && timed["remaining"].is_null());
    within(async { while house.get("/faults").await.1 != json!({ "faults": [] }) {} }).await;
    assert_eq!(house.pay(&payment()).await.status, SETTLED);
}

#[tokio::test]
async fn a_bad_fault_order_is_refused_with_its_field() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let order = house.client.post(format!("{}/faults", house.base));
    let refused = order.json(&json!({ "kind": "down", "count": 1, "percent": 101 })).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.json::<Value>().await.unwrap()["field"], "percent");
    assert_eq!(house.get("/faults").await.1, json!({ "faults": [] }));
}

#[tokio::test]
async fn a_pending_payment_is_told_later_and_an_enquiry_hears_the_same() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut mailbox = Mailbox::open(0).await;
    house.order(json!({ "kind": "pending", "count": 1, "delay_ms": 1_500 })).await;
    let payment = payment();
    assert_eq!(house.pay_from(&mailbox, &payment).await.status, TransactionStatus::IN_PROCESS);
    assert_eq!(house.enquire(&payment).await.status, TransactionStatus::IN_PROCESS);
    let told = mailbox.next_report().await;
    assert_eq!(told.status, SETTLED);
    assert_eq!(house.enquire(&payment).await, told);
}

#[tokio::test]
async fn a_malformed_answer_cannot_be_read_and_the_payment_stands() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    house.order(json!({ "kind": "malformed", "count": 1 })).await;
    let payment = payment();
    let answer = house.request(Document::CreditTransfer(payment.clone())).send().await.unwrap();
    let (status, bytes) = (answer.status(), answer.bytes().await.unwrap());
    assert_eq!(status, StatusCode::OK);
    assert!(Message::read(&bytes, &Profile::named("nct-inst").unwrap()).is_err());
    assert_eq!(house.enquire(&payment).await.status, SETTLED);
}

#[tokio::test]
async fn a_house_that_forgets_still_pays_once() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let payment = payment();
    house.pay(&payment).await;
    house.order(json!({ "kind": "unknown", "count": 1 })).await;
    assert_eq!(house.enquire(&payment).await.reason, Some(Reason::Proprietary("NOT_FOUND".to_owned())));
    assert_eq!(house.pay(&payment).await.status, SETTLED);
    assert_eq!(house.journal().await.len(), 1);
}
