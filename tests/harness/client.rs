//! A customer of the API, and whoever orders faults from the clearing house.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use testbed::eventually;
use uuid::Uuid;

/// Of a principal that has every role.
pub(crate) const KEY: &str = "the-key-of-the-tests";
/// Of somebody else, who says yes or no.
pub(crate) const APPROVER_KEY: &str = "the-key-of-their-approver";
pub(crate) const OTHER_BANK: &str = "DE89370400440532013000";

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) api: String,
    key: String,
    house: String,
}

impl Client {
    pub(crate) fn new(api: &str, house: &str) -> Self {
        let (api, house) = (api.to_owned(), house.to_owned());
        Self { http: reqwest::Client::new(), api, key: KEY.to_owned(), house }
    }

    pub(crate) fn with_key(self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self }
    }

    /// An open account with that much money.
    pub(crate) async fn account(&self, minor: i64) -> Uuid {
        let opened = self.post("/v1/accounts", json!({ "owner_name": "Ada Lund", "currency": "DKK" })).await;
        assert_eq!(opened.0, StatusCode::CREATED, "{}", opened.1);
        let id: Uuid = opened.1["account_id"].as_str().unwrap().parse().unwrap();
        let deposit = json!({ "amount": { "amount": minor.to_string(), "currency": "DKK" } });
        let (status, answer) = self.post(&format!("/v1/accounts/{id}/deposits"), deposit).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        id
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let response = self.send(path, &Uuid::now_v7().to_string(), &body).await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    pub(crate) async fn send(&self, path: &str, key: &str, body: &Value) -> reqwest::Result<Response> {
        self.request(Method::POST, path).header("Idempotency-Key", key).json(body).send().await
    }

    /// Of the API, with the key.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.api)).bearer_auth(&self.key)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = self.request(Method::GET, path).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    /// A transfer to another bank that was accepted.
    pub(crate) async fn pay(&self, from: Uuid, minor: i64) -> Uuid {
        self.pay_to(from, json!({ "iban": OTHER_BANK, "name": "Muster GmbH" }), minor).await
    }

    pub(crate) async fn pay_to(&self, from: Uuid, to: Value, minor: i64) -> Uuid {
        let (status, answer) = self.post("/v1/transfers", transfer(from, to, minor)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        answer["transfer_id"].as_str().unwrap().parse().unwrap()
    }

    /// Waits until the transfer has this status; returns it.
    pub(crate) async fn until(&self, transfer: Uuid, status: &str) -> Value {
        eventually(&format!("transfer {transfer} is {status}"), async || {
            let (_, answer) = self.get(&format!("/v1/transfers/{transfer}")).await;
            (answer["status"] == status).then_some(answer)
        })
        .await
    }

    /// The types of the transfer's events.
    pub(crate) async fn story(&self, transfer: Uuid) -> Vec<String> {
        let (_, answer) = self.get(&format!("/v1/transfers/{transfer}/events")).await;
        let events = answer["events"].as_array().unwrap();
        events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    /// (posted, reserved, available) in minor units.
    pub(crate) async fn balances(&self, account: Uuid) -> (String, String, String) {
        let (_, answer) = self.get(&format!("/v1/accounts/{account}")).await;
        let of = |name: &str| answer["balances"][name]["amount"].as_str().unwrap().to_owned();
        (of("posted"), of("reserved"), of("available"))
    }

    pub(crate) async fn order_fault(&self, fault: Value) {
        let response = self.http.post(format!("{}/faults", self.house)).json(&fault).send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
    }

    pub(crate) async fn heal(&self) {
        let response = self.http.delete(format!("{}/faults", self.house)).send().await.unwrap();
        assert!(response.status().is_success());
    }

    /// Makes the clearing house give payments back.
    pub(crate) async fn order_return(&self, order: Value) -> Value {
        let response = self.http.post(format!("{}/returns", self.house)).json(&order).send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
        response.json().await.unwrap()
    }

    /// A payment of another bank's customer, as the clearing house is told to offer it.
    pub(crate) fn incoming_order(&self, adapter_url: &str, iban: &str, minor: i64) -> Value {
        json!({
            "to": "LUNADK22XXX", "deliver_to": format!("{adapter_url}/iso20022"),
            "creditor_iban": iban, "creditor_name": "Ada Lund",
            "amount": minor.to_string(), "currency": "DKK", "remittance": "invoice 7"
        })
    }

    /// Has another bank pay; returns the identifiers of the payments.
    pub(crate) async fn order_payment(&self, order: Value) -> Vec<Value> {
        let response = self.http.post(format!("{}/payments", self.house)).json(&order).send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
        response.json::<Value>().await.unwrap()["payments"].as_array().unwrap().clone()
    }

    /// All incoming payments of this status.
    pub(crate) async fn incoming(&self, status: &str) -> Vec<Value> {
        let (code, answer) = self.get(&format!("/v1/incoming-payments?status={status}&limit=500")).await;
        assert_eq!(code, StatusCode::OK, "{answer}");
        answer["incoming_payments"].as_array().unwrap().clone()
    }

    /// Waits until so many incoming payments have this status; returns them.
    pub(crate) async fn until_incoming(&self, status: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} are {status}"), async || {
            let found = self.incoming(status).await;
            (found.len() == count).then_some(found)
        })
        .await
    }

    /// Waits until the thing of this stream has cases of these statuses, the newest first; returns them.
    pub(crate) async fn until_cases(&self, subject: &str, statuses: &[&str]) -> Vec<Value> {
        eventually(&format!("{subject} has cases {statuses:?}"), async || {
            let (_, answer) = self.get(&format!("/v1/cases?subject={subject}")).await;
            let cases = answer["cases"].as_array().unwrap().clone();
            let found: Vec<&str> = cases.iter().map(|case| case["status"].as_str().unwrap()).collect();
            (found == statuses).then_some(cases)
        })
        .await
    }

    /// A card that spends the account's money.
    pub(crate) async fn card(&self, account: Uuid) -> Uuid {
        let (status, answer) = self.post("/v1/cards", json!({ "account_id": account })).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        answer["card_id"].as_str().unwrap().parse().unwrap()
    }

    /// Has merchants charge a card; returns the network's identifiers of the payments.
    pub(crate) async fn pay_by_card(&self, order: Value) -> Vec<String> {
        let url = format!("{}/card-payments", self.house);
        let response = self.http.post(url).json(&order).send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
        let answer: Value = response.json().await.unwrap();
        let of = |payment: &Value| payment["transaction_id"].as_str().unwrap().to_owned();
        answer["card_payments"].as_array().unwrap().iter().map(of).collect()
    }

    /// Waits until so many payments by card have this status; returns them.
    pub(crate) async fn until_card(&self, card: Uuid, status: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} are {status}"), async || {
            let path = format!("/v1/card-authorisations?status={status}&card={card}&limit=500");
            let (code, answer) = self.get(&path).await;
            assert_eq!(code, StatusCode::OK, "{answer}");
            let found = answer["card_authorisations"].as_array().unwrap().clone();
            (found.len() == count).then_some(found)
        })
        .await
    }

    /// Everybody whom the clearing house has decided about.
    pub(crate) async fn journal(&self) -> Vec<Value> {
        self.lines().await.into_iter().filter(|line| line["status"].is_string()).collect()
    }

    /// All that the clearing house has decided.
    pub(crate) async fn lines(&self) -> Vec<Value> {
        let (mut lines, mut after) = (Vec::new(), 0);
        loop {
            let url = format!("{}/journal?after={after}", self.house);
            let page: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
            let page = page["lines"].as_array().unwrap().clone();
            let Some(last) = page.last() else { return lines };
            after = last["n"].as_u64().unwrap();
            lines.extend(page);
        }
    }
}

pub(crate) fn transfer(from: Uuid, to: Value, minor: i64) -> Value {
    json!({
        "from_account": from,
        "to": to,
        "amount": { "amount": minor.to_string(), "currency": "DKK" },
    })
}
