//! One key, one effect; wrong input, clear errors.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::eventually;
use uuid::Uuid;

use crate::harness::{Client, OTHER_BANK, Platform, Transport, transfer};

fn other_bank() -> Value {
    json!({ "iban": OTHER_BANK, "name": "Muster GmbH" })
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_identical_requests_make_one_transfer_and_one_answer() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(100_000).await;
    let body = transfer(account, other_bank(), 100);
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (client, body) = (client.clone(), body.clone());
        requests.spawn(async move {
            let response = client.send("/v1/transfers", "\"the-same-key\"", &body).await.unwrap();
            let replayed = response.headers().contains_key("idempotency-replayed");
            (response.status(), replayed, response.bytes().await.unwrap())
        });
    }
    let answers = requests.join_all().await;
    assert!(answers.iter().all(|(status, _, _)| *status == StatusCode::CREATED));
    assert!(answers.iter().all(|(_, _, body)| *body == answers[0].2), "the answers differ");
    assert_eq!(answers.iter().filter(|(_, replayed, _)| !replayed).count(), 1);
    let mut connection = platform.core_database().await;
    let count: i64 = sqlx::query_scalar("select count(*) from event where type = 'Requested'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(count, 1);

    let other = transfer(account, other_bank(), 101);
    let response = client.send("/v1/transfers", "the-same-key", &other).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let problem: Value = response.json().await.unwrap();
    assert_eq!(
        (&problem["code"], &problem["pointer"]),
        (&json!("idempotency-key-reused"), &json!("/amount/amount"))
    );
    platform.stop().await;
}

/// Of two requests with one key, one waits, as long as it likes, and hears then that the other is not answered yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_key_is_under_way_is_told_so() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(100_000).await;
    let body = transfer(account, other_bank(), 100);
    let mut holder = platform.core.superuser_connection().await;
    sqlx::raw_sql("begin; lock table event in exclusive mode").execute(&mut holder).await.unwrap();
    let first = {
        let (client, body) = (client.clone(), body.clone());
        tokio::spawn(async move { client.send("/v1/transfers", "slow", &body).await.unwrap() })
    };
    until_somebody_waits(&platform).await;
    let begun = std::time::Instant::now();
    let second = client.send("/v1/transfers", "slow", &body).await.unwrap();
    assert_eq!(
        (second.status(), &second.headers()["retry-after"]),
        (StatusCode::CONFLICT, &"1".parse().unwrap())
    );
    let problem: Value = second.json().await.unwrap();
    assert_eq!((&problem["code"], &problem["retryable"]), (&json!("request-running"), &json!(true)));
    let request = client.request(Method::POST, "/v1/transfers").header("Idempotency-Key", "slow").json(&body);
    let patient = tokio::spawn(request.header("Prefer", "wait=8").send());
    let request = client.request(Method::POST, "/v1/transfers").header("Idempotency-Key", "slow").json(&body);
    let third = request.header("Prefer", "wait=1").send().await.unwrap();
    assert_eq!(third.status(), StatusCode::CONFLICT);
    assert!(begun.elapsed() > std::time::Duration::from_secs(1));
    // Other keys of the same account are no concern of it.
    sqlx::raw_sql("commit").execute(&mut holder).await.unwrap();
    let first = first.await.unwrap();
    assert_eq!(first.status(), StatusCode::CREATED);
    let answer = first.bytes().await.unwrap();
    let patient = patient.await.unwrap().unwrap();
    assert_eq!(
        (patient.status(), &patient.headers()["idempotency-replayed"]),
        (StatusCode::CREATED, &"true".parse().unwrap())
    );
    assert_eq!(patient.bytes().await.unwrap(), answer);
    platform.stop().await;
}

async fn until_somebody_waits(platform: &Platform) {
    eventually("a request waits for the lock", async || {
        let mut connection = platform.core.superuser_connection().await;
        let waits: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        waits.then_some(())
    })
    .await;
}

/// What is read has a version; what is asked because of it is done only while it has.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_changed_meanwhile_is_left_alone() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(100_000).await;
    let (path, deposits) = (format!("/v1/accounts/{account}"), format!("/v1/accounts/{account}/deposits"));
    let read = client.request(Method::GET, &path).send().await.unwrap();
    let version = read.headers()["etag"].clone();
    assert_eq!(version, "\"2\"");
    let deposit = |key: &'static str, version: &str| {
        let body = json!({ "amount": { "amount": "1000", "currency": "DKK" } });
        client
            .request(Method::POST, &deposits)
            .header("Idempotency-Key", key)
            .header("If-Match", version)
            .json(&body)
    };
    let first = deposit("one", "\"2\"").send().await.unwrap();
    assert_eq!(first.status(), StatusCode::CREATED);
    let second = deposit("two", "\"2\"").send().await.unwrap();
    assert_eq!(second.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(second.json::<Value>().await.unwrap()["code"], "version-changed");
    // The first one's answer stays its answer, although the version is another one now; with another version it is another request.
    let again = deposit("one", "\"2\"").send().await.unwrap();
    assert_eq!(
        (again.status(), again.headers().contains_key("idempotency-replayed")),
        (StatusCode::CREATED, true)
    );
    let other = deposit("one", "\"3\"").send().await.unwrap();
    assert_eq!(other.json::<Value>().await.unwrap()["pointer"], "/if_match");
    assert_eq!(deposit("three", "*").send().await.unwrap().status(), StatusCode::CREATED);
    for wrong in ["W/\"2\"", "\"0\"", "two", "\"2\", \"3\""] {
        let refused = deposit("four", wrong).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
    let open = client
        .request(Method::POST, "/v1/accounts")
        .header("If-Match", "\"1\"")
        .header("Idempotency-Key", "new");
    let refused = open.json(&json!({ "owner_name": "Ada Lund", "currency": "DKK" })).send().await.unwrap();
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "if-match-invalid");
    assert_eq!(client.balances(account).await.0, "102000");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_stays_a_refusal_for_its_key() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(10).await;
    let body = transfer(account, other_bank(), 100);
    let ask = async || {
        let response = client.send("/v1/transfers", "broke", &body).await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    let refused = ask().await;
    assert_eq!(refused.0, StatusCode::UNPROCESSABLE_ENTITY);
    let deposit = json!({ "amount": { "amount": "1000", "currency": "DKK" } });
    client.post(&format!("/v1/accounts/{account}/deposits"), deposit).await;
    assert_eq!(ask().await, refused);
    platform.stop().await;
}

/// The payer's part of it is decided before the payee refuses.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_leaves_nothing_of_what_was_decided_before_it() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let (payer, full) = (client.account(100).await, client.account(i64::MAX).await);
    let body = transfer(payer, json!({ "account_id": full }), 1);
    for _ in 0..2 {
        let response = client.send("/v1/transfers", "too-much", &body).await.unwrap();
        let (status, answer): (_, Value) = (response.status(), response.json().await.unwrap());
        assert_eq!((status.as_u16(), &answer["code"]), (422, &json!("amount-too-large")));
    }
    assert_eq!(client.balances(payer).await, ("100".into(), "0".into(), "100".into()));
    client.pay_to(payer, json!({ "account_id": client.account(1).await }), 1).await;
    assert_eq!(client.balances(payer).await.0, "99");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_get_a_clear_error_and_leave_nothing() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(100).await;
    let with = |pointer: &str, value: Value| {
        let mut body = transfer(account, other_bank(), 1);
        *body.pointer_mut(pointer).unwrap() = value;
        body.to_string()
    };
    let plain = transfer(account, other_bank(), 1).to_string();
    let cases = [
        (with("/amount/amount", json!("0")), "amount-not-positive"),
        (with("/amount/amount", json!("-5")), "amount-not-positive"),
        (with("/amount/amount", json!("9223372036854775808")), "invalid-field"),
        (with("/amount/amount", json!("1e3")), "invalid-field"),
        (with("/amount/amount", json!(5)), "invalid-field"),
        (with("/amount/amount", json!("9223372036854775807")), "insufficient-funds"),
        (with("/amount/currency", json!("XYZ")), "invalid-field"),
        (with("/amount/currency", json!("EUR")), "currency-mismatch"),
        (with("/from_account", json!(Uuid::now_v7())), "account-unknown"),
        (with("/from_account", json!("me")), "invalid-field"),
        (with("/to/iban", json!("DE89370400440532013001")), "invalid-field"),
        (with("/to/iban", iban_of(&client, account).await), "invalid-field"),
        (with("/to/name", json!("A\u{7}B")), "invalid-field"),
        (with("/to/name", json!("\u{202e}\u{200b}")), "invalid-field"),
        (with("/to", json!({})), "invalid-field"),
        (with("/to", json!({ "account_id": account })), "self-transfer"),
        (with("/to", json!({ "account_id": Uuid::now_v7() })), "account-unknown"),
        (with("/to/name", json!("a\u{0}b")), "invalid-json"),
        (plain.replace('}', ",}"), "invalid-json"),
        (plain.replacen("\"to\"", "\"from_account\":\"x\",\"to\"", 1), "invalid-json"),
        (plain.replacen("\"to\"", "\"more\":1,\"to\"", 1), "invalid-field"),
        (String::new(), "invalid-json"),
        ("[".repeat(10_000), "invalid-json"),
        (format!("{{\"a\":\"{}\"}}", "x".repeat(70_000)), "body-too-large"),
    ];
    for (body, code) in cases {
        let (status, problem) = raw(&client, &body).await;
        let shown: String = body.chars().take(200).collect();
        assert_eq!(problem["code"], code, "{status} for {shown}: {problem}");
        assert_eq!(problem["status"], status.as_u16());
        assert!(status.is_client_error());
    }
    let missing = client.request(Method::POST, "/v1/transfers").json(&json!({})).send().await.unwrap();
    assert_eq!(missing.json::<Value>().await.unwrap()["code"], "idempotency-key-missing");
    for path in ["/v1/transfers/nonsense", "/v1/transfers/00000000-0000-0000-0000-000000000000"] {
        assert_eq!(client.get(path).await.1["code"], "transfer-unknown");
    }
    assert_eq!(client.get("/v1/nonsense").await.1["code"], "not-found");
    assert_eq!(client.get("/v1/transfers?limit=0").await.1["code"], "invalid-query");
    assert_eq!(client.get("/v1/cases?subject=transfer-%00").await.1["code"], "invalid-query");
    // Nothing but the refusal for want of money has become a transfer.
    let mut connection = platform.core_database().await;
    let count: i64 = sqlx::query_scalar("select count(*) from event where type = 'Requested'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(count, 1);
    assert_eq!(client.balances(account).await.0, "100");
    platform.stop().await;
}

async fn iban_of(client: &Client, account: Uuid) -> Value {
    client.get(&format!("/v1/accounts/{account}")).await.1["iban"].clone()
}

async fn raw(client: &Client, body: &str) -> (StatusCode, Value) {
    let response = client
        .request(Method::POST, "/v1/transfers")
        .header("Idempotency-Key", Uuid::now_v7().to_string())
        .header("Content-Type", "application/json")
        .body(body.to_owned())
        .send()
        .await
        .unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_pages_through_all_transfers_and_another_service_can_refill_from_the_streams() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(100_000).await;
    for _ in 0..5 {
        client.pay(account, 10).await;
    }
    eventually("the list has all five", async || {
        let (_, page) = client.get(&format!("/v1/transfers?account={account}&status=succeeded")).await;
        (page["transfers"].as_array().unwrap().len() == 5).then_some(())
    })
    .await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = client.get(&format!("/v1/transfers?limit=2{cursor}")).await;
        for listed in page["transfers"].as_array().unwrap() {
            seen.push(listed["transfer_id"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5);

    let (_, page) = client.get(&format!("/v1/external/payment/v2/streams/{}/events?after=0", seen[0])).await;
    let event = &page["events"][0];
    assert_eq!(event["type"], "PaymentSubmitted");
    assert_eq!(event["metadata"]["source"]["stream"], format!("transfer-{}", seen[0]));
    let (_, page) = client.get(&format!("/v1/external/payment/v2/streams/{}/events?after=1", seen[0])).await;
    assert_eq!(page["events"], json!([]));
    let (_, page) = client.get("/v1/external/payment/v2/streams?limit=3").await;
    assert_eq!(page["streams"].as_array().unwrap().len(), 3);
    assert_eq!(client.get("/v1/external/payment/v2/streams/x/events").await.1["code"], "stream-unknown");
    // Internal streams are nobody else's business.
    assert_eq!(client.get("/v1/external/transfer/x/streams").await.1["code"], "stream-unknown");
    platform.stop().await;
}

/// And the same when the answer is given again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_says_where_it_is_read() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let (ada, bo) = (client.account(100_000).await, client.account(1).await);
    let dkk = |minor: i64| json!({ "amount": minor.to_string(), "currency": "DKK" });
    let (_, line) = client.post("/v1/credit-lines", json!({ "limit": dkk(500) })).await;
    let order =
        json!({ "credit_id": line["credit_id"], "from_account": ada, "to_account": bo, "amount": dkk(20) });
    for (path, body) in [
        ("/v1/customers", json!({ "name": "Ada Lund" })),
        ("/v1/accounts", json!({ "owner_name": "Bo", "currency": "DKK" })),
        ("/v1/transfers", transfer(ada, other_bank(), 100)),
        ("/v1/cards", json!({ "account_id": ada })),
        ("/v1/credit-lines", json!({ "limit": dkk(5) })),
        ("/v1/orders", order),
        ("/v1/projections/case.view/verify", json!({})),
    ] {
        let key = Uuid::now_v7().to_string();
        let first = client.send(path, &key, &body).await.unwrap();
        let again = client.send(path, &key, &body).await.unwrap();
        assert!(first.status().is_success(), "{path}: {}", first.text().await.unwrap());
        assert_eq!(first.headers()["location"], again.headers()["location"]);
        let location = first.headers()["location"].to_str().unwrap().to_owned();
        let made: Value = first.json().await.unwrap();
        let read = client.request(Method::GET, &location).send().await.unwrap();
        assert!(read.headers().contains_key("etag"), "{location}");
        let read: Value = read.json().await.unwrap();
        let id = location.rsplit('/').next().unwrap();
        let (name, _) = made.as_object().unwrap().iter().find(|(_, value)| **value == id).unwrap();
        assert_eq!((name.ends_with("_id"), &read[name]), (true, &json!(id)), "{location}");
    }
    platform.stop().await;
}
