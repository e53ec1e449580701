//! Customers: what is theirs they see and do, and of everything else they cannot even tell whether it is there.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::eventually;
use uuid::Uuid;

use crate::harness::{Client, Platform, Transport};

/// A customer with something of everything.
struct Somebody {
    client: Client,
    customer: Uuid,
    account: Uuid,
    /// By the path that names it.
    things: BTreeMap<&'static str, Uuid>,
}

fn id(answer: &Value, field: &str) -> Uuid {
    answer[field].as_str().unwrap_or_else(|| panic!("{answer} has no {field}")).parse().unwrap()
}

async fn created(client: &Client, path: &str, body: Value) -> Value {
    let (status, answer) = client.post(path, body).await;
    assert_eq!(status, StatusCode::CREATED, "{path}: {answer}");
    answer
}

/// A customer, and a client with a key of theirs.
async fn customer(bank: &Client, name: &str) -> (Client, Uuid) {
    let customer = id(&created(bank, "/v1/customers", json!({ "name": name })).await, "customer_id");
    let secret = format!("the secret of {name}").replace(' ', "-");
    let issue = json!({
        "name": name.split(' ').next().unwrap().to_lowercase(), "roles": ["customer"],
        "customer_id": customer, "secret_sha256": access::digest_of(&secret),
    });
    created(bank, "/v1/keys", issue).await;
    (bank.clone().with_key(&secret), customer)
}

async fn account(bank: &Client, customer: Uuid) -> Uuid {
    let open = json!({ "customer_id": customer, "currency": "DKK" });
    let account = id(&created(bank, "/v1/accounts", open).await, "account_id");
    let deposit = json!({ "amount": { "amount": "100000", "currency": "DKK" } });
    created(bank, &format!("/v1/accounts/{account}/deposits"), deposit).await;
    account
}

impl Somebody {
    async fn with_everything(platform: &Platform, name: &str) -> Self {
        let bank = platform.client();
        let (client, customer) = customer(&bank, name).await;
        let account = account(&bank, customer).await;
        let card = bank.card(account).await;
        let transfer = client.pay(account, 700).await;
        bank.until(transfer, "succeeded").await;
        let order = json!({
            "card_id": card, "amount": "300", "currency": "DKK", "deliver_to": format!("{}/iso8583", platform.card_url),
        });
        bank.pay_by_card(order).await;
        let paid = bank.until_card(card, "captured", 1).await.remove(0);
        let (_, document) = bank.get(&format!("/v1/accounts/{account}")).await;
        bank.order_payment(bank.incoming_order(
            &platform.adapter_url,
            document["iban"].as_str().unwrap(),
            500,
        ))
        .await;
        let incoming = eventually("the payment has come", async || {
            let path = format!("/v1/incoming-payments?status=credited&account={account}");
            let (_, list) = bank.get(&path).await;
            list["incoming_payments"].as_array()?.first().cloned()
        })
        .await;
        let things = BTreeMap::from([
            ("customers", customer),
            ("accounts", account),
            ("transfers", transfer),
            ("cards", card),
            ("card-authorisations", id(&paid, "authorisation_id")),
            ("incoming-payments", id(&incoming, "payment_id")),
        ]);
        Self { client, customer, account, things }
    }

    async fn ask(&self, method: &Method, path: &str) -> (StatusCode, Value) {
        let request = self.client.request(method.clone(), path);
        let request = request.header("Idempotency-Key", Uuid::now_v7().to_string());
        let body = if path.ends_with("/recall") { json!({ "reason_code": "DUPL" }) } else { json!({}) };
        let answer = request.json(&body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }
}

/// Every operation of the document that customers have, with their own things, with another's, and with what is not there.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_customers_is_not_there() {
    let platform = Platform::start(Transport::Embedded).await;
    let ada = Somebody::with_everything(&platform, "Ada Lund").await;
    let bo = Somebody::with_everything(&platform, "Bo Berg").await;
    let (_, document) = ada.client.get("/openapi.json").await;
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let roles = operation["security"][0]["key"].as_array();
            let is_theirs = roles.into_iter().flatten().any(|role| role == "customer");
            if !is_theirs || !path.contains("{id}") {
                continue;
            }
            let method: Method = method.to_uppercase().parse().unwrap();
            let kind = path.split('/').nth(2).unwrap();
            let query = if path.ends_with("/statement") { "?from=2026-01-01T00:00:00Z" } else { "" };
            let with = |id: Uuid| format!("{}{query}", path.replace("{id}", &id.to_string()));
            let theirs = bo.ask(&method, &with(ada.things[kind])).await;
            let nobodys = bo.ask(&method, &with(Uuid::now_v7())).await;
            assert_eq!(theirs.0, StatusCode::NOT_FOUND, "{method} {path}: {}", theirs.1);
            assert_eq!(theirs, nobodys, "{method} {path}");
            let own = bo.ask(&method, &with(bo.things[kind])).await;
            let refused = [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED];
            assert!(!refused.contains(&own.0) && !own.0.is_server_error(), "{method} {path}: {}", own.1);
            asked += 1;
        }
    }
    assert!(asked >= 12, "{asked}");
    // Nothing has come of it for Ada.
    assert_eq!(ada.client.balances(ada.account).await, ("99500".into(), "0".into(), "99500".into()));
    assert_eq!(ada.client.get(&format!("/v1/cards/{}", ada.things["cards"])).await.1["status"], "active");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_customers_what_is_theirs() {
    let platform = Platform::start(Transport::Embedded).await;
    let ada = Somebody::with_everything(&platform, "Ada Lund").await;
    let bo = Somebody::with_everything(&platform, "Bo Berg").await;
    for (kind, field, of) in [
        ("transfers", "transfers", "transfer_id"),
        ("card-authorisations", "card_authorisations", "authorisation_id"),
        ("incoming-payments", "incoming_payments", "payment_id"),
    ] {
        let listed = async |client: &Client, query: &str| {
            let (status, list) = client.get(&format!("/v1/{kind}{query}")).await;
            assert_eq!(status, StatusCode::OK, "{list}");
            list[field].as_array().unwrap().iter().map(|row| id(row, of)).collect::<Vec<_>>()
        };
        assert_eq!(listed(&ada.client, "").await, [ada.things[kind]], "{kind}");
        assert_eq!(listed(&bo.client, &format!("?account={}", bo.account)).await, [bo.things[kind]]);
        assert!(listed(&bo.client, &format!("?account={}", ada.account)).await.is_empty());
        assert_eq!(listed(&platform.client(), "").await.len(), 2);
    }
    let (_, accounts) = ada.client.get(&format!("/v1/customers/{}/accounts", ada.customer)).await;
    assert_eq!(id(&accounts["accounts"][0], "account_id"), ada.account);
    assert_eq!(accounts["accounts"][0]["balances"]["posted"]["amount"], "99500");
    // With a second account, the lists are both's, still the newest first.
    let second = account(&platform.client(), ada.customer).await;
    let transfer = ada.client.pay_to(second, json!({ "account_id": bo.account }), 100).await;
    let path = format!("/v1/transfers?status=succeeded&account={second}");
    eventually("the second transfer is listed", async || {
        let (_, list) = ada.client.get(&path).await;
        (list["transfers"].as_array()?.len() == 1).then_some(())
    })
    .await;
    let (_, list) = ada.client.get("/v1/transfers?limit=1").await;
    assert_eq!(id(&list["transfers"][0], "transfer_id"), transfer);
    // What has stood as it does since before then: not what has changed at that very moment, or later.
    let changed_at = list["transfers"][0]["changed_at"].as_str().unwrap();
    let (_, older) = ada.client.get(&format!("/v1/transfers?changed_before={changed_at}")).await;
    let older: Vec<Uuid> =
        older["transfers"].as_array().unwrap().iter().map(|row| id(row, "transfer_id")).collect();
    assert_eq!(older, [ada.things["transfers"]]);
    let path = format!("/v1/transfers?limit=1&cursor={}", list["next_cursor"].as_str().unwrap());
    let (_, list) = ada.client.get(&path).await;
    assert_eq!(id(&list["transfers"][0], "transfer_id"), ada.things["transfers"]);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_pays_from_another_customers_account() {
    let platform = Platform::start(Transport::Embedded).await;
    let bank = platform.client();
    let (ada, ada_id) = customer(&bank, "Ada Lund").await;
    let (bo, bo_id) = customer(&bank, "Bo Berg").await;
    let (from, to) = (account(&bank, ada_id).await, account(&bank, bo_id).await);
    let pay = |from: Uuid, to: Uuid| json!({ "from_account": from, "to": { "account_id": to }, "amount": { "amount": "100", "currency": "DKK" } });
    for to in [to, from] {
        let theirs = bo.post("/v1/transfers", pay(from, to)).await;
        let nobodys = bo.post("/v1/transfers", pay(Uuid::now_v7(), to)).await;
        assert_eq!((theirs.0, &theirs.1["code"]), (StatusCode::NOT_FOUND, &json!("account-unknown")));
        assert_eq!(theirs, nobodys);
    }
    assert_eq!(bank.balances(from).await.0, "100000");
    // From their own it goes to anybody, and the events name whoever has asked.
    let transfer = ada.pay_to(from, json!({ "account_id": to }), 100).await;
    let (_, story) = bank.get(&format!("/v1/transfers/{transfer}/events")).await;
    assert_eq!(story["events"][0]["metadata"]["actor"], format!("customer:{ada_id}"));
    // Accounts of nobody who is registered are no customer's.
    let unowned = bank.account(1_000).await;
    assert_eq!(ada.get(&format!("/v1/accounts/{unowned}")).await.0, StatusCode::NOT_FOUND);
    for path in
        ["/v1/events?correlation_id=00000000-0000-0000-0000-000000000000", "/v1/customers", "/v1/keys"]
    {
        assert_eq!(ada.get(path).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_are_found_by_words_of_their_names() {
    let platform = Platform::start(Transport::Embedded).await;
    let bank = platform.client();
    for name in ["Ada Lund", "Bo Lundberg", "Søren O’Neill & Sønner", "Østergaard A/S", "Bo Bo 7-Eleven"]
    {
        created(&bank, "/v1/customers", json!({ "name": name })).await;
    }
    let renamed = created(&bank, "/v1/customers", json!({ "name": "Cy Holm" })).await;
    let path = format!("/v1/customers/{}/name", id(&renamed, "customer_id"));
    let (status, renamed) = bank.post(&path, json!({ "name": "Cy Lund" })).await;
    assert_eq!((status, &renamed["version"]), (StatusCode::OK, &json!(2)));
    let found = async |words: &str| {
        let (_, list) = bank
            .request(Method::GET, "/v1/customers")
            .query(&[("q", words)])
            .send()
            .await
            .map_or_else(|error| panic!("{error}"), |answer| (answer.status(), answer.json::<Value>()));
        let list = list.await.unwrap();
        list["customers"]
            .as_array()
            .map(|rows| rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    eventually("all are listed", async || (found("lund").await?.len() == 3).then_some(())).await;
    assert_eq!(found("LUND").await.unwrap(), ["Cy Lund", "Bo Lundberg", "Ada Lund"]);
    assert_eq!(found("lund ada").await.unwrap(), ["Ada Lund"]);
    assert_eq!(found("o'neill søn").await.unwrap(), ["Søren O’Neill & Sønner"]);
    assert_eq!(found("østergaard a/s").await.unwrap(), ["Østergaard A/S"]);
    assert_eq!(found("ØSTER").await.unwrap(), ["Østergaard A/S"]);
    assert_eq!(found("7-eleven").await.unwrap(), ["Bo Bo 7-Eleven"]);
    assert_eq!(found("holm").await.unwrap(), Vec::<String>::new());
    assert_eq!(found("'&|!").await.unwrap(), Vec::<String>::new(), "no words");
    assert_eq!(found(&"a".repeat(141)).await, None, "too long");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_opens_nothing() {
    let platform = Platform::start(Transport::Embedded).await;
    let bank = platform.client();
    let (ada, customer) = customer(&bank, "Ada Lund").await;
    let path = format!("/v1/customers/{customer}");
    assert_eq!(ada.get(&path).await.0, StatusCode::OK);
    let (_, keys) = bank.get("/v1/keys").await;
    let key = &keys["keys"][0];
    assert_eq!((&key["name"], &key["status"]), (&json!("ada"), &json!("active")));
    assert!(!keys.to_string().contains(&access::digest_of("the-secret-of-Ada-Lund")), "{keys}");
    let again = json!({
        "name": "eve", "roles": ["service"], "secret_sha256": access::digest_of("the-secret-of-Ada-Lund"),
    });
    let (status, problem) = bank.post("/v1/keys", again).await;
    assert_eq!((status, &problem["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/secret_sha256")));
    // Nobody acts under somebody else's name.
    for (name, roles, expected) in [
        ("tests", ["service"], StatusCode::UNPROCESSABLE_ENTITY),
        ("checkout", ["service"], StatusCode::CREATED),
        ("checkout", ["approver"], StatusCode::UNPROCESSABLE_ENTITY),
        ("checkout", ["service"], StatusCode::CREATED),
    ] {
        let issue = json!({
            "name": name, "roles": roles, "secret_sha256": access::digest_of(&Uuid::now_v7().to_string()),
        });
        let (status, answer) = bank.post("/v1/keys", issue).await;
        assert_eq!(status, expected, "{name} {roles:?}: {answer}");
    }
    let both = ["operator", "approver"].map(|role| {
        let digest = access::digest_of(&Uuid::now_v7().to_string());
        bank.post("/v1/keys", json!({ "name": "alice", "roles": [role], "secret_sha256": digest }))
    });
    let [operator, approver] = both;
    let (operator, approver) = tokio::join!(operator, approver);
    assert_eq!([operator.0, approver.0].into_iter().filter(StatusCode::is_success).count(), 1);
    let revoke = format!("/v1/keys/{}/revoke", id(key, "key_id"));
    let (status, revoked) = bank.post(&revoke, json!({ "reason": "lost" })).await;
    assert_eq!((status, &revoked["status"]), (StatusCode::OK, &json!("revoked")));
    eventually("the key is forgotten", async || {
        (ada.get(&path).await.0 == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    // One that expires by itself.
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(1_500);
    let issue = json!({
        "name": "cy", "roles": ["service"], "expires_at": soon, "secret_sha256": access::digest_of("the-secret-of-Cy"),
    });
    created(&bank, "/v1/keys", issue).await;
    let cy = bank.clone().with_key("the-secret-of-Cy");
    assert_eq!(cy.get("/v1/transfers").await.0, StatusCode::OK);
    eventually("the key has expired", async || {
        (cy.get("/v1/transfers").await.0 == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    platform.stop().await;
}
