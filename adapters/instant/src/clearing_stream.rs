//! Derives `clearing.v2` from `submission`, and `clearing.v1` beside it for as long as somebody reads that: what core may rely on.

use contract::clearing::{
    self, ClearingEvent, PaymentContradicted, PaymentOutcomeUnknown, PaymentPending, PaymentRejected,
    PaymentReturned, PaymentSettled, RecallRejected, RecallUndelivered, v1,
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
        let Some(tell) = told(event) else { return Ok(Derived::Nothing) };
        Ok(Derived::With(Box::new(move |submission| Ok(tell(&submission.payment)))))
    }
}

pub struct ClearingStreamV1;

impl Derivation for ClearingStreamV1 {
    const SERVICE: &'static str = SERVICE;
    const CONTRACT: &'static str = v1::CATEGORY;
    type From = Submission;
    type To = v1::ClearingEvent;

    fn derive(_: Uuid, event: SubmissionEvent) -> Result<Derived<Submission, v1::ClearingEvent>, String> {
        if is_new_in_v2(&event) {
            return Ok(Derived::Nothing);
        }
        let Some(tell) = told(event) else { return Ok(Derived::Nothing) };
        Ok(Derived::With(Box::new(move |submission| {
            as_v1(tell(&submission.payment)).ok_or_else(|| "it is of a later version".to_owned())
        })))
    }
}

/// What core is told of an event; None: nothing.
pub fn clearing_of(payment: &PaymentSubmitted, event: SubmissionEvent) -> Option<ClearingEvent> {
    told(event).map(|tell| tell(payment))
}

type Tell = Box<dyn FnOnce(&PaymentSubmitted) -> ClearingEvent + Send>;

/// What is told, once its payment is at hand.
fn told(event: SubmissionEvent) -> Option<Tell> {
    fn tell(of: impl FnOnce(Uuid, Uuid) -> ClearingEvent + Send + 'static) -> Option<Tell> {
        Some(Box::new(move |payment: &PaymentSubmitted| of(payment.payment_id, payment.uetr)))
    }
    match event {
        SubmissionEvent::SubmissionAccepted(event) => tell(move |payment_id, uetr| {
            PaymentSettled { payment_id, uetr, settled_at: event.settled_at }.into()
        }),
        SubmissionEvent::SubmissionRejected(event) => tell(move |payment_id, uetr| {
            PaymentRejected { payment_id, uetr, reason_code: event.reason_code }.into()
        }),
        SubmissionEvent::SubmissionPending(event) => {
            tell(move |payment_id, uetr| PaymentPending { payment_id, uetr, status: event.status }.into())
        }
        SubmissionEvent::RetriesExhausted(event) => tell(move |payment_id, uetr| {
            PaymentOutcomeUnknown { payment_id, uetr, attempts: event.attempts }.into()
        }),
        SubmissionEvent::AnswerContradicted(event) => tell(move |payment_id, uetr| {
            PaymentContradicted { payment_id, uetr, status: event.status }.into()
        }),
        SubmissionEvent::ReturnReceived(event) => tell(move |payment_id, uetr| {
            let (return_id, amount, reason_code) = (event.return_id, event.amount, event.reason_code);
            PaymentReturned { payment_id, uetr, return_id, amount, reason_code }.into()
        }),
        SubmissionEvent::RecallRejected(event) => tell(move |payment_id, uetr| {
            let (recall_id, reason_code) = (event.recall_id, event.reason_code);
            RecallRejected { payment_id, uetr, recall_id, reason_code }.into()
        }),
        SubmissionEvent::RecallExhausted(event) => tell(move |payment_id, uetr| {
            RecallUndelivered { payment_id, uetr, recall_id: event.recall_id }.into()
        }),
        _ => None,
    }
}

fn as_v1(event: ClearingEvent) -> Option<v1::ClearingEvent> {
    Some(match event {
        ClearingEvent::PaymentSettled(event) => event.into(),
        ClearingEvent::PaymentRejected(event) => event.into(),
        ClearingEvent::PaymentOutcomeUnknown(event) => event.into(),
        ClearingEvent::PaymentContradicted(event) => event.into(),
        ClearingEvent::PaymentPending(_)
        | ClearingEvent::PaymentReturned(_)
        | ClearingEvent::RecallRejected(_)
        | ClearingEvent::RecallUndelivered(_) => return None,
    })
}

fn is_new_in_v2(event: &SubmissionEvent) -> bool {
    matches!(
        event,
        SubmissionEvent::SubmissionPending(_)
            | SubmissionEvent::ReturnReceived(_)
            | SubmissionEvent::RecallRejected(_)
            | SubmissionEvent::RecallExhausted(_)
    )
}
