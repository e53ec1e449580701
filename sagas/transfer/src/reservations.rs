//! Account → saga: the money is held, so the transfer can be submitted.

use std::collections::HashMap;

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;
use jiff::SignedDuration;
use ledger::AccountEvent;
use money::{Currency, Money};

use crate::{Limits, TransferCommand, apply};

pub struct Reservations {
    pub limits: Limits,
    pub approvals: Approvals,
}

/// Which transfers somebody has to approve, and how long there is for it.
#[derive(Debug, Clone)]
pub struct Approvals {
    /// In minor units; a transfer of more needs an approval. None for a currency that is not named.
    pub above: HashMap<Currency, i64>,
    pub within: SignedDuration,
}

impl Approvals {
    fn limit(&self, amount: Money) -> Option<SignedDuration> {
        let above = self.above.get(&amount.currency())?;
        (amount.minor() > *above).then_some(self.within)
    }
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
        let approve_within = self.approvals.limit(reserved.amount);
        let submission = self.limits.submission;
        let confirm = TransferCommand::ConfirmReservation { reservation_id, approve_within, submission };
        // The hold carries the transfer's id.
        apply(unit, reservation_id, confirm).await?;
        Ok(())
    }
}
