//! Sessions that end, and the next one, which begins at what was confirmed.

use testbed::eventually;

use crate::recorder::Recorder;
use crate::source::Source;

async fn until_session(recorder: &Recorder, number: usize) {
    eventually("a new session begins", async || (recorder.sessions() >= number).then_some(())).await;
}

#[tokio::test]
async fn a_failed_delivery_starts_a_session_in_which_all_that_is_unconfirmed_comes_again() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    recorder.hold("held");
    source.append("held-1", 1).await;
    source.append("free-1", 1).await;
    source.append("free-1", 2).await;
    recorder.until_delivered(3).await;
    source.until_the_relay_has_reported().await;
    recorder.fail();
    until_session(&recorder, 2).await;
    recorder.until_delivered(6).await;
    assert_eq!(recorder.names(2), recorder.names(1));
    recorder.release();
    source.until_confirmed(source.wal_end().await).await;
    relay.stop().await;
    source.drop().await;
}

#[tokio::test]
async fn a_refused_delivery_starts_a_session_that_begins_with_its_whole_transaction() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    recorder.refuse_once("refused");
    let mut transaction = source.store.pool().begin().await.unwrap();
    for stream in ["free-1", "refused-1", "free-2"] {
        crate::source::append_in(&mut transaction, stream, 1..=1).await;
    }
    transaction.commit().await.unwrap();
    recorder.until_delivered(4).await;
    assert_eq!(recorder.names(1), ["free-1@1"]);
    assert_eq!(recorder.names(2), ["free-1@1", "refused-1@1", "free-2@1"]);
    relay.stop().await;
    source.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_that_comes_after_its_session_confirms_nothing_in_the_next() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    recorder.hold("held");
    source.append("held-1", 1).await;
    let held = recorder.until_delivered(1).await[0].at.commit_lsn;
    recorder.fail();
    until_session(&recorder, 2).await;
    recorder.until_delivered(2).await;
    recorder.acknowledge_first();
    source.append("free-1", 1).await;
    recorder.until_delivered(3).await;
    source.until_the_relay_has_reported().await;
    assert!(source.confirmed().await <= held);
    recorder.release();
    source.until_confirmed(source.wal_end().await).await;
    relay.stop().await;
    source.drop().await;
}

#[tokio::test]
async fn a_relay_whose_walsender_is_terminated_goes_on_by_itself() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    for round in 1..=3_usize {
        source.append("free-1", i64::try_from(round).unwrap()).await;
        eventually("the event arrives", async || {
            recorder.names(round).contains(&format!("free-1@{round}")).then_some(())
        })
        .await;
        let terminate = "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name";
        assert!(source.ask::<bool>(&format!("{terminate} = '{}'", source.slot)).await);
        until_session(&recorder, round + 1).await;
    }
    let mut reached = 0;
    for one in recorder.delivered() {
        assert!(one.row.seq <= reached + 1, "{} comes after {reached}", one.name());
        reached = reached.max(one.row.seq);
    }
    relay.stop().await;
    source.drop().await;
}

#[tokio::test]
async fn a_second_relay_on_the_slot_waits_for_the_first_one_to_go() {
    let source = Source::create().await;
    let (first, second) = (Recorder::default(), Recorder::default());
    let (relay, standby) = (source.relay(first.clone()).await, source.try_relay(second.clone()));
    source.append("free-1", 1).await;
    first.until_delivered(1).await;
    source.until_confirmed(source.wal_end().await).await;
    assert_eq!(second.sessions(), 0);
    relay.stop().await;
    source.append("free-1", 2).await;
    second.until_delivered(1).await;
    assert_eq!(second.names(1), ["free-1@2"]);
    standby.stop().await;
    source.drop().await;
}
