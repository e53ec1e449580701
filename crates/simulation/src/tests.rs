//! Many seeds, none of which may break an invariant, and defects, each of which has to be seen.

use std::collections::BTreeSet;

use event::DomainEvent;

use super::{CardDefect, Defect, audit, audit_cards, run, run_cards};

const SEEDS: u64 = 10_000;
const SEEDS_OF_A_DEFECT: u64 = 50;

/// `LUNARIA_SEED=n` runs one seed alone, and `LUNARIA_SEEDS=n` so many.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("LUNARIA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LUNARIA_SEEDS").unwrap_or(SEEDS),
    }
}

#[test]
fn no_seed_breaks_an_invariant() {
    for seed in seeds() {
        let violations = audit(&run(seed, None));
        assert!(violations.is_empty(), "LUNARIA_SEED={seed}: {violations:#?}");
    }
}

#[test]
fn no_seed_breaks_an_invariant_of_payments_by_card() {
    for seed in seeds() {
        let violations = audit_cards(&run_cards(seed, None));
        assert!(violations.is_empty(), "LUNARIA_SEED={seed}: {violations:#?}");
    }
}

#[test]
fn the_seeds_together_reach_every_event_of_payments_by_card() {
    let (mut authorisations, mut exchanges) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..300 {
        let story = run_cards(seed, None);
        authorisations.extend(story.authorisations.values().flatten().map(DomainEvent::event_type));
        exchanges.extend(story.exchanges.values().flatten().map(DomainEvent::event_type));
    }
    let missing = |types: &[(&'static str, i16)], seen: &BTreeSet<&str>| {
        types.iter().map(|(name, _)| *name).filter(|name| !seen.contains(name)).collect::<Vec<_>>()
    };
    // No card is unknown here, and nobody says something else under a known id.
    let apart = ["StandInNotHeld", "BookedToSuspense", "OperatorAttentionRequired"];
    assert_eq!(missing(authorisation::AuthorisationEvent::TYPES, &authorisations), apart);
    assert_eq!(missing(card::ExchangeEvent::TYPES, &exchanges), ["MessageContradicted"]);
}

#[test]
fn each_defect_of_payments_by_card_is_seen() {
    let expected = [
        (CardDefect::CaptureTwice, "what was collected is not booked exactly once"),
        (CardDefect::SkipCapture, "what was collected is not booked exactly once"),
        (CardDefect::SkipRefund, "what was given back is not booked exactly once"),
        (CardDefect::SkipReversal, "a hold is left open"),
        (CardDefect::LoseStandIn, "what is held is not what can still be collected"),
        (CardDefect::LoseTimeOut, "what is held is not what can still be collected"),
        (CardDefect::Overdraw, "more was approved than there is"),
        (CardDefect::SkipExpiry, "a hold is left open"),
        (CardDefect::StrandHold, "what is reserved is not what is held"),
    ];
    for defect in CardDefect::ALL {
        assert!(expected.iter().any(|(expected, _)| *expected == defect), "{defect:?}");
    }
    for (defect, violation) in expected {
        let seen: BTreeSet<String> = (0..SEEDS_OF_A_DEFECT)
            .flat_map(|seed| audit_cards(&run_cards(seed, Some(defect))))
            .map(|violation| violation.split(": ").next().unwrap_or_default().to_owned())
            .collect();
        assert!(seen.contains(violation), "{defect:?}: {seen:#?}");
    }
}

/// Else the seeds prove less than they seem to.
#[test]
fn the_seeds_together_reach_every_event() {
    let (mut transfers, mut submissions) = (BTreeSet::new(), BTreeSet::new());
    let (mut incomings, mut inbounds) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..300 {
        let story = run(seed, None);
        transfers.extend(story.transfers.values().flatten().map(DomainEvent::event_type));
        submissions.extend(story.submissions.values().flatten().map(DomainEvent::event_type));
        incomings.extend(story.incomings.values().flatten().map(DomainEvent::event_type));
        inbounds.extend(story.inbounds.values().flatten().map(DomainEvent::event_type));
    }
    let missing = |types: &[(&'static str, i16)], seen: &BTreeSet<&str>| -> Vec<&'static str> {
        types.iter().map(|(name, _)| *name).filter(|name| !seen.contains(name)).collect()
    };
    // Nobody corrects anything here.
    assert_eq!(missing(transfer::TransferEvent::TYPES, &transfers), ["OutcomeResolved", "Reversed"]);
    assert_eq!(missing(instant::SubmissionEvent::TYPES, &submissions), Vec::<&str>::new());
    assert_eq!(missing(incoming::IncomingEvent::TYPES, &incomings), Vec::<&str>::new());
    assert_eq!(missing(instant::InboundEvent::TYPES, &inbounds), Vec::<&str>::new());
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    for seed in 0..20 {
        let (one, other) = (run(seed, None), run(seed, None));
        assert_eq!(one.transfers, other.transfers);
        assert_eq!(one.accounts, other.accounts);
        assert_eq!(one.submissions, other.submissions);
        assert_eq!(one.incomings, other.incomings);
        assert_eq!(one.inbounds, other.inbounds);
    }
}

#[test]
fn every_defect_is_seen() {
    let expected = [
        (Defect::SkipRelease, "a transfer has ended and its hold is not what was held"),
        (Defect::CaptureAndRelease, "a hold has ended twice"),
        (Defect::ReleaseOnTimeout, "a hold was given back without a reason"),
        (Defect::NewIdentifiers, "attempts have other identifiers than the request"),
        (Defect::TimeoutIsFailure, "failed, and the house has paid"),
        (Defect::LoseDeadlines, "a transfer neither ends nor asks for a person"),
        (Defect::LoseAnswers, "the adapter knows of the settlement, and core does not"),
        (Defect::CaptureMore, "what left is not what the house has paid"),
        (Defect::OneLeggedPosting, "postings do not sum to zero"),
        (Defect::Overdraw, "an account is overdrawn"),
        (Defect::FireEarly, "a deadline fired"),
        (Defect::ForgetTheRule, "the rail's deadline rule was not kept"),
        (Defect::TimeoutIsSuccess, "succeeded, and the house has not paid"),
        (Defect::CaptureTwice, "a payment was taken from the account twice"),
        (Defect::NewIdentifiers, "the house has paid twice"),
        (Defect::LoseAnswers, "the adapter knows of the rejection, and core does not"),
        (Defect::LoseAnswers, "the rail contradicts itself, and nobody is asked"),
        (Defect::CaptureMore, "more was taken from holds than was held"),
        (Defect::CreditReturnTwice, "what has come back was not credited exactly once"),
        (Defect::SkipReturnCredit, "what has come back was not credited exactly once"),
        (Defect::SkipReturnCredit, "what left is not what the house has paid"),
        (Defect::LoseReturns, "the house has given it back, and core does not know"),
        (Defect::ForgetTheDebt, "a customer owes, and nobody looks at it"),
        (Defect::CreditTwice, "an incoming payment was credited twice"),
        (Defect::SkipCredit, "the account and the payment differ about the credit"),
        (Defect::SkipVoid, "the account expects what will not come"),
        (Defect::CreditOnAcceptance, "credited, and the house has not settled"),
        (Defect::LoseNews, "the adapter knows of the money, and core does not"),
        (Defect::LoseDeadlines, "a recall is neither answered nor asks for a person"),
    ];
    for defect in Defect::ALL {
        assert!(expected.iter().any(|(expected, _)| *expected == defect), "{defect:?}");
    }
    for (defect, violation) in expected {
        let seen: BTreeSet<String> = (0..SEEDS_OF_A_DEFECT)
            .flat_map(|seed| audit(&run(seed, Some(defect))))
            .map(|violation| violation.split(": ").next().unwrap_or_default().to_owned())
            .collect();
        assert!(seen.iter().any(|seen| seen.starts_with(violation)), "{defect:?}: {seen:#?}");
    }
}
