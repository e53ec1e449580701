//! What each event makes of the state. What is held follows from what is approved, reversed, collected and lapsed, in whatever order that came.

use event::Deadline;
use money::Money;
use uuid::Uuid;

use super::decide::DO_NOT_HONOUR;
use super::{Approval, Authorisation, Status, difference};
use crate::authorisation_event::{AuthorisationEvent, Reversed, StandInApplied, StandInDeclined};

/// What the events do to what is approved and collected. Decisions do the same to a copy, to see what would be held.
impl Authorisation {
    /// What can still be collected: what is approved and not reversed, less what is collected, in whatever order that came.
    pub(super) fn outstanding(&self) -> Money {
        if self.is_final {
            return Money::zero(self.held.currency());
        }
        difference(difference(self.standing(), self.captured), self.lapsed)
    }

    /// All that is approved and not reversed.
    pub(super) fn standing(&self) -> Money {
        let zero = Money::zero(self.held.currency());
        let left = |(request, approval): (&Uuid, &Approval)| match self.reversed.get(request) {
            Some(reversed) => difference(approval.amount, *reversed),
            None => approval.amount,
        };
        self.approvals.iter().map(left).fold(zero, sum)
    }

    pub(super) fn approve(&mut self, request: Uuid, amount: Money, is_ours: bool) {
        self.approvals.insert(request, Approval { amount, is_ours });
        self.forget_lapsed();
    }

    pub(super) fn withdraw(&mut self, request: Uuid) {
        self.approvals.remove(&request);
        self.forget_lapsed();
    }

    pub(super) fn reverse(&mut self, request: Uuid, amount: Money) {
        let reversed = self.reversed.entry(request).or_insert(Money::zero(amount.currency()));
        *reversed = sum(*reversed, amount);
        self.forget_lapsed();
    }

    /// What does not stand any more has not lapsed either: it is not taken off what is approved later.
    fn forget_lapsed(&mut self) {
        let left = difference(self.standing(), self.captured);
        if self.lapsed.minor() > left.minor() {
            self.lapsed = left;
        }
    }

    pub(super) fn collect(&mut self, amount: Money, is_final: bool) {
        self.lapsed = difference(self.lapsed, difference(amount, self.held));
        self.captured = sum(self.captured, amount);
        self.is_final |= is_final;
    }

    pub(super) fn follow(&mut self, event: &AuthorisationEvent) {
        match event {
            AuthorisationEvent::Approved(event) => {
                self.answered.insert(event.message_id);
                self.approve(event.message_id, event.amount, true);
                self.hold(event.account_id, event.held, Some(event.deadline));
                self.status = Status::Approved;
            }
            AuthorisationEvent::Incremented(event) => {
                self.answered.insert(event.message_id);
                self.approve(event.message_id, event.amount, true);
                self.hold(event.account_id, event.held, self.deadline);
            }
            AuthorisationEvent::Declined(event) => {
                self.answered.insert(event.message_id);
                if matches!(self.status, Status::Opened | Status::Withdrawn | Status::Declined { .. }) {
                    self.status = Status::Declined { response_code: event.response_code.clone() };
                }
            }
            AuthorisationEvent::IncrementDeclined(event) => {
                self.answered.insert(event.message_id);
            }
            AuthorisationEvent::VerdictWithdrawn(event) => {
                self.withdraw(event.message_id);
                self.hold(event.account_id, event.held, self.deadline);
            }
            AuthorisationEvent::Expired(event) => {
                self.lapsed = sum(self.lapsed, event.amount);
                self.hold(event.account_id, event.held, None);
            }
            AuthorisationEvent::OperatorAttentionRequired(event) => {
                self.attention.retain(|known| *known != event.reason);
                self.attention.push(event.reason.clone());
            }
            happened => self.happened(happened),
        }
        self.approved = self.standing();
        if self.status == Status::Approved && !self.held.is_positive() {
            self.status = match event {
                // What was collected in part was collected.
                _ if self.captured.is_positive() => Status::Captured,
                AuthorisationEvent::VerdictWithdrawn(_) => Status::Withdrawn,
                AuthorisationEvent::Expired(_) => Status::Expired,
                AuthorisationEvent::StandInDeclined(_) => {
                    Status::Declined { response_code: DO_NOT_HONOUR.to_owned() }
                }
                _ => Status::Reversed,
            };
        }
    }

    /// What is not ours to decide.
    fn happened(&mut self, event: &AuthorisationEvent) {
        match event {
            AuthorisationEvent::StandInApplied(event) => self.stand_in_applied(event),
            AuthorisationEvent::StandInDeclined(event) => self.stand_in_declined(event),
            AuthorisationEvent::Reversed(event) => self.is_reversed(event),
            AuthorisationEvent::Captured(event) => {
                self.taken.insert(event.message_id);
                self.collect(event.amount, event.is_final);
                self.hold(event.account_id, event.held, self.deadline);
                if self.status == Status::Expired {
                    self.status = Status::Captured;
                }
            }
            AuthorisationEvent::ForcePosted(event) => {
                self.taken.insert(event.message_id);
                self.collect(event.amount, event.is_final);
                self.hold(event.account_id, event.held, self.deadline);
                self.status = Status::ForcePosted;
            }
            AuthorisationEvent::Refunded(event) => {
                self.taken.insert(event.message_id);
                self.refunded = sum(self.refunded, event.amount);
                self.account_id = Some(event.account_id);
                if self.status == Status::Opened {
                    self.status = Status::Refunded;
                }
            }
            AuthorisationEvent::StandInNotHeld(event) => {
                self.taken.insert(event.message_id);
            }
            AuthorisationEvent::BookedToSuspense(event) => {
                self.taken.insert(event.message_id);
            }
            AuthorisationEvent::Opened(_)
            | AuthorisationEvent::Approved(_)
            | AuthorisationEvent::Incremented(_)
            | AuthorisationEvent::Declined(_)
            | AuthorisationEvent::IncrementDeclined(_)
            | AuthorisationEvent::VerdictWithdrawn(_)
            | AuthorisationEvent::Expired(_)
            | AuthorisationEvent::OperatorAttentionRequired(_) => {}
        }
    }

    fn stand_in_applied(&mut self, event: &StandInApplied) {
        self.taken.insert(event.message_id);
        let request = event.original_message_id.unwrap_or(event.message_id);
        // The network has its answer: should it still ask, nobody decides here.
        self.answered.insert(request);
        self.approve(request, event.approved, false);
        self.hold(event.account_id, event.held, Some(event.deadline));
        let has_ended = matches!(self.status, Status::Captured | Status::ForcePosted | Status::Expired);
        if event.held.is_positive() || !has_ended {
            self.status = Status::Approved;
        }
    }

    fn stand_in_declined(&mut self, event: &StandInDeclined) {
        self.taken.insert(event.message_id);
        if let Some(request) = event.original_message_id {
            self.withdraw(request);
            self.answered.insert(request);
        }
        self.account_id = event.account_id.or(self.account_id);
        self.held = event.held;
        self.deadline = self.deadline.filter(|_| event.held.is_positive());
        if matches!(self.status, Status::Opened | Status::Withdrawn) {
            self.status = Status::Declined { response_code: DO_NOT_HONOUR.to_owned() };
        }
    }

    fn is_reversed(&mut self, event: &Reversed) {
        self.taken.insert(event.message_id);
        self.reverse(event.original_message_id, event.amount);
        self.account_id = event.account_id.or(self.account_id);
        self.held = event.held;
        self.deadline = self.deadline.filter(|_| event.held.is_positive());
    }

    /// What is not held waits for nothing.
    fn hold(&mut self, account_id: Uuid, held: Money, until: Option<Deadline>) {
        (self.account_id, self.held) = (Some(account_id), held);
        self.deadline = until.filter(|_| held.is_positive());
    }
}

/// No message can carry so much that this ends at the limit.
fn sum(one: Money, other: Money) -> Money {
    one.plus(other).unwrap_or(one)
}
