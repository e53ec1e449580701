//! Webhooks: whether there are any, and what an endpoint may do.

use std::time::Duration;

use anyhow::Context;
use jiff::SignedDuration;
use serde::Deserialize;
use webhook::{Policy, Reach, SigningKey};

use super::positive;

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhooks {
    /// Empty: there are none.
    pub signing_key: String,
    pub answer_timeout_ms: i64,
    pub retry_pause_ms: i64,
    pub give_up_after_ms: i64,
    pub allow_private_addresses: bool,
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks")
            .field("answer_timeout_ms", &self.answer_timeout_ms)
            .field("allow_private_addresses", &self.allow_private_addresses)
            .finish_non_exhaustive()
    }
}

impl Webhooks {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        positive("webhooks.answer_timeout_ms", self.answer_timeout_ms)?;
        positive("webhooks.retry_pause_ms", self.retry_pause_ms)?;
        positive("webhooks.give_up_after_ms", self.give_up_after_ms)?;
        self.key().map(|_| ())
    }

    /// None: there are no webhooks.
    pub(crate) fn key(&self) -> anyhow::Result<Option<SigningKey>> {
        if self.signing_key.is_empty() {
            return Ok(None);
        }
        Ok(Some(SigningKey::new(&self.signing_key).context("webhooks.signing_key")?))
    }

    pub(crate) fn is_on(&self) -> bool {
        !self.signing_key.is_empty()
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            timeout: Duration::from_millis(self.answer_timeout_ms.unsigned_abs()),
            retry_pause: Duration::from_millis(self.retry_pause_ms.unsigned_abs()),
            give_up_after: SignedDuration::from_millis(self.give_up_after_ms),
            reach: self.reach(),
        }
    }

    pub(crate) fn reach(&self) -> Reach {
        if self.allow_private_addresses { Reach::Anything } else { Reach::Public }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::load;

    #[test]
    fn the_key_is_long_enough_and_is_not_shown() {
        let key = "0123456789abcdef0123456789abcdef";
        let config = load(&format!("webhooks.signing_key = \"{key}\"")).unwrap();
        assert!(config.webhooks.is_on() && !load("").unwrap().webhooks.is_on());
        assert!(!config.shown().join("\n").contains(key) && !format!("{config:?}").contains(key));
        let error = load("webhooks.signing_key = \"0123456789abcdef\"").unwrap_err();
        assert!(error.contains("webhooks.signing_key") && error.contains("32"), "{error}");
    }
}
