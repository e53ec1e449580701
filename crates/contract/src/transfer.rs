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
    /// As in the API: pending, awaiting_approval, processing, released, requires_attention, succeeded, failed, cancelled or returned.
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
}

events! {
    /// The events of `transfer.v1`.
    pub enum TransferEvent { StatusChanged = 1 }
}
