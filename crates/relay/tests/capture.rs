//! What happens to an existing system's rows arrives as it happened, whole, and in order.

use serde_json::{Value, json};

use crate::captured::{Captured, Record};

const CUSTOMER: &str = "create table customer (id bigint primary key, name text not null, rank integer)";

#[tokio::test(flavor = "multi_thread")]
async fn each_change_arrives_with_its_key_and_what_the_replica_identity_has_of_before() {
    let captured = Captured::create(CUSTOMER, "customer").await;
    let capture = captured.capture().await;
    captured.run("insert into customer values (7, 'Ada', null)").await;
    captured.run("update customer set rank = 1 where id = 7").await;
    captured.run("update customer set id = 8 where id = 7").await;
    captured.run("delete from customer").await;
    captured.run("truncate customer").await;
    let row = |id: i64, rank: Value| json!({"id": id, "name": "Ada", "rank": rank});
    assert_eq!(
        captured.values("customer", 8).await,
        [
            json!({"op": "c", "before": null, "after": row(7, Value::Null)}),
            json!({"op": "u", "before": null, "after": row(7, json!(1))}),
            // Another key: the row under the old one is gone.
            json!({"op": "d", "before": {"id": 7}, "after": null}),
            Value::Null,
            json!({"op": "c", "before": null, "after": row(8, json!(1))}),
            json!({"op": "d", "before": {"id": 8}, "after": null}),
            Value::Null,
            json!({"op": "t", "before": null, "after": null}),
        ]
    );
    let keys: Vec<Value> =
        captured.records("customer", 8).await.into_iter().map(|record| record.key).collect();
    let (seven, eight, table) = (json!({"id": 7}), json!({"id": 8}), json!("public.customer"));
    let expected = [&seven, &seven, &seven, &seven, &eight, &eight, &eight, &table];
    assert_eq!(keys.iter().collect::<Vec<_>>(), expected);
    capture.stop().await;
    captured.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_replica_identity_full_before_is_the_whole_row_and_the_key_still_the_primary_key() {
    let sql = format!("{CUSTOMER}; alter table customer replica identity full");
    let captured = Captured::create(&sql, "customer").await;
    let capture = captured.capture().await;
    captured.run("insert into customer values (7, 'Ada', 1)").await;
    captured.run("update customer set rank = 2").await;
    captured.run("update customer set id = 8").await;
    captured.run("delete from customer").await;
    let row = |id: i64, rank: i64| json!({"id": id, "name": "Ada", "rank": rank});
    assert_eq!(
        captured.values("customer", 7).await,
        [
            json!({"op": "c", "before": null, "after": row(7, 1)}),
            json!({"op": "u", "before": row(7, 1), "after": row(7, 2)}),
            json!({"op": "d", "before": row(7, 2), "after": null}),
            Value::Null,
            json!({"op": "c", "before": null, "after": row(8, 2)}),
            json!({"op": "d", "before": row(8, 2), "after": null}),
            Value::Null,
        ]
    );
    for record in captured.records("customer", 7).await {
        assert_eq!(record.key.as_object().unwrap().len(), 1, "{record:?}");
    }
    capture.stop().await;
    captured.drop().await;
}

/// Of each type: how it is declared, a literal, and the JSON of it. As the snapshot's test has them too.
pub(crate) const VALUES: [(&str, &str, &str); 25] = [
    ("boolean", "true", "true"),
    ("boolean", "false", "false"),
    ("smallint", "-3", "-3"),
    ("integer", "2147483647", "2147483647"),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("numeric", "0.10", r#""0.10""#),
    ("numeric", "'NaN'", r#""NaN""#),
    ("money", "1234.5", r#""$1,234.50""#),
    ("real", "1.5", "1.5"),
    ("double precision", "1e300", "1e+300"),
    ("double precision", "'-Infinity'", r#""-Infinity""#),
    ("double precision", "'NaN'", r#""NaN""#),
    ("text", "E'a \"quoted\"\\n\\\\ line'", r#""a \"quoted\"\n\\ line""#),
    ("char(4)", "'a'", r#""a   ""#),
    ("json", r#"'{"a" : [1, 2.50]}'"#, r#"{"a":[1,2.50]}"#),
    ("jsonb", r#"'{"a" : null}'"#, r#"{"a":null}"#),
    ("bytea", r"'\x00ff'", r#""\\x00ff""#),
    ("uuid", "'01234567-89ab-cdef-0123-456789abcdef'", r#""01234567-89ab-cdef-0123-456789abcdef""#),
    ("timestamptz", "'2026-01-02 03:04:05.6+02'", r#""2026-01-02 01:04:05.6+00""#),
    ("date", "'2026-01-02'", r#""2026-01-02""#),
    ("interval", "'1 day 2 hours'", r#""1 day 02:00:00""#),
    ("integer[]", "'{1,null,3}'", r#""{1,NULL,3}""#),
    ("mood", "'content'", r#""content""#),
    ("amount", "42", "42"),
    ("pair", "row(null, null)", r#""(,)""#),
];

/// A table with a column of each of [`VALUES`], and the row of them.
pub(crate) fn of_every_type() -> (String, String, Value) {
    let (mut columns, mut literals, mut row) = (String::new(), String::new(), json!({"id": 1}));
    for (n, (declared, literal, expected)) in VALUES.iter().enumerate() {
        columns += &format!(", value_{n} {declared}, null_{n} {declared}");
        literals += &format!(", {literal}, null");
        row[format!("value_{n}")] = serde_json::from_str(expected).unwrap();
        row[format!("null_{n}")] = Value::Null;
    }
    let create = format!(
        "create type mood as enum ('content'); create domain amount as bigint; create type pair as (a integer, b text);
         create table sample (id integer primary key{columns})"
    );
    (create, format!("insert into sample values (1{literals})"), row)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_any_type_is_json_without_a_loss_whatever_the_databases_settings_are() {
    let (create, insert, row) = of_every_type();
    let captured = Captured::create(&create, "sample").await;
    let database = &captured.source.database.name;
    let settings = ["datestyle = 'German'", "timezone = 'Asia/Tokyo'", "intervalstyle = 'sql_standard'"];
    for setting in settings {
        captured.run(&format!("alter database \"{database}\" set {setting}")).await;
    }
    captured.run(&format!("alter database \"{database}\" set bytea_output = 'escape'")).await;
    let capture = captured.capture().await;
    captured.run(&insert).await;
    let values = captured.values("sample", 1).await;
    assert_eq!(values[0]["after"], row);
    capture.stop().await;
    captured.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_value_that_an_update_leaves_alone_is_taken_from_before_or_named() {
    let captured = Captured::create(
        "create table note (id integer primary key, body text, n integer);
         alter table note alter body set storage external;
         create table whole (like note including all); alter table whole replica identity full;
         alter table whole alter body set storage external",
        "note, whole",
    )
    .await;
    let capture = captured.capture().await;
    for table in ["note", "whole"] {
        captured.run(&format!("insert into {table} values (1, repeat('x', 10000), 1)")).await;
        captured.run(&format!("update {table} set n = 2")).await;
    }
    let note = &captured.values("note", 2).await[1];
    assert_eq!(note, &json!({"op": "u", "before": null, "after": {"id": 1, "n": 2}, "unchanged": ["body"]}));
    let whole = &captured.values("whole", 2).await[1];
    let row = |n: i64| json!({"id": 1, "body": "x".repeat(10_000), "n": n});
    assert_eq!(whole, &json!({"op": "u", "before": row(1), "after": row(2)}));
    capture.stop().await;
    captured.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_two_tables_in_one_transaction_have_their_places_in_one_order() {
    let captured = Captured::create(
        &format!("{CUSTOMER}; create table invoice (id bigint primary key, customer bigint not null)"),
        "customer, invoice",
    )
    .await;
    let capture = captured.capture().await;
    captured
        .run(
            "begin; insert into customer values (1, 'Ada', 1); insert into invoice values (10, 1);
             delete from customer; insert into invoice values (11, 1); commit",
        )
        .await;
    let customers = captured.records("customer", 3).await;
    let invoices = captured.records("invoice", 2).await;
    let ordinals = |records: &[Record]| records.iter().map(|record| record.at.1).collect::<Vec<_>>();
    assert_eq!((ordinals(&customers), ordinals(&invoices)), (vec![0, 2, 3], vec![1, 4]));
    let commits: Vec<u64> = customers.iter().chain(&invoices).map(|record| record.at.0).collect();
    assert!(commits.iter().all(|commit| *commit == commits[0]), "{commits:x?}");
    let source = |record: &Record| record.value.as_ref().unwrap()["source"].clone();
    let (first, other) = (source(&customers[0]), source(&invoices[1]));
    assert_eq!((&first["xid"], &first["committed_at"]), (&other["xid"], &other["committed_at"]));
    assert!(first["xid"].is_u64());
    assert_eq!(
        (&other["service"], &other["schema"], &other["table"], &other["ordinal"]),
        (&json!("legacy"), &json!("public"), &json!("invoice"), &json!(4))
    );
    let lsn: replication::Lsn = other["lsn"].as_str().unwrap().parse().unwrap();
    assert_eq!(lsn.as_u64(), invoices[1].at.0);
    capture.stop().await;
    captured.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_added_appears_in_mid_stream() {
    let captured = Captured::create(CUSTOMER, "customer").await;
    let capture = captured.capture().await;
    captured.run("insert into customer values (1, 'Ada', 1)").await;
    captured.run("alter table customer add column email text, drop column rank").await;
    captured.run("insert into customer values (2, 'Bo', 'bo@example.org')").await;
    let values = captured.values("customer", 2).await;
    assert_eq!(values[0]["after"], json!({"id": 1, "name": "Ada", "rank": 1}));
    assert_eq!(values[1]["after"], json!({"id": 2, "name": "Bo", "email": "bo@example.org"}));
    capture.stop().await;
    captured.drop().await;
}

/// A kill loses the last confirm, so that the next session gets what the topic has already.
#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_is_killed_goes_on_without_a_gap_and_without_a_duplicate() {
    let captured = Captured::create(CUSTOMER, "customer").await;
    let mut expected = Vec::new();
    for round in 0..3 {
        let capture = captured.capture().await;
        for n in 1..=5 {
            let id = round * 10 + n;
            captured.run(&format!("insert into customer values ({id}, 'Ada', 1)")).await;
            captured.run(&format!("delete from customer where id = {id}")).await;
            expected.extend([Some(("c", id)), Some(("d", id)), None]);
        }
        captured.records("customer", expected.len()).await;
        capture.kill().await;
        captured.run(&format!("insert into customer values ({}, 'Bo', 1)", round * 10 + 9)).await;
        expected.push(Some(("c", round * 10 + 9)));
    }
    let capture = captured.capture().await;
    let values = captured.values("customer", expected.len()).await;
    let operations: Vec<_> = values
        .iter()
        .map(|value| {
            let row = if value["op"] == "d" { &value["before"] } else { &value["after"] };
            value["op"].as_str().map(|operation| (operation, row["id"].as_i64().unwrap()))
        })
        .collect();
    assert_eq!(operations, expected);
    capture.stop().await;
    captured.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_key_goes_under_its_name_without_tombstones() {
    let captured =
        Captured::create("create table log (line text); alter table log replica identity full", "log").await;
    let capture = captured.capture().await;
    captured.run("insert into log values ('one'), ('two')").await;
    captured.run("delete from log where line = 'one'").await;
    let records = captured.records("log", 3).await;
    assert_eq!(records.len(), 3, "{records:?}");
    for record in &records {
        assert_eq!((&record.key, record.partition), (&json!("public.log"), records[0].partition));
    }
    assert_eq!(records[2].value.as_ref().unwrap()["before"], json!({"line": "one"}));
    capture.stop().await;
    captured.drop().await;
}
