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
    pub fn approvals_for(&self, amount: Option<Money>) -> Result<u8, OverLimit> {
        let Some(amount) = amount else { return Ok(self.approvals) };
        match exceeded(&self.amount_max, amount) {
            Some(limit) => Err(OverLimit(Money::new(limit, amount.currency()))),
            None => Ok(self.approvals_for_all(&[amount])),
        }
    }

    /// How many approvals corrections need that come to so much together, each of them within its limit.
    pub fn approvals_for_all(&self, totals: &[Money]) -> u8 {
        let is_much = totals.iter().any(|total| exceeded(&self.above, *total).is_some());
        if is_much { self.approvals_above.max(self.approvals) } else { self.approvals }
    }
}

fn exceeded(limits: &HashMap<Currency, i64>, amount: Money) -> Option<i64> {
    let limit = limits.get(&amount.currency()).copied();
    limit.filter(|limit| amount.minor().unsigned_abs() > limit.unsigned_abs())
}
