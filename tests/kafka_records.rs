//! What stands in Kafka, read by somebody else's client.

use serde_json::Value;

use crate::harness::{Platform, Transport, read_all};

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_a_cloud_event_whose_key_is_its_stream() {
    let platform = Platform::start(Transport::Kafka).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    let transfer = client.pay(account, 400).await;
    client.until(transfer, "succeeded").await;

    let records = read_all(&format!("{}core.account", platform.topic_prefix));
    let reserved = records.iter().find(|record| record.headers["ce_type"] == "FundsReserved").unwrap();
    let stream = format!("account-{account}");
    assert_eq!(reserved.key, stream);
    assert_eq!(reserved.value["reservation_id"], transfer.to_string());
    let mut connection = platform.core_database().await;
    let (id, recorded_at, correlation, causation): (
        uuid::Uuid,
        jiff_sqlx::Timestamp,
        uuid::Uuid,
        uuid::Uuid,
    ) = sqlx::query_as(
        "select id, recorded_at, correlation_id, causation_id from event where stream = $1 and seq = 3",
    )
    .bind(&stream)
    .fetch_one(&mut connection)
    .await
    .unwrap();
    for (header, value) in [
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", id.to_string()),
        ("ce_source", "/lunaria/core".to_owned()),
        ("ce_type", "FundsReserved".to_owned()),
        ("ce_subject", stream),
        ("ce_time", recorded_at.to_jiff().to_string()),
        ("content-type", "application/json".to_owned()),
        ("ce_sequence", "3".to_owned()),
        ("ce_dataversion", "1".to_owned()),
        ("ce_correlationid", correlation.to_string()),
        ("ce_causationid", causation.to_string()),
    ] {
        assert_eq!(reserved.headers[header], value, "{header}");
    }
    let metadata: Value = serde_json::from_str(&reserved.headers["lunaria_metadata"]).unwrap();
    assert_eq!(metadata["causation_kind"], "request");
    let (lsn, ordinal) = reserved.headers["lunaria_lsn"].rsplit_once('/').unwrap();
    assert!(lsn.contains('/') && ordinal.parse::<u32>().is_ok());
    let epoch: Vec<&str> = reserved.headers["lunaria_epoch"].split('/').collect();
    assert!(epoch.len() == 3 && epoch.iter().all(|part| part.parse::<u64>().is_ok()), "{epoch:?}");

    let clearing = read_all(&format!("{}adapter-instant.clearing.v2", platform.topic_prefix));
    assert_eq!(clearing[0].key, format!("clearing.v2-{transfer}"));
    assert_eq!(clearing[0].headers["ce_type"], "PaymentSettled");
    platform.stop().await;
}
