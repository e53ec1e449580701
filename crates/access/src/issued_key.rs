//! A key that an administrator has given to somebody: whose it is, until when, and whether it still counts. Its secret is known to its holder
//! alone; here is only what proves it.

use std::fmt::Write;

use event::{Aggregate, Context, events};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::keyring::digest;
use crate::{Principal, PrincipalError, Role};

const DIGEST_CHARS: usize = 64;
/// Hexadecimal digits of a UUID.
const UUID_CHARS: usize = 32;

/// What a secret is recognised by: its SHA-256, in hexadecimal digits.
pub fn digest_of(secret: &str) -> String {
    digest(secret).iter().fold(String::with_capacity(DIGEST_CHARS), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The id of the key with this digest: no other can have it, and whoever shows the secret names its stream. A UUIDv8 (RFC 9562) of the digest's
/// beginning. None: it is no digest.
pub fn key_id_of(digest: &str) -> Option<Uuid> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digest.len() != DIGEST_CHARS || !digest.bytes().all(is_digit) {
        return None;
    }
    let bits = u128::from_str_radix(digest.get(..UUID_CHARS)?, 16).ok()?;
    Some(uuid::Builder::from_custom_bytes(bits.to_be_bytes()).into_uuid())
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyIssued {
    pub key_id: Uuid,
    /// The principal's.
    pub name: String,
    pub roles: Vec<Role>,
    /// For the role customer: which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Uuid>,
    /// See [`digest_of`].
    pub digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRevoked {
    pub reason: String,
}

events! {
    /// The events of a `key` stream.
    pub enum KeyEvent {
        KeyIssued = 1,
        KeyRevoked = 1,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedKey {
    pub issued: KeyIssued,
    pub is_revoked: bool,
}

#[derive(Debug, Clone)]
pub enum KeyCommand {
    Issue(KeyIssued),
    Revoke { reason: String },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    #[error("no such key was issued")]
    NotIssued,
    #[error("another key has this secret: make a new one")]
    AlreadyIssued,
    #[error(transparent)]
    Principal(#[from] PrincipalError),
    #[error(
        "a digest is the SHA-256 of the secret, in 64 hexadecimal digits, a to f small, and the key's id follows from it"
    )]
    Digest,
    #[error("it would have expired already")]
    Expired,
}

impl Aggregate for IssuedKey {
    const CATEGORY: &'static str = "key";
    type Event = KeyEvent;
    type Command = KeyCommand;
    type Refusal = KeyRefusal;

    fn evolve(state: Option<Self>, event: &KeyEvent) -> Option<Self> {
        match event {
            KeyEvent::KeyIssued(issued) => Some(Self { issued: issued.clone(), is_revoked: false }),
            KeyEvent::KeyRevoked(_) => Some(Self { is_revoked: true, ..state? }),
        }
    }

    fn decide(
        state: Option<&Self>,
        command: KeyCommand,
        context: &Context,
    ) -> Result<Vec<KeyEvent>, KeyRefusal> {
        match (state, command) {
            (None, KeyCommand::Issue(issued)) => {
                issued.principal()?;
                if key_id_of(&issued.digest) != Some(issued.key_id) {
                    return Err(KeyRefusal::Digest);
                }
                if issued.expires_at.is_some_and(|at| at <= context.now) {
                    return Err(KeyRefusal::Expired);
                }
                Ok(vec![issued.into()])
            }
            (Some(_), KeyCommand::Issue(_)) => Err(KeyRefusal::AlreadyIssued),
            (None, KeyCommand::Revoke { .. }) => Err(KeyRefusal::NotIssued),
            (Some(key), KeyCommand::Revoke { .. }) if key.is_revoked => Ok(vec![]),
            (Some(_), KeyCommand::Revoke { reason }) => Ok(vec![KeyRevoked { reason }.into()]),
        }
    }
}

impl KeyIssued {
    /// Who shows it.
    pub fn principal(&self) -> Result<Principal, PrincipalError> {
        Principal::of_key(&self.name, self.roles.clone(), self.customer_id)
    }
}

impl IssuedKey {
    /// Whether it still opens anything.
    pub fn counts_at(&self, now: Timestamp) -> bool {
        !self.is_revoked && self.issued.expires_at.is_none_or(|at| now < at)
    }
}

#[cfg(test)]
mod tests {
    use event::given::{context, given};

    use super::*;

    const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);

    fn issued() -> KeyIssued {
        KeyIssued {
            key_id: key_id_of(&digest_of("the secret of Ada Lund")).unwrap(),
            name: "ada".to_owned(),
            roles: vec![Role::Customer],
            customer_id: Some(ID),
            digest: digest_of("the secret of Ada Lund"),
            expires_at: Some(context().now + jiff::SignedDuration::from_secs(60)),
        }
    }

    fn revoke() -> KeyCommand {
        KeyCommand::Revoke { reason: "lost".to_owned() }
    }

    #[test]
    fn a_key_counts_until_it_is_revoked_or_has_expired() {
        let key = given::<IssuedKey>([]).when(KeyCommand::Issue(issued())).state().unwrap();
        let now = context().now;
        assert!(key.counts_at(now) && !key.counts_at(now + jiff::SignedDuration::from_secs(60)));
        let key = given::<IssuedKey>([issued().into()]).when(revoke()).state().unwrap();
        assert!(!key.counts_at(now));
        let revoked = KeyRevoked { reason: "lost".to_owned() };
        given::<IssuedKey>([issued().into(), revoked.into()]).when(revoke()).then([]);
        given::<IssuedKey>([]).when(revoke()).then_refused(&KeyRefusal::NotIssued);
        given::<IssuedKey>([issued().into()])
            .when(KeyCommand::Issue(issued()))
            .then_refused(&KeyRefusal::AlreadyIssued);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for (wrong, refusal) in [
            (KeyIssued { name: "Ada".to_owned(), ..issued() }, PrincipalError::Name.into()),
            (KeyIssued { roles: vec![], ..issued() }, PrincipalError::NoRole.into()),
            (KeyIssued { customer_id: None, ..issued() }, PrincipalError::Customer.into()),
            (KeyIssued { digest: "0".repeat(63), ..issued() }, KeyRefusal::Digest),
            (KeyIssued { digest: "A".repeat(64), ..issued() }, KeyRefusal::Digest),
            (KeyIssued { expires_at: Some(context().now), ..issued() }, KeyRefusal::Expired),
        ] {
            given::<IssuedKey>([]).when(KeyCommand::Issue(wrong)).then_refused(&refusal);
        }
    }

    /// As `printf '%s' abc | sha256sum` says.
    #[test]
    fn a_digest_is_what_everybody_computes() {
        assert_eq!(digest_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn events_keep_their_shape() {
        let revoked = KeyRevoked { reason: "lost".to_owned() };
        event::samples::check("samples/key", &[KeyEvent::from(issued()), revoked.into()]);
    }
}
