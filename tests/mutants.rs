//! The checker sees the faults that it is there for: each is seeded in a build of its own and has to be caught.

use crate::crash::campaign;
use crate::harness::{Transport, Victim};

/// Built by `make test` with the feature `mutants`.
fn program() -> String {
    std::env::var("LUNARIA_MUTANTS_BIN").expect(
        "LUNARIA_MUTANTS_BIN is not set: run `make test`, which builds the binary with the seeded faults",
    )
}

/// The same number for each, the control included.
const KILLS: usize = 8;

async fn caught(mutant: &str, by: &[&str]) {
    let victims = [Victim::Everything];
    let outcome = campaign(Transport::Embedded, &program(), mutant, KILLS, &victims).await;
    let seen = outcome.violations.iter().any(|violation| by.iter().any(|what| violation.contains(what)));
    assert!(seen, "{mutant} was not caught in {} transfers: {:#?}", outcome.accepted, outcome.violations);
}

/// How a lost effect shows: a saga that stands still, a projection or an external stream that lacks something.
const LOST: [&str; 4] = ["have not ended", "ledger differs", "has missed events", "were not derived"];

#[tokio::test(flavor = "multi_thread")]
async fn confirming_before_the_handlers_are_done_is_caught() {
    caught("confirm_before_ack", &LOST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_outside_the_transaction_is_caught() {
    caught("cursor_outside_transaction", &LOST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_before_its_attempt_is_an_event_is_caught() {
    caught("call_before_attempt", &["before its attempt"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_build_without_a_seeded_fault_passes() {
    let outcome = campaign(Transport::Embedded, &program(), "", KILLS, &[Victim::Everything]).await;
    assert_eq!(outcome.violations, Vec::<String>::new());
}
