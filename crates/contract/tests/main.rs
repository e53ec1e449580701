//! Each external event type has a committed sample, and its shape cannot change unseen.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use contract::account::{AccountEvent, BalanceChanged};
use contract::clearing::{
    ClearingEvent, PaymentContradicted, PaymentOutcomeUnknown, PaymentRejected, PaymentSettled,
};
use contract::payment::{Party, PaymentEvent, PaymentSubmitted};
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

#[test]
fn payment_v1_keeps_its_shape() {
    let submitted = PaymentSubmitted {
        payment_id: ID,
        uetr: UETR,
        end_to_end_id: "0198c1f200007000800000000000001".to_owned(),
        amount: Money::new(12_500, Currency::DKK),
        debtor: party("DK5000400440116243", "Ada Lund"),
        creditor: party("DE89370400440532013000", "Bo Berg"),
        remittance: Some("invoice 7".to_owned().into()),
        answer_by: Timestamp::UNIX_EPOCH,
    };
    event::samples::check("samples/payment.v1", &[PaymentEvent::from(submitted)]);
}

#[test]
fn clearing_v1_keeps_its_shape() {
    let examples: [ClearingEvent; 4] = [
        PaymentSettled { payment_id: ID, uetr: UETR, settled_at: Timestamp::UNIX_EPOCH }.into(),
        PaymentRejected { payment_id: ID, uetr: UETR, reason_code: "AC04".to_owned() }.into(),
        PaymentOutcomeUnknown { payment_id: ID, uetr: UETR, attempts: 5 }.into(),
        PaymentContradicted { payment_id: ID, uetr: UETR, status: "RJCT".to_owned() }.into(),
    ];
    event::samples::check("samples/clearing.v1", &examples);
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
