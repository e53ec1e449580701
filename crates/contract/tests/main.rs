//! Each external event type has a committed sample, and its shape cannot change unseen.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use contract::acceptance::{AcceptanceEvent, IncomingAccepted, IncomingRefused, ReturnRequested};
use contract::account::{AccountEvent, BalanceChanged};
use contract::card::{
    AuthorisationRequested, CaptureReceived, CardEvent, CardPayment, IncrementRequested, Merchant,
    RefundReceived, RequestUnanswered, ReversalReceived, StandInAdvised,
};
use contract::clearing::{
    self, ClearingEvent, PaymentContradicted, PaymentOutcomeUnknown, PaymentPending, PaymentRejected,
    PaymentReturned, PaymentSettled, RecallRejected, RecallUndelivered,
};
use contract::incoming::{
    Holder, IncomingCancelled, IncomingContradicted, IncomingEvent, IncomingOutcomeUnknown, IncomingReceived,
    IncomingSettled, ReturnOutcomeUnknown, ReturnRejected, ReturnSettled,
};
use contract::payment::{self, Party, PaymentEvent, PaymentSubmitted, RecallRequested};
use contract::transfer::{AttentionRequired, AttentionWithdrawn, StatusChanged};
use contract::verdict::{RequestApproved, RequestDeclined, VerdictEvent};
use jiff::Timestamp;
use money::{Currency, Money};
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const UETR: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0002);

/// `UPDATE_CONTRACT=1` writes the document anew, unless that would break a reader of the one that stands there.
#[test]
fn the_published_document_is_that_of_the_types_and_breaks_no_reader() {
    let file = Path::new("asyncapi.json");
    let now = contract::asyncapi();
    let text = serde_json::to_string_pretty(&now).unwrap() + "\n";
    let is_update = std::env::var_os("UPDATE_CONTRACT").is_some();
    if is_update && !file.exists() {
        fs::write(file, &text).unwrap();
    }
    let published = fs::read_to_string(file).unwrap();
    let broken = contract::breaks(&serde_json::from_str(&published).unwrap(), &now);
    assert!(broken.is_empty(), "make a new version of the contract, beside this one: {}", broken.join("; "));
    if is_update {
        fs::write(file, &text).unwrap();
    } else {
        assert_eq!(text, published, "UPDATE_CONTRACT=1 writes it anew");
    }
}

fn party(iban: &str, name: &str) -> Party {
    Party { iban: iban.parse::<contract::Iban>().unwrap().into(), name: name.to_owned().into() }
}

fn submitted() -> PaymentSubmitted {
    PaymentSubmitted {
        payment_id: ID,
        uetr: UETR,
        end_to_end_id: "0198c1f200007000800000000000001".to_owned(),
        amount: Money::new(12_500, Currency::DKK),
        debtor: party("DK5000400440116243", "Ada Lund"),
        creditor: party("DE89370400440532013000", "Bo Berg"),
        remittance: Some("invoice 7".to_owned().into()),
        answer_by: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn payment_keeps_its_shape() {
    let recall =
        RecallRequested { payment_id: ID, uetr: UETR, recall_id: ID, reason_code: "DUPL".to_owned() };
    event::samples::check("samples/payment.v2", &[PaymentEvent::from(submitted()), recall.into()]);
    event::samples::check("samples/payment.v1", &[payment::v1::PaymentEvent::from(submitted())]);
}

#[test]
fn clearing_keeps_its_shape() {
    let settled = PaymentSettled { payment_id: ID, uetr: UETR, settled_at: Timestamp::UNIX_EPOCH };
    let rejected = PaymentRejected { payment_id: ID, uetr: UETR, reason_code: "AC04".to_owned() };
    let unknown = PaymentOutcomeUnknown { payment_id: ID, uetr: UETR, attempts: 5 };
    let contradicted = PaymentContradicted { payment_id: ID, uetr: UETR, status: "RJCT".to_owned() };
    let returned = PaymentReturned {
        payment_id: ID,
        uetr: UETR,
        return_id: "return-1".to_owned(),
        amount: Money::new(12_000, Currency::DKK),
        reason_code: "AC04".to_owned(),
    };
    let refused =
        RecallRejected { payment_id: ID, uetr: UETR, recall_id: ID, reason_code: "CUST".to_owned() };
    let examples: [ClearingEvent; 8] = [
        settled.clone().into(),
        rejected.clone().into(),
        PaymentPending { payment_id: ID, uetr: UETR, status: "ACSP".to_owned() }.into(),
        unknown.clone().into(),
        contradicted.clone().into(),
        returned.into(),
        refused.into(),
        RecallUndelivered { payment_id: ID, uetr: UETR, recall_id: ID }.into(),
    ];
    event::samples::check("samples/clearing.v2", &examples);
    let examples: [clearing::v1::ClearingEvent; 4] =
        [settled.into(), rejected.into(), unknown.into(), contradicted.into()];
    event::samples::check("samples/clearing.v1", &examples);
}

#[test]
fn incoming_keeps_its_shape() {
    let holder = |account: &str, name: &str| Holder {
        account: account.to_owned().into(),
        name: name.to_owned().into(),
        agent: Some("LUNADK22XXX".to_owned()),
    };
    let received = IncomingReceived {
        payment_id: ID,
        uetr: UETR,
        end_to_end_id: "invoice-7".to_owned(),
        transaction_id: "T1".to_owned(),
        amount: Money::new(12_500, Currency::DKK),
        debtor: holder("DE89370400440532013000", "Muster GmbH"),
        creditor: holder("DK5000400440116243", "Ada Lund"),
        remittance: Some("invoice 7".to_owned().into()),
        answer_by: Timestamp::UNIX_EPOCH,
    };
    let (payment_id, uetr, return_id) = (ID, UETR, ID);
    let reason_code = || "AB05".to_owned();
    let examples: [IncomingEvent; 8] = [
        received.into(),
        IncomingSettled { payment_id, uetr, settled_at: Timestamp::UNIX_EPOCH }.into(),
        IncomingCancelled { payment_id, uetr, reason_code: reason_code() }.into(),
        IncomingOutcomeUnknown { payment_id, uetr }.into(),
        IncomingContradicted { payment_id, uetr, status: "RJCT".to_owned() }.into(),
        ReturnSettled { payment_id, uetr, return_id }.into(),
        ReturnRejected { payment_id, uetr, return_id, reason_code: reason_code() }.into(),
        ReturnOutcomeUnknown { payment_id, uetr, return_id }.into(),
    ];
    event::samples::check("samples/incoming.v1", &examples);
}

#[test]
fn acceptance_keeps_its_shape() {
    let (payment_id, uetr) = (ID, UETR);
    let (amount, reason_code) = (Money::new(12_500, Currency::DKK), "AC01".to_owned());
    let examples: [AcceptanceEvent; 3] = [
        IncomingAccepted { payment_id, uetr }.into(),
        IncomingRefused { payment_id, uetr, reason_code: reason_code.clone() }.into(),
        ReturnRequested { payment_id, uetr, return_id: ID, amount, reason_code }.into(),
    ];
    event::samples::check("samples/acceptance.v1", &examples);
}

#[test]
fn card_keeps_its_shape() {
    let merchant = Merchant { name: "Bakery Lund".to_owned(), category_code: Some("5462".to_owned()) };
    let network_id = "N7F3".to_owned();
    let payment = || CardPayment {
        authorisation_id: ID,
        network_id: network_id.clone(),
        card_id: ID,
        merchant: merchant.clone(),
    };
    let (message_id, amount, answer_by) = (ID, Money::new(12_500, Currency::DKK), Timestamp::UNIX_EPOCH);
    let examples: [CardEvent; 7] = [
        AuthorisationRequested {
            payment: payment(),
            message_id,
            amount,
            is_partial_allowed: true,
            answer_by,
        }
        .into(),
        IncrementRequested { payment: payment(), message_id, amount, answer_by }.into(),
        RequestUnanswered { payment: payment(), message_id }.into(),
        StandInAdvised { payment: payment(), message_id, original_message_id: Some(ID), approved: amount }
            .into(),
        ReversalReceived { payment: payment(), message_id, original_message_id: ID, amount }.into(),
        CaptureReceived { payment: payment(), message_id, amount, is_final: true }.into(),
        RefundReceived { payment: payment(), message_id, amount }.into(),
    ];
    event::samples::check("samples/card.v1", &examples);
}

#[test]
fn verdict_keeps_its_shape() {
    let (authorisation_id, message_id) = (ID, ID);
    let examples: [VerdictEvent; 2] = [
        RequestApproved { authorisation_id, message_id, amount: Money::new(12_500, Currency::DKK) }.into(),
        RequestDeclined { authorisation_id, message_id, response_code: "51".to_owned() }.into(),
    ];
    event::samples::check("samples/verdict.v1", &examples);
}

#[test]
fn a_deprecated_version_is_published_and_so_is_its_successor() {
    let document = contract::asyncapi();
    for deprecation in contract::DEPRECATIONS {
        let channel = |contract: &str| document["channels"][contract.replace('.', "_")].clone();
        assert_eq!(channel(deprecation.contract)["x-deprecated"]["until"], deprecation.until);
        assert!(channel(deprecation.instead)["x-deprecated"].is_null());
        assert!(channel(deprecation.instead)["address"].is_string());
        assert!(deprecation.until.parse::<jiff::civil::Date>().is_ok());
    }
}

#[test]
fn transfer_v1_keeps_its_shape() {
    let changed = StatusChanged {
        transfer_id: ID,
        status: "failed".to_owned(),
        status_reason: Some("insufficient_funds".to_owned()),
    };
    let reason = "the rail has contradicted itself".to_owned();
    let examples: [contract::transfer::TransferEvent; 3] = [
        changed.into(),
        AttentionRequired { transfer_id: ID, reason: reason.clone() }.into(),
        AttentionWithdrawn { transfer_id: ID, remaining: vec![reason] }.into(),
    ];
    event::samples::check("samples/transfer.v1", &examples);
}

#[test]
fn account_v1_keeps_its_shape() {
    let money = |minor| Money::new(minor, Currency::DKK);
    let changed = BalanceChanged {
        account_id: ID,
        posted: money(10_000),
        reserved: money(2_500),
        available: money(7_500),
        reason: "FundsReserved".to_owned(),
    };
    event::samples::check("samples/account.v1", &[AccountEvent::from(changed)]);
}
