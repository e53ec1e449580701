//! Payments by card, from the network's question to the last capture.

use reqwest::StatusCode;
use serde_json::{Value, json};
use testbed::eventually;
use uuid::Uuid;

use crate::harness::{Client, LUNARIA, Platform, Transport, Victim, settle_down};

fn order(platform: &Platform, card: Uuid, minor: i64, more: Value) -> Value {
    let mut order = json!({
        "card_id": card, "amount": minor.to_string(), "currency": "DKK",
        "deliver_to": format!("{}/iso8583", platform.card_url),
    });
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    order
}

/// The types of the payment's events.
async fn story(client: &Client, listed: &Value) -> Vec<String> {
    let path = format!("/v1/card-authorisations/{}/events", listed["authorisation_id"].as_str().unwrap());
    let (_, answer) = client.get(&path).await;
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

async fn read(client: &Client, listed: &Value) -> Value {
    let path = format!("/v1/card-authorisations/{}", listed["authorisation_id"].as_str().unwrap());
    client.get(&path).await.1
}

/// The same on both transports.
async fn a_card_spends_what_its_account_has(transport: Transport) {
    let platform = Platform::start(transport).await;
    let client = platform.client();
    let account = client.account(10_000).await;
    let card = client.card(account).await;
    let network_id = client.pay_by_card(order(&platform, card, 4_200, json!({}))).await.remove(0);
    let captured = client.until_card(card, "captured", 1).await.remove(0);
    assert_eq!(client.balances(account).await, ("5800".into(), "0".into(), "5800".into()));
    assert_eq!(story(&client, &captured).await, ["Opened", "Approved", "Captured"]);
    let document = read(&client, &captured).await;
    assert_eq!((&document["network_id"], &document["card_id"]), (&json!(network_id), &json!(card)));
    assert_eq!((&document["captured"]["amount"], &document["held"]["amount"]), (&json!("4200"), &json!("0")));

    client.pay_by_card(order(&platform, card, 5_801, json!({}))).await;
    let declined = client.until_card(card, "declined", 1).await.remove(0);
    assert_eq!(read(&client, &declined).await["response_code"], "51");
    let (status, blocked) = client.post(&format!("/v1/cards/{card}/block"), json!({})).await;
    assert_eq!((status, &blocked["status"]), (StatusCode::OK, &json!("blocked")));
    client.pay_by_card(order(&platform, card, 1, json!({}))).await;
    let declined = client.until_card(card, "declined", 2).await.remove(0);
    assert_eq!(read(&client, &declined).await["response_code"], "62");
    client.post(&format!("/v1/cards/{card}/unblock"), json!({})).await;
    assert_eq!(client.get(&format!("/v1/cards/{card}")).await.1["status"], "active");
    let nobodys = Uuid::now_v7();
    client.pay_by_card(order(&platform, nobodys, 1, json!({}))).await;
    let declined = client.until_card(nobodys, "declined", 1).await.remove(0);
    assert_eq!(read(&client, &declined).await["response_code"], "14");

    settle_down(&platform, &[]).await;
    for service in ["core", "adapter-card"] {
        let (code, text) = platform.lunaria(&["streams", "verify-derived", service]);
        assert_eq!(code, 0, "{text}");
    }
    for (path, code) in [
        (format!("/v1/cards/{account}"), "card-unknown"),
        (format!("/v1/card-authorisations/{account}"), "card-authorisation-unknown"),
        ("/v1/card-authorisations?status=lost".to_owned(), "invalid-query"),
    ] {
        assert_eq!(client.get(&path).await.1["code"], code);
    }
    let (status, problem) = client.post("/v1/cards", json!({ "account_id": card })).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("account-unknown")));
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_spends_what_its_account_has_embedded() {
    a_card_spends_what_its_account_has(Transport::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_spends_what_its_account_has_through_kafka() {
    a_card_spends_what_its_account_has(Transport::Kafka).await;
}

/// What is ordered and charged, how it ends, what becomes of 10,000 (posted, reserved), and what happens.
type Flow = (&'static str, i64, Value, &'static str, (i64, i64), &'static str);

#[rustfmt::skip]
fn flows() -> [Flow; 14] {
    [
        (
            "in parts",
            900,
            json!({ "parts": 3 }),
            "captured",
            (9_100, 0),
            "Approved Captured Captured Captured",
        ),
        ("partial", 12_000, json!({ "partial_approval": 1 }), "captured", (0, 0), "Approved Captured"),
        ("not partial", 12_000, json!({}), "declined", (10_000, 0), "Declined"),
        (
            "increment",
            900,
            json!({ "increment": "100" }),
            "captured",
            (9_000, 0),
            "Approved Incremented Captured",
        ),
        (
            "no increment",
            900,
            json!({ "increment": "9101" }),
            "captured",
            (9_100, 0),
            "Approved IncrementDeclined Captured",
        ),
        ("reversed", 900, json!({ "reverse": "900" }), "reversed", (10_000, 0), "Approved Reversed"),
        (
            "reversed in part",
            900,
            json!({ "reverse": "300" }),
            "captured",
            (9_400, 0),
            "Approved Reversed Captured",
        ),
        ("over-capture", 900, json!({ "capture": "11000" }), "captured", (-1_000, 0), "Approved Captured"),
        (
            "reversed early",
            900,
            json!({ "kind": "reversed_early" }),
            "declined",
            (10_000, 0),
            "Reversed Declined",
        ),
        ("force-post", 11_000, json!({ "kind": "force_post" }), "force_posted", (-1_000, 0), "ForcePosted"),
        (
            "stand-in",
            900,
            json!({ "kind": "stand_in", "capture": "0" }),
            "approved",
            (10_000, 900),
            "StandInApplied",
        ),
        ("stand-in, no", 10_001, json!({ "kind": "stand_in" }), "declined", (10_000, 0), "StandInDeclined"),
        ("refund", 900, json!({ "refund": "200" }), "captured", (9_300, 0), "Approved Captured Refunded"),
        ("unlinked refund", 900, json!({ "kind": "refund" }), "refunded", (10_900, 0), "Refunded"),
    ]
}

/// Each of them with a card of its own.
#[tokio::test(flavor = "multi_thread")]
async fn each_flow_ends_as_it_has_to() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    for (what, minor, more, status, (posted, reserved), events) in flows() {
        let account = client.account(10_000).await;
        let card = client.card(account).await;
        client.pay_by_card(order(&platform, card, minor, more)).await;
        let expected = format!("Opened {events}");
        eventually(&format!("{what}: {expected}"), async || {
            let path = format!("/v1/card-authorisations?status={status}&card={card}");
            let found = client.get(&path).await.1["card_authorisations"][0].clone();
            (found.is_object() && story(&client, &found).await.join(" ") == expected).then_some(())
        })
        .await;
        let balances = (posted.to_string(), reserved.to_string(), (posted - reserved).to_string());
        assert_eq!(client.balances(account).await, balances, "{what}");
    }
    settle_down(&platform, &[]).await;
    platform.stop().await;
}

/// Nothing that is lost, repeated or killed books anything twice, or leaves a hold that nobody can collect.
async fn a_storm_with_faults_and_kills(transport: Transport) {
    const PAYMENTS: usize = 120;
    let mut platform = Platform::start(transport).await;
    let client = platform.client();
    let account = client.account(1_000_000).await;
    let card = client.card(account).await;
    for kind in ["lose_request", "lose_answer", "duplicate"] {
        let fault = json!({ "kind": kind, "count": 60, "percent": 15, "card_id": card });
        client.order_fault(fault).await;
    }
    let storm = json!({ "count": PAYMENTS, "increment": "10", "reverse": "20", "parts": 2, "refund": "5" });
    client.pay_by_card(order(&platform, card, 100, storm)).await;
    let victims = match transport {
        Transport::Embedded => [Victim::Everything, Victim::Everything],
        Transport::Kafka => [Victim::Handlers, Victim::Relays],
    };
    for (n, victim) in victims.into_iter().enumerate() {
        eventually("the storm is under way", async || {
            let lines = client.lines().await;
            let captured = lines.iter().filter(|line| line["card_event"] == "captured").count();
            (captured > n * 20).then_some(())
        })
        .await;
        platform.kill(victim);
        platform.resume().await;
    }
    eventually("the network has got rid of all that it had to say", async || {
        let lines = platform.client().lines().await;
        let count = |field: &str, is_meant: &dyn Fn(&str) -> bool| {
            lines.iter().filter(|line| line[field].as_str().is_some_and(is_meant)).count()
        };
        let ended = |event: &str| event == "refunded" || event == "declined" || event == "stand_in_declined";
        let advices = count("card_event", &|event| {
            !["approved", "declined", "incremented", "increment_declined"].contains(&event)
        });
        let unheard = unheard(&lines);
        let is_over = count("card_event", &ended) + unheard >= PAYMENTS;
        (is_over && count("card_taken", &|_| true) == advices).then_some(())
    })
    .await;
    settle_down(&platform, &[]).await;
    let lines = client.lines().await;
    // Through Kafka, on a busy machine, so many questions at once may all be too late.
    let answered: &[&str] = if transport == Transport::Embedded { &["approved", "incremented"] } else { &[] };
    for event in [answered, &["stand_in_approved", "reversed", "captured", "refunded"]].concat() {
        assert!(lines.iter().any(|line| line["card_event"] == event), "nothing was {event}");
    }
    platform.stop().await;
}

/// Payments whose terminal has not heard the approval, and has given up.
fn unheard(lines: &[Value]) -> usize {
    let has = |id: &Value, event: &str| {
        lines.iter().any(|line| line["transaction_id"] == *id && line["card_event"] == event)
    };
    let reversed = lines.iter().filter(|line| line["card_event"] == "reversed");
    reversed
        .filter(|line| {
            let id = &line["transaction_id"];
            !has(id, "approved") && !has(id, "stand_in_approved")
        })
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_with_faults_and_kills_embedded() {
    a_storm_with_faults_and_kills(Transport::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_with_faults_and_kills_through_kafka() {
    a_storm_with_faults_and_kills(Transport::Kafka).await;
}

/// While core is away the network is told that nobody decides; what core hears of it later it does not approve.
#[tokio::test(flavor = "multi_thread")]
async fn what_core_has_not_decided_in_time_is_not_held() {
    let settings = &["card.answer_limit_ms=300"];
    let mut platform = Platform::with(Transport::Kafka, LUNARIA, "", settings).await;
    let client = platform.client();
    let account = client.account(100_000).await;
    let card = client.card(account).await;
    platform.kill(Victim::Core);
    let message = |id: &str, transaction: &str| {
        json!({
            "mti": "0100", "message_id": id, "transaction_id": transaction, "card_id": card, "amount": "20000", "currency": "DKK",
            "merchant": { "name": "Hotel Berg" },
        })
    };
    assert_eq!(say(&platform, &message("M1", "N1")).await.1["response_code"], "91");
    // The network decides for itself, once yes, once no: more than it approves on its own.
    client.pay_by_card(order(&platform, card, 5_000, json!({ "capture": "0" }))).await;
    client.pay_by_card(order(&platform, card, 20_000, json!({}))).await;
    // Longer than a request may be late by and still be decided.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    platform.resume().await;
    client.until_card(card, "declined", 2).await;
    let approved = client.until_card(card, "approved", 1).await.remove(0);
    assert_eq!(story(&client, &approved).await, ["Opened", "Declined", "StandInApplied"]);
    eventually("only what the network has approved is held", async || {
        let expected = ("100000".into(), "5000".into(), "95000".into());
        (client.balances(account).await == expected).then_some(())
    })
    .await;
    assert_eq!(say(&platform, &message("M1", "N1")).await.1["response_code"], "91");
    platform.stop().await;
}

async fn say(platform: &Platform, message: &Value) -> (StatusCode, Value) {
    let url = format!("{}/iso8583", platform.card_url);
    let response = platform.client().http.post(url).json(message).send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or(json!(text)))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_can_be_spent_again_and_still_be_collected() {
    let settings = &["core.card_hold_limit_ms=300"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let account = client.account(10_000).await;
    let card = client.card(account).await;
    let message = |mti: &str, id: &str| {
        json!({
            "mti": mti, "message_id": id, "transaction_id": "N1", "card_id": card, "amount": "4000", "currency": "DKK",
            "merchant": { "name": "Hotel Berg", "category_code": "7011" },
        })
    };
    let (status, answer) = say(&platform, &message("0100", "M1")).await;
    let expected = json!({
        "mti": "0110", "message_id": "M1", "transaction_id": "N1", "response_code": "00", "amount": "4000", "currency": "DKK"
    });
    assert_eq!((status, &answer), (StatusCode::OK, &expected));
    // The same again is answered alike.
    assert_eq!(say(&platform, &message("0101", "M1")).await.1, expected);
    let expired = client.until_card(card, "expired", 1).await.remove(0);
    assert_eq!(client.balances(account).await, ("10000".into(), "0".into(), "10000".into()));
    let (_, taken) = say(&platform, &message("0220", "M2")).await;
    assert_eq!((&taken["mti"], &taken["response_code"]), (&json!("0230"), &json!("00")));
    client.until_card(card, "captured", 1).await;
    assert_eq!(client.balances(account).await.0, "6000");
    assert_eq!(story(&client, &expired).await, ["Opened", "Approved", "Expired", "Captured"]);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_or_does_not_fit_is_refused_and_kept() {
    let settings = &["card.network_token=0123456789abcdef"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let card = client.card(client.account(10_000).await).await;
    let url = format!("{}/iso8583", platform.card_url);
    let send = async |text: String, token: &str| {
        let request = client.http.post(&url).bearer_auth(token).body(text);
        let response = request.send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    let message = |id: &str, card: Uuid, minor: &str| {
        json!({
            "mti": "0220", "message_id": id, "transaction_id": "N1", "card_id": card, "amount": minor, "currency": "DKK",
            "merchant": { "name": "Bakery Lund" },
        })
        .to_string()
    };
    let (token, wrong) = ("0123456789abcdef", "0123456789abcdeg");
    assert_eq!(send(message("M1", card, "5"), wrong).await.0, StatusCode::UNAUTHORIZED);
    let code = async |text: String| {
        let (status, text) = send(text, token).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["response_code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code(message("M1", card, "5")).await, "00");
    assert_eq!(code(message("M1", card, "5")).await, "00");
    assert_eq!(code(message("M1", card, "6")).await, "94");
    let question = message("M2", Uuid::now_v7(), "5").replace("0220", "0100");
    assert_eq!(code(question.clone()).await, "12");
    assert_eq!(code(question.replace("N1", "N2").replace("\"5\"", "\"0\"")).await, "14");
    assert_eq!(code(question.replace("\"5\"", "\"five\"")).await, "13");
    let escaped = message("M3", card, "5").replace("0220", "\\u0000");
    for nonsense in ["{", "[]", "\u{0}", &escaped, &message("M3", card, "-5"), &message("", card, "5")] {
        let (status, text) = send((*nonsense).to_owned(), token).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    }
    let mut connection = platform.card.superuser_connection().await;
    let kept: i64 = sqlx::query_scalar("select count(*) from event where type = 'MessageUnmatched'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    // With the one that said something else under a known id.
    assert_eq!(kept, 8);
    client.until_card(card, "force_posted", 1).await;
    platform.stop().await;
}

/// Money has moved that no account can take: it stands in suspense, and somebody is called at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_account_can_take_is_in_suspense_and_a_case() {
    let platform = Platform::start(Transport::Embedded).await;
    let client = platform.client();
    let nobodys = Uuid::now_v7();
    client.pay_by_card(order(&platform, nobodys, 700, json!({ "kind": "force_post" }))).await;
    let listed = client.until_card(nobodys, "requires_attention", 1).await.remove(0);
    assert_eq!(story(&client, &listed).await, ["Opened", "BookedToSuspense", "OperatorAttentionRequired"]);
    let subject = format!("authorisation-{}", listed["authorisation_id"].as_str().unwrap());
    let case = client.until_cases(&subject, &["open"]).await.remove(0);
    assert_eq!(case["amount"]["amount"], "700");
    settle_down(&platform, &[]).await;
    let mut connection = platform.core.superuser_connection().await;
    let suspense: i64 = sqlx::query_scalar(
        "select sum(amount)::bigint from ledger_balance where ledger_account = 'suspense'",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(suspense, -700);
    platform.stop().await;
}

/// Where there is no card network, its service needs neither a database nor a relay.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_card_network_everything_else_works() {
    let settings =
        &["card.enabled=false", "card.database.database_url=postgres://nobody@127.0.0.1:1/nowhere"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    client.until(client.pay(account, 100).await, "succeeded").await;
    let (code, text) = platform.lunaria(&["--set", "transport=kafka", "adapter", "card"]);
    assert!(code != 0 && text.contains("card.enabled"), "{text}");
    platform.stop().await;
}
