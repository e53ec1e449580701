//! The faults: what is done to relays, servers and network, and what was under way at that moment.

use std::fs::File;
use std::future::ready;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::Rng;
use rand::rngs::StdRng;
use testbed::eventually;
use tokio::task::JoinHandle;

use crate::run::Run;

/// A session begins within this, whatever has happened. After a kill that fell on a cut network, one has been seen to take more than
/// 30 s; why is not known.
const SESSION_LIMIT: Duration = Duration::from_secs(60);
/// From a session's begin to the next fault.
const CALM_MS: std::ops::Range<u64> = 50..400;
/// How long a victim stays away before it is started again.
const AWAY_MS: std::ops::Range<u64> = 0..400;
const HELD_MS: std::ops::Range<u64> = 300..1500;
/// The others hit the relay that leads.
const STANDBY_EVERY: u32 = 4;
/// This one comes when it comes, and a relay that keeps up is then mostly idle; the others wait for events under way.
const UNPREPARED_EVERY: u32 = 2;
/// More than there are duplicates in Kafka, which hide as many that are under way.
const UNDER_WAY_MIN: u64 = 200;
const UNDER_WAY_LIMIT: Duration = Duration::from_secs(6);
/// A broker that died is noticed after 3 s.
const ELECTION_LIMIT: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    KillRelay,
    StopRelay,
    /// For longer than the standby bears the leader's silence.
    PauseRelay,
    KillPostmaster,
    KillBroker,
    /// The network between a relay and the server, or between the relays and a broker.
    CutNetwork,
    HoldNetwork,
}

/// A fault that has happened.
#[derive(Debug, Clone)]
pub(crate) struct Inflicted {
    pub(crate) fault: Fault,
    pub(crate) target: String,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    /// Committed before, and not with Kafka after it.
    pub(crate) in_flight: u64,
    /// Whether it hit the relay that led, or what the leader needs.
    pub(crate) hit_leader: bool,
    /// Until the next session, where this one had to end.
    pub(crate) takeover: Option<Duration>,
    pub(crate) leaders_moved: bool,
}

pub(crate) struct Nemesis {
    pub(crate) random: StdRng,
    history: File,
    /// Of relays, and orders to stop.
    kills: u32,
    /// A broker that is on its way back.
    returning: Option<JoinHandle<()>>,
}

impl Nemesis {
    pub(crate) fn new(random: StdRng, history: PathBuf) -> Self {
        Self { random, history: File::create(history).unwrap(), kills: 0, returning: None }
    }

    /// Does it, waits until what it has ended goes on, and notes it.
    pub(crate) async fn inflict(&mut self, run: &mut Run, fault: Fault) {
        self.calm(CALM_MS).await;
        let (is_leader, kills) = (self.hits_leader_next(), self.kills + 1);
        if fault == Fault::KillRelay && is_leader && !kills.is_multiple_of(UNPREPARED_EVERY) {
            until_under_way(run).await;
        }
        let (start_ms, at, epoch) = (now_ms(), Instant::now(), run.epoch());
        let leader = run.relays.leader().map_or(0, |session| session.relay);
        let mut inflicted = Inflicted {
            fault,
            target: String::new(),
            start_ms,
            end_ms: start_ms,
            in_flight: 0,
            hit_leader: true,
            takeover: None,
            leaders_moved: false,
        };
        match fault {
            Fault::KillRelay | Fault::StopRelay => self.relay(run, leader, &mut inflicted).await,
            Fault::PauseRelay => self.pause(run, leader, epoch, &mut inflicted).await,
            Fault::KillPostmaster => self.postmaster(run, &mut inflicted).await,
            Fault::KillBroker => self.broker(run, &mut inflicted).await,
            Fault::CutNetwork | Fault::HoldNetwork => self.network(run, leader, &mut inflicted).await,
        }
        let has_to_end = matches!(fault, Fault::KillRelay | Fault::StopRelay | Fault::PauseRelay)
            && inflicted.hit_leader
            || fault == Fault::KillPostmaster;
        if has_to_end && run.within(SESSION_LIMIT, |run| run.session_after(epoch).is_some()).await {
            inflicted.takeover = Some(at.elapsed());
        }
        inflicted.end_ms = now_ms();
        self.note(&inflicted);
        run.faults.push(inflicted);
    }

    /// Ends all faults that are still on.
    pub(crate) async fn heal(&mut self, run: &mut Run) {
        if let Some(returning) = self.returning.take() {
            returning.await.unwrap();
        }
        for proxy in run.relay_proxies.iter().chain(&run.site.broker_proxies) {
            proxy.heal().await;
        }
        run.relays.resume_all();
        run.tend();
        run.relays.start_all();
    }

    fn hits_leader_next(&self) -> bool {
        !(self.kills + 1).is_multiple_of(STANDBY_EVERY)
    }

    async fn calm(&mut self, ms: std::ops::Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.random.random_range(ms))).await;
    }

    async fn relay(&mut self, run: &mut Run, leader: usize, inflicted: &mut Inflicted) {
        inflicted.hit_leader = self.hits_leader_next();
        self.kills += 1;
        let victim = if inflicted.hit_leader { leader } else { 1 - leader };
        inflicted.target = format!("relay {victim}");
        let before = run.witness.events();
        if inflicted.fault == Fault::KillRelay {
            run.relays.kill(victim);
        } else {
            run.relays.terminate(victim);
            let mut has_ended = || run.relays.ended().contains(&victim).then_some(());
            eventually("the relay stops", || ready(has_ended())).await;
        }
        inflicted.in_flight = before.saturating_sub(run.sampler.records().await);
        for proxy in &run.site.broker_proxies {
            proxy.heal().await;
        }
        self.calm(AWAY_MS).await;
        run.relays.start(victim);
    }

    /// Until the other one has taken over; then it goes on with what it had in mind.
    async fn pause(&mut self, run: &mut Run, leader: usize, epoch: i64, inflicted: &mut Inflicted) {
        inflicted.target = format!("relay {leader}");
        let before = run.witness.events();
        run.relays.pause(leader);
        inflicted.in_flight = before.saturating_sub(run.sampler.records().await);
        run.within(SESSION_LIMIT, |run| run.session_after(epoch).is_some()).await;
        run.relays.resume(leader);
    }

    async fn postmaster(&mut self, run: &mut Run, inflicted: &mut Inflicted) {
        "postmaster".clone_into(&mut inflicted.target);
        let before = run.witness.events();
        run.site.postgres.kill().await;
        inflicted.in_flight = before.saturating_sub(run.sampler.records().await);
        self.calm(AWAY_MS).await;
        run.site.postgres.restart().await;
    }

    /// It comes back beside what follows; only the next broker waits for that.
    async fn broker(&mut self, run: &mut Run, inflicted: &mut Inflicted) {
        if let Some(returning) = self.returning.take() {
            returning.await.unwrap();
        }
        let broker = self.random.random_range(0..run.site.brokers);
        inflicted.target = format!("broker {broker}");
        let id = i32::try_from(broker + 1).unwrap();
        let is_leader = run.sampler.leaders().is_some_and(|leaders| leaders.contains(&id));
        let before = run.witness.events();
        run.site.kafka.kill(broker).await;
        inflicted.in_flight = before.saturating_sub(run.sampler.records().await);
        if is_leader && run.site.brokers > 1 {
            let moved = |run: &Run| {
                let leaders = run.sampler.leaders();
                leaders.is_some_and(|leaders| leaders.iter().all(|leader| *leader != id && *leader > 0))
            };
            inflicted.leaders_moved = run.within(ELECTION_LIMIT, moved).await;
        }
        let site = Arc::clone(&run.site);
        self.returning = Some(tokio::spawn(async move {
            site.kafka.restart(broker).await;
            site.kafka.wait_in_sync().await;
        }));
    }

    async fn network(&mut self, run: &mut Run, leader: usize, inflicted: &mut Inflicted) {
        let broker = self.random.random_range(0..run.site.brokers);
        let is_server = self.random.random_range(0..2) == 0;
        let site = Arc::clone(&run.site);
        let (proxy, target) = if is_server {
            (&run.relay_proxies[leader], format!("relay {leader} and the server"))
        } else {
            (&site.broker_proxies[broker], format!("the relays and broker {broker}"))
        };
        inflicted.target = target;
        let before = run.witness.events();
        if inflicted.fault == Fault::CutNetwork {
            proxy.cut().await;
        } else {
            proxy.hold().await;
        }
        inflicted.in_flight = before.saturating_sub(run.sampler.records().await);
        self.calm(HELD_MS).await;
        proxy.heal().await;
    }

    fn note(&mut self, inflicted: &Inflicted) {
        let line = serde_json::json!({
            "fault": format!("{:?}", inflicted.fault),
            "target": inflicted.target,
            "start_ms": inflicted.start_ms,
            "end_ms": inflicted.end_ms,
            "in_flight": inflicted.in_flight,
            "hit_leader": inflicted.hit_leader,
            "takeover_ms": inflicted.takeover.map(|duration| u64::try_from(duration.as_millis()).unwrap()),
        });
        writeln!(self.history, "{line}").unwrap();
    }
}

/// Lets nothing more through to Kafka, and returns when much waits for that.
async fn until_under_way(run: &mut Run) {
    for proxy in &run.site.broker_proxies {
        proxy.hold_upstream().await;
    }
    // What was sent twice counts among the records, and would hide as many that are under way.
    let enough = run.witness.events().max(run.sampler.records().await) + UNDER_WAY_MIN;
    run.within(UNDER_WAY_LIMIT, |run| run.witness.events() >= enough).await;
}

pub(crate) fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
