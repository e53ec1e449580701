//! The rows that stand in the tables come first, and the changes go on from there without a gap.

use std::collections::BTreeMap;

use relay::{Cause, RefillMode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::capture::of_every_type;
use crate::captured::{Captured, Record};
use crate::source::Relay;

/// What a consumer has of the table after it has followed all records.
fn followed(records: &[Record]) -> BTreeMap<i64, Value> {
    let mut rows = BTreeMap::new();
    for record in records {
        let id = record.key["id"].as_i64().unwrap();
        match record.value.as_ref().map(|value| value["after"].clone()) {
            Some(after) if !after.is_null() => _ = rows.insert(id, after),
            _ => _ = rows.remove(&id),
        }
    }
    rows
}

fn operations(records: &[Record]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record.value.as_ref().map_or("", |value| value["op"].as_str().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_sends_the_rows_that_stand_there_and_then_the_changes() {
    let captured = Captured::create(
        "create table customer (id bigint primary key, name text);
         insert into customer select n, 'customer ' || n from generate_series(1, 1000) as n",
        "customer",
    )
    .await;
    let writing = captured.source.database.superuser_connection().await;
    let writer = tokio::spawn(write(writing));
    let capture = Relay::start(captured.config(true), captured.sink());
    capture.until_relaying().await;
    writer.await.unwrap();
    captured.run("insert into customer values (5000, 'last')").await;
    let end = captured.source.wal_end().await;
    captured.source.until_confirmed(end).await;
    let records = captured.records("customer", 1001).await;
    assert!(operations(&records).starts_with(&["r"]), "the rows come first");
    assert_eq!(records.last().unwrap().value.as_ref().unwrap()["op"], "c");
    let rows = "select json_agg(json_build_array(id, name) order by id)::text from customer";
    let expected: Vec<(i64, String)> =
        serde_json::from_str(&captured.source.ask::<String>(rows).await).unwrap();
    let rows: Vec<(i64, String)> = followed(&records)
        .into_iter()
        .map(|(id, row)| (id, row["name"].as_str().unwrap().to_owned()))
        .collect();
    assert!(expected.len() > 900);
    assert!(rows == expected, "a consumer has other rows than the table");
    // And not again.
    capture.stop().await;
    let capture = Relay::start(captured.config(true), captured.sink());
    capture.until_relaying().await;
    captured.run("delete from customer where id = 5000").await;
    let after = captured.records("customer", records.len() + 2).await;
    assert_eq!(after.len(), records.len() + 2);
    capture.stop().await;
    captured.drop().await;
}

/// Updates, deletes and inserts while the snapshot is taken.
async fn write(mut connection: sqlx::PgConnection) {
    for n in 1..=200 {
        let sql = format!(
            "update customer set name = 'renamed' where id = {n}; delete from customer where id = {};
             insert into customer values ({}, 'new')",
            n + 500,
            n + 2000
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_reads_the_same_from_the_table_as_from_the_log() {
    let (create, insert, row) = of_every_type();
    let captured = Captured::create(&format!("{create}; {insert}"), "sample").await;
    let capture = Relay::start(captured.config(true), captured.sink());
    capture.until_relaying().await;
    let records = captured.records("sample", 1).await;
    let value = records[0].value.as_ref().unwrap();
    assert_eq!((&value["op"], &value["before"], &value["after"]), (&json!("r"), &Value::Null, &row));
    assert_eq!((&records[0].key, &value["source"]["xid"]), (&json!({"id": 1}), &Value::Null));
    capture.stop().await;
    captured.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_gap_a_snapshot_brings_the_topic_up_to_the_tables_and_the_capture_goes_on() {
    let captured =
        Captured::create("create table customer (id bigint primary key, name text)", "customer").await;
    let capture = captured.capture().await;
    captured.run("insert into customer values (1, 'Ada'), (2, 'Bo')").await;
    captured.records("customer", 2).await;
    capture.stop().await;
    captured.source.drop_slot().await;
    captured.run("update customer set name = 'Bob' where id = 2").await;
    let (cause, ..) = captured.start().halted_by().await;
    assert_eq!(cause, Cause::SlotLost);

    let (config, sink) = (captured.config(false), captured.sink());
    let taken = relay::refill(&config, &sink, &|_| (), &CancellationToken::new()).await.unwrap();
    assert_eq!(taken.events, 2);
    let capture = captured.capture().await;
    captured.run("delete from customer where id = 1").await;
    let records = captured.records("customer", 6).await;
    assert_eq!(operations(&records), ["c", "c", "r", "r", "d", ""]);
    assert_eq!(followed(&records), BTreeMap::from([(2, json!({"id": 2, "name": "Bob"}))]));
    capture.stop().await;
    captured.drop().await;
}

/// Only what the publication has of a table, and none of what the server makes of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_keeps_to_the_publications_rows_and_columns() {
    let captured = Captured::create(
        "create table customer (id bigint primary key, name text, secret text, twice bigint generated always as (id * 2) stored);
         insert into customer values (1, 'Ada', 'x'), (2, 'Bo', 'y')",
        "customer (id, name) where (id > 1)",
    )
    .await;
    let capture = Relay::start(captured.config(true), captured.sink());
    capture.until_relaying().await;
    captured.run("insert into customer values (3, 'Cy', 'z')").await;
    let values = captured.values("customer", 2).await;
    assert_eq!(values[0], json!({"op": "r", "before": null, "after": {"id": 2, "name": "Bo"}}));
    assert_eq!(values[1], json!({"op": "c", "before": null, "after": {"id": 3, "name": "Cy"}}));
    capture.stop().await;
    captured.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_the_same_from_the_table_as_from_the_log_whatever_the_replica_identity() {
    let captured = Captured::create(
        "create table coded (id integer primary key, code text not null unique);
         create table whole (id integer primary key, code text not null);
         alter table coded replica identity using index coded_code_key; alter table whole replica identity full;
         insert into coded values (1, 'a'); insert into whole values (1, 'a')",
        "coded, whole",
    )
    .await;
    let capture = Relay::start(captured.config(true), captured.sink());
    capture.until_relaying().await;
    for (table, key) in [("coded", json!({"code": "a"})), ("whole", json!({"id": 1}))] {
        captured.run(&format!("delete from {table}")).await;
        let records = captured.records(table, 3).await;
        assert_eq!(operations(&records), ["r", "d", ""]);
        assert!(records.iter().all(|record| record.key == key), "{records:#?}");
        assert!(records.iter().all(|record| record.partition == records[0].partition), "{records:#?}");
    }
    capture.stop().await;
    captured.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_may_a_capture_takes_a_snapshot_by_itself_when_a_table_is_added() {
    let captured =
        Captured::create("create table customer (id bigint primary key, name text)", "customer").await;
    let config = || relay::Config { refill: RefillMode::Automatic, ..captured.config(true) };
    let capture = Relay::start(config(), captured.sink());
    capture.until_relaying().await;
    captured
        .run(
            "create table invoice (id bigint primary key); grant select on invoice to lunaria_relay;
             insert into invoice values (1); alter publication lunaria_capture_legacy add table invoice",
        )
        .await;
    let records = captured.records("invoice", 1).await;
    assert_eq!(operations(&records), ["r"]);
    capture.until_relaying().await;
    captured.run("insert into invoice values (2)").await;
    assert_eq!(operations(&captured.records("invoice", 2).await), ["r", "c"]);
    capture.stop().await;
    captured.drop().await;
}
