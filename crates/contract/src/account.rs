//! `account.v1`: what the rest of the world may know of an account.

use event::events;
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub const CATEGORY: &str = "account.v1";

/// The balances after something has changed them. `available` = `posted` − `reserved`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BalanceChanged {
    pub account_id: Uuid,
    pub posted: Money,
    pub reserved: Money,
    pub available: Money,
    /// The type of the account's event, such as `FundsCaptured`.
    pub reason: String,
}

events! {
    /// The events of `account.v1`.
    pub enum AccountEvent { BalanceChanged = 1 }
}
