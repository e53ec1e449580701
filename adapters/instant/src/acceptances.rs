//! `acceptance.v1` → inbound payment: core will credit it, cannot, or wants it to go back.

use async_trait::async_trait;
use contract::acceptance::{self, AcceptanceEvent};
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;
use uuid::Uuid;

use crate::{Inbound, InboundCommand};

pub struct Acceptances;

#[async_trait]
impl Handler for Acceptances {
    fn name(&self) -> &'static str {
        "acceptances"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &[acceptance::CATEGORY] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let (payment_id, command) = inbound_command_of(event.decode()?);
        unit.execute::<Inbound>(payment_id, command).await?;
        Ok(())
    }
}

/// What core's decision is to the inbound payment, and to which.
pub fn inbound_command_of(event: AcceptanceEvent) -> (Uuid, InboundCommand) {
    match event {
        AcceptanceEvent::IncomingAccepted(event) => (event.payment_id, InboundCommand::Accept),
        AcceptanceEvent::IncomingRefused(event) => {
            (event.payment_id, InboundCommand::Refuse { reason_code: event.reason_code })
        }
        AcceptanceEvent::ReturnRequested(event) => {
            let (return_id, amount, reason_code) = (event.return_id, event.amount, event.reason_code);
            (event.payment_id, InboundCommand::Return { return_id, amount, reason_code })
        }
    }
}
