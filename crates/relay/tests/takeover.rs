//! Two relays on one slot: one reads, the other stands by, and one that was superseded confirms nothing.

use std::time::Duration;

use relay::{Config, Phase};
use replication::{Client, Lsn, SlotName};
use testbed::eventually;

use crate::recorder::Recorder;
use crate::source::{Relay, Source};

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_when_the_leader_is_killed_and_nothing_is_missing() {
    let source = Source::create().await;
    let mut leader = (source.relay(Recorder::default()).await, Recorder::default());
    leader.0.stop().await;
    leader.0 = source.relay(leader.1.clone()).await;
    let mut all = Vec::new();
    for round in 0..3_i64 {
        let recorder = Recorder::default();
        let standby = source.try_relay(recorder.clone());
        standby.until(Phase::Standby).await;
        leader.1.hold("held");
        source.append("held-1", round + 1).await;
        source.append("free-1", 2 * round + 1).await;
        eventually("the leader has both", async || {
            let names = leader.1.names(1);
            let last = format!("free-1@{}", 2 * round + 1);
            names.contains(&last).then_some(())
        })
        .await;
        source.append("free-1", 2 * round + 2).await;
        leader.0.kill().await;
        all.extend(leader.1.delivered());
        standby.until_relaying().await;
        let last = format!("free-1@{}", 2 * round + 2);
        eventually("the standby has what was not confirmed, and the rest", async || {
            let names = recorder.names(1);
            (names.contains(&format!("held-1@{}", round + 1)) && names.contains(&last)).then_some(())
        })
        .await;
        leader = (standby, recorder);
    }
    leader.0.stop().await;
    all.extend(leader.1.delivered());
    for stream in ["held-1", "free-1"] {
        let mut reached = 0;
        for one in all.iter().filter(|one| one.row.stream() == stream) {
            assert!(one.row.seq <= reached + 1, "{} comes after {reached}", one.name());
            reached = reached.max(one.row.seq);
        }
    }
    source.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_relays_that_start_at_once_on_a_new_database_one_leads_and_the_others_stand_by() {
    let source = Source::create().await;
    let relays: Vec<Relay> = (0..6).map(|_| source.try_relay(Recorder::default())).collect();
    eventually("one leads, five stand by", async || {
        let reports: Vec<_> = relays.iter().map(|relay| relay.status.report()).collect();
        let in_phase = |phase| reports.iter().filter(|one| one.phase == phase).count();
        assert_eq!(in_phase(Phase::Halted), 0, "{reports:#?}");
        (in_phase(Phase::Relaying) == 1 && in_phase(Phase::Standby) == 5).then_some(())
    })
    .await;
    for relay in relays {
        relay.stop().await;
    }
    source.drop().await;
}

#[tokio::test]
async fn a_leader_that_is_silent_for_too_long_loses_its_connection() {
    let source = Source::create().await;
    source.relay(Recorder::default()).await.stop().await;
    // Holds the slot and never says a word, as a process that was stopped, or a host that was cut off.
    let mut login = source.config().replication;
    login.status_interval = Duration::from_secs(3600);
    let client = Client::connect(&login).await.unwrap();
    let slot = SlotName::new(&*source.slot).unwrap();
    let silent = client.start_replication(&slot, Lsn::ZERO, "lunaria").await.unwrap();

    let recorder = Recorder::default();
    let config = Config { takeover_after: Duration::from_millis(1500), ..source.config() };
    let standby = Relay::start(config, recorder.clone());
    standby.until(Phase::Standby).await;
    source.append("note-1", 1).await;
    assert_eq!(recorder.until_delivered(1).await[0].name(), "note-1@1");
    drop(silent);
    standby.stop().await;
    source.drop().await;
}

#[tokio::test]
async fn a_leader_that_speaks_is_left_alone() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let leader = source.relay(recorder.clone()).await;
    let config = Config { takeover_after: Duration::from_millis(1500), ..source.config() };
    let standby = Relay::start(config, Recorder::default());
    standby.until(Phase::Standby).await;
    let before = source.active_pid().await;
    // Each report is later than the one before by up to a second: four of them pass the limit.
    for _ in 0..2 {
        source.until_the_relay_has_reported().await;
    }
    assert_eq!(source.active_pid().await, before);
    assert_eq!(recorder.sessions(), 1);
    standby.stop().await;
    leader.stop().await;
    source.drop().await;
}

#[tokio::test]
async fn a_session_that_was_superseded_confirms_nothing_more() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let config = Config { watch_every: Duration::from_secs(3600), ..source.config() };
    let relay = Relay::start(config, recorder.clone());
    relay.until_relaying().await;
    recorder.hold("held");
    source.append("held-1", 1).await;
    let held = recorder.until_delivered(1).await[0].at.commit_lsn;

    // Another session has leased the slot; this one does not know it yet, and now its sink acknowledges.
    source.set_state("epoch = epoch + 1").await;
    recorder.acknowledge_first();
    eventually("the superseded session ends", async || (recorder.sessions() == 2).then_some(())).await;
    recorder.until_delivered(2).await;
    assert_eq!(recorder.names(2), ["held-1@1"], "it was not confirmed, and so comes again");
    let ceiling: Lsn = source.state("confirmed_lsn").await.unwrap().parse().unwrap();
    assert!(
        ceiling <= held && source.confirmed().await <= held,
        "{ceiling} was written by the superseded one"
    );
    recorder.release();
    relay.stop().await;
    source.drop().await;
}

#[tokio::test]
async fn each_session_has_a_higher_epoch() {
    let source = Source::create().await;
    for epoch in 1..=3_i64 {
        let relay = source.relay(Recorder::default()).await;
        assert_eq!(source.state("epoch").await, Some(epoch.to_string()));
        assert_eq!(relay.status.report().epoch, epoch);
        relay.stop().await;
    }
    source.drop().await;
}
