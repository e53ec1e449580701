//! Derives `incoming.v1` from `inbound`: what core may rely on.

use contract::incoming::{
    self, IncomingCancelled, IncomingContradicted, IncomingEvent, IncomingOutcomeUnknown, IncomingSettled,
    ReturnOutcomeUnknown, ReturnRejected, ReturnSettled,
};
use delivery::{Derivation, Derived};
use uuid::Uuid;

use crate::inbound::TOO_LATE;
use crate::{Inbound, InboundEvent, SERVICE};

pub struct IncomingStream;

impl Derivation for IncomingStream {
    const SERVICE: &'static str = SERVICE;
    const CONTRACT: &'static str = incoming::CATEGORY;
    type From = Inbound;
    type To = IncomingEvent;

    fn derive(payment_id: Uuid, event: InboundEvent) -> Result<Derived<Inbound, IncomingEvent>, String> {
        if let InboundEvent::PaymentOffered(offered) = event {
            return Ok(Derived::Event(offered.payment.into()));
        }
        let Some(tell) = told(payment_id, event) else { return Ok(Derived::Nothing) };
        Ok(Derived::With(Box::new(move |inbound| Ok(tell(inbound.payment.uetr)))))
    }
}

/// What core is told of an event; None: nothing.
pub fn incoming_of(inbound: &Inbound, event: InboundEvent) -> Option<IncomingEvent> {
    match event {
        InboundEvent::PaymentOffered(offered) => Some(offered.payment.into()),
        event => told(inbound.payment.payment_id, event).map(|tell| tell(inbound.payment.uetr)),
    }
}

type Tell = Box<dyn FnOnce(Uuid) -> IncomingEvent + Send>;

/// What is told, once the UETR is at hand.
fn told(payment_id: Uuid, event: InboundEvent) -> Option<Tell> {
    fn tell(of: impl FnOnce(Uuid) -> IncomingEvent + Send + 'static) -> Option<Tell> {
        Some(Box::new(of))
    }
    match event {
        InboundEvent::SettlementConfirmed(event) => {
            tell(move |uetr| IncomingSettled { payment_id, uetr, settled_at: event.settled_at }.into())
        }
        InboundEvent::SettlementCancelled(event) => {
            tell(move |uetr| IncomingCancelled { payment_id, uetr, reason_code: event.reason_code }.into())
        }
        InboundEvent::DecisionTimedOut(_) => {
            tell(move |uetr| IncomingCancelled { payment_id, uetr, reason_code: TOO_LATE.to_owned() }.into())
        }
        InboundEvent::SettlementUnknown(_) => {
            tell(move |uetr| IncomingOutcomeUnknown { payment_id, uetr }.into())
        }
        InboundEvent::StatusContradicted(event) => {
            tell(move |uetr| IncomingContradicted { payment_id, uetr, status: event.status }.into())
        }
        InboundEvent::ReturnSettled(event) => {
            tell(move |uetr| ReturnSettled { payment_id, uetr, return_id: event.return_id }.into())
        }
        InboundEvent::ReturnRejected(event) => tell(move |uetr| {
            let (return_id, reason_code) = (event.return_id, event.reason_code);
            ReturnRejected { payment_id, uetr, return_id, reason_code }.into()
        }),
        InboundEvent::ReturnUnknown(event) => {
            tell(move |uetr| ReturnOutcomeUnknown { payment_id, uetr, return_id: event.return_id }.into())
        }
        _ => None,
    }
}
