//! What a person has to look at first: the relay halts, says why, and says what to do.

use crate::recorder::Recorder;
use crate::source::Source;

/// A relay that cannot start on this database; its reason.
async fn halts_at_start(source: &Source) -> String {
    let recorder = Recorder::default();
    let (reason, remedy) = source.try_relay(recorder.clone()).halted().await;
    assert!(!remedy.is_empty());
    assert_eq!(recorder.sessions(), 0, "nothing may be read");
    reason
}

#[tokio::test]
async fn a_changed_deleted_or_truncated_event_halts_the_relay() {
    for tampering in ["update event set data = '{}'", "delete from event", "truncate event"] {
        let source = Source::create().await;
        let recorder = Recorder::default();
        let relay = source.relay(recorder.clone()).await;
        source.append("note-1", 1).await;
        recorder.until_delivered(1).await;
        source.superuser("alter table event disable trigger event_append_only").await;
        source.superuser(tampering).await;
        source.superuser("alter table event enable trigger event_append_only").await;
        let (reason, remedy) = relay.halted().await;
        assert!(reason.contains("updated, deleted or truncated"), "{tampering}: {reason}");
        assert!(remedy.contains("tampering"));
        // And again: it does not go past it.
        let (again, _) = source.try_relay(Recorder::default()).halted().await;
        assert_eq!(again, reason);
        source.drop().await;
    }
}

#[tokio::test]
async fn a_publication_that_is_missing_or_altered_halts_the_relay_before_it_reads() {
    for (alteration, reason) in [
        ("drop publication lunaria", "does not exist"),
        ("alter publication lunaria set table event where (seq > 1)", "not the whole event table"),
        ("alter publication lunaria set table event (stream, seq)", "not the whole event table"),
        ("alter publication lunaria set (publish = 'insert')", "not the whole event table"),
        ("alter publication lunaria add table cursor", "not the whole event table"),
        ("alter publication lunaria set table cursor", "not the whole event table"),
        ("alter publication lunaria drop table event", "not the whole event table"),
    ] {
        let source = Source::create().await;
        source.superuser(alteration).await;
        let halted = halts_at_start(&source).await;
        assert!(halted.contains(reason), "{alteration}: {halted}");
        source.drop().await;
    }
}

#[tokio::test]
async fn a_table_that_is_added_to_the_publication_meanwhile_halts_the_relay() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    source.append("note-1", 1).await;
    recorder.until_delivered(1).await;
    source.superuser("create table other (n bigint); alter publication lunaria add table other").await;
    source.superuser("insert into other values (1)").await;
    let (reason, _) = relay.halted().await;
    assert!(reason.contains("public.other"), "{reason}");
    source.drop().await;
}

#[tokio::test]
async fn a_missing_slot_is_created_for_an_empty_table_only() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    source.relay(recorder.clone()).await.stop().await;
    source.append("note-1", 1).await;
    // The slot has kept what was appended while no relay ran.
    let relay = source.relay(recorder.clone()).await;
    recorder.until_delivered(1).await;
    relay.stop().await;

    source.drop_slot().await;
    let reason = halts_at_start(&source).await;
    assert!(reason.contains("does not exist"), "{reason}");
    let slots = format!("select count(*) from pg_replication_slots where slot_name = '{}'", source.slot);
    assert_eq!(source.ask::<i64>(&slots).await, 0, "none was created \"from now\"");
    source.drop().await;
}

#[tokio::test]
async fn a_slot_of_another_plugin_or_database_halts_the_relay() {
    let source = Source::create().await;
    let logical = "select pg_create_logical_replication_slot";
    source.superuser(&format!("{logical}('{}', 'test_decoding')", source.slot)).await;
    assert!(halts_at_start(&source).await.contains("not for pgoutput"));
    source.drop_slot().await;
    source.superuser(&format!("select pg_create_physical_replication_slot('{}')", source.slot)).await;
    assert!(halts_at_start(&source).await.contains("not for pgoutput"));
    source.drop_slot().await;

    let other = Source::create().await;
    other.superuser(&format!("{logical}('{}', 'pgoutput')", source.slot)).await;
    assert!(halts_at_start(&source).await.contains("another database"));
    other.drop().await;
    source.drop().await;
}

#[tokio::test]
async fn a_column_of_another_type_halts_the_relay_and_an_additional_one_does_not() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    source.superuser("alter table event add column note text default 'x'").await;
    source.append("note-1", 1).await;
    assert_eq!(recorder.until_delivered(1).await[0].name(), "note-1@1");
    source.superuser("alter table event alter column version type integer").await;
    source.append("note-1", 2).await;
    let (reason, remedy) = relay.halted().await;
    assert!(reason.contains("version"), "{reason}");
    assert!(remedy.contains("0001_event.sql"));
    assert_eq!(recorder.names(1), ["note-1@1"]);

    source.superuser("alter table event alter column version type smallint").await;
    source.append("note-1", 3).await;
    let (again, _) = source.try_relay(recorder.clone()).halted().await;
    assert_eq!(again, reason, "the row of the wrong shape is still in the log");
    source.drop().await;
}

#[tokio::test]
async fn a_role_that_may_not_replicate_ends_the_relay() {
    let source = Source::create().await;
    let mut config = source.config();
    config.replication.user = event_store::APPLICATION_ROLE.to_owned();
    config.replication.password = Some("application".into());
    let shutdown = tokio_util::sync::CancellationToken::new();
    let outcome = relay::run(config, Recorder::default(), shutdown).await;
    assert!(!outcome.unwrap_err().is_transient());
    source.drop().await;
}
