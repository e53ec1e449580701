//! The identity provider whose tokens the API takes.

use access::Issuer;
use anyhow::{Context, ensure};
use serde::{Deserialize, Deserializer};
use url::Url;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Oidc {
    /// Empty: there is none.
    pub issuer: String,
    pub audience: String,
    pub algorithm: String,
    /// None: the issuer's discovery document says it.
    #[serde(deserialize_with = "given")]
    pub jwks_url: Option<Url>,
    pub roles_claim: String,
    pub customer_claim: String,
}

/// A setting that may be empty.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(serde::de::Error::custom) }
}

impl Oidc {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.issuer().map(|_| ())
    }

    pub(crate) fn issuer(&self) -> anyhow::Result<Option<Issuer>> {
        if self.issuer.is_empty() {
            return Ok(None);
        }
        let url: Url = self.issuer.parse().with_context(|| format!("api.oidc.issuer is {}", self.issuer))?;
        for (name, url) in [("issuer", Some(&url)), ("jwks_url", self.jwks_url.as_ref())] {
            ensure!(
                url.is_none_or(is_safe),
                "api.oidc.{name} has to be https: whoever stands between could make tokens"
            );
        }
        ensure!(!self.audience.is_empty(), "api.oidc.audience is empty: tokens for others would be taken");
        let (roles, customer) = (&self.roles_claim, &self.customer_claim);
        let issuer = Issuer::new(&self.issuer, &self.audience, &self.algorithm, roles, customer);
        Ok(Some(issuer.context("api.oidc")?))
    }
}

/// Whether nobody can stand between.
pub(crate) fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || is_local(url)
}

/// On this machine, nobody does.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::load;

    #[test]
    fn an_identity_provider_is_named_whole_and_reached_safely() {
        let with = |settings: &str| load(&format!("[api.oidc]\n{settings}"));
        assert!(with("").unwrap().api.oidc.issuer().unwrap().is_none());
        let whole = "issuer = \"https://id.example\"\naudience = \"lunaria\"";
        assert!(with(whole).unwrap().api.oidc.issuer().unwrap().is_some());
        for (settings, reason) in [
            ("issuer = \"https://id.example\"", "audience"),
            ("issuer = \"http://id.example\"\naudience = \"a\"", "https"),
            ("issuer = \"id.example\"\naudience = \"a\"", "api.oidc.issuer"),
            (&format!("{whole}\njwks_url = \"http://id.example/keys\""), "jwks_url"),
            (&format!("{whole}\nalgorithm = \"HS256\""), "HS256"),
            (&format!("{whole}\nroles_claim = \"roles\""), "pointer"),
        ] {
            let error = with(settings).unwrap_err();
            assert!(error.contains(reason), "{settings}: {error}");
        }
    }
}
