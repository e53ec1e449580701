//! `acceptance.v1`: what core decides about a payment from another bank, and what it wants to go back.

use event::events;
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub const CATEGORY: &str = "acceptance.v1";

/// The customer will be credited once the money is settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncomingAccepted {
    pub payment_id: Uuid,
    pub uetr: Uuid,
}

/// Nobody here can be credited. The code is ISO 20022's `ExternalStatusReason1Code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncomingRefused {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub reason_code: String,
}

/// A settled payment goes back. `ReturnSettled`, `ReturnRejected` or `ReturnOutcomeUnknown` answers. The code is ISO 20022's
/// `ExternalReturnReason1Code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReturnRequested {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub return_id: Uuid,
    pub amount: Money,
    pub reason_code: String,
}

events! {
    /// The events of `acceptance.v1`.
    pub enum AcceptanceEvent { IncomingAccepted = 1, IncomingRefused = 1, ReturnRequested = 1 }
}
