//! `transfer.v1`: where a transfer stands, for whoever has asked for it.

use event::events;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub const CATEGORY: &str = "transfer.v1";

/// The transfer has come to another status, or has it for another reason. `GET /v1/transfers/{id}` is the whole of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusChanged {
    pub transfer_id: Uuid,
    /// pending, awaiting_approval, processing, released, succeeded, failed, cancelled or returned.
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
}

/// A person has to look at it, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttentionRequired {
    pub transfer_id: Uuid,
    pub reason: String,
}

/// Of the reasons for a person to look, these are left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttentionWithdrawn {
    pub transfer_id: Uuid,
    pub remaining: Vec<String>,
}

events! {
    /// The events of `transfer.v1`.
    pub enum TransferEvent {
        StatusChanged = 1,
        AttentionRequired = 1,
        AttentionWithdrawn = 1,
    }
}
