//! Clearing → saga → account: what the rail has answered, and what follows for the hold, in one unit of work.

use async_trait::async_trait;
use contract::clearing::{self, ClearingEvent};
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;
use uuid::Uuid;

use crate::{ReturnedPayment, TransferCommand, apply};

/// Listens to the adapter that whoever composes the services has chosen.
pub struct Clearing {
    pub adapter: &'static str,
}

#[async_trait]
impl Handler for Clearing {
    fn name(&self) -> &'static str {
        "transfer.clearing"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: self.adapter, categories: &[clearing::CATEGORY] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let (transfer_id, command) = command_of(event.decode()?);
        apply(unit, transfer_id, command).await?;
        Ok(())
    }
}

/// What an answer of the rail's is to the saga, and to which.
pub fn command_of(event: ClearingEvent) -> (Uuid, TransferCommand) {
    match event {
        ClearingEvent::PaymentSettled(event) => {
            let settled = TransferCommand::RecordSettled { uetr: event.uetr, settled_at: event.settled_at };
            (event.payment_id, settled)
        }
        ClearingEvent::PaymentRejected(event) => {
            let rejected =
                TransferCommand::RecordRejected { uetr: event.uetr, reason_code: event.reason_code };
            (event.payment_id, rejected)
        }
        ClearingEvent::PaymentPending(event) => {
            let pending = TransferCommand::RecordPending { uetr: event.uetr, status: event.status };
            (event.payment_id, pending)
        }
        ClearingEvent::PaymentReturned(event) => {
            let (return_id, amount, reason_code) = (event.return_id, event.amount, event.reason_code);
            let returned = ReturnedPayment { return_id, amount, reason_code };
            (event.payment_id, TransferCommand::RecordReturned { uetr: event.uetr, returned })
        }
        ClearingEvent::RecallRejected(event) => {
            let (uetr, recall_id, reason_code) = (event.uetr, event.recall_id, event.reason_code);
            (event.payment_id, TransferCommand::RecordRecallRejected { uetr, recall_id, reason_code })
        }
        ClearingEvent::RecallUndelivered(event) => {
            let (uetr, recall_id) = (event.uetr, event.recall_id);
            (event.payment_id, TransferCommand::RecordRecallUndelivered { uetr, recall_id })
        }
        ClearingEvent::PaymentOutcomeUnknown(event) => {
            let unknown = TransferCommand::RecordUndetermined { uetr: event.uetr, attempts: event.attempts };
            (event.payment_id, unknown)
        }
        ClearingEvent::PaymentContradicted(event) => {
            let contradicted = TransferCommand::RecordContradicted { uetr: event.uetr, answer: event.status };
            (event.payment_id, contradicted)
        }
    }
}
