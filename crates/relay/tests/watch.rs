//! What a running relay notices by itself, though nothing of it shows in the stream.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use relay::{Cause, Phase, SinkAccount, TopicAccount};
use testbed::eventually;

use crate::recorder::Recorder;
use crate::source::{Relay, Source};

async fn running() -> (Source, Recorder, Relay) {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    source.append("note-1", 1).await;
    recorder.until_delivered(1).await;
    (source, recorder, relay)
}

#[tokio::test]
async fn a_publication_that_changes_under_a_running_relay_halts_it_before_anything_else_is_written() {
    for alteration in [
        "alter publication lunaria drop table event; alter publication lunaria add table event",
        "alter publication lunaria set table event where (seq > 5)",
        "alter publication lunaria set table event (stream, seq)",
        "alter publication lunaria set (publish = 'insert')",
        "drop publication lunaria",
    ] {
        let (source, _, relay) = running().await;
        source.superuser(alteration).await;
        let (cause, reason, remedy) = relay.halted_by().await;
        assert_eq!(cause, Cause::Publication, "{alteration}: {reason}");
        assert!(remedy.contains("lunaria relay refill core"), "{remedy}");
        assert_eq!(source.state("refill ->> 'cause'").await.as_deref(), Some("publication"));
        source.drop().await;
    }
}

#[tokio::test]
async fn the_horizon_never_covers_what_was_committed_while_the_publication_was_not_whole() {
    let (source, recorder, relay) = running().await;
    let seqs = AtomicI64::new(1);
    // A ceiling is written with each event, and brings the horizon along that the watch has vouched for.
    eventually("the horizon covers the first event", async || {
        source.append("note-2", seqs.fetch_add(1, Ordering::Relaxed)).await;
        let covered = "select coalesce(bool_and(pg_visible_in_snapshot(event.xmin::text::xid8, horizon::pg_snapshot)), false)
             from relay_state, event where stream = 'note-1'";
        source.ask::<bool>(covered).await.then_some(())
    })
    .await;
    source.superuser("alter publication lunaria drop table event").await;
    source.append("note-3", 1).await;
    source.superuser("alter publication lunaria add table event").await;
    relay.halted().await;
    assert!(!recorder.delivered().iter().any(|one| one.row.stream() == "note-3"), "the gap is real");
    let covered = "select pg_visible_in_snapshot(event.xmin::text::xid8, horizon::pg_snapshot)
         from relay_state, event where stream = 'note-3'";
    assert!(!source.ask::<bool>(covered).await, "a refill from the horizon on would not find it");
    source.drop().await;
}

#[tokio::test]
async fn a_paused_relay_reads_nothing_until_it_is_resumed() {
    let (source, recorder, relay) = running().await;
    source.set_state("paused = true").await;
    relay.until(Phase::Paused).await;
    source.append("note-1", 2).await;
    let slot_is_free =
        format!("select not active from pg_replication_slots where slot_name = '{}'", source.slot);
    assert!(source.ask::<bool>(&slot_is_free).await);
    assert_eq!(recorder.delivered().len(), 1);
    source.set_state("paused = false").await;
    assert_eq!(recorder.until_delivered(2).await[1].name(), "note-1@2");
    relay.stop().await;
    source.drop().await;
}

#[tokio::test]
async fn a_refill_that_somebody_asks_for_ends_the_session() {
    let (source, _, relay) = running().await;
    source.set_state("refill = '{}'").await;
    let (_, reason, remedy) = relay.halted_by().await;
    assert!(reason.contains("an operator has asked for it"), "{reason}");
    assert!(remedy.contains("lunaria relay refill core"), "{remedy}");
    source.drop().await;
}

#[tokio::test]
async fn a_topic_that_is_deleted_under_a_running_relay_halts_it() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let topic = TopicAccount { partitions: 1, ends: vec![7] };
    let topics = [("core.note".to_owned(), topic)].into();
    recorder.set_account(SinkAccount { newest: None, topics });
    let config = relay::Config { account_every: Duration::from_millis(50), ..source.config() };
    let relay = Relay::start(config, recorder.clone());
    relay.until_relaying().await;
    assert_eq!(
        source.state("topics").await.as_deref(),
        Some(r#"{"core.note": {"ends": [7], "partitions": 1}}"#)
    );
    recorder.set_account(SinkAccount::default());
    let (cause, reason, _) = relay.halted_by().await;
    assert_eq!(cause, Cause::Topic, "{reason}");
    source.drop().await;
}

#[tokio::test]
async fn what_the_sink_holds_back_shows_in_the_status() {
    let (source, recorder, relay) = running().await;
    recorder.hold("held");
    source.append("held-1", 1).await;
    source.superuser("select pg_logical_emit_message(false, 'test', repeat('x', 2000000))").await;
    eventually("the backlog shows", async || {
        let report = relay.status.report();
        let backlog = report.backlog?;
        (backlog.lag_bytes > 1_000_000 && backlog.held_by.is_some() && !backlog.is_lost).then_some(())
    })
    .await;
    assert_eq!(relay.status.report().epoch, 1);
    recorder.release();
    eventually("the backlog is gone", async || {
        let backlog = relay.status.report().backlog?;
        (backlog.held_by.is_none() && backlog.lag.is_zero()).then_some(())
    })
    .await;
    relay.stop().await;
    source.drop().await;
}
