//! `[core.corrections]`: under what operators correct.

use std::collections::HashMap;

use anyhow::ensure;
use correction::Policy;
use jiff::SignedDuration;
use money::Currency;
use serde::Deserialize;

use super::{Config, by_currency, positive};

/// They are looked at by people.
const PREVIEWS_AT_ONCE: usize = 4;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Corrections {
    pub approvals: u8,
    pub approvals_above: u8,
    pub limit_ms: i64,
    /// In minor units, by currency.
    #[serde(deserialize_with = "by_currency")]
    pub above: HashMap<Currency, i64>,
    #[serde(deserialize_with = "by_currency")]
    pub amount_max: HashMap<Currency, i64>,
}

impl Corrections {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        positive("core.corrections.approvals", self.approvals.into())?;
        positive("core.corrections.approvals_above", self.approvals_above.into())?;
        positive("core.corrections.limit_ms", self.limit_ms)?;
        for (key, limits) in [("above", &self.above), ("amount_max", &self.amount_max)] {
            for (currency, minor) in limits {
                ensure!(*minor >= 0, "core.corrections.{key}.{currency} is {minor}; it cannot be negative");
            }
        }
        Ok(())
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            approvals: self.approvals,
            above: self.above.clone(),
            approvals_above: self.approvals_above,
            execute_within: SignedDuration::from_millis(self.limit_ms),
            amount_max: self.amount_max.clone(),
        }
    }
}

impl Config {
    /// Of people, and as many of bulk corrections. Each has up to two connections, and others are to have some.
    pub(crate) fn previews_at_once(&self) -> usize {
        let connections = usize::try_from(self.core.database.connections_max).unwrap_or_default();
        (connections.saturating_sub(1) / 4).clamp(1, PREVIEWS_AT_ONCE)
    }
}
