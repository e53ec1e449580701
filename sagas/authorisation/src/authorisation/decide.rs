//! What follows from what the network says. What it asks we decide by what there is; what has happened we take as it is.

use contract::card::{
    AuthorisationRequested, CaptureReceived, CardEvent, IncrementRequested, RefundReceived,
    RequestUnanswered, ReversalReceived, StandInAdvised,
};
use event::{Context, Deadline};
use jiff::{SignedDuration, Timestamp};
use ledger::{LedgerAccount, Posting};
use money::Money;
use uuid::Uuid;

use super::{Approval, Authorisation, AuthorisationRefusal, Decision, Standing, Status, difference};
use crate::authorisation_event::{
    Approved, AuthorisationEvent, BookedToSuspense, Captured, Declined, Expired, ForcePosted,
    IncrementDeclined, Incremented, Opened, OperatorAttentionRequired, Refunded, Reversed, StandInApplied,
    StandInDeclined, StandInNotHeld, VerdictWithdrawn,
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

const NOBODY_DECIDES: &str = "91";

/// The network's clock and ours may differ by as much, or a request may be as long under way.
const LATE_BY: SignedDuration = SignedDuration::from_secs(1);

const OTHER_PAYMENT: &str =
    "the card network takes back what belongs to another account, or is in another currency";

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
        let is_void = matches!(said, CardEvent::RequestUnanswered(_));
        let id = said.message_id();
        if !is_void && (self.answered.contains(&id) || self.taken.contains(&id)) {
            return Ok(vec![]);
        }
        // Of another account, or in another currency, under the same identifier.
        let is_ours = amount_of(&said).is_none_or(|amount| amount.currency() == self.held.currency())
            && self.account_id.zip(standing).is_none_or(|(known, standing)| known == standing.account_id);
        match said {
            CardEvent::AuthorisationRequested(request) if is_ours => {
                Ok(self.asked(&request, standing, hold_for, context))
            }
            CardEvent::AuthorisationRequested(request) => {
                Ok(vec![declined(request.message_id, INVALID_TRANSACTION)])
            }
            CardEvent::IncrementRequested(request) => {
                Ok(self.asked_for_more(&request, standing.filter(|_| is_ours), context))
            }
            CardEvent::RequestUnanswered(request) => Ok(self.unanswered(&request)),
            CardEvent::StandInAdvised(advice) if !is_ours && !advice.approved.is_positive() => {
                Ok(vec![attention(OTHER_PAYMENT.to_owned())])
            }
            CardEvent::StandInAdvised(advice) => {
                self.stood_in(&advice, standing.filter(|_| is_ours), hold_for, context)
            }
            CardEvent::ReversalReceived(reversal) if is_ours => self.reversed(&reversal),
            CardEvent::ReversalReceived(_) => Ok(vec![attention(OTHER_PAYMENT.to_owned())]),
            CardEvent::CaptureReceived(capture) => self.captured(&capture, standing.filter(|_| is_ours)),
            CardEvent::RefundReceived(refund) => self.refunded(&refund, standing.filter(|_| is_ours)),
        }
    }

    fn asked(
        &self,
        request: &AuthorisationRequested,
        standing: Option<Standing>,
        hold_for: SignedDuration,
        context: &Context,
    ) -> Vec<AuthorisationEvent> {
        let (message_id, asked) = (request.message_id, request.amount);
        let more = self.more_to_hold(message_id, asked);
        let verdict = match self.status {
            _ if is_too_late(request.answer_by, context) => Err(NOBODY_DECIDES),
            Status::Approved | Status::Expired | Status::Captured => Err(DUPLICATE),
            // The terminal has given up, or the merchant has collected all that there will be.
            _ if self.is_final || self.is_given_up(message_id, asked) => Err(DO_NOT_HONOUR),
            _ => approvable(asked, more, request.is_partial_allowed && more == asked, standing),
        };
        match verdict {
            Ok((account_id, held)) => {
                let amount = if held == more { asked } else { held };
                let (is_partial, deadline) = (amount != asked, Deadline::after(hold_for, context));
                vec![Approved { message_id, account_id, amount, is_partial, held, deadline }.into()]
            }
            Err(code) => vec![declined(message_id, code)],
        }
    }

    fn asked_for_more(
        &self,
        request: &IncrementRequested,
        standing: Option<Standing>,
        context: &Context,
    ) -> Vec<AuthorisationEvent> {
        let (message_id, amount) = (request.message_id, request.amount);
        let more = self.more_to_hold(message_id, amount);
        let verdict = match self.status {
            _ if is_too_late(request.answer_by, context) => Err(NOBODY_DECIDES),
            Status::Approved if self.is_given_up(message_id, amount) => Err(DO_NOT_HONOUR),
            Status::Approved => approvable(amount, more, false, standing),
            _ => Err(INVALID_TRANSACTION),
        };
        vec![match verdict {
            Ok((account_id, _)) => {
                let held = self.after(|it| it.approve(message_id, amount, true));
                Incremented { message_id, account_id, amount, held }.into()
            }
            Err(code) => IncrementDeclined { message_id, response_code: code.to_owned() }.into(),
        }]
    }

    /// What would be held after that.
    fn after(&self, what: impl FnOnce(&mut Self)) -> Money {
        let mut after = self.clone();
        what(&mut after);
        after.outstanding()
    }

    /// What a request would hold on top. What was collected or reversed before it came is not held.
    fn more_to_hold(&self, request: Uuid, amount: Money) -> Money {
        if !amount.is_positive() {
            return amount;
        }
        difference(self.after(|it| it.approve(request, amount, true)), self.held)
    }

    /// All of it was reversed before it came.
    fn is_given_up(&self, request: Uuid, amount: Money) -> bool {
        let covers = |reversed: &Money| amount.is_positive() && reversed.minor() >= amount.minor();
        self.reversed.get(&request).is_some_and(covers)
    }

    fn unanswered(&self, request: &RequestUnanswered) -> Vec<AuthorisationEvent> {
        let message_id = request.message_id;
        match (self.approvals.get(&message_id), self.account_id) {
            (Some(Approval { amount, is_ours: true }), Some(account_id)) => {
                let (amount, held) = (*amount, self.after(|it| it.withdraw(message_id)));
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
        let StandInAdvised { message_id, original_message_id, approved, .. } = *advice;
        let request = original_message_id.unwrap_or(message_id);
        if !approved.is_positive() {
            let (account_id, held) = (self.account_id, self.after(|it| it.withdraw(request)));
            return Ok(vec![StandInDeclined { message_id, original_message_id, account_id, held }.into()]);
        }
        let can_hold = |standing: &Standing| {
            let held = self.after(|it| it.approve(request, approved, false));
            let reserved = standing.balances.reserved.plus(held.minus(self.held).ok()?).ok()?;
            standing.balances.posted.minus(reserved).ok()?;
            Some((standing.account_id, held))
        };
        match standing.as_ref().and_then(can_hold) {
            Some((account_id, held)) => {
                let deadline = Deadline::after(hold_for, context);
                let applied =
                    StandInApplied { message_id, original_message_id, account_id, approved, held, deadline };
                Ok(vec![applied.into()])
            }
            None => {
                let why = format!(
                    "the card network has approved {approved} that no account here can hold: {message_id}"
                );
                Ok(vec![StandInNotHeld { message_id, approved }.into(), attention(why)])
            }
        }
    }

    /// What is captured already comes back by a refund.
    fn reversed(&self, reversal: &ReversalReceived) -> Decision {
        let ReversalReceived { message_id, original_message_id, amount, .. } = *reversal;
        if !amount.is_positive() {
            return Err(AuthorisationRefusal::OutOfRange);
        }
        let (account_id, held) = (self.account_id, self.after(|it| it.reverse(original_message_id, amount)));
        Ok(vec![Reversed { message_id, original_message_id, account_id, amount, held }.into()])
    }

    fn captured(&self, capture: &CaptureReceived, standing: Option<Standing>) -> Decision {
        let CaptureReceived { message_id, amount, is_final, .. } = *capture;
        if !amount.is_positive() {
            return Err(AuthorisationRefusal::OutOfRange);
        }
        let held = self.after(|it| it.collect(amount, is_final));
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

/// Whose money, and how much of it is to be held; or the code to decline with. `more` is what the request would hold on top.
fn approvable(
    asked: Money,
    more: Money,
    is_partial_allowed: bool,
    standing: Option<Standing>,
) -> Result<(Uuid, Money), &'static str> {
    let Standing { account_id, balances, is_blocked } = standing.ok_or(INVALID_CARD)?;
    if is_blocked {
        return Err(RESTRICTED_CARD);
    }
    if !asked.is_positive() {
        return Err(INVALID_AMOUNT);
    }
    if asked.currency() != balances.posted.currency() {
        return Err(NOT_PERMITTED);
    }
    let available = balances.available().map_err(|_| NOT_ENOUGH)?;
    if available.minor() >= more.minor() || !more.is_positive() {
        return Ok((account_id, more));
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
    let what = if is_refund { "given back" } else { "collected" };
    let why = format!("the card network has {what} {amount} that no account here can take: {message_id}");
    Ok(vec![booked.into(), attention(why)])
}

fn attention(reason: String) -> AuthorisationEvent {
    OperatorAttentionRequired { reason }.into()
}

/// The network was told by then that nobody decides.
fn is_too_late(answer_by: Timestamp, context: &Context) -> bool {
    context.now.duration_since(answer_by) > LATE_BY
}
