//! Faults on purpose: each at the one moment at which a certain mistake would lose an event, or invent one.
//!
//! | scenario | the mistake that it is aimed at |
//! | --- | --- |
//! | held brokers | confirming what was sent but not acknowledged, or what a keep-alive says |
//! | adjacent commits | confirming one byte too much |
//! | torn transaction | telling events apart by their transaction's LSN alone |
//! | slow partition | going on after the newest record rather than after what is confirmed |
//! | lost slot | making a new slot for one that was dropped, and carrying on |
//! | lone leader | being content with one replica |
//! | failover | publishing what the synchronous standby does not have ([`crate::failover`]) |
//!
//! Events on their way are dropped with the connections (`cut`), never let through later by a proxy that had held them.

use std::sync::Arc;
use std::time::Duration;

use kafka_producer::partition_of;
use sqlx::{Connection, PgConnection};
use testbed::eventually;

use crate::failover;
use crate::load::Written;
use crate::relays::Program;
use crate::run::{PARTITIONS, Run, Verdict, rows};
use crate::site::Site;

/// How long a relay that is right has to resist, which one that is wrong does not.
const TEMPTATION: Duration = Duration::from_millis(1500);
const LIMIT: Duration = Duration::from_secs(20);
/// Two commits stand side by side in the log in most tries.
const TRIES: usize = 20;
/// Some forty batches, of which a fifth can be under way.
const TORN_EVENTS: i64 = 8000;
const TORN_PADDING: usize = 1000;
const TORN_DELAY: Duration = Duration::from_millis(40);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    HeldBrokers,
    AdjacentCommits,
    TornTransaction,
    SlowPartition,
    /// The relay that is right ends it with a halt.
    LostSlot,
    LoneLeader,
    Failover,
}

impl Scenario {
    pub async fn play(self, site: &Arc<Site>, program: &Program) -> Verdict {
        if self == Self::Failover {
            return failover::play(site, program).await;
        }
        let mut run = Run::start(site, program).await;
        // Both topics are known from here on, and one stream is on each partition.
        for partition in 0..PARTITIONS {
            run.append(&stream_on(partition), 1..=1, 10).await;
        }
        assert!(run.settle().await, "the relay does not relay: {}", run.relays.last_words());
        match self {
            Self::HeldBrokers => held_brokers(&mut run).await,
            Self::AdjacentCommits => adjacent_commits(&mut run).await,
            Self::TornTransaction => torn_transaction(&mut run).await,
            Self::SlowPartition => slow_partition(&mut run).await,
            Self::LostSlot => lost_slot(&mut run).await,
            Self::LoneLeader => lone_leader(&mut run).await,
            Self::Failover => {}
        }
        run.finish(Written::default()).await
    }
}

/// Nothing that the relay sends arrives: nothing may be confirmed, whatever the server says meanwhile.
async fn held_brokers(run: &mut Run) {
    for proxy in &run.site.broker_proxies {
        proxy.hold_upstream().await;
    }
    run.append(&stream_on(0), 2..=6, 10).await;
    let end = witnessed(run, &stream_on(0), 6).await.end_lsn;
    run.within(TEMPTATION, |run| confirmed(run) >= end).await;
    for proxy in &run.site.broker_proxies {
        proxy.heal().await;
    }
}

/// The first of two transactions is acknowledged and confirmed, the second begins its commit at that very byte.
async fn adjacent_commits(run: &mut Run) {
    let (held, free) = (partition_of_broker(run, 0), partition_of_broker(run, 1));
    for seq in 2..2 + i64::try_from(TRIES).unwrap() {
        run.site.broker_proxies[0].hold_upstream().await;
        let (first, second) = (stream_on(free), stream_on(held));
        commit_both(run, &first, &second, seq).await;
        let first_end = witnessed(run, &first, seq).await.end_lsn;
        if witnessed(run, &second, seq).await.commit_lsn == first_end {
            assert!(run.within(LIMIT, |run| confirmed(run) >= first_end).await, "the first is not confirmed");
            break;
        }
        run.site.broker_proxies[0].heal().await;
        assert!(run.settle().await, "the relay does not relay: {}", run.relays.last_words());
    }
    kill_and_restart(run).await;
}

async fn commit_both(run: &Run, first: &str, second: &str, seq: i64) {
    let application = run.database.application();
    let mut connections = [
        PgConnection::connect_with(&application).await.unwrap(),
        PgConnection::connect_with(&application).await.unwrap(),
    ];
    let [one, other] = &mut connections;
    let (mut one, mut other) = (one.begin().await.unwrap(), other.begin().await.unwrap());
    rows(first, seq..=seq, 10).append(&mut one).await.unwrap();
    rows(second, seq..=seq, 10).append(&mut other).await.unwrap();
    let (one, other) = tokio::join!(one.commit(), other.commit());
    one.and(other).unwrap();
}

/// Kafka has the first part of a large transaction when the relay dies.
async fn torn_transaction(run: &mut Run) {
    let before = run.sampler.records().await;
    for proxy in &run.site.broker_proxies {
        proxy.delay(TORN_DELAY);
    }
    run.append(&stream_on(0), 2..=1 + TORN_EVENTS, TORN_PADDING).await;
    eventually("a part of the transaction is with Kafka", async || {
        (run.sampler.records().await > before).then_some(())
    })
    .await;
    kill_and_restart(run).await;
    for proxy in &run.site.broker_proxies {
        proxy.delay(Duration::ZERO);
    }
}

/// A later transaction is with Kafka, an earlier one of another partition is not.
async fn slow_partition(run: &mut Run) {
    let (held, free) = (partition_of_broker(run, 0), partition_of_broker(run, 1));
    let before = run.sampler.records().await;
    run.site.broker_proxies[0].hold_upstream().await;
    run.append(&stream_on(held), 2..=4, 10).await;
    run.append(&stream_on(free), 2..=4, 10).await;
    eventually("the later transaction is with Kafka", async || {
        (run.sampler.records().await == before + 3).then_some(())
    })
    .await;
    kill_and_restart(run).await;
}

async fn lost_slot(run: &mut Run) {
    run.relays.kill_all();
    let drop = format!(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots
                        where slot_name = '{0}' and not active",
        run.database.name
    );
    eventually("the slot is dropped", async || {
        run.superuser(&drop).await;
        run.slot_exists().await.eq(&false).then_some(())
    })
    .await;
    run.append(&stream_on(0), 2..=6, 10).await;
    let epoch = run.epoch();
    run.relays.start_all();
    // Either it reads another slot, or it halts.
    run.within(LIMIT, |run| run.session_after(epoch).is_some()).await;
}

/// The leader's word counts only when a follower has the records too: then it dies.
async fn lone_leader(run: &mut Run) {
    let leader = 0;
    let stream = stream_on(partition_of_broker(run, leader));
    let site = Arc::clone(&run.site);
    let followers: Vec<usize> = (0..site.brokers).filter(|broker| *broker != leader).collect();
    for follower in &followers {
        site.kafka.pause(*follower).await;
    }
    // Each follower has one fetch under way: its answer, with the first event, waits in the socket of a frozen process. What the
    // leader takes on after that is with nobody else.
    for seq in [2, 3] {
        run.append(&stream, seq..=seq, 10).await;
        let end = witnessed(run, &stream, seq).await.end_lsn;
        if !run.within(TEMPTATION, |run| confirmed(run) >= end).await {
            break;
        }
    }
    site.kafka.kill(leader).await;
    for follower in &followers {
        site.kafka.resume(*follower).await;
    }
    let has_leaders = |run: &Run| {
        let id = i32::try_from(leader + 1).unwrap();
        run.sampler.leaders().is_some_and(|all| all.iter().all(|leader| *leader > 0 && *leader != id))
    };
    assert!(run.within(LIMIT, has_leaders).await, "the followers elect no leader");
    site.kafka.restart(leader).await;
    site.kafka.wait_in_sync().await;
}

/// The connections with all that is on its way in them go first, so that nothing arrives after the relay's death.
async fn kill_and_restart(run: &mut Run) {
    run.relays.kill_all();
    for proxy in &run.site.broker_proxies {
        proxy.cut().await;
    }
    for proxy in &run.site.broker_proxies {
        proxy.heal().await;
    }
    run.relays.start_all();
}

/// The name of the one stream that a scenario has on a partition.
fn stream_on(partition: i32) -> String {
    let (partition, of) = (partition.unsigned_abs(), PARTITIONS.unsigned_abs());
    let mut names = (0..).map(|n| format!("account-s{n}"));
    names.find(|name| partition_of(name.as_bytes(), of) == partition).unwrap()
}

/// A partition of the accounts' topic that this broker leads, counted from 0: with as many partitions as brokers, each has one.
fn partition_of_broker(run: &Run, broker: usize) -> i32 {
    let leaders = run.sampler.leaders().unwrap();
    let id = i32::try_from(broker + 1).unwrap();
    let partitions = 0..PARTITIONS;
    partitions.zip(leaders).find(|(_, leader)| *leader == id).expect("a broker that leads nothing").0
}

fn confirmed(run: &Run) -> u64 {
    run.sampler.latest().map_or(0, |sample| sample.confirmed)
}

/// An event, once the witness has seen it.
async fn witnessed(run: &Run, stream: &str, seq: i64) -> crate::witness::Event {
    eventually("the witness has seen it", async || {
        let log = run.witness.log();
        let number = log.number_of(stream)?;
        log.events.iter().rev().find(|event| (event.stream, i64::from(event.seq)) == (number, seq)).copied()
    })
    .await
}
