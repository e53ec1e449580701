//! `payment.v2`: what core asks a rail's adapter to pay, and to call back.

use event::{Personal, events};
use jiff::Timestamp;
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Iban;

pub const CATEGORY: &str = "payment.v2";

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

/// A settled payment is to be given back, if the creditor's side agrees. The code is ISO 20022's `ExternalCancellationReason1Code`.
/// Either `PaymentReturned` or `RecallRejected` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecallRequested {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub recall_id: Uuid,
    pub reason_code: String,
}

events! {
    /// The events of `payment.v2`.
    pub enum PaymentEvent { PaymentSubmitted = 1, RecallRequested = 1 }
}

/// What is still published beside it.
pub mod v1 {
    use event::events;

    use super::PaymentSubmitted;

    pub const CATEGORY: &str = "payment.v1";

    events! {
        /// The events of `payment.v1`.
        pub enum PaymentEvent { PaymentSubmitted = 1 }
    }
}
