//! Account → saga: the money is held, so the transfer can be submitted.

use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;
use futures::future::BoxFuture;
use ledger::AccountEvent;

use crate::{Limits, Transfer, TransferCommand};

pub struct Reservations {
    pub limits: Limits,
}

impl Handler for Reservations {
    fn name(&self) -> &'static str {
        "transfer.reservations"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &["account"] }
    }

    fn handle<'a>(
        &'a self,
        event: &'a RecordedEvent,
        unit: &'a mut UnitOfWork,
    ) -> BoxFuture<'a, Result<(), HandleError>> {
        Box::pin(async move {
            let AccountEvent::FundsReserved(reserved) = event.decode()? else { return Ok(()) };
            let reservation_id = reserved.reservation_id;
            let submission_limit = self.limits.submission;
            let confirm = TransferCommand::ConfirmReservation { reservation_id, submission_limit };
            // The hold carries the transfer's id.
            unit.execute::<Transfer>(reservation_id, confirm).await?;
            Ok(())
        })
    }
}
