//! How far the slot is confirmed: the longest acknowledged prefix, and what the server has said behind it.

use std::time::Instant;

use testbed::patience;

use crate::recorder::Recorder;
use crate::source::{Source, append_in};

const LATER: i64 = 50;

async fn write_other_wal(source: &Source) {
    source.superuser("insert into other select n from generate_series(1, 5000) as n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slot_does_not_pass_an_unacknowledged_transaction_whatever_comes_after_it() {
    let source = Source::create().await;
    source.superuser("create table other (n bigint)").await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    recorder.hold("held");
    source.append("held-1", 1).await;
    let held = recorder.until_delivered(1).await[0].at.commit_lsn;

    for seq in 1..=LATER {
        source.append("free-1", seq).await;
    }
    write_other_wal(&source).await;
    recorder.until_delivered(1 + usize::try_from(LATER).unwrap()).await;
    source.until_the_relay_has_reported().await;
    write_other_wal(&source).await;
    source.until_the_relay_has_reported().await;
    let confirmed = source.confirmed().await;
    assert!(confirmed <= held, "{confirmed} is confirmed, but {held} is not acknowledged");

    let end = source.wal_end().await;
    recorder.release();
    source.until_confirmed(end).await;
    relay.stop().await;
    source.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_acknowledged_in_part_is_not_confirmed() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    recorder.hold("held");
    let mut transaction = source.store.pool().begin().await.unwrap();
    append_in(&mut transaction, "free-1", 1..=3).await;
    append_in(&mut transaction, "held-1", 1..=1).await;
    append_in(&mut transaction, "free-2", 1..=3).await;
    transaction.commit().await.unwrap();
    let end = source.wal_end().await;
    let held = recorder.until_delivered(7).await[0].at.commit_lsn;
    source.until_the_relay_has_reported().await;
    assert!(source.confirmed().await <= held);
    recorder.release();
    source.until_confirmed(end).await;
    relay.stop().await;
    source.drop().await;
}

#[tokio::test]
async fn an_idle_slot_moves_on_with_the_log_of_tables_that_are_not_published() {
    let source = Source::create().await;
    source.superuser("create table other (n bigint)").await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    for _ in 0..2 {
        write_other_wal(&source).await;
        source.until_confirmed(source.wal_end().await).await;
    }
    assert!(recorder.delivered().is_empty());
    relay.stop().await;
    source.drop().await;
}

#[tokio::test]
async fn what_was_confirmed_is_not_sent_again_and_what_was_not_is() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    source.append("free-1", 1).await;
    recorder.until_delivered(1).await;
    recorder.hold("held");
    source.append("held-1", 1).await;
    source.append("free-1", 2).await;
    recorder.until_delivered(3).await;
    relay.stop().await;

    let relay = source.relay(recorder.clone()).await;
    source.append("free-1", 3).await;
    recorder.until_delivered(6).await;
    assert_eq!(recorder.names(2), ["held-1@1", "free-1@2", "free-1@3"]);
    relay.stop().await;
    source.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slot_never_stands_beyond_what_the_relay_has_written_down() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    let mut moves = std::collections::BTreeSet::new();
    let deadline = Instant::now() + patience();
    for seq in 1.. {
        source.append("free-1", seq).await;
        recorder.until_delivered(usize::try_from(seq).unwrap()).await;
        // In this order: the ceiling only rises.
        let confirmed = source.confirmed().await;
        let ceiling: replication::Lsn = source.state("confirmed_lsn").await.unwrap().parse().unwrap();
        assert!(confirmed <= ceiling, "{confirmed} is confirmed, {ceiling} is written");
        moves.insert(confirmed);
        if seq >= LATER && moves.len() > 1 {
            break;
        }
        assert!(Instant::now() < deadline, "nothing was confirmed meanwhile");
    }
    relay.stop().await;
    source.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_stopped_leaves_nothing_to_be_sent_again() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    for round in 1..=5 {
        let relay = source.relay(recorder.clone()).await;
        let first = (round - 1) * 20 + 1;
        for seq in first..first + 20 {
            source.append("free-1", seq).await;
        }
        recorder.until_delivered(usize::try_from(first).unwrap()).await;
        // In the middle of the rest.
        relay.stop().await;
    }
    let relay = source.relay(recorder.clone()).await;
    let delivered = recorder.until_delivered(100).await;
    relay.stop().await;
    let seqs: Vec<_> = delivered.iter().map(|one| one.row.seq).collect();
    assert_eq!(seqs, (1..=100).collect::<Vec<_>>());
    source.drop().await;
}
