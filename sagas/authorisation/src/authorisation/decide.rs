//! What follows from what the network says. What it asks we decide by what there is; what has happened we take as it is.

use contract::card::{
    AuthorisationRequested, CaptureReceived, CardEvent, IncrementRequested, RefundReceived,
    RequestUnanswered, ReversalReceived, StandInAdvised,
};
use event::{Context, Deadline};
use jiff::SignedDuration;
use ledger::{LedgerAccount, Posting};
use money::Money;
use uuid::Uuid;

use super::{Authorisation, AuthorisationRefusal, Decision, Standing, Status, difference};
use crate::authorisation_event::{
    Approved, AuthorisationEvent, BookedToSuspense, Captured, Declined, Expired, ForcePosted, Incremented,
    Opened, OperatorAttentionRequired, Refunded, Reversed, StandInApplied, StandInDeclined, StandInNotHeld,
    VerdictWithdrawn,
};

// ISO 8583, data element 39.
pub(crate) const DO_NOT_HONOUR: &str = "05";
const INVALID_TRANSACTION: &str = "12";
const INVALID_AMOUNT: &str = "13";
const INVALID_CARD: &str = "14";
const NOT_ENOUGH: &str = "51";
const NOT_PERMITTED: &str = "57";
const RESTRICTED_CARD: &str = "62";
const DUPLICATE: &str = "94";

const NOWHERE_TO_BOOK: &str = "the card network has moved money that no account here can take";
const NOTHING_TO_HOLD: &str = "the card network has approved what no account here can hold";

/// How a payment begins, whatever is said first.
pub(super) fn opened(said: &CardEvent) -> Result<Opened, AuthorisationRefusal> {
    let currency = amount_of(said).ok_or(AuthorisationRefusal::NotOpened)?.currency();
    Ok(Opened { payment: said.payment().clone(), currency })
}

fn amount_of(said: &CardEvent) -> Option<Money> {
    match said {
        CardEvent::AuthorisationRequested(event) => Some(event.amount),
        CardEvent::IncrementRequested(event) => Some(event.amount),
        CardEvent::RequestUnanswered(_) => None,
        CardEvent::StandInAdvised(event) => Some(event.approved),
        CardEvent::ReversalReceived(event) => Some(event.amount),
        CardEvent::CaptureReceived(event) => Some(event.amount),
        CardEvent::RefundReceived(event) => Some(event.amount),
    }
}

impl Authorisation {
    pub(super) fn take(
        &self,
        said: CardEvent,
        standing: Option<Standing>,
        hold_for: SignedDuration,
        context: &Context,
    ) -> Decision {
        let is_same_currency =
            amount_of(&said).is_none_or(|amount| amount.currency() == self.held.currency());
        if said.payment().card_id != self.payment.card_id || !is_same_currency {
            return Err(AuthorisationRefusal::OtherPayment);
        }
        let is_void = matches!(said, CardEvent::RequestUnanswered(_));
        let id = said.message_id();
        if !is_void && (self.verdicts.contains_key(&id) || self.taken.contains(&id)) {
            return Ok(vec![]);
        }
        match said {
            CardEvent::AuthorisationRequested(request) => {
                Ok(self.asked(&request, standing, hold_for, context))
            }
            CardEvent::IncrementRequested(request) => self.asked_for_more(&request, standing),
            CardEvent::RequestUnanswered(request) => Ok(self.unanswered(&request)),
            CardEvent::StandInAdvised(advice) => self.stood_in(&advice, standing, hold_for, context),
            CardEvent::ReversalReceived(reversal) => self.reversed(&reversal),
            CardEvent::CaptureReceived(capture) => self.captured(&capture, standing),
            CardEvent::RefundReceived(refund) => self.refunded(&refund, standing),
        }
    }

    fn asked(
        &self,
        request: &AuthorisationRequested,
        standing: Option<Standing>,
        hold_for: SignedDuration,
        context: &Context,
    ) -> Vec<AuthorisationEvent> {
        let message_id = request.message_id;
        let verdict = match self.status {
            // The terminal has given up, or the network has decided, before we were asked.
            Status::Opened if self.taken.is_empty() => {
                approvable(request.amount, request.is_partial_allowed, standing)
            }
            Status::Opened => Err(DO_NOT_HONOUR),
            _ => Err(DUPLICATE),
        };
        match verdict {
            Ok((account_id, amount)) => {
                let (is_partial, held) = (amount != request.amount, amount);
                let deadline = Deadline::after(hold_for, context);
                vec![Approved { message_id, account_id, amount, is_partial, held, deadline }.into()]
            }
            Err(code) => vec![declined(message_id, code)],
        }
    }

    fn asked_for_more(&self, request: &IncrementRequested, standing: Option<Standing>) -> Decision {
        let (message_id, amount) = (request.message_id, request.amount);
        if self.status != Status::Approved {
            return Ok(vec![declined(message_id, INVALID_TRANSACTION)]);
        }
        Ok(match approvable(amount, false, standing) {
            Ok((account_id, amount)) => {
                self.approved.plus(amount)?;
                let held = self.held.plus(amount)?;
                vec![Incremented { message_id, account_id, amount, held }.into()]
            }
            Err(code) => vec![declined(message_id, code)],
        })
    }

    fn unanswered(&self, request: &RequestUnanswered) -> Vec<AuthorisationEvent> {
        let message_id = request.message_id;
        match (self.verdicts.get(&message_id), self.account_id) {
            (Some(Some(amount)), Some(account_id)) => {
                let (amount, held) = (*amount, difference(self.held, *amount));
                vec![VerdictWithdrawn { message_id, account_id, amount, held }.into()]
            }
            _ => vec![],
        }
    }

    fn stood_in(
        &self,
        advice: &StandInAdvised,
        standing: Option<Standing>,
        hold_for: SignedDuration,
        context: &Context,
    ) -> Decision {
        let (message_id, approved) = (advice.message_id, advice.approved);
        if !approved.is_positive() {
            let held = Money::zero(approved.currency());
            return Ok(vec![StandInDeclined { message_id, account_id: self.account_id, held }.into()]);
        }
        let expected = difference(difference(approved, self.captured), self.reversed);
        let held = if self.is_final { Money::zero(approved.currency()) } else { expected };
        let can_hold = |standing: &Standing| {
            let more = held.minus(self.held).ok();
            let reserved = more.and_then(|more| standing.balances.reserved.plus(more).ok());
            reserved.is_some_and(|reserved| standing.balances.posted.minus(reserved).is_ok())
        };
        match standing.filter(can_hold) {
            Some(Standing { account_id, .. }) => {
                let deadline = Deadline::after(hold_for, context);
                Ok(vec![StandInApplied { message_id, account_id, approved, held, deadline }.into()])
            }
            None => Ok(vec![StandInNotHeld { message_id, approved }.into(), attention(NOTHING_TO_HOLD)]),
        }
    }

    /// More than is held cannot be given back; what is captured comes back by a refund.
    fn reversed(&self, reversal: &ReversalReceived) -> Decision {
        let (message_id, amount) = (reversal.message_id, reversal.amount);
        if !amount.is_positive() {
            return Err(AuthorisationRefusal::OutOfRange);
        }
        self.reversed.plus(amount)?;
        let (account_id, held) = (self.account_id, difference(self.held, amount));
        Ok(vec![Reversed { message_id, account_id, amount, held }.into()])
    }

    fn captured(&self, capture: &CaptureReceived, standing: Option<Standing>) -> Decision {
        let CaptureReceived { message_id, amount, is_final, .. } = *capture;
        if !amount.is_positive() {
            return Err(AuthorisationRefusal::OutOfRange);
        }
        self.captured.plus(amount)?;
        let held = if is_final { Money::zero(amount.currency()) } else { difference(self.held, amount) };
        let can_pay = |standing: &Standing| {
            let posted = standing.balances.posted.minus(amount);
            let freed = self.held.minus(held);
            let reserved = freed.and_then(|freed| standing.balances.reserved.minus(freed));
            posted.and_then(|posted| posted.minus(reserved?)).is_ok()
        };
        let Some(Standing { account_id, .. }) = standing.filter(can_pay) else {
            return suspense(message_id, amount, false);
        };
        Ok(vec![match self.status {
            Status::Approved | Status::Expired | Status::Captured => {
                Captured { message_id, account_id, amount, is_final, held }.into()
            }
            Status::Opened
            | Status::Declined { .. }
            | Status::Withdrawn
            | Status::Reversed
            | Status::ForcePosted
            | Status::Refunded => ForcePosted { message_id, account_id, amount, is_final, held }.into(),
        }])
    }

    fn refunded(&self, refund: &RefundReceived, standing: Option<Standing>) -> Decision {
        let (message_id, amount) = (refund.message_id, refund.amount);
        if !amount.is_positive() {
            return Err(AuthorisationRefusal::OutOfRange);
        }
        self.refunded.plus(amount)?;
        match standing.filter(|standing| standing.balances.posted.plus(amount).is_ok()) {
            Some(Standing { account_id, .. }) => Ok(vec![Refunded { message_id, account_id, amount }.into()]),
            None => suspense(message_id, amount, true),
        }
    }

    /// A firing that comes late is nobody's.
    pub(super) fn expire(&self, fired: Deadline) -> Vec<AuthorisationEvent> {
        match (self.deadline, self.account_id) {
            (Some(deadline), Some(account_id)) if deadline.id == fired.id => {
                let held = Money::zero(self.held.currency());
                let deadline_id = fired.id;
                vec![Expired { deadline_id, account_id, amount: self.held, held }.into()]
            }
            _ => vec![],
        }
    }
}

/// Whose money, and how much of it; or the code to decline with.
fn approvable(
    amount: Money,
    is_partial_allowed: bool,
    standing: Option<Standing>,
) -> Result<(Uuid, Money), &'static str> {
    let Standing { account_id, balances, is_blocked } = standing.ok_or(INVALID_CARD)?;
    if is_blocked {
        return Err(RESTRICTED_CARD);
    }
    if !amount.is_positive() {
        return Err(INVALID_AMOUNT);
    }
    if amount.currency() != balances.posted.currency() {
        return Err(NOT_PERMITTED);
    }
    let available = balances.available().map_err(|_| NOT_ENOUGH)?;
    if available.minor() >= amount.minor() {
        return Ok((account_id, amount));
    }
    if is_partial_allowed && available.is_positive() { Ok((account_id, available)) } else { Err(NOT_ENOUGH) }
}

fn declined(message_id: Uuid, code: &str) -> AuthorisationEvent {
    Declined { message_id, response_code: code.to_owned() }.into()
}

fn suspense(message_id: Uuid, amount: Money, is_refund: bool) -> Decision {
    let (from, to) = match is_refund {
        true => (LedgerAccount::Settlement, LedgerAccount::Suspense),
        false => (LedgerAccount::Suspense, LedgerAccount::Settlement),
    };
    let postings = Posting::pair(amount, from, to)?;
    let booked = BookedToSuspense { message_id, amount, is_refund, postings };
    Ok(vec![booked.into(), attention(NOWHERE_TO_BOOK)])
}

fn attention(reason: &str) -> AuthorisationEvent {
    OperatorAttentionRequired { reason: reason.to_owned() }.into()
}
