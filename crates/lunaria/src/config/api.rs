//! The API: where it listens, and who may ask it what.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use access::{Keyring, Principal, Role};
use anyhow::Context;
use serde::Deserialize;
use uuid::Uuid;

use super::{Oidc, listed};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Api {
    pub listen: SocketAddr,
    /// That each principal may make; 0 for as many as they like.
    pub requests_per_second: u32,
    /// By name, which is the principal's where it says no other.
    pub keys: BTreeMap<String, ApiKey>,
    pub oidc: Oidc,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKey {
    pub secret: String,
    #[serde(deserialize_with = "listed")]
    pub roles: Vec<String>,
    /// Whose key it is, where they have a second one.
    #[serde(default)]
    pub principal: Option<String>,
    /// For the role customer: which one.
    #[serde(default)]
    pub customer: Option<Uuid>,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("roles", &self.roles)
            .field("principal", &self.principal)
            .field("customer", &self.customer)
            .finish_non_exhaustive()
    }
}

impl Api {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.oidc.check()?;
        self.keyring().map(|_| ())
    }

    pub(crate) fn keyring(&self) -> anyhow::Result<Keyring> {
        let mut keyring = Keyring::default();
        for (name, key) in &self.keys {
            let named = || format!("api.keys.{name}");
            let roles = key.roles.iter().map(|role| role.parse::<Role>());
            let roles = roles.collect::<Result<_, _>>().with_context(named)?;
            let principal = key.principal.as_deref().unwrap_or(name);
            let principal = Principal::of_key(principal, roles, key.customer).with_context(named)?;
            keyring.add(principal, &key.secret).with_context(named)?;
        }
        Ok(keyring)
    }
}

#[cfg(test)]
mod tests {
    use access::Role;

    use crate::config::tests::load;

    #[test]
    fn a_key_has_a_name_and_roles_and_is_not_shown() {
        let config = load(
            "[api.keys]
             checkout = { secret = \"0123456789abcdef\", roles = \"service\" }
             desk = { secret = \"fedcba9876543210\", roles = [\"operator\", \"approver\"] }
             checkout-next = { secret = \"00112233445566778899\", roles = \"service\", principal = \"checkout\" }",
        )
        .unwrap();
        let keyring = config.api.keyring().unwrap();
        assert_eq!(keyring.find("fedcba9876543210").unwrap().roles(), [Role::Operator, Role::Approver]);
        assert_eq!(keyring.find("00112233445566778899").unwrap().actor(), "api:checkout");
        assert!(!config.shown().join("\n").contains("0123456789abcdef"));
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn what_is_no_key_is_named() {
        for (key, reason) in [
            ("secret = \"short\", roles = \"service\"", "at least 16"),
            ("secret = \"0123456789abcdef\", roles = \"king\"", "king is no role"),
            ("secret = \"0123456789abcdef\", roles = \"\"", "without a role"),
            ("secret = \"0123456789abcdef\", roles = \"customer\"", "is one customer"),
        ] {
            let error = load(&format!("api.keys.a = {{ {key} }}")).unwrap_err();
            assert!(error.contains("api.keys.a") && error.contains(reason), "{error}");
        }
    }
}
