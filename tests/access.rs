//! Who may do what: every operation of the served document, asked for by every role, by nobody, and with an unknown key.

use std::collections::BTreeSet;
use std::process::Command;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Client, KEY, LUNARIA, Platform, Transport, file};

const ROLES: [(&str, &str); 6] = [
    ("customer", "the-key-of-a-customer"),
    ("service", "the-key-of-a-service"),
    ("operator", "the-key-of-an-operator"),
    ("approver", "the-key-of-an-approver"),
    ("auditor", "the-key-of-an-auditor"),
    ("admin", "the-key-of-an-admin"),
];
const SETTINGS: [&str; 13] = [
    "api.keys.customer.roles=customer",
    "api.keys.customer.customer=0198c1f2-0000-7000-8000-000000000001",
    "api.keys.customer.secret=the-key-of-a-customer",
    "api.keys.service.roles=service",
    "api.keys.service.secret=the-key-of-a-service",
    "api.keys.operator.roles=operator",
    "api.keys.operator.secret=the-key-of-an-operator",
    "api.keys.approver.roles=approver",
    "api.keys.approver.secret=the-key-of-an-approver",
    "api.keys.auditor.roles=auditor",
    "api.keys.auditor.secret=the-key-of-an-auditor",
    "api.keys.admin.roles=admin",
    "api.keys.admin.secret=the-key-of-an-admin",
];

/// Method, path and roles of each operation; no roles: anybody.
fn matrix(document: &Value) -> Vec<(Method, String, BTreeSet<String>)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let roles = operation["security"][0]["key"].as_array();
            let roles = roles.into_iter().flatten().map(|role| role.as_str().unwrap().to_owned()).collect();
            let path = path.replace("{id}", &Uuid::nil().to_string());
            let path =
                path.replace("{contract}", "payment").replace("{version}", "v2").replace("{name}", "none");
            found.push((method.to_uppercase().parse().unwrap(), path, roles));
        }
    }
    found
}

async fn ask(client: &Client, method: &Method, path: &str, key: Option<&str>) -> (StatusCode, Value) {
    let request = client.http.request(method.clone(), format!("{}{path}", client.api));
    let request = request.header("Idempotency-Key", Uuid::now_v7().to_string()).json(&json!({}));
    let request = match key {
        Some(key) => request.bearer_auth(key),
        None => request,
    };
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_is_for_its_roles_and_for_nobody_else() {
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", &SETTINGS).await;
    let client = platform.client();
    let (status, document) = ask(&client, &Method::GET, "/openapi.json", None).await;
    assert_eq!(status, StatusCode::OK);
    // The document follows from the table that is enforced; what must hold whatever that says:
    let only = |roles: &[&str]| roles.iter().map(|role| (*role).to_owned()).collect::<BTreeSet<String>>();
    for (method, path, roles) in matrix(&document) {
        let is_decision = path.ends_with("/approve") || path.ends_with("/deny");
        let makes_money =
            method == Method::POST && (path.ends_with("/deposits") || path.ends_with("/transfers"));
        assert!(!is_decision || roles == only(&["approver"]), "{path}");
        let payers =
            if path.ends_with("/deposits") { only(&["service"]) } else { only(&["customer", "service"]) };
        assert!(!makes_money || roles == payers, "{path}");
        assert!(method == Method::GET || !roles.contains("auditor") && !roles.is_empty(), "{method} {path}");
        assert!(!roles.is_empty() || path.ends_with("asyncapi.json"), "{path} is open");
        let is_raw = path.starts_with("/v1/events") || path.starts_with("/v1/streams");
        assert!(!is_raw || roles == only(&["operator", "auditor"]), "{path}");
    }
    let (mut allowed, mut refused) = (0, 0);
    for (method, path, roles) in matrix(&document) {
        for key in [None, Some("the-key-of-somebody-else")] {
            let (status, problem) = ask(&client, &method, &path, key).await;
            let is_refused = status == StatusCode::UNAUTHORIZED && problem["code"] == "unauthorized";
            assert_eq!(is_refused, !roles.is_empty(), "{method} {path} with {key:?}: {status} {problem}");
        }
        for (role, key) in ROLES {
            let (status, problem) = ask(&client, &method, &path, Some(key)).await;
            let may = roles.is_empty() || roles.contains(role);
            let is_refused = status == StatusCode::FORBIDDEN && problem["code"] == "forbidden";
            assert_eq!(is_refused, !may, "{method} {path} as {role}: {status} {problem}");
            assert!(
                status != StatusCode::UNAUTHORIZED && !status.is_server_error(),
                "{method} {path}: {status}"
            );
            if may { allowed += 1 } else { refused += 1 }
        }
    }
    assert!(allowed > 80 && refused > 30, "{allowed} allowed, {refused} refused");
    // Nothing has come of all this.
    let mut connection = platform.core_database().await;
    let events: i64 =
        sqlx::query_scalar("select count(*) from event").fetch_one(&mut connection).await.unwrap();
    assert_eq!(events, 0);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_stands_in_the_events_and_keys_of_one_are_not_keys_of_another() {
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", &SETTINGS).await;
    let (all, service) = (platform.client(), platform.client().with_key("the-key-of-a-service"));
    let opened = json!({ "owner_name": "Ada Lund", "currency": "DKK" });
    let mut accounts = BTreeSet::new();
    for client in [&service, &all, &service] {
        let answer = client.send("/v1/accounts", "one key", &opened).await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        accounts.insert(answer.json::<Value>().await.unwrap()["account_id"].to_string());
    }
    assert_eq!(accounts.len(), 2, "two principals, one key each, and one repetition");
    let account = service.account(1_000).await;
    let transfer = service.pay(account, 100).await;
    let (_, story) = all.get(&format!("/v1/transfers/{transfer}/events")).await;
    assert_eq!(story["events"][0]["metadata"]["actor"], "api:service");
    platform.stop().await;
}

/// What a newcomer reads: it is served from here, with everything that it needs.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_the_errors_are_served_to_anybody() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let text = async |path: &str| {
        let response = client.http.get(format!("{}{path}", client.api)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.text().await.unwrap()
    };
    let page = text("/docs").await;
    assert!(page.contains("swagger-ui"), "{page}");
    for part in page.split(['"', '\'']).filter(|part| part.starts_with("./")) {
        assert!(!text(&format!("/docs/{}", &part[2..])).await.is_empty());
    }
    assert!(!page.contains("https://"), "it loads something from elsewhere: {page}");
    let errors: Value = serde_json::from_str(&text("/errors").await).unwrap();
    for error in errors["errors"].as_array().unwrap() {
        let described: Value = serde_json::from_str(&text(error["type"].as_str().unwrap()).await).unwrap();
        assert_eq!(described, *error);
    }
    platform.stop().await;
}

/// A change of the API shows in review. `UPDATE_OPENAPI=1` writes the document anew.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_the_published_one() {
    let platform = Platform::start(Transport::Embedded).await;
    let (_, document) = ask(&platform.client(), &Method::GET, "/openapi.json", None).await;
    let (published, text) = (file("crates/api/openapi.json"), format!("{document:#}\n"));
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&published, &text).unwrap();
    }
    assert!(std::fs::read_to_string(published).unwrap() == text, "UPDATE_OPENAPI=1 writes it anew");
    platform.stop().await;
}

/// Whatever the document allows is answered as it says, and what it does not allow is refused: never a fault.
#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing() {
    let platform = Platform::start(Transport::Embedded).await;
    let (script, url) = (file("scripts/schemathesis.sh"), platform.api_url.clone());
    let asked = tokio::task::spawn_blocking(move || {
        Command::new(script)
            .args([&url, KEY, "--max-examples", "25", "--generation-deterministic"])
            .output()
            .unwrap()
    });
    let output = asked.await.unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_waits_and_nobody_else_does() {
    let settings = &["api.requests_per_second=1"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let mut refused = None;
    for _ in 0..20 {
        let answer = client.request(Method::GET, "/v1/cases").send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("one of twenty at once is too many");
    assert_eq!(refused.headers()["retry-after"], "1");
    let problem: Value = refused.json().await.unwrap();
    assert_eq!((&problem["code"], &problem["retryable"]), (&json!("too-many-requests"), &json!(true)));
    let other = client.with_key(crate::harness::APPROVER_KEY).get("/v1/cases").await;
    assert_eq!(other.0, StatusCode::OK);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_a_browser_to_be_careful() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    for (path, policy) in [
        ("/v1/cases", "default-src 'none'"),
        ("/nowhere", "default-src 'none'"),
        ("/docs/", "default-src 'self'"),
    ] {
        let answer = client.request(Method::GET, path).send().await.unwrap();
        let headers = answer.headers();
        assert!(
            headers["x-content-type-options"] == "nosniff" && headers["x-frame-options"] == "DENY",
            "{path}"
        );
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with(policy), "{path}");
        assert_eq!(headers.get("cache-control").is_some_and(|value| value == "no-store"), path != "/docs/");
    }
    platform.stop().await;
}
