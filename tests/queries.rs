//! An account as it was, its statement, and what followed from what.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Client, LUNARIA, OTHER_BANK, Platform, Transport};

fn minor(money: &Value) -> i64 {
    money["amount"].as_str().unwrap().parse().unwrap()
}

async fn balances_at(client: &Client, account: Uuid, query: &str) -> (i64, i64) {
    let (status, answer) = client.get(&format!("/v1/accounts/{account}?{query}")).await;
    assert_eq!(status, StatusCode::OK, "{query}: {answer}");
    (minor(&answer["balances"]["posted"]), minor(&answer["balances"]["reserved"]))
}

async fn code(client: &Client, path: &str) -> String {
    let (status, problem) = client.get(path).await;
    assert!(status.is_client_error(), "{path}: {problem}");
    problem["code"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_seen_as_it_was_and_its_statement_adds_up() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let before = Timestamp::now();
    let (ada, bo) = (client.account(10_000).await, client.account(500).await);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let between = Timestamp::now();
    let (_, booked) =
        client.post("/v1/transfers", crate::harness::transfer(ada, json!({ "account_id": bo }), 3_000)).await;
    assert_eq!(booked["status"], "succeeded");
    let paid = client.pay(ada, 1_200).await;
    client.until(paid, "succeeded").await;

    // Then, and after each event.
    assert_eq!(balances_at(&client, ada, &format!("at={between}")).await, (10_000, 0));
    assert_eq!(balances_at(&client, ada, "").await, (5_800, 0));
    let history = [(0, 0), (10_000, 0), (7_000, 0), (7_000, 1_200), (5_800, 0)];
    for (seq, expected) in (1..).zip(history) {
        assert_eq!(balances_at(&client, ada, &format!("seq={seq}")).await, expected, "seq {seq}");
    }
    assert_eq!(code(&client, &format!("/v1/accounts/{ada}?at={before}")).await, "account-unknown");
    assert_eq!(code(&client, &format!("/v1/accounts/{ada}?seq=0")).await, "invalid-query");
    assert_eq!(code(&client, &format!("/v1/accounts/{ada}?seq=1&at={before}")).await, "conflicting-query");
    assert_eq!(code(&client, &format!("/v1/accounts/{ada}?at=yesterday")).await, "invalid-query");
    assert_eq!(
        code(&client, &format!("/v1/accounts/{ada}?at=-009999-06-01T00:00:00Z")).await,
        "account-unknown"
    );
    assert_eq!(code(&client, &format!("/v1/accounts/{ada}?seq=6")).await, "seq-unknown");

    // Line by line, the newest first, page by page.
    let (mut lines, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = client.get(&format!("/v1/accounts/{ada}/entries?limit=2{cursor}")).await;
        lines.extend(page["entries"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_i64() else { break };
        cursor = format!("&cursor={next}");
    }
    let shown: Vec<(&str, i64, i64)> = lines
        .iter()
        .map(|line| (line["type"].as_str().unwrap(), minor(&line["posted"]), minor(&line["reserved"])))
        .collect();
    assert_eq!(
        shown,
        [
            ("FundsCaptured", -1_200, -1_200),
            ("FundsReserved", 0, 1_200),
            ("Debited", -3_000, 0),
            ("Deposited", 10_000, 0)
        ]
    );
    assert_eq!(lines[2]["reference"], booked["transfer_id"]);

    assert_eq!(code(&client, &format!("/v1/accounts/{}/entries", Uuid::nil())).await, "account-unknown");
    statement_adds_up(&client, ada, between).await;
    platform.stop().await;
}

/// What is on it since `between`, whole and page by page.
async fn statement_adds_up(client: &Client, ada: Uuid, between: Timestamp) {
    let path = format!("/v1/accounts/{ada}/statement?from={between}");
    let (_, first) = client.get(&format!("{path}&limit=1")).await;
    let (_, whole) = client.get(&path).await;
    assert_eq!((minor(&whole["opening"]["posted"]), minor(&whole["closing"]["posted"])), (10_000, 5_800));
    let changes: i64 = whole["entries"].as_array().unwrap().iter().map(|entry| minor(&entry["posted"])).sum();
    assert_eq!(changes, -4_200);
    assert_eq!(first["entries"].as_array().unwrap()[..], whole["entries"].as_array().unwrap()[..1]);
    assert!(first["next_cursor"].is_string() && whole["next_cursor"].is_null());
    // Page by page, in which holds stand between, it is the same; and all pages end where the first one did.
    let (mut entries, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = client.get(&format!("{path}&limit=1{cursor}")).await;
        assert_eq!((&page["opening"], &page["closing"]), (&whole["opening"], &whole["closing"]));
        entries.extend(page["entries"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        if cursor.is_empty() {
            client.account(1).await;
            client
                .post(
                    &format!("/v1/accounts/{ada}/deposits"),
                    json!({ "amount": whole["closing"]["posted"] }),
                )
                .await;
        }
        cursor = format!("&cursor={next}");
    }
    assert_eq!(entries[..], whole["entries"].as_array().unwrap()[..]);
    let (_, empty) = client.get(&format!("{path}&to={between}")).await;
    assert!(empty["entries"].as_array().unwrap().is_empty() && empty["opening"] == empty["closing"]);
    assert_eq!(code(client, &format!("{path}&to=2020-01-01T00:00:00Z")).await, "conflicting-query");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_may_wait_for_their_own_write_and_for_the_end() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(100_000).await;
    let pay = || crate::harness::transfer(account, json!({ "iban": OTHER_BANK, "name": "Muster GmbH" }), 10);
    for n in 0..20 {
        let written = client.send("/v1/transfers", &format!("payment-{n}"), &pay()).await.unwrap();
        let token = written.headers()["consistency-token"].clone();
        // Whoever has lost the answer gets it, and its token, once more.
        let again = client.send("/v1/transfers", &format!("payment-{n}"), &pay()).await.unwrap();
        assert_eq!(again.headers()["consistency-token"], token);
        let id = written.json::<Value>().await.unwrap()["transfer_id"].clone();
        let list = client.request(Method::GET, "/v1/transfers?limit=1").header("Consistency-Token", token);
        let list: Value = list.send().await.unwrap().json().await.unwrap();
        assert_eq!(list["transfers"][0]["transfer_id"], id, "payment {n}: {list}");
    }
    let ask = async |token: &str| {
        let list = client.request(Method::GET, "/v1/transfers").header("Consistency-Token", token);
        list.send().await.unwrap().json::<Value>().await.unwrap()["code"].clone()
    };
    assert_eq!(ask("nonsense").await, "consistency-token-invalid");
    assert_eq!(ask(&format!("transfer-{}@1", Uuid::nil())).await, "consistency-token-unknown");

    let wait = async |transfer: Uuid, preference: &str| {
        let read = client.request(Method::GET, &format!("/v1/transfers/{transfer}"));
        let answer = read.header("Prefer", preference).send().await.unwrap();
        let applied =
            answer.headers().get("preference-applied").map(|value| value.to_str().unwrap().to_owned());
        (answer.json::<Value>().await.unwrap()["status"].clone(), applied)
    };
    let transfer = client.pay(account, 10).await;
    assert_eq!(
        wait(transfer, "respond-async, wait=15").await,
        (json!("succeeded"), Some("wait=8".to_owned()))
    );
    client.order_fault(json!({ "kind": "lose_answer", "for_ms": 60_000 })).await;
    let transfer = client.pay(account, 10).await;
    assert_eq!(wait(transfer, "wait=1").await, (json!("processing"), Some("wait=1".to_owned())));
    assert_eq!(wait(transfer, "Wait = \"0\"; x").await.1, Some("wait=0".to_owned()));
    assert_eq!(wait(transfer, "wait=soon, wait=5").await.1, None);
    client.heal().await;
    client.until(transfer, "succeeded").await;
    platform.stop().await;
}

/// What a watcher has heard, until they hear this.
async fn heard(client: &Client, path: &str, last: Option<&str>, until: &str) -> String {
    let mut request = client.request(Method::GET, path);
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last);
    }
    let mut response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut heard = String::new();
    let hear = async {
        while !heard.contains(until) {
            heard += std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap();
        }
    };
    tokio::time::timeout(testbed::patience(), hear).await.expect("it happens within the limit");
    heard
}

fn ids(heard: &str) -> Vec<i64> {
    heard.lines().filter_map(|line| line.strip_prefix("id:")).map(|id| id.trim().parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_watched_as_it_happens_and_again_from_where_it_was() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(10_000).await;
    client.order_fault(json!({ "kind": "lose_answer", "for_ms": 60_000 })).await;
    let transfer = client.pay(account, 1_200).await;
    let path = format!("/v1/transfers/{transfer}/live");
    let begun = heard(&client, &path, None, "event: SubmissionInitiated").await;
    assert_eq!(ids(&begun)[..2], [1, 2]);
    let last = ids(&begun).pop().unwrap();
    let seen = last.to_string();
    let (rest, ()) = tokio::join!(heard(&client, &path, Some(&seen), "event: Succeeded"), client.heal());
    let rest = ids(&rest);
    assert_eq!(rest, (last + 1..last + 1 + i64::try_from(rest.len()).unwrap()).collect::<Vec<_>>());
    let story = client.story(transfer).await;
    assert_eq!(usize::try_from(last).unwrap() + rest.len(), story.len());
    let of_account = format!("/v1/streams/account-{account}/live");
    assert!(heard(&client, &of_account, None, "event: FundsCaptured").await.contains("\"posted\""));

    let nonsense =
        client.request(Method::GET, &path).header("Last-Event-ID", "yesterday").send().await.unwrap();
    assert_eq!(nonsense.json::<Value>().await.unwrap()["code"], "invalid-query");
    assert_eq!(code(&client, &format!("/v1/transfers/{}/live", Uuid::nil())).await, "transfer-unknown");
    // Who still watches does not hold up the end.
    let watcher = client.request(Method::GET, &path).send().await.unwrap();
    platform.stop().await;
    drop(watcher);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_explained_from_its_request_to_its_end() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(10_000).await;
    let transfer = client.pay(account, 1_200).await;
    client.until(transfer, "succeeded").await;
    // What account.v1 says of the last event comes after that.
    let steps = testbed::eventually("the last derivation is there", async || {
        let (_, timeline) = client.get(&format!("/v1/transfers/{transfer}/timeline")).await;
        let steps = timeline["steps"].as_array().unwrap().clone();
        let last = steps.iter().filter(|step| step["stream"] == format!("account.v1-{account}")).count();
        (last == 2).then_some(steps)
    })
    .await;
    let ids: Vec<&Value> = steps.iter().map(|step| &step["event_id"]).collect();
    for (n, step) in steps.iter().enumerate() {
        let kind = step["caused_by"]["kind"].as_str().unwrap();
        let cause = ids[..n].iter().position(|id| **id == step["caused_by"]["id"]);
        // From a request, from an event before it, or from what the adapter has published.
        let is_from_outside = step["actor"] == "service:core/transfer.clearing" || kind == "request";
        assert!(cause.is_some() || is_from_outside, "{step}");
        let depth = cause.map_or(0, |cause| steps[cause]["depth"].as_u64().unwrap() + 1);
        assert_eq!(step["depth"], depth, "{step}");
    }
    let types: Vec<&str> = steps.iter().map(|step| step["type"].as_str().unwrap()).collect();
    for expected in [
        "Requested",
        "FundsReserved",
        "PaymentSubmitted",
        "ClearingSettled",
        "FundsCaptured",
        "BalanceChanged",
    ] {
        assert!(types.contains(&expected), "{types:?}");
    }
    let (_, events) = client.get(&format!("/v1/events?correlation_id={transfer}")).await;
    assert_eq!(events["events"].as_array().unwrap().len(), steps.len());
    let (_, stream) = client.get(&format!("/v1/streams/transfer-{transfer}/events?after=1&limit=1")).await;
    assert_eq!(stream["events"][0]["seq"], 2);
    assert_eq!(code(&client, "/v1/streams/nonsense/events").await, "stream-unknown");
    assert_eq!(
        code(&client, &format!("/v1/streams/transfer-{}/events", Uuid::nil())).await,
        "stream-unknown"
    );
    platform.stop().await;
}

/// By their kind, by the words in them, and by what caused them; a page at a time.
#[tokio::test(flavor = "multi_thread")]
async fn events_are_found_by_their_kind_and_by_their_words() {
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", &["core.search_events=true"]).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    let to = json!({ "iban": OTHER_BANK, "name": "Bäckerei Núñez" });
    let mut payment = crate::harness::transfer(account, to, 100);
    payment["remittance"] = json!("Invoice 4711");
    let (_, paid) = client.post("/v1/transfers", payment).await;
    let paid: Uuid = paid["transfer_id"].as_str().unwrap().parse().unwrap();
    client.until(paid, "succeeded").await;
    let others = [client.pay(account, 10).await, client.pay(account, 20).await];
    for other in others {
        client.until(other, "succeeded").await;
    }
    let found = async |query: String| {
        let (status, found) = client.get(&format!("/v1/events?{query}")).await;
        assert_eq!(status, 200, "{query}: {found}");
        let event = |event: &Value| {
            format!("{} {}", event["stream"].as_str().unwrap(), event["type"].as_str().unwrap())
        };
        let events: Vec<String> = found["events"].as_array().unwrap().iter().map(event).collect();
        (events, found["next_cursor"].as_str().map(str::to_owned))
    };
    let succeeded = |transfer: Uuid| format!("transfer-{transfer} Succeeded");
    testbed::eventually("all of it is indexed", async || {
        (found("q=4711".to_owned()).await.0.len() == 1).then_some(())
    })
    .await;
    let requested = format!("transfer-{paid} Requested");
    for words in ["núñez", "4711 BÄCK", "invoice&category=transfer", OTHER_BANK] {
        let (events, _) = found(format!("q={words}&type=Requested")).await;
        assert!(events.contains(&requested), "{words}: {events:?}");
    }
    assert_eq!(found("q=4712".to_owned()).await.0, Vec::<String>::new());
    assert_eq!(found("q=4711&category=customer".to_owned()).await.0, Vec::<String>::new());

    let (newest, cursor) = found("category=transfer&type=Succeeded&limit=2".to_owned()).await;
    let (oldest, end) =
        found(format!("category=transfer&type=Succeeded&limit=2&cursor={}", cursor.unwrap())).await;
    assert_eq!((newest.len(), oldest, end), (2, vec![succeeded(paid)], None));
    let (_, first) = client.get(&format!("/v1/streams/transfer-{}/events?limit=1", others[0])).await;
    let before = first["events"][0]["recorded_at"].as_str().unwrap();
    assert_eq!(found(format!("type=Succeeded&recorded_before={before}")).await.0, [succeeded(paid)]);

    let (_, story) = client.get(&format!("/v1/streams/transfer-{paid}/events?limit=1")).await;
    let request = story["events"][0]["causation_id"].as_str().unwrap();
    let (caused, _) = found(format!("causation_id={request}")).await;
    assert_eq!(caused, [format!("account-{account} FundsReserved"), requested]);
    let (narrowed, _) = found(format!("correlation_id={paid}&q=4711&category=transfer")).await;
    assert_eq!(narrowed, [format!("transfer-{paid} Requested")]);
    for query in ["correlation_id=x", "cursor=1", "limit=0"] {
        assert_eq!(code(&client, &format!("/v1/events?{query}")).await, "invalid-query", "{query}");
    }
    platform.stop().await;
}

/// What the events of any aggregate come to, after one of them and at a time.
#[tokio::test(flavor = "multi_thread")]
async fn any_stream_has_a_state_of_now_and_of_then() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    let before = jiff::Timestamp::now();
    let transfer = client.pay(account, 100).await;
    client.until(transfer, "succeeded").await;
    let path = format!("/v1/streams/transfer-{transfer}/state");
    let (_, now) = client.get(&path).await;
    assert_eq!((&now["state"]["status"], &now["seq"]), (&json!("succeeded"), &json!(6)));
    let (_, first) = client.get(&format!("{path}?seq=1")).await;
    assert_eq!((&first["state"]["status"], &first["seq"]), (&json!("requested"), &json!(1)));
    let (status, problem) = client.get(&format!("{path}?seq=7")).await;
    assert_eq!((status.as_u16(), &problem["code"]), (404, &json!("seq-unknown")));
    let (status, problem) = client.get(&format!("{path}?at={before}")).await;
    assert_eq!((status.as_u16(), &problem["code"]), (404, &json!("seq-unknown")));
    let path = format!("/v1/streams/account-{account}/state");
    let (_, then) = client.get(&format!("{path}?at={before}")).await;
    assert_eq!(then["state"]["balances"]["posted"]["amount"], "1000");
    let (_, submission) = client.get(&format!("/v1/streams/key-{transfer}/state")).await;
    assert_eq!(submission["code"], "stream-unknown");
    platform.stop().await;
}
