//! How many have to approve, within which time, and how much may be corrected at once.

use std::collections::HashMap;

use jiff::SignedDuration;
use money::{Currency, Money};

#[derive(Debug, Clone, Default)]
pub struct Policy {
    pub approvals: u8,
    /// In minor units: what is at stake above this needs as many approvals as `approvals_above` says.
    pub above: HashMap<Currency, i64>,
    pub approvals_above: u8,
    /// From the request to the execution.
    pub execute_within: SignedDuration,
    /// In minor units: more than this nobody corrects at once.
    pub amount_max: HashMap<Currency, i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no more than {0} is corrected at once")]
pub struct OverLimit(pub Money);

impl Policy {
    /// How many approvals a correction of so much needs.
    pub fn approvals_for(&self, amount: Money) -> Result<u8, OverLimit> {
        let (currency, minor) = (amount.currency(), amount.minor());
        let over = |limits: &HashMap<Currency, i64>| {
            limits.get(&currency).copied().filter(|limit| minor.unsigned_abs() > limit.unsigned_abs())
        };
        if let Some(limit) = over(&self.amount_max) {
            return Err(OverLimit(Money::new(limit, currency)));
        }
        Ok(if over(&self.above).is_some() {
            self.approvals_above.max(self.approvals)
        } else {
            self.approvals
        })
    }
}
