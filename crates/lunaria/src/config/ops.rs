//! `[ops]` and `[relay]`: for those who run the processes.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use relay::RefillMode;
use serde::Deserialize;

use super::strong_enough;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ops {
    pub listen: SocketAddr,
    /// Who may administer. Empty: nobody.
    pub token: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Relay {
    pub failover: bool,
    pub refill: Refill,
    /// 0: never.
    pub catch_up_bytes: u64,
    pub takeover_after_ms: u64,
    pub watch_every_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Refill {
    Manual,
    Automatic,
}

impl Ops {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        strong_enough("ops.token", &self.token)
    }
}

impl Relay {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for (key, value) in
            [("takeover_after_ms", self.takeover_after_ms), ("watch_every_ms", self.watch_every_ms)]
        {
            ensure!(value > 0, "relay.{key} is 0; it has to be positive");
        }
        Ok(())
    }

    /// The relay's own configuration with these settings.
    pub(crate) fn apply(&self, relay: relay::Config) -> relay::Config {
        relay::Config {
            failover: self.failover,
            refill: match self.refill {
                Refill::Manual => RefillMode::Manual,
                Refill::Automatic => RefillMode::Automatic,
            },
            catch_up_bytes: (self.catch_up_bytes > 0).then_some(self.catch_up_bytes),
            takeover_after: Duration::from_millis(self.takeover_after_ms),
            watch_every: Duration::from_millis(self.watch_every_ms),
            ..relay
        }
    }
}
