//! `incoming.v1`: what a rail's adapter knows of a payment from another bank to a customer here, and of its way back.

use event::{Personal, events};
use jiff::Timestamp;
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub const CATEGORY: &str = "incoming.v1";

/// One side, as the rail names it: the account is an IBAN where the rail uses those.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    pub account: Personal<String>,
    pub name: Personal<String>,
    /// The bank, as the rail names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// Another bank wants to pay. No money has moved; without a decision by `answer_by` the adapter refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncomingReceived {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub end_to_end_id: String,
    pub transaction_id: String,
    pub amount: Money,
    pub debtor: Holder,
    pub creditor: Holder,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remittance: Option<Personal<String>>,
    pub answer_by: Timestamp,
}

/// The money is here. It may also be, against all rules, after a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncomingSettled {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub settled_at: Timestamp,
}

/// No money will come. The code is ISO 20022's `ExternalStatusReason1Code`, `AB05` where nobody here had decided in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncomingCancelled {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub reason_code: String,
}

/// It was accepted, and the adapter has given up asking whether the money has moved. An answer may still come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncomingOutcomeUnknown {
    pub payment_id: Uuid,
    pub uetr: Uuid,
}

/// After its final word the rail has said something else. A person has to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncomingContradicted {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub status: String,
}

/// What was to go back is back. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReturnSettled {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub return_id: Uuid,
}

/// The rail does not take it back. The code is ISO 20022's `ExternalStatusReason1Code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReturnRejected {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub return_id: Uuid,
    pub reason_code: String,
}

/// The rail has not said whether it has taken it back, and is not asked any more. An answer may still come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReturnOutcomeUnknown {
    pub payment_id: Uuid,
    pub uetr: Uuid,
    pub return_id: Uuid,
}

events! {
    /// The events of `incoming.v1`.
    pub enum IncomingEvent {
        IncomingReceived = 1,
        IncomingSettled = 1,
        IncomingCancelled = 1,
        IncomingOutcomeUnknown = 1,
        IncomingContradicted = 1,
        ReturnSettled = 1,
        ReturnRejected = 1,
        ReturnOutcomeUnknown = 1,
    }
}
