//! Derives `card.v1` from `exchange`: what core may rely on.

use contract::card::{self, CardEvent, RequestUnanswered};
use delivery::{Derivation, Derived};
use uuid::Uuid;

use crate::{Exchange, ExchangeEvent, RequestTimedOut, SERVICE};

pub struct CardStream;

impl Derivation for CardStream {
    const SERVICE: &'static str = SERVICE;
    const CONTRACT: &'static str = card::CATEGORY;
    type From = Exchange;
    type To = CardEvent;

    fn derive(_: Uuid, event: ExchangeEvent) -> Result<Derived<Exchange, CardEvent>, String> {
        if let ExchangeEvent::RequestTimedOut(event) = event {
            return Ok(Derived::With(Box::new(move |exchange| Ok(unanswered(exchange, &event)))));
        }
        Ok(said_by(event).map_or(Derived::Nothing, Derived::Event))
    }
}

/// What core is told of an event; None: nothing.
pub fn card_event_of(exchange: &Exchange, event: ExchangeEvent) -> Option<CardEvent> {
    match event {
        ExchangeEvent::RequestTimedOut(event) => Some(unanswered(exchange, &event)),
        event => said_by(event),
    }
}

fn unanswered(exchange: &Exchange, event: &RequestTimedOut) -> CardEvent {
    RequestUnanswered { payment: exchange.payment.clone(), message_id: event.message_id }.into()
}

fn said_by(event: ExchangeEvent) -> Option<CardEvent> {
    Some(match event {
        ExchangeEvent::AuthorisationAsked(event) => event.request.into(),
        ExchangeEvent::IncrementAsked(event) => event.request.into(),
        ExchangeEvent::StandInHeard(event) => event.advice.into(),
        ExchangeEvent::ReversalHeard(event) => event.reversal.into(),
        ExchangeEvent::CaptureHeard(event) => event.capture.into(),
        ExchangeEvent::RefundHeard(event) => event.refund.into(),
        _ => return None,
    })
}
