//! Tokens of an identity provider (OpenID Connect): who it says that somebody is, once its signature, its name and ours have been
//! checked (RFC 7519, RFC 8725).

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use uuid::Uuid;

use crate::{Principal, PrincipalError, Role};

/// What goes into a header.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Clocks are never the same.
const LEEWAY_SECONDS: i64 = 30;
/// The signature of an access token, or of an ID token: nothing else that the provider signs.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    #[error(
        "{0} is no algorithm for tokens here; there are RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA"
    )]
    Algorithm(String),
    #[error("{0} is no JSON pointer to a claim, such as /roles")]
    Pointer(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("it is no signed token: {0}")]
    Malformed(String),
    #[error("it is not signed by the algorithm that is agreed on")]
    Algorithm,
    #[error("the identity provider has no key {0}")]
    UnknownKey(String),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Principal(#[from] PrincipalError),
}

/// An identity provider, and what its tokens have to say. The algorithm is agreed on beforehand, never the token's own choice.
pub struct Issuer {
    validation: Validation,
    algorithm: Algorithm,
    roles: String,
    customer: String,
}

impl Issuer {
    /// `roles` and `customer` are JSON pointers to the claims that name them.
    pub fn new(
        issuer: &str,
        audience: &str,
        algorithm: &str,
        roles: &str,
        customer: &str,
    ) -> Result<Self, IssuerError> {
        let unusable = || IssuerError::Algorithm(algorithm.to_owned());
        let parsed: Algorithm = algorithm.parse().map_err(|_| unusable())?;
        // Whoever checks a secret could make tokens, too.
        if matches!(parsed, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            return Err(unusable());
        }
        if let Some(pointer) = [roles, customer].into_iter().find(|pointer| !pointer.starts_with('/')) {
            return Err(IssuerError::Pointer(pointer.to_owned()));
        }
        let mut validation = Validation::new(parsed);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        // What is not required is not checked where it is missing.
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // By the caller's clock, in `valid_at`.
        validation.validate_exp = false;
        Ok(Self { validation, algorithm: parsed, roles: roles.to_owned(), customer: customer.to_owned() })
    }

    /// The keys of a JWK set (RFC 7517) by which tokens are checked; those for other purposes are left out.
    pub fn keys(&self, jwks: &[u8]) -> Result<IssuerKeys, serde_json::Error> {
        let set: JwkSet = serde_json::from_slice(jwks)?;
        let usable = |jwk: &Jwk| {
            let common = &jwk.common;
            let is_for_signatures = !matches!(common.public_key_use, Some(PublicKeyUse::Encryption));
            let name = common.key_algorithm.map(|algorithm| algorithm.to_string());
            let is_of_algorithm = name.is_none_or(|name| name.parse() == Ok(self.algorithm));
            let key =
                DecodingKey::from_jwk(jwk).ok().filter(|key| key.family() == self.algorithm.family())?;
            common.key_id.clone().filter(|_| is_for_signatures && is_of_algorithm).map(|id| (id, key))
        };
        Ok(IssuerKeys(set.keys.iter().filter_map(usable).collect()))
    }

    /// Who shows it.
    pub fn verify(&self, token: &str, keys: &IssuerKeys, now: Timestamp) -> Result<Principal, TokenError> {
        let malformed = |error: &dyn std::fmt::Display| TokenError::Malformed(error.to_string());
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed(format!("it has more than {TOKEN_BYTES_MAX} bytes")));
        }
        let header = decode_header(token).map_err(|error| malformed(&error))?;
        if header.alg != self.algorithm {
            return Err(TokenError::Algorithm);
        }
        if header.crit.is_some() {
            return Err(TokenError::Refused("it demands what is not understood here (crit)".to_owned()));
        }
        if header.typ.is_some_and(|typ| !TYPES.contains(&typ.to_lowercase().as_str())) {
            return Err(TokenError::Refused("it is no access token (typ)".to_owned()));
        }
        let id = header.kid.ok_or_else(|| TokenError::Malformed("it names no key (kid)".to_owned()))?;
        let key = keys.0.get(&id).ok_or(TokenError::UnknownKey(id))?;
        let claims: Value =
            decode(token, key, &self.validation).map_err(|error| refused(error.kind()))?.claims;
        // The signature covers the bytes: no two readers may read two things into them.
        let payload = token.split('.').nth(1).unwrap_or_default();
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).map_err(|error| malformed(&error))?;
        event::json::check(&payload).map_err(|error| malformed(&error))?;
        valid_at(&claims, now)?;
        self.principal(&claims)
    }

    fn principal(&self, claims: &Value) -> Result<Principal, TokenError> {
        let subject = claims["sub"].as_str().unwrap_or_default();
        let roles = match claims.pointer(&self.roles) {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(names)) => names.split(' ').collect(),
            _ => Vec::new(),
        };
        // The provider knows other roles, too.
        let roles: Vec<Role> = roles.into_iter().filter_map(|name| name.parse().ok()).collect();
        let customer: Option<Uuid> = match claims.pointer(&self.customer) {
            Some(Value::String(id)) if roles.contains(&Role::Customer) => {
                let unreadable = |_| TokenError::Refused(format!("{} is no customer's id", self.customer));
                Some(id.parse().map_err(unreadable)?)
            }
            _ => None,
        };
        Ok(Principal::of_token(subject, roles, customer)?)
    }
}

/// The keys of an identity provider, by their ids.
#[derive(Clone, Default)]
pub struct IssuerKeys(HashMap<String, DecodingKey>);

impl IssuerKeys {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// RFC 7519, sections 4.1.4 and 4.1.5.
fn valid_at(claims: &Value, now: Timestamp) -> Result<(), TokenError> {
    let refused = |reason: &str| Err(TokenError::Refused(reason.to_owned()));
    let seconds = |name: &str| claims.get(name).map(Value::as_i64);
    let now = now.as_second();
    match (seconds("exp"), seconds("nbf")) {
        (None | Some(None), _) | (_, Some(None)) => refused("its times are no whole seconds (exp, nbf)"),
        (Some(Some(exp)), _) if now >= exp.saturating_add(LEEWAY_SECONDS) => refused("it has expired (exp)"),
        (_, Some(Some(nbf))) if now < nbf.saturating_sub(LEEWAY_SECONDS) => {
            refused("it is not valid yet (nbf)")
        }
        _ => Ok(()),
    }
}

fn refused(error: &ErrorKind) -> TokenError {
    TokenError::Refused(match error {
        ErrorKind::InvalidSignature => "the signature is not the identity provider's".to_owned(),
        ErrorKind::InvalidIssuer => "it is another identity provider's (iss)".to_owned(),
        ErrorKind::InvalidAudience => "it is not for this service (aud)".to_owned(),
        ErrorKind::MissingRequiredClaim(claim) => format!("it says nothing of {claim}"),
        _ => return TokenError::Malformed("its claims cannot be read".to_owned()),
    })
}

#[cfg(test)]
mod tests;
