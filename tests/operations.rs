//! What those who run it see and do: metrics, readiness, pause and resume, by HTTP and by the command line.

use std::collections::BTreeSet;

use reqwest::{Client, StatusCode};
use serde_json::Value;
use testbed::eventually;

use crate::harness::{LUNARIA, OPS_TOKEN, Platform, Process, Record, Transport, read_all};
use crate::monitoring::METRICS;

async fn metrics(url: &str) -> String {
    reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap()
}

/// The value of the series whose line begins so.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series))?;
    line.trim().parse().ok()
}

async fn json(url: String) -> (StatusCode, Value) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn order(url: String, token: Option<&str>) -> (StatusCode, Value) {
    let request = Client::new().post(url);
    let request = token.map_or(request.try_clone().unwrap(), |token| request.bearer_auth(token));
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_counted() {
    let platform = Platform::start(Transport::Kafka).await;
    let client = platform.client();
    let account = client.account(10_000).await;
    let transfer = client.pay(account, 2_500).await;
    client.until(transfer, "succeeded").await;

    let relay = &platform.ops_urls["relay-core"];
    eventually("the relay has counted", async || {
        let told = metrics(relay).await;
        let events = value(&told, r#"lunaria_relay_events_total{service="core"}"#)?;
        let acknowledged = value(&told, r#"lunaria_relay_commit_to_ack_seconds_count{service="core"}"#)?;
        (events >= 8.0 && acknowledged >= 4.0).then_some(())
    })
    .await;
    let told = metrics(relay).await;
    assert_eq!(value(&told, r#"lunaria_relay_state{service="core",state="relaying"}"#), Some(1.0), "{told}");
    assert_eq!(value(&told, r#"lunaria_relay_state{service="core",state="halted"}"#), Some(0.0), "{told}");
    let handlers = metrics(&platform.ops_urls["handlers"]).await;
    let handled = r#"lunaria_handler_handled_total{service="core",handler="transfer.reservations"}"#;
    assert!(value(&handlers, handled).is_some_and(|handled| handled >= 3.0), "{handlers}");

    // What the dashboard shows is there, but for what only a limit on the slot or a halt brings about.
    let names = |text: &str| -> BTreeSet<String> {
        text.lines()
            .filter_map(|line| Some(line.strip_prefix("# TYPE ")?.split(' ').next()?.to_owned()))
            .collect()
    };
    let mut exported: BTreeSet<String> = [told, handlers].iter().flat_map(|told| names(told)).collect();
    for process in ["serve", "adapter", "adapter-card"] {
        exported.extend(names(&metrics(&platform.ops_urls[process]).await));
    }
    let missing: Vec<&str> = METRICS.into_iter().filter(|name| !exported.contains(*name)).collect();
    assert_eq!(
        missing,
        ["lunaria_relay_halts_total", "lunaria_slot_safe_bytes", "lunaria_slot_seconds_to_invalidation"]
    );
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_is_paused_over_http_and_resumed_on_the_command_line() {
    let platform = Platform::start(Transport::Kafka).await;
    let client = platform.client();
    let account = client.account(10_000).await;
    let relay = platform.ops_urls["relay-core"].clone();
    eventually("the relay is ready", async || {
        (json(format!("{relay}/readyz")).await.0 == StatusCode::OK).then_some(())
    })
    .await;

    for token in [None, Some("a guess of the tests")] {
        let (status, problem) = order(format!("{relay}/relays/core/pause"), token).await;
        assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &"unauthorized".into()));
    }
    let (status, problem) = order(format!("{relay}/relays/nobody/pause"), Some(OPS_TOKEN)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &"relay-unknown".into()));
    let (status, done) = order(format!("{relay}/relays/core/pause"), Some(OPS_TOKEN)).await;
    assert_eq!((status, &done["changed"]), (StatusCode::OK, &true.into()), "{done}");
    eventually("the relay is paused", async || {
        let (_, shown) = json(format!("{relay}/relays/core")).await;
        (shown["phase"] == "paused" && shown["active_pid"].is_null()).then_some(())
    })
    .await;
    let (status, ready) = json(format!("{relay}/readyz")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{ready}");
    assert_eq!(ready["reasons"]["relay core"], "paused by an operator");

    let transfer = client.pay(account, 100).await;
    let (code, text) = platform.lunaria(&["relay", "status", "core", "--json"]);
    assert_eq!(code, 0, "{text}");
    let overview: Value = serde_json::from_str(&text).unwrap();
    assert!(overview["is_paused"] == true && overview["lag_bytes"].as_u64() > Some(0), "{text}");
    let (code, text) = platform.lunaria(&["relay", "resume", "core"]);
    assert!(code == 0 && text.contains("goes on"), "{text}");
    client.until(transfer, "succeeded").await;
    let (code, text) = platform.lunaria(&["relay", "status", "core"]);
    assert!(code == 0 && text.contains("read by server process"), "{text}");
    let (code, text) = platform.lunaria(&["relay", "doctor", "core"]);
    assert!(code == 0 && !text.contains("FAIL"), "{text}");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_services_publish_is_what_follows_from_their_events() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(10_000).await;
    for _ in 0..5 {
        let transfer = client.pay(account, 100).await;
        client.until(transfer, "succeeded").await;
    }
    for (service, contracts) in
        [("core", vec![("payment.v2", 5), ("account.v1", 11)]), ("adapter-instant", vec![("clearing.v2", 5)])]
    {
        for (contract, events) in contracts {
            eventually("all is derived, and as it has to be", async || {
                let (code, text) = platform.lunaria(&["streams", "verify-derived", service, "--json"]);
                let told = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
                let told = told.into_iter().find(|told| told["contract"] == contract)?;
                assert!(code == 0 && told["differences"] == serde_json::json!([]), "{text}");
                (told["events"] == events && told["waiting"] == 0).then_some(())
            })
            .await;
        }
    }
    let (status, served) = json(format!("{}/v1/external/asyncapi.json", platform.api_url)).await;
    assert_eq!(status, StatusCode::OK);
    let (code, printed) = platform.lunaria(&["streams", "asyncapi"]);
    assert!(code == 0 && serde_json::from_str::<Value>(&printed).unwrap() == served, "{printed}");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_waits_for_a_kafka_that_is_not_there_yet() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("relay.log");
    let settings = ["transport=kafka", "kafka.brokers=127.0.0.1:1", "ops.listen=127.0.0.1:0"];
    let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let arguments = [&arguments[..], &["relay", "run", "core"]].concat();
    let (relay, urls) = Process::start(LUNARIA, &arguments, &[], &log, 1);
    eventually("it says what it waits for", async || {
        std::fs::read_to_string(&log).unwrap().contains("waiting for Kafka").then_some(())
    })
    .await;
    let (status, ready) = json(format!("{}/readyz", urls[0])).await;
    assert_eq!(
        (status, &ready["reasons"]["relay core"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"no session".into())
    );
    assert!(relay.interrupt());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nobody_administers_over_http() {
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", &["ops.token="]).await;
    let ops = &platform.ops_urls["serve"];
    let (status, problem) = order(format!("{ops}/relays/core/pause"), Some(OPS_TOKEN)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &"administration-closed".into()));
    let (_, relays) = json(format!("{ops}/relays")).await;
    assert_eq!(relays, serde_json::json!(["core", "adapter-instant", "adapter-card"]));
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_refills_when_it_is_asked_to_and_history_is_replayed_beside_it() {
    let platform = Platform::start(Transport::Kafka).await;
    let client = platform.client();
    let account = client.account(10_000).await;
    client.until(client.pay(account, 100).await, "succeeded").await;

    let (code, text) = platform.lunaria(&["relay", "refill", "core"]);
    assert!(code == 1 && text.contains("stop that relay before a refill"), "{text}");
    let relay = platform.ops_urls["relay-core"].clone();
    let (_, before) = json(format!("{relay}/relays/core")).await;
    let (status, requested) = order(format!("{relay}/relays/core/refill"), Some(OPS_TOKEN)).await;
    assert_eq!((status, &requested["requested"]), (StatusCode::ACCEPTED, &"refill".into()));
    eventually("the relay has refilled and goes on", async || {
        let (_, shown) = json(format!("{relay}/relays/core")).await;
        let is_over = shown["refill_needed"].is_null() && shown["phase"] == "relaying";
        (is_over && shown["sessions"].as_i64() > before["sessions"].as_i64()).then_some(())
    })
    .await;
    client.until(client.pay(account, 200).await, "succeeded").await;

    let stream = format!("account-{account}");
    let topic = format!("{}replayed", platform.topic_prefix);
    let replay = ["relay", "replay", "core", "--to", &topic, "--stream", &stream];
    let (code, text) = platform.lunaria(&[&replay[..], &["--dry-run"]].concat());
    assert!(code == 0 && text.contains(&format!("events would be sent to {topic}")), "{text}");
    let (code, text) = platform.lunaria(&replay);
    assert_eq!(code, 0, "{text}");
    let (replayed, relayed) = (read_all(&topic), read_all(&format!("{}core.account", platform.topic_prefix)));
    let of_stream = relayed.iter().filter(|record| record.key == stream);
    let facts = |record: &Record| (record.headers["ce_id"].clone(), record.value.clone());
    assert_eq!(replayed.iter().map(facts).collect::<Vec<_>>(), of_stream.map(facts).collect::<Vec<_>>());

    let (code, text) = platform.lunaria(&["relay", "topics", "core", "--dry-run"]);
    assert!(code == 0 && text.lines().all(|line| line.starts_with("ok ")), "{text}");
    platform.stop().await;
}
