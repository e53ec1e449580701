//! Account → saga: the money is held, so the transfer can be submitted.

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;
use ledger::AccountEvent;

use crate::{Limits, Transfer, TransferCommand};

pub struct Reservations {
    pub limits: Limits,
}

#[async_trait]
impl Handler for Reservations {
    fn name(&self) -> &'static str {
        "transfer.reservations"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &["account"] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let AccountEvent::FundsReserved(reserved) = event.decode()? else { return Ok(()) };
        let reservation_id = reserved.reservation_id;
        let submission_limit = self.limits.submission;
        let confirm = TransferCommand::ConfirmReservation { reservation_id, submission_limit };
        // The hold carries the transfer's id.
        unit.execute::<Transfer>(reservation_id, confirm).await?;
        Ok(())
    }
}
