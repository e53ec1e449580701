//! Kills, pauses and cuts at random, under load: nothing is lost, invented, reordered or confirmed too early.

use chaos::{Plan, campaign};

use crate::bench::{on_site, plain};

#[test]
fn a_campaign_loses_nothing_and_invents_nothing() {
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
        let is_well = verdict.violations.is_empty() && verdict.halt.is_none();
        let history = std::fs::read_to_string(&plan.history).unwrap();
        let (violations, halt, log) = (&verdict.violations, &verdict.halt, &verdict.log);
        assert!(is_well, "{plan:?}\n{violations}{halt:?}\n{history}\n{log}\n{}", verdict.figures);
    });
}
