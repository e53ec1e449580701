//! Kills, pauses and cuts at random, under load: nothing is lost, invented, reordered or confirmed too early.

use chaos::{Plan, campaign};

use crate::bench::{on_site, plain};

/// A schedule that has hit nothing in flight proves little, and says so. It is no fault of the relay's: another one is drawn.
const SCHEDULES_MAX: usize = 3;

#[test]
fn a_campaign_loses_nothing_and_invents_nothing() {
    for schedule in 1..=SCHEDULES_MAX {
        if has_hit_something(schedule == SCHEDULES_MAX) {
            return;
        }
    }
}

/// Fails at anything but a schedule that has hit too little, and, if it is the last, at that as well.
fn has_hit_something(is_last: bool) -> bool {
    let mut has_hit = false;
    on_site(async |site| {
        let directory = tempfile::tempdir().unwrap();
        let plan = Plan {
            seed: rand::random(),
            events: 40_000,
            relay_kills: 5,
            relay_pauses: 1,
            postmaster_kills: 1,
            broker_kills: 1,
            network_faults: 2,
            history: directory.path().join("history.jsonl"),
        };
        let verdict = campaign(&site, &plain(), &plan).await;
        has_hit = verdict.violations.of("never reached") == 0;
        let is_well = verdict.violations.checks().iter().all(|check| *check == "never reached" && !is_last);
        let history = std::fs::read_to_string(&plan.history).unwrap();
        let (violations, halt, log) = (&verdict.violations, &verdict.halt, &verdict.log);
        assert!(
            is_well && halt.is_none(),
            "{plan:?}\n{violations}{halt:?}\n{history}\n{log}\n{}",
            verdict.figures
        );
    });
    has_hit
}
