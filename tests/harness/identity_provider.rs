//! An identity provider as the API meets it: its discovery document, its keys, and tokens that it has signed.

use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

pub(crate) struct IdentityProvider {
    pub(crate) issuer: String,
    /// The latest signs.
    keys: Arc<Mutex<Vec<Key>>>,
    server: JoinHandle<()>,
}

impl IdentityProvider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/realm", listener.local_addr().unwrap());
        let keys = Arc::new(Mutex::new(Vec::new()));
        let (published, found) =
            (Arc::clone(&keys), json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") }));
        let jwks = async move || {
            let jwks: Vec<Value> = published.lock().unwrap().iter().map(jwk).collect();
            Json(json!({ "keys": jwks }))
        };
        let router = Router::new()
            .route("/realm/.well-known/openid-configuration", get(async move || Json(found)))
            .route("/realm/keys", get(jwks));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let provider = Self { issuer, keys, server };
        provider.rotate();
        provider
    }

    /// From now on it signs by another key.
    pub(crate) fn rotate(&self) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let mut keys = self.keys.lock().unwrap();
        let id = format!("key-{}", keys.len());
        keys.push(Key { id, pair });
    }

    /// A token for this service, valid for a minute, with these claims besides.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let expires = jiff::Timestamp::now().as_second() + 60;
        let mut all = json!({ "iss": self.issuer, "aud": "lunaria", "exp": expires });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let keys = self.keys.lock().unwrap();
        let key = keys.last().unwrap();
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": key.id });
        let [header, all] = [header, all].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let text = format!("{header}.{all}");
        let signature = key.pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn jwk(key: &Key) -> Value {
    let (x, y) = key.pair.public_key().as_ref()[1..].split_at(32);
    let [x, y] = [x, y].map(|half| BASE64_URL_SAFE_NO_PAD.encode(half));
    json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": key.id, "x": x, "y": y })
}
