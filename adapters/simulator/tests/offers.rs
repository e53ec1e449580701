//! Payments of other banks' customers: offered, answered, told, and given back.

use axum::http::StatusCode;
use iso20022::{
    CreditTransfer, Document, Original, OriginalKind, PaymentReturn, Reason, StatusReport, StatusRequest,
    TransactionStatus,
};
use money::{Currency, Money};
use serde_json::{Value, json};

use crate::house::{House, Mailbox, journal, report};

fn order(mailbox: &Mailbox) -> Value {
    json!({
        "to": "LUNADK22XXX", "deliver_to": mailbox.url,
        "amount": "1250", "currency": "DKK", "creditor_iban": "DK5000400440116243"
    })
}

/// The payment as the bank gets it, and how the bank refers to it.
async fn offered(mailbox: &mut Mailbox) -> (CreditTransfer, Original) {
    let Document::CreditTransfer(transfer) = mailbox.next().await else { panic!("no payment") };
    let original = Original {
        kind: OriginalKind::CreditTransfer,
        message_id: transfer.transaction_id.replacen('T', "M", 1),
        end_to_end_id: transfer.end_to_end_id.clone(),
        transaction_id: transfer.transaction_id.clone(),
        uetr: transfer.uetr,
    };
    (transfer, original)
}

fn word(original: &Original, refusal: Option<&str>) -> Document {
    let status = if refusal.is_some() { TransactionStatus::Rejected } else { TransactionStatus::Accepted };
    let reason = refusal.map(Reason::code);
    Document::StatusReport(StatusReport {
        original: original.clone(),
        status,
        reason,
        settled_at: None,
        amount: None,
    })
}

async fn say(house: &House, original: &Original, refusal: Option<&str>) -> StatusReport {
    report(house.request(word(original, refusal)).send().await.unwrap()).await
}

async fn give_back(house: &House, original: &Original, id: &str, minor: i64) -> StatusReport {
    let amount = Money::new(minor, Currency::DKK);
    let returned = PaymentReturn {
        return_id: id.to_owned(),
        original: original.clone(),
        original_amount: Money::new(1_250, Currency::DKK),
        amount,
        settlement_date: "2026-11-22".parse().unwrap(),
        reason: Reason::code("AC04"),
    };
    report(house.request(Document::PaymentReturn(returned)).send().await.unwrap()).await
}

fn reason(report: &StatusReport) -> Option<&str> {
    report.reason.as_ref().map(Reason::as_str)
}

#[tokio::test]
async fn a_payment_is_offered_until_it_is_taken_and_the_first_word_decides() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut mailbox = Mailbox::open(2).await;
    let (status, ordered) = house.post("/payments", order(&mailbox)).await;
    assert_eq!(status, StatusCode::CREATED, "{ordered}");
    let (transfer, original) = offered(&mut mailbox).await;
    assert_eq!(ordered["payments"][0]["uetr"], json!(transfer.uetr));
    assert_eq!((transfer.amount.minor(), transfer.creditor.account.as_str()), (1_250, "DK5000400440116243"));
    assert_eq!(say(&house, &original, None).await.status, TransactionStatus::Settled);
    assert_eq!(say(&house, &original, Some("AC04")).await.status, TransactionStatus::Settled);
    let enquiry = Document::StatusRequest(StatusRequest { original });
    let known = report(house.request(enquiry).send().await.unwrap()).await;
    assert_eq!(known.status, TransactionStatus::Settled);

    // Where the bank is, the house knows by now.
    let again = json!({ "amount": "5", "currency": "DKK", "creditor_iban": "DK5000400440116243" });
    assert_eq!(house.post("/payments", again).await.0, StatusCode::CREATED);
    let (_, original) = offered(&mut mailbox).await;
    let refused = say(&house, &original, Some("AC01")).await;
    assert_eq!((refused.status, reason(&refused)), (TransactionStatus::Rejected, Some("AC01")));
    let outcomes = house.journal().await;
    let outcomes: Vec<&str> = outcomes.iter().filter_map(|line| line["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["ACSC", "RJCT"]);
}

#[tokio::test]
async fn silence_cancels_also_after_a_restart() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut mailbox = Mailbox::open(0).await;
    house.post("/payments", order(&mailbox)).await;
    let (first, _) = offered(&mut mailbox).await;
    house.close().await.unwrap();
    let house = House::open(&path).await;
    // It is offered once more.
    let (again, one) = offered(&mut mailbox).await;
    assert_eq!(again, first);
    let cancelled = mailbox.next_report().await;
    assert_eq!(cancelled.original.uetr, first.uetr);
    assert_eq!((cancelled.status, reason(&cancelled)), (TransactionStatus::Rejected, Some("AB05")));
    let late = say(&house, &one, None).await;
    assert_eq!(late.status, TransactionStatus::Rejected);
}

#[tokio::test]
async fn what_has_settled_goes_back_once() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut mailbox = Mailbox::open(0).await;
    house.post("/payments", order(&mailbox)).await;
    let (_, original) = offered(&mut mailbox).await;
    assert_eq!(reason(&give_back(&house, &original, "r1", 1_250).await), Some("NARR"), "not settled");
    say(&house, &original, None).await;
    assert_eq!(reason(&give_back(&house, &original, "r1", 1_251).await), Some("AM09"));
    for _ in 0..2 {
        let taken = give_back(&house, &original, "r1", 1_250).await;
        assert_eq!(
            (taken.status, taken.original.kind),
            (TransactionStatus::Settled, OriginalKind::PaymentReturn)
        );
    }
    assert_eq!(reason(&give_back(&house, &original, "r2", 1_250).await), Some("ARDT"));
    house.close().await.unwrap();
    let house = House::open(&path).await;
    assert_eq!(give_back(&house, &original, "r1", 1_250).await.status, TransactionStatus::Settled);
    let lines = house.journal().await;
    assert_eq!(lines.iter().filter(|line| line["taken_back"].is_string()).count(), 1);
}

#[tokio::test]
async fn faults_strike_a_banks_word_and_a_return() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut mailbox = Mailbox::open(0).await;
    house.order(json!({ "kind": "pending", "count": 1, "delay_ms": 50 })).await;
    house.post("/payments", order(&mailbox)).await;
    let (_, original) = offered(&mut mailbox).await;
    assert_eq!(say(&house, &original, None).await.status, TransactionStatus::IN_PROCESS);
    assert_eq!(mailbox.next_report().await.status, TransactionStatus::Settled);
    house.order(json!({ "kind": "reject_return", "count": 1, "reason_code": "AC06" })).await;
    assert_eq!(reason(&give_back(&house, &original, "r1", 1_250).await), Some("AC06"));

    house.order(json!({ "kind": "settle_anyway", "count": 1 })).await;
    house.post("/payments", order(&mailbox)).await;
    let (_, original) = offered(&mut mailbox).await;
    assert_eq!(say(&house, &original, Some("AC01")).await.status, TransactionStatus::Settled);
    house.order(json!({ "kind": "lose_answer", "count": 1 })).await;
    house.post("/payments", order(&mailbox)).await;
    let (_, original) = offered(&mut mailbox).await;
    assert!(house.request(word(&original, None)).send().await.is_err());
    assert_eq!(say(&house, &original, None).await.status, TransactionStatus::Settled);
}

#[tokio::test]
async fn an_order_that_cannot_be_is_refused_by_its_field() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let base = json!({ "amount": "5", "currency": "DKK", "creditor_iban": "DK5000400440116243" });
    assert_eq!(house.post("/payments", base.clone()).await.1["code"], "no-address");
    for (field, value) in [
        ("amount", json!("0")),
        ("currency", json!("XXQ")),
        ("deliver_to", json!("ftp://x")),
        ("count", json!(0)),
    ] {
        let mut order = base.clone();
        order[field] = value;
        assert_eq!(house.post("/payments", order).await.1["field"], field);
    }
}

#[tokio::test]
async fn the_longest_order_is_read_back_after_a_restart() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut order = json!({ "to": "LUNADK22XXX", "amount": "5", "currency": "DKK", "creditor_iban": "DK5000400440116243" });
    for field in ["creditor_name", "debtor_name", "remittance"] {
        order[field] = json!("\u{1f4b8}".repeat(140));
    }
    let url = "http://127.0.0.1:1/";
    order["deliver_to"] = json!(format!("{url}{}", "x".repeat(2_048 - url.len())));
    let (status, answer) = house.post("/payments", order).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    house.close().await.unwrap();
    let house = House::open(&path).await;
    assert_eq!(house.journal().await[0]["amount"], "5");
}
