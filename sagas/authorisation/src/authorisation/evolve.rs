//! What each event makes of the state. What is held follows from the events alone; here is kept for which request it is.

use event::Deadline;
use money::Money;
use uuid::Uuid;

use super::decide::DO_NOT_HONOUR;
use super::{Approval, Authorisation, Status, difference};
use crate::authorisation_event::{AuthorisationEvent, Reversed, StandInApplied, StandInDeclined};

impl Authorisation {
    pub(super) fn follow(&mut self, event: &AuthorisationEvent) {
        match event {
            AuthorisationEvent::Approved(event) => {
                self.approve(event.message_id, event.amount, event.held, true);
                self.hold(event.account_id, event.held, Some(event.deadline));
                self.status = Status::Approved;
            }
            AuthorisationEvent::Incremented(event) => {
                self.approve(event.message_id, event.amount, event.held, true);
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
                self.approvals.remove(&event.message_id);
                self.hold(event.account_id, event.held, self.deadline);
            }
            AuthorisationEvent::Expired(event) => {
                let zero = event.held;
                self.approvals.values_mut().for_each(|approval| approval.held = zero);
                self.hold(event.account_id, event.held, None);
            }
            AuthorisationEvent::OperatorAttentionRequired(event) => {
                self.attention.retain(|known| *known != event.reason);
                self.attention.push(event.reason.clone());
            }
            happened => self.happened(happened),
        }
        let zero = Money::zero(self.held.currency());
        self.approved = self.approvals.values().fold(zero, |all, approval| sum(all, approval.approved));
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
                self.collected(event.message_id, event.amount, event.is_final, event.held);
                self.hold(event.account_id, event.held, self.deadline);
                if self.status == Status::Expired {
                    self.status = Status::Captured;
                }
            }
            AuthorisationEvent::ForcePosted(event) => {
                self.collected(event.message_id, event.amount, event.is_final, event.held);
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
            _ => {}
        }
    }

    fn stand_in_applied(&mut self, event: &StandInApplied) {
        self.taken.insert(event.message_id);
        let request = event.original_message_id.unwrap_or(event.message_id);
        // The network has its answer: should it still ask, nobody decides here.
        self.answered.insert(request);
        if let Some(ours) = self.approvals.remove(&request) {
            self.held = difference(self.held, ours.held);
        }
        self.approve(request, event.approved, event.held, false);
        self.hold(event.account_id, event.held, Some(event.deadline));
        let has_ended = matches!(self.status, Status::Captured | Status::ForcePosted | Status::Expired);
        if event.held.is_positive() || !has_ended {
            self.status = Status::Approved;
        }
    }

    fn stand_in_declined(&mut self, event: &StandInDeclined) {
        self.taken.insert(event.message_id);
        if let Some(request) = event.original_message_id {
            self.approvals.remove(&request);
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
        let freed = difference(self.held, event.held);
        match self.approvals.get_mut(&event.original_message_id) {
            Some(approval) => {
                approval.held = difference(approval.held, freed);
                approval.approved = difference(approval.approved, freed);
            }
            None => {
                let zero = Money::zero(event.amount.currency());
                let reversed = self.reversed.entry(event.original_message_id).or_insert(zero);
                *reversed = sum(*reversed, event.amount);
            }
        }
        self.account_id = event.account_id.or(self.account_id);
        self.held = event.held;
        self.deadline = self.deadline.filter(|_| event.held.is_positive());
    }

    /// So much is held from now on, and what is more than before is for this request. What was collected or reversed before
    /// it was approved is not held.
    fn approve(&mut self, request: Uuid, approved: Money, held: Money, is_ours: bool) {
        let zero = Money::zero(approved.currency());
        let reversed = self.reversed.remove(&request).unwrap_or(zero);
        let more = difference(held, self.held);
        let (left, is_late) = (difference(approved, reversed), !self.is_final);
        if is_late {
            self.ahead = difference(self.ahead, difference(left, more));
        }
        self.approvals.insert(request, Approval { approved: left, held: more, is_ours });
        if is_ours {
            self.answered.insert(request);
        }
    }

    /// What is not held waits for nothing.
    fn hold(&mut self, account_id: Uuid, held: Money, until: Option<Deadline>) {
        (self.account_id, self.held) = (Some(account_id), held);
        self.deadline = until.filter(|_| held.is_positive());
    }

    /// Out of what is held, whichever request it is for; the rest came before, or without, an approval.
    fn collected(&mut self, message_id: Uuid, amount: Money, is_final: bool, held: Money) {
        self.taken.insert(message_id);
        self.captured = sum(self.captured, amount);
        self.is_final |= is_final;
        let mut freed = difference(self.held, held);
        self.ahead = sum(self.ahead, difference(amount, freed));
        for approval in self.approvals.values_mut() {
            let left = difference(approval.held, freed);
            freed = difference(freed, approval.held);
            approval.held = left;
        }
    }
}

/// The decision has reckoned it before.
fn sum(one: Money, other: Money) -> Money {
    one.plus(other).unwrap_or(one)
}
