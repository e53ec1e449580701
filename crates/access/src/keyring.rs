//! The keys that are known, by their digests: no secret is kept, and the time of a look-up says nothing about one.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::Principal;

/// What is shorter can be guessed.
const SECRET_CHARS_MIN: usize = 16;
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    #[error("a key's secret has at least 16 visible ASCII characters; `openssl rand -base64 33` makes one")]
    Secret,
    #[error("two principals have the same key")]
    Shared,
}

/// Who is known by which key.
#[derive(Clone, Default)]
pub struct Keyring {
    by_digest: HashMap<[u8; 32], Arc<Principal>>,
}

impl Keyring {
    pub fn add(&mut self, principal: Principal, secret: &str) -> Result<(), KeyringError> {
        if secret.len() < SECRET_CHARS_MIN || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyringError::Secret);
        }
        match self.by_digest.insert(digest(secret), Arc::new(principal)) {
            None => Ok(()),
            Some(_) => Err(KeyringError::Shared),
        }
    }

    /// Whose secret this is.
    pub fn find(&self, secret: &str) -> Option<Arc<Principal>> {
        self.by_digest.get(&digest(secret)).cloned()
    }

    /// Whether somebody here acts under this name.
    pub fn has_actor(&self, actor: &str) -> bool {
        self.by_digest.values().any(|principal| principal.actor() == actor)
    }

    pub fn is_empty(&self) -> bool {
        self.by_digest.is_empty()
    }
}

pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    const SECRET: &str = "0123456789abcdef";

    fn somebody(name: &str) -> Principal {
        Principal::of_key(name, vec![Role::Service], None).unwrap()
    }

    #[test]
    fn whoever_shows_a_secret_is_its_principal() {
        let mut keys = Keyring::default();
        keys.add(somebody("checkout"), SECRET).unwrap();
        // A second key of the same principal: the first can be taken away later.
        keys.add(somebody("checkout"), "fedcba9876543210").unwrap();
        assert_eq!(keys.find(SECRET).unwrap().actor(), "api:checkout");
        assert_eq!(keys.find("fedcba9876543210").unwrap().actor(), "api:checkout");
        assert_eq!(keys.find("0123456789abcdeF"), None);
        assert_eq!(keys.find(""), None);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let mut keys = Keyring::default();
        for secret in ["", "0123456789abcde", "0123456789abcde ", "0123456789abcdé"] {
            assert_eq!(keys.add(somebody("a"), secret), Err(KeyringError::Secret), "{secret}");
        }
        keys.add(somebody("a"), SECRET).unwrap();
        assert_eq!(keys.add(somebody("b"), SECRET), Err(KeyringError::Shared));
    }
}
