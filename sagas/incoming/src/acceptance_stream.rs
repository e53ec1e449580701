//! Derives `acceptance.v1` from `incoming`: what the rail's adapter has to tell the other bank, and no more.

use contract::acceptance::{self, AcceptanceEvent, IncomingAccepted, IncomingRefused, ReturnRequested};
use delivery::{Derivation, Derived};
use uuid::Uuid;

use crate::{Incoming, IncomingEvent};

pub struct AcceptanceStream;

impl Derivation for AcceptanceStream {
    const SERVICE: &'static str = "core";
    const CONTRACT: &'static str = acceptance::CATEGORY;
    type From = Incoming;
    type To = AcceptanceEvent;

    fn derive(_: Uuid, event: IncomingEvent) -> Result<Derived<Incoming, AcceptanceEvent>, String> {
        let is_told = matches!(
            event,
            IncomingEvent::CreditPending(_) | IncomingEvent::Refused(_) | IncomingEvent::ReturnInitiated(_)
        );
        if !is_told {
            return Ok(Derived::Nothing);
        }
        Ok(Derived::With(Box::new(move |incoming| {
            acceptance_of(incoming, &event).ok_or_else(|| "the adapter is not told of it".to_owned())
        })))
    }
}

/// What the rail's adapter is told of an event; None: nothing.
pub fn acceptance_of(incoming: &Incoming, event: &IncomingEvent) -> Option<AcceptanceEvent> {
    let (payment_id, uetr) = (incoming.payment.payment_id, incoming.payment.uetr);
    match event {
        IncomingEvent::CreditPending(_) => Some(IncomingAccepted { payment_id, uetr }.into()),
        IncomingEvent::Refused(event) => {
            Some(IncomingRefused { payment_id, uetr, reason_code: event.reason_code.clone() }.into())
        }
        IncomingEvent::ReturnInitiated(event) => {
            let (return_id, amount, reason_code) = (event.return_id, event.amount, event.reason_code.clone());
            Some(ReturnRequested { payment_id, uetr, return_id, amount, reason_code }.into())
        }
        _ => None,
    }
}
