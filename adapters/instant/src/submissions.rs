//! `payment.v1` → submission: core wants it paid.

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
        let PaymentEvent::PaymentSubmitted(payment) = event.decode()?;
        unit.execute::<Submission>(payment.payment_id, SubmissionCommand::Request(payment)).await?;
        Ok(())
    }
}
