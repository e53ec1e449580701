//! `payment.v2` → submission: core wants it paid, or back.

use async_trait::async_trait;
use contract::payment::{self, PaymentEvent};
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;

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
        let (payment_id, command) = match event.decode()? {
            PaymentEvent::PaymentSubmitted(payment) => {
                (payment.payment_id, SubmissionCommand::Request(payment))
            }
            PaymentEvent::RecallRequested(recall) => {
                (recall.payment_id, SubmissionCommand::Recall { recall_id: recall.recall_id })
            }
        };
        unit.execute::<Submission>(payment_id, command).await?;
        Ok(())
    }
}
