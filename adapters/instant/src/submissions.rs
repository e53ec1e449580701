//! `payment.v2` → submission: core wants it paid, or back.

use async_trait::async_trait;
use contract::payment::{self, PaymentEvent};
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;
use uuid::Uuid;

use crate::{Submission, SubmissionCommand};

pub struct Submissions;

#[async_trait]
impl Handler for Submissions {
    fn name(&self) -> &'static str {
        "submissions"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &[payment::CATEGORY] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let (payment_id, command) = submission_command_of(event.decode()?);
        unit.execute::<Submission>(payment_id, command).await?;
        Ok(())
    }
}

/// What core's wish is to the submission, and to which.
pub fn submission_command_of(event: PaymentEvent) -> (Uuid, SubmissionCommand) {
    match event {
        PaymentEvent::PaymentSubmitted(payment) => (payment.payment_id, SubmissionCommand::Request(payment)),
        PaymentEvent::RecallRequested(event) => {
            let (recall_id, reason_code) = (event.recall_id, event.reason_code);
            (event.payment_id, SubmissionCommand::Recall { recall_id, reason_code })
        }
    }
}
