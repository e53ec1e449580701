//! Derives `verdict.v1` from `authorisation`: what the network's adapter has to answer, and no more.

use contract::verdict::{self, RequestApproved, RequestDeclined, VerdictEvent};
use delivery::{Derivation, Derived};
use uuid::Uuid;

use crate::{Authorisation, AuthorisationEvent};

pub struct VerdictStream;

impl Derivation for VerdictStream {
    const SERVICE: &'static str = "core";
    const CONTRACT: &'static str = verdict::CATEGORY;
    type From = Authorisation;
    type To = VerdictEvent;

    fn derive(
        authorisation_id: Uuid,
        event: AuthorisationEvent,
    ) -> Result<Derived<Authorisation, VerdictEvent>, String> {
        Ok(verdict_of(authorisation_id, &event).map_or(Derived::Nothing, Derived::Event))
    }
}

/// What the network's adapter is told of an event; None: nothing.
pub fn verdict_of(authorisation_id: Uuid, event: &AuthorisationEvent) -> Option<VerdictEvent> {
    let approved = |message_id: Uuid, amount| RequestApproved { authorisation_id, message_id, amount }.into();
    let declined = |message_id: Uuid, code: &str| {
        RequestDeclined { authorisation_id, message_id, response_code: code.to_owned() }.into()
    };
    match event {
        AuthorisationEvent::Approved(event) => Some(approved(event.message_id, event.amount)),
        AuthorisationEvent::Incremented(event) => Some(approved(event.message_id, event.amount)),
        AuthorisationEvent::Declined(event) => Some(declined(event.message_id, &event.response_code)),
        AuthorisationEvent::IncrementDeclined(event) => {
            Some(declined(event.message_id, &event.response_code))
        }
        _ => None,
    }
}
