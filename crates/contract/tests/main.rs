//! Each external event type has a committed sample, and its shape cannot change unseen.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

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
