//! Derives `clearing.v1` from `submission`: what core may rely on.

use contract::clearing::{
    self, ClearingEvent, PaymentContradicted, PaymentOutcomeUnknown, PaymentRejected, PaymentSettled,
};
use contract::payment::PaymentSubmitted;
use delivery::{Derivation, Derived};
use uuid::Uuid;

use crate::{SERVICE, Submission, SubmissionEvent};

pub struct ClearingStream;

impl Derivation for ClearingStream {
    const SERVICE: &'static str = SERVICE;
    const CONTRACT: &'static str = clearing::CATEGORY;
    type From = Submission;
    type To = ClearingEvent;

    fn derive(_: Uuid, event: SubmissionEvent) -> Result<Derived<Submission, ClearingEvent>, String> {
        // An event that says nothing to core is not worth the look at its payment.
        if !is_published(&event) {
            return Ok(Derived::Nothing);
        }
        Ok(Derived::With(Box::new(move |submission| {
            clearing_of(&submission.payment, event).ok_or_else(|| "it says nothing to core".to_owned())
        })))
    }
}

/// What core is told of an event; None: nothing.
pub fn clearing_of(payment: &PaymentSubmitted, event: SubmissionEvent) -> Option<ClearingEvent> {
    let (payment_id, uetr) = (payment.payment_id, payment.uetr);
    Some(match event {
        SubmissionEvent::SubmissionAccepted(event) => {
            PaymentSettled { payment_id, uetr, settled_at: event.settled_at }.into()
        }
        SubmissionEvent::SubmissionRejected(event) => {
            PaymentRejected { payment_id, uetr, reason_code: event.reason_code }.into()
        }
        SubmissionEvent::RetriesExhausted(event) => {
            PaymentOutcomeUnknown { payment_id, uetr, attempts: event.attempts }.into()
        }
        SubmissionEvent::AnswerContradicted(event) => {
            PaymentContradicted { payment_id, uetr, status: event.status }.into()
        }
        _ => return None,
    })
}

fn is_published(event: &SubmissionEvent) -> bool {
    matches!(
        event,
        SubmissionEvent::SubmissionAccepted(_)
            | SubmissionEvent::SubmissionRejected(_)
            | SubmissionEvent::RetriesExhausted(_)
            | SubmissionEvent::AnswerContradicted(_)
    )
}
