//! What differs between rails that speak ISO 20022: data, not code.

use money::{Currency, Money};
use serde::Deserialize;

use crate::amount;

/// The rails whose data comes with this crate.
const BUILT_IN: [(&str, &str); 2] = [
    ("nct-inst", include_str!("../profiles/nct-inst.toml")),
    ("fednow", include_str!("../profiles/fednow.toml")),
];

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub name: String,
    /// What can be paid in.
    pub currencies: Vec<Currency>,
    pub(crate) agent: AgentScheme,
    pub(crate) account: AccountScheme,
    /// `ExternalCashClearingSystem1Code`.
    pub(crate) clearing_system: Option<String>,
    /// `ExternalServiceLevel1Code`.
    pub(crate) service_level: Option<String>,
    pub(crate) local_instrument: LocalInstrument,
    pub(crate) charge_bearer: String,
    /// `ExternalPaymentTransactionStatus1Code`: the creditor's bank will credit.
    pub(crate) acceptance: String,
    pub(crate) definitions: Definitions,
}

/// How a bank is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AgentScheme {
    Bic,
    /// An American bank's, of nine digits.
    RoutingNumber,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccountScheme {
    Iban,
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LocalInstrument {
    Code(String),
    Proprietary(String),
}

/// The version of each message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Definitions {
    pub(crate) credit_transfer: String,
    pub(crate) status_report: String,
    pub(crate) status_request: String,
    pub(crate) payment_return: String,
    pub(crate) cancellation_request: String,
    pub(crate) cancellation_resolution: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownProfile {
    #[error("there is no profile `{0}`; there are nct-inst and fednow")]
    NoSuchName(String),
    #[error("the profile cannot be read: {0}")]
    Malformed(String),
}

impl Profile {
    /// One of the rails that come with this crate.
    pub fn named(name: &str) -> Result<Self, UnknownProfile> {
        let found = BUILT_IN.iter().find(|(known, _)| *known == name);
        let (_, text) = found.ok_or_else(|| UnknownProfile::NoSuchName(name.to_owned()))?;
        Self::parse(text)
    }

    /// A rail of one's own, in TOML, as those in `profiles/`.
    pub fn parse(text: &str) -> Result<Self, UnknownProfile> {
        toml::from_str(text).map_err(|error| UnknownProfile::Malformed(error.to_string()))
    }

    /// Whether a bank can be called so.
    pub fn is_agent(&self, name: &str) -> bool {
        let upper = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        match self.agent {
            AgentScheme::Bic => {
                matches!(name.len(), 8 | 11) && upper(name) && name.as_bytes()[4].is_ascii_uppercase()
            }
            AgentScheme::RoutingNumber => name.len() == 9 && name.bytes().all(|byte| byte.is_ascii_digit()),
        }
    }

    pub fn agent_rule(&self) -> &'static str {
        match self.agent {
            AgentScheme::Bic => "this rail names banks by their BIC, of 8 or 11 characters",
            AgentScheme::RoutingNumber => "this rail names banks by their routing number, of 9 digits",
        }
    }

    /// Why an amount cannot be paid through this rail: an `ExternalStatusReason1Code`.
    pub fn refuses(&self, amount: Money) -> Option<&'static str> {
        if !self.currencies.contains(&amount.currency()) {
            return Some("AM03");
        }
        (!amount::fits(amount)).then_some("AM02")
    }
}
