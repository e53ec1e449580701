//! Tokens of an identity provider, by the keys that it publishes just now.

use std::time::Duration;

use access::{Issuer, IssuerKeys, Principal, TokenError};
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

/// How long a request with an unknown key waits for the provider's present ones.
const PATIENCE: Duration = Duration::from_secs(2);
/// Keys that are as new as that are not asked for once more: anybody can make up a key's name.
const NEW: Duration = Duration::from_secs(5);

/// A provider that cannot be reached for so long may have taken its keys back.
const TRUSTED: Duration = Duration::from_secs(24 * 3_600);

/// What is known of the identity provider. Whoever keeps it calls [`Tokens::wanted`] and [`Tokens::learn`].
pub struct Tokens {
    issuer: Issuer,
    known: watch::Sender<Known>,
    wanted: Notify,
}

#[derive(Clone, Default)]
struct Known {
    keys: IssuerKeys,
    /// None: nothing has been heard of the provider yet.
    since: Option<Instant>,
}

/// Why it is not known who shows a token.
pub(crate) enum Unverified {
    Refused(TokenError),
    /// The provider has not been reached since this process began, or for a day.
    NoKeys,
}

impl Tokens {
    pub fn new(issuer: Issuer) -> Self {
        Self { issuer, known: watch::Sender::default(), wanted: Notify::new() }
    }

    /// Until somebody shows a token whose key is not known.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The provider's JWK set as it has come.
    pub fn learn(&self, jwks: &[u8]) -> Result<(), serde_json::Error> {
        let keys = self.issuer.keys(jwks)?;
        if keys.is_empty() {
            tracing::warn!("the identity provider publishes no key by which its tokens could be checked");
        }
        self.known.send_replace(Known { keys, since: Some(Instant::now()) });
        Ok(())
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<Principal, Unverified> {
        let mut changes = self.known.subscribe();
        let known = changes.borrow_and_update().clone();
        if known.since.is_some_and(|since| since.elapsed() > TRUSTED) {
            return Err(Unverified::NoKeys);
        }
        let verified = self.issuer.verify(token, &known.keys, Timestamp::now());
        let is_new = known.since.is_some_and(|since| since.elapsed() < NEW);
        if is_new || !matches!(verified, Err(TokenError::UnknownKey(_))) {
            return verified.map_err(Unverified::Refused);
        }
        self.wanted.notify_one();
        // In vain, it is refused by what is known.
        let _ = timeout(PATIENCE, changes.changed()).await;
        let known = changes.borrow().clone();
        if known.since.is_none() {
            return Err(Unverified::NoKeys);
        }
        self.issuer.verify(token, &known.keys, Timestamp::now()).map_err(Unverified::Refused)
    }
}
