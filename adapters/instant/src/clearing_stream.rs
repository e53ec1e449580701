//! Derives `clearing.v1` from `submission`: what core may rely on.

use async_trait::async_trait;
use contract::clearing::{
    self, ClearingEvent, PaymentContradicted, PaymentOutcomeUnknown, PaymentRejected, PaymentSettled,
};
use contract::payment::PaymentSubmitted;
use delivery::{HandleError, Handler, Subscription};
use event::{RecordedEvent, StreamName};
use event_store::UnitOfWork;

use crate::{SERVICE, Submission, SubmissionEvent};

pub struct ClearingStream;

#[async_trait]
impl Handler for ClearingStream {
    fn name(&self) -> &'static str {
        "clearing.v1"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: SERVICE, categories: &["submission"] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let decoded: SubmissionEvent = event.decode()?;
        // An event that says nothing to core is not worth the look at its payment.
        if !is_published(&decoded) {
            return Ok(());
        }
        let unknown = || HandleError::Failed(format!("{} has no payment", event.stream));
        let id = event.stream.uuid().ok_or_else(unknown)?;
        let payment = unit.state::<Submission>(id).await?.ok_or_else(unknown)?.payment;
        let Some(derived) = clearing_of(&payment, decoded) else { return Ok(()) };
        unit.append_external(StreamName::of(clearing::CATEGORY, id), &derived, event).await?;
        Ok(())
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
