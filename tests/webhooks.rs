//! Webhooks: whoever has asked is told, in order, at least once, signed, whatever dies or fails meanwhile.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use testbed::eventually;
use uuid::Uuid;

use crate::harness::{Client, LUNARIA, Platform, Receiver, Transport, Victim};

const SETTINGS: [&str; 3] = [
    "webhooks.signing_key=the-signing-key-of-the-tests-of-webhooks",
    "webhooks.allow_private_addresses=true",
    "webhooks.retry_pause_ms=50",
];

/// What happened so shortly before an endpoint was registered, it may be told too.
const CLOCKS_DIFFER: Duration = Duration::from_millis(5_200);

/// An endpoint at the receiver, which trusts it.
async fn register(client: &Client, receiver: &Receiver, contracts: &[&str]) -> Uuid {
    let body = json!({ "url": receiver.url, "contracts": contracts });
    let (status, endpoint) = client.post("/v1/webhook-endpoints", body).await;
    assert_eq!(status, StatusCode::CREATED, "{endpoint}");
    let id: Uuid = endpoint["endpoint_id"].as_str().unwrap().parse().unwrap();
    trust(client, receiver, id).await;
    id
}

async fn trust(client: &Client, receiver: &Receiver, endpoint: Uuid) {
    let (status, secret) = client.get(&format!("/v1/webhook-endpoints/{endpoint}/secret")).await;
    assert_eq!(status, StatusCode::OK, "{secret}");
    receiver.trust(secret["secret"].as_str().unwrap());
}

async fn tell(client: &Client, endpoint: Uuid, what: &str, body: Value) {
    let (status, answer) = client.post(&format!("/v1/webhook-endpoints/{endpoint}/{what}"), body).await;
    assert_eq!(status, StatusCode::OK, "{what}: {answer}");
}

async fn read(client: &Client, endpoint: Uuid) -> Value {
    client.get(&format!("/v1/webhook-endpoints/{endpoint}")).await.1
}

/// Waits until the endpoint has been told of all events of a stream, each after those before it.
async fn until_told(receiver: &Receiver, stream: &str, first: i64, last: i64) {
    eventually(&format!("{stream} is told to {last}"), async || {
        (receiver.told(stream).last()?.1 == last).then_some(())
    })
    .await;
    let mut seen = first - 1;
    for (_, seq) in receiver.told(stream) {
        assert!(seq <= seen + 1, "{stream}: {seq} after {seen}");
        seen = seen.max(seq);
    }
    assert_eq!(seen, last);
}

/// The same on both transports.
async fn whoever_has_asked_is_told(transport: Transport) {
    let platform = Platform::with(transport, LUNARIA, "", &SETTINGS).await;
    let (client, receiver) = (platform.client(), Receiver::start().await);
    let account = client.account(100_000).await;
    let derived = format!("/v1/external/account/v1/streams/{account}/events");
    tokio::time::sleep(CLOCKS_DIFFER).await;
    eventually("the deposit is published", async || {
        (client.get(&derived).await.1["events"].as_array()?.len() == 1).then_some(())
    })
    .await;
    register(&client, &receiver, &["transfer.v1", "account.v1"]).await;
    let transfer = client.pay(account, 100).await;
    let stream = format!("transfer.v1-{transfer}");
    until_told(&receiver, &stream, 1, 3).await;
    let bodies = receiver.bodies();
    let told: Vec<&Value> = bodies.iter().filter(|body| body["stream"] == json!(stream)).collect();
    let statuses: Vec<&str> = told.iter().map(|body| body["data"]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["pending", "processing", "succeeded"]);
    assert_eq!(told[0]["type"], "transfer.v1.StatusChanged");
    assert_eq!(told[0]["data"]["transfer_id"], json!(transfer));
    // The deposit was before.
    let balances = receiver.told(&format!("account.v1-{account}"));
    assert_eq!(balances.first().map(|(_, seq)| *seq), Some(2), "{balances:?}");
    // Its id is the event's, by which whoever hears it twice knows it.
    let (_, events) = client.get(&format!("/v1/external/transfer/v1/streams/{transfer}/events")).await;
    assert_eq!(events["events"][0]["id"].as_str(), Some(receiver.told(&stream)[0].0.as_str()));
    assert_eq!(receiver.forged(), 0);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_asked_is_told_embedded() {
    whoever_has_asked_is_told(Transport::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_asked_is_told_over_kafka() {
    whoever_has_asked_is_told(Transport::Kafka).await;
}

/// One stream fails and holds back nothing but itself; the process is killed meanwhile; it goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_told_later_and_the_rest_goes_on() {
    let mut platform = Platform::with(Transport::Embedded, LUNARIA, "", &SETTINGS).await;
    let (client, receiver) = (platform.client(), Receiver::start().await);
    let (stubborn, other) = (client.account(100_000).await, client.account(100_000).await);
    // Of before, as far as clocks can tell.
    tokio::time::sleep(CLOCKS_DIFFER).await;
    let endpoint = register(&client, &receiver, &["account.v1"]).await;
    let (failing, fine) = (format!("account.v1-{stubborn}"), format!("account.v1-{other}"));
    receiver.fail(&failing, StatusCode::SERVICE_UNAVAILABLE, 1_000);
    for _ in 0..5 {
        client.pay_to(stubborn, json!({ "account_id": other }), 100).await;
    }
    until_told(&receiver, &fine, 2, 6).await;
    assert!(receiver.told(&failing).is_empty());
    let waiting = eventually("it is said what is wrong", async || {
        let endpoint = read(&client, endpoint).await;
        (endpoint["last_error"].is_string() && endpoint["pending_streams"] == 1).then_some(endpoint)
    })
    .await;
    assert_eq!(waiting["status"], "active");
    assert!(waiting["last_error"].as_str().unwrap().contains("503"), "{waiting}");
    assert!(waiting["failing_since"].is_string());
    platform.kill(Victim::Everything);
    platform.resume().await;
    receiver.fail(&failing, StatusCode::SERVICE_UNAVAILABLE, 2);
    // A claim of the process that was killed may have to end first; whoever cannot wait, resumes.
    tell(&client, endpoint, "pause", json!({ "reason": "a new process" })).await;
    tell(&client, endpoint, "resume", json!({})).await;
    until_told(&receiver, &failing, 2, 6).await;
    eventually("nothing waits", async || {
        let endpoint = read(&client, endpoint).await;
        (endpoint["pending_events"] == 0 && endpoint["last_error"].is_null()).then_some(())
    })
    .await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_is_told_again_and_what_was_missed_is_told_later() {
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", &SETTINGS).await;
    let (client, receiver) = (platform.client(), Receiver::start().await);
    let begun = jiff::Timestamp::now();
    let (ada, bo) = (client.account(100_000).await, client.account(100_000).await);
    tokio::time::sleep(CLOCKS_DIFFER).await;
    let endpoint = register(&client, &receiver, &["account.v1"]).await;
    let stream = format!("account.v1-{ada}");
    // Before there was an endpoint.
    tell(&client, endpoint, "replay", json!({ "since": begun })).await;
    until_told(&receiver, &stream, 1, 1).await;
    tell(&client, endpoint, "pause", json!({ "reason": "it moves" })).await;
    eventually("the pause has come to the courier", async || {
        let (_, list) = client.get("/v1/webhook-endpoints").await;
        (list["webhook_endpoints"][0]["status"] == "paused").then_some(())
    })
    .await;
    client.pay_to(ada, json!({ "account_id": bo }), 100).await;
    eventually("it waits", async || (read(&client, endpoint).await["pending_events"] == 2).then_some(()))
        .await;
    assert_eq!(receiver.told(&stream).len(), 1);
    tell(&client, endpoint, "rotate-secret", json!({})).await;
    tell(&client, endpoint, "resume", json!({})).await;
    // The secret before is still good, beside the new one.
    until_told(&receiver, &stream, 1, 2).await;
    assert_eq!((receiver.signatures(), receiver.forged()), (2, 0));
    trust(&client, &receiver, endpoint).await;
    let before = receiver.told(&stream).len();
    tell(&client, endpoint, "replay", json!({ "since": begun })).await;
    eventually("all is told once more", async || (receiver.told(&stream).len() == before + 2).then_some(()))
        .await;
    assert_eq!(receiver.forged(), 0);
    // Whoever is gone is told nothing more, and everybody can see it.
    receiver.go_away();
    client.pay_to(ada, json!({ "account_id": bo }), 100).await;
    let paused = eventually("the endpoint is paused", async || {
        let endpoint = read(&client, endpoint).await;
        (endpoint["status"] == "paused").then_some(endpoint)
    })
    .await;
    assert!(paused["status_reason"].as_str().unwrap().contains("410"), "{paused}");
    tell(&client, endpoint, "remove", json!({})).await;
    let (status, _) = client.post(&format!("/v1/webhook-endpoints/{endpoint}/resume"), json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    eventually("nothing is kept for it", async || {
        (read(&client, endpoint).await["pending_events"] == 0).then_some(())
    })
    .await;
    platform.stop().await;
}

/// An endpoint that takes its time holds up nobody else, and not even its own other streams.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_slow_is_waited_for_by_nobody_else() {
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", &SETTINGS).await;
    let (client, slow, fast) = (platform.client(), Receiver::start().await, Receiver::start().await);
    let (ada, bo) = (client.account(100_000).await, client.account(100_000).await);
    tokio::time::sleep(CLOCKS_DIFFER).await;
    register(&client, &slow, &["account.v1"]).await;
    register(&client, &fast, &["account.v1"]).await;
    slow.stall(&format!("account.v1-{ada}"), Duration::from_millis(9_500));
    for _ in 0..3 {
        client.pay_to(ada, json!({ "account_id": bo }), 100).await;
    }
    let begun = std::time::Instant::now();
    for (receiver, account) in [(&fast, ada), (&fast, bo), (&slow, bo)] {
        until_told(receiver, &format!("account.v1-{account}"), 2, 4).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    assert!(slow.told(&format!("account.v1-{ada}")).is_empty());
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_us_call_our_own_network() {
    let settings = &["webhooks.signing_key=the-signing-key-of-the-tests-of-webhooks"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    for url in [
        "http://shop.example/",
        "https://127.0.0.1/",
        "https://[::1]:8080/",
        "https://169.254.169.254/latest",
        "shop",
    ] {
        let body = json!({ "url": url, "contracts": ["transfer.v1"] });
        let (status, problem) = client.post("/v1/webhook-endpoints", body).await;
        assert_eq!((status.as_u16(), &problem["pointer"]), (422, &json!("/url")), "{url}: {problem}");
    }
    let body = json!({ "url": "https://shop.example/", "contracts": ["payment.v2"] });
    let (status, problem) = client.post("/v1/webhook-endpoints", body).await;
    assert_eq!((status.as_u16(), &problem["pointer"]), (422, &json!("/contracts")), "{problem}");
    // A name that leads inside is found out when it is called.
    let body = json!({ "url": "https://localhost/hooks", "contracts": ["account.v1"] });
    let (_, endpoint) = client.post("/v1/webhook-endpoints", body).await;
    let endpoint: Uuid = endpoint["endpoint_id"].as_str().unwrap().parse().unwrap();
    eventually("the endpoint is listed", async || {
        let (_, list) = client.get("/v1/webhook-endpoints").await;
        (!list["webhook_endpoints"].as_array()?.is_empty()).then_some(())
    })
    .await;
    client.account(100).await;
    eventually("it is refused", async || {
        let endpoint = read(&client, endpoint).await;
        endpoint["last_error"].as_str()?.contains("not public").then_some(())
    })
    .await;
    platform.stop().await;
}
