//! What the house knows after a restart, and which journals it refuses to start on.

use std::fs;

use axum::http::StatusCode;
use serde_json::json;
use simulator::Error;

use crate::house::{House, journal, payment};

#[tokio::test]
async fn decisions_survive_a_restart() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let (settled, mut rejected) = (payment(), payment());
    rejected["creditor"]["iban"] = json!("DK9520000123450000");
    let before = [house.pay(&settled).await, house.pay(&rejected).await];
    house.close().await.unwrap();

    let house = House::open(&path).await;
    assert_eq!([house.pay(&settled).await, house.pay(&rejected).await], before);
    assert_eq!(house.journal().await.len(), 2);
    let mut other = settled;
    other["debtor"]["name"] = json!("Eve");
    assert_eq!(house.pay(&other).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_torn_last_line_is_forgotten_and_its_number_given_again() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let (kept, torn) = (payment(), payment());
    house.pay(&kept).await;
    house.pay(&torn).await;
    house.close().await.unwrap();
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() - 20]).unwrap();

    let house = House::open(&path).await;
    assert_eq!(house.get(&format!("/payments/{}", torn["uetr"].as_str().unwrap())).await.0, 404);
    assert_eq!(house.pay(&torn).await.0, StatusCode::OK);
    let lines = house.journal().await;
    assert_eq!((lines.len(), &lines[1]["n"], &lines[1]["uetr"]), (2, &json!(2), &torn["uetr"]));
}

#[tokio::test]
async fn a_malformed_journal_halts_with_file_and_line() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    house.pay(&payment()).await;
    house.close().await.unwrap();
    let line = fs::read_to_string(&path).unwrap();
    let again = line.replace("\"n\":1", "\"n\":2");
    for second in ["garbage\n", &line, &again] {
        fs::write(&path, format!("{line}{second}")).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = simulator::Config { listener, journal: path.clone(), answer_time: <_>::default() };
        let error = simulator::run(config, <_>::default()).await.unwrap_err();
        assert!(matches!(error, Error::JournalMalformed { line: 2, .. }), "{error}");
        assert!(error.to_string().starts_with(&format!("{}:2: ", path.display())), "{error}");
    }
}
