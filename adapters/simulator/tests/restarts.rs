//! What the house knows after a restart, and which journals it refuses to start on.

use std::fs;

use axum::http::StatusCode;
use iso20022::{Document, TransactionStatus};
use serde_json::json;
use simulator::Error;

use crate::house::{House, config, journal, payment, to_a_closed_account};

#[tokio::test]
async fn decisions_survive_a_restart() {
    let (_folder, path) = journal();
    let house = House::open(&path).await;
    let (settled, rejected) = (payment(), to_a_closed_account());
    let before = [house.pay(&settled).await, house.pay(&rejected).await];
    house.close().await.unwrap();

    let house = House::open(&path).await;
    assert_eq!([house.pay(&settled).await, house.pay(&rejected).await], before);
    assert_eq!(house.journal().await.len(), 2);
    let mut other = settled;
    "Eve".clone_into(&mut other.debtor.name);
    let refused = house.request(Document::CreditTransfer(other)).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::CONFLICT);
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
    assert_eq!(house.enquire(&torn).await.status, TransactionStatus::Rejected);
    assert_eq!(house.pay(&torn).await.status, TransactionStatus::Settled);
    let lines = house.journal().await;
    assert_eq!((lines.len(), &lines[1]["n"], &lines[1]["uetr"]), (2, &json!(2), &json!(torn.uetr)));
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
        let error = simulator::run(config(listener, &path), <_>::default()).await.unwrap_err();
        assert!(matches!(error, Error::JournalMalformed { line: 2, .. }), "{error}");
        assert!(error.to_string().starts_with(&format!("{}:2: ", path.display())), "{error}");
    }
}
