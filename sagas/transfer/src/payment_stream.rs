//! Derives `payment.v1` from `transfer`: what a rail's adapter has to know to pay, and no more.

use async_trait::async_trait;
use contract::payment::{self, Party, PaymentSubmitted};
use delivery::{HandleError, Handler, Subscription};
use event::{RecordedEvent, StreamName};
use event_store::UnitOfWork;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{Beneficiary, SubmissionInitiated, Transfer, TransferEvent};

pub struct PaymentStream;

#[async_trait]
impl Handler for PaymentStream {
    fn name(&self) -> &'static str {
        "payment.v1"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &["transfer"] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let TransferEvent::SubmissionInitiated(initiated) = event.decode()? else { return Ok(()) };
        let id = event.stream.uuid().ok_or_else(|| failed(event, "is no transfer"))?;
        // Its request is the stream's first event and does not change.
        let transfer = unit.state::<Transfer>(id).await?.ok_or_else(|| failed(event, "has no request"))?;
        let submitted = submitted(id, transfer, initiated).ok_or_else(|| failed(event, "needs no rail"))?;
        let stream = StreamName::of(payment::CATEGORY, id);
        unit.append_external(stream, &payment::PaymentEvent::from(submitted), event).await?;
        Ok(())
    }
}

fn submitted(
    payment_id: Uuid,
    transfer: Transfer,
    initiated: SubmissionInitiated,
) -> Option<PaymentSubmitted> {
    let Beneficiary::Bank { iban, name } = transfer.request.to else { return None };
    Some(PaymentSubmitted {
        payment_id,
        uetr: initiated.uetr,
        end_to_end_id: initiated.end_to_end_id,
        amount: transfer.request.amount,
        debtor: transfer.request.debtor,
        creditor: Party { iban, name },
        remittance: transfer.request.remittance,
        answer_by: if event::mutants::active("derive_by_clock") {
            Timestamp::now()
        } else {
            initiated.deadline.due_at
        },
    })
}

fn failed(event: &RecordedEvent, what: &str) -> HandleError {
    HandleError::Failed(format!("{} {what}", event.stream))
}
