//! What each event makes of the state.

use event::Deadline;
use money::Money;
use uuid::Uuid;

use super::decide::DO_NOT_HONOUR;
use super::{Authorisation, Status, difference};
use crate::authorisation_event::{AuthorisationEvent, Reversed, StandInApplied, StandInDeclined};

impl Authorisation {
    pub(super) fn follow(&mut self, event: &AuthorisationEvent) {
        match event {
            AuthorisationEvent::Opened(_) => {}
            AuthorisationEvent::Approved(event) => {
                self.verdict(event.message_id, Some(event.amount));
                self.hold(event.account_id, event.held, Some(event.deadline));
                self.status = Status::Approved;
            }
            AuthorisationEvent::Incremented(event) => {
                self.verdict(event.message_id, Some(event.amount));
                self.hold(event.account_id, event.held, self.deadline);
            }
            AuthorisationEvent::Declined(event) => {
                self.verdict(event.message_id, None);
                if self.status == Status::Opened {
                    self.status = Status::Declined { response_code: event.response_code.clone() };
                }
            }
            AuthorisationEvent::VerdictWithdrawn(event) => {
                self.verdict(event.message_id, None);
                self.approved = difference(self.approved, event.amount);
                self.hold(event.account_id, event.held, self.deadline);
            }
            AuthorisationEvent::Expired(event) => {
                self.hold(event.account_id, event.held, None);
            }
            AuthorisationEvent::OperatorAttentionRequired(event) => {
                self.attention.retain(|known| *known != event.reason);
                self.attention.push(event.reason.clone());
            }
            happened => self.happened(happened),
        }
        if self.status == Status::Approved && !self.held.is_positive() {
            self.status = match event {
                // What was collected in part was collected.
                _ if self.captured.is_positive() => Status::Captured,
                AuthorisationEvent::VerdictWithdrawn(_) => Status::Withdrawn,
                AuthorisationEvent::Expired(_) => Status::Expired,
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
                self.collected(event.message_id, event.amount, event.is_final);
                self.hold(event.account_id, event.held, self.deadline);
                if self.status == Status::Expired {
                    self.status = Status::Captured;
                }
            }
            AuthorisationEvent::ForcePosted(event) => {
                self.collected(event.message_id, event.amount, event.is_final);
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
        self.is_our_word_void();
        self.approved = event.approved;
        self.hold(event.account_id, event.held, Some(event.deadline));
        let has_ended = matches!(self.status, Status::Captured | Status::ForcePosted | Status::Expired);
        if event.held.is_positive() || !has_ended {
            self.status = Status::Approved;
        }
    }

    fn stand_in_declined(&mut self, event: &StandInDeclined) {
        self.taken.insert(event.message_id);
        self.is_our_word_void();
        self.approved = Money::zero(self.approved.currency());
        self.account_id = event.account_id.or(self.account_id);
        (self.held, self.deadline) = (event.held, None);
        if matches!(self.status, Status::Opened | Status::Approved | Status::Withdrawn) {
            self.status = Status::Declined { response_code: DO_NOT_HONOUR.to_owned() };
        }
    }

    fn is_reversed(&mut self, event: &Reversed) {
        self.taken.insert(event.message_id);
        self.reversed = sum(self.reversed, event.amount);
        self.account_id = event.account_id.or(self.account_id);
        self.held = event.held;
        self.deadline = self.deadline.filter(|_| event.held.is_positive());
    }

    /// Our word about a request. What it approves counts with what was approved before.
    fn verdict(&mut self, message_id: Uuid, approved: Option<Money>) {
        if let Some(amount) = approved {
            self.approved = sum(self.approved, amount);
        }
        self.verdicts.insert(message_id, approved);
    }

    /// What the network has decided itself stands in place of all that we have said.
    fn is_our_word_void(&mut self) {
        self.verdicts.values_mut().for_each(|approved| *approved = None);
    }

    /// What is not held waits for nothing.
    fn hold(&mut self, account_id: Uuid, held: Money, until: Option<Deadline>) {
        (self.account_id, self.held) = (Some(account_id), held);
        self.deadline = until.filter(|_| held.is_positive());
    }

    fn collected(&mut self, message_id: Uuid, amount: Money, is_final: bool) {
        self.taken.insert(message_id);
        self.captured = sum(self.captured, amount);
        self.is_final |= is_final;
    }
}

/// The decision has reckoned it before.
fn sum(one: Money, other: Money) -> Money {
    one.plus(other).unwrap_or(one)
}
