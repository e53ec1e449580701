//! Payments by card: asked, decided in the bank's place, and told until they are taken.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::house::{House, journal};

const CARD: &str = "0198c1f2-0000-7000-8000-000000000002";

/// A bank that answers what it was told to, the last of it for ever, and remembers what it was asked.
#[derive(Clone)]
struct Bank {
    url: String,
    heard: Arc<Mutex<Vec<Value>>>,
    answers: Arc<Mutex<Vec<Option<Value>>>>,
}

impl Bank {
    /// None: 503.
    async fn open(answers: impl IntoIterator<Item = Option<Value>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/iso8583", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<Vec<_>>()));
        let bank = Self { url, heard: Arc::default(), answers };
        let router = Router::new().route("/iso8583", post(hear)).with_state(bank.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        bank
    }

    async fn types(&self) -> Vec<String> {
        let heard = self.heard.lock().await;
        heard.iter().map(|message| message["mti"].as_str().unwrap().to_owned()).collect()
    }
}

async fn hear(
    State(bank): State<Bank>,
    headers: HeaderMap,
    Json(message): Json<Value>,
) -> (StatusCode, Json<Value>) {
    assert!(headers.get("authorization").is_none());
    bank.heard.lock().await.push(message);
    let mut answers = bank.answers.lock().await;
    let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
    match answer {
        Some(answer) => (StatusCode::OK, Json(answer)),
        None => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({}))),
    }
}

fn approved(minor: &str) -> Option<Value> {
    Some(json!({ "response_code": "00", "amount": minor }))
}

fn taken() -> Option<Value> {
    Some(json!({ "response_code": "00" }))
}

fn declined() -> Option<Value> {
    Some(json!({ "response_code": "51" }))
}

async fn play(house: &House, bank: &Bank, more: Value) {
    let mut order = json!({ "card_id": CARD, "amount": "1000", "currency": "DKK", "deliver_to": bank.url });
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, answer) = house.post("/card-payments", order).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

/// What the network has decided or collected, once it has `count` such lines and the bank has taken the last.
async fn story(house: &House, count: usize) -> Vec<(String, String)> {
    for _ in 0..500 {
        let lines = house.journal().await;
        let events: Vec<(String, String)> = lines
            .iter()
            .filter(|line| line["card_event"].is_string())
            .map(|line| {
                (line["card_event"].as_str().unwrap().to_owned(), line["amount"].as_str().unwrap().to_owned())
            })
            .collect();
        let advices =
            events.iter().filter(|(event, _)| !event.ends_with("pproved") || event.starts_with("stand"));
        let advices =
            advices.filter(|(event, _)| event != "declined" && !event.starts_with("increment")).count();
        let taken = lines.iter().filter(|line| line["card_taken"].is_string()).count();
        if events.len() == count && taken == advices {
            return events;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no {count} lines: {:#?}", house.journal().await)
}

fn events(story: &[(String, String)]) -> Vec<&str> {
    story.iter().map(|(event, _)| event.as_str()).collect()
}

#[tokio::test]
async fn a_purchase_is_asked_for_and_collected_in_parts() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let bank = Bank::open([approved("1000"), approved("500"), taken()]).await;
    play(&house, &bank, json!({ "increment": "500", "reverse": "300", "parts": 2, "refund": "100" })).await;
    let story = story(&house, 6).await;
    assert_eq!(events(&story), ["approved", "incremented", "reversed", "captured", "captured", "refunded"]);
    assert_eq!((story[3].1.as_str(), story[4].1.as_str()), ("600", "600"));
    assert_eq!(bank.types().await, ["0100", "0100", "0420", "0220", "0220", "0220"]);
    let heard = bank.heard.lock().await;
    let last: Vec<&Value> = heard.iter().skip(3).map(|message| &message["final"]).collect();
    assert_eq!(last, [&json!(false), &json!(true), &json!(true)]);
    assert_eq!((&heard[1]["increment"], &heard[5]["processing_code"]), (&json!(true), &json!("20")));
}

#[tokio::test]
async fn a_part_that_is_approved_is_all_that_is_collected_and_what_is_declined_is_not() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let bank = Bank::open([Some(json!({ "response_code": "10", "amount": "400" })), taken()]).await;
    play(&house, &bank, json!({ "partial_approval": 1 })).await;
    assert_eq!(story(&house, 2).await[1], ("captured".to_owned(), "400".to_owned()));
    let bank = Bank::open([declined()]).await;
    play(&house, &bank, json!({})).await;
    assert_eq!(story(&house, 3).await[2].0, "declined");
}

#[tokio::test]
async fn the_network_decides_in_place_of_a_bank_that_is_silent() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let bank = Bank::open([Some(json!({ "response_code": "91" })), taken()]).await;
    play(&house, &bank, json!({})).await;
    assert_eq!(events(&story(&house, 2).await), ["stand_in_approved", "captured"]);
    // A bank that cannot record it is told again.
    let bank = Bank::open([None, None, taken()]).await;
    play(&house, &bank, json!({ "amount": "10001" })).await;
    assert_eq!(story(&house, 3).await[2].0, "stand_in_declined");
    assert_eq!(bank.types().await, ["0100", "0120", "0121"]);
    assert_eq!(bank.heard.lock().await[1]["amount"], "0");
}

#[tokio::test]
async fn each_fault_does_what_it_says() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let bank = Bank::open([approved("1000"), taken()]).await;
    house.order(json!({ "kind": "lose_answer", "count": 1, "card_id": CARD })).await;
    play(&house, &bank, json!({})).await;
    assert_eq!(events(&story(&house, 1).await), ["reversed"]);
    let bank = Bank::open([taken()]).await;
    house.order(json!({ "kind": "lose_request", "count": 1, "card_id": CARD })).await;
    play(&house, &bank, json!({ "capture": "0" })).await;
    assert_eq!(events(&story(&house, 2).await)[1], "stand_in_approved");
    assert_eq!(bank.types().await, ["0120"]);
    let bank = Bank::open([approved("1000"), approved("1000"), taken()]).await;
    house.order(json!({ "kind": "duplicate", "count": 2, "card_id": CARD })).await;
    play(&house, &bank, json!({})).await;
    story(&house, 4).await;
    let types = bank.types().await;
    assert_eq!(types.iter().filter(|mti| mti.ends_with('1')).count(), 2, "{types:?}");
    let other = json!({ "kind": "lose_answer", "count": 1, "card_id": CARD.replace('2', "3") });
    house.order(other).await;
    let bank = Bank::open([approved("1000"), taken()]).await;
    play(&house, &bank, json!({})).await;
    assert_eq!(events(&story(&house, 6).await)[4..], ["approved", "captured"]);
}

#[tokio::test]
async fn what_the_bank_had_not_taken_is_told_after_a_restart() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let bank = Bank::open([None]).await;
    play(&house, &bank, json!({ "kind": "force_post" })).await;
    while house.journal().await.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    house.close().await.unwrap();
    *bank.answers.lock().await = vec![taken()];
    let house = House::open(&path).await;
    assert_eq!(events(&story(&house, 1).await), ["captured"]);
    house.close().await.unwrap();
    // And only once.
    let heard = bank.types().await.len();
    let house = House::open(&path).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(bank.types().await.len(), heard);
    drop(house);
}

#[tokio::test]
async fn an_order_that_cannot_be_is_refused_with_its_field() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    for (order, field) in [
        (json!({ "amount": "1", "currency": "DKK" }), "card_id"),
        (json!({ "card_id": CARD, "amount": "0", "currency": "DKK" }), "amount"),
        (json!({ "card_id": CARD, "amount": "1", "currency": "XXQ" }), "currency"),
        (json!({ "card_id": CARD, "amount": "1", "currency": "DKK", "kind": "gift" }), "kind"),
        (json!({ "card_id": CARD, "amount": "1", "currency": "DKK", "parts": 11 }), "parts"),
        (json!({ "card_id": CARD, "amount": "1", "currency": "DKK", "pin": "1234" }), "pin"),
    ] {
        let (status, problem) = house.post("/card-payments", order).await;
        assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)));
    }
    let order = json!({ "card_id": CARD, "amount": "1", "currency": "DKK" });
    assert_eq!(house.post("/card-payments", order).await.1["code"], "no-address");
}

#[tokio::test]
async fn what_is_not_taken_follows_the_bank_to_where_it_is_now() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let gone = Bank::open([None]).await;
    play(&house, &gone, json!({ "kind": "force_post" })).await;
    let bank = Bank::open([taken()]).await;
    play(&house, &bank, json!({ "kind": "force_post" })).await;
    assert_eq!(events(&story(&house, 2).await), ["captured", "captured"]);
    assert_eq!(bank.types().await.len(), 2);
}
