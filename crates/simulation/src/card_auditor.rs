//! The auditor of payments by card: compares the network's own book with the raw events, to the øre. It folds no aggregate and calls no
//! rule of the domain.

use std::collections::BTreeMap;

use authorisation::AuthorisationEvent;
use card::{ExchangeEvent, exchange_id, message_id};
use ledger::{AccountEvent, LedgerAccount};
use uuid::Uuid;

use crate::cards::CardStory;

/// Everything that does not hold; empty when all is well.
pub fn audit_cards(story: &CardStory) -> Vec<String> {
    let mut audit = Audit { story, violations: Vec::new() };
    audit.rest();
    audit.ledger();
    audit.moved();
    audit.holds();
    audit.answers();
    audit.violations
}

struct Audit<'a> {
    story: &'a CardStory,
    violations: Vec<String>,
}

impl Audit<'_> {
    fn expect(&mut self, holds: bool, what: &str, which: impl std::fmt::Display) {
        if !holds {
            self.violations.push(format!("{what}: {which}"));
        }
    }

    fn rest(&mut self) {
        self.expect(self.story.came_to_rest, "the run does not come to rest", "");
        for id in &self.story.refused {
            self.violations.push(format!("the account or the saga refused what had happened: {id}"));
        }
    }

    /// Balances are the sums of balanced postings, what is reserved is held for something, and what we have approved was there.
    fn ledger(&mut self) {
        for (id, events) in &self.story.accounts {
            let (mut available, mut reserved) = (0, 0);
            let mut holds: BTreeMap<Uuid, i64> = BTreeMap::new();
            for event in events {
                let before = available;
                let sum: i64 = event.postings().iter().map(|posting| posting.amount.minor()).sum();
                self.expect(sum == 0, "postings do not sum to zero", id);
                for posting in event.postings() {
                    match posting.account {
                        LedgerAccount::Available(_) => available += posting.amount.minor(),
                        LedgerAccount::Reserved(_) => reserved += posting.amount.minor(),
                        _ => {}
                    }
                }
                let balances = event.balances();
                let is_so =
                    balances.posted.minor() == available + reserved && balances.reserved.minor() == reserved;
                self.expect(is_so, "balances are not the sums of postings", id);
                match event {
                    AccountEvent::ReservationAdjusted(event) => {
                        holds.insert(event.reservation_id, event.held.minor());
                    }
                    AccountEvent::CapturePosted(event) => {
                        holds.insert(event.reservation_id, event.held.minor());
                    }
                    _ => {}
                }
                self.expect(
                    holds.values().sum::<i64>() == reserved,
                    "what is reserved is not what is held",
                    id,
                );
                let is_decided_here = matches!(event, AccountEvent::Debited(_))
                    || matches!(event, AccountEvent::ReservationAdjusted(event) if self.is_our_approval(event.reservation_id, event.held.minor()));
                let is_within = available >= 0 || available >= before;
                self.expect(!is_decided_here || is_within, "more was approved than there is", id);
            }
        }
    }

    /// Whether a hold of this height follows from an approval of ours.
    fn is_our_approval(&self, id: Uuid, held: i64) -> bool {
        let events = self.story.authorisations.get(&id).into_iter().flatten();
        events.into_iter().any(|event| match event {
            AuthorisationEvent::Approved(event) => event.held.minor() == held,
            AuthorisationEvent::Incremented(event) => event.held.minor() == held,
            _ => false,
        }) && !self.story.authorisations.get(&id).into_iter().flatten().any(
            |event| matches!(event, AuthorisationEvent::StandInApplied(event) if event.held.minor() == held),
        )
    }

    /// What the merchants have collected and given back is on the card's account, once.
    fn moved(&mut self) {
        let mut booked: BTreeMap<(Uuid, Uuid), Vec<i64>> = BTreeMap::new();
        for (account, events) in &self.story.accounts {
            for event in events {
                let (id, amount) = match event {
                    AccountEvent::CapturePosted(event) => (event.capture_id, -event.amount.minor()),
                    AccountEvent::RefundCredited(event) => (event.refund_id, event.amount.minor()),
                    _ => continue,
                };
                booked.entry((*account, id)).or_default().push(amount);
            }
        }
        for (sale, known) in &self.story.sales {
            let account = self.story.owners[&known.card];
            let captures = known.captures.iter().map(|(id, (amount, _))| (id, -amount));
            let refunds = known.refunds.iter().map(|(id, amount)| (id, *amount));
            for (id, amount) in captures.chain(refunds).collect::<Vec<_>>() {
                let found = booked.remove(&(account, message_id(sale, id))).unwrap_or_default();
                let what = if amount < 0 { "what was collected" } else { "what was given back" };
                self.expect(
                    found == [amount],
                    &format!("{what} is not booked exactly once"),
                    format!("{sale} {id}"),
                );
            }
        }
        for (_, id) in booked.into_keys() {
            self.expect(false, "booked, and the network knows nothing of it", id);
        }
    }

    /// What is held when all else is over is what can still be collected; after that nothing is.
    fn holds(&mut self) {
        let mut held: BTreeMap<Uuid, i64> = BTreeMap::new();
        let mut at_the_end: BTreeMap<Uuid, i64> = BTreeMap::new();
        for event in self.story.accounts.values().flatten() {
            let (id, now) = match event {
                AccountEvent::ReservationAdjusted(event) => (event.reservation_id, event.held.minor()),
                AccountEvent::CapturePosted(event) => (event.reservation_id, event.held.minor()),
                _ => continue,
            };
            let before = held.insert(id, now).unwrap_or_default();
            at_the_end.insert(id, if now == 0 { before } else { now });
        }
        for (sale, known) in &self.story.sales {
            let id = exchange_id(sale);
            let expired =
                self.story.authorisations.get(&id).into_iter().flatten().find_map(|event| match event {
                    AuthorisationEvent::Expired(event) => Some(event.amount.minor()),
                    _ => None,
                });
            if known.is_held_long {
                let is_same = expired.unwrap_or_default() == known.outstanding();
                self.expect(is_same, "what is held is not what can still be collected", sale);
                if let Some(expired) = expired {
                    self.expect(
                        at_the_end.get(&id) == Some(&expired),
                        "the account holds something else than the payment",
                        sale,
                    );
                }
            }
            self.expect(held.get(&id).copied().unwrap_or_default() == 0, "a hold is left open", sale);
        }
    }

    /// Each question is answered once.
    fn answers(&mut self) {
        for (id, events) in &self.story.exchanges {
            let mut open: BTreeMap<Uuid, i32> = BTreeMap::new();
            for event in events {
                match event {
                    ExchangeEvent::AuthorisationAsked(event) => {
                        *open.entry(event.request.message_id).or_default() += 1;
                    }
                    ExchangeEvent::IncrementAsked(event) => {
                        *open.entry(event.request.message_id).or_default() += 1;
                    }
                    ExchangeEvent::RequestAnswered(event) => *open.entry(event.message_id).or_default() -= 1,
                    ExchangeEvent::RequestTimedOut(event) => *open.entry(event.message_id).or_default() -= 1,
                    _ => {}
                }
            }
            self.expect(
                open.values().all(|count| *count == 0),
                "a question is not answered exactly once",
                id,
            );
        }
    }
}
