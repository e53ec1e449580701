//! `payment.v1` → submission: core wants it paid.

use contract::payment::{self, PaymentEvent};
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;
use futures::future::BoxFuture;

use crate::{Submission, SubmissionCommand};

pub struct Submissions;

impl Handler for Submissions {
    fn name(&self) -> &'static str {
        "submissions"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &[payment::CATEGORY] }
    }

    fn handle<'a>(
        &'a self,
        event: &'a RecordedEvent,
        unit: &'a mut UnitOfWork,
    ) -> BoxFuture<'a, Result<(), HandleError>> {
        Box::pin(async move {
            let PaymentEvent::PaymentSubmitted(payment) = event.decode()?;
            unit.execute::<Submission>(payment.payment_id, SubmissionCommand::Request(payment)).await?;
            Ok(())
        })
    }
}
