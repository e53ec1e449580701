//! The card network: where it speaks to us, and how long it waits.

use std::net::SocketAddr;

use jiff::SignedDuration;
use serde::Deserialize;

use super::{Database, agreed_token, positive, strong_enough};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Card {
    /// Whether there is such a service.
    pub enabled: bool,
    pub database: Database,
    pub listen: SocketAddr,
    /// This adapter as core reaches it, for its gap refill. Empty: what it listens on.
    pub public_url: String,
    /// What the network shows this adapter. Empty: nothing.
    pub network_token: String,
    answer_limit_ms: i64,
}

impl Card {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        positive("card.database.connections_max", self.database.connections_max.into())?;
        positive("card.answer_limit_ms", self.answer_limit_ms)?;
        strong_enough("card.network_token", &self.network_token)
    }

    /// What the network has to show. None: nothing, which is refused where others than this machine get to.
    pub(crate) fn door_token(&self) -> anyhow::Result<Option<&str>> {
        agreed_token(
            ("card.network_token", &self.network_token),
            ("card.listen", self.listen),
            "the card network",
        )
    }

    pub(crate) fn answer_within(&self) -> SignedDuration {
        SignedDuration::from_millis(self.answer_limit_ms)
    }
}
