//! The rail's messages: what was really sent, read by a library that is not ours; another rail; what belongs to nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use reqwest::StatusCode;
use serde_json::{Value, json};
use testbed::eventually;
use uuid::Uuid;

use crate::harness::{Client, KEY, LUNARIA, Platform, Transport, settle_down};

/// All messages about payments to others (`submission`) or from others (`inbound`) that the adapter has sent and got, as its events have them.
async fn kept(platform: &Platform, category: &str) -> Vec<String> {
    let mut connection = platform.instant.superuser_connection().await;
    sqlx::query_scalar(
        "select coalesce(data->'message'->>'xml', data->>'message') from event
         where stream like $1 || '-%' and data->'message' <> 'null'",
    )
    .bind(category)
    .fetch_all(&mut connection)
    .await
    .unwrap()
}

/// The definitions that occur, without versions; each message is valid.
async fn read_by_others(platform: &Platform, category: &str) -> Vec<String> {
    let (messages, mut files, mut definitions) = (kept(platform, category).await, Vec::new(), Vec::new());
    for (n, message) in messages.iter().enumerate() {
        let file = platform.directory().join(format!("message-{n}.xml"));
        fs::write(&file, message).unwrap();
        files.push(file);
        let (_, rest) = message.split_once("<MsgDefIdr>").unwrap();
        definitions.push(rest[..8].to_owned());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/iso20022.sh");
    let output = Command::new(script).args(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    definitions.sort();
    definitions.dedup();
    definitions
}

/// Settled, rejected, asked about, recalled in vain and with success.
async fn every_message(platform: &Platform, currency: &str) {
    let client = platform.client();
    let (_, opened) =
        client.post("/v1/accounts", json!({ "owner_name": "Søren & Søn <ApS>", "currency": currency })).await;
    let account: Uuid = opened["account_id"].as_str().unwrap().parse().unwrap();
    let money = |minor: i64| json!({ "amount": minor.to_string(), "currency": currency });
    client.post(&format!("/v1/accounts/{account}/deposits"), json!({ "amount": money(10_000) })).await;
    let pay = async |client: &Client, minor: i64| -> Uuid {
        let to = json!({ "iban": crate::harness::OTHER_BANK, "name": "Muster \"GmbH\" & Co" });
        let transfer =
            json!({ "from_account": account, "to": to, "amount": money(minor), "remittance": "a < b" });
        let (status, answer) = client.post("/v1/transfers", transfer).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        answer["transfer_id"].as_str().unwrap().parse().unwrap()
    };
    client.order_fault(json!({ "kind": "reject", "count": 1 })).await;
    let rejected = pay(&client, 101).await;
    client.until(rejected, "failed").await;
    client.order_fault(json!({ "kind": "lose_answer", "count": 1 })).await;
    let asked = pay(&client, 102).await;
    client.until(asked, "succeeded").await;
    client.order_fault(json!({ "kind": "malformed", "count": 1 })).await;
    let garbled = pay(&client, 103).await;
    client.until(garbled, "succeeded").await;
    let mut connection = platform.instant.superuser_connection().await;
    let unread: i64 = sqlx::query_scalar("select count(*) from event where type = 'MessageUnmatched'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(unread, 1, "what could not be read is kept");
    client.order_fault(json!({ "kind": "reject_recall", "count": 1 })).await;
    for (transfer, status) in [(asked, "rejected"), (garbled, "accepted")] {
        client.post(&format!("/v1/transfers/{transfer}/recall"), json!({ "reason_code": "DUPL" })).await;
        eventually("the recall is answered", async || {
            let (_, answer) = client.get(&format!("/v1/transfers/{transfer}")).await;
            (answer["recall"]["status"] == status).then_some(())
        })
        .await;
    }
    others_pay(platform, &client, account, currency).await;
    settle_down(platform, &[rejected, asked, garbled]).await;
}

/// Accepted, asked about, refused, and sent back.
async fn others_pay(platform: &Platform, client: &Client, account: Uuid, currency: &str) {
    let (_, opened) = client.get(&format!("/v1/accounts/{account}")).await;
    let own_name = if currency == "USD" { "021040078" } else { "LUNADK22XXX" };
    let order = |iban: &str| {
        json!({
            "amount": "250", "currency": currency, "creditor_iban": iban, "remittance": "a < b",
            "to": own_name, "deliver_to": format!("{}/iso20022", platform.adapter_url)
        })
    };
    client.order_fault(json!({ "kind": "lose_answer", "count": 1 })).await;
    client.order_payment(order(opened["iban"].as_str().unwrap())).await;
    client.until_incoming("credited", 1).await;
    client.order_fault(json!({ "kind": "settle_anyway", "count": 1 })).await;
    client.order_payment(order("DE89370400440532013000")).await;
    client.until_incoming("returned", 1).await;
}

const FROM_OTHERS: [&str; 4] = ["pacs.002", "pacs.004", "pacs.008", "pacs.028"];
const ALL: [&str; 6] = ["camt.029", "camt.056", "pacs.002", "pacs.004", "pacs.008", "pacs.028"];

#[tokio::test(flavor = "multi_thread")]
async fn every_message_of_the_nordic_rail_is_valid_to_others() {
    let platform = Platform::start(Transport::Embedded).await;
    every_message(&platform, "DKK").await;
    assert_eq!(read_by_others(&platform, "submission").await, ALL);
    assert_eq!(read_by_others(&platform, "inbound").await, FROM_OTHERS);
    platform.stop().await;
}

/// Another rail is data: no code of saga or account knows of it.
#[tokio::test(flavor = "multi_thread")]
async fn every_message_of_an_american_rail_is_valid_to_others() {
    let settings = &["instant.profile=fednow", "instant.own_name=021040078", "instant.house_name=021150706"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    every_message(&platform, "USD").await;
    assert_eq!(read_by_others(&platform, "submission").await, ALL);
    assert_eq!(read_by_others(&platform, "inbound").await, FROM_OTHERS);
    // What that rail cannot carry is rejected before anything is sent.
    let client = platform.client();
    let account = client.account(1_000).await;
    let foreign = client.pay(account, 100).await;
    client.until(foreign, "failed").await;
    assert_eq!(client.balances(account).await.2, "1000");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_belongs_to_nothing_is_kept_once() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    let transfer = client.pay(account, 100).await;
    client.until(transfer, "succeeded").await;
    let answer =
        kept(&platform, "submission").await.into_iter().find(|message| message.contains("pacs.002")).unwrap();
    let send = async |body: Vec<u8>| {
        let request = client.http.post(format!("{}/iso20022", platform.adapter_url)).body(body);
        request.send().await.unwrap().status()
    };
    let id = transfer.simple().to_string();
    let stranger = answer.replace(&id, &Uuid::nil().simple().to_string());
    for body in [b"<\x00\xff>".to_vec(), stranger.clone().into_bytes(), stranger.into_bytes()] {
        assert_eq!(send(body).await, StatusCode::NO_CONTENT);
    }
    // The same answer once more is a duplicate of a payment of ours.
    assert_eq!(send(answer.into_bytes()).await, StatusCode::NO_CONTENT);
    assert_eq!(send(vec![0; 500_000]).await, StatusCode::NO_CONTENT);
    assert_eq!(send(vec![b'x'; 2_000_000]).await, StatusCode::PAYLOAD_TOO_LARGE);
    let mut connection = platform.instant.superuser_connection().await;
    let kept: Vec<(Value,)> =
        sqlx::query_as("select data from event where type = 'MessageUnmatched' order by data->>'reason'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let reasons: Vec<&str> = kept.iter().map(|(data,)| data["reason"].as_str().unwrap()).collect();
    let too_large = "it cannot be read: the message has more than 65536 bytes";
    let unread = "it cannot be read: the message is not UTF-8";
    assert_eq!(reasons, [too_large, unread, "no such payment, of such an amount, was submitted or offered"]);
    let duplicates: i64 = sqlx::query_scalar("select count(*) from event where type = 'AnswerDuplicated'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(duplicates, 1);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deprecated_version_is_published_beside_its_successor_and_says_so() {
    let settings = &["contracts.deprecated=payment.v1,clearing.v1"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    let transfer = client.pay(account, 100).await;
    client.until(transfer, "succeeded").await;
    client.order_return(json!({ "count": 1 })).await;
    client.until(transfer, "returned").await;
    let read = async |base: &str, contract: &str| {
        let url = format!("{base}/v1/external/{contract}/streams/{transfer}/events");
        let response = client.http.get(url).bearer_auth(KEY).send().await.unwrap();
        let headers = response.headers().clone();
        let page: Value = response.json().await.unwrap();
        let events = page["events"].as_array().cloned().unwrap_or_default();
        (headers, events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    let (_, new) = read(&platform.adapter_url, "clearing/v2").await;
    assert_eq!(new, ["PaymentSettled", "PaymentReturned"]);
    let (headers, old) = read(&platform.adapter_url, "clearing/v1").await;
    assert_eq!(old, ["PaymentSettled"]);
    assert_eq!(headers["sunset"], "Thu, 01 Jul 2027 00:00:00 GMT");
    assert_eq!(headers["link"], "</v1/external/clearing/v2/streams>; rel=\"successor-version\"");
    assert!(headers["deprecation"].to_str().unwrap().starts_with('@'));
    let (headers, old) = read(&platform.api_url, "payment/v1").await;
    assert!(old == ["PaymentSubmitted"] && headers.contains_key("sunset"));
    for service in ["core", "adapter-instant"] {
        let (code, text) = platform.lunaria(&["streams", "verify-derived", service]);
        assert!(code == 0 && text.contains(".v1: 1 events"), "{text}");
    }
    let metrics = client.http.get(format!("{}/metrics", platform.ops_urls["serve"])).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let read =
        "lunaria_deprecated_contract_reads_total{service=\"adapter-instant\",contract=\"clearing.v1\"} 1";
    assert!(metrics.contains(read), "{metrics}");
    platform.stop().await;
}
