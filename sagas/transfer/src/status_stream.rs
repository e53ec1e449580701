//! Derives `transfer.v1` from `transfer`: where it stands, for whoever has asked for it.

use contract::transfer::{self, AttentionRequired, AttentionWithdrawn, StatusChanged};
use delivery::{Derivation, Derived};
use uuid::Uuid;

use crate::{Released, Transfer, TransferEvent};

/// The status that a transfer has from this event on, and why. None: the one that it had.
pub(crate) fn status_after(event: &TransferEvent) -> Option<(&'static str, Option<String>)> {
    let unknown = || Some("outcome_unknown".to_owned());
    Some(match event {
        TransferEvent::Requested(_) => ("pending", None),
        TransferEvent::ApprovalRequested(_) => ("awaiting_approval", None),
        TransferEvent::SubmissionInitiated(_) => ("processing", None),
        TransferEvent::SubmissionTimedOut(_) => ("processing", unknown()),
        TransferEvent::Released(Released { provisional: true, .. }) => ("released", unknown()),
        TransferEvent::Succeeded(_) => ("succeeded", None),
        TransferEvent::Failed(event) => ("failed", Some(event.reason.code().to_owned())),
        TransferEvent::Cancelled(_) => ("cancelled", None),
        TransferEvent::Returned(_) => ("returned", None),
        TransferEvent::Reversed(_) => ("returned", None),
        _ => return None,
    })
}

pub struct StatusStream;

impl Derivation for StatusStream {
    const SERVICE: &'static str = "core";
    const CONTRACT: &'static str = transfer::CATEGORY;
    type From = Transfer;
    type To = transfer::TransferEvent;

    fn derive(
        transfer_id: Uuid,
        event: TransferEvent,
    ) -> Result<Derived<Transfer, transfer::TransferEvent>, String> {
        if let Some((status, status_reason)) = status_after(&event) {
            let status = status.to_owned();
            return Ok(Derived::Event(StatusChanged { transfer_id, status, status_reason }.into()));
        }
        Ok(match event {
            TransferEvent::OperatorAttentionRequired(event) => {
                Derived::Event(AttentionRequired { transfer_id, reason: event.reason }.into())
            }
            TransferEvent::AttentionWithdrawn(event) => {
                Derived::Event(AttentionWithdrawn { transfer_id, remaining: event.remaining }.into())
            }
            _ => Derived::Nothing,
        })
    }
}
