//! Each thing that can be wrong with a token, one at a time (reference: RFC 8725; Keats/jsonwebtoken#493).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use super::*;

const ISSUER: &str = "https://id.example";
const CUSTOMER: &str = "0198c1f2-0000-7000-8000-000000000001";

struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// As a provider publishes it.
    fn jwk(&self, id: &str) -> Value {
        let point = self.0.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": id,
            "x": BASE64_URL_SAFE_NO_PAD.encode(x), "y": BASE64_URL_SAFE_NO_PAD.encode(y),
        })
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let text =
            format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
        let signature = self.0.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Any.
const NOW: i64 = 1_790_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn issuer() -> Issuer {
    Issuer::new(ISSUER, "lunaria", "ES256", "/realm/roles", "/customer_id").unwrap()
}

fn header() -> Value {
    json!({ "alg": "ES256", "typ": "JWT", "kid": "k1" })
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": ["other", "lunaria"], "sub": "ada", "exp": NOW + 60,
        "realm": { "roles": ["offline_access", "operator"] },
    })
}

fn with(mut of: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(of.as_object_mut().unwrap().remove(name)),
            value => of[name] = value.clone(),
        }
    }
    of
}

struct Bench {
    issuer: Issuer,
    signer: Signer,
    keys: IssuerKeys,
}

impl Bench {
    fn new() -> Self {
        let (issuer, signer) = (issuer(), Signer::new());
        let keys = issuer.keys(json!({ "keys": [signer.jwk("k1")] }).to_string().as_bytes()).unwrap();
        Self { issuer, signer, keys }
    }

    fn verify(&self, header: &Value, claims: &Value) -> Result<Principal, TokenError> {
        self.issuer.verify(&self.signer.sign(&header.to_string(), &claims.to_string()), &self.keys, now())
    }
}

#[test]
fn a_token_says_who_somebody_is_and_what_they_may_do() {
    let bench = Bench::new();
    let principal = bench.verify(&header(), &claims()).unwrap();
    assert_eq!((principal.actor(), principal.roles()), ("oidc:ada", &[Role::Operator][..]));
    let customer = json!({ "realm": { "roles": "customer other" }, "customer_id": CUSTOMER });
    let principal = bench.verify(&header(), &with(claims(), &customer)).unwrap();
    assert_eq!(principal.customer().unwrap().to_string(), CUSTOMER);
    // Clocks are never the same.
    for edge in [json!({ "exp": NOW - 29 }), json!({ "nbf": NOW + 30 })] {
        assert!(bench.verify(&header(), &with(claims(), &edge)).is_ok(), "{edge}");
    }
    // Whoever is no customer is none, whatever else is said of them.
    let staff = with(claims(), &json!({ "customer_id": CUSTOMER }));
    assert_eq!(bench.verify(&header(), &staff).unwrap().customer(), None);
}

#[test]
fn whatever_is_wrong_with_its_claims_it_is_refused() {
    let bench = Bench::new();
    for wrong in [
        json!({ "iss": null }),
        json!({ "iss": "https://id.example/" }),
        json!({ "aud": null }),
        json!({ "aud": "other" }),
        json!({ "aud": [] }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": "a b" }),
        json!({ "sub": 7 }),
        json!({ "exp": null }),
        json!({ "exp": NOW - 30 }),
        json!({ "exp": "soon" }),
        json!({ "exp": 1e300 }),
        json!({ "nbf": "now" }),
        json!({ "nbf": NOW + 31 }),
        json!({ "realm": { "roles": [] } }),
        json!({ "realm": { "roles": ["king"] } }),
        json!({ "realm": null }),
        json!({ "realm": { "roles": ["customer"] } }),
        json!({ "realm": { "roles": ["customer"] }, "customer_id": "ada" }),
        json!({ "realm": { "roles": ["customer", "operator"] }, "customer_id": CUSTOMER }),
    ] {
        let verified = bench.verify(&header(), &with(claims(), &wrong));
        assert!(verified.is_err(), "{wrong}: {verified:?}");
    }
    // A claim twice: which one counts?
    let twice = claims().to_string().replacen('{', "{\"sub\":\"bo\",", 1);
    let verified = bench.issuer.verify(&bench.signer.sign(&header().to_string(), &twice), &bench.keys, now());
    assert!(verified.is_err(), "{verified:?}");
}

#[test]
fn whatever_is_wrong_with_its_header_it_is_refused() {
    let bench = Bench::new();
    for wrong in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "ES384" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": null }),
        json!({ "kid": null }),
        json!({ "kid": "k2" }),
        json!({ "kid": "../k1" }),
        json!({ "typ": "logout+jwt" }),
        json!({ "crit": ["exp"] }),
    ] {
        let verified = bench.verify(&with(header(), &wrong), &claims());
        assert!(verified.is_err(), "{wrong}: {verified:?}");
    }
    let unknown = bench.verify(&with(header(), &json!({ "kid": "k2" })), &claims());
    assert_eq!(unknown, Err(TokenError::UnknownKey("k2".to_owned())));
}

#[test]
fn whatever_is_changed_in_it_it_is_refused() {
    let bench = Bench::new();
    let token = bench.signer.sign(&header().to_string(), &claims().to_string());
    assert!(bench.issuer.verify(&token, &bench.keys, now()).is_ok());
    // Each character, but for those bits of a last one that mean nothing.
    for at in 0..token.len() - 1 {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(bench.issuer.verify(&changed, &bench.keys, now()).is_err(), "at {at}: {changed}");
    }
    let body = token.rsplit_once('.').unwrap().0;
    for other in [format!("{body}."), body.to_owned(), format!("{token}."), String::new(), "a".repeat(9_000)]
    {
        assert!(bench.issuer.verify(&other, &bench.keys, now()).is_err(), "{other}");
    }
    let stranger = Signer::new().sign(&header().to_string(), &claims().to_string());
    let verified = bench.issuer.verify(&stranger, &bench.keys, now());
    assert_eq!(verified, Err(TokenError::Refused("the signature is not the identity provider's".to_owned())));
}

/// The public key, taken for the secret of a symmetric algorithm, makes no token.
#[test]
fn a_public_key_is_no_secret() {
    let bench = Bench::new();
    let header = with(header(), &json!({ "alg": "HS256" })).to_string();
    let body = bench.signer.sign(&header, &claims().to_string());
    let body = body.rsplit_once('.').unwrap().0;
    let secret = bench.signer.0.public_key().as_ref();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    let signature = aws_lc_rs::hmac::sign(&key, body.as_bytes());
    let token = format!("{body}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
    assert_eq!(bench.issuer.verify(&token, &bench.keys, now()), Err(TokenError::Algorithm));
    assert!(Issuer::new(ISSUER, "lunaria", "HS256", "/roles", "/customer_id").is_err());
    assert!(Issuer::new(ISSUER, "lunaria", "none", "/roles", "/customer_id").is_err());
    assert!(Issuer::new(ISSUER, "lunaria", "ES256", "roles", "/customer_id").is_err());
}

#[test]
fn keys_for_something_else_are_left_out() {
    let (issuer, signer) = (issuer(), Signer::new());
    let without_id = with(signer.jwk("k"), &json!({ "kid": null }));
    let jwks = json!({ "keys": [
        signer.jwk("k1"),
        with(signer.jwk("k2"), &json!({ "use": "enc" })),
        with(signer.jwk("k3"), &json!({ "alg": "ES384" })),
        without_id,
        { "kty": "oct", "kid": "k4", "k": "c2VjcmV0" },
        { "kty": "RSA", "kid": "k5", "n": "AQAB", "e": "AQAB" },
    ]});
    let keys = issuer.keys(jwks.to_string().as_bytes()).unwrap();
    assert_eq!(keys.0.keys().collect::<Vec<_>>(), ["k1"]);
    assert!(issuer.keys(b"{}").is_err());
}
