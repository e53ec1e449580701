//! `verdict.v1`: what core says to what a card network asks.

use event::events;
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub const CATEGORY: &str = "verdict.v1";

/// So much is held for the merchant: what was asked, or less where that is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestApproved {
    pub authorisation_id: Uuid,
    /// Of the request.
    pub message_id: Uuid,
    pub amount: Money,
}

/// The code is ISO 8583's, of data element 39.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestDeclined {
    pub authorisation_id: Uuid,
    /// Of the request.
    pub message_id: Uuid,
    pub response_code: String,
}

events! {
    /// The events of `verdict.v1`.
    pub enum VerdictEvent { RequestApproved = 1, RequestDeclined = 1 }
}
