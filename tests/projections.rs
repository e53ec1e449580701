//! Read models: destroyed and built anew out of the events, by their handlers and by rebuilds, and what comes out is the same.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use testbed::eventually;
use uuid::Uuid;

use crate::harness::{APPROVER_KEY, Client, KEY, LUNARIA, Load, Platform, Transport, Victim, settle_down};

/// What is switched on here, so that all projections are kept.
const ALL_ON: [&str; 3] = [
    "core.search_events=true",
    "webhooks.signing_key=the-signing-key-of-the-tests-of-projections",
    "webhooks.allow_private_addresses=true",
];

async fn tables(core: &mut PgConnection) -> BTreeMap<String, Vec<String>> {
    let rows: Vec<(String, Vec<String>)> =
        sqlx::query_as("select name, tables from projection").fetch_all(core).await.unwrap();
    rows.into_iter().collect()
}

/// Every row of every projection, as text and in order.
async fn contents(core: &mut PgConnection) -> BTreeMap<String, Vec<String>> {
    let mut contents = BTreeMap::new();
    for table in tables(core).await.into_values().flatten() {
        let rows = format!("select row_to_json(t)::text from {table} as t order by 1");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut *core).await.unwrap();
        contents.insert(table, rows);
    }
    contents
}

/// Something of everything, so that no projection is empty; all of it comes to rest. The transfers.
async fn something_of_everything(platform: &Platform) -> Vec<Uuid> {
    let client = platform.client();
    let (_, customer) = client.post("/v1/customers", json!({ "name": "Ada Lund" })).await;
    let path = format!("/v1/customers/{}/name", customer["customer_id"].as_str().unwrap());
    assert_eq!(client.post(&path, json!({ "name": "Ada Berg" })).await.0, StatusCode::OK);
    let endpoint = json!({ "url": "http://127.0.0.1:9/hooks", "contracts": ["transfer.v1"] });
    assert_eq!(client.post("/v1/webhook-endpoints", endpoint).await.0, StatusCode::CREATED);
    let (ada, bo) = (client.account(100_000).await, client.account(1).await);
    let mut accepted = Vec::new();
    for n in 0..3 {
        let paid = client.pay(ada, 100 + n).await;
        client.until(paid, "succeeded").await;
        accepted.extend([paid, client.pay_to(ada, json!({ "account_id": bo }), 10 + n).await]);
    }
    client.order_fault(json!({ "kind": "reject", "count": 1, "reason_code": "AC04" })).await;
    let refused = client.pay(ada, 7).await;
    client.until(refused, "failed").await;
    accepted.push(refused);
    client.order_payment(client.incoming_order(&platform.adapter_url, "DK5000400440116243", 60)).await;
    client.until_incoming("refused", 1).await;
    let dkk = |minor: i64| json!({ "amount": minor.to_string(), "currency": "DKK" });
    let (_, line) = client.post("/v1/credit-lines", json!({ "limit": dkk(500) })).await;
    let order =
        json!({ "credit_id": line["credit_id"], "from_account": ada, "to_account": bo, "amount": dkk(20) });
    assert_eq!(client.post("/v1/orders", order).await.0, StatusCode::CREATED);
    let nobodys = Uuid::now_v7();
    let force = json!({ "deliver_to": format!("{}/iso8583", platform.card_url), "card_id": nobodys, "amount": "700", "currency": "DKK", "kind": "force_post" });
    client.pay_by_card(force).await;
    client.until_card(nobodys, "requires_attention", 1).await;
    correct(platform, ada).await;
    settle_down(platform, &accepted).await;
    eventually("nothing is empty", async || {
        let all = contents(&mut platform.core_database().await).await;
        all.values().all(|rows| !rows.is_empty()).then_some(())
    })
    .await;
    accepted
}

/// One operator asks for a correction, another approves it, and it is done.
async fn correct(platform: &Platform, account: Uuid) {
    let client = platform.client();
    let amount = json!({ "amount": "7", "currency": "DKK" });
    let adjust =
        json!({ "kind": "adjust_account", "account_id": account, "amount": amount, "against": "suspense" });
    let body = json!({ "correction": adjust.clone(), "reason_code": "TECH", "evidence": "ticket 1" });
    let (status, asked) = client.post("/v1/corrections", body).await;
    assert_eq!(status, StatusCode::CREATED, "{asked}");
    let path = format!("/v1/corrections/{}", asked["correction_id"].as_str().unwrap());
    let hash = json!({ "preview_hash": asked["preview"]["hash"] });
    let approver = platform.client().with_key(APPROVER_KEY);
    assert_eq!(approver.post(&format!("{path}/approve"), hash).await.0, StatusCode::OK);
    assert_eq!(client.post(&format!("{path}/execute"), json!({})).await.0, StatusCode::OK);
    let body = json!({ "items": [adjust], "reason_code": "TECH", "evidence": "ticket 2" });
    assert_eq!(client.post("/v1/bulk-corrections", body).await.0, StatusCode::CREATED);
}

fn projections(platform: &Platform, arguments: &[&str]) -> (i32, String) {
    let (url, key) = (platform.api_url.as_str(), KEY);
    platform.lunaria(&[&["projections", "--url", url, "--token", key], arguments].concat())
}

/// At any moment, whatever its handler has come to.
fn assert_verified(platform: &Platform, name: &str) {
    let (code, text) = projections(platform, &["verify", name]);
    assert!(code == 0 && text.contains("is what its"), "{name}: {text}");
}

/// All that follows from a service's events, its accounts with others not among it: requests and their answers, and what its relay has sent.
const DERIVED: &str = "select string_agg(quote_ident(table_name), ', ') from information_schema.tables
    where table_schema = 'public' and table_type = 'BASE TABLE'
      and table_name not in ('event', 'request', 'relay_state', 'projection', '_sqlx_migrations')";

async fn events(database: &mut PgConnection) -> BTreeSet<String> {
    let all = "select stream || '@' || seq || ' ' || type || ' of ' || correlation_id from event";
    sqlx::query_scalar(all).fetch_all(database).await.unwrap().into_iter().collect()
}

/// The same on both transports.
async fn a_service_is_built_anew_from_its_events(transport: Transport) {
    let mut platform = Platform::with(transport, LUNARIA, "", &ALL_ON).await;
    let client = platform.client();
    let accepted = something_of_everything(&platform).await;
    // A rebuild that has ended is not begun once more.
    assert_verified(&platform, "transfer.view");
    let ada = client.account(1_000).await;
    settle_down(&platform, &accepted).await;
    // Somebody is still to answer, and will not: a deadline is waited for.
    client.order_fault(json!({ "kind": "down", "for_ms": 600_000 })).await;
    let waiting = client.pay(ada, 100).await;
    client.until(waiting, "processing").await;
    platform.kill(Victim::Everything);
    let mut before = Vec::new();
    let mut handlers = Vec::new();
    for mut database in platform.databases().await {
        before.push(events(&mut database).await);
        handlers.push(handler_count(&mut database).await);
        let derived: String = sqlx::query_scalar(DERIVED).fetch_one(&mut database).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("truncate {derived}"))).execute(&mut database).await.unwrap();
    }
    for service in ["core", "adapter-instant", "adapter-card"] {
        let (code, text) = platform.lunaria(&["restore-deadlines", service]);
        assert_eq!(code, 0, "{text}");
    }
    let mut core = platform.core_database().await;
    let deadline = format!("select count(*) from deadline where stream = 'transfer-{waiting}'");
    let deadlines: i64 = sqlx::query_scalar(AssertSqlSafe(deadline)).fetch_one(&mut core).await.unwrap();
    assert_eq!(deadlines, 1);
    platform.resume().await;
    eventually("every handler has read the history", async || {
        for (mut database, count) in platform.databases().await.into_iter().zip(&handlers) {
            let behind = "select count(*) from handler where behind";
            let behind: i64 = sqlx::query_scalar(behind).fetch_one(&mut database).await.unwrap();
            if behind > 0 || handler_count(&mut database).await != *count {
                return None;
            }
        }
        Some(())
    })
    .await;
    for name in tables(&mut core).await.into_keys() {
        assert_verified(&platform, &name);
    }
    // Nothing that had happened has happened once more; what goes on is the payment that waited. A decision that comes again is one that comes too
    // late, of which there is a record.
    let theirs = [waiting.to_string(), "rebuild-".to_owned(), " DecisionOvertaken ".to_owned()];
    let goes_on = |event: &&String| theirs.iter().any(|part| event.contains(part));
    for (mut database, before) in platform.databases().await.into_iter().zip(&before) {
        let after = events(&mut database).await;
        let new: Vec<&String> = after.difference(before).collect();
        assert!(new.iter().all(goes_on), "{new:#?}");
        assert!(after.is_superset(before));
        let parked: i64 =
            sqlx::query_scalar("select count(*) from parked").fetch_one(&mut database).await.unwrap();
        assert_eq!(parked, 0);
    }
    client.heal().await;
    let paid = client.pay(ada, 7).await;
    client.until(paid, "succeeded").await;
    drop(core);
    platform.stop().await;
}

async fn handler_count(database: &mut PgConnection) -> i64 {
    sqlx::query_scalar("select count(*) from handler").fetch_one(database).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_built_anew_from_its_events_embedded() {
    a_service_is_built_anew_from_its_events(Transport::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_built_anew_from_its_events_over_kafka() {
    a_service_is_built_anew_from_its_events(Transport::Kafka).await;
}

/// The same on both transports.
async fn each_projection_is_built_anew(transport: Transport) {
    let mut platform = Platform::with(transport, LUNARIA, "", &ALL_ON).await;
    something_of_everything(&platform).await;
    let mut core = platform.core_database().await;
    let names: Vec<String> = tables(&mut core).await.into_keys().collect();
    assert_eq!(names.len(), 11, "{names:?}");
    for name in &names {
        assert_verified(&platform, name);
    }
    let before = contents(&mut core).await;

    // By a rebuild, of what somebody has spoilt.
    for (name, tables) in tables(&mut core).await {
        for table in tables {
            let spoil = format!("delete from {table} where ctid in (select ctid from {table} limit 2)");
            sqlx::query(AssertSqlSafe(spoil)).execute(&mut core).await.unwrap();
        }
        let (code, text) = projections(&platform, &["verify", &name]);
        assert!(code == 1 && text.contains("0 rows that the events do not say"), "{text}");
        let (code, text) = projections(&platform, &["rebuild", &name]);
        assert!(code == 0 && text.contains("is built anew"), "{text}");
        assert_verified(&platform, &name);
    }
    assert_eq!(contents(&mut core).await, before);

    // By their handlers, when nothing is left of them.
    platform.kill(Victim::Everything);
    for (name, tables) in tables(&mut core).await {
        for table in tables {
            sqlx::query(AssertSqlSafe(format!("truncate {table}"))).execute(&mut core).await.unwrap();
        }
        sqlx::query("delete from cursor where handler = $1").bind(&name).execute(&mut core).await.unwrap();
        sqlx::query("delete from handler where name = $1").bind(&name).execute(&mut core).await.unwrap();
    }
    platform.resume().await;
    eventually("all of it is there again", async || {
        (contents(&mut platform.core_database().await).await == before).then_some(())
    })
    .await;
    let (_, text) = projections(&platform, &["list"]);
    assert!(names.iter().all(|name| text.contains(name.as_str())), "{text}");
    drop(core);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_projection_is_built_anew_embedded() {
    each_projection_is_built_anew(Transport::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_projection_is_built_anew_over_kafka() {
    each_projection_is_built_anew(Transport::Kafka).await;
}

async fn operation(client: &Client, path: &str) -> (StatusCode, Value) {
    client.post(path, json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rebuilt_under_load_is_right_and_whole_at_every_look() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let load = Load::start(&client).await;
    let ada = client.account(1_000).await;
    let paid = client.pay(ada, 100).await;
    client.until(paid, "succeeded").await;
    for name in ["transfer.view", "ledger"] {
        let begin = format!("/v1/projections/{name}/rebuild");
        let answer = client.send(&begin, name, &json!({})).await.unwrap();
        let (status, begun) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert_eq!((status, &begun["status"]), (StatusCode::ACCEPTED, &json!("running")), "{begun}");
        // Whoever has lost the answer gets it again, whatever has come of it since.
        let again = client.send(&begin, name, &json!({})).await.unwrap();
        assert_eq!(
            (again.status(), &again.headers()["idempotency-replayed"]),
            (status, &"true".parse().unwrap())
        );
        assert_eq!(again.json::<Value>().await.unwrap(), begun);
        let path = format!("/v1/operations/{}", begun["operation_id"].as_str().unwrap());
        eventually("it is built anew", async || {
            let (_, listed) = client.get(&format!("/v1/transfers?account={ada}")).await;
            assert_eq!(listed["transfers"][0]["transfer_id"], json!(paid), "{listed}");
            let (_, operation) = client.get(&path).await;
            assert_ne!(operation["status"], "failed", "{operation}");
            (operation["status"] == "completed").then_some(())
        })
        .await;
        let (_, refused) = operation(&client, &format!("{path}/cancel")).await;
        assert_eq!(refused["code"], "too-late-to-cancel");
    }
    for name in ["transfer.view", "ledger"] {
        assert_verified(&platform, name);
    }
    let accepted = [load.stop().await, vec![paid]].concat();
    settle_down(&platform, &accepted).await;
    for name in ["transfer.view", "ledger"] {
        assert_verified(&platform, name);
    }
    // Nonsense.
    assert_eq!(operation(&client, "/v1/projections/event/rebuild").await.1["code"], "projection-unknown");
    assert_eq!(operation(&client, "/v1/operations/nonsense/cancel").await.1["code"], "operation-unknown");
    let nobodys = format!("/v1/operations/{}", Uuid::now_v7());
    assert_eq!(client.get(&nobodys).await.1["code"], "operation-unknown");
    let (code, text) = projections(&platform, &["rebuild", "nothing"]);
    assert!(code == 1 && text.contains("GET /v1/projections lists"), "{text}");
    platform.stop().await;
}
