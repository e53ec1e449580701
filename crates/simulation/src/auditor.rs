//! The auditor: adds up again what the events say, and compares it with the house's book. It folds no aggregate and calls no
//! rule of the domain; a defect there cannot hide here.

use std::collections::{BTreeMap, BTreeSet};

use incoming::IncomingEvent;
use instant::SubmissionEvent;
use ledger::{AccountEvent, LedgerAccount, Posting};
use transfer::{HoldPolicy, TransferEvent};
use uuid::Uuid;

use crate::incoming_auditor::audit_incoming;
use crate::world::Story;

/// Everything that does not hold; empty when all is well.
pub fn audit(story: &Story) -> Vec<String> {
    let mut audit = Audit { story, holds: BTreeMap::new(), violations: Vec::new() };
    audit.rest();
    audit.ledger();
    audit.identifiers();
    for (id, events) in &story.transfers {
        audit.transfer(*id, events);
    }
    audit.settlement();
    audit_incoming(story, &mut audit.violations);
    for id in std::mem::take(&mut audit.holds).into_keys() {
        audit.expect(false, "a hold belongs to no transfer", id);
    }
    audit.violations
}

/// What became of a hold, as the account's events say.
#[derive(Default)]
struct Hold {
    reserved: i64,
    released: i64,
    captured: i64,
    paid_late: u32,
    captures: u32,
    releases: u32,
    returns: u32,
}

/// What a transfer's events say.
#[derive(Default)]
struct Course {
    succeeded: bool,
    failed: bool,
    cancelled: bool,
    /// Since it was submitted, if it was.
    attention: bool,
    contradicted: bool,
    released: bool,
    /// With the rail, under its deadline rule, and without the rail's answer.
    waits_by_rule: bool,
    returned: bool,
    /// The customer owes it, and so much has come back; a person was asked, and not told that it is done.
    owes: bool,
    came_back: i64,
    is_looked_at: bool,
    /// Nobody has answered it, and no person was asked.
    recall_is_open: bool,
}

impl Course {
    fn has_ended(&self) -> bool {
        self.succeeded || self.failed || self.cancelled
    }
}

struct Audit<'a> {
    story: &'a Story,
    holds: BTreeMap<Uuid, Hold>,
    violations: Vec<String>,
}

impl Audit<'_> {
    fn expect(&mut self, holds: bool, what: &str, id: Uuid) {
        if !holds {
            self.violations.push(format!("{what}: {id}"));
        }
    }

    fn rest(&mut self) {
        if !self.story.came_to_rest {
            self.violations.push("the run does not come to rest".to_owned());
        }
        for id in &self.story.refused {
            self.violations.push(format!("an account refused what the saga had decided: {id}"));
        }
        for (id, early) in &self.story.fired_early {
            self.violations.push(format!("a deadline fired {early:#} early: {id}"));
        }
    }

    /// Postings sum to zero; balances are their sums; nothing that we decide overdraws; reserved is what is held.
    fn ledger(&mut self) {
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for (id, events) in &self.story.accounts {
            let (mut available, mut reserved) = (0, 0);
            for event in events {
                let postings = event.postings();
                self.expect(sum(postings) == 0, "postings do not sum to zero", *id);
                for posting in postings {
                    let minor = posting.amount.minor();
                    *sums.entry(posting.account.to_string()).or_default() += minor;
                    match posting.account {
                        LedgerAccount::Available(_) => available += minor,
                        LedgerAccount::Reserved(_) => reserved += minor,
                        _ => {}
                    }
                }
                let says = event.balances();
                let agrees = says.posted.minor() == available + reserved && says.reserved.minor() == reserved;
                self.expect(agrees, "balances are not the sums of postings", *id);
                self.expect(available >= 0, "an account is overdrawn", *id);
                self.expect(reserved >= 0, "more was taken from holds than was held", *id);
                self.hold(event);
            }
        }
        for (id, events) in &self.story.incomings {
            for postings in events.iter().filter_map(postings_of) {
                self.expect(sum(postings) == 0, "postings do not sum to zero", *id);
                for posting in postings {
                    *sums.entry(posting.account.to_string()).or_default() += posting.amount.minor();
                }
            }
        }
        let total: i64 = sums.values().sum();
        self.expect(total == 0, "all postings do not sum to zero", Uuid::nil());
    }

    fn hold(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::FundsReserved(event) => {
                self.holds.entry(event.reservation_id).or_default().reserved += event.amount.minor();
            }
            AccountEvent::FundsReleased(event) => {
                let hold = self.holds.entry(event.reservation_id).or_default();
                hold.released += event.amount.minor();
                hold.releases += 1;
            }
            AccountEvent::FundsCaptured(event) => {
                let hold = self.holds.entry(event.reservation_id).or_default();
                hold.captured += event.amount.minor();
                hold.captures += 1;
            }
            AccountEvent::LateCaptured(event) => {
                self.holds.entry(event.reservation_id).or_default().paid_late += 1;
            }
            AccountEvent::ReceivableBooked(event) => {
                self.holds.entry(event.reservation_id).or_default().paid_late += 1;
            }
            AccountEvent::ReturnCredited(event) => {
                self.holds.entry(event.transfer_id).or_default().returns += 1;
            }
            AccountEvent::ReceivableCleared(event) => {
                self.holds.entry(event.reservation_id).or_default().returns += 1;
            }
            _ => {}
        }
    }

    /// All attempts of a payment carry the identifiers of its request.
    fn identifiers(&mut self) {
        for (id, attempts) in &self.story.attempts {
            let requested = self.story.transfers.get(id).and_then(|events| events.first());
            let Some(TransferEvent::Requested(request)) = requested else { continue };
            let same = attempts.iter().all(|(uetr, end_to_end_id)| {
                *uetr == request.uetr && *end_to_end_id == request.end_to_end_id
            });
            self.expect(same, "attempts have other identifiers than the request", *id);
        }
        let mut paid = BTreeSet::new();
        for entry in self.story.house.values().filter(|entry| entry.is_settled()) {
            let once = paid.insert(entry.end_to_end_id.clone());
            let id = entry.end_to_end_id.parse().unwrap_or_default();
            self.expect(once, "the house has paid twice", id);
        }
    }

    fn transfer(&mut self, id: Uuid, events: &[TransferEvent]) {
        let course = course(events);
        let Some(TransferEvent::Requested(request)) = events.first() else { return };
        let ends = usize::from(course.succeeded) + usize::from(course.failed) + usize::from(course.cancelled);
        self.expect(ends <= 1, "a transfer has ended in two ways", id);
        let is_explained = course.has_ended() || course.attention;
        self.expect(is_explained, "a transfer neither ends nor asks for a person", id);

        let entry = self.story.house.get(&request.uetr);
        let is_contradicted = entry.is_some_and(|entry| entry.is_contradicted);
        let is_settled = entry.is_some_and(crate::house::Entry::is_settled);
        let hold = self.holds.remove(&id).unwrap_or_default();
        let left = hold.reserved - hold.released - hold.captured;
        if course.has_ended() || course.released {
            self.expect(left == 0, "a transfer has ended and its hold is not what was held", id);
        } else {
            self.expect(left == hold.reserved, "a hold was touched while the outcome is open", id);
        }
        self.expect(!course.waits_by_rule, "the rail's deadline rule was not kept", id);
        self.expect(hold.captures + hold.releases <= 1, "a hold has ended twice", id);
        let paid = hold.captures + hold.paid_late;
        self.expect(paid <= 1, "a payment was taken from the account twice", id);
        self.expect(course.succeeded == (paid == 1), "success is not one payment from the account", id);
        self.expect(!course.recall_is_open, "a recall is neither answered nor asks for a person", id);
        let still_owes = course.owes && course.came_back < request.amount.minor();
        self.expect(!still_owes || course.is_looked_at, "a customer owes, and nobody looks at it", id);
        let returns = u32::from(course.returned);
        self.expect(hold.returns == returns, "what has come back was not credited exactly once", id);
        if is_contradicted {
            self.asks_for_a_person_about_a_contradiction(id, &course);
            return;
        }
        self.expect(!course.succeeded || is_settled, "succeeded, and the house has not paid", id);
        self.expect(
            !(course.failed || course.cancelled) || !is_settled,
            "failed, and the house has paid",
            id,
        );
        let is_given_back = entry.is_some_and(|entry| entry.returned.is_some());
        self.expect(!course.returned || is_given_back, "returned, and the house has not given it back", id);
        self.expect(
            course.returned || !is_given_back,
            "the house has given it back, and core does not know",
            id,
        );
        self.released_for_a_reason(id, events);
        self.knows_what_the_adapter_knows(id, &course);
    }

    /// After a submission only a definite no, or the rail's own deadline rule, gives a hold back.
    fn released_for_a_reason(&mut self, id: Uuid, events: &[TransferEvent]) {
        let (mut submitted, mut policy, mut refused) = (false, None, false);
        for event in events {
            match event {
                TransferEvent::SubmissionInitiated(event) => {
                    (submitted, policy) = (true, event.on_timeout.map(|on_timeout| on_timeout.hold));
                }
                TransferEvent::ClearingRejected(_) => refused = true,
                TransferEvent::Released(event) if submitted => {
                    let by_rule = event.provisional && policy == Some(HoldPolicy::ReleaseAtDeadline);
                    self.expect(refused || by_rule, "a hold was given back without a reason", id);
                }
                _ => {}
            }
        }
    }

    fn asks_for_a_person_about_a_contradiction(&mut self, id: Uuid, course: &Course) {
        let events = self.story.submissions.get(&id).into_iter().flatten();
        let is_heard =
            events.into_iter().any(|event| matches!(event, SubmissionEvent::AnswerContradicted(_)));
        let is_seen = !is_heard || course.contradicted;
        self.expect(is_seen, "the rail contradicts itself, and nobody is asked", id);
    }

    /// What the rail has finally said to the adapter has reached the transfer.
    fn knows_what_the_adapter_knows(&mut self, id: Uuid, course: &Course) {
        let events = self.story.submissions.get(&id).map_or(&[][..], Vec::as_slice);
        let has = |is: fn(&SubmissionEvent) -> bool| events.iter().any(is);
        if has(|event| matches!(event, SubmissionEvent::SubmissionAccepted(_))) {
            self.expect(course.succeeded, "the adapter knows of the settlement, and core does not", id);
        }
        if has(|event| matches!(event, SubmissionEvent::SubmissionRejected(_))) {
            self.expect(course.failed, "the adapter knows of the rejection, and core does not", id);
        }
    }

    /// What has left through the rail, transfer by transfer that nobody contradicts, is what the house has paid, to the øre.
    fn settlement(&mut self) {
        for (id, events) in &self.story.transfers {
            let Some(TransferEvent::Requested(request)) = events.first() else { continue };
            let Some(entry) = self.story.house.get(&request.uetr) else { continue };
            if !course(events).succeeded || entry.is_contradicted {
                continue;
            }
            let left: i64 = self
                .story
                .accounts
                .values()
                .flatten()
                .filter(|event| reservation(event) == Some(*id))
                .flat_map(AccountEvent::postings)
                .filter(|posting| posting.account == LedgerAccount::Settlement)
                .map(|posting| posting.amount.minor())
                .sum();
            let returned = entry.returned.as_ref().map_or(0, |returned| returned.amount.minor());
            let is_right = left == entry.amount.minor() - returned;
            self.expect(is_right, "what left is not what the house has paid", *id);
        }
    }
}

fn course(events: &[TransferEvent]) -> Course {
    let mut course = Course::default();
    for event in events {
        match event {
            TransferEvent::Succeeded(_) => course.succeeded = true,
            TransferEvent::Failed(_) => course.failed = true,
            TransferEvent::Cancelled(_) => course.cancelled = true,
            TransferEvent::OperatorAttentionRequired(_) => {
                (course.attention, course.is_looked_at) = (true, true);
            }
            TransferEvent::AttentionWithdrawn(event) => course.is_looked_at = !event.remaining.is_empty(),
            TransferEvent::ReceivableBooked(_) => course.owes = true,
            TransferEvent::ReturnReceived(event) => course.came_back += event.amount.minor(),
            TransferEvent::SubmissionInitiated(event) => {
                course.attention = false;
                let hold = event.on_timeout.map(|on_timeout| on_timeout.hold);
                course.waits_by_rule = hold == Some(HoldPolicy::ReleaseAtDeadline);
            }
            TransferEvent::ClearingContradicted(_) => course.contradicted = true,
            TransferEvent::ClearingSettled(_) | TransferEvent::ClearingRejected(_) => {
                course.waits_by_rule = false;
            }
            TransferEvent::Released(_) => (course.released, course.waits_by_rule) = (true, false),
            TransferEvent::Returned(_) => course.returned = true,
            TransferEvent::RecallInitiated(_) => course.recall_is_open = true,
            TransferEvent::RecallAccepted(_)
            | TransferEvent::RecallRejected(_)
            | TransferEvent::RecallUndelivered(_)
            | TransferEvent::RecallTimedOut(_) => course.recall_is_open = false,
            _ => {}
        }
    }
    course
}

fn reservation(event: &AccountEvent) -> Option<Uuid> {
    match event {
        AccountEvent::FundsCaptured(event) => Some(event.reservation_id),
        AccountEvent::LateCaptured(event) => Some(event.reservation_id),
        AccountEvent::ReceivableBooked(event) => Some(event.reservation_id),
        AccountEvent::ReturnCredited(event) => Some(event.transfer_id),
        AccountEvent::ReceivableCleared(event) => Some(event.reservation_id),
        _ => None,
    }
}

/// The auditor's own reading.
fn postings_of(event: &IncomingEvent) -> Option<&[Posting]> {
    match event {
        IncomingEvent::HeldInSuspense(event) => Some(&event.postings),
        IncomingEvent::ReturnSettled(event) => Some(&event.postings),
        _ => None,
    }
}

fn sum(postings: &[Posting]) -> i64 {
    postings.iter().map(|posting| posting.amount.minor()).sum()
}
