//! Derives `clearing.v2` from `submission`: what core may rely on.

use contract::clearing::{
    self, ClearingEvent, PaymentContradicted, PaymentOutcomeUnknown, PaymentRejected, PaymentSettled,
    RecallUndelivered,
};
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
        match event {
            SubmissionEvent::SubmissionAccepted(_)
            | SubmissionEvent::SubmissionRejected(_)
            | SubmissionEvent::RetriesExhausted(_)
            | SubmissionEvent::AnswerContradicted(_)
            | SubmissionEvent::RecallRefused(_) => {}
            _ => return Ok(Derived::Nothing),
        }
        Ok(Derived::With(Box::new(move |submission| {
            let (payment_id, uetr) = (submission.payment.payment_id, submission.payment.uetr);
            Ok(match event {
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
                SubmissionEvent::RecallRefused(event) => {
                    RecallUndelivered { payment_id, uetr, recall_id: event.recall_id }.into()
                }
                _ => return Err("core is told nothing of it".to_owned()),
            })
        })))
    }
}
