//! `payment.v1`: what core asks a rail's adapter to pay.

use event::{Personal, events};
use jiff::Timestamp;
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Iban;

pub const CATEGORY: &str = "payment.v1";

/// One side of a payment, as the rail needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Party {
    pub iban: Personal<Iban>,
    pub name: Personal<String>,
}

/// A payment is to be made. The identifiers were fixed before the first attempt; each attempt carries the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentSubmitted {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub end_to_end_id: String,
    pub amount: Money,
    pub debtor: Party,
    pub creditor: Party,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remittance: Option<Personal<String>>,
    /// After this, core no longer waits quietly.
    pub answer_by: Timestamp,
}

events! {
    /// The events of `payment.v1`.
    pub enum PaymentEvent { PaymentSubmitted = 1 }
}
