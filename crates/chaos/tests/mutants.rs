//! Each scenario catches the mistake that it is aimed at, and is passed by the relay as it is.

use chaos::Scenario;

use crate::bench::{on_site, plain, seeded};

/// `by`: the check that has to see it.
fn catches(scenario: Scenario, mutant: &str, by: &str) {
    on_site(async |site| {
        let verdict = scenario.play(&site, &seeded(mutant)).await;
        let (violations, log) = (&verdict.violations, &verdict.log);
        assert!(
            violations.of(by) > 0,
            "{mutant} was not caught by {by}: {violations}{:?}\n{log}",
            verdict.halt
        );
    });
}

fn is_passed(scenario: Scenario) {
    on_site(async |site| {
        let verdict = scenario.play(&site, &plain()).await;
        let (violations, log) = (&verdict.violations, &verdict.log);
        assert!(violations.is_empty() && verdict.halt.is_none(), "{violations}{:?}\n{log}", verdict.halt);
    });
}

#[test]
fn confirming_what_a_keep_alive_says_is_caught() {
    catches(Scenario::HeldBrokers, "confirm_keep_alive", "C5 confirmed too early");
}

#[test]
fn confirming_what_was_only_sent_is_caught() {
    catches(Scenario::HeldBrokers, "confirm_before_ack", "C5 confirmed too early");
}

#[test]
fn brokers_that_hear_nothing_are_waited_for() {
    is_passed(Scenario::HeldBrokers);
}

#[test]
fn confirming_a_byte_beyond_the_commit_is_caught() {
    catches(Scenario::AdjacentCommits, "confirm_beyond_end", "C1 loss");
}

#[test]
fn commits_side_by_side_in_the_log_are_told_apart() {
    is_passed(Scenario::AdjacentCommits);
}

#[test]
fn skipping_by_the_lsn_alone_is_caught() {
    catches(Scenario::TornTransaction, "skip_same_lsn", "C1 loss");
}

#[test]
fn a_transaction_that_was_torn_is_completed() {
    is_passed(Scenario::TornTransaction);
}

#[test]
fn starting_at_the_newest_record_is_caught() {
    catches(Scenario::SlowPartition, "start_at_newest_record", "C1 loss");
}

#[test]
fn an_earlier_transaction_of_a_slow_partition_is_sent_again() {
    is_passed(Scenario::SlowPartition);
}

#[test]
fn carrying_on_with_a_new_slot_is_caught() {
    catches(Scenario::LostSlot, "recreate_lost_slot", "C1 loss");
}

#[test]
fn a_slot_that_is_lost_halts_the_relay() {
    on_site(async |site| {
        let verdict = Scenario::LostSlot.play(&site, &plain()).await;
        let halt = verdict.halt.unwrap_or_default();
        assert!(halt.contains("does not exist any more"), "{halt}\n{}{}", verdict.violations, verdict.log);
    });
}

#[test]
fn being_content_with_one_replica_is_caught() {
    catches(Scenario::LoneLeader, "one_replica_acknowledges", "C1 loss");
}

#[test]
fn a_leader_that_dies_alone_loses_nothing() {
    is_passed(Scenario::LoneLeader);
}

#[test]
fn publishing_without_the_standby_is_caught() {
    catches(Scenario::Failover, "no_standby_gate", "C2 phantom");
}

#[test]
fn nothing_is_published_that_a_failover_undoes() {
    is_passed(Scenario::Failover);
}
