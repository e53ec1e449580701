//! The auditor of payments from other banks, by the same rule: the raw events and the house's book, and nothing of the domain's.

use incoming::IncomingEvent;
use instant::InboundEvent;
use ledger::AccountEvent;
use uuid::Uuid;

use crate::offers::Offered;
use crate::world::Story;

/// What a payment's events say.
#[derive(Default)]
struct Course {
    is_accepted: bool,
    posted: usize,
    voided: usize,
    refused: usize,
    held: usize,
    returned: usize,
    /// Each reason to look that was not withdrawn.
    reasons: Vec<String>,
}

/// What the account has done about it, in minor units.
#[derive(Default)]
struct OnAccount {
    expected: Vec<i64>,
    posted: Vec<i64>,
    voided: usize,
}

pub(crate) fn audit_incoming(story: &Story, violations: &mut Vec<String>) {
    for (id, events) in &story.incomings {
        let Some(IncomingEvent::Received(received)) = events.first() else { continue };
        let Some(offered) = story.offers.get(&received.0.uetr) else { continue };
        let adapter = story.inbounds.get(id).map_or(&[][..], Vec::as_slice);
        let found = of_one(&course(events), &on_account(story, *id), offered, adapter);
        violations.extend(found.into_iter().map(|what| format!("{what}: {id}")));
    }
    for (id, events) in &story.inbounds {
        let is_told = story.incomings.contains_key(id) || events.is_empty();
        if !is_told {
            violations.push(format!("a payment was offered, and core does not know: {id}"));
        }
    }
}

fn of_one(
    course: &Course,
    account: &OnAccount,
    offered: &Offered,
    adapter: &[InboundEvent],
) -> Vec<&'static str> {
    let amount = offered.amount.minor();
    let knows = |is: fn(&InboundEvent) -> bool| adapter.iter().any(is);
    let has_settled = knows(|event| matches!(event, InboundEvent::SettlementConfirmed(_)));
    let is_contradicted = offered.is_contradicted;
    let ends = course.posted + course.voided + course.refused;
    let asks = !course.reasons.is_empty();
    let credited: i64 = account.posted.iter().sum();
    let checks = [
        (ends > 1, "an incoming payment has ended in two ways"),
        (ends == 0 && !asks, "an incoming payment neither ends nor asks for a person"),
        (account.posted.len() > 1, "an incoming payment was credited twice"),
        (account.posted.len() != course.posted, "the account and the payment differ about the credit"),
        (course.posted == 1 && credited != amount, "not what was paid was credited"),
        (
            account.expected.len() != usize::from(course.is_accepted),
            "what was accepted is not what is expected",
        ),
        (account.voided != course.voided, "the account expects what will not come"),
        (
            credited > 0 && !offered.is_settled() && !is_contradicted,
            "credited, and the house has not settled",
        ),
        (
            has_settled && course.posted + course.held == 0,
            "the adapter knows of the money, and core does not",
        ),
        (course.posted + course.held > 1, "the same money was credited and put apart"),
        (course.held > course.returned && !asks, "money is apart, and nobody looks at it"),
        (course.returned > course.held, "more went back than was apart"),
        (course.returned > 0 && offered.taken_back.is_none(), "it went back, and the house does not have it"),
        (
            knows(|event| matches!(event, InboundEvent::StatusContradicted(_))) && !asks,
            "the house contradicts itself, and nobody is asked",
        ),
    ];
    checks.into_iter().filter(|(is_broken, _)| *is_broken).map(|(_, what)| what).collect()
}

fn course(events: &[IncomingEvent]) -> Course {
    let mut course = Course::default();
    for event in events {
        match event {
            IncomingEvent::CreditPending(_) => course.is_accepted = true,
            IncomingEvent::CreditPosted(_) => course.posted += 1,
            IncomingEvent::CreditVoided(_) => course.voided += 1,
            IncomingEvent::Refused(_) => course.refused += 1,
            IncomingEvent::HeldInSuspense(_) => course.held += 1,
            IncomingEvent::ReturnSettled(_) => course.returned += 1,
            IncomingEvent::OperatorAttentionRequired(event) => course.reasons.push(event.reason.clone()),
            IncomingEvent::AttentionWithdrawn(event) => {
                course.reasons.retain(|reason| *reason != event.reason);
            }
            _ => {}
        }
    }
    course
}

fn on_account(story: &Story, id: Uuid) -> OnAccount {
    let mut done = OnAccount::default();
    for event in story.accounts.values().flatten() {
        match event {
            AccountEvent::CreditPending(event) if event.payment_id == id => {
                done.expected.push(event.amount.minor());
            }
            AccountEvent::CreditPosted(event) if event.payment_id == id => {
                done.posted.push(event.amount.minor());
            }
            AccountEvent::CreditVoided(event) if event.payment_id == id => done.voided += 1,
            _ => {}
        }
    }
    done
}
