//! `clearing.v2`: what a rail's adapter knows of a payment. It says what `clearing.v1` said, and what comes before the end and after it.

use event::events;
use jiff::Timestamp;
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub const CATEGORY: &str = "clearing.v2";

/// The creditor has the money. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentSettled {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub settled_at: Timestamp,
}

/// The rail refused; nobody was paid. Final. The code is ISO 20022's `ExternalStatusReason1Code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentRejected {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub reason_code: String,
}

/// The adapter has given up asking; whether the creditor was paid is not known. An answer may still come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentOutcomeUnknown {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub attempts: u32,
}

/// After a final answer the rail sent another one that says something else. A person has to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentContradicted {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub status: String,
}

/// The rail has taken it and has not decided. The status is ISO 20022's, such as `ACSP` or `ACWP`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentPending {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub status: String,
}

/// A settled payment has come back, once at most; the amount is less when a bank has kept a fee. The code is ISO 20022's
/// `ExternalReturnReason1Code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentReturned {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub return_id: String,
    pub amount: Money,
    pub reason_code: String,
}

/// The creditor's side does not give the payment back. The code is ISO 20022's
/// `ExternalPaymentCancellationRejection1Code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecallRejected {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub recall_id: Uuid,
    pub reason_code: String,
}

/// The rail could not be asked: nobody has confirmed to have the recall. An answer may still come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecallUndelivered {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub recall_id: Uuid,
}

events! {
    /// The events of `clearing.v2`.
    pub enum ClearingEvent {
        PaymentSettled = 1,
        PaymentRejected = 1,
        PaymentPending = 1,
        PaymentOutcomeUnknown = 1,
        PaymentContradicted = 1,
        PaymentReturned = 1,
        RecallRejected = 1,
        RecallUndelivered = 1,
    }
}

/// What is still published beside it.
pub mod v1 {
    use event::events;

    use super::{PaymentContradicted, PaymentOutcomeUnknown, PaymentRejected, PaymentSettled};

    pub const CATEGORY: &str = "clearing.v1";

    events! {
        /// The events of `clearing.v1`.
        pub enum ClearingEvent {
            PaymentSettled = 1,
            PaymentRejected = 1,
            PaymentOutcomeUnknown = 1,
            PaymentContradicted = 1,
        }
    }
}
