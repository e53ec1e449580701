//! The campaign: a load, faults at random all over it, and the verdict.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::figures::milliseconds;
use crate::load::{Amount, Load};
use crate::nemesis::{Fault, Inflicted, Nemesis};
use crate::relays::{Program, Session};
use crate::run::{Run, Verdict};
use crate::site::Site;

/// A fault that the load does not reach in this time is inflicted without it.
const LOAD_LIMIT: Duration = Duration::from_secs(120);
const STOPPED: u32 = 6;
/// Each way, as between data centres: without it hardly a kill would find an event under way.
const BROKER_DELAY: Duration = Duration::from_millis(10);

/// What a campaign consists of. The seed decides everything that the machine leaves to decide.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub events: u64,
    pub relay_kills: u32,
    pub relay_pauses: u32,
    pub postmaster_kills: u32,
    pub broker_kills: u32,
    pub network_faults: u32,
    /// One JSON line for each fault.
    pub history: PathBuf,
}

impl Plan {
    /// In the order in which they happen. For every six kills of a relay, one is stopped in order.
    fn faults(&self, random: &mut StdRng) -> Vec<Fault> {
        let counts = [
            (Fault::KillRelay, self.relay_kills),
            (Fault::StopRelay, self.relay_kills.div_ceil(STOPPED)),
            (Fault::PauseRelay, self.relay_pauses),
            (Fault::KillPostmaster, self.postmaster_kills),
            (Fault::KillBroker, self.broker_kills),
        ];
        let mut faults = Vec::new();
        for (fault, count) in counts {
            faults.extend(std::iter::repeat_n(fault, count as usize));
        }
        for n in 0..self.network_faults {
            faults.push(if n % 2 == 0 { Fault::CutNetwork } else { Fault::HoldNetwork });
        }
        faults.shuffle(random);
        faults
    }
}

/// How long a fault takes until the next one, on two cores: what the rate of the load follows from.
fn usual(fault: Fault) -> Duration {
    Duration::from_millis(match fault {
        Fault::KillRelay | Fault::StopRelay => 1300,
        Fault::PauseRelay => 11_500,
        Fault::KillPostmaster => 5500,
        Fault::KillBroker => 4500,
        Fault::CutNetwork | Fault::HoldNetwork => 1300,
    })
}

pub async fn campaign(site: &Arc<Site>, program: &Program, plan: &Plan) -> Verdict {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let faults = plan.faults(&mut random);
    let load_seed = random.random();
    let mut nemesis = Nemesis::new(random, plan.history.clone());
    let mut run = Run::start(site, program).await;
    site.broker_proxies.iter().for_each(|proxy| proxy.delay(BROKER_DELAY));
    let amount = Amount {
        events: plan.events,
        events_per_second: 1000,
        large_every: (plan.events / 4).max(1),
        large_events: usize::try_from(plan.events / 30).unwrap().clamp(1, 5000),
    };
    let load = Load::start(&run.database.application(), amount, load_seed);
    let mut is_alive = true;
    for (number, fault) in faults.iter().enumerate() {
        load.spread_over(faults[number..].iter().copied().map(usual).sum());
        let due = plan.events * (number as u64 + 1) / (faults.len() as u64 + 1);
        is_alive = run.within(LOAD_LIMIT, |_| load.committed() >= due || load.is_done()).await;
        if !is_alive {
            break;
        }
        nemesis.inflict(&mut run, *fault).await;
    }
    if is_alive {
        // The last faults' share.
        run.within(LOAD_LIMIT, |_| load.is_done()).await;
    }
    nemesis.heal(&mut run).await;
    site.broker_proxies.iter().for_each(|proxy| proxy.delay(Duration::ZERO));
    let written = load.finish().await;
    let sessions = run.relays.sessions();
    let faults = run.faults.clone();
    let mut verdict = run.finish(written).await;
    reached(plan, site, &faults, &sessions, &mut verdict);
    verdict
}

/// A campaign counts only if it was where it is dangerous.
fn reached(plan: &Plan, site: &Site, faults: &[Inflicted], sessions: &[Session], verdict: &mut Verdict) {
    let kills: Vec<&Inflicted> =
        faults.iter().filter(|one| one.fault == Fault::KillRelay && one.hit_leader).collect();
    let in_flight = kills.iter().filter(|one| one.in_flight > 0).count();
    let takeovers = sessions.windows(2).filter(|pair| pair[0].relay != pair[1].relay).count();
    let moved = faults.iter().filter(|one| one.leaders_moved).count();
    let paused: Vec<&Inflicted> = faults.iter().filter(|one| one.fault == Fault::PauseRelay).collect();

    let figures = &mut verdict.figures;
    for (name, fault) in [
        ("relays killed", Fault::KillRelay),
        ("relays stopped", Fault::StopRelay),
        ("relays paused", Fault::PauseRelay),
        ("postmasters killed", Fault::KillPostmaster),
        ("brokers killed", Fault::KillBroker),
        ("connections cut", Fault::CutNetwork),
        ("connections held", Fault::HoldNetwork),
    ] {
        figures.put(name, faults.iter().filter(|one| one.fault == fault).count());
    }
    figures.put("kills of the leader with events in flight", format!("{in_flight} of {}", kills.len()));
    let in_flights = kills.iter().map(|one| one.in_flight).collect();
    figures.put_spread("in flight at a kill, p50 / max", in_flights, |count| count.to_string());
    figures.put("takeovers by the standby", takeovers);
    for (name, fault) in [
        ("next session after a relay's kill, p50 / max", Fault::KillRelay),
        ("next session after a postmaster's kill, p50 / max", Fault::KillPostmaster),
        ("next session after a pause, p50 / max", Fault::PauseRelay),
    ] {
        let takeovers = faults.iter().filter(|one| one.fault == fault).filter_map(|one| one.takeover);
        figures.put_spread(name, takeovers.collect(), milliseconds);
    }
    figures.put("kills of brokers after which others led", moved);

    let violations = &mut verdict.violations;
    let mut must = |is_reached: bool, what: &str| {
        if !is_reached {
            violations.add("never reached", || what.to_owned());
        }
    };
    must(in_flight * 2 >= kills.len(), "events in flight at half of the kills");
    must(takeovers > 0 || plan.relay_kills < 4, "a takeover by the standby");
    must(moved > 0 || plan.broker_kills < 4 || site.brokers == 1, "other leaders after a broker's kill");
    must(paused.iter().all(|one| one.takeover.is_some()), "a takeover from a relay that was paused");
    must(kills.iter().all(|one| one.takeover.is_some()), "a session after each kill");
}
