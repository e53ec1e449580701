//! The checker sees the faults that it is there for: each is seeded in a build of its own and has to be caught.

use crate::crash::campaign;
use crate::harness::{Transport, Victim};

/// Built by `make test` with the feature `mutants`.
fn program() -> String {
    std::env::var("LUNARIA_MUTANTS_BIN").expect(
        "LUNARIA_MUTANTS_BIN is not set: run `make test`, which builds the binary with the seeded faults",
    )
}

async fn caught(mutant: &str, kills: usize) -> Vec<String> {
    let victims = [Victim::Everything];
    let outcome = campaign(Transport::Embedded, &program(), mutant, kills, &victims).await;
    assert!(!outcome.violations.is_empty(), "{mutant} was not caught in {} transfers", outcome.accepted);
    outcome.violations
}

#[tokio::test(flavor = "multi_thread")]
async fn confirming_before_the_handlers_are_done_is_caught() {
    caught("confirm_before_ack", 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_outside_the_transaction_is_caught() {
    caught("cursor_outside_transaction", 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_before_its_attempt_is_an_event_is_caught() {
    let violations = caught("call_before_attempt", 1).await;
    assert!(violations.iter().any(|violation| violation.contains("before its attempt")), "{violations:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_build_without_a_seeded_fault_passes() {
    let outcome = campaign(Transport::Embedded, &program(), "", 3, &[Victim::Everything]).await;
    assert_eq!(outcome.violations, Vec::<String>::new());
}
