//! The instant rail: how its clearing house is reached, in which profile, and with how much patience.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use instant::{Rail, RetryPolicy};
use iso20022::Profile;
use jiff::SignedDuration;
use serde::Deserialize;

use super::{Database, agreed_token, positive, strong_enough};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instant {
    pub database: Database,
    pub listen: SocketAddr,
    /// This adapter as others reach it: for the house's messages, and for core's gap refill. Empty: what it listens on.
    pub public_url: String,
    pub clearing_house_url: String,
    /// What the house and this adapter show each other. Empty: nothing.
    pub house_token: String,
    /// One that comes with Lunaria, or a file of one's own.
    profile: String,
    /// This bank and the clearing house, as the profile names them.
    pub own_name: String,
    house_name: String,
    attempts_max: u32,
    enquiries_max: u32,
    pub answer_timeout_ms: i64,
    retry_pause_ms: i64,
    pending_pause_ms: i64,
    pending_enquiries_max: u32,
    decision_limit_ms: i64,
}

impl Instant {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        positive("instant.database.connections_max", self.database.connections_max.into())?;
        positive("instant.attempts_max", self.attempts_max.into())?;
        positive("instant.enquiries_max", self.enquiries_max.into())?;
        positive("instant.answer_timeout_ms", self.answer_timeout_ms)?;
        positive("instant.retry_pause_ms", self.retry_pause_ms)?;
        positive("instant.pending_pause_ms", self.pending_pause_ms)?;
        positive("instant.pending_enquiries_max", self.pending_enquiries_max.into())?;
        positive("instant.decision_limit_ms", self.decision_limit_ms)?;
        strong_enough("instant.house_token", &self.house_token)?;
        let profile = profile(&self.profile).context("instant.profile")?;
        for (key, name) in [("own_name", &self.own_name), ("house_name", &self.house_name)] {
            ensure!(profile.is_agent(name), "instant.{key} is {name}; {}", profile.agent_rule());
        }
        Ok(())
    }

    /// What the house has to show. None: nothing, which is refused where others than this machine get to.
    pub(crate) fn inbox_token(&self) -> anyhow::Result<Option<&str>> {
        agreed_token(
            ("instant.house_token", &self.house_token),
            ("instant.listen", self.listen),
            "the clearing house",
        )
    }

    pub(crate) fn rail(&self) -> anyhow::Result<Arc<Rail>> {
        let policy = RetryPolicy {
            attempts_max: self.attempts_max,
            enquiries_max: self.enquiries_max,
            answer_timeout: SignedDuration::from_millis(self.answer_timeout_ms),
            retry_pause: SignedDuration::from_millis(self.retry_pause_ms),
            pending_pause: SignedDuration::from_millis(self.pending_pause_ms),
            pending_enquiries_max: self.pending_enquiries_max,
        };
        let (own_name, house_name) = (self.own_name.clone(), self.house_name.clone());
        let decide_within = SignedDuration::from_millis(self.decision_limit_ms);
        Ok(Arc::new(Rail { profile: profile(&self.profile)?, own_name, house_name, policy, decide_within }))
    }
}

/// By its name, or out of a file.
pub(crate) fn profile(name: &str) -> anyhow::Result<Profile> {
    if Path::new(name).extension().is_none_or(|extension| extension != "toml") {
        return Ok(Profile::named(name)?);
    }
    let text = fs::read_to_string(name).with_context(|| format!("cannot read {name}"))?;
    Profile::parse(&text).with_context(|| name.to_owned())
}
