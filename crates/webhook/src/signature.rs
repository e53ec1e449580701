//! How an endpoint knows that it is us (Standard Webhooks 1.0.0, symmetric signatures).
//!
//! Secrets are kept nowhere: each follows from one signing key, the endpoint's id, and how often it was rotated.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use event::Personal;
use jiff::Timestamp;
use uuid::Uuid;

/// What is shorter can be guessed.
const KEY_CHARS_MIN: usize = 32;

/// The one secret of a deployment that all others follow from.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signing key has at least 32 characters; `openssl rand -base64 33` makes one")]
pub struct KeyTooShort;

impl SigningKey {
    pub fn new(secret: &str) -> Result<Self, KeyTooShort> {
        let is_long = secret.len() >= KEY_CHARS_MIN;
        is_long.then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))).ok_or(KeyTooShort)
    }

    /// As it is shown to the endpoint's owner.
    pub fn secret(&self, endpoint: Uuid, generation: u32) -> Personal<String> {
        Personal(format!("whsec_{}", BASE64_STANDARD.encode(self.derived(endpoint, generation))))
    }

    /// The header `webhook-signature`, by the secrets of these generations.
    pub(crate) fn sign(&self, endpoint: Uuid, generations: &[u32], message: &Message<'_>) -> String {
        let signed = |generation: &u32| signature(self.derived(endpoint, *generation).as_ref(), message);
        generations.iter().map(signed).collect::<Vec<_>>().join(" ")
    }

    fn derived(&self, endpoint: Uuid, generation: u32) -> hmac::Tag {
        hmac::sign(&self.0, format!("webhook {endpoint} {generation}").as_bytes())
    }
}

/// What is signed.
pub(crate) struct Message<'a> {
    pub(crate) id: &'a str,
    pub(crate) sent_at: Timestamp,
    pub(crate) body: &'a str,
}

fn signature(secret: &[u8], Message { id, sent_at, body }: &Message<'_>) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signed = hmac::sign(&key, format!("{id}.{}.{body}", sent_at.as_second()).as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the reference implementations (https://github.com/standard-webhooks/standard-webhooks, libraries).
    #[test]
    fn a_signature_is_what_everybody_computes() {
        let secret = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let sent_at = Timestamp::from_second(1_614_265_330).unwrap();
        let message = Message { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", sent_at, body: "{\"test\": 2432232314}" };
        assert_eq!(signature(&secret, &message), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_endpoint_and_each_rotation_has_a_secret_of_its_own() {
        let key = SigningKey::new("0123456789abcdef0123456789abcdef").unwrap();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let secrets = [key.secret(one, 1), key.secret(one, 2), key.secret(other, 1)];
        let texts = secrets.each_ref().map(|secret| secret.expose().clone());
        assert!(texts.iter().all(|text| text.starts_with("whsec_") && text.len() == 50), "{texts:?}");
        assert!(texts[0] != texts[1] && texts[0] != texts[2] && texts[1] != texts[2]);
        assert_eq!(key.secret(one, 1), secrets[0]);
        assert!(SigningKey::new("short").is_err());
        // What is shown is what signs.
        let shown = BASE64_STANDARD.decode(&texts[0]["whsec_".len()..]).unwrap();
        let message = Message { id: "m", sent_at: Timestamp::UNIX_EPOCH, body: "{}" };
        let both = key.sign(one, &[1, 2], &message);
        assert_eq!(both.split(' ').next(), Some(signature(&shown, &message).as_str()));
        assert_eq!(both.split(' ').count(), 2);
    }
}
