//! `clearing.v1`: what a rail's adapter knows of a payment.

use event::events;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub const CATEGORY: &str = "clearing.v1";

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

events! {
    /// The events of `clearing.v1`.
    pub enum ClearingEvent {
        PaymentSettled = 1,
        PaymentRejected = 1,
        PaymentOutcomeUnknown = 1,
        PaymentContradicted = 1,
    }
}
