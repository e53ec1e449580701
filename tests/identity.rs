//! Who an identity provider says that somebody is.

use reqwest::StatusCode;
use serde_json::json;
use testbed::eventually;
use uuid::Uuid;

use crate::harness::{IdentityProvider, LUNARIA, Platform, Transport};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_what_its_roles_may_and_new_keys_are_learnt() {
    let provider = IdentityProvider::start().await;
    let issuer = format!("api.oidc.issuer={}", provider.issuer);
    let settings: &'static [&'static str] = Vec::leak(vec![
        String::leak(issuer),
        "api.oidc.audience=lunaria",
        "api.oidc.algorithm=ES256",
        "api.oidc.roles_claim=/realm_access/roles",
    ]);
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let bank = platform.client();
    let operator = json!({ "sub": "auth0|7", "realm_access": { "roles": ["operator", "offline_access"] } });
    let with = |token: &str| platform.client().with_key(token);
    assert_eq!(with(&provider.token(&operator)).get("/v1/cases").await.0, StatusCode::OK);
    assert_eq!(with(&provider.token(&operator)).get("/v1/keys").await.0, StatusCode::FORBIDDEN);
    let (status, problem) = with(&provider.token(&json!({ "sub": "nobody" }))).get("/v1/cases").await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("unauthorized")));
    let others = json!({ "sub": "auth0|7", "aud": "another", "realm_access": { "roles": ["operator"] } });
    let (status, problem) = with(&provider.token(&others)).get("/v1/cases").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(problem["detail"].as_str().unwrap().contains("aud"), "{problem}");

    // A customer, whom the provider knows by the id that we have given them.
    let (_, ada) = bank.post("/v1/customers", json!({ "name": "Ada Lund" })).await;
    let open = json!({ "customer_id": ada["customer_id"], "currency": "DKK" });
    let (_, account) = bank.post("/v1/accounts", open).await;
    let customer = json!({
        "sub": "ada", "realm_access": { "roles": ["customer"] }, "customer_id": ada["customer_id"],
    });
    let ada = with(&provider.token(&customer));
    let path = format!("/v1/accounts/{}", account["account_id"].as_str().unwrap());
    assert_eq!(ada.get(&path).await.0, StatusCode::OK);
    let unowned = bank.account(100).await;
    assert_eq!(ada.get(&format!("/v1/accounts/{unowned}")).await.0, StatusCode::NOT_FOUND);

    // The keys are new enough not to be asked for once more; after a while, they are.
    provider.rotate();
    let rotated = with(&provider.token(&operator));
    eventually("the new key is learnt", async || {
        (rotated.get("/v1/cases").await.0 == StatusCode::OK).then_some(())
    })
    .await;
    // What was signed by the one before is still taken, and the events name whoever has asked.
    let service = json!({ "sub": "checkout", "realm_access": { "roles": "service" } });
    let (status, opened) = with(&provider.token(&service))
        .post("/v1/accounts", json!({ "owner_name": "Bo Berg", "currency": "DKK" }))
        .await;
    assert_eq!(status, StatusCode::CREATED);
    let opened: Uuid = opened["account_id"].as_str().unwrap().parse().unwrap();
    let (_, story) = bank.get(&format!("/v1/streams/account-{opened}/events")).await;
    assert_eq!(story["events"][0]["metadata"]["actor"], "oidc:checkout");
    platform.stop().await;
}
