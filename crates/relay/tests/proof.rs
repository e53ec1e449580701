//! What a start finds: each way in which events can have been missed while no relay ran, and none that is imagined.

use std::collections::BTreeMap;

use relay::{Cause, CommitPosition, Origin, Relayed, SinkAccount, TopicAccount, Weight};
use replication::Lsn;
use uuid::Uuid;

use crate::recorder::Recorder;
use crate::source::Source;

/// A source whose relay has relayed `note-1@1` and was stopped.
async fn relayed() -> Source {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    source.append("note-1", 1).await;
    recorder.until_delivered(1).await;
    relay.stop().await;
    source
}

/// A relay that halts before it reads; why, and what it says.
async fn halts(source: &Source, recorder: &Recorder) -> (Cause, String) {
    let (cause, reason, remedy) = source.try_relay(recorder.clone()).halted_by().await;
    assert!(!remedy.is_empty());
    assert_eq!(recorder.sessions(), 0, "nothing may be read");
    (cause, reason)
}

/// The same, for a gap: it is remembered, and only a refill ends it.
async fn halts_for_a_refill(source: &Source, cause: Cause) -> String {
    let (found, reason) = halts(source, &Recorder::default()).await;
    assert_eq!(found, cause, "{reason}");
    assert_eq!(source.state("refill ->> 'cause'").await.as_deref(), Some(cause.as_str()));
    assert_eq!(source.state("refill ->> 'reason'").await.as_deref(), Some(&*reason));
    reason
}

fn account(topics: &[(&str, i32, &[i64])]) -> SinkAccount {
    let topics = topics.iter().map(|(name, partitions, ends)| {
        ((*name).to_owned(), TopicAccount { partitions: *partitions, ends: ends.to_vec() })
    });
    SinkAccount { newest: None, topics: topics.collect::<BTreeMap<_, _>>() }
}

async fn relayed_event(source: &Source, commit_lsn: Lsn) -> Relayed {
    let id: Uuid = source.ask("select id from event order by position desc limit 1").await;
    let origin = Origin {
        system_identifier: source.state("system_identifier").await.unwrap().parse().unwrap(),
        timeline: source.state("timeline").await.unwrap().parse().unwrap(),
        epoch: source.state("epoch").await.unwrap().parse().unwrap(),
    };
    Relayed { origin, at: CommitPosition { commit_lsn, ordinal: 0 }, event_id: id }
}

#[tokio::test]
async fn a_slot_that_somebody_else_has_advanced_is_noticed_and_stays_noticed() {
    let source = relayed().await;
    source.append("note-1", 2).await;
    let advance =
        "select pg_replication_slot_advance('SLOT', pg_current_wal_lsn())".replace("SLOT", &source.slot);
    source.superuser(&advance).await;
    let reason = halts_for_a_refill(&source, Cause::SlotAdvanced).await;
    assert!(reason.contains(&source.confirmed().await.to_string()), "{reason}");
    assert!(reason.contains(&source.state("confirmed_lsn").await.unwrap()), "{reason}");
    // Were the slot to look right again, the gap would still be there.
    source.drop_slot().await;
    let create =
        "select pg_create_logical_replication_slot('SLOT', 'pgoutput')".replace("SLOT", &source.slot);
    source.superuser(&create).await;
    source.set_state("confirmed_lsn = pg_current_wal_lsn()").await;
    assert_eq!(halts_for_a_refill(&source, Cause::SlotAdvanced).await, reason);
    source.drop().await;
}

#[tokio::test]
async fn a_slot_that_was_dropped_or_made_anew_is_noticed() {
    let source = relayed().await;
    source.append("note-1", 2).await;
    source.drop_slot().await;
    let create =
        "select pg_create_logical_replication_slot('SLOT', 'pgoutput')".replace("SLOT", &source.slot);
    source.superuser(&create).await;
    halts_for_a_refill(&source, Cause::SlotAdvanced).await;
    source.drop().await;

    let source = relayed().await;
    source.drop_slot().await;
    let reason = halts_for_a_refill(&source, Cause::SlotLost).await;
    assert!(reason.contains("does not exist any more"), "{reason}");
    source.drop().await;
}

/// As a kill between the making of the slot and the verdict leaves it, or an older version.
#[tokio::test]
async fn a_slot_without_a_state_is_adopted_only_when_nothing_can_be_missing() {
    let source = Source::create().await;
    let create =
        "select pg_create_logical_replication_slot('SLOT', 'pgoutput')".replace("SLOT", &source.slot);
    source.superuser(&create).await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    source.append("note-1", 1).await;
    let at = recorder.until_delivered(1).await[0].at.commit_lsn;
    relay.kill().await;

    // Proven by what the sink has.
    let newest = relayed_event(&source, at).await;
    source.superuser("delete from relay_state").await;
    let recorder = Recorder::default();
    let later = CommitPosition { commit_lsn: source.wal_end().await, ordinal: 0 };
    recorder
        .set_account(SinkAccount { newest: Some(Relayed { at: later, ..newest.clone() }), ..account(&[]) });
    source.relay(recorder.clone()).await.stop().await;

    // Not proven: the slot stands beyond all that the sink has.
    source.superuser("delete from relay_state").await;
    let recorder = Recorder::default();
    let earlier = CommitPosition { commit_lsn: Lsn::new(at.as_u64() - 1), ordinal: 0 };
    recorder.set_account(SinkAccount { newest: Some(Relayed { at: earlier, ..newest }), ..account(&[]) });
    let (cause, reason) = halts(&source, &recorder).await;
    assert_eq!(cause, Cause::Slot, "{reason}");
    assert!(reason.contains("no state"), "{reason}");
    // And this is remembered, whatever the sink says next.
    halts_for_a_refill(&source, Cause::Slot).await;
    source.drop().await;
}

#[tokio::test]
async fn a_slot_that_was_prepared_delivers_what_was_appended_before_the_first_relay_ran() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    for _ in 0..2 {
        relay::prepare(&source.config(), &recorder).await.unwrap();
    }
    source.append("note-1", 1).await;
    let relay = source.relay(recorder.clone()).await;
    assert_eq!(recorder.until_delivered(1).await[0].name(), "note-1@1");
    relay.stop().await;
    source.drop().await;
}

#[tokio::test]
async fn a_table_that_was_out_of_the_publication_while_no_relay_ran_is_noticed() {
    for there_and_back in [
        "alter publication lunaria drop table event; alter publication lunaria add table event",
        "alter publication lunaria set table event where (seq > 5); alter publication lunaria set table event",
        "alter publication lunaria set (publish = 'insert');
         alter publication lunaria set (publish = 'insert, update, delete, truncate')",
        "drop publication lunaria;
         create publication lunaria for table event with (publish = 'insert, update, delete, truncate')",
    ] {
        let source = relayed().await;
        source.superuser(there_and_back).await;
        let reason = halts_for_a_refill(&source, Cause::Publication).await;
        assert!(reason.contains("changed and put back"), "{there_and_back}: {reason}");
        source.drop().await;
    }
}

#[tokio::test]
async fn a_publication_that_is_put_back_after_the_halt_does_not_hide_the_gap() {
    let source = relayed().await;
    source.superuser("alter publication lunaria drop table event").await;
    let reason = halts_for_a_refill(&source, Cause::Publication).await;
    source.superuser("alter publication lunaria add table event").await;
    // Even if the fingerprint could be forged.
    source.set_state("publication = publication").await;
    assert_eq!(halts_for_a_refill(&source, Cause::Publication).await, reason);
    source.drop().await;
}

#[tokio::test]
async fn another_server_another_timeline_and_an_earlier_state_are_noticed() {
    for (manipulation, cause, what) in [
        ("system_identifier = '42'", Cause::Server, "another server"),
        ("timeline = timeline + 1", Cause::Timeline, "timeline 2 to 1"),
        (
            "confirmed_lsn = pg_current_wal_lsn() + 1000000000",
            Cause::Restored,
            "restored to an earlier state",
        ),
    ] {
        let source = relayed().await;
        source.set_state("horizon = '1:1:'").await;
        source.set_state(manipulation).await;
        let reason = halts_for_a_refill(&source, cause).await;
        assert!(reason.contains(what), "{reason}");
        assert_eq!(source.state("horizon").await, None, "it belongs to another history");
        source.drop().await;
    }
}

#[tokio::test]
async fn a_sink_that_has_lost_something_is_noticed() {
    for (now, what) in [
        (account(&[]), "does not exist any more"),
        (account(&[("core.note", 3, &[10, 20, 30])]), "had 2 partitions and has 3"),
        (account(&[("core.note", 2, &[10, 19])]), "partition 1 ends at 19, it ended at 20"),
        (account(&[("core.note", 2, &[0, 0])]), "was made anew"),
    ] {
        let source = Source::create().await;
        let recorder = Recorder::default();
        recorder.set_account(account(&[("core.note", 2, &[10, 20])]));
        let relay = source.relay(recorder.clone()).await;
        source.append("note-1", 1).await;
        recorder.until_delivered(1).await;
        relay.stop().await;

        // It may hold more than it did.
        recorder.set_account(account(&[("core.note", 2, &[11, 20]), ("core.other", 1, &[1])]));
        source.relay(recorder).await.stop().await;
        source.set_state(r#"topics = '{"core.note": {"partitions": 2, "ends": [10, 20]}}'"#).await;

        let recorder = Recorder::default();
        recorder.set_account(now);
        let (cause, reason) = halts(&source, &recorder).await;
        assert_eq!(cause, Cause::Topic);
        assert!(reason.contains(what), "{reason}");
        source.drop().await;
    }
}

#[tokio::test]
async fn a_sink_that_knows_more_than_the_database_is_noticed() {
    let source = relayed().await;
    let known = relayed_event(&source, source.confirmed().await).await;
    let beyond = Lsn::new(source.wal_end().await.as_u64() + 1_000_000_000);
    let of = |origin| Relayed { origin, ..known.clone() };
    for (newest, cause, what) in [
        (of(Origin { system_identifier: 42, ..known.origin }), Cause::Server, "another server"),
        (
            of(Origin { timeline: known.origin.timeline + 1, ..known.origin }),
            Cause::Restored,
            "later timeline",
        ),
        (of(Origin { epoch: known.origin.epoch + 1, ..known.origin }), Cause::Restored, "does not know"),
        (Relayed { event_id: Uuid::now_v7(), ..known.clone() }, Cause::Restored, "table does not have"),
        (
            Relayed { at: CommitPosition { commit_lsn: beyond, ordinal: 0 }, ..known.clone() },
            Cause::Restored,
            "beyond the end",
        ),
    ] {
        let recorder = Recorder::default();
        recorder.set_account(SinkAccount { newest: Some(newest), topics: BTreeMap::new() });
        let (found, reason) = halts(&source, &recorder).await;
        assert_eq!(found, cause);
        assert!(reason.contains(what), "{reason}");
        source.set_state("refill = null").await;
    }
    let recorder = Recorder::default();
    recorder.set_account(SinkAccount { newest: Some(known), topics: BTreeMap::new() });
    source.relay(recorder).await.stop().await;
    source.drop().await;
}

#[tokio::test]
async fn a_table_that_is_not_logged_and_rights_that_are_missing_halt_the_relay() {
    for (alteration, cause, what) in [
        ("drop table relay_state", Cause::State, "no table relay_state"),
        ("revoke update on relay_state from lunaria_relay", Cause::Role, "may not keep its state"),
        ("revoke select on event from lunaria_relay", Cause::Role, "may not read the event table"),
        (
            "alter publication lunaria drop table event; alter table event set unlogged",
            Cause::Table,
            "not a plain, logged table",
        ),
    ] {
        let source = Source::create().await;
        source.superuser(alteration).await;
        let (found, reason) = halts(&source, &Recorder::default()).await;
        assert_eq!(found, cause, "{reason}");
        assert!(reason.contains(what), "{reason}");
        source.drop().await;
    }
}

#[tokio::test]
async fn an_examination_lists_everything_and_changes_nothing() {
    let source = Source::create().await;
    let untouched = async || {
        let slots = format!("select count(*) from pg_replication_slots where slot_name = '{}'", source.slot);
        assert_eq!(source.ask::<i64>(&slots).await, 0);
        assert_eq!(source.ask::<i64>("select count(*) from relay_state").await, 0);
    };
    let findings = relay::examine(&source.config(), &Recorder::default()).await;
    assert!(findings.iter().all(|finding| finding.weight < Weight::Doubt), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.what.contains("will be created")), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.weight == Weight::Good), "{findings:?}");
    untouched().await;

    source.append("note-1", 1).await;
    source
        .superuser(
            "alter publication lunaria drop table event; revoke update on relay_state from lunaria_relay",
        )
        .await;
    let findings = relay::examine(&source.config(), &Recorder::default()).await;
    let doubts: Vec<_> = findings.iter().filter(|finding| finding.weight == Weight::Doubt).collect();
    let causes: Vec<_> = doubts.iter().map(|doubt| doubt.cause).collect();
    assert_eq!(causes, [Cause::Role, Cause::Publication, Cause::Slot], "{doubts:?}");
    assert!(doubts.iter().all(|doubt| !doubt.remedy.is_empty()));
    untouched().await;

    let mut nowhere = source.config();
    nowhere.replication.database = "nowhere".to_owned();
    let findings = relay::examine(&nowhere, &Recorder::default()).await;
    assert_eq!(findings.last().map(|finding| finding.weight), Some(Weight::Doubt), "{findings:?}");
    source.drop().await;
}
