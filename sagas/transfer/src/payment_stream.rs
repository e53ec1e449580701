//! Derives `payment.v1` from `transfer`: what a rail's adapter has to know to pay, and no more.

use async_trait::async_trait;
use contract::payment::{self, Party, PaymentEvent, PaymentSubmitted};
use delivery::{HandleError, Handler, Subscription};
use event::{RecordedEvent, StreamName};
use event_store::UnitOfWork;
use jiff::Timestamp;

use crate::{Beneficiary, Requested, Transfer, TransferEvent};

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
        let initiated: TransferEvent = event.decode()?;
        if !matches!(initiated, TransferEvent::SubmissionInitiated(_)) {
            return Ok(());
        }
        let id = event.stream.uuid().ok_or_else(|| failed(event, "is no transfer"))?;
        // Its request is the stream's first event and does not change.
        let transfer = unit.state::<Transfer>(id).await?.ok_or_else(|| failed(event, "has no request"))?;
        let derived =
            payment_of(&transfer.request, &initiated).ok_or_else(|| failed(event, "needs no rail"))?;
        unit.append_external(StreamName::of(payment::CATEGORY, id), &derived, event).await?;
        Ok(())
    }
}

/// What the rail's adapter is told of an event; None: nothing.
pub fn payment_of(request: &Requested, event: &TransferEvent) -> Option<PaymentEvent> {
    let TransferEvent::SubmissionInitiated(initiated) = event else { return None };
    let Beneficiary::Bank { iban, name } = &request.to else { return None };
    let submitted = PaymentSubmitted {
        payment_id: request.transfer_id,
        uetr: initiated.uetr,
        end_to_end_id: initiated.end_to_end_id.clone(),
        amount: request.amount,
        debtor: request.debtor.clone(),
        creditor: Party { iban: iban.clone(), name: name.clone() },
        remittance: request.remittance.clone(),
        answer_by: if event::mutants::active("derive_by_clock") {
            Timestamp::now()
        } else {
            initiated.deadline.due_at
        },
    };
    Some(submitted.into())
}

fn failed(event: &RecordedEvent, what: &str) -> HandleError {
    HandleError::Failed(format!("{} {what}", event.stream))
}
