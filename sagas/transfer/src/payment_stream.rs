//! Derives `payment.v1` from `transfer`: what a rail's adapter has to know to pay, and no more.

use contract::payment::{self, Party, PaymentEvent, PaymentSubmitted};
use delivery::{Derivation, Derived};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{Beneficiary, Requested, Transfer, TransferEvent};

pub struct PaymentStream;

impl Derivation for PaymentStream {
    const SERVICE: &'static str = "core";
    const CONTRACT: &'static str = payment::CATEGORY;
    type From = Transfer;
    type To = PaymentEvent;

    fn derive(_: Uuid, event: TransferEvent) -> Result<Derived<Transfer, PaymentEvent>, String> {
        if !matches!(event, TransferEvent::SubmissionInitiated(_)) {
            return Ok(Derived::Nothing);
        }
        Ok(Derived::With(Box::new(move |transfer| {
            payment_of(&transfer.request, &event).ok_or_else(|| "it needs no rail".to_owned())
        })))
    }
}

/// What the rail's adapter is told of an event; None: nothing.
pub fn payment_of(request: &Requested, event: &TransferEvent) -> Option<PaymentEvent> {
    let TransferEvent::SubmissionInitiated(initiated) = event else { return None };
    let Beneficiary::Bank { iban, name } = &request.to else { return None };
    let submitted = PaymentSubmitted {
        payment_id: request.transfer_id,
        uetr: initiated.uetr,
        end_to_end_id: initiated.end_to_end_id.clone(),
        amount: request.amount,
        debtor: request.debtor.clone(),
        creditor: Party { iban: iban.clone(), name: name.clone() },
        remittance: request.remittance.clone(),
        answer_by: if event::mutants::active("derive_by_clock") {
            Timestamp::now()
        } else {
            initiated.deadline.due_at
        },
    };
    Some(submitted.into())
}
