//! What comes after a settlement: returns, recalls, and their delivery until they are taken.

use axum::http::StatusCode;
use iso20022::{CancellationStatus, Document, PaymentReturn, Reason};
use money::{Currency, Money};
use serde_json::{Value, json};

use crate::house::{House, Mailbox, journal, original, payment, to_a_closed_account, within};

async fn next_return(mailbox: &mut Mailbox) -> PaymentReturn {
    match mailbox.next().await {
        Document::PaymentReturn(returned) => returned,
        other => panic!("no return: {other:?}"),
    }
}

async fn receipts(house: &House) -> usize {
    house.journal().await.iter().filter(|line| line["taken"].is_string()).count()
}

#[tokio::test]
async fn a_settled_payment_comes_back_once_and_until_it_is_taken() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let (mut mailbox, payment) = (Mailbox::open(3).await, payment());
    house.pay_from(&mailbox, &payment).await;
    let order = json!({ "uetr": payment.uetr, "amount": "1000", "currency": "DKK", "reason_code": "AC06" });
    let (status, given) = house.post("/returns", order.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{given}");
    let returned = next_return(&mut mailbox).await;
    assert_eq!(given["returned"][0]["return_id"], returned.return_id.as_str());
    let amounts = (Money::new(1_250, Currency::DKK), Money::new(1_000, Currency::DKK));
    assert_eq!((returned.original_amount, returned.amount), amounts);
    assert_eq!((returned.original, returned.reason), (original(&payment), Reason::code("AC06")));
    assert_eq!(house.post("/returns", order).await.1["code"], "already-returned");
    within(async { while receipts(&house).await == 0 {} }).await;
}

#[tokio::test]
async fn what_was_not_taken_before_a_restart_is_sent_after_it_and_what_was_is_not() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let (mut there, gone) = (Mailbox::open(0).await, Mailbox::open(u32::MAX).await);
    let (taken, untaken) = (payment(), payment());
    house.pay_from(&there, &taken).await;
    house.pay_from(&gone, &untaken).await;
    assert_eq!(
        house.post("/returns", json!({ "count": 5 })).await.1["returned"].as_array().unwrap().len(),
        2
    );
    assert_eq!(next_return(&mut there).await.original.uetr, taken.uetr);
    within(async { while receipts(&house).await == 0 {} }).await;
    house.close().await.unwrap();

    let house = House::open(&path).await;
    // The bank has moved meanwhile, which the house learns by the next message about that payment, and remembers.
    let mut moved = Mailbox::open(1).await;
    house.pay_from(&moved, &untaken).await;
    house.close().await.unwrap();
    let house = House::open(&path).await;
    assert_eq!(next_return(&mut moved).await.original.uetr, untaken.uetr);
    drop(house.recall(&untaken, "again").await);
    let Document::CancellationResolution(resolution) = moved.next().await else { panic!("no resolution") };
    assert_eq!(resolution.reason, Some(Reason::code("ARDT")));
    // The one that was taken would have come first.
    house.pay_from(&there, &payment()).await;
    house.post("/returns", json!({ "count": 1 })).await;
    assert_ne!(next_return(&mut there).await.original.uetr, taken.uetr);
}

#[tokio::test]
async fn a_recall_brings_the_money_or_a_refusal_and_a_repeated_one_the_same() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let mut mailbox = Mailbox::open(0).await;
    let (given, refused) = (payment(), payment());
    house.pay_from(&mailbox, &given).await;
    house.pay_from(&mailbox, &refused).await;

    assert_eq!(house.recall(&given, "case-1").await.0, StatusCode::ACCEPTED);
    let returned = next_return(&mut mailbox).await;
    assert_eq!((returned.original.uetr, &returned.reason), (given.uetr, &Reason::code("FOCR")));
    assert_eq!(house.recall(&given, "case-1").await.0, StatusCode::ACCEPTED);
    assert_eq!(next_return(&mut mailbox).await, returned);

    house.order(json!({ "kind": "reject_recall", "count": 1 })).await;
    for _ in 0..2 {
        assert_eq!(house.recall(&refused, "case-2").await.0, StatusCode::ACCEPTED);
        let Document::CancellationResolution(resolution) = mailbox.next().await else {
            panic!("no resolution")
        };
        assert_eq!(
            (resolution.case_id.as_str(), resolution.status),
            ("case-2", CancellationStatus::Rejected)
        );
        assert_eq!(resolution.reason, Some(Reason::code("CUST")));
    }
    house.order(json!({ "kind": "ignore_recall", "count": 1 })).await;
    assert_eq!(house.recall(&refused, "case-3").await.0, StatusCode::ACCEPTED);
    let lines = house.journal().await;
    let refusals: Vec<&Value> = lines.iter().filter(|line| line["recall_refused"].is_string()).collect();
    assert_eq!((refusals.len(), &refusals[0]["case_id"]), (1, &json!("case-2")));
}

#[tokio::test]
async fn what_was_not_settled_cannot_come_back() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let rejected = to_a_closed_account();
    house.pay(&rejected).await;
    assert_eq!(house.post("/returns", json!({ "uetr": rejected.uetr })).await.1["code"], "not-settled");
    assert_eq!(house.recall(&rejected, "case").await.0, StatusCode::CONFLICT);
    assert_eq!(house.recall(&payment(), "case").await.0, StatusCode::NOT_FOUND);
    assert_eq!(house.post("/returns", json!({ "count": 5 })).await.1, json!({ "returned": [] }));
    let settled = payment();
    house.pay(&settled).await;
    let order = json!({ "uetr": settled.uetr, "amount": "1251", "currency": "DKK" });
    assert_eq!(house.post("/returns", order).await.1["field"], "amount");
    assert_eq!(house.post("/returns", json!({ "uetr": settled.uetr })).await.1["code"], "no-address");
}
