//! SCRAM, the client's side (RFC 5802, RFC 7677): proves that we know the password, and has the broker prove that it does.
//!
//! ```text
//! n,,n=user,r=nonce ──►  ◄── r=nonce+theirs,s=salt,i=iterations
//! c=biws,r=…,p=proof ──► ◄── v=signature (checked)
//! ```

use aws_lc_rs::digest::{self, digest};
use aws_lc_rs::{constant_time, hmac, pbkdf2, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::num::NonZeroU32;

use crate::Secret;

/// Without a limit a broker could keep us busy for hours. Kafka's default is 4,096, its maximum 16,384.
const ITERATIONS_MAX: u32 = 100_000;
const NONCE_BYTES: usize = 24;
/// No channel binding: base64 of `n,,`.
const NO_BINDING: &str = "c=biws";

#[derive(Clone, Copy)]
pub(crate) struct Hash {
    hmac: hmac::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
    digest: &'static digest::Algorithm,
    bytes: usize,
}

pub(crate) struct Scram {
    hash: Hash,
    password: Secret,
    nonce: String,
    /// Without the binding's header.
    first: String,
}

/// What the broker's last message has to be.
pub(crate) struct Expected(Vec<u8>);

/// Why the exchange cannot go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unproved(pub(crate) &'static str);

impl Hash {
    pub(crate) fn sha256() -> Self {
        let (hmac, pbkdf2) = (hmac::HMAC_SHA256, pbkdf2::PBKDF2_HMAC_SHA256);
        Self { hmac, pbkdf2, digest: &digest::SHA256, bytes: digest::SHA256_OUTPUT_LEN }
    }

    pub(crate) fn sha512() -> Self {
        let (hmac, pbkdf2) = (hmac::HMAC_SHA512, pbkdf2::PBKDF2_HMAC_SHA512);
        Self { hmac, pbkdf2, digest: &digest::SHA512, bytes: digest::SHA512_OUTPUT_LEN }
    }

    fn sign(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(self.hmac, key), message).as_ref().to_vec()
    }
}

impl Scram {
    pub(crate) fn new(hash: Hash, username: &str, password: &Secret) -> Result<Self, Unproved> {
        let mut nonce = [0; NONCE_BYTES];
        rand::fill(&mut nonce).map_err(|_| Unproved("this system gives no random numbers"))?;
        Ok(Self::with_nonce(hash, username, password, BASE64.encode(nonce)))
    }

    fn with_nonce(hash: Hash, username: &str, password: &Secret, nonce: String) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        let first = format!("n={username},r={nonce}");
        Self { hash, password: password.clone(), nonce, first }
    }

    pub(crate) fn first_message(&self) -> String {
        format!("n,,{}", self.first)
    }

    /// The answer to the broker's challenge, and what the broker has to say to it.
    pub(crate) fn answer(self, challenge: &[u8]) -> Result<(String, Expected), Unproved> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| Unproved("the challenge is not text"))?;
        let field = |name| challenge.split(',').find_map(|field| field.strip_prefix(name));
        let nonce =
            field("r=").filter(|nonce| nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len());
        let nonce = nonce.ok_or(Unproved("the challenge answers another login"))?;
        let salt = field("s=").and_then(|salt| BASE64.decode(salt).ok());
        let salt = salt.ok_or(Unproved("the challenge has no salt"))?;
        let iterations = field("i=").and_then(|iterations| iterations.parse::<NonZeroU32>().ok());
        let iterations = iterations.filter(|iterations| iterations.get() <= ITERATIONS_MAX);
        let iterations = iterations.ok_or(Unproved("the challenge's iterations are none, or too many"))?;

        let hash = self.hash;
        let mut salted = vec![0; hash.bytes];
        pbkdf2::derive(hash.pbkdf2, iterations, &salt, self.password.expose().as_bytes(), &mut salted);
        let last = format!("{NO_BINDING},r={nonce}");
        let exchange = format!("{},{challenge},{last}", self.first);
        let client_key = hash.sign(&salted, b"Client Key");
        let stored_key = digest(hash.digest, &client_key);
        let signature = hash.sign(stored_key.as_ref(), exchange.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, signed)| key ^ signed).collect();
        let server_key = hash.sign(&salted, b"Server Key");
        let expected = Expected(hash.sign(&server_key, exchange.as_bytes()));
        Ok((format!("{last},p={}", BASE64.encode(proof)), expected))
    }
}

impl Expected {
    pub(crate) fn check(&self, last: &[u8]) -> Result<(), Unproved> {
        let text = std::str::from_utf8(last).unwrap_or_default();
        let signature = text.split(',').find_map(|field| field.strip_prefix("v="));
        let signature = signature.and_then(|signature| BASE64.decode(signature).ok());
        let proved =
            signature.is_some_and(|given| constant_time::verify_slices_are_equal(&given, &self.0).is_ok());
        if proved { Ok(()) } else { Err(Unproved("the broker did not prove that it knows the password")) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Hash, Scram, Unproved};

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const CHALLENGE: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn scram(password: &str) -> Scram {
        Scram::with_nonce(Hash::sha256(), "user", &password.into(), NONCE.to_owned())
    }

    /// RFC 7677, section 3.
    #[test]
    fn exchange_is_that_of_the_standard() {
        let scram = scram("pencil");
        assert_eq!(scram.first_message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let (answer, expected) = scram.answer(CHALLENGE).unwrap();
        assert_eq!(
            answer,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(expected.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
    }

    #[test]
    fn broker_that_does_not_know_the_password_is_refused() {
        let (_, expected) = scram("another").answer(CHALLENGE).unwrap();
        for last in [&b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="[..], b"v=", b"", b"e=other-error"] {
            assert!(expected.check(last).is_err());
        }
    }

    #[test]
    fn challenge_that_is_foreign_or_malformed_is_refused() {
        for (challenge, reason) in [
            (&b"r=rOprNGfwEbeRWgbNEkqO,s=c2FsdA==,i=4096"[..], "another login"),
            (b"r=another,s=c2FsdA==,i=4096", "another login"),
            (b"r=rOprNGfwEbeRWgbNEkqOx,i=4096", "no salt"),
            (b"r=rOprNGfwEbeRWgbNEkqOx,s=c2FsdA==,i=0", "iterations"),
            (b"r=rOprNGfwEbeRWgbNEkqOx,s=c2FsdA==,i=1000000000", "iterations"),
            (b"\xff", "not text"),
        ] {
            let Err(Unproved(why)) = scram("pencil").answer(challenge) else { panic!("{reason}: taken") };
            assert!(why.contains(reason), "{why}");
        }
    }

    #[test]
    fn username_cannot_leave_its_field() {
        let scram = Scram::with_nonce(Hash::sha512(), "a,r=b", &"x".into(), NONCE.to_owned());
        assert_eq!(scram.first_message(), format!("n,,n=a=2Cr=3Db,r={NONCE}"));
    }
}
