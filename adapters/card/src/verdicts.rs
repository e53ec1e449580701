//! `verdict.v1` → exchange: what core says to what was asked.

use async_trait::async_trait;
use contract::verdict::{self, VerdictEvent};
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;
use uuid::Uuid;

use crate::{Exchange, ExchangeCommand};

pub struct Verdicts;

#[async_trait]
impl Handler for Verdicts {
    fn name(&self) -> &'static str {
        "verdicts"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &[verdict::CATEGORY] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let (id, command) = exchange_command_of(event.decode()?);
        unit.execute::<Exchange>(id, command).await?;
        Ok(())
    }
}

/// What core's verdict is to the exchange, and to which.
pub fn exchange_command_of(event: VerdictEvent) -> (Uuid, ExchangeCommand) {
    match event {
        VerdictEvent::RequestApproved(event) => {
            let (message_id, verdict) = (event.message_id, Ok(event.amount));
            (event.authorisation_id, ExchangeCommand::Answer { message_id, verdict })
        }
        VerdictEvent::RequestDeclined(event) => {
            let (message_id, verdict) = (event.message_id, Err(event.response_code));
            (event.authorisation_id, ExchangeCommand::Answer { message_id, verdict })
        }
    }
}
