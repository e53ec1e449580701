//! The checker sees the faults that it is there for: each is seeded in a build of its own and has to be caught.

use futures::future::join_all;
use serde_json::{Value, json};
use testbed::eventually;
use uuid::Uuid;

use crate::crash::{at_rest, campaign};
use crate::harness::{OTHER_BANK, Platform, Transport, Victim, Violations, transfer};

/// Built by `make test` with the feature `mutants`.
pub(crate) fn program() -> String {
    std::env::var("LUNARIA_MUTANTS_BIN").expect(
        "LUNARIA_MUTANTS_BIN is not set: run `make test`, which builds the binary with the seeded faults",
    )
}

/// The same number for each, the control included.
const KILLS: usize = 8;

async fn caught(mutant: &str, by: &[&str]) {
    let victims = [Victim::Everything];
    let outcome = campaign(Transport::Embedded, &program(), mutant, KILLS, &victims).await;
    let seen = outcome.violations.iter().any(|violation| by.iter().any(|what| violation.contains(what)));
    assert!(seen, "{mutant} was not caught in {} transfers: {:#?}", outcome.accepted, outcome.violations);
}

/// How a lost effect shows: a saga that stands still, a projection or an external stream that lacks something.
const LOST: [&str; 4] = ["have not ended", "ledger differs", "has missed events", "were not derived"];

#[tokio::test(flavor = "multi_thread")]
async fn confirming_before_the_handlers_are_done_is_caught() {
    caught("confirm_before_ack", &LOST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_outside_the_transaction_is_caught() {
    caught("cursor_outside_transaction", &LOST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_before_its_attempt_is_an_event_is_caught() {
    caught("call_before_attempt", &["before its attempt"]).await;
}

/// Two payments, one of them refused, each request sent several times at once, one from another bank that is
/// cancelled, one by card that is reversed, and an order that is cancelled: what no kill
/// is needed to see.
async fn violations(mutant: &str) -> Violations {
    let platform = Platform::with(Transport::Embedded, &program(), mutant, &[]).await;
    let client = platform.client();
    let account = client.account(100_000).await;
    client.order_fault(json!({ "kind": "reject", "count": 1, "reason_code": "AC06" })).await;
    let mut accepted = Vec::new();
    for status in ["failed", "succeeded"] {
        let to = json!({ "iban": OTHER_BANK, "name": "Muster GmbH" });
        let (key, body) = (Uuid::now_v7().to_string(), transfer(account, to, 100));
        let sent = join_all((0..4).map(|_| client.send("/v1/transfers", &key, &body))).await;
        let answer: Value = sent.into_iter().next().unwrap().unwrap().json().await.unwrap();
        let id = answer["transfer_id"].as_str().unwrap().parse().unwrap();
        if mutant != "forget_requests" {
            client.until(id, status).await;
        }
        accepted.push(id);
    }
    let iban = client.get(&format!("/v1/accounts/{account}")).await.1["iban"].as_str().unwrap().to_owned();
    client.order_fault(json!({ "kind": "reject", "count": 1, "creditor_iban": iban })).await;
    client.order_payment(client.incoming_order(&platform.adapter_url, &iban, 100)).await;
    client.until_incoming("cancelled", 1).await;
    let card = client.card(account).await;
    let network = format!("{}/iso8583", platform.card_url);
    let reversed = json!({
        "card_id": card, "amount": "100", "currency": "DKK", "reverse": "100", "deliver_to": network
    });
    client.pay_by_card(reversed).await;
    client.until_card(card, "reversed", 1).await;
    let shop = client.account(1).await;
    let (_, line) = client
        .post("/v1/credit-lines", json!({ "limit": { "amount": "1000000000", "currency": "DKK" } }))
        .await;
    let order = json!({
        "credit_id": line["credit_id"], "from_account": account, "to_account": shop,
        "amount": { "amount": "900000000", "currency": "DKK" },
    });
    let (_, order) = client.post("/v1/orders", order).await;
    client.post(&format!("/v1/orders/{}/cancel", order["order_id"].as_str().unwrap()), json!({})).await;
    at_rest(&platform, &accepted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_leaves_no_trace_is_caught() {
    let seen = violations("forget_requests").await;
    assert!(seen.iter().any(|violation| violation.contains("transfers exist, 2 were accepted")), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compensation_that_is_skipped_is_caught() {
    let seen = violations("skip_compensation").await;
    for what in [
        "holds are left open",
        "what will not come is expected",
        "a card payment and its account differ",
        "an order and its credit line differ",
    ] {
        assert!(seen.iter().any(|violation| violation.contains(what)), "{what}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_derivation_that_looks_at_the_clock_is_caught() {
    let seen = violations("derive_by_clock").await;
    assert!(seen.iter().any(|violation| violation.contains("payment.v2 differs")), "{seen:?}");
}

/// One person corrects alone, one thing and many.
#[tokio::test(flavor = "multi_thread")]
async fn an_own_approval_is_caught() {
    let platform = Platform::with(Transport::Embedded, &program(), "own_approval", &[]).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    let amount = json!({ "amount": "-100", "currency": "DKK" });
    let adjust =
        json!({ "kind": "adjust_account", "account_id": account, "amount": amount, "against": "suspense" });
    let (reason, evidence) = ("TECH", "ticket 7");
    let one = json!({ "correction": adjust, "reason_code": reason, "evidence": evidence });
    let many = json!({ "items": [adjust, adjust], "reason_code": reason, "evidence": evidence });
    for (noun, body, id, act) in
        [("corrections", one, "correction_id", "execute"), ("bulk-corrections", many, "bulk_id", "start")]
    {
        let (_, asked) = client.post(&format!("/v1/{noun}"), body).await;
        let path = format!("/v1/{noun}/{}", asked[id].as_str().unwrap());
        let hash = eventually("it is known what it would do", async || {
            let (_, found) = client.get(&path).await;
            found["preview"]["hash"].as_str().map(str::to_owned)
        })
        .await;
        let approved = client.post(&format!("{path}/approve"), json!({ "preview_hash": hash })).await;
        assert!(approved.0.is_success(), "{}", approved.1);
        assert!(client.post(&format!("{path}/{act}"), json!({})).await.0.is_success());
    }
    eventually("two are done", async || (client.balances(account).await.0 == "800").then_some(())).await;
    let seen = at_rest(&platform, &[]).await;
    for what in ["without others' approval of just that", "without others' approval of all"] {
        assert!(seen.iter().any(|violation| violation.contains(what)), "{what}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_requests_and_a_refusal_without_a_seeded_fault_pass() {
    assert_eq!(violations("").await, Violations::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_build_without_a_seeded_fault_passes() {
    let outcome = campaign(Transport::Embedded, &program(), "", KILLS, &[Victim::Everything]).await;
    assert_eq!(outcome.violations, Vec::<String>::new());
}
