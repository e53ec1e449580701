//! Two customers, some money, one transfer, and the lines to go on from.

use std::collections::BTreeMap;

use access::Role;
use anyhow::{Context, ensure};
use event_store::Store;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::timeline;
use crate::process::{complain, say};

/// A published example of an IBAN, so that nobody's account is meant.
const OTHER_BANK: &str = "DE89370400440532013000";

pub(super) struct Demo {
    pub(super) api_url: String,
    /// By role.
    pub(super) keys: BTreeMap<Role, String>,
    pub(super) house_url: String,
    pub(super) ops_url: String,
    /// This bank, as the clearing house names and reaches it.
    pub(super) own_name: String,
    pub(super) inbox_url: String,
    /// Where the card network speaks to us.
    pub(super) network_url: String,
    pub(super) stores: (Store, Store),
    pub(super) with_transfer: bool,
}

impl Demo {
    pub(super) async fn show(&self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let mut account = None;
        if self.with_transfer {
            let demo = self.transfer(shutdown).await;
            if shutdown.is_cancelled() {
                return Ok(());
            }
            match demo {
                Ok((ada, transfer)) => {
                    account = Some((ada, self.iban(ada).await?, self.card(ada).await?, transfer));
                }
                Err(error) => complain(&format!("the demo did not go through: {error:#}")),
            }
        }
        self.what_to_type(account)
    }

    async fn transfer(&self, shutdown: &CancellationToken) -> anyhow::Result<(Uuid, Uuid)> {
        let (customer, ada) = self.customer("ada", "Ada Lund").await?;
        let (_, bo) = self.customer("bo", "Bo Berg").await?;
        self.issue_key(customer).await?;
        say(&format!("Ada Lund is customer {customer} and has account {ada}, Bo Berg {bo}."))?;
        let transfer = json!({
            "from_account": ada,
            "to": { "iban": OTHER_BANK, "name": "Muster GmbH" },
            "amount": { "amount": "12500", "currency": "DKK" },
            "remittance": "invoice 7"
        });
        let created = self.post("/v1/transfers", &Uuid::now_v7().to_string(), &transfer).await?;
        let transfer_id = id(&created, "transfer_id")?;
        say(&format!("\nAda pays 125.00 DKK to another bank, transfer {transfer_id}:\n"))?;
        timeline::follow(&self.stores, transfer_id, shutdown).await?;
        Ok((ada, transfer_id))
    }

    /// Registers the customer, opens an account and deposits money; the same keys find the same at the next start.
    async fn customer(&self, key: &str, name: &str) -> anyhow::Result<(Uuid, Uuid)> {
        let register = json!({ "name": name });
        let registered = self.post("/v1/customers", &format!("demo-{key}"), &register).await?;
        let customer = id(&registered, "customer_id")?;
        let open = json!({ "customer_id": customer, "currency": "DKK" });
        let opened = self.post("/v1/accounts", &format!("demo-{key}-account"), &open).await?;
        let account = id(&opened, "account_id")?;
        let deposit = json!({ "amount": { "amount": "100000000", "currency": "DKK" } });
        self.post(
            &format!("/v1/accounts/{account}/deposits"),
            &format!("demo-{key}-deposit-{account}"),
            &deposit,
        )
        .await?;
        Ok((customer, account))
    }

    /// The customer's own, for as long as the data stays.
    async fn issue_key(&self, customer: Uuid) -> anyhow::Result<()> {
        let digest = access::digest_of(&self.keys[&Role::Customer]);
        let key = format!("demo-ada-key-{digest}");
        let issue = json!({
            "name": "ada",
            "roles": [Role::Customer],
            "customer_id": customer,
            "secret_sha256": digest,
        });
        self.post_as(Role::Admin, "/v1/keys", &key, &issue).await?;
        Ok(())
    }

    /// The same key finds the same card.
    async fn card(&self, account: Uuid) -> anyhow::Result<Uuid> {
        let issue = json!({ "account_id": account });
        id(&self.post("/v1/cards", &format!("demo-ada-card-{account}"), &issue).await?, "card_id")
    }

    async fn iban(&self, account: Uuid) -> anyhow::Result<String> {
        let url = format!("{}/v1/accounts/{account}", self.api_url);
        let request = reqwest::Client::new().get(url).bearer_auth(&self.keys[&Role::Service]);
        let answer: Value = request.send().await?.error_for_status()?.json().await?;
        let iban = answer.get("iban").and_then(Value::as_str);
        Ok(iban.context("the account has no number")?.to_owned())
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Value> {
        self.post_as(Role::Service, path, key, body).await
    }

    async fn post_as(&self, role: Role, path: &str, key: &str, body: &Value) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.api_url);
        let request = reqwest::Client::new().post(&url).bearer_auth(&self.keys[&role]);
        let response = request.header("Idempotency-Key", key).json(body).send().await?;
        let status = response.status();
        let answer: Value = response.json().await.with_context(|| format!("POST {path}"))?;
        ensure!(status.is_success(), "POST {path}: {status}: {answer}");
        Ok(answer)
    }

    fn what_to_type(&self, demo: Option<(Uuid, String, Uuid, Uuid)>) -> anyhow::Result<()> {
        let (api, house, ops) = (&self.api_url, &self.house_url, &self.ops_url);
        let key = format!("-H 'Authorization: Bearer {}'", self.keys[&Role::Service]);
        let shown = |role: &Role| demo.is_some() || *role != Role::Customer;
        let keys = self.keys.iter().filter(|(role, _)| shown(role));
        let keys: Vec<String> = keys.map(|(role, secret)| format!("{role} {secret}")).collect();
        let keys = keys.join("   ");
        let (bank, inbox, network) = (&self.own_name, &self.inbox_url, &self.network_url);
        let (account, iban, card, transfer) = match demo {
            Some((account, iban, card, transfer)) => {
                (account.to_string(), iban, card.to_string(), transfer.to_string())
            }
            None => ["ACCOUNT_ID", "IBAN", "CARD_ID", "TRANSFER_ID"].map(str::to_owned).into(),
        };
        say(&format!(
            "
API  {api}/docs/   # to read and to try; a key for each role (the customer is Ada):
keys {keys}
pay  curl -sS {api}/v1/transfers {key} -H 'Idempotency-Key: '$(cat /proc/sys/kernel/random/uuid) -H 'Content-Type: application/json' -d '{{\"from_account\":\"{account}\",\"to\":{{\"iban\":\"{OTHER_BANK}\",\"name\":\"Muster GmbH\"}},\"amount\":{{\"amount\":\"2500\",\"currency\":\"DKK\"}}}}'
read curl -sS {api}/v1/transfers/{transfer} {key}
see  curl -sS {ops}/metrics   # or /readyz, /relays/core
fail curl -sS {house}/faults -H 'Content-Type: application/json' -d '{{\"kind\":\"reject\",\"count\":1}}'   # or lose_answer, pending, down
paid curl -sS {house}/payments -H 'Content-Type: application/json' -d '{{\"amount\":\"5000\",\"currency\":\"DKK\",\"creditor_iban\":\"{iban}\",\"to\":\"{bank}\",\"deliver_to\":\"{inbox}\"}}'   # another bank pays; see {api}/v1/incoming-payments
card curl -sS {house}/card-payments -H 'Content-Type: application/json' -d '{{\"card_id\":\"{card}\",\"amount\":\"4200\",\"currency\":\"DKK\",\"deliver_to\":\"{network}\"}}'   # Ada pays by card; see {api}/v1/card-authorisations
back curl -sS {house}/returns -H 'Content-Type: application/json' -d '{{\"count\":1}}'   # the other bank gives the latest payment back
stop Ctrl-C; the data stays for the next run"
        ))
    }
}

fn id(answer: &Value, field: &str) -> anyhow::Result<Uuid> {
    let text = answer.get(field).and_then(Value::as_str);
    text.with_context(|| format!("the answer has no {field}"))?.parse().context("not an id")
}
