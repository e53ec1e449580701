//! What a capture does not go on from, and what it says then.

use relay::{Cause, Weight};
use replication::Lsn;

use crate::captured::Captured;

const CUSTOMER: &str = "create table customer (id bigint primary key, name text not null)";

/// A capture that has brought one row to its topic, and was stopped.
async fn captured() -> Captured {
    let captured = Captured::create(CUSTOMER, "customer").await;
    let capture = captured.capture().await;
    captured.run("insert into customer values (1, 'Ada')").await;
    captured.records("customer", 1).await;
    capture.stop().await;
    captured
}

/// Why the next start halts; there is a gap, and a snapshot ends it.
async fn halts(captured: &Captured, expected: Cause) -> String {
    let (cause, reason, remedy) = captured.start().halted_by().await;
    assert_eq!(cause, expected, "{reason}");
    assert!(remedy.contains("lunaria capture snapshot legacy"), "{remedy}");
    assert_eq!(captured.source.state("refill ->> 'cause'").await.as_deref(), Some(expected.as_str()));
    reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_somebody_else_has_advanced_halts_the_capture() {
    let captured = captured().await;
    captured.run("insert into customer values (2, 'Bo')").await;
    let slot = &captured.source.slot;
    captured.run(&format!("select pg_replication_slot_advance('{slot}', pg_current_wal_lsn())")).await;
    halts(&captured, Cause::SlotAdvanced).await;
    captured.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_was_dropped_halts_the_capture() {
    let captured = captured().await;
    captured.source.drop_slot().await;
    halts(&captured, Cause::SlotLost).await;
    captured.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_without_updates_or_tables_halts_the_capture_before_it_begins() {
    let captured = Captured::create(CUSTOMER, "customer").await;
    captured.run("alter publication lunaria_capture_legacy set (publish = 'insert, delete, truncate')").await;
    let (cause, reason, _) = captured.start().halted_by().await;
    assert_eq!(cause, Cause::Publication);
    assert!(reason.contains("does not publish all operations"), "{reason}");
    captured.run("alter publication lunaria_capture_legacy drop table customer").await;
    let (cause, reason, _) = captured.start().halted_by().await;
    assert_eq!(cause, Cause::Publication);
    assert!(reason.contains("has no tables"), "{reason}");
    assert_eq!(captured.source.state("slot").await, None, "nothing can have been missed");
    captured.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_added_or_was_out_for_a_while_halts_the_capture_that_runs() {
    let captured = captured().await;
    let capture = captured.capture().await;
    captured.run("create table invoice (id bigint primary key)").await;
    captured.run("insert into invoice values (1)").await;
    captured.run("alter publication lunaria_capture_legacy add table invoice").await;
    let (cause, reason, remedy) = capture.halted_by().await;
    assert_eq!(cause, Cause::Publication, "{reason}");
    assert!(remedy.contains("lunaria capture snapshot legacy"), "{remedy}");
    // Its being taken out again does not hide what was missed.
    captured.run("alter publication lunaria_capture_legacy drop table invoice").await;
    halts(&captured, Cause::Publication).await;
    captured.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_would_share_a_topic_halt_the_capture() {
    let sql = "create table \"a b\" (id integer primary key); create table a_b (id integer primary key)";
    let captured = Captured::create(sql, "\"a b\", a_b").await;
    let (cause, reason, _) = captured.start().halted_by().await;
    assert_eq!(cause, Cause::Topic, "{reason}");
    captured.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_of_each_table_how_much_of_a_row_before_will_have() {
    let sql = format!(
        "{CUSTOMER}; create table whole (id integer primary key); alter table whole replica identity full;
         create table bare (n integer); revoke all on bare from public"
    );
    let captured = Captured::create(&sql, "customer, whole, bare where (n > 1)").await;
    captured.run("revoke select on bare from lunaria_relay").await;
    let findings = relay::examine(&captured.config(true), &captured.sink()).await;
    let says = |weight: Weight, text: &str| {
        let found = findings.iter().any(|finding| finding.weight == weight && finding.what.contains(text));
        assert!(found, "{text}: {findings:#?}");
    };
    says(Weight::Note, "public.customer: `before` is the key of a deleted row");
    says(Weight::Note, "public.whole: `before` is the whole row");
    says(Weight::Note, "public.bare: inserts alone");
    says(Weight::Warning, "public.bare has no key");
    says(Weight::Warning, "the rows of public.bare may not be read");
    says(Weight::Note, "leaves some rows or columns of public.bare out");
    says(Weight::Note, "a snapshot of the tables comes first");
    assert!(findings.iter().all(|finding| finding.weight != Weight::Doubt), "{findings:#?}");
    assert_eq!(captured.source.state("slot").await, None, "it changes nothing");
    captured.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slot_is_confirmed_as_far_as_kafka_has_the_changes() {
    let captured = captured().await;
    let capture = captured.capture().await;
    captured.run("insert into customer values (2, 'Bo')").await;
    let end: Lsn = captured.source.wal_end().await;
    captured.source.until_confirmed(end).await;
    assert_eq!(captured.records("customer", 2).await.len(), 2);
    capture.stop().await;
    captured.drop().await;
}
